/*
 * SMSC LAN9118, an Ethernet controller with queues of its own. With -DLAN9118_RING an interrupt moves frames into a ring in RAM;
 * without, an interrupt only wakes the processor, and `bare_frame_in` reads the controller's queue.
 */
#include <string.h>
#include "bare.h"
#include "mps2.h"
#ifdef LAN9118_RING
#include "ring.h"
#endif

#define LAN(offset) REGISTER(ETHERNET_BASE + (offset))
#define RX_DATA LAN(0x00)
#define TX_DATA LAN(0x20)
#define RX_STATUS LAN(0x40)
#define TX_STATUS LAN(0x48)
#define IRQ_CFG LAN(0x54)
#define INT_STS LAN(0x58)
#define INT_EN LAN(0x5c)
#define BYTE_TEST LAN(0x64)
#define FIFO_INT LAN(0x68)
#define TX_CFG LAN(0x70)
#define HW_CFG LAN(0x74)
#define RX_DP_CTL LAN(0x78)
#define RX_FIFO_INF LAN(0x7c)
#define TX_FIFO_INF LAN(0x80)
#define RX_DROP LAN(0xa0)
#define MAC_CSR_CMD LAN(0xa4)
#define MAC_CSR_DATA LAN(0xa8)

#define BYTE_ORDER 0x87654321u
#define INT_RX_STATUS_LEVEL (1u << 3)
#define IRQ_ENABLE (1u << 8)
#define IRQ_POLARITY_HIGH (1u << 4)
#define IRQ_PUSH_PULL 1u
#define TX_ON (1u << 1)
#define HW_MUST_BE_ONE (1u << 20)
#define TX_FIFO_5K (5u << 16)
#define RX_FAST_FORWARD (1u << 31)
#define RX_ERROR (1u << 15)
#define CSR_BUSY (1u << 31)
#define CSR_READ (1u << 30)
#define TX_FIRST (1u << 13)
#define TX_LAST (1u << 12)

/* Registers of the MAC. */
#define MAC_CR 1
#define MAC_ADDRESS_HIGH 2
#define MAC_ADDRESS_LOW 3
#define MAC_RX (1u << 2)
#define MAC_TX (1u << 3)
#define MAC_ALL_GROUPS (1u << 19)
#define MAC_FULL_DUPLEX (1u << 20)
#define MII_ACCESS 6
#define MII_DATA 7
#define MII_BUSY 1u
#define PHY_ADDRESS (1u << 11)
#define PHY_STATUS 1u
#define PHY_LINK_UP (1u << 2)

#define FCS 4u
#define MTU 1500u
/* What the controller queues for a frame: two command words, and the frame in whole words. */
#define TX_WORDS(length) (2 + ((length) + 3) / 4)

#ifdef LAN9118_RING
static struct ring ring;
#endif

static uint32_t frames;

uint32_t lan9118_frames(void) { return frames; }

static uint32_t mac_read(uint32_t number) {
  while (MAC_CSR_CMD & CSR_BUSY) {
  }
  MAC_CSR_CMD = CSR_BUSY | CSR_READ | number;
  while (MAC_CSR_CMD & CSR_BUSY) {
  }
  return MAC_CSR_DATA;
}

static void mac_write(uint32_t number, uint32_t value) {
  while (MAC_CSR_CMD & CSR_BUSY) {
  }
  MAC_CSR_DATA = value;
  MAC_CSR_CMD = CSR_BUSY | number;
}

static bool start(uint8_t mac[6]) {
  if (BYTE_TEST != BYTE_ORDER) return false;
  HW_CFG = HW_MUST_BE_ONE | TX_FIFO_5K;
  TX_CFG = TX_ON;
  /* The hardware address is in the controller's EEPROM, which it has read by now. */
  uint32_t low = mac_read(MAC_ADDRESS_LOW), high = mac_read(MAC_ADDRESS_HIGH);
  for (int i = 0; i < 4; i++) mac[i] = (uint8_t)(low >> 8 * i);
  for (int i = 0; i < 2; i++) mac[4 + i] = (uint8_t)(high >> 8 * i);
  mac_write(MAC_CR, MAC_RX | MAC_TX | MAC_ALL_GROUPS | MAC_FULL_DUPLEX);
  FIFO_INT = 0;
  INT_STS = UINT32_MAX;
  IRQ_CFG = IRQ_ENABLE | IRQ_POLARITY_HIGH | IRQ_PUSH_PULL;
  INT_EN = INT_RX_STATUS_LEVEL;
  interrupts_enable(IRQ_ETHERNET);
  return true;
}

/* Frames in the controller's queue. */
static uint32_t waiting(void) { return RX_FIFO_INF >> 16 & 0xff; }

/* The length of the next frame without FCS; 0: it came damaged, and is gone. */
static uint32_t next_frame(void) {
  uint32_t status = RX_STATUS;
  uint32_t length = status >> 16 & 0x3fff;
  if (!(status & RX_ERROR) && length > FCS) return length - FCS;
  RX_DP_CTL = RX_FAST_FORWARD;
  while (RX_DP_CTL & RX_FAST_FORWARD) {
  }
  return 0;
}

/* Reads a frame of `length` bytes and its FCS; at most `size` bytes are kept. */
static void read_frame(uint8_t *target, size_t size, uint32_t length) {
  size_t kept = length < size ? length : size, at = 0;
  for (uint32_t words = (length + FCS + 3) / 4; words > 0; words--) {
    uint32_t word = RX_DATA;
    if (at + 4 <= kept) memcpy(target + at, &word, 4);
    else if (at < kept) memcpy(target + at, &word, kept - at);
    at += 4;
  }
}

void lan9118_interrupt(void) {
#ifdef LAN9118_RING
  while (waiting() > 0) {
    uint32_t length = next_frame();
    if (length == 0) continue;
    uint32_t *frame = ring_reserve(&ring);
    read_frame((uint8_t *)frame, frame ? RING_FRAME_SIZE : 0, length);
    if (frame) ring_commit(&ring, (uint16_t)(length < RING_FRAME_SIZE ? length : RING_FRAME_SIZE));
  }
#else
  /* The frame stays where it is: the interrupt would come again and again. `bare_frame_in` allows it anew. */
  INT_EN = 0;
#endif
  INT_STS = INT_RX_STATUS_LEVEL;
}

bool lan9118_ready(void) {
#ifdef LAN9118_RING
  return !ring_empty(&ring);
#else
  if (waiting() > 0) return true;
  /*
   * A frame that came while others were fetched was fetched with them, but its interrupt is still to come, and would turn
   * interrupts off once more behind the back of `bare_frame_in`: who goes to sleep allows them again, or is deaf.
   */
  INT_EN = INT_RX_STATUS_LEVEL;
  return waiting() > 0;
#endif
}

bool bare_link(unsigned index, struct bare_link *link) {
  link->mtu = MTU;
  return index == 0 && start(link->mac);
}

uint32_t bare_link_state(unsigned index) {
  static uint32_t lost;
  (void)index;
  mac_write(MII_ACCESS, PHY_ADDRESS | PHY_STATUS << 6 | MII_BUSY);
  uint32_t state = mac_read(MII_DATA) & PHY_LINK_UP ? BARE_CARRIER : 0;
  if ((TX_FIFO_INF & 0xffff) >= 4 * TX_WORDS(MTU + 18)) state |= BARE_ROOM;
  lost += RX_DROP; /* Cleared by reading. */
#ifdef LAN9118_RING
  return state | (lost + ring.lost) << BARE_LOST_SHIFT;
#else
  return state | lost << BARE_LOST_SHIFT;
#endif
}

bool bare_frame_out(unsigned index, const uint8_t *frame, size_t length) {
  (void)index;
  if ((TX_FIFO_INF & 0xffff) < 4 * TX_WORDS(length)) return false;
  frames++;
  while (TX_FIFO_INF >> 16 & 0xff) (void)TX_STATUS;
  TX_DATA = TX_FIRST | TX_LAST | (uint32_t)length;
  TX_DATA = (uint32_t)length;
  size_t at = 0;
  for (; at + 4 <= length; at += 4) {
    uint32_t word;
    memcpy(&word, frame + at, 4);
    TX_DATA = word;
  }
  if (at < length) {
    uint32_t word = 0;
    memcpy(&word, frame + at, length - at);
    TX_DATA = word;
  }
  return true;
}

size_t bare_frame_in(unsigned index, uint8_t *frame, size_t size) {
  (void)index;
#ifdef LAN9118_RING
  size_t taken = ring_take(&ring, frame, size);
  if (taken > 0) frames++;
  return taken;
#else
  while (waiting() > 0) {
    uint32_t length = next_frame();
    if (length == 0) continue;
    frames++;
    read_frame(frame, size, length);
    if (length <= size) return length;
  }
  INT_EN = INT_RX_STATUS_LEVEL;
  return 0;
#endif
}
