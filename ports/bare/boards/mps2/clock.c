/*
 * The clock: a counter of milliseconds (FPGAIO), and a timer of the CMSDK that wakes the processor once. There is no tick: who
 * sleeps for a minute is woken once.
 */
#include "bare.h"
#include "mps2.h"

#define FPGAIO_COUNTER REGISTER(0x40028018)
#define FPGAIO_PRESCALE REGISTER(0x4002801c)
#define TIMER0_CONTROL REGISTER(0x40000000)
#define TIMER0_VALUE REGISTER(0x40000004)
#define TIMER0_RELOAD REGISTER(0x40000008)
#define TIMER0_INTERRUPT REGISTER(0x4000000c)
#define TIMER1_CONTROL REGISTER(0x40001000)
#define TIMER1_VALUE REGISTER(0x40001004)
#define TIMER1_RELOAD REGISTER(0x40001008)
#define TIMER_ENABLE 1u
#define TIMER_INTERRUPT_ENABLE 8u

/* The timer's longest delay: 2^32 ticks. */
#define LONGEST (UINT32_MAX / (CLOCK_HZ / 1000))

static uint32_t origin;
/* Milliseconds of idleness that were skipped, and after how much silence, or 0: none are (option `skip`). */
static uint32_t skipped, grace;

static uint32_t number(const char *name) {
  char text[16];
  uint32_t value = 0;
  if (board_option(name, text, sizeof text))
    for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++) value = value * 10 + (uint32_t)(*digit - '0');
  return value;
}

void clock_start(void) {
  FPGAIO_PRESCALE = CLOCK_HZ / 1000 - 1;
  TIMER1_RELOAD = TIMER1_VALUE = UINT32_MAX;
  TIMER1_CONTROL = TIMER_ENABLE;
  interrupts_enable(IRQ_TIMER0);
  origin = number("clock") - FPGAIO_COUNTER;
  grace = number("skip");
}

static uint32_t ticks(void) { return UINT32_MAX - TIMER1_VALUE; }

/* Ticks outside of `sleep`, and when the last sleep ended. */
static uint64_t busy;
static uint32_t woken;

uint64_t clock_busy(void) {
  uint32_t now = ticks();
  busy += now - woken;
  woken = now;
  return busy;
}

uint32_t bare_now(void) { return FPGAIO_COUNTER + origin + skipped; }

void timer0_interrupt(void) {
  TIMER0_INTERRUPT = 1;
  TIMER0_CONTROL = 0;
}

/* Sleeps for `delay` ms or until an interrupt. Interrupts are off between the last look and the sleep, which they still end. */
static void sleep(uint32_t delay) {
  clock_busy();
  __asm__ volatile("cpsid i" ::: "memory");
  if (!lan9118_ready()) {
    TIMER0_RELOAD = TIMER0_VALUE = (delay < LONGEST ? delay : LONGEST) * (CLOCK_HZ / 1000);
    TIMER0_CONTROL = TIMER_ENABLE | TIMER_INTERRUPT_ENABLE;
    __asm__ volatile("dsb\n wfi" ::: "memory");
    TIMER0_CONTROL = 0;
  }
  woken = ticks();
  __asm__ volatile("cpsie i\n isb" ::: "memory");
}

/*
 * A day in minutes: while no frame passes, the wait for each deadline has passed at once. Silence is counted from the last frame,
 * not from the last deadline: who is at the other end lives in real time, and needs `grace` ms of it to answer, or to send again.
 */
static void skip(uint32_t delay) {
  static uint32_t frames, since;
  if (frames != lan9118_frames()) {
    frames = lan9118_frames();
    since = FPGAIO_COUNTER;
  }
  uint32_t silence = FPGAIO_COUNTER - since;
  if (silence < grace) sleep(delay < grace - silence ? delay : grace - silence);
  else if (!lan9118_ready()) skipped += delay;
}

bool bare_idle(uint32_t delay) {
  if (delay == 0) return true;
  if (grace > 0 && delay != BARE_FOREVER) skip(delay);
  else sleep(delay);
  return true;
}
