/*
 * What a board gives anystack: eight functions, and four that it may have. A porter implements these, links an engine's glue
 * (duktape-glue.c, or one like it), and has a network.
 *
 * Everything is called from one thread, never from an interrupt, and none of it calls back. Interrupt handlers put what they
 * have into memory of the board's (ring.h is a queue of frames for that) and wake `bare_idle`.
 */
#ifndef ANYSTACK_BARE_H
#define ANYSTACK_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For `bare_idle`: nothing is due. */
#define BARE_FOREVER UINT32_MAX

/* `bare_link_state`: bits, and the count of lost frames in the bits above them. */
#define BARE_CARRIER 1u
#define BARE_ROOM 2u
#define BARE_LOST_SHIFT 2

struct bare_link {
  /* The hardware address; all zeros: the link carries bare IP packets, without Ethernet headers. */
  uint8_t mac[6];
  /* Largest packet without the link's own header, bytes: 1500 for Ethernet. */
  uint16_t mtu;
};

/* Milliseconds since any moment. Monotonic; wraps at 2^32. Called several times a frame: it should be a register. */
uint32_t bare_now(void);

/*
 * Fills `target` with cryptographically secure random bytes and says true; or says false, and then nothing that needs a secret
 * is done: no TCP, no DNS, no DHCP. A counter, a serial number or a clock is not random: say false.
 */
bool bare_random(uint8_t *target, size_t length);

/* Describes link number `index` (0, 1, ...) and makes it ready; false: there is none. */
bool bare_link(unsigned index, struct bare_link *link);

/* BARE_CARRIER while there is one; BARE_ROOM when a frame of full size can be sent; frames lost since power-up << 2. */
uint32_t bare_link_state(unsigned index);

/* Sends a frame (without FCS), or takes a copy of it, before it returns; false: no room now. */
bool bare_frame_out(unsigned index, const uint8_t *frame, size_t length);

/* Copies the next frame that has come in (without FCS) and returns its length; 0: none. One longer than `size` is lost. */
size_t bare_frame_in(unsigned index, uint8_t *frame, size_t size);

/*
 * Sleeps until `delay` ms have passed (BARE_FOREVER: there is nothing to wait for), a frame has come in, a link's state has
 * changed, or the application has something to do. Waking early is harmless; doing nothing at all is a busy loop that works.
 * False ends `run` of the JavaScript side: the board wants to do something else, restart for example.
 */
bool bare_idle(uint32_t delay);

/* Takes a line for people, without a line feed. */
void bare_log(const char *line);

/* The application's code threw `message`, which nobody caught. The network is sound: return to go on, or restart the board. */
__attribute__((weak)) void bare_panic(const char *message);

/*
 * The one's-complement sum (RFC 1071) of `data` as big-endian 16-bit words, an odd last byte padded with zero, added to
 * `initial`, folded to 16 bits and not complemented. checksum.c has it in C, a hundred times as fast as the interpreter.
 */
__attribute__((weak)) uint16_t bare_checksum(const uint8_t *data, size_t length, uint16_t initial);

/*
 * Ciphers, from a C library or from hardware: both functions, or none. The stack has none itself, and IPsec wants one.
 *
 * A cipher is an AEAD with its key, which is the board's to keep until it is closed. `bare_cipher_open` copies the key and
 * returns a number (0, 1, ...), or -1: it has no `algorithm` of that name, none with a key of that length, or no room. Names are those
 * of hypercall/crypto.ts: "aes-gcm-16" with 16, 24 or 32 bytes, "chacha20-poly1305" with 32.
 */
__attribute__((weak)) int bare_cipher_open(const char *algorithm, const uint8_t *key, size_t length);

/* What one packet is made of: `data` is encrypted or decrypted in place. Nonces are of 12 bytes, tags of 16. */
struct bare_packet {
  uint8_t *data;
  size_t length;
  uint8_t *tag;
  const uint8_t *nonce;
  const uint8_t *aad;
  size_t aad_length;
};

/*
 * `seal`: encrypts, and writes the tag. Otherwise: compares the tag in constant time, and decrypts. False: not authentic (then nothing
 * of what was decrypted may be left), no such cipher, or the hardware refuses. It is done when this returns.
 *
 * Without a packet (NULL) it closes the cipher: overwrites the key, and the number may be given again.
 */
__attribute__((weak)) bool bare_cipher_run(int cipher, bool seal, const struct bare_packet *packet);

#endif
