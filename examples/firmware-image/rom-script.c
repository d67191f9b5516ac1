/*
 * Bytecode that stays in ROM; build.ts puts this at the end of duktape.c, whose insides it needs, and rom-script.ts makes what it reads.
 *
 * `duk_load_function` copies all of a script into RAM, and gives each function, besides, an object of its own for `prototype` and one
 * for its variables, whether it has any or not. Here a function's instructions are read where they are, and it has what it needs.
 */

static const duk_uint32_t *rom_text(duk_hthread *thr, const duk_uint32_t *at) {
  duk_push_lstring(thr, (const char *)(at + 1), *at);
  return at + 1 + (*at + 3) / 4;
}

/* Pushes the template of a function, and returns where it ends. */
static const duk_uint32_t *rom_function(duk_hthread *thr, const duk_uint32_t *at) {
  duk_uint32_t instructions = at[0], constants = at[1], functions = at[2];
  duk_idx_t base = duk_get_top(thr);
  duk_require_stack(thr, (duk_idx_t)(4 + constants + functions));
  duk_hcompfunc *function = duk_push_hcompfunc(thr);
  function->nregs = (duk_uint16_t)(at[3] >> 16);
  function->nargs = (duk_uint16_t)at[3];
  DUK_HEAPHDR_SET_FLAGS((duk_heaphdr *)function, at[4]);
  duk_uint8_t *data =
      (duk_uint8_t *)duk_push_fixed_buffer(thr, sizeof(duk_tval) * constants + sizeof(duk_hobject *) * functions);
  const duk_uint32_t *code = at += 5;
  at += instructions;

  for (duk_uint32_t i = 0; i < constants; i++) {
    if (*at != DUK_UINT32_MAX) {
      at = rom_text(thr, at);
      continue;
    }
    duk_double_t number;
    duk_tval value;
    duk_memcpy(&number, at + 1, sizeof number);
    DUK_TVAL_SET_NUMBER_CHKFAST_SLOW(&value, number);
    duk_push_tval(thr, &value);
    at += 3;
  }
  for (duk_uint32_t i = 0; i < functions; i++) at = rom_function(thr, at);

  /* All are on the stack now, and nothing below calls the collector until they are in `data`. */
  duk_hbuffer *buffer = duk_known_hbuffer(thr, base + 1);
  duk_tval *values = thr->valstack_bottom + base + 2, *constant = (duk_tval *)(void *)data;
  for (duk_uint32_t i = 0; i < constants; i++) {
    constant[i] = values[i];
    DUK_TVAL_INCREF_FAST(thr, constant + i);
  }
  duk_hobject **inner = (duk_hobject **)(void *)(constant + constants);
  for (duk_uint32_t i = 0; i < functions; i++) {
    inner[i] = DUK_TVAL_GET_OBJECT(values + constants + i);
    DUK_HOBJECT_INCREF(thr, inner[i]);
  }
  DUK_HCOMPFUNC_SET_DATA(thr->heap, function, buffer);
  DUK_HBUFFER_INCREF(thr, buffer);
  DUK_HCOMPFUNC_SET_FUNCS(thr->heap, function, inner);
  DUK_HCOMPFUNC_SET_BYTECODE(thr->heap, function, (duk_instr_t *)code);
  duk_set_top(thr, base + 1);

  if (*at > 0) {
    at = rom_text(thr, at);
    duk_xdef_prop_stridx_short(thr, -2, DUK_STRIDX_NAME, DUK_PROPDESC_FLAGS_C);
  } else at++;
  if (*at > 0) {
    duk_push_bare_object(thr);
    while (*at > 0) {
      at = rom_text(thr, at);
      duk_push_uint(thr, *at++);
      duk_put_prop(thr, -3);
    }
    duk_compact_m1(thr);
    duk_xdef_prop_stridx_short(thr, -2, DUK_STRIDX_INT_VARMAP, DUK_PROPDESC_FLAGS_NONE);
  }
  at++;
  duk_uint32_t formals = *at++;
  if (formals != DUK_UINT32_MAX) {
    duk_push_bare_array(thr);
    for (duk_uarridx_t i = 0; i < formals; i++) {
      at = rom_text(thr, at);
      duk_put_prop_index(thr, -2, i);
    }
    duk_compact_m1(thr);
    duk_xdef_prop_stridx_short(thr, -2, DUK_STRIDX_INT_FORMALS, DUK_PROPDESC_FLAGS_NONE);
  }
  duk_compact_m1(thr);
  return at;
}

/* Pushes the function at `script`, which stays there for as long as the heap lives. */
void duk_push_rom_function(duk_context *thr, const void *script) {
  rom_function(thr, script);
  duk_hcompfunc *function = (duk_hcompfunc *)duk_known_hobject(thr, -1);
  duk_hobject *global = thr->builtins[DUK_BIDX_GLOBAL_ENV];
  DUK_HCOMPFUNC_SET_LEXENV(thr->heap, function, global);
  DUK_HCOMPFUNC_SET_VARENV(thr->heap, function, global);
  DUK_HOBJECT_INCREF(thr, global);
  DUK_HOBJECT_INCREF(thr, global);
}
