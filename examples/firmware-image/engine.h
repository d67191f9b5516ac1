/*
 * What this image wants of Duktape otherwise than its default configuration has it; build.ts puts it at the end of duk_config.h.
 */

/* Built-in functions as plain values instead of objects. */
#define DUK_USE_LIGHTFUNC_BUILTINS
/* No table of line numbers with each function: a stack trace names functions alone. */
#undef DUK_USE_PC2LINE
/* Whole numbers as such, where there is no unit for floating-point ones. */
#define DUK_USE_FASTINT
