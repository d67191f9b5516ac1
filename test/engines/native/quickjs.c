/*
 * QuickJS as a program: `quickjs FILE ...` runs scripts in one global, one after the other; see duktape.c for what they are
 * given. `peak()` is 0: QuickJS keeps no such mark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quickjs.h"

static JSValue print(JSContext *ctx, JSValueConst self, int count, JSValueConst *values) {
  (void)self;
  const char *text = count > 0 ? JS_ToCString(ctx, values[0]) : NULL;
  if (!text) return JS_EXCEPTION;
  puts(text);
  JS_FreeCString(ctx, text);
  return JS_UNDEFINED;
}

static JSValue heap(JSContext *ctx, JSValueConst self, int count, JSValueConst *values) {
  (void)self, (void)count, (void)values;
  JSMemoryUsage usage;
  JS_RunGC(JS_GetRuntime(ctx));
  JS_ComputeMemoryUsage(JS_GetRuntime(ctx), &usage);
  return JS_NewFloat64(ctx, (double)usage.memory_used_size);
}

static JSValue peak(JSContext *ctx, JSValueConst self, int count, JSValueConst *values) {
  (void)ctx, (void)self, (void)count, (void)values;
  return JS_NewInt32(ctx, 0);
}

static void provide(JSContext *ctx, const char *name, JSCFunction *function) {
  JSValue global = JS_GetGlobalObject(ctx);
  JS_SetPropertyStr(ctx, global, name, JS_NewCFunction(ctx, function, name, 1));
  JS_FreeValue(ctx, global);
}

static int run(JSContext *ctx, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return perror(path), 2;
  size_t length = 0, room = 1 << 16;
  char *text = malloc(room);
  for (size_t got; (got = fread(text + length, 1, room - length - 1, file)) > 0;) {
    length += got;
    if (length == room - 1) text = realloc(text, room *= 2);
  }
  fclose(file);
  text[length] = 0;
  JSValue result = JS_Eval(ctx, text, length, path, JS_EVAL_TYPE_GLOBAL);
  free(text);
  const int failed = JS_IsException(result);
  if (failed) {
    JSValue error = JS_GetException(ctx);
    const char *said = JS_ToCString(ctx, error);
    fprintf(stderr, "%s: %s\n", path, said ? said : "?");
    JS_FreeCString(ctx, said);
    JS_FreeValue(ctx, error);
  }
  JS_FreeValue(ctx, result);
  return failed;
}

int main(int count, char *words[]) {
  JSRuntime *runtime = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(runtime);
  int code = 0;
  provide(ctx, "print", print);
  provide(ctx, "heap", heap);
  provide(ctx, "peak", peak);
  for (int at = 1; at < count && code == 0; at++) code = run(ctx, words[at]);
  JS_FreeContext(ctx);
  JS_FreeRuntime(runtime);
  return code;
}
