/*
 * The glue between bare.h and Duktape 2.7: each C function as a function of JavaScript. Ranges are checked here, once: wrong
 * ones throw a RangeError, and no C function is ever called with them.
 */
#include "duktape-glue.h"
#include <string.h>
#include "bare.h"

/* The bytes of argument `index` from argument `start` to argument `end`. */
static uint8_t *range(duk_context *context, duk_idx_t index, duk_idx_t start, duk_idx_t end, size_t *length) {
  duk_size_t size;
  uint8_t *data = duk_require_buffer_data(context, index, &size);
  duk_uint_t from = duk_require_uint(context, start), to = duk_require_uint(context, end);
  if (from > to || to > size) (void)duk_range_error(context, "range");
  *length = to - from;
  return data + from;
}

static duk_ret_t now(duk_context *context) {
  duk_push_uint(context, bare_now());
  return 1;
}

static duk_ret_t random_bytes(duk_context *context) {
  duk_size_t size;
  uint8_t *target = duk_require_buffer_data(context, 0, &size);
  duk_push_boolean(context, bare_random(target, size));
  return 1;
}

static duk_ret_t describe_link(duk_context *context) {
  duk_size_t size;
  uint8_t *about = duk_require_buffer_data(context, 1, &size);
  struct bare_link link = {0};
  if (size < 8) return duk_range_error(context, "about");
  bool found = bare_link(duk_require_uint(context, 0), &link);
  memcpy(about, link.mac, 6);
  about[6] = (uint8_t)(link.mtu >> 8);
  about[7] = (uint8_t)link.mtu;
  duk_push_boolean(context, found);
  return 1;
}

static duk_ret_t link_state(duk_context *context) {
  duk_push_uint(context, bare_link_state(duk_require_uint(context, 0)));
  return 1;
}

static duk_ret_t frame_out(duk_context *context) {
  size_t length;
  const uint8_t *frame = range(context, 1, 2, 3, &length);
  duk_push_boolean(context, bare_frame_out(duk_require_uint(context, 0), frame, length));
  return 1;
}

static duk_ret_t frame_in(duk_context *context) {
  duk_size_t size;
  uint8_t *frame = duk_require_buffer_data(context, 1, &size);
  duk_push_uint(context, bare_frame_in(duk_require_uint(context, 0), frame, size));
  return 1;
}

static duk_ret_t idle(duk_context *context) {
  duk_int_t delay = duk_require_int(context, 0);
  duk_push_boolean(context, bare_idle(delay < 0 ? BARE_FOREVER : (uint32_t)delay));
  return 1;
}

static duk_ret_t log_line(duk_context *context) {
  bare_log(duk_safe_to_string(context, 0));
  return 0;
}

static duk_ret_t panic(duk_context *context) {
  duk_push_sprintf(context, "%s: %s", duk_safe_to_string(context, 0), duk_safe_to_stacktrace(context, 1));
  bare_panic(duk_require_string(context, -1));
  return 0;
}

static duk_ret_t checksum(duk_context *context) {
  size_t length;
  const uint8_t *data = range(context, 0, 1, 2, &length);
  duk_push_uint(context, bare_checksum(data, length, (uint16_t)duk_require_uint(context, 3)));
  return 1;
}

static duk_ret_t copy(duk_context *context) {
  duk_size_t target_size, source_size;
  uint8_t *target = duk_require_buffer_data(context, 0, &target_size);
  duk_uint_t to = duk_require_uint(context, 1);
  const uint8_t *source = duk_require_buffer_data(context, 2, &source_size);
  duk_uint_t from = duk_require_uint(context, 3), length = duk_require_uint(context, 4);
  if (to > target_size || length > target_size - to || from > source_size || length > source_size - from)
    return duk_range_error(context, "range");
  /* The ranges never overlap, says the contract; a memmove costs nothing and survives who breaks it. */
  memmove(target + to, source + from, length);
  return 0;
}

static duk_ret_t cipher_open(duk_context *context) {
  duk_size_t size;
  const char *algorithm = duk_require_string(context, 0);
  const uint8_t *key = duk_require_buffer_data(context, 1, &size);
  duk_push_int(context, bare_cipher_open(algorithm, key, size));
  return 1;
}

static duk_ret_t cipher_run(duk_context *context) {
  duk_size_t size, nonce_size;
  struct bare_packet packet;
  duk_require_buffer_data(context, 2, &size);
  packet.data = range(context, 2, 3, 4, &packet.length);
  duk_uint_t start = duk_require_uint(context, 3), end = duk_require_uint(context, 4), tag = duk_require_uint(context, 5);
  packet.nonce = duk_require_buffer_data(context, 6, &nonce_size);
  packet.aad = range(context, 7, 8, 9, &packet.aad_length);
  if (size < 16 || tag > size - 16 || (tag < end && tag + 16 > start) || nonce_size < 12)
    return duk_range_error(context, "range");
  packet.tag = packet.data - start + tag;
  duk_push_boolean(context, bare_cipher_run(duk_require_int(context, 0), duk_require_boolean(context, 1), &packet));
  return 1;
}

static duk_ret_t cipher_close(duk_context *context) {
  bare_cipher_run(duk_require_int(context, 0), false, NULL);
  return 0;
}

void bare_duktape_push(duk_context *context) {
  static const duk_function_list_entry calls[] = {
      {"now", now, 0},           {"random", random_bytes, 1}, {"link", describe_link, 2}, {"linkState", link_state, 1},
      {"frameOut", frame_out, 4}, {"frameIn", frame_in, 2},    {"idle", idle, 1},          {"log", log_line, 1},
      {"copy", copy, 5},         {NULL, NULL, 0},
  };
  duk_push_bare_object(context);
  duk_put_function_list(context, -1, calls);
  if (bare_panic) {
    duk_push_c_function(context, panic, 2);
    duk_put_prop_string(context, -2, "panic");
  }
  if (bare_checksum) {
    duk_push_c_function(context, checksum, 4);
    duk_put_prop_string(context, -2, "checksum");
  }
  if (bare_cipher_open && bare_cipher_run) {
    static const duk_function_list_entry ciphers[] = {
        {"cipherOpen", cipher_open, 2}, {"cipherRun", cipher_run, 10}, {"cipherClose", cipher_close, 1}, {NULL, NULL, 0}};
    duk_put_function_list(context, -1, ciphers);
  }
}
