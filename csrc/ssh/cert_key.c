/* cert_key.c - certificates where a key is asked for. Each is read in full: no
 * key comes out of one that its CA did not sign. */
#include "ssh/cert.h"
#include "ssh/key_impl.h"

alk_key_t *alk_cert_subject(const uint8_t *blob, size_t len, alk_err_t *err)
{
  if (!alk_cert_is(blob, len)) return alk_key_read_blob(blob, len, err);
  alk_cert_t *c = alk_cert_read(blob, len, err);
  if (c == NULL) return NULL;
  alk_key_t *k = c->key;
  c->key = NULL;
  alk_cert_free(c);
  return k;
}

bool alk_cert_fingerprint(const uint8_t *blob, size_t len,
                          char out[ALK_FINGERPRINT_MAX])
{
  out[0] = '\0';
  alk_key_t *k = alk_cert_subject(blob, len, NULL);
  if (k == NULL) return false;
  size_t key_len;
  const uint8_t *key_blob = alk_key_blob(k, &key_len);
  bool ok = alk_fingerprint(key_blob, key_len, out);
  alk_key_free(k);
  return ok;
}

bool alk_key_attach_cert(alk_key_t *k, const uint8_t *blob, size_t len,
                         alk_err_t *err)
{
  if (!k->is_private) {
    alk_fail(err, ALK_E_KEY, 0, "only a private key takes a certificate");
    return false;
  }
  alk_cert_t *c = alk_cert_read(blob, len, err);
  if (c == NULL) return false;
  size_t key_len;
  const uint8_t *key_blob = alk_key_blob(c->key, &key_len);
  bool ok = alk_key_has_blob(k, key_blob, key_len);
  if (ok) {
    alk_buf_free(&k->cert);
    alk_buf_add(&k->cert, c->blob, c->blob_len);
    k->cert_type = c->type;
  } else {
    alk_fail(err, ALK_E_KEY, 0, "the certificate is for another key");
  }
  alk_cert_free(c);
  return ok;
}
