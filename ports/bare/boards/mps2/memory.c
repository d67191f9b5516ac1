/* What newlib's malloc asks for: the RAM between the variables and the stack. */
#include <errno.h>
#include <stddef.h>
#include "mps2.h"

extern char heap_start[], stack_limit[];
static char *top = heap_start;

/* `malloc` gives nothing back: what it has taken is its high-water mark. */
void *_sbrk(ptrdiff_t bytes) {
  if (bytes > stack_limit - top) {
    errno = ENOMEM;
    return (void *)-1;
  }
  char *start = top;
  top += bytes;
  return start;
}

size_t memory_taken(void) { return (size_t)(top - heap_start); }
