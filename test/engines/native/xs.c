/*
 * Moddable XS as a program: `xs FILE ...` runs scripts in one global, one after the other.
 *
 * They are given `print(text)`, and of the memory: `heap()` collects garbage and returns the bytes in use, `peak()` the most
 * bytes that were in use.
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
      /* Small steps: garbage is collected before the memory grows, and so the peak says what is needed. */
      .initialChunkSize = 64 << 10,
      .incrementalChunkSize = 16 << 10,
      .initialHeapCount = 4 << 10,
      .incrementalHeapCount = 1 << 10,
      .stackCount = 4096,
      .initialKeyCount = 4096,
      .incrementalKeyCount = 1024,
      .nameModulo = 1993,
      .symbolModulo = 127,
      .parserBufferSize = 1 << 20,
      .parserTableModulo = 1993,
  };
  int failed = 0;
  xsMachine *machine = xsCreateMachine(&creation, "xs", NULL);
  if (!machine) return 2;
  xsBeginHost(machine);
  xsVars(1);
  provide(the, "print", print);
  provide(the, "heap", heap);
  provide(the, "peak", peak);
  for (int i = 1; i < count && !failed; i++) {
    xsTry {
      failed = runProgram(the, names[i]);
    }
    xsCatch {
      fprintf(stderr, "%s: %s\n", names[i], xsToString(xsException));
      failed = 1;
    }
  }
  xsEndHost(machine);
  xsDeleteMachine(machine);
  return failed;
}
