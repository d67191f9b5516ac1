/* The ciphers of bare.h, of Mbed TLS: AES-GCM and ChaCha20-Poly1305, in as much RAM as KEYS keys take. */
#include <string.h>
#include "bare.h"
#include "mbedtls/chachapoly.h"
#include "mbedtls/gcm.h"
#include "mbedtls/platform_util.h"

/* Two for each association, and one to derive them. */
#define KEYS 5

enum kind { FREE, AES_GCM, CHACHA20_POLY1305 };

static struct {
  enum kind kind;
  union {
    mbedtls_gcm_context gcm;
    mbedtls_chachapoly_context chacha;
  } of;
} keys[KEYS];

/* Frees `keys[cipher]`, and overwrites it. */
static void forget(int cipher) {
  if (keys[cipher].kind == AES_GCM) mbedtls_gcm_free(&keys[cipher].of.gcm);
  if (keys[cipher].kind == CHACHA20_POLY1305) mbedtls_chachapoly_free(&keys[cipher].of.chacha);
  mbedtls_platform_zeroize(&keys[cipher], sizeof keys[cipher]);
}

int bare_cipher_open(const char *algorithm, const uint8_t *key, size_t length) {
  int number = 0, code;
  while (keys[number].kind != FREE) if (++number == KEYS) return -1;
  if (strcmp(algorithm, "aes-gcm-16") == 0) {
    keys[number].kind = AES_GCM;
    mbedtls_gcm_init(&keys[number].of.gcm);
    code = length == 16 || length == 24 || length == 32
               ? mbedtls_gcm_setkey(&keys[number].of.gcm, MBEDTLS_CIPHER_ID_AES, key, (unsigned)length * 8)
               : -1;
  } else if (strcmp(algorithm, "chacha20-poly1305") == 0) {
    keys[number].kind = CHACHA20_POLY1305;
    mbedtls_chachapoly_init(&keys[number].of.chacha);
    code = length == 32 ? mbedtls_chachapoly_setkey(&keys[number].of.chacha, key) : -1;
  } else return -1;
  if (code == 0) return number;
  forget(number);
  return -1;
}

bool bare_cipher_run(int cipher, bool seal, const struct bare_packet *packet) {
  if (cipher < 0 || cipher >= KEYS) return false;
  if (packet == NULL) {
    forget(cipher);
    return true;
  }
  uint8_t *data = packet->data;
  const uint8_t *nonce = packet->nonce, *aad = packet->aad;
  size_t length = packet->length, aad_length = packet->aad_length;
  if (keys[cipher].kind == AES_GCM) {
    mbedtls_gcm_context *gcm = &keys[cipher].of.gcm;
    if (seal)
      return mbedtls_gcm_crypt_and_tag(gcm, MBEDTLS_GCM_ENCRYPT, length, nonce, 12, aad, aad_length, data, data, 16,
                                       packet->tag) == 0;
    return mbedtls_gcm_auth_decrypt(gcm, length, nonce, 12, aad, aad_length, packet->tag, 16, data, data) == 0;
  }
  if (keys[cipher].kind != CHACHA20_POLY1305) return false;
  mbedtls_chachapoly_context *chacha = &keys[cipher].of.chacha;
  if (seal)
    return mbedtls_chachapoly_encrypt_and_tag(chacha, length, nonce, aad, aad_length, data, data, packet->tag) == 0;
  return mbedtls_chachapoly_auth_decrypt(chacha, length, nonce, aad, aad_length, packet->tag, data, data) == 0;
}
