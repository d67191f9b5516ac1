/*
 * Duktape as a program: `duktape [--limit BYTES] FILE ...` runs scripts in one global, one after the other; with `--bytecode`
 * it prints instead the bytes that each script has as bytecode.
 *
 * Scripts are given `print(text)`, and of the memory: `heap()` collects garbage and returns the bytes in use, `peak()` the
 * most bytes that were in use. All that the engine ever allocates counts. With a limit it gets no byte more.
 */
#include <duktape.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t used, most, limit = (size_t)-1;

/* Each block is led by its size. */
#define LEAD 16

static void *reallocate(void *context, void *block, duk_size_t size) {
  (void)context;
  char *old = block ? (char *)block - LEAD : NULL;
  size_t before = old ? *(size_t *)old : 0;
  if (size == 0) {
    used -= before;
    free(old);
    return NULL;
  }
  if (size > before && used - before + size > limit) return NULL;
  char *data = realloc(old, size + LEAD);
  if (!data) return NULL;
  *(size_t *)data = size;
  used += size - before;
  if (used > most) most = used;
  return data + LEAD;
}

static void *allocate(void *context, duk_size_t size) {
  return size ? reallocate(context, NULL, size) : NULL;
}

static void release(void *context, void *block) {
  reallocate(context, block, 0);
}

static void fatal(void *context, const char *message) {
  (void)context;
  fprintf(stderr, "duktape: %s\n", message ? message : "fatal");
  exit(3);
}

static duk_ret_t print(duk_context *ctx) {
  puts(duk_to_string(ctx, 0));
  return 0;
}

static duk_ret_t heap(duk_context *ctx) {
  duk_gc(ctx, 0);
  duk_gc(ctx, 0); /* once more for what had a finalizer */
  duk_push_number(ctx, (double)used);
  return 1;
}

static duk_ret_t peak(duk_context *ctx) {
  duk_push_number(ctx, (double)most);
  return 1;
}

/* Pushes the file as a function without parameters. */
static void compile(duk_context *ctx, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  /* The text lies outside of the engine's heap, as in a ROM. */
  size_t length = 0, room = 1 << 16;
  char *text = malloc(room);
  for (size_t got; (got = fread(text + length, 1, room - length, file)) > 0;) {
    length += got;
    if (length == room) text = realloc(text, room *= 2);
  }
  fclose(file);
  duk_push_string(ctx, path);
  int failed = duk_pcompile_lstring_filename(ctx, 0, text, length);
  free(text);
  if (failed) {
    fprintf(stderr, "%s: %s\n", path, duk_safe_to_string(ctx, -1));
    exit(1);
  }
}

int main(int count, char *words[]) {
  int at = 1, bytecode = 0;
  size_t most_allowed = limit;
  if (at < count && !strcmp(words[at], "--bytecode")) bytecode = 1, at++;
  if (at + 1 < count && !strcmp(words[at], "--limit")) most_allowed = strtoul(words[at + 1], NULL, 10), at += 2;
  duk_context *ctx = duk_create_heap(allocate, reallocate, release, NULL, fatal);
  if (!ctx) fatal(NULL, "no memory");
  limit = most_allowed; /* Duktape survives a refusal only once its heap is made. */
  duk_push_c_function(ctx, print, 1);
  duk_put_global_string(ctx, "print");
  duk_push_c_function(ctx, heap, 0);
  duk_put_global_string(ctx, "heap");
  duk_push_c_function(ctx, peak, 0);
  duk_put_global_string(ctx, "peak");
  for (; at < count; at++) {
    compile(ctx, words[at]);
    if (bytecode) {
      duk_size_t size;
      duk_dump_function(ctx);
      duk_get_buffer(ctx, -1, &size);
      printf("%lu\n", (unsigned long)size);
    } else if (duk_pcall(ctx, 0) != DUK_EXEC_SUCCESS) {
      duk_get_prop_string(ctx, -1, "stack");
      fprintf(stderr, "%s: %s\n", words[at], duk_safe_to_string(ctx, -1));
      exit(1);
    }
    duk_set_top(ctx, 0);
  }
  duk_destroy_heap(ctx);
  return 0;
}
