/* key.c - what all keys have in common: the kinds, their public blob, names.
 *
 * A key is an EVP_PKEY and its blob. The blob is made once, from the numbers
 * that OpenSSL holds, and compared with what was read: so two spellings of one
 * key never pass for two keys.
 *
 * OpenSSL's error queue belongs to the thread, which TLS shares. Whoever calls
 * OpenSSL here sets a mark first and pops back to it. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

#include "core/mem.h"
#include "core/parcel.h"

#include "ssh/key_impl.h"

static const alk_key_kind_t *const kinds[] = {
  &alk_key_ed25519, &alk_key_p256, &alk_key_p384, &alk_key_p521, &alk_key_rsa};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* What comes from a peer stays out of messages unless it is short and plain. */
const char *alk_key_type_text(const uint8_t *p, size_t len,
                              char out[ALK_KEY_TYPE_MAX + 1])
{
  if (len == 0 || len > ALK_KEY_TYPE_MAX) return "(unreadable)";
  for (size_t i = 0; i < len; i++) {
    if (p[i] <= ' ' || p[i] >= 0x7f) return "(unreadable)";
    out[i] = (char) p[i];
  }
  out[len] = '\0';
  return out;
}

static bool type_begins(const uint8_t *p, size_t len, const char *text)
{
  return len >= strlen(text) && memcmp(p, text, strlen(text)) == 0;
}

static const char *advice_for(const uint8_t *p, size_t len)
{
  if (type_begins(p, len, "sk-"))
    return ": keys on security tokens need an agent";
  if (type_begins(p, len, "ssh-dss")) return ": DSA is not secure";
  if (len > 21 && memcmp(p + len - 21, "-cert-v01@openssh.com", 21) == 0)
    return ": it is a certificate, not a key";
  return "; supported are Ed25519, ECDSA and RSA";
}

const alk_key_kind_t *alk_key_read_kind(alk_rd_t *r, const char *what,
                                        alk_err_t *err)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (p == NULL) {
    alk_fail(err, ALK_E_KEY, 0, "the %s is damaged: it is cut short", what);
    return NULL;
  }
  for (size_t i = 0; i < KINDS; i++)
    if (strlen(kinds[i]->type) == len && memcmp(kinds[i]->type, p, len) == 0)
      return kinds[i];
  char text[ALK_KEY_TYPE_MAX + 1];
  alk_fail(err, ALK_E_KEY, 0, "the key type %s is not supported%s",
           alk_key_type_text(p, len, text), advice_for(p, len));
  return NULL;
}

alk_num_t alk_key_num(alk_rd_t *r, size_t max_len)
{
  alk_num_t n = {NULL, 0};
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (p == NULL || len == 0 || (p[0] & 0x80) != 0) goto bad;
  if (p[0] == 0) { /* stands there only to keep the number positive */
    if (len == 1 || (p[1] & 0x80) == 0) goto bad;
    p++;
    len--;
  }
  if (len > max_len) goto bad;
  n = (alk_num_t){p, len};
  return n;

bad:
  r->bad = true;
  r->len = 0;
  return n;
}

unsigned alk_num_bits(alk_num_t n)
{
  if (n.len == 0) return 0;
  unsigned bits = (unsigned) n.len * 8;
  for (unsigned top = n.p[0]; top < 0x80; top <<= 1)
    bits--;
  return bits;
}

BIGNUM *alk_num_secret(alk_num_t n)
{
  BIGNUM *bn = BN_secure_new();
  if (bn == NULL) return NULL;
  BN_set_flags(bn, BN_FLG_CONSTTIME);
  if (BN_bin2bn(n.p, (int) n.len, bn) != NULL) return bn;
  BN_clear_free(bn);
  return NULL;
}

bool alk_key_put_num(const EVP_PKEY *pkey, const char *param, alk_buf_t *out)
{
  uint8_t bytes[ALK_RSA_MAX_BYTES];
  BIGNUM *bn = BN_secure_new();
  bool ok = bn != NULL && EVP_PKEY_get_bn_param(pkey, param, &bn) == 1 &&
            BN_num_bytes(bn) <= (int) sizeof bytes;
  int len = ok ? BN_bn2bin(bn, bytes) : 0;
  if (len > 0) alk_buf_mpint(out, bytes, (size_t) len);
  OPENSSL_cleanse(bytes, sizeof bytes);
  BN_clear_free(bn);
  return len > 0;
}

EVP_PKEY *alk_key_from(const char *algorithm, int selection,
                       OSSL_PARAM_BLD *bld)
{
  if (bld == NULL) return NULL;
  EVP_PKEY *pkey = NULL;
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
  if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
      EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1) {
    EVP_PKEY_free(pkey);
    pkey = NULL;
  }
  EVP_PKEY_CTX_free(ctx);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(bld);
  return pkey;
}

alk_key_t *alk_key_new(const alk_key_kind_t *kind, EVP_PKEY *pkey,
                       bool is_private, alk_err_t *err)
{
  if (pkey == NULL) return NULL;
  alk_key_t *k = alk_alloc(sizeof *k);
  *k = (alk_key_t){.kind = kind, .pkey = pkey, .is_private = is_private};
  k->comment = alk_strdup("");
  alk_buf_cstr(&k->blob, kind->type);
  if (kind->write_public(kind, pkey, &k->blob)) return k;
  alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot export a key");
  alk_key_free(k);
  return NULL;
}

bool alk_key_has_blob(const alk_key_t *k, const uint8_t *blob, size_t len)
{
  return alk_buf_size(&k->blob) == len &&
         memcmp(alk_buf_head(&k->blob), blob, len) == 0;
}

/* The kind is known to be k's. */
static bool has_fields(const alk_key_t *k, const uint8_t *p, size_t len)
{
  size_t type_len = 4 + strlen(k->kind->type);
  return alk_buf_size(&k->blob) == type_len + len &&
         memcmp(alk_buf_head(&k->blob) + type_len, p, len) == 0;
}

alk_key_t *alk_key_read_fields(const alk_key_kind_t *kind, alk_rd_t *r,
                               const char *what, alk_err_t *err)
{
  const uint8_t *from = r->p;
  alk_key_t *k = NULL;
  ERR_set_mark();
  EVP_PKEY *pkey = kind->read_public(kind, r, err);
  if (r->bad) {
    alk_fail(err, ALK_E_KEY, 0, "the %s is damaged", what);
    EVP_PKEY_free(pkey);
  } else {
    k = alk_key_new(kind, pkey, false, err);
  }
  if (k != NULL && !has_fields(k, from, (size_t) (r->p - from))) {
    alk_fail(err, ALK_E_KEY, 0, "the %s is not in its one form", what);
    alk_key_free(k);
    k = NULL;
  }
  ERR_pop_to_mark();
  return k;
}

alk_key_t *alk_key_read_blob(const uint8_t *blob, size_t len, alk_err_t *err)
{
  if (len == 0 || len > ALK_KEY_BLOB_MAX) {
    alk_fail(err, ALK_E_KEY, 0, "the public key is %s",
             len == 0 ? "empty" : "too long");
    return NULL;
  }
  alk_rd_t r = alk_rd(blob, len);
  const alk_key_kind_t *kind = alk_key_read_kind(&r, "public key", err);
  if (kind == NULL) return NULL;
  alk_key_t *k = alk_key_read_fields(kind, &r, "public key", err);
  if (k == NULL || r.len == 0) return k;
  alk_fail(err, ALK_E_KEY, 0, "the public key is damaged");
  alk_key_free(k);
  return NULL;
}

alk_key_t *alk_key_dup(const alk_key_t *k)
{
  alk_key_t *copy = alk_alloc(sizeof *copy);
  *copy = *k;
  CHECK(EVP_PKEY_up_ref(k->pkey) == 1);
  copy->comment = alk_strdup(k->comment);
  copy->blob = copy->cert = (alk_buf_t){0};
  alk_buf_add(&copy->blob, alk_buf_head(&k->blob), alk_buf_size(&k->blob));
  alk_buf_add(&copy->cert, alk_buf_head(&k->cert), alk_buf_size(&k->cert));
  return copy;
}

alk_key_t *alk_key_generate(const char *type, alk_err_t *err)
{
  const alk_key_kind_t *kind = NULL;
  for (size_t i = 0; i < KINDS; i++)
    if (kinds[i]->name != NULL && strcmp(kinds[i]->name, type) == 0)
      kind = kinds[i];
  if (kind == NULL) {
    alk_fail(err, ALK_E_OPTION, 0,
             "the key type \"%.32s\" is unknown: ed25519, ecdsa or rsa", type);
    return NULL;
  }
  ERR_set_mark();
  EVP_PKEY *pkey = kind->generate(kind);
  if (pkey == NULL) alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot make a key");
  alk_key_t *k = alk_key_new(kind, pkey, true, err);
  ERR_pop_to_mark();
  return k;
}

void alk_key_free(alk_key_t *k)
{
  if (k == NULL) return;
  EVP_PKEY_free(k->pkey); /* OpenSSL wipes the private numbers */
  alk_free(k->comment);
  alk_buf_free(&k->blob);
  alk_buf_free(&k->cert);
  alk_free(k);
}

static void drop_key(void *thing)
{
  alk_key_free(thing);
}

static const alk_parcel_kind_t key_parcel = {.drop = drop_key};

uint64_t alk_key_send(const alk_loop_t *from, const alk_key_t *k)
{
  return alk_parcel_send(from, &key_parcel, alk_key_dup(k));
}

alk_key_t *alk_key_take(uint64_t number)
{
  return alk_parcel_take(number, &key_parcel);
}

const char *alk_key_type(const alk_key_t *k)
{
  return k->kind->type;
}

unsigned alk_key_bits(const alk_key_t *k)
{
  int bits = EVP_PKEY_get_bits(k->pkey);
  return bits > 0 ? (unsigned) bits : 0;
}

bool alk_key_is_private(const alk_key_t *k)
{
  return k->is_private;
}

const char *alk_key_comment(const alk_key_t *k)
{
  return k->comment;
}

const uint8_t *alk_key_blob(const alk_key_t *k, size_t *len)
{
  *len = alk_buf_size(&k->blob);
  return alk_buf_head(&k->blob);
}

const uint8_t *alk_key_cert(const alk_key_t *k, size_t *len)
{
  *len = alk_buf_size(&k->cert);
  return alk_buf_head(&k->cert);
}

const char *alk_key_cert_type(const alk_key_t *k)
{
  return k->cert_type;
}

bool alk_fingerprint(const uint8_t *blob, size_t len,
                     char out[ALK_FINGERPRINT_MAX])
{
  uint8_t digest[32];
  alk_buf_t text = {0};
  out[0] = '\0';
  ERR_set_mark();
  int rc = EVP_Digest(blob, len, digest, NULL, EVP_sha256(), NULL);
  ERR_pop_to_mark();
  if (rc != 1) return false;
  alk_buf_add(&text, "SHA256:", 7);
  alk_base64_encode(digest, sizeof digest, &text);
  size_t n = alk_buf_size(&text) - 1; /* without the one '=' */
  CHECK(n < ALK_FINGERPRINT_MAX);
  memcpy(out, alk_buf_head(&text), n);
  out[n] = '\0';
  alk_buf_free(&text);
  return true;
}
