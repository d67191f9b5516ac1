/*
 * The kernel's side of the benchmark over TAP and veth. A server: `peer serve` takes on port 5001, sends on 5002, echoes bytes on
 * 5003 and datagrams on 5001. A client, which prints a rate: Gbit/s, or answers per second of wall clock:
 *
 *   peer send|receive|rr ADDRESS PORT MILLISECONDS
 *   peer udp ADDRESS PORT MILLISECONDS SIZE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes written or read at once. */
#define CHUNK (256 * 1024)
/* Datagrams on their way at a time. */
#define WINDOW 64

/* Datagrams taken or sent by one system call. */
#define BATCH 32

static char bytes[CHUNK];
static char places[BATCH][2048];
static struct iovec parts[BATCH];
static struct sockaddr_in ends[BATCH];
static struct mmsghdr messages[BATCH];

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void failed(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in end_of(const char *address, int port) {
  struct sockaddr_in end = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (inet_pton(AF_INET, address, &end.sin_addr) != 1) failed(address);
  return end;
}

static int open_socket(int type) {
  int fd = socket(AF_INET, type, 0), on = 1;
  if (fd < 0) failed("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* A server, one connection after the other, in a process of its own. */
static void serve_stream(int port) {
  if (fork() != 0) return;
  struct sockaddr_in end = end_of("0.0.0.0", port);
  int listening = open_socket(SOCK_STREAM);
  if (bind(listening, (struct sockaddr *)&end, sizeof end) < 0 || listen(listening, 8) < 0) failed("listen");
  for (;;) {
    int fd = accept(listening, NULL, NULL);
    ssize_t got;
    if (fd < 0) failed("accept");
    if (port == 5002)
      while (send(fd, bytes, CHUNK, MSG_NOSIGNAL) > 0);
    while ((got = read(fd, bytes, CHUNK)) > 0)
      if (port == 5003 && send(fd, bytes, (size_t)got, MSG_NOSIGNAL) < 0) break;
    close(fd);
  }
}

/* Sends the datagrams of `messages`: all, or as many as there is room for. */
static void send_batch(int fd, int count) {
  for (int done = 0; done < count;) {
    int sent = sendmmsg(fd, messages + done, (unsigned)(count - done), 0);
    if (sent <= 0) return;
    done += sent;
  }
}

/* Places for datagrams of up to `size` bytes, with room for their ends where the socket is not connected. */
static void prepare(size_t size, int connected) {
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){places[i], size};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    if (!connected) messages[i].msg_hdr.msg_name = &ends[i];
    messages[i].msg_hdr.msg_namelen = connected ? 0 : sizeof ends[i];
  }
}

/* A window of datagrams is on its way; what comes back is sent again, as many at a time as there are. */
static unsigned long echo(int fd, size_t size, double stop) {
  unsigned long done = 0;
  prepare(size, 1);
  for (int i = 0; i < WINDOW; i += BATCH) send_batch(fd, BATCH);
  do {
    int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    if (got > 0) done += (unsigned long)got;
    else
      for (int i = BATCH; i < WINDOW; i += BATCH) send_batch(fd, BATCH);
    send_batch(fd, got > 0 ? got : BATCH);
  } while (seconds() < stop);
  return done;
}

static void serve(void) {
  for (int port = 5001; port <= 5003; port++) serve_stream(port);
  struct sockaddr_in end = end_of("0.0.0.0", 5001);
  int fd = open_socket(SOCK_DGRAM);
  if (bind(fd, (struct sockaddr *)&end, sizeof end) < 0) failed("bind");
  puts("ready");
  fflush(stdout);
  for (;;) {
    prepare(sizeof places[0], 0);
    int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < got; i++) parts[i].iov_len = messages[i].msg_len;
    if (got > 0) send_batch(fd, got);
  }
}

int main(int count, char *words[]) {
  if (count == 2 && strcmp(words[1], "serve") == 0) serve();
  if (count < 5) return 2;
  const char *work = words[1];
  const int datagrams = strcmp(work, "udp") == 0;
  struct sockaddr_in end = end_of(words[2], atoi(words[3]));
  int fd = open_socket(datagrams ? SOCK_DGRAM : SOCK_STREAM);
  /* Nobody waits for ever: a lost datagram is sent again after 20 ms, a dead peer is noticed. */
  struct timeval patience = {datagrams ? 0 : 5, datagrams ? 20000 : 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&end, sizeof end) < 0) failed("connect");
  size_t size = datagrams ? (size_t)atoi(words[5]) : strcmp(work, "rr") == 0 ? 1 : CHUNK;
  const int sending = strcmp(work, "send") == 0, receiving = strcmp(work, "receive") == 0;
  double start = seconds(), stop = start + atof(words[4]) / 1000, now;
  unsigned long done = 0;
  if (datagrams) {
    done = echo(fd, size, stop);
    printf("%.6g\n", (double)done / (seconds() - start));
    return 0;
  }
  do {
    ssize_t got;
    if (!receiving) {
      got = send(fd, bytes, size, MSG_NOSIGNAL);
      if (got < 0) failed("send");
      if (sending) done += (unsigned long)got;
    }
    if (!sending) {
      got = recv(fd, bytes, size, 0);
      if (got <= 0) failed("recv");
      done += receiving ? (unsigned long)got : 1;
    }
    now = seconds();
  } while (now < stop);
  double rate = (double)done / (now - start);
  printf("%.6g\n", sending || receiving ? rate * 8e-9 : rate);
  return 0;
}
