/* kex.c - one key exchange, from a method's name to six keys.
 *
 *   client: start → send init → finish(reply) ┐
 *   server: reply(init) → send reply          ┴→ hash → derive
 *
 * A run goes through these states once and never back; whatever fails leaves it
 * failed, without a secret. Lengths are compared before anything is parsed. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "core/mem.h"

#include "ssh/native/kex_impl.h"

#define ECDH(name, hash, curve, len)              \
  {                                               \
    name, hash, &(curve), len, len, &kex_ecdh_ops \
  }

static const kex_method_t methods[] = {
  {"mlkem768x25519-sha256", "SHA256", &kex_x25519, KEX_HYBRID_INIT,
   KEX_HYBRID_REPLY, &kex_hybrid_ops},
  ECDH("curve25519-sha256", "SHA256", kex_x25519, KEX_X25519_LEN),
  ECDH("curve25519-sha256@libssh.org", "SHA256", kex_x25519, KEX_X25519_LEN),
  ECDH("ecdh-sha2-nistp256", "SHA256", kex_p256, 1 + 2 * 32),
  ECDH("ecdh-sha2-nistp384", "SHA384", kex_p384, 1 + 2 * 48),
  ECDH("ecdh-sha2-nistp521", "SHA512", kex_p521, 1 + 2 * 66),
};

enum { METHODS = sizeof methods / sizeof methods[0] };

const kex_method_t *kex_find(const char *name)
{
  for (size_t i = 0; i < METHODS; i++)
    if (strcmp(methods[i].name, name) == 0)
      return methods[i].ops != &kex_hybrid_ops || kex_has_mlkem() ? &methods[i]
                                                                  : NULL;
  return NULL;
}

const char *kex_hash_name(const kex_method_t *m)
{
  return m->hash;
}

kex_t *kex_new(const kex_method_t *m)
{
  kex_t *k = alk_alloc(sizeof *k);
  k->method = m;
  return k;
}

static void drop_keys(kex_t *k)
{
  EVP_PKEY_free(k->curve_key);
  EVP_PKEY_free(k->kem_key);
  k->curve_key = k->kem_key = NULL;
}

void kex_free(kex_t *k)
{
  if (k == NULL) return;
  drop_keys(k);
  alk_buf_free_secret(&k->secret);
  alk_free_secret(k, sizeof *k);
}

/* Whatever OpenSSL has to say about a failure stays here: its queue of errors
 * belongs to the whole thread. */
static bool settle(kex_t *k, bool ok, kex_state_t next)
{
  ERR_pop_to_mark();
  k->state = ok ? next : KEX_FAILED;
  if (k->state != KEX_STARTED) drop_keys(k);
  return ok;
}

bool kex_client_start(kex_t *k, alk_buf_t *out)
{
  if (k->state != KEX_NEW) return false;
  uint8_t *init = alk_buf_reserve(out, k->method->init_len);
  ERR_set_mark();
  bool ok = k->method->ops->start(k, init);
  if (ok) alk_buf_commit(out, k->method->init_len);
  return settle(k, ok, KEX_STARTED);
}

bool kex_client_finish(kex_t *k, const uint8_t *reply, size_t len)
{
  if (k->state != KEX_STARTED) return false;
  ERR_set_mark();
  bool ok = len == k->method->reply_len && k->method->ops->finish(k, reply);
  return settle(k, ok, KEX_DONE);
}

bool kex_server_reply(kex_t *k, const uint8_t *init, size_t len, alk_buf_t *out)
{
  if (k->state != KEX_NEW) return false;
  ERR_set_mark();
  bool ok = len == k->method->init_len;
  if (ok) {
    uint8_t *reply = alk_buf_reserve(out, k->method->reply_len);
    ok = k->method->ops->reply(k, init, reply);
    if (ok) alk_buf_commit(out, k->method->reply_len);
  }
  return settle(k, ok, KEX_DONE);
}

/* hashing */

static EVP_MD_CTX *digest_new(const kex_t *k)
{
  EVP_MD *md = EVP_MD_fetch(NULL, k->method->hash, NULL);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = md != NULL && ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
  EVP_MD_free(md);
  if (ok) return ctx;
  EVP_MD_CTX_free(ctx);
  return NULL;
}

static bool add(EVP_MD_CTX *ctx, const void *p, size_t len)
{
  return len == 0 || EVP_DigestUpdate(ctx, p, len) == 1;
}

static bool add_string(EVP_MD_CTX *ctx, kex_span_t s)
{
  uint8_t len[4];
  if (s.len > UINT32_MAX) return false;
  for (int i = 0; i < 4; i++)
    len[i] = (uint8_t) (s.len >> (24 - 8 * i));
  return add(ctx, len, sizeof len) && add(ctx, s.p, s.len);
}

static bool add_secret(EVP_MD_CTX *ctx, const kex_t *k)
{
  return add(ctx, alk_buf_head(&k->secret), alk_buf_size(&k->secret));
}

static bool end(EVP_MD_CTX *ctx, uint8_t hash[KEX_HASH_MAX], size_t *len)
{
  unsigned n = 0;
  int size = EVP_MD_CTX_get_size(ctx);
  if (size <= 0 || size > KEX_HASH_MAX ||
      EVP_DigestFinal_ex(ctx, hash, &n) != 1)
    return false;
  *len = n;
  return n == (unsigned) size;
}

bool kex_exchange_hash(const kex_t *k, const kex_transcript_t *t,
                       uint8_t hash[KEX_HASH_MAX], size_t *hash_len)
{
  *hash_len = 0;
  if (k->state != KEX_DONE) return false;
  ERR_set_mark();
  EVP_MD_CTX *ctx = digest_new(k);
  bool ok =
    ctx != NULL && add_string(ctx, t->client_ident) &&
    add_string(ctx, t->server_ident) && add_string(ctx, t->client_kexinit) &&
    add_string(ctx, t->server_kexinit) && add_string(ctx, t->host_key) &&
    add_string(ctx, t->client_public) && add_string(ctx, t->server_public) &&
    add_secret(ctx, k) && end(ctx, hash, hash_len);
  EVP_MD_CTX_free(ctx);
  ERR_pop_to_mark();
  return ok;
}

/* K1 = HASH(K || H || letter || session_id), and K(n+1) = HASH(K || H || K1 ||
 * ... || Kn): next hashes what has been made so far, or the first one's end. */
static bool next_part(const kex_t *k, kex_span_t exchange_hash, kex_span_t more,
                      uint8_t part[KEX_HASH_MAX], size_t *part_len)
{
  EVP_MD_CTX *ctx = digest_new(k);
  bool ok = ctx != NULL && add_secret(ctx, k) &&
            add(ctx, exchange_hash.p, exchange_hash.len) &&
            add(ctx, more.p, more.len) && end(ctx, part, part_len);
  EVP_MD_CTX_free(ctx);
  return ok;
}

static bool derive(const kex_t *k, kex_span_t exchange_hash, kex_span_t first,
                   uint8_t *out, size_t len)
{
  uint8_t part[KEX_HASH_MAX];
  size_t have = 0, part_len = 0;
  bool ok = true;
  while (ok && have < len) {
    kex_span_t more = have == 0 ? first : (kex_span_t){out, have};
    ok = next_part(k, exchange_hash, more, part, &part_len);
    if (!ok) break;
    size_t take = part_len < len - have ? part_len : len - have;
    memcpy(out + have, part, take);
    have += take;
  }
  OPENSSL_cleanse(part, sizeof part);
  return ok;
}

/* NOLINTNEXTLINE(readability-function-size): the header's eight parameters */
bool kex_derive(const kex_t *k, const uint8_t *hash, size_t hash_len,
                const uint8_t *session_id, size_t session_id_len, char letter,
                uint8_t *out, size_t len)
{
  if (k->state != KEX_DONE || letter < 'A' || letter > 'F' ||
      session_id_len == 0 || session_id_len > KEX_HASH_MAX)
    return false;
  uint8_t first[1 + KEX_HASH_MAX] = {(uint8_t) letter};
  memcpy(first + 1, session_id, session_id_len);
  ERR_set_mark();
  bool ok = derive(k, (kex_span_t){hash, hash_len},
                   (kex_span_t){first, 1 + session_id_len}, out, len);
  ERR_pop_to_mark();
  if (!ok) OPENSSL_cleanse(out, len);
  return ok;
}
