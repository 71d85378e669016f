/* cipher.h - what protects the packets of one direction (RFC 4253 §6).
 *
 * AES-GCM as OpenSSH does it (RFC 5647, PROTOCOL §1.6), ChaCha20-Poly1305
 * (PROTOCOL.chacha20poly1305), AES-CTR with an encrypt-then-MAC code
 * (PROTOCOL §1.5), and nothing at all before the first keys: NULL stands for
 * that cipher in every call. Pure functions over memory: no session, no I/O.
 * Each returns false when OpenSSL fails or a tag is wrong; then the output is
 * garbage and the session has to end. */
#ifndef ALK_NATIVE_CIPHER_H
#define ALK_NATIVE_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  CIPHER_KEY_MAX = 64,
  CIPHER_IV_MAX = 16,
  CIPHER_TAG_MAX = 64,
  CIPHER_PAD_MAX = 4 + 15,
  PACKET_LENGTH_MAX = 35000, /* RFC 4253 §6.1: what everybody must take */
  PACKET_OVERHEAD_MAX = 4 + 1 + CIPHER_PAD_MAX + CIPHER_TAG_MAX
};

typedef struct cipher_info {
  const char *name; /* as it is negotiated */
  size_t key_len, iv_len;
  bool aead;            /* no MAC is negotiated */
  uint64_t packets_max; /* under one key: rekey before */
} cipher_info_t;

typedef struct mac_info {
  const char *name;
  size_t key_len, tag_len;
} mac_info_t;

/* NULL: not one of ours, or not in the OpenSSL that runs. */
const cipher_info_t *cipher_find(const char *name);
const mac_info_t *cipher_find_mac(const char *name);
/* Whether AES is fast here: then GCM is offered first, else ChaCha20. */
bool cipher_has_fast_aes(void);

typedef struct cipher cipher_t;

/* mac and mac_key are NULL for an AEAD. NULL: OpenSSL failed. */
cipher_t *cipher_new(const cipher_info_t *info, const mac_info_t *mac,
                     const uint8_t *key, const uint8_t *iv,
                     const uint8_t *mac_key, bool seal);
void cipher_free(cipher_t *c); /* keys are wiped; NULL is fine */

/* How long the packet of such a payload is, with everything. 0: there is none,
 * because the payload is empty or too long; sealing it fails. */
size_t cipher_sealed_len(const cipher_t *c, size_t payload_len);
/* Writes exactly that many bytes to out. The payload is head followed by body
 * (either may be empty; neither overlaps out): so data is sealed from where it
 * lies, without a copy. */
bool cipher_seal(cipher_t *c, uint32_t seq, uint8_t *out, const uint8_t *head,
                 size_t head_len, const uint8_t *body, size_t body_len);

/* What the first four bytes of a packet say: how many bytes the whole of it
 * has, these four and the tag included. False: a length that no packet may
 * have (RFC 4253 §6; more than PACKET_LENGTH_MAX, too short, not a multiple of
 * the block). May be called again for the same packet. */
bool cipher_packet_len(cipher_t *c, uint32_t seq, const uint8_t in[4],
                       size_t *len);
/* in: a whole packet of len bytes. The opened packet (padding length, payload,
 * padding: len less 4 and the tag) goes to out, which may not overlap in. Only
 * if the tag is right: *payload_len is set, and the payload is at out + 1. */
bool cipher_open(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
                 uint8_t *out, size_t *payload_len);

#endif
