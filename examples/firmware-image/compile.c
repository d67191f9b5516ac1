/*
 * An image that is run once, in the build: compiles the script `in` of the host's to Duktape's bytecode, and writes that to
 * `out`. It runs on the board, because bytecode belongs to the very configuration of the engine that loads it.
 */
#include <stdlib.h>
#include "bare.h"
#include "duktape.h"
#include "mps2.h"

#define READ_BINARY 1
#define WRITE_BINARY 5

static duk_ret_t compile(duk_context *context, void *unused) {
  char path[256];
  duk_size_t size;
  (void)unused;
  int file = semihosting_open(board_option("in", path, sizeof path), READ_BINARY);
  long length = semihosting_length(file);
  char *text = malloc((size_t)length);
  if (file < 0 || length < 0 || !text || !semihosting_read(file, text, (size_t)length))
    return duk_generic_error(context, "cannot read %s", path);
  duk_push_string(context, "firmware.js");
  duk_compile_lstring_filename(context, 0, text, (size_t)length);
  duk_dump_function(context);
  const void *bytecode = duk_require_buffer(context, -1, &size);
  file = semihosting_open(board_option("out", path, sizeof path), WRITE_BINARY);
  if (file < 0 || !semihosting_write(file, bytecode, size)) return duk_generic_error(context, "cannot write %s", path);
  semihosting_close(file);
  return 0;
}

int main(void) {
  board_start();
  duk_context *context = duk_create_heap_default();
  if (context && duk_safe_call(context, compile, NULL, 0, 1) == DUK_EXEC_SUCCESS) return 0;
  bare_log(context ? duk_safe_to_stacktrace(context, -1) : "no memory for the engine");
  return 1;
}
