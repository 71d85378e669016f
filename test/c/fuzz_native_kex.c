/* fuzz_native_kex.c - what a hostile peer sends in a key exchange.
 *
 * Input: one byte for the method, the role and whether the bytes behind it are
 * the peer's value, or what is different in a right one. Our own keys are made
 * once in a process. */
#include <string.h>

#include "core/mem.h"

#include "ssh/native/kex_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"curve25519-sha256", "ecdh-sha2-nistp256",
                                    "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
                                    "mlkem768x25519-sha256"};
enum { METHODS = sizeof names / sizeof names[0] };
enum { CLIENT = 1, CHANGED = 2 };

/* One run of both sides, whose values are right. */
typedef struct {
  const kex_method_t *m;
  EVP_PKEY *curve_key, *kem_key; /* the client's */
  alk_buf_t init, reply;
} right_t;

static const right_t *right_of(size_t which)
{
  static right_t all[METHODS];
  right_t *r = &all[which];
  if (r->m != NULL) return r;
  const kex_method_t *m = kex_find(names[which]);
  if (m == NULL) return NULL; /* no ML-KEM here */
  kex_t *client = kex_new(m), *server = kex_new(m);
  CHECK(kex_client_start(client, &r->init));
  CHECK(kex_server_reply(server, alk_buf_head(&r->init), alk_buf_size(&r->init),
                         &r->reply));
  r->curve_key = client->curve_key;
  r->kem_key = client->kem_key;
  CHECK(EVP_PKEY_up_ref(r->curve_key) == 1);
  if (r->kem_key != NULL) CHECK(EVP_PKEY_up_ref(r->kem_key) == 1);
  kex_free(client);
  kex_free(server);
  r->m = m;
  return r;
}

static void check_end(const kex_t *k, bool ok, const uint8_t *p, size_t len)
{
  uint8_t hash[KEX_HASH_MAX], key[100];
  size_t hash_len;
  kex_transcript_t t = {.client_public = {p, len}, .server_public = {p, len}};
  CHECK(kex_exchange_hash(k, &t, hash, &hash_len) == ok);
  CHECK((hash_len > 0) == ok);
  CHECK(kex_derive(k, hash, 32, hash, 32, 'A', key, sizeof key) == ok);
  CHECK((alk_buf_size(&k->secret) > 0) == ok);
  CHECK(k->curve_key == NULL && k->kem_key == NULL);
}

static void fuzz_reply(const right_t *r, const uint8_t *p, size_t len)
{
  alk_buf_t out = {0};
  kex_t *k = kex_new(r->m);
  k->state = KEX_STARTED;
  k->curve_key = r->curve_key;
  k->kem_key = r->kem_key;
  CHECK(EVP_PKEY_up_ref(k->curve_key) == 1);
  if (k->kem_key != NULL) CHECK(EVP_PKEY_up_ref(k->kem_key) == 1);
  bool ok = kex_client_finish(k, p, len);
  CHECK(!ok || len == alk_buf_size(&r->reply));
  check_end(k, ok, p, len);
  CHECK(!kex_client_finish(k, p, len) && !kex_client_start(k, &out));
  kex_free(k);
}

static void fuzz_init(const right_t *r, const uint8_t *p, size_t len)
{
  alk_buf_t out = {0};
  kex_t *k = kex_new(r->m);
  bool ok = kex_server_reply(k, p, len, &out);
  CHECK(!ok || len == alk_buf_size(&r->init));
  CHECK(alk_buf_size(&out) == (ok ? alk_buf_size(&r->reply) : 0));
  check_end(k, ok, p, len);
  CHECK(!kex_server_reply(k, p, len, &out));
  alk_buf_free(&out);
  kex_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 1 || size > 4096) return 0;
  uint8_t how = data[0] / METHODS;
  const right_t *r = right_of(data[0] % METHODS);
  if (r == NULL) return 0;
  const alk_buf_t *right = how & CLIENT ? &r->reply : &r->init;
  size_t right_len = alk_buf_size(right), len = size - 1;
  uint8_t *p = alk_alloc(how & CHANGED ? right_len : len);
  if (how & CHANGED) {
    memcpy(p, alk_buf_head(right), right_len);
    for (size_t i = 0; i < len && i < right_len; i++)
      p[i] ^= data[1 + i];
    len = right_len;
  } else if (len > 0) {
    memcpy(p, data + 1, len);
  }
  if (how & CLIENT)
    fuzz_reply(r, p, len);
  else
    fuzz_init(r, p, len);
  alk_free(p);
  return 0;
}
