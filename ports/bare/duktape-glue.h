/* The glue between bare.h and Duktape 2.7: see duktape-glue.c. */
#ifndef ANYSTACK_DUKTAPE_GLUE_H
#define ANYSTACK_DUKTAPE_GLUE_H

#include "duktape.h"

/* Pushes an object with the functions of bare.h: `BareCalls` of calls.ts. */
void bare_duktape_push(duk_context *context);

#endif
