/* Reset, exceptions, and the stack's high-water mark. */
#include <string.h>
#include "bare.h"
#include "mps2.h"

extern uint32_t data_image[], data_start[], data_end[], bss_start[], bss_end[], stack_top[], stack_limit[];

int main(void);
void timer0_interrupt(void);

/* What the stack is filled with before it is used. */
#define PAINT 0xa5a5a5a5u

__attribute__((naked, noreturn)) void reset(void) {
  __asm__("ldr sp, =stack_top\n b reset_c");
}

__attribute__((used, noreturn)) void reset_c(void) {
#if defined(__ARM_FP)
  REGISTER(0xe000ed88) |= 0xfu << 20; /* CPACR: the floating-point unit. */
  __asm__("dsb\n isb");
#endif
  memcpy(data_start, data_image, (size_t)((char *)data_end - (char *)data_start));
  memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
  uint32_t *here = __builtin_frame_address(0);
  for (uint32_t *word = stack_limit; word < here - 16; word++) *word = PAINT;
  board_exit(main());
}

size_t stack_used(void) {
  uint32_t *word = stack_limit;
  while (*word == PAINT) word++;
  return (size_t)((char *)stack_top - (char *)word);
}

size_t stack_size(void) { return (size_t)((char *)stack_top - (char *)stack_limit); }

__attribute__((used, noreturn)) void fault_c(const uint32_t *frame) {
  char line[] = "fault at 0x00000000, called from 0x00000000";
  for (int i = 0; i < 8; i++) {
    line[18 - i] = "0123456789abcdef"[frame[6] >> 4 * i & 15];
    line[42 - i] = "0123456789abcdef"[frame[5] >> 4 * i & 15];
  }
  bare_log(line);
  board_exit(70);
}

/* A semihosting call (bkpt 0xab) that nobody answers is a fault: it returns -1, so that the caller sees that it is alone. */
__attribute__((naked)) static void fault(void) {
  __asm__(
      "mov r0, sp\n"
      "ldr r1, [r0, #24]\n"
      "ldrh r2, [r1]\n"
      "movw r3, #0xbeab\n"
      "cmp r2, r3\n"
      "bne fault_c\n"
      "adds r1, #2\n"
      "str r1, [r0, #24]\n"
      "mov r1, #-1\n"
      "str r1, [r0]\n"
      "bx lr\n");
}

typedef void (*vector)(void);
__attribute__((used, section(".vectors"))) static const vector vectors[16 + 32] = {
    [0] = (vector)(void *)stack_top,
    [1] = reset,
    [2 ... 15] = fault,
    [16 ... 16 + IRQ_TIMER0 - 1] = fault,
    [16 + IRQ_TIMER0] = timer0_interrupt,
    [16 + IRQ_TIMER0 + 1 ... 16 + IRQ_ETHERNET - 1] = fault,
    [16 + IRQ_ETHERNET] = lan9118_interrupt,
    [16 + IRQ_ETHERNET + 1 ... 47] = fault,
};
