/*
 * What this image wants of Duktape otherwise than its default configuration has it; build.ts puts it at the end of duk_config.h.
 */

/* Built-in functions as plain values instead of objects. */
#define DUK_USE_LIGHTFUNC_BUILTINS
/* No table of line numbers with each function: a stack trace names functions alone. Nor the file, of which there is one. */
#undef DUK_USE_PC2LINE
#undef DUK_USE_FUNC_FILENAME_PROPERTY
/* Whole numbers as such, where there is no unit for floating-point ones. */
#define DUK_USE_FASTINT
/* Tables for a faster look-up of properties where there are many: the script's functions, and little else. */
#undef DUK_USE_HOBJECT_HASH_PROP_LIMIT
#define DUK_USE_HOBJECT_HASH_PROP_LIMIT 64
/* No array index with each string, no cache of literals, no spare records of calls. */
#undef DUK_USE_HSTRING_ARRIDX
#undef DUK_USE_LITCACHE_SIZE
#undef DUK_USE_CACHE_ACTIVATION
#undef DUK_USE_CACHE_CATCHER
/* The value stack grows by what is needed. */
#undef DUK_USE_VALSTACK_GROW_SHIFT
#undef DUK_USE_VALSTACK_SHRINK_SLACK_SHIFT
