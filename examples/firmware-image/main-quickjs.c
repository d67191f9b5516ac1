/*
 * The image with QuickJS in the place of Duktape: boots the engine, runs the script (from source, in ROM), gives it the board. What main.c
 * has beyond that (a heap with an end, ciphers, the count of boots) it has not.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "bare.h"
#include "mps2.h"
#include "quickjs-glue.h"

extern const char script[], script_end[];

static size_t held, peak;

static void *counted(void *block) {
  if (block) held += malloc_usable_size(block);
  if (held > peak) peak = held;
  return block;
}

static void *allocate(JSMallocState *state, size_t size) {
  (void)state;
  return counted(malloc(size));
}

static void release(JSMallocState *state, void *block) {
  (void)state;
  if (block) held -= malloc_usable_size(block);
  free(block);
}

static void *resize(JSMallocState *state, void *block, size_t size) {
  size_t before = block ? malloc_usable_size(block) : 0;
  if (size == 0) return release(state, block), NULL;
  void *moved = realloc(block, size);
  if (moved) held -= before;
  return counted(moved);
}

static const JSMallocFunctions MALLOC = {allocate, release, resize, NULL};

static JSValue option(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  char value[256];
  const char *name = JS_ToCString(context, values[0]);
  (void)self, (void)count;
  if (!name) return JS_EXCEPTION;
  bool given = board_option(name, value, sizeof value);
  JS_FreeCString(context, name);
  return given ? JS_NewString(context, value) : JS_UNDEFINED;
}

/* memory(): [heap held, heap peak, RAM taken by malloc, stack used], bytes; garbage does not count. */
static JSValue memory(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  (void)self, (void)count, (void)values;
  JS_RunGC(JS_GetRuntime(context));
  const size_t figures[] = {held, peak, memory_taken(), stack_used()};
  JSValue array = JS_NewArray(context);
  for (uint32_t i = 0; i < 4; i++) JS_SetPropertyUint32(context, array, i, JS_NewInt64(context, (int64_t)figures[i]));
  return array;
}

static JSValue busy(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  (void)self, (void)count, (void)values;
  return JS_NewFloat64(context, (double)clock_busy() * 1000 / CLOCK_HZ);
}

/* crc32(data, end, crc): the CRC of IEEE 802.3 of `data[0..end)`, continued. */
static JSValue crc32(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  size_t offset, size, whole, each;
  uint32_t end, crc;
  (void)self, (void)count;
  JSValue buffer = JS_GetTypedArrayBuffer(context, values[0], &offset, &size, &each);
  if (JS_IsException(buffer) || JS_ToUint32(context, &end, values[1]) || JS_ToUint32(context, &crc, values[2]))
    return JS_EXCEPTION;
  const uint8_t *data = JS_GetArrayBuffer(context, &whole, buffer);
  JS_FreeValue(context, buffer);
  if (!data || end > size) return JS_ThrowRangeError(context, "end");
  crc = ~crc;
  for (data += offset; end > 0; end--) {
    crc ^= *data++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
  }
  return JS_NewInt64(context, ~crc);
}

static JSValue boots(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  (void)context, (void)self, (void)count, (void)values;
  return JS_UNDEFINED;
}

static JSValue leave(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  int32_t code = 0;
  (void)self, (void)count;
  JS_ToInt32(context, &code, values[0]);
  board_exit(code);
}

static JSValue new_device(JSContext *context) {
  static const struct {
    const char *name;
    JSCFunction *function;
    int length;
  } functions[] = {{"option", option, 1}, {"memory", memory, 0}, {"busy", busy, 0},
                   {"crc32", crc32, 3},   {"boots", boots, 0},   {"exit", leave, 1}};
  JSValue device = JS_NewObject(context);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    JSValue made = JS_NewCFunction(context, functions[i].function, functions[i].name, functions[i].length);
    JS_SetPropertyStr(context, device, functions[i].name, made);
  }
  return device;
}

static _Noreturn void end(JSContext *context) {
  JSValue error = JS_GetException(context);
  const char *said = JS_ToCString(context, error);
  bare_log(said ? said : "ENOMEM: the heap is full");
  board_exit(71);
}

int main(void) {
  board_start();
  JSRuntime *runtime = JS_NewRuntime2(&MALLOC, NULL);
  JSContext *context = runtime ? JS_NewContext(runtime) : NULL;
  if (!context) {
    bare_log("no memory for the engine");
    board_exit(71);
  }
  JS_SetMaxStackSize(runtime, 96 << 10);
  JSValue result = JS_Eval(context, script, (size_t)(script_end - script), "firmware.js", JS_EVAL_TYPE_GLOBAL);
  if (JS_IsException(result)) end(context);
  JSValue global = JS_GetGlobalObject(context);
  JSValue firmware = JS_GetPropertyStr(context, global, "firmware");
  JSValue start = JS_GetPropertyStr(context, firmware, "start");
  JSValue parameters[] = {bare_quickjs_new(context), new_device(context)};
  if (JS_IsException(JS_Call(context, start, firmware, 2, parameters))) end(context);
  return 0;
}
