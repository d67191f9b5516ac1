/*
 * The glue between bare.h and QuickJS: each C function as a function of JavaScript, as duktape-glue.c has them for Duktape. Ranges are
 * checked here, once: wrong ones throw a RangeError, and no C function is ever called with them. Ciphers are Duktape's alone as yet.
 */
#include "quickjs-glue.h"
#include <stdio.h>
#include <string.h>
#include "bare.h"

#define FUNCTION(name) static JSValue name(JSContext *context, JSValueConst self, int count, JSValueConst *values)
#define UNUSED (void)self, (void)count

/* The bytes of a Uint8Array; NULL: an exception is pending. They stay while the array does: nothing here runs JavaScript. */
static uint8_t *bytes(JSContext *context, JSValueConst value, size_t *size) {
  size_t offset, whole, each;
  JSValue buffer = JS_GetTypedArrayBuffer(context, value, &offset, size, &each);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *data = JS_GetArrayBuffer(context, &whole, buffer);
  JS_FreeValue(context, buffer);
  return data ? data + offset : NULL;
}

/* `values[0]` as bytes, of which `values[1]` to `values[2]` are meant; NULL: an exception is pending. */
static uint8_t *range(JSContext *context, JSValueConst *values, size_t *length) {
  size_t size;
  uint32_t from, to;
  uint8_t *data = bytes(context, values[0], &size);
  if (!data || JS_ToUint32(context, &from, values[1]) || JS_ToUint32(context, &to, values[2])) return NULL;
  if (from > to || to > size) return JS_ThrowRangeError(context, "range"), NULL;
  *length = to - from;
  return data + from;
}

FUNCTION(now) {
  UNUSED, (void)values;
  return JS_NewInt64(context, bare_now());
}

FUNCTION(random_bytes) {
  UNUSED;
  size_t size;
  uint8_t *target = bytes(context, values[0], &size);
  return target ? JS_NewBool(context, bare_random(target, size)) : JS_EXCEPTION;
}

FUNCTION(describe_link) {
  UNUSED;
  size_t size;
  uint32_t index;
  struct bare_link link = {0};
  uint8_t *about = bytes(context, values[1], &size);
  if (!about || JS_ToUint32(context, &index, values[0])) return JS_EXCEPTION;
  if (size < 8) return JS_ThrowRangeError(context, "about");
  bool found = bare_link(index, &link);
  memcpy(about, link.mac, 6);
  about[6] = (uint8_t)(link.mtu >> 8);
  about[7] = (uint8_t)link.mtu;
  return JS_NewBool(context, found);
}

FUNCTION(link_state) {
  UNUSED;
  uint32_t index;
  return JS_ToUint32(context, &index, values[0]) ? JS_EXCEPTION : JS_NewInt64(context, bare_link_state(index));
}

FUNCTION(frame_out) {
  UNUSED;
  size_t length;
  uint32_t index;
  const uint8_t *frame = range(context, values + 1, &length);
  if (!frame || JS_ToUint32(context, &index, values[0])) return JS_EXCEPTION;
  return JS_NewBool(context, bare_frame_out(index, frame, length));
}

FUNCTION(frame_in) {
  UNUSED;
  size_t size;
  uint32_t index;
  uint8_t *frame = bytes(context, values[1], &size);
  if (!frame || JS_ToUint32(context, &index, values[0])) return JS_EXCEPTION;
  return JS_NewInt64(context, (int64_t)bare_frame_in(index, frame, size));
}

FUNCTION(idle) {
  UNUSED;
  int32_t delay;
  if (JS_ToInt32(context, &delay, values[0])) return JS_EXCEPTION;
  return JS_NewBool(context, bare_idle(delay < 0 ? BARE_FOREVER : (uint32_t)delay));
}

FUNCTION(log_line) {
  UNUSED;
  const char *line = JS_ToCString(context, values[0]);
  if (!line) return JS_EXCEPTION;
  bare_log(line);
  JS_FreeCString(context, line);
  return JS_UNDEFINED;
}

FUNCTION(panic) {
  UNUSED;
  char message[160];
  const char *what = JS_ToCString(context, values[0]);
  const char *error = what ? JS_ToCString(context, values[1]) : NULL;
  if (!error) return JS_FreeCString(context, what), JS_EXCEPTION;
  snprintf(message, sizeof message, "%s: %s", what, error);
  JS_FreeCString(context, what);
  JS_FreeCString(context, error);
  bare_panic(message);
  return JS_UNDEFINED;
}

FUNCTION(checksum) {
  UNUSED;
  size_t length;
  uint32_t initial;
  const uint8_t *data = range(context, values, &length);
  if (!data || JS_ToUint32(context, &initial, values[3])) return JS_EXCEPTION;
  return JS_NewInt32(context, bare_checksum(data, length, (uint16_t)initial));
}

FUNCTION(copy) {
  UNUSED;
  size_t target_size, source_size;
  uint32_t to, from, length;
  uint8_t *target = bytes(context, values[0], &target_size);
  const uint8_t *source = target ? bytes(context, values[2], &source_size) : NULL;
  if (!source || JS_ToUint32(context, &to, values[1]) || JS_ToUint32(context, &from, values[3]) ||
      JS_ToUint32(context, &length, values[4]))
    return JS_EXCEPTION;
  if (to > target_size || length > target_size - to || from > source_size || length > source_size - from)
    return JS_ThrowRangeError(context, "range");
  memmove(target + to, source + from, length);
  return JS_UNDEFINED;
}

JSValue bare_quickjs_new(JSContext *context) {
  static const struct {
    const char *name;
    JSCFunction *function;
    int length;
  } calls[] = {
      {"now", now, 0},           {"random", random_bytes, 1}, {"link", describe_link, 2}, {"linkState", link_state, 1},
      {"frameOut", frame_out, 4}, {"frameIn", frame_in, 2},    {"idle", idle, 1},          {"log", log_line, 1},
      {"copy", copy, 5},         {"panic", panic, 2},         {"checksum", checksum, 4},
  };
  JSValue object = JS_NewObject(context);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if ((calls[i].function == panic && !bare_panic) || (calls[i].function == checksum && !bare_checksum)) continue;
    /* QuickJS fills up missing arguments with undefined, up to `length`. */
    JSValue made = JS_NewCFunction(context, calls[i].function, calls[i].name, calls[i].length);
    JS_SetPropertyStr(context, object, calls[i].name, made);
  }
  return object;
}
