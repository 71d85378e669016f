/* key.h - keys, shared by every engine: OpenSSH's formats over OpenSSL's EVP.
 *
 * Private keys: the file format of OpenSSH's PROTOCOL.key, plain or encrypted
 * (bcrypt KDF with aes256-ctr, aes256-cbc, aes128-ctr or aes256-gcm). Public
 * keys: one line, or the wire form ("blob", RFC 4253 §6.6). Ed25519, ECDSA
 * P-256/384/521, RSA of at least 3072 bits. Anything else is refused with a
 * sentence. */
#ifndef ALK_KEY_H
#define ALK_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/loop.h"

enum {
  ALK_RSA_MIN_BITS = 3072,
  ALK_RSA_MAX_BITS = 16384, /* what a peer may make us compute with */
  ALK_KEY_FILE_MAX = 64 * 1024,
  ALK_KEY_BLOB_MAX = 16 * 1024, /* certificates included */
  ALK_BCRYPT_ROUNDS = 16,       /* written; OpenSSH's default */
  ALK_BCRYPT_ROUNDS_MAX = 1024, /* read: about 20 s */
  ALK_FINGERPRINT_MAX = 64      /* "SHA256:" and 43 characters */
};

typedef struct alk_key alk_key_t;

/* What a private-key text is, without decrypting anything. */
typedef enum {
  ALK_KEY_FORMAT_OPENSSH,
  ALK_KEY_FORMAT_OPENSSH_ENCRYPTED,
  ALK_KEY_FORMAT_PEM, /* PKCS#1, PKCS#8, SEC 1: refused, with advice */
  ALK_KEY_FORMAT_UNKNOWN
} alk_key_format_t;
alk_key_format_t alk_key_format(const char *text, size_t len);

/* Parse; NULL: err says why. passphrase may be NULL. A wrong passphrase, a
 * missing one, PEM and damage have sentences of their own. Slow (bcrypt) only
 * for encrypted keys: call those off the loop; the function is thread safe. */
alk_key_t *alk_key_read_private(const char *text, size_t len,
                                const char *passphrase, alk_err_t *err);
alk_key_t *alk_key_read_blob(const uint8_t *blob, size_t len, alk_err_t *err);
/* type: "ed25519", "ecdsa" (P-256), "rsa" (3072 bits). */
alk_key_t *alk_key_generate(const char *type, alk_err_t *err);
alk_key_t *alk_key_dup(const alk_key_t *k); /* the numbers are shared */
/* A copy for another thread: the number of its parcel (core/parcel.h). */
uint64_t alk_key_send(const alk_loop_t *from, const alk_key_t *k);
alk_key_t *alk_key_take(uint64_t number); /* NULL: there is no such key */
void alk_key_free(alk_key_t *k); /* private parts are wiped; NULL is fine */

const char *alk_key_type(const alk_key_t *k); /* "ssh-ed25519", ... */
unsigned alk_key_bits(const alk_key_t *k);
bool alk_key_is_private(const alk_key_t *k);
const char *alk_key_comment(const alk_key_t *k); /* "" when it has none */
const uint8_t *alk_key_blob(const alk_key_t *k, size_t *len); /* public part */

/* A private key gets its certificate (cert.h), in place of one it had. False:
 * err; what is damaged, or certifies another key, is not taken. */
bool alk_key_attach_cert(alk_key_t *k, const uint8_t *blob, size_t len,
                         alk_err_t *err);
/* Both NULL when it has none; "ssh-ed25519-cert-v01@openssh.com", ... */
const uint8_t *alk_key_cert(const alk_key_t *k, size_t *len);
const char *alk_key_cert_type(const alk_key_t *k);

/* Append to out. The private text is a secret: alk_buf_free_secret it.
 * passphrase NULL: not encrypted. False: err. */
bool alk_key_write_private(const alk_key_t *k, const char *passphrase,
                           const char *comment, alk_buf_t *out, alk_err_t *err);
void alk_key_write_public(const alk_key_t *k, const char *comment,
                          alk_buf_t *out); /* "type base64 comment\n" */

/* The signature as it goes on the wire (RFC 4253 §6.6, 5656 §3.1.2, 8332,
 * 8709): string algorithm, string bytes. algorithm must suit the key: for RSA
 * "rsa-sha2-256" or "rsa-sha2-512" (never SHA-1), else the key's type. */
bool alk_key_sign(const alk_key_t *k, const char *algorithm,
                  const uint8_t *data, size_t len, alk_buf_t *out,
                  alk_err_t *err);
/* True only when everything is right; fails closed. */
bool alk_key_verify(const alk_key_t *k, const char *algorithm,
                    const uint8_t *sig, size_t sig_len, const uint8_t *data,
                    size_t len);

/* "SHA256:" and base64 without padding, of a blob. False: OpenSSL failed. */
bool alk_fingerprint(const uint8_t *blob, size_t len,
                     char out[ALK_FINGERPRINT_MAX]);

/* Base64 (RFC 4648 §4). Strict: no white space, right padding. False: bad. */
bool alk_base64_decode(const char *text, size_t len, alk_buf_t *out);
void alk_base64_encode(const uint8_t *p, size_t len, alk_buf_t *out);

#endif
