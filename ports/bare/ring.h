/*
 * A queue of frames between an interrupt handler, which puts them in, and `bare_frame_in`, which takes them out. One producer,
 * one consumer, no locks: each index is written by one side alone.
 */
#ifndef ANYSTACK_RING_H
#define ANYSTACK_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef RING_FRAMES
#define RING_FRAMES 8u /* A power of two. */
#endif
#ifndef RING_FRAME_SIZE
#define RING_FRAME_SIZE 1520u /* Ethernet's largest frame with a VLAN tag, in whole words. */
#endif

struct ring {
  _Atomic uint32_t head; /* Frames put in; the producer's. */
  _Atomic uint32_t tail; /* Frames taken out; the consumer's. */
  uint32_t lost;         /* Frames for which there was no room; the producer's. */
  uint16_t length[RING_FRAMES];
  uint32_t frame[RING_FRAMES][RING_FRAME_SIZE / 4];
};

/* Where the producer writes the next frame, RING_FRAME_SIZE bytes; NULL: the ring is full, and the frame counts as lost. */
static inline uint32_t *ring_reserve(struct ring *ring) {
  uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) < RING_FRAMES) return ring->frame[head % RING_FRAMES];
  ring->lost++;
  return NULL;
}

/* The frame that was written is complete. */
static inline void ring_commit(struct ring *ring, uint16_t length) {
  uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  ring->length[head % RING_FRAMES] = length;
  atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

static inline int ring_empty(struct ring *ring) {
  return atomic_load_explicit(&ring->head, memory_order_acquire) == atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* What `bare_frame_in` is to do. A frame longer than `size` is skipped. */
static inline size_t ring_take(struct ring *ring, uint8_t *frame, size_t size) {
  while (!ring_empty(ring)) {
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t length = ring->length[tail % RING_FRAMES];
    if (length <= size) memcpy(frame, ring->frame[tail % RING_FRAMES], length);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    if (length <= size) return length;
  }
  return 0;
}

#endif
