/* cert_sign_wrap.c - a CA's signature for JS. An RSA key may take long, so it
 * runs on libuv's pool and answers with a promise. Everything is copied out of
 * the JS objects first. */
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "ssh/cert_sign.h"

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  napi_ref keeps; /* the CA's Key */
  const alk_key_t *ca;
  alk_cert_spec_t spec; /* points into what follows */
  uint8_t *key;
  const char **principals;
  alk_cert_spec_option_t *critical, *extensions;
  alk_buf_t texts; /* every char * that is to be freed */
  alk_buf_t out;
  alk_err_t err;
} job_t;

static void free_job(napi_env env, job_t *j)
{
  if (j->work != NULL) (void) napi_delete_async_work(env, j->work);
  if (j->keeps != NULL) (void) napi_delete_reference(env, j->keeps);
  void *texts = j->texts.p;
  char **list = texts;
  for (size_t i = 0; i < alk_buf_size(&j->texts) / sizeof *list; i++)
    alk_free(list[i]);
  alk_buf_free(&j->texts);
  alk_free(j->key);
  alk_free(j->principals);
  alk_free(j->critical);
  alk_free(j->extensions);
  alk_buf_free(&j->out);
  alk_free(j);
}

static void execute(napi_env env, void *data)
{
  (void) env;
  job_t *j = data;
  (void) alk_cert_sign(j->ca, &j->spec, &j->out, &j->err);
}

static void complete(napi_env env, napi_status status, void *data)
{
  job_t *j = data;
  wrap_env_t *e = wrap_env(env);
  if (status != napi_ok && j->err.code == ALK_OK)
    alk_fail(&j->err, ALK_E_CANCELED, 0, "canceled");
  if (e->exiting) {
    /* Nobody is there to be told. */
  } else if (j->err.code != ALK_OK) {
    (void) napi_reject_deferred(env, j->deferred, wrap_error(e, &j->err));
  } else {
    napi_value cert =
      wrap_buffer(env, alk_buf_head(&j->out), alk_buf_size(&j->out));
    if (cert != NULL) (void) napi_resolve_deferred(env, j->deferred, cert);
  }
  free_job(env, j);
}

/* The job's; NULL: thrown. What is longer than a certificate may be is refused
 * here. */
static const char *take_text(napi_env env, napi_value v, job_t *j)
{
  char text[ALK_KEY_BLOB_MAX];
  if (!wrap_str(env, v, text, sizeof text)) return NULL;
  char *copy = alk_strdup(text);
  alk_buf_add(&j->texts, &copy, sizeof copy);
  return copy;
}

static bool refuse(napi_env env, const char *what)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "expected %s", what);
  wrap_throw(env, &err);
  return false;
}

static bool take_big(napi_env env, napi_value o, const char *name,
                     uint64_t *out)
{
  napi_value v;
  bool whole = false;
  if (napi_get_named_property(env, o, name, &v) == napi_ok &&
      napi_get_value_bigint_uint64(env, v, out, &whole) == napi_ok && whole)
    return true;
  return refuse(env, "a BigInt of 0 to 2^64 - 1");
}

/* The list that is the property of o, and how long it is. */
static bool list_of(napi_env env, napi_value o, const char *name, uint32_t max,
                    napi_value *list, uint32_t *count)
{
  bool is = false;
  if (napi_get_named_property(env, o, name, list) == napi_ok &&
      napi_is_array(env, *list, &is) == napi_ok && is &&
      napi_get_array_length(env, *list, count) == napi_ok && *count <= max)
    return true;
  return refuse(env, "an array that is not too long");
}

static bool take_principals(napi_env env, napi_value o, job_t *j)
{
  napi_value list, v;
  uint32_t count;
  if (!list_of(env, o, "principals", ALK_CERT_PRINCIPALS_MAX, &list, &count))
    return false;
  j->principals = alk_alloc((count + 1) * sizeof *j->principals);
  for (uint32_t i = 0; i < count; i++) {
    if (napi_get_element(env, list, i, &v) != napi_ok) return false;
    j->principals[i] = take_text(env, v, j);
    if (j->principals[i] == NULL) return false;
  }
  j->spec.principals = j->principals;
  j->spec.principals_count = count;
  return true;
}

static bool take_option(napi_env env, napi_value v, job_t *j,
                        alk_cert_spec_option_t *option)
{
  napi_value name, value;
  if (napi_get_named_property(env, v, "name", &name) != napi_ok ||
      napi_get_named_property(env, v, "value", &value) != napi_ok)
    return refuse(env, "an option { name, value }");
  option->name = take_text(env, name, j);
  if (option->name == NULL) return false;
  if (wrap_is_null(env, value)) return true;
  option->text = take_text(env, value, j);
  return option->text != NULL;
}

/* NULL: thrown. */
static alk_cert_spec_option_t *take_options(napi_env env, napi_value o,
                                            const char *name, job_t *j,
                                            size_t *out_count)
{
  napi_value list, v;
  uint32_t count;
  if (!list_of(env, o, name, ALK_CERT_OPTIONS_MAX, &list, &count)) return NULL;
  alk_cert_spec_option_t *options = alk_alloc((count + 1) * sizeof *options);
  for (uint32_t i = 0; i < count; i++)
    if (napi_get_element(env, list, i, &v) != napi_ok ||
        !take_option(env, v, j, &options[i])) {
      alk_free(options);
      return NULL;
    }
  *out_count = count;
  return options;
}

static bool take_key(napi_env env, napi_value o, job_t *j)
{
  napi_value v;
  const char *p;
  if (napi_get_named_property(env, o, "key", &v) != napi_ok ||
      !wrap_bytes(env, v, &p, &j->spec.key_len))
    return false;
  if (j->spec.key_len == 0 || j->spec.key_len > ALK_KEY_BLOB_MAX)
    return refuse(env, "a public key");
  j->key = alk_memdup(p, j->spec.key_len);
  j->spec.key = j->key;
  return true;
}

static bool take_lists(napi_env env, napi_value o, job_t *j)
{
  alk_cert_spec_t *s = &j->spec;
  if (!take_principals(env, o, j)) return false;
  s->critical = j->critical =
    take_options(env, o, "critical", j, &s->critical_count);
  if (j->critical == NULL) return false;
  s->extensions = j->extensions =
    take_options(env, o, "extensions", j, &s->extensions_count);
  return j->extensions != NULL;
}

static bool take_spec(napi_env env, napi_value o, job_t *j)
{
  napi_value kind, key_id;
  int number;
  napi_valuetype type;
  if (napi_typeof(env, o, &type) != napi_ok || type != napi_object)
    return refuse(env, "an object");
  if (!take_key(env, o, j) ||
      napi_get_named_property(env, o, "kind", &kind) != napi_ok ||
      !cert_kind_arg(env, kind, &number) ||
      napi_get_named_property(env, o, "keyId", &key_id) != napi_ok)
    return false;
  j->spec.kind = (alk_cert_kind_t) number;
  j->spec.key_id = take_text(env, key_id, j);
  return j->spec.key_id != NULL &&
         take_big(env, o, "serial", &j->spec.serial) &&
         take_big(env, o, "validAfter", &j->spec.valid_after) &&
         take_big(env, o, "validBefore", &j->spec.valid_before) &&
         take_lists(env, o, j);
}

napi_value cert_sign(napi_env env, napi_callback_info info)
{
  napi_value argv[2], promise;
  wrap_args(env, info, 2, argv);
  const alk_key_t *ca = key_arg(env, argv[0]);
  if (ca == NULL) return NULL;
  job_t *j = alk_alloc(sizeof *j);
  j->ca = ca;
  if (take_spec(env, argv[1], j) &&
      napi_create_reference(env, argv[0], 1, &j->keeps) == napi_ok &&
      napi_create_async_work(env, NULL, wrap_text(env, "alknet:sign"), execute,
                             complete, j, &j->work) == napi_ok &&
      napi_create_promise(env, &j->deferred, &promise) == napi_ok &&
      napi_queue_async_work(env, j->work) == napi_ok)
    return promise;
  free_job(env, j);
  return NULL;
}
