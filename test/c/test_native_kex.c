/* test_native_kex.c - key exchanges: known answers, agreement, and everything
 * of a peer's that must be refused. */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "core/mem.h"

#include "ssh/native/kex_impl.h"

#include "mlkem_acvp.h"
#include "native_hex.h"
#include "native_vectors.h"

enum { BLOB_MAX = 4096 };

typedef struct {
  const char *name, *hash;
  size_t hash_len, init_len, reply_len;
} expected_t;

static const expected_t expected[] = {
  {"curve25519-sha256", "SHA256", 32, 32, 32},
  {"curve25519-sha256@libssh.org", "SHA256", 32, 32, 32},
  {"ecdh-sha2-nistp256", "SHA256", 32, 65, 65},
  {"ecdh-sha2-nistp384", "SHA384", 48, 97, 97},
  {"ecdh-sha2-nistp521", "SHA512", 64, 133, 133},
  {"mlkem768x25519-sha256", "SHA256", 32, 1184 + 32, 1088 + 32},
};
enum { METHODS = sizeof expected / sizeof expected[0] };
static const char hybrid[] = "mlkem768x25519-sha256";

/* NULL only where OpenSSL has no ML-KEM, which is printed. */
static const kex_method_t *find(const char *name)
{
  const kex_method_t *m = kex_find(name);
  if (m == NULL) {
    assert_string_equal(name, hybrid);
    print_message("skipped: %s: no ML-KEM-768 in %s\n", name,
                  OpenSSL_version(OPENSSL_VERSION));
  }
  return m;
}

static const kex_method_t *find_hybrid(void)
{
  const kex_method_t *m = find(hybrid);
  if (m == NULL) skip();
  return m;
}

static kex_span_t bytes(const char *hex)
{
  static uint8_t pool[32][BLOB_MAX];
  static size_t next;
  uint8_t *p = pool[next++ % 32];
  return (kex_span_t){p, unhex(hex, p, BLOB_MAX)};
}

static kex_transcript_t transcript(kex_span_t client_public,
                                   kex_span_t server_public)
{
  return (kex_transcript_t){
    .client_ident = {(const uint8_t *) vector_client_ident,
                     strlen(vector_client_ident)},
    .server_ident = {(const uint8_t *) vector_server_ident,
                     strlen(vector_server_ident)},
    .client_kexinit = bytes(vector_client_kexinit),
    .server_kexinit = bytes(vector_server_kexinit),
    .host_key = bytes(vector_host_key),
    .client_public = client_public,
    .server_public = server_public,
  };
}

static kex_span_t span(const alk_buf_t *b)
{
  return (kex_span_t){alk_buf_head(b), alk_buf_size(b)};
}

/* names */

static void names(void **state)
{
  (void) state;
  static const char *const not_ours[] = {"",
                                         "none",
                                         "curve25519-sha256@libssh.or",
                                         "curve25519-sha512",
                                         "Curve25519-sha256",
                                         "ecdh-sha2-nistp224",
                                         "diffie-hellman-group14-sha256",
                                         "sntrup761x25519-sha512@openssh.com",
                                         "mlkem768nistp256-sha256",
                                         "kex-strict-c-v00@openssh.com"};
  for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++)
    assert_null(kex_find(not_ours[i]));
  for (size_t i = 0; i < METHODS; i++) {
    const kex_method_t *m = find(expected[i].name);
    if (m == NULL) continue;
    assert_ptr_equal(m, kex_find(expected[i].name));
    assert_string_equal(kex_hash_name(m), expected[i].hash);
    assert_true(expected[i].init_len <= KEX_PUBLIC_MAX);
  }
  kex_free(NULL);
}

/* known answers */

/* hex: two parts, of which the second may be NULL. */
static EVP_PKEY *raw_private(const char *type, const char *hex,
                             const char *more)
{
  uint8_t key[BLOB_MAX];
  size_t len = unhex(hex, key, sizeof key);
  if (more != NULL) len += unhex(more, key + len, sizeof key - len);
  EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key_ex(NULL, type, NULL, key, len);
  assert_non_null(pkey);
  return pkey;
}

static EVP_PKEY *nist_private(const char *group, const char *own,
                              const char *own_public)
{
  char name[16];
  uint8_t public[KEX_POINT_MAX], scalar[KEX_FIELD_MAX], native[KEX_FIELD_MAX];
  size_t len = unhex(own, scalar, sizeof scalar);
  for (size_t i = 0; i < len; i++) /* x86 and ARM: little endian */
    native[i] = scalar[len - 1 - i];
  strcpy(name, group);
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public,
                                      unhex(own_public, public, sizeof public)),
    OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, len),
    OSSL_PARAM_construct_end(),
  };
  EVP_PKEY *pkey = NULL;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
  assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params), 1);
  EVP_PKEY_CTX_free(ctx);
  return pkey;
}

/* Every length up to the longest: each is a prefix of it. */
static void assert_derives(const kex_t *k, kex_span_t hash, kex_span_t session,
                           char letter, const char *hex)
{
  uint8_t out[VECTOR_DERIVED + 1];
  kex_span_t want = bytes(hex);
  assert_int_equal(want.len, VECTOR_DERIVED);
  for (size_t len = 0; len <= VECTOR_DERIVED; len++) {
    memset(out, 0xee, sizeof out);
    assert_true(kex_derive(k, hash.p, hash.len, session.p, session.len, letter,
                           out, len));
    assert_memory_equal(out, want.p, len);
    assert_int_equal(out[len], 0xee);
  }
}

static void assert_answers(const kex_t *k, const kex_transcript_t *t,
                           const char *hash_hex, const char *const keys[6],
                           const char *other)
{
  uint8_t hash[KEX_HASH_MAX];
  size_t hash_len;
  kex_span_t want = bytes(hash_hex);
  assert_true(kex_exchange_hash(k, t, hash, &hash_len));
  assert_int_equal(hash_len, want.len);
  assert_memory_equal(hash, want.p, hash_len);
  for (int i = 0; i < 6; i++)
    assert_derives(k, want, want, (char) ('A' + i), keys[i]);
  assert_derives(k, want, bytes(vector_other_session), 'C', other);
}

static void exchanges_are_as_computed(void **state)
{
  (void) state;
  for (size_t i = 0; i < sizeof kex_vectors / sizeof kex_vectors[0]; i++) {
    const struct kex_vector *v = &kex_vectors[i];
    const kex_method_t *m = find(v->method);
    kex_t *k = kex_new(m);
    alk_buf_t sent = {0};
    assert_true(kex_client_start(k, &sent));
    EVP_PKEY_free(k->curve_key);
    k->curve_key = m->curve->group == NULL
                     ? raw_private("X25519", v->own, NULL)
                     : nist_private(m->curve->group, v->own, v->own_public);
    kex_span_t own = bytes(v->own_public), peer = bytes(v->peer_public);
    uint8_t public[KEX_POINT_MAX];
    assert_true(kex_public(k->curve_key, public, own.len));
    assert_memory_equal(public, own.p, own.len);
    assert_true(kex_client_finish(k, peer.p, peer.len));
    assert_null(k->curve_key);
    kex_transcript_t t = transcript(own, peer);
    assert_answers(k, &t, v->hash, v->keys, v->other);
    kex_free(k);
    alk_buf_free(&sent);
  }
}

/* NIST's ciphertexts, and Alice and Bob of RFC 7748. */
static void hybrids_are_as_computed(void **state)
{
  (void) state;
  const kex_method_t *m = find_hybrid();
  const struct kex_vector *curve = &kex_vectors[0];
  for (size_t i = 0; i < sizeof acvp_answers / sizeof acvp_answers[0]; i++) {
    const struct hybrid_vector *v = &hybrid_vectors[i];
    uint8_t init[KEX_HYBRID_INIT], reply[KEX_HYBRID_REPLY];
    kex_t *k = kex_new(m);
    alk_buf_t sent = {0};
    assert_true(kex_client_start(k, &sent));
    EVP_PKEY_free(k->curve_key);
    EVP_PKEY_free(k->kem_key);
    k->curve_key = raw_private("X25519", curve->own, NULL);
    k->kem_key = raw_private("ML-KEM-768", acvp_dk_pke, acvp_ek_h_z);
    assert_true(kex_public(k->kem_key, init, KEX_KEM_PUBLIC));
    unhex(curve->own_public, init + KEX_KEM_PUBLIC, KEX_X25519_LEN);
    unhex(acvp_answers[i].c, reply, KEX_KEM_CIPHERTEXT);
    unhex(curve->peer_public, reply + KEX_KEM_CIPHERTEXT, KEX_X25519_LEN);
    assert_true(kex_client_finish(k, reply, sizeof reply));
    kex_transcript_t t = transcript((kex_span_t){init, sizeof init},
                                    (kex_span_t){reply, sizeof reply});
    assert_answers(k, &t, v->hash, v->keys, v->other);
    kex_free(k);
    alk_buf_free(&sent);
  }
}

/* agreement */

typedef struct {
  kex_t *client, *server;
  alk_buf_t init, reply;
} pair_t;

static pair_t pair_new(const kex_method_t *m)
{
  pair_t p = {.client = kex_new(m), .server = kex_new(m)};
  return p;
}

static void pair_free(pair_t *p)
{
  kex_free(p->client);
  kex_free(p->server);
  alk_buf_free(&p->init);
  alk_buf_free(&p->reply);
}

static void pair_start(pair_t *p, const expected_t *e)
{
  alk_buf_u8(&p->init, 30); /* what a message has before it stays there */
  assert_true(kex_client_start(p->client, &p->init));
  assert_int_equal(*alk_buf_head(&p->init), 30);
  alk_buf_consume(&p->init, 1);
  assert_int_equal(alk_buf_size(&p->init), e->init_len);
}

static void pair_reply(pair_t *p, const expected_t *e)
{
  assert_true(kex_server_reply(p->server, alk_buf_head(&p->init),
                               alk_buf_size(&p->init), &p->reply));
  assert_int_equal(alk_buf_size(&p->reply), e->reply_len);
}

static void pair_finish(pair_t *p)
{
  assert_true(kex_client_finish(p->client, alk_buf_head(&p->reply),
                                alk_buf_size(&p->reply)));
}

static void hash_of(const kex_t *k, const kex_transcript_t *t,
                    uint8_t hash[KEX_HASH_MAX], size_t want)
{
  size_t len;
  memset(hash, 0, KEX_HASH_MAX);
  assert_true(kex_exchange_hash(k, t, hash, &len));
  assert_int_equal(len, want);
}

static void both_ends_agree(void **state)
{
  (void) state;
  enum { RUNS = 40 };
  static uint8_t hashes[RUNS][KEX_HASH_MAX];
  for (size_t i = 0; i < METHODS; i++) {
    const expected_t *e = &expected[i];
    const kex_method_t *m = find(e->name);
    for (int run = 0; m != NULL && run < RUNS; run++) {
      pair_t p = pair_new(m);
      uint8_t h[KEX_HASH_MAX], a[64], b[64];
      pair_start(&p, e);
      pair_reply(&p, e);
      pair_finish(&p);
      kex_transcript_t t = transcript(span(&p.init), span(&p.reply));
      hash_of(p.client, &t, hashes[run], e->hash_len);
      hash_of(p.server, &t, h, e->hash_len);
      assert_memory_equal(hashes[run], h, e->hash_len);
      for (char c = 'A'; c <= 'F'; c++) {
        assert_true(
          kex_derive(p.client, h, e->hash_len, h, e->hash_len, c, a, 64));
        assert_true(
          kex_derive(p.server, h, e->hash_len, h, e->hash_len, c, b, 64));
        assert_memory_equal(a, b, 64);
      }
      for (int old = 0; old < run; old++)
        assert_memory_not_equal(hashes[old], h, e->hash_len);
      pair_free(&p);
    }
  }
}

/* Every part is in the hash, and where one ends and the next begins is too. */
static void every_part_is_hashed(void **state)
{
  (void) state;
  pair_t p = pair_new(find("curve25519-sha256"));
  uint8_t right[KEX_HASH_MAX], h[KEX_HASH_MAX], changed[512];
  pair_start(&p, &expected[0]);
  pair_reply(&p, &expected[0]);
  pair_finish(&p);
  kex_transcript_t t = transcript(span(&p.init), span(&p.reply));
  hash_of(p.client, &t, right, 32);
  kex_span_t *parts[] = {&t.client_ident,   &t.server_ident, &t.client_kexinit,
                         &t.server_kexinit, &t.host_key,     &t.client_public,
                         &t.server_public};
  for (size_t i = 0; i < 7; i++) {
    kex_span_t was = *parts[i];
    assert_true(was.len < sizeof changed);
    for (size_t at = 0; at < was.len; at++) {
      memcpy(changed, was.p, was.len);
      changed[at] ^= 1;
      *parts[i] = (kex_span_t){changed, was.len};
      hash_of(p.client, &t, h, 32);
      assert_memory_not_equal(h, right, 32);
    }
    *parts[i] = (kex_span_t){was.p, was.len - 1};
    hash_of(p.client, &t, h, 32);
    assert_memory_not_equal(h, right, 32);
    *parts[i] = was;
  }
  hash_of(p.client, &t, h, 32);
  assert_memory_equal(h, right, 32);
  t.host_key = (kex_span_t){NULL, 0}; /* an empty string is one */
  hash_of(p.client, &t, h, 32);
  assert_memory_not_equal(h, right, 32);
  pair_free(&p);
}

/* order */

static void assert_no_secret(const kex_t *k)
{
  uint8_t hash[KEX_HASH_MAX] = {0}, out[16];
  size_t len = 1;
  kex_transcript_t t = transcript((kex_span_t){hash, 1}, (kex_span_t){hash, 1});
  assert_false(kex_exchange_hash(k, &t, hash, &len));
  assert_int_equal(len, 0);
  assert_false(kex_derive(k, hash, 32, hash, 32, 'A', out, sizeof out));
  assert_int_equal(alk_buf_size(&k->secret), 0);
}

static void assert_dead(kex_t *k, const uint8_t *p, size_t len)
{
  alk_buf_t out = {0};
  assert_no_secret(k);
  assert_false(kex_client_start(k, &out));
  assert_false(kex_client_finish(k, p, len));
  assert_false(kex_server_reply(k, p, len, &out));
  assert_int_equal(alk_buf_size(&out), 0);
  assert_null(k->curve_key);
  assert_null(k->kem_key);
  alk_buf_free(&out);
}

static void only_in_order(void **state)
{
  (void) state;
  for (size_t i = 0; i < METHODS; i++) {
    const expected_t *e = &expected[i];
    const kex_method_t *m = find(e->name);
    if (m == NULL) continue;
    pair_t p = pair_new(m);
    alk_buf_t out = {0};
    uint8_t zero[2048] = {0};
    assert_no_secret(p.client);
    assert_false(kex_client_finish(p.client, zero, e->reply_len));
    pair_start(&p, e);
    assert_no_secret(p.client);
    assert_false(kex_client_start(p.client, &out));
    assert_false(kex_server_reply(p.client, alk_buf_head(&p.init),
                                  alk_buf_size(&p.init), &out));
    pair_reply(&p, e);
    assert_false(kex_server_reply(p.server, alk_buf_head(&p.init),
                                  alk_buf_size(&p.init), &out));
    assert_false(kex_client_start(p.server, &out));
    pair_finish(&p);
    assert_false(kex_client_finish(p.client, alk_buf_head(&p.reply),
                                   alk_buf_size(&p.reply)));
    assert_int_equal(alk_buf_size(&out), 0);
    kex_transcript_t t = transcript(span(&p.init), span(&p.reply));
    uint8_t a[KEX_HASH_MAX], b[KEX_HASH_MAX]; /* and still they agree */
    hash_of(p.client, &t, a, e->hash_len);
    hash_of(p.server, &t, b, e->hash_len);
    assert_memory_equal(a, b, e->hash_len);
    alk_buf_free(&out);
    pair_free(&p);
  }
}

static void only_six_letters(void **state)
{
  (void) state;
  pair_t p = pair_new(find("curve25519-sha256"));
  pair_start(&p, &expected[0]);
  pair_reply(&p, &expected[0]);
  uint8_t h[KEX_HASH_MAX + 1] = {1}, out[32];
  for (int c = -128; c <= 127; c++)
    assert_int_equal(
      kex_derive(p.server, h, 32, h, 32, (char) c, out, sizeof out),
      c >= 'A' && c <= 'F');
  assert_false(kex_derive(p.server, h, 32, h, 0, 'A', out, sizeof out));
  assert_false(
    kex_derive(p.server, h, 32, h, KEX_HASH_MAX + 1, 'A', out, sizeof out));
  pair_free(&p);
}

/* what a peer may send */

/* Both roles refuse it, and are dead then. */
static void assert_refused_reply(const kex_method_t *m, const uint8_t *p,
                                 size_t len)
{
  kex_t *k = kex_new(m);
  alk_buf_t init = {0};
  assert_true(kex_client_start(k, &init));
  assert_false(kex_client_finish(k, p, len));
  assert_dead(k, p, len);
  kex_free(k);
  alk_buf_free(&init);
}

static void assert_refused_init(const kex_method_t *m, const uint8_t *p,
                                size_t len)
{
  kex_t *k = kex_new(m);
  alk_buf_t reply = {0};
  assert_false(kex_server_reply(k, p, len, &reply));
  assert_int_equal(alk_buf_size(&reply), 0);
  assert_dead(k, p, len);
  kex_free(k);
  alk_buf_free(&reply);
}

static void assert_refused(const kex_method_t *m, const uint8_t *p, size_t len)
{
  assert_refused_reply(m, p, len);
  assert_refused_init(m, p, len);
}

/* Right values cut short or followed by something, from memory of just that
 * size. */
static void every_other_length(void **state)
{
  (void) state;
  for (size_t i = 0; i < METHODS; i++) {
    const expected_t *e = &expected[i];
    const kex_method_t *m = find(e->name);
    if (m == NULL) continue;
    pair_t p = pair_new(m);
    pair_start(&p, e);
    pair_reply(&p, e);
    uint8_t longer[2 * KEX_PUBLIC_MAX] = {0};
    memcpy(longer, alk_buf_head(&p.init), e->init_len);
    size_t step = e->init_len > 200 ? 31 : 1;
    for (size_t len = 0; len < e->init_len + 140; len += step) {
      if (len == e->init_len) continue;
      uint8_t *exact = alk_memdup(longer, len);
      assert_refused_init(m, exact, len);
      alk_free(exact);
    }
    memcpy(longer, alk_buf_head(&p.reply), e->reply_len);
    for (size_t len = 0; len < e->reply_len + 140; len += step) {
      if (len == e->reply_len) continue;
      uint8_t *exact = alk_memdup(longer, len);
      assert_refused_reply(m, exact, len);
      alk_free(exact);
    }
    for (int off = -1; off <= 1; off += 2) {
      assert_refused_init(m, longer, (size_t) ((int) e->init_len + off));
      assert_refused_reply(m, longer, (size_t) ((int) e->reply_len + off));
    }
    pair_free(&p);
  }
}

/* The points of order 1, 2, 4 and 8 of Curve25519 and of its twist, in every
 * form that 32 bytes give them (RFC 7748 §7): u and, where it fits, u + p. */
static const char *const low_order[] = {
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
enum { LOW_ORDER = 2 * sizeof low_order / sizeof low_order[0] };

/* The bit that is not a part of the number may be anything. */
static void low_order_point(size_t i, uint8_t out[KEX_X25519_LEN])
{
  unhex(low_order[i / 2], out, KEX_X25519_LEN);
  if (i % 2 == 1) out[31] |= 0x80;
}

static void points_of_low_order(void **state)
{
  (void) state;
  for (size_t i = 0; i < LOW_ORDER; i++) {
    uint8_t point[KEX_X25519_LEN];
    low_order_point(i, point);
    assert_refused(find("curve25519-sha256"), point, sizeof point);
    assert_refused(find("curve25519-sha256@libssh.org"), point, sizeof point);
    point[5] ^= 0x10; /* any other is a point like all */
    kex_t *k = kex_new(find("curve25519-sha256"));
    alk_buf_t reply = {0};
    assert_true(kex_server_reply(k, point, sizeof point, &reply));
    alk_buf_free(&reply);
    kex_free(k);
  }
}

static void points_off_the_curve(void **state)
{
  (void) state;
  for (size_t i = 2; i < 5; i++) {
    const expected_t *e = &expected[i];
    const kex_method_t *m = find(e->name);
    pair_t p = pair_new(m);
    pair_start(&p, e);
    uint8_t point[KEX_POINT_MAX];
    size_t len = e->init_len;
    memcpy(point, alk_buf_head(&p.init), len);
    for (int first = 0; first <= 255; first++) { /* also compressed, hybrid */
      point[0] = (uint8_t) first;
      if (first != 4) assert_refused(m, point, len);
    }
    point[0] = 4;
    for (size_t bit = 8; bit < 8 * len; bit += 13) {
      point[bit / 8] ^= (uint8_t) (1 << bit % 8);
      assert_refused(m, point, len);
      point[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    memset(point + 1, 0, len - 1);
    assert_refused(m, point, len);
    memset(point + 1, 0xff, len - 1); /* coordinates beyond the field */
    assert_refused(m, point, len);
    point[0] = 0; /* the point at infinity, alone and followed by zeros */
    memset(point, 0, len);
    assert_refused(m, point, len);
    assert_refused(m, point, 1);
    pair_free(&p);
  }
}

static void keys_of_a_bad_hybrid(void **state)
{
  (void) state;
  const kex_method_t *m = find_hybrid();
  const expected_t *e = &expected[5];
  pair_t p = pair_new(m);
  pair_start(&p, e);
  pair_reply(&p, e);
  uint8_t bad[KEX_PUBLIC_MAX];
  /* FIPS 203 §7.2: each 12 bits are a coefficient, and 3329 is too much. */
  for (size_t at = 0; at < 1152; at += 3 * 37) {
    memcpy(bad, alk_buf_head(&p.init), e->init_len);
    bad[at] = 0x01;
    bad[at + 1] = (uint8_t) ((bad[at + 1] & 0xf0) | 0x0d);
    assert_refused_init(m, bad, e->init_len);
    bad[at + 1] = (uint8_t) (bad[at + 1] | 0x0f);
    assert_refused_init(m, bad, e->init_len);
  }
  for (size_t i = 0; i < LOW_ORDER; i++) {
    memcpy(bad, alk_buf_head(&p.init), e->init_len);
    low_order_point(i, bad + KEX_KEM_PUBLIC);
    assert_refused_init(m, bad, e->init_len);
    memcpy(bad, alk_buf_head(&p.reply), e->reply_len);
    low_order_point(i, bad + KEX_KEM_CIPHERTEXT);
    assert_refused_reply(m, bad, e->reply_len);
  }
  pair_free(&p);
}

/* A ciphertext that was changed on its way is taken and gives another secret,
 * even if both hash what arrived. */
static void changed_ciphertext(void **state)
{
  (void) state;
  const kex_method_t *m = find_hybrid();
  const expected_t *e = &expected[5];
  for (size_t at = 0; at < KEX_HYBRID_REPLY; at += 97) {
    pair_t p = pair_new(m);
    uint8_t bad[KEX_PUBLIC_MAX], a[KEX_HASH_MAX], b[KEX_HASH_MAX];
    pair_start(&p, e);
    pair_reply(&p, e);
    memcpy(bad, alk_buf_head(&p.reply), e->reply_len);
    bad[at] ^= 1;
    assert_true(kex_client_finish(p.client, bad, e->reply_len));
    kex_transcript_t t =
      transcript(span(&p.init), (kex_span_t){bad, e->reply_len});
    hash_of(p.client, &t, a, e->hash_len);
    hash_of(p.server, &t, b, e->hash_len);
    assert_memory_not_equal(a, b, e->hash_len);
    pair_free(&p);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names),
    cmocka_unit_test(exchanges_are_as_computed),
    cmocka_unit_test(hybrids_are_as_computed),
    cmocka_unit_test(both_ends_agree),
    cmocka_unit_test(every_part_is_hashed),
    cmocka_unit_test(only_in_order),
    cmocka_unit_test(only_six_letters),
    cmocka_unit_test(every_other_length),
    cmocka_unit_test(points_of_low_order),
    cmocka_unit_test(points_off_the_curve),
    cmocka_unit_test(keys_of_a_bad_hybrid),
    cmocka_unit_test(changed_ciphertext),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
