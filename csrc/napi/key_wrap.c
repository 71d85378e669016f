/* key_wrap.c - keys as JS objects. What may take long (an encrypted key's KDF,
 * making an RSA key) runs on libuv's pool and answers with a promise. */
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "napi/work.h"
#include "ssh/key.h"

typedef struct {
  wrap_t wrap; /* first */
  alk_key_t *key;
} key_wrap_t;

static void free_key(void *p)
{
  key_wrap_t *w = p;
  alk_key_free(w->key);
  alk_free(w);
}

static napi_value wrap_key(wrap_env_t *e, alk_key_t *key)
{
  key_wrap_t *w = alk_alloc(sizeof *w);
  w->key = key;
  napi_value object = wrap_new(e, &key_class, &w->wrap);
  if (object != NULL) wrap_detach(&w->wrap); /* the collector's, at once */
  return object;
}

alk_key_t *key_arg(napi_env env, napi_value v)
{
  key_wrap_t *w = wrap_arg(env, v, &key_class);
  return w == NULL ? NULL : w->key;
}

typedef struct {  /* one call that runs on the pool */
  work_t work;    /* first */
  napi_ref keeps; /* the Key that a write reads, or NULL */
  char *in;
  size_t in_len;
  char passphrase[1024], type[32], comment[256];
  bool has_passphrase;
  alk_key_t *key; /* read: the result; write: the input, the caller's */
  alk_buf_t out;
} job_t;

static void run_read(work_t *work)
{
  job_t *j = (job_t *) work;
  j->key = alk_key_read_private(
    j->in, j->in_len, j->has_passphrase ? j->passphrase : NULL, &work->err);
}

static void run_generate(work_t *work)
{
  job_t *j = (job_t *) work;
  j->key = alk_key_generate(j->type, &work->err);
}

static void run_write(work_t *work)
{
  job_t *j = (job_t *) work;
  (void) alk_key_write_private(j->key, j->has_passphrase ? j->passphrase : NULL,
                               j->comment, &j->out, &work->err);
}

static napi_value new_key(wrap_env_t *e, work_t *work)
{
  job_t *j = (job_t *) work;
  alk_key_t *key = j->key;
  j->key = NULL;
  return wrap_key(e, key);
}

static napi_value written(wrap_env_t *e, work_t *work)
{
  job_t *j = (job_t *) work;
  return wrap_buffer(e->env, alk_buf_head(&j->out), alk_buf_size(&j->out));
}

static void free_job(napi_env env, work_t *work)
{
  job_t *j = (job_t *) work;
  if (j->keeps != NULL)
    (void) napi_delete_reference(env, j->keeps);
  else
    alk_key_free(j->key); /* read, and nobody wants it any more */
  alk_free_secret(j->in, j->in_len);
  alk_buf_free_secret(&j->out);
  alk_free_secret(j, sizeof *j);
}

static const work_kind_t read_work = {"alknet:key", run_read, new_key,
                                      free_job};
static const work_kind_t generate_work = {"alknet:key", run_generate, new_key,
                                          free_job};
static const work_kind_t write_work = {"alknet:key", run_write, written,
                                       free_job};

static job_t *job_new(const work_kind_t *kind)
{
  job_t *j = alk_alloc(sizeof *j);
  j->work.kind = kind;
  return j;
}

static bool take_passphrase(napi_env env, napi_value v, job_t *j)
{
  j->has_passphrase = !wrap_is_null(env, v);
  return !j->has_passphrase ||
         wrap_str(env, v, j->passphrase, sizeof j->passphrase);
}

/* Text or bytes, as they come from a file. */
static bool take_text(napi_env env, napi_value v, char **out, size_t *len)
{
  napi_valuetype type;
  const char *bytes;
  if (napi_typeof(env, v, &type) != napi_ok) return false;
  if (type != napi_string) {
    if (!wrap_bytes(env, v, &bytes, len)) return false;
    if (*len <= ALK_KEY_FILE_MAX) *out = alk_memdup(bytes, *len);
  } else {
    if (napi_get_value_string_utf8(env, v, NULL, 0, len) != napi_ok)
      return false;
    if (*len <= ALK_KEY_FILE_MAX) {
      *out = alk_alloc(*len + 1);
      (void) napi_get_value_string_utf8(env, v, *out, *len + 1, len);
    }
  }
  if (*len <= ALK_KEY_FILE_MAX) return true;
  alk_err_t err;
  alk_fail(&err, ALK_E_KEY, 0, "the key file is too large");
  wrap_throw(env, &err);
  return false;
}

napi_value key_read_private(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  wrap_args(env, info, 2, argv);
  job_t *j = job_new(&read_work);
  if (take_text(env, argv[0], &j->in, &j->in_len) &&
      take_passphrase(env, argv[1], j))
    return work_queue(env, &j->work);
  work_free(env, &j->work);
  return NULL;
}

napi_value key_generate(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  wrap_args(env, info, 1, argv);
  job_t *j = job_new(&generate_work);
  if (wrap_str(env, argv[0], j->type, sizeof j->type))
    return work_queue(env, &j->work);
  work_free(env, &j->work);
  return NULL;
}

static napi_value write_private(napi_env env, napi_callback_info info)
{
  napi_value argv[2], self;
  size_t argc = 2;
  if (napi_get_cb_info(env, info, &argc, argv, &self, NULL) != napi_ok)
    return NULL;
  alk_key_t *key = key_arg(env, self);
  if (key == NULL) return NULL;
  napi_ref keeps;
  if (napi_create_reference(env, self, 1, &keeps) != napi_ok) return NULL;
  job_t *j = job_new(&write_work);
  j->keeps = keeps;
  j->key = key;
  if (take_passphrase(env, argv[0], j) &&
      wrap_str(env, argv[1], j->comment, sizeof j->comment))
    return work_queue(env, &j->work);
  work_free(env, &j->work);
  return NULL;
}

napi_value key_read_blob(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const char *p;
  size_t len;
  alk_err_t err;
  wrap_args(env, info, 1, argv);
  if (!wrap_bytes(env, argv[0], &p, &len)) return NULL;
  alk_key_t *key = alk_key_read_blob((const uint8_t *) p, len, &err);
  return key == NULL ? wrap_throw(env, &err) : wrap_key(wrap_env(env), key);
}

napi_value key_take_parcel(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint64_t number;
  alk_err_t err;
  wrap_args(env, info, 1, argv);
  if (!wrap_u53(env, argv[0], &number)) return NULL;
  alk_key_t *key = alk_key_take(number);
  if (key != NULL) return wrap_key(wrap_env(env), key);
  alk_fail(&err, ALK_E_CLOSED, 0, "there is no such key");
  return wrap_throw(env, &err);
}

napi_value key_format(napi_env env, napi_callback_info info)
{
  static const char *const names[] = {
    [ALK_KEY_FORMAT_OPENSSH] = "openssh",
    [ALK_KEY_FORMAT_OPENSSH_ENCRYPTED] = "encrypted",
    [ALK_KEY_FORMAT_PEM] = "pem",
    [ALK_KEY_FORMAT_UNKNOWN] = "unknown",
  };
  napi_value argv[1];
  char *text = NULL;
  size_t len;
  wrap_args(env, info, 1, argv);
  if (!take_text(env, argv[0], &text, &len)) return NULL;
  napi_value name = wrap_text(env, names[alk_key_format(text, len)]);
  alk_free_secret(text, len);
  return name;
}

napi_value key_fingerprint(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const char *p;
  size_t len;
  char out[ALK_FINGERPRINT_MAX];
  wrap_args(env, info, 1, argv);
  if (!wrap_bytes(env, argv[0], &p, &len)) return NULL;
  if (alk_fingerprint((const uint8_t *) p, len, out))
    return wrap_text(env, out);
  alk_err_t err;
  alk_fail(&err, ALK_E_CRYPTO, 0, "SHA-256 failed");
  return wrap_throw(env, &err);
}

static alk_key_t *self(napi_env env, napi_callback_info info, size_t argc,
                       napi_value *argv)
{
  key_wrap_t *w = wrap_this(env, info, &key_class, argc, argv);
  return w == NULL ? NULL : w->key;
}

static napi_value type(napi_env env, napi_callback_info info)
{
  alk_key_t *k = self(env, info, 0, NULL);
  return k == NULL ? NULL : wrap_text(env, alk_key_type(k));
}

static napi_value bits(napi_env env, napi_callback_info info)
{
  alk_key_t *k = self(env, info, 0, NULL);
  return k == NULL ? NULL : wrap_number(env, alk_key_bits(k));
}

static napi_value comment(napi_env env, napi_callback_info info)
{
  alk_key_t *k = self(env, info, 0, NULL);
  return k == NULL ? NULL : wrap_text(env, alk_key_comment(k));
}

static napi_value is_private(napi_env env, napi_callback_info info)
{
  napi_value v;
  alk_key_t *k = self(env, info, 0, NULL);
  if (k == NULL) return NULL;
  return napi_get_boolean(env, alk_key_is_private(k), &v) == napi_ok ? v : NULL;
}

static napi_value blob(napi_env env, napi_callback_info info)
{
  size_t len;
  alk_key_t *k = self(env, info, 0, NULL);
  if (k == NULL) return NULL;
  const uint8_t *p = alk_key_blob(k, &len);
  return wrap_buffer(env, p, len);
}

/* Another Key with the same numbers, so that one may have a certificate that
 * the other has not. */
static napi_value dup_(napi_env env, napi_callback_info info)
{
  alk_key_t *k = self(env, info, 0, NULL);
  return k == NULL ? NULL : wrap_key(wrap_env(env), alk_key_dup(k));
}

/* To another thread: the number that takeKey() there wants. */
static napi_value send_(napi_env env, napi_callback_info info)
{
  alk_key_t *k = self(env, info, 0, NULL);
  if (k == NULL) return NULL;
  return wrap_number(env, (double) alk_key_send(wrap_env(env)->loop, k));
}

static napi_value attach_certificate(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const char *p;
  size_t len;
  alk_err_t err;
  alk_key_t *k = self(env, info, 1, argv);
  if (k == NULL || !wrap_bytes(env, argv[0], &p, &len)) return NULL;
  if (!alk_key_attach_cert(k, (const uint8_t *) p, len, &err))
    return wrap_throw(env, &err);
  return NULL;
}

static napi_value certificate(napi_env env, napi_callback_info info)
{
  size_t len;
  napi_value none;
  alk_key_t *k = self(env, info, 0, NULL);
  if (k == NULL) return NULL;
  const uint8_t *p = alk_key_cert(k, &len);
  if (p != NULL) return wrap_buffer(env, p, len);
  return napi_get_null(env, &none) == napi_ok ? none : NULL;
}

static napi_value write_public(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  char text[256];
  alk_buf_t out = {0};
  alk_key_t *k = self(env, info, 1, argv);
  if (k == NULL || !wrap_str(env, argv[0], text, sizeof text)) return NULL;
  alk_key_write_public(k, text, &out);
  alk_buf_u8(&out, 0);
  napi_value line = wrap_text(env, (const char *) alk_buf_head(&out));
  alk_buf_free(&out);
  return line;
}

static const wrap_method_t methods[] = {
  {"blob", blob},
  {"dup", dup_},
  {"send", send_},
  {"attachCertificate", attach_certificate},
  {"writePrivate", write_private},
  {"writePublic", write_public},
  {NULL, NULL},
};
static const wrap_method_t getters[] = {
  {"type", type},
  {"bits", bits},
  {"comment", comment},
  {"isPrivate", is_private},
  {"certificate", certificate},
  {NULL, NULL},
};

const wrap_class_t key_class = {
  .id = WRAP_KEY,
  .name = "Key",
  .methods = methods,
  .getters = getters,
  .free = free_key,
};
