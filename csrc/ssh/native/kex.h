/* kex.h - the arithmetic of a key exchange, without a session: shared secrets,
 * the exchange hash, the keys (RFC 4253 §7.2, §8).
 *
 * curve25519-sha256 (RFC 8731, and its @libssh.org name), ecdh-sha2-nistp256
 * (RFC 5656 §4), mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex)
 * where the running OpenSSL has ML-KEM-768, looked up at run time. Wrong
 * lengths, points off the curve and all-zero secrets fail. */
#ifndef ALK_NATIVE_KEX_H
#define ALK_NATIVE_KEX_H

#include "core/buf.h"

enum { KEX_HASH_MAX = 64, KEX_PUBLIC_MAX = 2048 };

typedef struct kex_method kex_method_t;
typedef struct kex kex_t; /* one run; its secrets are wiped by kex_free */

/* NULL: not one of ours, or not in the OpenSSL that runs. */
const kex_method_t *kex_find(const char *name);
const char *kex_hash_name(const kex_method_t *m); /* OpenSSL's: "SHA256" */

kex_t *kex_new(const kex_method_t *m); /* NULL: OpenSSL failed */
void kex_free(kex_t *k);               /* NULL is fine */

/* Client: what to send (Q_C, C_INIT), without the string around it; then what
 * the server answered (Q_S, S_REPLY). Server: both at once. False: OpenSSL
 * failed, or the peer's part is not acceptable. */
bool kex_client_start(kex_t *k, alk_buf_t *out);
bool kex_client_finish(kex_t *k, const uint8_t *reply, size_t len);
bool kex_server_reply(kex_t *k, const uint8_t *init, size_t len,
                      alk_buf_t *out);

/* What both sides have said; strings without the length in front. */
typedef struct {
  const uint8_t *p;
  size_t len;
} kex_span_t;
typedef struct {
  kex_span_t client_ident, server_ident;     /* without CR LF */
  kex_span_t client_kexinit, server_kexinit; /* payloads */
  kex_span_t host_key;                       /* K_S */
  kex_span_t client_public, server_public;
} kex_transcript_t;

/* The exchange hash H (RFC 8731 §3.1); its length is the hash's. After finish
 * or reply. */
bool kex_exchange_hash(const kex_t *k, const kex_transcript_t *t,
                       uint8_t hash[KEX_HASH_MAX], size_t *hash_len);
/* One of the six keys, letter 'A' to 'F' (RFC 4253 §7.2). */
bool kex_derive(const kex_t *k, const uint8_t *hash, size_t hash_len,
                const uint8_t *session_id, size_t session_id_len, char letter,
                uint8_t *out, size_t len);

#endif
