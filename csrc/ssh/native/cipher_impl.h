/* cipher_impl.h - for the files that make up cipher.h.
 *
 * cipher.c is the front: it knows the format of a packet, its lengths and its
 * padding, and counts packets. The three families behind it only encrypt,
 * decrypt and authenticate. */
#ifndef ALK_NATIVE_CIPHER_IMPL_H
#define ALK_NATIVE_CIPHER_IMPL_H

#include <openssl/evp.h>

#include "ssh/native/cipher.h"

enum {
  LENGTH_SIZE = 4, /* of the field in front of every packet */
  CHACHA_BLOCK = 64,
  PAD_POOL = 1024 /* bytes; some 80 packets use it up */
};

/* What is to be sealed: len bytes at out, of which the two ends lie there
 * already, in the clear; those between them are still at mid. The front ends
 * where a block of the key stream does, so that the bulk needs no residue. */
typedef struct {
  uint8_t *out;
  const uint8_t *mid;
  size_t front_len, mid_len, tail_len;
} cipher_plain_t;

/* out + 4 is where the packet begins, its length stands at out in the clear.
 * The tag goes behind the packet. open gets the packet without its length and
 * tag, len bytes, and puts the opened one to out. */
typedef struct {
  bool (*start)(cipher_t *c, const uint8_t *key, const uint8_t *iv,
                const uint8_t *mac_key);
  bool (*seal)(cipher_t *c, uint32_t seq, uint8_t *out,
               const cipher_plain_t *plain);
  bool (*length)(cipher_t *c, uint32_t seq, const uint8_t in[LENGTH_SIZE],
                 uint32_t *length);
  bool (*open)(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
               uint8_t *out);
} cipher_ops_t;

typedef struct {
  cipher_info_t info;
  const char *openssl;
  size_t block;   /* a packet's length is a multiple of it */
  size_t tag_len; /* 0: it is the MAC's */
  const cipher_ops_t *ops;
} cipher_kind_t;

typedef struct {
  mac_info_t info;
  const char *digest;
} cipher_mac_t;

struct cipher {
  const cipher_kind_t *kind;
  const cipher_mac_t *mac; /* NULL: an AEAD */
  size_t tag_len;
  bool seal;
  bool failed;      /* once is for ever */
  uint64_t packets; /* sealed or opened */
  EVP_CIPHER_CTX *ctx;
  EVP_CIPHER_CTX *length_ctx; /* ChaCha: the key of the lengths */
  EVP_MAC_CTX *mac_ctx;       /* HMAC, or Poly1305 */
  uint8_t iv[CIPHER_IV_MAX];  /* AES-GCM: of the next packet */
  /* ChaCha: the length that was decrypted last, and of which packet. */
  bool length_known;
  uint32_t length_seq, length;
  uint8_t length_sealed[LENGTH_SIZE];
  size_t pad_left; /* bytes of pad that no packet has used */
  uint8_t pad[PAD_POOL];
};

extern const cipher_ops_t cipher_gcm_ops, cipher_chacha_ops, cipher_ctr_ops;

uint32_t cipher_get_u32(const uint8_t p[4]);
void cipher_put_u32(uint8_t p[4], uint32_t v);

/* A context for the cipher, keyed once for all packets. NULL: OpenSSL failed,
 * or the cipher's key or IV is not of the length that the table says. */
EVP_CIPHER_CTX *cipher_ctx_new(const cipher_t *c, const uint8_t *key,
                               size_t key_len, const uint8_t *iv);
EVP_MAC_CTX *cipher_mac_ctx_new(const char *mac);
bool cipher_update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in,
                   size_t len);
/* The three parts of what is to be sealed, one after the other. */
bool cipher_update_plain(EVP_CIPHER_CTX *ctx, const cipher_plain_t *plain);

#endif
