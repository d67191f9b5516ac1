/*
 * The kernel's side of the benchmark over TAP and veth. A server: `peer serve` takes on port 5001, sends on 5002, echoes bytes on
 * 5003 and datagrams on 5001. A client, which prints a rate: Gbit/s, or answers per second of wall clock:
 *
 *   peer send|receive|rr ADDRESS PORT MILLISECONDS
 *   peer udp ADDRESS PORT MILLISECONDS SIZE
 */
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

static char bytes[CHUNK];

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

static void serve(void) {
  for (int port = 5001; port <= 5003; port++) serve_stream(port);
  struct sockaddr_in end = end_of("0.0.0.0", 5001);
  socklen_t size = sizeof end;
  int fd = open_socket(SOCK_DGRAM);
  if (bind(fd, (struct sockaddr *)&end, sizeof end) < 0) failed("bind");
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t got = recvfrom(fd, bytes, CHUNK, 0, (struct sockaddr *)&end, &size);
    if (got >= 0) sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&end, size);
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
  if (datagrams)
    for (int i = 0; i < WINDOW; i++) send(fd, bytes, size, 0);
  do {
    ssize_t got;
    if (sending || (!receiving && !datagrams)) {
      got = send(fd, bytes, size, MSG_NOSIGNAL);
      if (got < 0) failed("send");
      if (sending) done += (unsigned long)got;
    }
    if (!sending) {
      got = recv(fd, bytes, size, 0);
      if (datagrams) {
        int again = got < 0 ? WINDOW : 1;
        if (got >= 0) done++;
        while (again--) send(fd, bytes, size, 0);
      } else if (got <= 0) failed("recv");
      else done += receiving ? (unsigned long)got : 1;
    }
    now = seconds();
  } while (now < stop);
  double rate = (double)done / (now - start);
  printf("%.6g\n", sending || receiving ? rate * 8e-9 : rate);
  return 0;
}
