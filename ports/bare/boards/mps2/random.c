/*
 * Random bytes: the boards have no generator, so they come from the machine that runs them, by a semihosting read of
 * /dev/urandom. Where nobody answers (a board without its debugger, an option `random=none`) there are none, and the stack
 * refuses what needs them.
 */
#include "bare.h"
#include "mps2.h"

#define READ_BINARY 1

bool bare_random(uint8_t *target, size_t length) {
  char source[64];
  if (!board_option("random", source, sizeof source)) {
    static const char standard[] = "/dev/urandom";
    __builtin_memcpy(source, standard, sizeof standard);
  }
  int file = semihosting_open(source, READ_BINARY);
  if (file < 0) return false;
  bool complete = semihosting_read(file, target, length);
  semihosting_close(file);
  return complete;
}
