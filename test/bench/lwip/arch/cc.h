/* What lwIP wants of a compiler and a C library, for the benchmark on Linux. */
#ifndef BENCH_CC_H
#define BENCH_CC_H

#include <stdio.h>
#include <stdlib.h>

#define LWIP_PLATFORM_DIAG(arguments) do { printf arguments; } while (0)
#define LWIP_PLATFORM_ASSERT(text) do { fprintf(stderr, "lwIP: %s\n", text); abort(); } while (0)
#define LWIP_RAND() ((u32_t)rand())
#define LWIP_ERRNO_STDINCLUDE 1

#endif
