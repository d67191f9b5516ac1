/* What xs.c needs of XS's inside: running a script's file, and the bytes of slots and chunks, its two kinds of memory. */
#include "xsAll.h"
#include "xsScript.h"

int runProgram(txMachine *the, char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    return 2;
  }
  txSlot *realm = mxProgram.value.reference->next->value.module.realm;
  txScript *script = fxParseScript(the, file, (txGetter)fgetc, mxProgramFlag);
  fclose(file);
  fxRunScript(the, script, mxRealmGlobal(realm), C_NULL, mxRealmClosures(realm)->value.reference, C_NULL,
              mxProgram.value.reference);
  mxPop();
  return 0;
}

double usedBytes(txMachine *the) {
  return (double)the->currentHeapCount * sizeof(txSlot) + the->currentChunksSize;
}

double peakBytes(txMachine *the) {
  return (double)the->peakHeapCount * sizeof(txSlot) + the->peakChunksSize;
}
