/*
 * lwIP as a subject of the benchmark: reads "WORK MILLISECONDS" lines and answers each with a rate: Gbit/s (tcp-bulk) or events
 * per second of processor time. Two ends in one process and one thread; the cable between them copies each frame into the
 * receiver's memory.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "end.h"

#define SLOTS 4096
/* Frames between two looks at the clock. */
#define BATCH 4096
/* On a busy machine a workload ends after so many times the time that it is given. */
#define PATIENCE 3

extern const struct end lwip_end_a, lwip_end_b;
static const struct end *const ends[2] = {&lwip_end_a, &lwip_end_b};

static struct { void *frames[SLOTS]; unsigned head, tail; } queues[2];
static void *frame;
static char *at;
static int towards;

void cable_begin(int from, size_t length) {
  void *payload;
  towards = 2 - from;
  frame = ends[towards]->receive(length, &payload);
  at = payload;
}

void cable_piece(const void *data, size_t length) {
  memcpy(at, data, length);
  at += length;
}

void cable_end(void) { queues[towards].frames[queues[towards].tail++ % SLOTS] = frame; }

/* Delivers all that waits; 0 when nothing did. */
static int deliver(void) {
  int moved = 0;
  for (int end = 1; end >= 0; end--) {
    while (queues[end].head != queues[end].tail) {
      ends[end]->input(queues[end].frames[queues[end].head++ % SLOTS]);
      moved++;
    }
  }
  return moved;
}

static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(void) {
  char work[32];
  double milliseconds;
  for (int i = 0; i < 2; i++) ends[i]->boot(i + 1);
  for (int i = 0; i < 2; i++) ends[i]->up();
  ends[1]->serve();
  while (scanf("%31s %lf", work, &milliseconds) == 2) {
    const int bulk = strcmp(work, "tcp-bulk") == 0;
    const struct end *counting = bulk || strcmp(work, "tcp-connect") == 0 ? ends[1] : ends[0];
    if (ends[0]->begin(work) != 0) return 1;
    unsigned long before = counting->count();
    double start = seconds(CLOCK_MONOTONIC), begun = seconds(CLOCK_PROCESS_CPUTIME_ID), spent;
    do {
      for (int frames = 0; frames < BATCH;) {
        int moved = deliver();
        if (moved == 0) ends[0]->next();
        frames += moved ? moved : 1;
      }
      ends[0]->poll();
      ends[1]->poll();
      spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - begun;
    } while (spent < milliseconds / 1000 && seconds(CLOCK_MONOTONIC) - start < PATIENCE * milliseconds / 1000);
    double rate = (double)(counting->count() - before) / spent;
    printf("%.6g\n", bulk ? rate * 8e-9 : rate);
    fflush(stdout);
    ends[0]->stop();
    while (deliver() > 0);
  }
  return 0;
}
