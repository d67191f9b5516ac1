#!/usr/bin/perl
# Opens a TAP or TUN device and starts a program that inherits it: for hosts without the package koffi (see fd.ts), and for
# programs that should not run as root: only this script needs the privilege.
#
#   perl tap-launcher.pl [--tun] [--offloads] [--user NAME] [--fd N] DEVICE -- PROGRAM [ARGUMENT ...]
#
# Descriptor N (3) of the program is the device, not blocking. Descriptor N+1 is a socket to a small process that waits for the
# device on the program's behalf, because Node can wait for sockets only: written "r" or "w", it answers the same letter once
# the device can be read or written. It ends when the program closes the socket.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

sub usage {
  die "tap-launcher: $_[0]\n"
    . "usage: tap-launcher.pl [--tun] [--offloads] [--user NAME] [--fd N] DEVICE -- PROGRAM [ARGUMENT ...]\n";
}

my ($tun, $offloads, $user, $fd) = (0, 0, undef, 3);
while (@ARGV && $ARGV[0] =~ /^--./) {
  my $option = shift @ARGV;
  if ($option eq '--tun') { $tun = 1 }
  elsif ($option eq '--offloads') { $offloads = 1 }
  elsif ($option eq '--user') { $user = shift @ARGV // usage('--user needs a name') }
  elsif ($option eq '--fd') {
    $fd = shift @ARGV // '';
    usage('--fd needs a number from 3 to 1000') unless $fd =~ /^\d+$/ && $fd >= 3 && $fd <= 1000;
  }
  else { usage("unknown option $option") }
}
my $device = shift @ARGV // usage('which device?');
usage("\"$device\" is no name for an interface") unless $device =~ m{^[^/\s]{1,15}$};
usage('-- and a program must follow the device') unless (shift @ARGV // '') eq '--' && @ARGV;

# linux/if_tun.h, as x86, ARM and RISC-V number it.
my ($TUNSETIFF, $TUNSETOFFLOAD, $TUNSETVNETHDRSZ, $TUNSETVNETLE) = (0x400454ca, 0x400454d0, 0x400454d8, 0x400454dc);
my ($IFF_TUN, $IFF_TAP, $IFF_NO_PI, $IFF_VNET_HDR) = (1, 2, 0x1000, 0x4000);
my $mode = $tun ? 'tun' : 'tap';

$^F = 1000;    # no close-on-exec: what follows is to be inherited
sysopen(my $tap, '/dev/net/tun', O_RDWR | O_NONBLOCK) or die "tap-launcher: /dev/net/tun: $!\n";
my $flags = ($tun ? $IFF_TUN : $IFF_TAP) | $IFF_NO_PI | ($offloads ? $IFF_VNET_HDR : 0);
ioctl($tap, $TUNSETIFF, pack('a16 S x22', $device, $flags))
  or die "tap-launcher: $mode device $device: $!"
  . ($!{EPERM} ? "; root makes one for you with: ip tuntap add dev $device mode $mode user \$USER" : '') . "\n";
if ($offloads) {
  my ($header_size, $little_endian, $bits) = (pack('i', 10), pack('i', 1), 1 | 2 | 4 | 8);    # checksum, TSO4, TSO6, ECN
  ioctl($tap, $TUNSETVNETHDRSZ, $header_size) or die "tap-launcher: TUNSETVNETHDRSZ: $!\n";
  ioctl($tap, $TUNSETVNETLE, $little_endian) or die "tap-launcher: TUNSETVNETLE: $!\n";
  ioctl($tap, $TUNSETOFFLOAD, $bits) or die "tap-launcher: TUNSETOFFLOAD: $!\n";
}
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "tap-launcher: socketpair: $!\n";

if (defined $user) {
  my ($uid, $gid) = (getpwnam $user)[2, 3];
  die "tap-launcher: no user $user\n" unless defined $gid;
  $) = "$gid $gid";
  $( = $gid;
  POSIX::setuid($uid) or die "tap-launcher: cannot become $user: $!\n";
}

# Twice forked, the waiting process is nobody's child: the program has none that it did not start.
my $child = fork // die "tap-launcher: fork: $!\n";
if ($child == 0) {
  POSIX::_exit(0) if fork;
  close $theirs;
  $SIG{INT} = $SIG{HUP} = $SIG{QUIT} = $SIG{TERM} = 'IGNORE';    # the program decides when it ends
  open STDIN, '<', '/dev/null';
  open STDOUT, '>', '/dev/null';
  open STDERR, '>', '/dev/null';
  wait_for_device();
  POSIX::_exit(0);
}
waitpid $child, 0;

# Either may sit on the number that the other is to get.
my ($tap_copy, $their_copy) = map { fcntl($_, F_DUPFD, $fd + 2) // die "tap-launcher: F_DUPFD: $!\n" } $tap, $theirs;
POSIX::dup2($tap_copy, $fd) // die "tap-launcher: dup2: $!\n";
POSIX::dup2($their_copy, $fd + 1) // die "tap-launcher: dup2: $!\n";
POSIX::close($_) for grep { $_ != $fd && $_ != $fd + 1 } fileno $tap, fileno $ours, fileno $theirs, $tap_copy, $their_copy;
{ no warnings 'exec'; exec { $ARGV[0] } @ARGV }
die "tap-launcher: $ARGV[0]: $!\n";

sub wait_for_device {
  my ($reading, $writing) = (0, 0);
  for (;;) {
    my ($readable, $writable) = ('', '');
    vec($readable, fileno $ours, 1) = 1;
    vec($readable, fileno $tap, 1) = 1 if $reading;
    vec($writable, fileno $tap, 1) = 1 if $writing;
    next if select($readable, $writable, undef, undef) < 0;
    if (vec($readable, fileno $ours, 1)) {
      return unless sysread $ours, my $asked, 64;
      $reading = 1 if $asked =~ /r/;
      $writing = 1 if $asked =~ /w/;
      next;
    }
    my $answer = '';
    $answer .= 'r' if $reading && vec($readable, fileno $tap, 1);
    $answer .= 'w' if $writing && vec($writable, fileno $tap, 1);
    $reading = 0 if $answer =~ /r/;
    $writing = 0 if $answer =~ /w/;
    return unless syswrite $ours, $answer;
  }
}
