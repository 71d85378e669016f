/* key_ecdsa.c - ecdsa-sha2-nistp256, -384 and -521 (RFC 5656, PROTOCOL.key).
 *
 *   public    string  the curve's name
 *             string  the point, uncompressed (SEC 1 §2.3.3)
 *   private   string  the curve's name
 *             string  the point
 *             mpint   the scalar
 *   signature mpint   r
 *             mpint   s
 *
 * OpenSSL refuses a point that is not on the curve when it takes it in. All
 * three curves have a prime order, so there are no small subgroups to fear. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>

#include "ssh/key_impl.h"

enum {
  FIELD_MAX = 66,
  POINT_MAX = 1 + 2 * FIELD_MAX,
  UNCOMPRESSED = 4 /* a point's first byte */
};

static alk_num_t read_point(const alk_key_kind_t *kind, alk_rd_t *r)
{
  alk_num_t point = {NULL, 0};
  if (!alk_rd_is(r, kind->curve)) r->bad = true;
  point.p = alk_rd_str(r, &point.len);
  if (point.p != NULL && point.len == 1 + 2 * kind->field_len &&
      point.p[0] == UNCOMPRESSED)
    return point;
  r->bad = true;
  r->len = 0;
  return (alk_num_t){NULL, 0};
}

static OSSL_PARAM_BLD *with_point(const alk_key_kind_t *kind, alk_num_t point)
{
  OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
  if (bld != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                      kind->group, 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.p,
                                       point.len) == 1)
    return bld;
  OSSL_PARAM_BLD_free(bld);
  return NULL;
}

static EVP_PKEY *read_public(const alk_key_kind_t *kind, alk_rd_t *r,
                             alk_err_t *err)
{
  alk_num_t point = read_point(kind, r);
  if (r->bad) return NULL;
  EVP_PKEY *pkey =
    alk_key_from("EC", EVP_PKEY_PUBLIC_KEY, with_point(kind, point));
  if (pkey == NULL)
    alk_fail(err, ALK_E_KEY, 0, "the key's point is not on its curve");
  return pkey;
}

/* The scalar is in range, the point on the curve and the one of the scalar. */
static bool fits_together(EVP_PKEY *pkey)
{
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
  bool ok = ctx != NULL && EVP_PKEY_check(ctx) == 1;
  EVP_PKEY_CTX_free(ctx);
  return ok;
}

static EVP_PKEY *read_private(const alk_key_kind_t *kind, alk_rd_t *r,
                              alk_err_t *err)
{
  alk_num_t point = read_point(kind, r);
  alk_num_t scalar = alk_key_num(r, kind->field_len);
  if (r->bad) return NULL;
  OSSL_PARAM_BLD *bld = with_point(kind, point);
  BIGNUM *d = alk_num_secret(scalar);
  if (bld == NULL || d == NULL ||
      OSSL_PARAM_BLD_push_BN_pad(bld, OSSL_PKEY_PARAM_PRIV_KEY, d,
                                 kind->field_len) != 1) {
    OSSL_PARAM_BLD_free(bld);
    bld = NULL;
  }
  EVP_PKEY *pkey = alk_key_from("EC", EVP_PKEY_KEYPAIR, bld);
  BN_clear_free(d);
  if (pkey != NULL && fits_together(pkey)) return pkey;
  alk_fail(err, ALK_E_KEY, 0,
           "the key is damaged: its public part is not that of its private");
  EVP_PKEY_free(pkey);
  return NULL;
}

static bool write_public(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                         alk_buf_t *out)
{
  uint8_t point[POINT_MAX];
  size_t len = 0;
  if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point,
                                      sizeof point, &len) != 1 ||
      len != 1 + 2 * kind->field_len || point[0] != UNCOMPRESSED)
    return false;
  alk_buf_cstr(out, kind->curve);
  alk_buf_str(out, point, len);
  return true;
}

static bool write_private(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_buf_t *out)
{
  return write_public(kind, pkey, out) &&
         alk_key_put_num(pkey, OSSL_PKEY_PARAM_PRIV_KEY, out);
}

static EVP_PKEY *generate(const alk_key_kind_t *kind)
{
  return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind->group);
}

static bool put_half(const BIGNUM *n, size_t field_len, alk_buf_t *out)
{
  uint8_t bytes[FIELD_MAX];
  if (BN_bn2binpad(n, bytes, (int) field_len) != (int) field_len) return false;
  alk_buf_mpint(out, bytes, field_len);
  return true;
}

static bool sig_to_wire(const alk_key_kind_t *kind, const uint8_t *sig,
                        size_t len, alk_buf_t *out)
{
  const uint8_t *p = sig;
  ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long) len);
  bool ok = pair != NULL && p == sig + len &&
            put_half(ECDSA_SIG_get0_r(pair), kind->field_len, out) &&
            put_half(ECDSA_SIG_get0_s(pair), kind->field_len, out);
  ECDSA_SIG_free(pair);
  return ok;
}

static bool sig_from_wire(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_rd_t wire, alk_buf_t *out)
{
  (void) pkey;
  alk_num_t r = alk_key_num(&wire, kind->field_len);
  alk_num_t s = alk_key_num(&wire, kind->field_len);
  if (!alk_rd_done(&wire)) return false;
  ECDSA_SIG *pair = ECDSA_SIG_new();
  BIGNUM *bn_r = BN_bin2bn(r.p, (int) r.len, NULL);
  BIGNUM *bn_s = BN_bin2bn(s.p, (int) s.len, NULL);
  int len = -1;
  if (pair != NULL && bn_r != NULL && bn_s != NULL &&
      ECDSA_SIG_set0(pair, bn_r, bn_s) == 1) {
    bn_r = bn_s = NULL; /* they are the pair's now */
    len = i2d_ECDSA_SIG(pair, NULL);
  }
  if (len > 0) {
    uint8_t *p = alk_buf_reserve(out, (size_t) len);
    if (i2d_ECDSA_SIG(pair, &p) == len)
      alk_buf_commit(out, (size_t) len);
    else
      len = -1;
  }
  BN_free(bn_r);
  BN_free(bn_s);
  ECDSA_SIG_free(pair);
  return len > 0;
}

#define ECDSA_KIND                                              \
  .read_public = read_public, .read_private = read_private,     \
  .write_public = write_public, .write_private = write_private, \
  .generate = generate, .sig_to_wire = sig_to_wire,             \
  .sig_from_wire = sig_from_wire

const alk_key_kind_t alk_key_p256 = {
  .type = "ecdsa-sha2-nistp256",
  .name = "ecdsa",
  .curve = "nistp256",
  .group = "P-256",
  .field_len = 32,
  ECDSA_KIND,
};

const alk_key_kind_t alk_key_p384 = {
  .type = "ecdsa-sha2-nistp384",
  .curve = "nistp384",
  .group = "P-384",
  .field_len = 48,
  ECDSA_KIND,
};

const alk_key_kind_t alk_key_p521 = {
  .type = "ecdsa-sha2-nistp521",
  .curve = "nistp521",
  .group = "P-521",
  .field_len = FIELD_MAX,
  ECDSA_KIND,
};
