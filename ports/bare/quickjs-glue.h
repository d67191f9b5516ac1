/* The glue between bare.h and QuickJS (2021-03-27): see duktape-glue.h. */
#ifndef ANYSTACK_QUICKJS_GLUE_H
#define ANYSTACK_QUICKJS_GLUE_H

#include "quickjs.h"

/* A new object with the functions of bare.h: what `bareHost` takes. */
JSValue bare_quickjs_new(JSContext *context);

#endif
