/*
 * Arm's MPS2 boards as QEMU has them: an385 (Cortex-M3), an386 (M4), an500 (M7). The same peripherals; Ethernet's place differs
 * (-DETHERNET_BASE).
 */
#ifndef MPS2_H
#define MPS2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* The clock of processor and timers, Hz. */
#define CLOCK_HZ 25000000u

/* Interrupts. */
#define IRQ_TIMER0 8
#define IRQ_ETHERNET 13

static inline void interrupts_enable(unsigned irq) { REGISTER(0xe000e100) = 1u << irq; }
static inline void interrupts_clear(unsigned irq) { REGISTER(0xe000e280) = 1u << irq; }

/* clock.c */
void clock_start(void);
/* For how long the processor has not slept, in ticks of CLOCK_HZ. Asked (or asleep) every two minutes at the least. */
uint64_t clock_busy(void);

/* uart.c */
void uart_start(void);
void uart_write(const char *text, size_t length);

/* semihosting.c: what a debugger, or QEMU, does for the program. All fail where there is none. */
bool semihosting_arguments(char *text, size_t size);
int semihosting_open(const char *path, int mode);
bool semihosting_read(int file, void *target, size_t length);
bool semihosting_write(int file, const void *data, size_t length);
long semihosting_length(int file);
void semihosting_close(int file);
/* Ends QEMU, or stops in the debugger; without either it returns. */
void semihosting_exit(int code);

/* lan9118.c */
void lan9118_interrupt(void);
/* A frame waits to be fetched. */
bool lan9118_ready(void);
/* Frames fetched and sent. */
uint32_t lan9118_frames(void);

/* board.c: options that the board was started with, "NAME=VALUE" with blanks between. NULL: there is none of that name. */
const char *board_option(const char *name, char *value, size_t size);
void board_start(void);
/* Ends the program: `code` is QEMU's exit code. Without a debugger the board restarts. */
_Noreturn void board_exit(int code);

/* startup.c: bytes of stack that have been used at most, and those that there are. */
size_t stack_used(void);
size_t stack_size(void);
/* memory.c: bytes of RAM that malloc has taken at most. */
size_t memory_taken(void);

#endif
