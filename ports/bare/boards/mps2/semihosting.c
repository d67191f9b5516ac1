/* Arm semihosting: calls that a debugger or QEMU answers ("Semihosting for AArch32 and AArch64", version 3). */
#include <string.h>
#include "mps2.h"

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE = 5, SYS_READ = 6, SYS_FLEN = 12, SYS_GET_CMDLINE = 0x15, SYS_EXIT_EXTENDED = 0x20 };

#define APPLICATION_EXIT 0x20026u

static int call(int operation, const void *parameters) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = parameters;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

bool semihosting_arguments(char *text, size_t size) {
  struct {
    char *text;
    size_t size;
  } parameters = {text, size};
  return call(SYS_GET_CMDLINE, &parameters) == 0;
}

int semihosting_open(const char *path, int mode) {
  struct {
    const char *path;
    int mode;
    size_t length;
  } parameters = {path, mode, strlen(path)};
  return call(SYS_OPEN, &parameters);
}

static int transfer(int operation, int file, const void *data, size_t length) {
  struct {
    int file;
    const void *data;
    size_t length;
  } parameters = {file, data, length};
  return call(operation, &parameters);
}

/* Both answer with the number of bytes that were not transferred. */
bool semihosting_read(int file, void *target, size_t length) { return transfer(SYS_READ, file, target, length) == 0; }
bool semihosting_write(int file, const void *data, size_t length) { return transfer(SYS_WRITE, file, data, length) == 0; }

long semihosting_length(int file) { return call(SYS_FLEN, &file); }
void semihosting_close(int file) { call(SYS_CLOSE, &file); }

void semihosting_exit(int code) {
  struct {
    uint32_t reason;
    int code;
  } parameters = {APPLICATION_EXIT, code};
  call(SYS_EXIT_EXTENDED, &parameters);
}
