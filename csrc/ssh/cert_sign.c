/* cert_sign.c - certificates made: the fields of cert.c written in their order,
 * and the CA's signature over them. */
#include "ssh/cert_sign.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "core/mem.h"

enum { NONCE_LEN = 32 }; /* OpenSSH's */

/* Certificates have 16 KiB; what is too long for one is not copied at all. */
static bool is_small(const alk_cert_spec_t *spec)
{
  size_t total = spec->key_len + strlen(spec->key_id);
  for (size_t i = 0; i < spec->principals_count && total < ALK_KEY_BLOB_MAX;
       i++)
    total += 4 + strlen(spec->principals[i]);
  return total < ALK_KEY_BLOB_MAX &&
         spec->principals_count <= ALK_CERT_PRINCIPALS_MAX &&
         spec->critical_count <= ALK_CERT_OPTIONS_MAX &&
         spec->extensions_count <= ALK_CERT_OPTIONS_MAX;
}

static int by_name(const void *a, const void *b)
{
  const alk_cert_spec_option_t *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static void put_value(alk_buf_t *out, const char *text)
{
  alk_buf_t value = {0};
  if (text != NULL) alk_buf_cstr(&value, text);
  alk_buf_str(out, alk_buf_head(&value), alk_buf_size(&value));
  alk_buf_free(&value);
}

static void put_options(alk_buf_t *out, const alk_cert_spec_option_t *options,
                        size_t count)
{
  alk_buf_t all = {0};
  alk_cert_spec_option_t *sorted = alk_memdup(options, count * sizeof *options);
  if (count > 1) qsort(sorted, count, sizeof *sorted, by_name);
  for (size_t i = 0; i < count; i++) {
    alk_buf_cstr(&all, sorted[i].name);
    put_value(&all, sorted[i].text);
  }
  alk_buf_str(out, alk_buf_head(&all), alk_buf_size(&all));
  alk_free(sorted);
  alk_buf_free(&all);
}

static void put_principals(alk_buf_t *out, const alk_cert_spec_t *spec)
{
  alk_buf_t all = {0};
  for (size_t i = 0; i < spec->principals_count; i++)
    alk_buf_cstr(&all, spec->principals[i]);
  alk_buf_str(out, alk_buf_head(&all), alk_buf_size(&all));
  alk_buf_free(&all);
}

/* The type, a nonce that makes the signature's input unforeseeable, the key. */
static bool put_key(alk_buf_t *out, const alk_key_t *key, alk_err_t *err)
{
  static const char suffix[] = "-cert-v01@openssh.com";
  uint8_t nonce[NONCE_LEN];
  if (RAND_bytes(nonce, sizeof nonce) != 1) {
    alk_fail(err, ALK_E_CRYPTO, 0, "no random numbers");
    return false;
  }
  const char *type = alk_key_type(key);
  size_t len, type_len = strlen(type), skip = 4 + type_len;
  const uint8_t *blob = alk_key_blob(key, &len);
  alk_buf_u32(out, (uint32_t) (type_len + strlen(suffix)));
  alk_buf_add(out, type, type_len);
  alk_buf_add(out, suffix, strlen(suffix));
  alk_buf_str(out, nonce, sizeof nonce);
  alk_buf_add(out, blob + skip, len - skip);
  return true;
}

static void put_statement(alk_buf_t *out, const alk_cert_spec_t *spec,
                          const alk_key_t *ca)
{
  alk_buf_u64(out, spec->serial);
  alk_buf_u32(out, (uint32_t) spec->kind);
  alk_buf_cstr(out, spec->key_id);
  put_principals(out, spec);
  alk_buf_u64(out, spec->valid_after);
  alk_buf_u64(out, spec->valid_before);
  put_options(out, spec->critical, spec->critical_count);
  put_options(out, spec->extensions, spec->extensions_count);
  alk_buf_str(out, "", 0); /* reserved */
  size_t len;
  const uint8_t *blob = alk_key_blob(ca, &len);
  alk_buf_str(out, blob, len);
}

static bool put_signature(alk_buf_t *out, const alk_key_t *ca, alk_err_t *err)
{
  const char *algorithm = alk_key_type(ca);
  if (strcmp(algorithm, "ssh-rsa") == 0) algorithm = "rsa-sha2-512";
  alk_buf_t sig = {0};
  bool ok = alk_key_sign(ca, algorithm, alk_buf_head(out), alk_buf_size(out),
                         &sig, err);
  if (ok) alk_buf_str(out, alk_buf_head(&sig), alk_buf_size(&sig));
  alk_buf_free(&sig);
  return ok;
}

static bool build(const alk_key_t *ca, const alk_cert_spec_t *spec,
                  alk_buf_t *cert, alk_err_t *err)
{
  alk_key_t *key = alk_key_read_blob(spec->key, spec->key_len, err);
  if (key == NULL) return false;
  bool ok = put_key(cert, key, err);
  alk_key_free(key);
  if (!ok) return false;
  put_statement(cert, spec, ca);
  return put_signature(cert, ca, err);
}

bool alk_cert_sign(const alk_key_t *ca, const alk_cert_spec_t *spec,
                   alk_buf_t *out, alk_err_t *err)
{
  if (!is_small(spec)) {
    alk_fail(err, ALK_E_KEY, 0, "the certificate would be too long");
    return false;
  }
  alk_buf_t cert = {0};
  alk_cert_t *c = NULL;
  if (build(ca, spec, &cert, err))
    c = alk_cert_read(alk_buf_head(&cert), alk_buf_size(&cert), err);
  bool ok = c != NULL;
  if (ok) alk_buf_add(out, alk_buf_head(&cert), alk_buf_size(&cert));
  alk_cert_free(c);
  alk_buf_free(&cert);
  return ok;
}
