/* cert_wrap.c - certificates and revocation lists for JS: read and asked. A
 * certificate becomes a plain object; signing is cert_sign_wrap.c. */
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "ssh/cert.h"
#include "ssh/krl.h"

static bool blob_arg(napi_env env, napi_value v, const uint8_t **p, size_t *len)
{
  const char *bytes = NULL;
  if (!wrap_bytes(env, v, &bytes, len)) return false;
  *p = (const uint8_t *) bytes;
  return true;
}

/* The same text in JS; NULL: it is not UTF-8, which JS would make something
 * else of, and two different texts one. */
static napi_value exact_text(napi_env env, const char *s)
{
  size_t len = strlen(s), back = 0;
  napi_value v = NULL;
  char *copy =
    alk_alloc(len + 4); /* a code unit more, to see that it is more */
  bool same =
    napi_create_string_utf8(env, s, len, &v) == napi_ok &&
    napi_get_value_string_utf8(env, v, copy, len + 4, &back) == napi_ok &&
    back == len && memcmp(copy, s, len) == 0;
  alk_free(copy);
  return same ? v : NULL;
}

static napi_value big(napi_env env, uint64_t n)
{
  napi_value v = NULL;
  (void) napi_create_bigint_uint64(env, n, &v);
  return v;
}

/* Where a text is not exact, *exact becomes false. */
static void set_text(napi_env env, napi_value object, const char *key,
                     const char *s, bool *exact)
{
  napi_value v = exact_text(env, s);
  if (v == NULL) *exact = false;
  wrap_set(env, object, key, v);
}

static void set_options(napi_env env, napi_value object, const char *key,
                        const alk_cert_options_t *options, bool *exact)
{
  napi_value list, o;
  if (napi_create_array(env, &list) != napi_ok) return;
  for (uint32_t i = 0; i < options->count; i++) {
    const alk_cert_option_t *it = &options->list[i];
    if (napi_create_object(env, &o) != napi_ok) return;
    napi_value text = it->text == NULL ? NULL : exact_text(env, it->text);
    set_text(env, o, "name", it->name, exact);
    wrap_set(env, o, "value", text == NULL ? wrap_null(env) : text);
    wrap_set(env, o, "data", wrap_buffer(env, it->value.p, it->value.len));
    (void) napi_set_element(env, list, i, o);
  }
  wrap_set(env, object, key, list);
}

static void set_principals(napi_env env, napi_value object, const alk_cert_t *c,
                           bool *exact)
{
  napi_value list;
  if (napi_create_array(env, &list) != napi_ok) return;
  for (uint32_t i = 0; i < c->principals_count; i++) {
    napi_value v = exact_text(env, c->principals[i]);
    if (v == NULL)
      *exact = false;
    else
      (void) napi_set_element(env, list, i, v);
  }
  wrap_set(env, object, "principals", list);
}

/* False: the fingerprint could not be made. */
static bool set_key(napi_env env, napi_value object, const char *name,
                    const char *print_name, const alk_key_t *k)
{
  size_t len;
  char print[ALK_FINGERPRINT_MAX];
  const uint8_t *blob = alk_key_blob(k, &len);
  if (!alk_fingerprint(blob, len, print)) return false;
  wrap_set(env, object, name, wrap_buffer(env, blob, len));
  wrap_set(env, object, print_name, wrap_text(env, print));
  return true;
}

static const char *const kinds[] = {
  [ALK_CERT_USER] = "user",
  [ALK_CERT_HOST] = "host",
};

/* NULL: thrown, and err says why when it is not an exception of N-API's. */
static napi_value cert_object(napi_env env, const alk_cert_t *c, alk_err_t *err)
{
  napi_value o;
  bool exact = true;
  if (napi_create_object(env, &o) != napi_ok) return NULL;
  if (!set_key(env, o, "key", "fingerprint", c->key) ||
      !set_key(env, o, "ca", "caFingerprint", c->ca)) {
    alk_fail(err, ALK_E_CRYPTO, 0, "SHA-256 failed");
    return NULL;
  }
  wrap_set(env, o, "type", wrap_text(env, c->type));
  wrap_set(env, o, "keyType", wrap_text(env, alk_key_type(c->key)));
  wrap_set(env, o, "caType", wrap_text(env, alk_key_type(c->ca)));
  wrap_set(env, o, "algorithm", wrap_text(env, c->algorithm));
  wrap_set(env, o, "kind", wrap_text(env, kinds[c->kind]));
  wrap_set(env, o, "serial", big(env, c->serial));
  wrap_set(env, o, "validAfter", big(env, c->valid_after));
  wrap_set(env, o, "validBefore", big(env, c->valid_before));
  set_text(env, o, "keyId", c->key_id, &exact);
  set_principals(env, o, c, &exact);
  set_options(env, o, "critical", &c->critical, &exact);
  set_options(env, o, "extensions", &c->extensions, &exact);
  if (exact) return o;
  alk_fail(err, ALK_E_KEY, 0, "the certificate has texts that are not UTF-8");
  return NULL;
}

napi_value cert_read(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const uint8_t *p;
  size_t len;
  alk_err_t err = {0};
  wrap_args(env, info, 1, argv);
  if (!blob_arg(env, argv[0], &p, &len)) return NULL;
  alk_cert_t *c = alk_cert_read(p, len, &err);
  napi_value object = c == NULL ? NULL : cert_object(env, c, &err);
  alk_cert_free(c);
  if (object == NULL && err.code != ALK_OK) wrap_throw(env, &err);
  return object;
}

napi_value cert_is(napi_env env, napi_callback_info info)
{
  napi_value argv[1], v = NULL;
  const uint8_t *p;
  size_t len;
  wrap_args(env, info, 1, argv);
  if (!blob_arg(env, argv[0], &p, &len)) return NULL;
  (void) napi_get_boolean(env, alk_cert_is(p, len), &v);
  return v;
}

bool cert_kind_arg(napi_env env, napi_value v, int *kind)
{
  char text[8];
  if (!wrap_str(env, v, text, sizeof text)) return false;
  for (*kind = ALK_CERT_USER; *kind <= ALK_CERT_HOST; ++*kind)
    if (strcmp(text, kinds[*kind]) == 0) return true;
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "expected 'user' or 'host'");
  wrap_throw(env, &err);
  return false;
}

/* Seconds, of which the first 2^53 are as many as anybody needs. */
static bool seconds_arg(napi_env env, napi_value v, uint64_t *out)
{
  double d;
  if (napi_get_value_double(env, v, &d) == napi_ok && d >= 0 && d < 0x1p53) {
    *out = (uint64_t) d;
    return true;
  }
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "expected seconds since 1970");
  wrap_throw(env, &err);
  return false;
}

napi_value cert_check(napi_env env, napi_callback_info info)
{
  napi_value argv[4];
  const uint8_t *p;
  size_t len;
  int kind;
  uint64_t now;
  char principal[ALK_KEY_BLOB_MAX];
  alk_err_t err = {0};
  wrap_args(env, info, 4, argv);
  bool anybody = wrap_is_null(env, argv[2]);
  if (!blob_arg(env, argv[0], &p, &len) ||
      !cert_kind_arg(env, argv[1], &kind) ||
      !(anybody || wrap_str(env, argv[2], principal, sizeof principal)) ||
      !seconds_arg(env, argv[3], &now))
    return NULL;
  alk_cert_t *c = alk_cert_read(p, len, &err);
  bool ok = c != NULL && alk_cert_check(c, (alk_cert_kind_t) kind,
                                        anybody ? NULL : principal, now, &err);
  alk_cert_free(c);
  return ok ? wrap_null(env) : wrap_text(env, err.msg);
}

typedef struct {
  wrap_t wrap; /* first */
  alk_krl_t *krl;
} krl_wrap_t;

static void free_krl(void *p)
{
  krl_wrap_t *w = p;
  alk_krl_free(w->krl);
  alk_free(w);
}

napi_value krl_read(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const uint8_t *p;
  size_t len;
  alk_err_t err = {0};
  wrap_args(env, info, 1, argv);
  if (!blob_arg(env, argv[0], &p, &len)) return NULL;
  alk_krl_t *krl = alk_krl_read(p, len, &err);
  if (krl == NULL) return wrap_throw(env, &err);
  krl_wrap_t *w = alk_alloc(sizeof *w);
  w->krl = krl;
  napi_value object = wrap_new(wrap_env(env), &krl_class, &w->wrap);
  if (object != NULL) wrap_detach(&w->wrap); /* the collector's, at once */
  return object;
}

static napi_value revokes(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const uint8_t *p;
  size_t len;
  krl_wrap_t *w = wrap_this(env, info, &krl_class, 1, argv);
  if (w == NULL || !blob_arg(env, argv[0], &p, &len)) return NULL;
  const char *why = alk_krl_revokes(w->krl, p, len);
  return why == NULL ? wrap_null(env) : wrap_text(env, why);
}

static const wrap_method_t methods[] = {
  {"revokes", revokes},
  {NULL, NULL},
};

const wrap_class_t krl_class = {
  .id = WRAP_KRL,
  .name = "Krl",
  .methods = methods,
  .free = free_krl,
};
