/* One end of the benchmark's cable. The build makes two of it: lwIP and end.c, linked twice under different names. */
#ifndef BENCH_END_H
#define BENCH_END_H

#include <stddef.h>

struct end {
  /* Boots the stack as host `number` (1 or 2). */
  void (*boot)(int number);
  /* Takes the interface up, once both ends have booted. */
  void (*up)(void);
  /* Memory for a frame that comes in: where to copy it, and the handle to give to `input`. */
  void *(*receive)(size_t length, void **payload);
  void (*input)(void *frame);
  /* Runs the timers. */
  void (*poll)(void);
  /* The server's side of all workloads. */
  void (*serve)(void);
  /* The client's side: begins `work`, which goes on by itself until `stop`. Nonzero: no such workload. */
  int (*begin)(const char *work);
  /* tcp-connect: opens the next connection. Others: nothing. */
  void (*next)(void);
  void (*stop)(void);
  /* What has been done since boot: bytes received (tcp-bulk, server's), answers, or connections closed (server's). */
  unsigned long (*count)(void);
};

/* The cable, in main.c: takes the pieces of a frame. */
void cable_begin(int from, size_t length);
void cable_piece(const void *data, size_t length);
void cable_end(void);

#endif
