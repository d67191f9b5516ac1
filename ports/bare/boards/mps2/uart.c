/* The log: UART 0 of the CMSDK, polled. */
#include <string.h>
#include "bare.h"
#include "mps2.h"

#define UART_DATA REGISTER(0x40004000)
#define UART_STATE REGISTER(0x40004004)
#define UART_CONTROL REGISTER(0x40004008)
#define UART_DIVISOR REGISTER(0x40004010)
#define TRANSMIT_FULL 1u
#define TRANSMIT_ENABLE 1u

void uart_start(void) {
  UART_DIVISOR = CLOCK_HZ / 115200;
  UART_CONTROL = TRANSMIT_ENABLE;
}

void uart_write(const char *text, size_t length) {
  for (; length > 0; length--, text++) {
    while (UART_STATE & TRANSMIT_FULL) {
    }
    UART_DATA = (uint8_t)*text;
  }
}

void bare_log(const char *line) {
  uart_write(line, strlen(line));
  uart_write("\r\n", 2);
}
