/* Boots the image: an engine, the script that build.ts put into ROM, and its `start(bare, device)`. */
#include <malloc.h>
#include <stdlib.h>
#include "bare.h"
#include "duktape-glue.h"
#include "mps2.h"

#define READ_BINARY 1
#define WRITE_BINARY 5

extern const char script[], script_end[];
/* rom-script.c */
void duk_push_rom_function(duk_context *context, const void *script);

/* What the engine's heap holds, and the most that it has held, bytes. */
static size_t held, peak;

/*
 * Duktape counts references, and looks for rings of garbage only when memory is refused (or after fifty allocations for each
 * object that there is, which would be late). So memory is refused, once, whenever the heap has grown by GROWTH since then.
 */
#define GROWTH 32768
static size_t ceiling = GROWTH;
static bool collected;

/* The most that the heap may hold (option `heap`); whether that was ever too little. Duktape collects then, and asks again. */
static size_t limit = SIZE_MAX;
static bool full, booted;

/*
 * Large blocks leave something for the small ones: where packet memory and buffers end, the stack has an answer (ENOBUFS); where
 * objects end, the program does.
 */
#define LARGE 512
#define RESERVE 16384

static bool refuse(size_t more) {
  size_t most = more >= LARGE && booted ? limit - RESERVE : limit;
  if (more > most || held > most - more) return full = true;
  if (held + more <= ceiling) return false;
  collected = !collected;
  if (!collected) ceiling = held + more + GROWTH;
  return collected;
}

static void *counted(void *block) {
  if (block) held += malloc_usable_size(block);
  if (held > peak) peak = held;
  return block;
}

static void *allocate(void *unused, duk_size_t size) {
  (void)unused;
  return refuse(size) ? NULL : counted(malloc(size));
}

static void release(void *unused, void *block) {
  (void)unused;
  if (block) held -= malloc_usable_size(block);
  free(block);
}

static void *resize(void *unused, void *block, duk_size_t size) {
  size_t before = block ? malloc_usable_size(block) : 0;
  if (size == 0) {
    release(unused, block);
    return NULL;
  }
  if (size > before && refuse(size - before)) return NULL;
  void *moved = realloc(block, size);
  if (moved) held -= before;
  return counted(moved);
}

/* What ends the program: a heap that is full has a name of its own. */
static _Noreturn void end(const char *message) {
  if (full) bare_log("ENOMEM: the heap is full");
  bare_log(message);
  board_exit(71);
}

static void fatal(void *unused, const char *message) {
  (void)unused;
  end(message);
}

/* option(name): what the board was started with, or undefined. */
static duk_ret_t option(duk_context *context) {
  char value[256];
  if (!board_option(duk_require_string(context, 0), value, sizeof value)) return 0;
  duk_push_string(context, value);
  return 1;
}

/* memory(): [heap held, heap peak, RAM taken by malloc, stack used], bytes; neither garbage nor room in objects for more properties counts. */
static duk_ret_t memory(duk_context *context) {
  duk_gc(context, DUK_GC_COMPACT);
  const size_t figures[] = {held, peak, memory_taken(), stack_used()};
  duk_push_array(context);
  for (duk_uarridx_t i = 0; i < 4; i++) {
    duk_push_uint(context, figures[i]);
    duk_put_prop_index(context, -2, i);
  }
  return 1;
}

/* busy(): for how long the processor has not slept, in ms. */
static duk_ret_t busy(duk_context *context) {
  duk_push_number(context, (double)clock_busy() * 1000 / CLOCK_HZ);
  return 1;
}

/* crc32(data, end, crc): the CRC of IEEE 802.3 of `data[0..end)`, continued. */
static duk_ret_t crc32(duk_context *context) {
  duk_size_t size;
  const uint8_t *data = duk_require_buffer_data(context, 0, &size);
  duk_uint_t end = duk_require_uint(context, 1);
  uint32_t crc = ~duk_require_uint(context, 2);
  if (end > size) return duk_range_error(context, "end");
  for (; end > 0; end--) {
    crc ^= *data++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
  }
  duk_push_uint(context, ~crc);
  return 1;
}

/*
 * boots(): how often it has been called in the board's life, 1 the first time; undefined when that cannot be kept. The file of option
 * `boots` is what flash or battery-backed memory is on another board. The number is stored before it is told: none is told twice.
 */
static duk_ret_t boots(duk_context *context) {
  char path[256];
  uint32_t count = 0;
  if (!board_option("boots", path, sizeof path)) return 0;
  int file = semihosting_open(path, READ_BINARY);
  if (file < 0 || !semihosting_read(file, &count, sizeof count)) return 0;
  semihosting_close(file);
  if (++count == 0) return 0;
  file = semihosting_open(path, WRITE_BINARY);
  if (file < 0 || !semihosting_write(file, &count, sizeof count)) return 0;
  semihosting_close(file);
  duk_push_uint(context, count);
  return 1;
}

/* exit(code) */
static duk_ret_t leave(duk_context *context) {
  board_exit(duk_to_int(context, 0));
}

static void push_device(duk_context *context) {
  static const duk_function_list_entry functions[] = {
      {"option", option, 1}, {"memory", memory, 0}, {"busy", busy, 0},
      {"crc32", crc32, 3},   {"exit", leave, 1},    {"boots", boots, 0},
      {NULL, NULL, 0},
  };
  duk_push_bare_object(context);
  duk_put_function_list(context, -1, functions);
}

/* Leaves the script's main function on the stack. */
static void load(duk_context *context) {
#ifdef BYTECODE
  duk_push_rom_function(context, script);
#else
  duk_push_string(context, "firmware.js");
  duk_compile_lstring_filename(context, 0, script, (size_t)(script_end - script));
#endif
}

static duk_ret_t run(duk_context *context, void *unused) {
  (void)unused;
  load(context);
  duk_call(context, 0);
  duk_get_global_string(context, "firmware");
  duk_get_prop_string(context, -1, "start");
  bare_duktape_push(context);
  push_device(context);
  booted = true;
  duk_call(context, 2);
  return 0;
}

int main(void) {
  char most[16];
  board_start();
  if (board_option("heap", most, sizeof most)) limit = strtoul(most, NULL, 10);
  duk_context *context = duk_create_heap(allocate, resize, release, NULL, fatal);
  if (!context) end("no memory for the engine");
  if (duk_safe_call(context, run, NULL, 0, 1) == DUK_EXEC_SUCCESS) return 0;
  end(duk_safe_to_stacktrace(context, -1));
}
