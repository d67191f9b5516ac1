/*
 * Moddable XS as a program: `xs [--small] FILE ...` runs scripts in one global, one after the other.
 *
 * They are given `print(text)`, and of the memory: `heap()` collects garbage and returns the bytes in use, `peak()` the most
 * bytes that were in use. With `--small` garbage is collected before the memory grows, if only by a little, so that the peak
 * says what is needed; that costs time.
 */
#include "xs.h"

extern int runProgram(xsMachine *the, char *path);
extern double usedBytes(xsMachine *the);
extern double peakBytes(xsMachine *the);

static void print(xsMachine *the) {
  puts(xsToString(xsArg(0)));
}

static void heap(xsMachine *the) {
  xsCollectGarbage();
  xsResult = xsNumber(usedBytes(the));
}

static void peak(xsMachine *the) {
  xsResult = xsNumber(peakBytes(the));
}

static void provide(xsMachine *the, char *name, xsCallback function) {
  xsDefine(xsGlobal, xsID(name), xsNewHostFunction(function, 1), xsDontEnum);
}

int main(int count, char *names[]) {
  static xsCreation creation = {
      .initialChunkSize = 8 << 20,
      .incrementalChunkSize = 1 << 20,
      .initialHeapCount = 128 << 10,
      .incrementalHeapCount = 16 << 10,
      .stackCount = 4096,
      .initialKeyCount = 4096,
      .incrementalKeyCount = 1024,
      .nameModulo = 1993,
      .symbolModulo = 127,
      .parserBufferSize = 1 << 20,
      .parserTableModulo = 1993,
  };
  int failed = 0, at = 1;
  if (at < count && !strcmp(names[at], "--small")) {
    creation.initialChunkSize = 32 << 10;
    creation.incrementalChunkSize = 2 << 10;
    creation.initialHeapCount = 2 << 10;
    creation.incrementalHeapCount = 128;
    at++;
  }
  xsMachine *machine = xsCreateMachine(&creation, "xs", NULL);
  if (!machine) return 2;
  xsBeginHost(machine);
  xsVars(1);
  provide(the, "print", print);
  provide(the, "heap", heap);
  provide(the, "peak", peak);
  for (; at < count && !failed; at++) {
    xsTry {
      failed = runProgram(the, names[at]);
    }
    xsCatch {
      fprintf(stderr, "%s: %s\n", names[at], xsToString(xsException));
      failed = 1;
    }
  }
  xsEndHost(machine);
  xsDeleteMachine(machine);
  return failed;
}
