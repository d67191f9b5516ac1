/* What the board is started with, and how it ends. */
#include <string.h>
#include "bare.h"
#include "mps2.h"

/* " NAME=VALUE NAME=VALUE", empty when nobody says anything. */
static char arguments[512];

void board_start(void) {
  arguments[0] = ' ';
  if (!semihosting_arguments(arguments + 1, sizeof arguments - 1)) arguments[1] = 0;
  uart_start();
  clock_start();
}

const char *board_option(const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  for (const char *at = arguments; (at = strchr(at, ' ')) != NULL;) {
    at++;
    if (strncmp(at, name, length) != 0 || at[length] != '=') continue;
    at += length + 1;
    size_t count = strcspn(at, " ");
    if (count >= size) return NULL;
    memcpy(value, at, count);
    value[count] = 0;
    return value;
  }
  return NULL;
}

_Noreturn void board_exit(int code) {
  semihosting_exit(code);
  REGISTER(0xe000ed0c) = 0x05fa0004; /* AIRCR: system reset. */
  for (;;) {
  }
}

void bare_panic(const char *message) { bare_log(message); }
