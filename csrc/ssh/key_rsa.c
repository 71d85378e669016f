/* key_rsa.c - ssh-rsa keys, which sign with SHA-2 only (RFC 4253 §6.6, RFC
 * 8332, PROTOCOL.key).
 *
 *   public    mpint   e
 *             mpint   n
 *   private   mpint   n
 *             mpint   e
 *             mpint   d
 *             mpint   the inverse of q modulo p
 *             mpint   p
 *             mpint   q
 *   signature string  as long as n; a shorter one lacks leading zeros
 *
 * The sizes of n and e decide what a peer makes us compute, so they are
 * checked before OpenSSL sees them. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include "ssh/key_impl.h"

/* 65537 is what everyone has. With this limit a signature under the largest
 * modulus takes some 2.5 ms to check; OpenSSL's own limit doubles that. */
enum { EXPONENT_MAX_BYTES = 4 };

/* Numbers of a private key. Those above PUBLIC are secret. */
enum {
  N,
  E,
  PUBLIC,
  D = PUBLIC,
  IQMP,
  P,
  Q,
  FILE_NUMS,
  DP = FILE_NUMS,
  DQ,
  NUMS
};

static const char *const names[NUMS] = {
  [N] = OSSL_PKEY_PARAM_RSA_N,
  [E] = OSSL_PKEY_PARAM_RSA_E,
  [D] = OSSL_PKEY_PARAM_RSA_D,
  [IQMP] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
  [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
  [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,
  [DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
  [DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2,
};

static bool is_odd(alk_num_t n)
{
  return n.len > 0 && (n.p[n.len - 1] & 1) != 0;
}

static bool sizes_are_good(alk_num_t n, alk_num_t e, alk_err_t *err)
{
  unsigned bits = alk_num_bits(n);
  if (bits < ALK_RSA_MIN_BITS)
    alk_fail(err, ALK_E_KEY, 0,
             "the RSA key has %u bits; at least %d are needed", bits,
             ALK_RSA_MIN_BITS);
  else if (bits > ALK_RSA_MAX_BITS)
    alk_fail(err, ALK_E_KEY, 0, "the RSA key has %u bits; at most %d are taken",
             bits, ALK_RSA_MAX_BITS);
  else if (!is_odd(n) || !is_odd(e) || alk_num_bits(e) < 2 ||
           e.len > EXPONENT_MAX_BYTES)
    alk_fail(err, ALK_E_KEY, 0, "the RSA key's modulus or exponent is unsound");
  else
    return true;
  return false;
}

/* Numbers as long as the text that holds them, so that a key too large gets
 * its sentence. */
static alk_num_t any_num(alk_rd_t *r)
{
  return alk_key_num(r, ALK_KEY_FILE_MAX);
}

static bool push(OSSL_PARAM_BLD *bld, BIGNUM *const nums[], size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (OSSL_PARAM_BLD_push_BN(bld, names[i], nums[i]) != 1) return false;
  return true;
}

static EVP_PKEY *build(BIGNUM *const nums[], size_t count)
{
  OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
  if (bld != NULL && !push(bld, nums, count)) {
    OSSL_PARAM_BLD_free(bld);
    bld = NULL;
  }
  return alk_key_from(
    "RSA", count == PUBLIC ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, bld);
}

static EVP_PKEY *read_public(const alk_key_kind_t *kind, alk_rd_t *r,
                             alk_err_t *err)
{
  (void) kind;
  alk_num_t e = any_num(r), n = any_num(r);
  if (r->bad || !sizes_are_good(n, e, err)) return NULL;
  BIGNUM *nums[PUBLIC] = {
    [N] = BN_bin2bn(n.p, (int) n.len, NULL),
    [E] = BN_bin2bn(e.p, (int) e.len, NULL),
  };
  EVP_PKEY *pkey = NULL;
  if (nums[N] != NULL && nums[E] != NULL) pkey = build(nums, PUBLIC);
  if (pkey == NULL) alk_fail(err, ALK_E_KEY, 0, "OpenSSL refuses the RSA key");
  BN_free(nums[N]);
  BN_free(nums[E]);
  return pkey;
}

/* x * y = 1 modulo m */
static bool are_inverse(const BIGNUM *x, const BIGNUM *y, const BIGNUM *m,
                        BN_CTX *ctx)
{
  BN_CTX_start(ctx);
  BIGNUM *t = BN_CTX_get(ctx);
  bool ok = t != NULL && BN_mod_mul(t, x, y, m, ctx) == 1 && BN_is_one(t);
  BN_CTX_end(ctx);
  return ok;
}

/* Fills in d modulo prime - 1, and says whether e is its inverse there. */
static bool reduce(BIGNUM *const nums[], int prime, int exponent, BN_CTX *ctx)
{
  BN_CTX_start(ctx);
  BIGNUM *less = BN_CTX_get(ctx);
  bool ok = less != NULL && BN_sub(less, nums[prime], BN_value_one()) == 1;
  if (ok) {
    BN_set_flags(less, BN_FLG_CONSTTIME);
    ok = BN_mod(nums[exponent], nums[D], less, ctx) == 1 &&
         are_inverse(nums[exponent], nums[E], less, ctx);
  }
  BN_CTX_end(ctx);
  return ok;
}

/* The numbers of a private key agree with each other. Whether p and q are
 * prime is not asked: it takes seconds, and who writes a false key into an own
 * file only hurts himself. */
static bool agree(BIGNUM *const nums[], BN_CTX *ctx)
{
  if (BN_num_bits(nums[P]) < 2 || BN_num_bits(nums[Q]) < 2 ||
      !BN_is_odd(nums[P]) || !BN_is_odd(nums[Q]))
    return false;
  BN_CTX_start(ctx);
  BIGNUM *t = BN_CTX_get(ctx);
  bool ok = t != NULL && BN_mul(t, nums[P], nums[Q], ctx) == 1 &&
            BN_cmp(t, nums[N]) == 0 &&
            are_inverse(nums[IQMP], nums[Q], nums[P], ctx) &&
            reduce(nums, P, DP, ctx) && reduce(nums, Q, DQ, ctx);
  BN_CTX_end(ctx);
  return ok;
}

static EVP_PKEY *build_private(const alk_num_t from[FILE_NUMS], alk_err_t *err)
{
  BIGNUM *nums[NUMS] = {NULL};
  BN_CTX *ctx = BN_CTX_secure_new();
  EVP_PKEY *pkey = NULL;
  bool ok = ctx != NULL;
  for (int i = 0; i < NUMS && ok; i++) {
    nums[i] = alk_num_secret(i < FILE_NUMS ? from[i] : (alk_num_t){NULL, 0});
    ok = nums[i] != NULL;
  }
  if (!ok) {
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot hold an RSA key");
  } else if (!agree(nums, ctx)) {
    alk_fail(err, ALK_E_KEY, 0,
             "the key is damaged: its public part is not that of its private");
  } else {
    pkey = build(nums, NUMS);
    if (pkey == NULL)
      alk_fail(err, ALK_E_KEY, 0, "OpenSSL refuses the RSA key");
  }
  for (int i = 0; i < NUMS; i++)
    BN_clear_free(nums[i]);
  BN_CTX_free(ctx);
  return pkey;
}

static EVP_PKEY *read_private(const alk_key_kind_t *kind, alk_rd_t *r,
                              alk_err_t *err)
{
  (void) kind;
  alk_num_t nums[FILE_NUMS];
  for (int i = 0; i < FILE_NUMS; i++)
    nums[i] = any_num(r);
  if (r->bad || !sizes_are_good(nums[N], nums[E], err)) return NULL;
  for (int i = PUBLIC; i < FILE_NUMS; i++)
    if (nums[i].len > nums[N].len) r->bad = true;
  return r->bad ? NULL : build_private(nums, err);
}

static bool write_public(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                         alk_buf_t *out)
{
  (void) kind;
  return alk_key_put_num(pkey, names[E], out) &&
         alk_key_put_num(pkey, names[N], out);
}

static bool write_private(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_buf_t *out)
{
  (void) kind;
  for (int i = 0; i < FILE_NUMS; i++)
    if (!alk_key_put_num(pkey, names[i], out)) return false;
  return true;
}

static EVP_PKEY *generate(const alk_key_kind_t *kind)
{
  (void) kind;
  return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) ALK_RSA_MIN_BITS);
}

static bool sig_to_wire(const alk_key_kind_t *kind, const uint8_t *sig,
                        size_t len, alk_buf_t *out)
{
  (void) kind;
  alk_buf_add(out, sig, len);
  return len > 0;
}

static bool sig_from_wire(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_rd_t wire, alk_buf_t *out)
{
  (void) kind;
  int size = EVP_PKEY_get_size(pkey);
  if (size <= 0 || wire.len == 0 || wire.len > (size_t) size) return false;
  for (size_t i = wire.len; i < (size_t) size; i++)
    alk_buf_u8(out, 0);
  alk_buf_add(out, wire.p, wire.len);
  return true;
}

const alk_key_kind_t alk_key_rsa = {
  .type = "ssh-rsa",
  .name = "rsa",
  .read_public = read_public,
  .read_private = read_private,
  .write_public = write_public,
  .write_private = write_private,
  .generate = generate,
  .sig_to_wire = sig_to_wire,
  .sig_from_wire = sig_from_wire,
};
