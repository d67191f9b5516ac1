/* The Internet checksum (RFC 1071) for boards whose network device does not compute it: see bare.h. */
#include "bare.h"

uint16_t bare_checksum(const uint8_t *data, size_t length, uint16_t initial) {
  uint32_t sum = initial;
  /* 2^15 words cannot overflow 32 bits together with a folded sum. */
  while (length > 1) {
    size_t words = length / 2 < 32768 ? length / 2 : 32768;
    length -= words * 2;
    for (; words > 0; words--, data += 2) sum += (uint32_t)data[0] << 8 | data[1];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  if (length > 0) sum += (uint32_t)data[0] << 8;
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)(sum + (sum >> 16));
}
