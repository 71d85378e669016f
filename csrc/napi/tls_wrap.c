/* tls_wrap.c - TLS contexts as JS objects, and TLS streams over streams.
 * Reading certificates and keys takes milliseconds: it runs on libuv's pool and
 * answers with a promise. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "napi/work.h"
#include "net/tls.h"

enum { PEM_MAX = 4 * 1024 * 1024 };

typedef struct {
  wrap_t wrap; /* first */
  alk_tls_ctx_t *ctx;
} tls_wrap_t;

static void free_ctx(void *p)
{
  tls_wrap_t *w = p;
  alk_tls_ctx_free(w->ctx);
  alk_free(w);
}

typedef struct {   /* one context that is made on the pool */
  work_t work;     /* first */
  bool is_bare;    /* a server's without a certificate */
  bool disguised;  /* a client's */
  char *pem, *key; /* certificates; a server's key */
  size_t pem_len, key_len;
  bool has_passphrase, has_alpn, is_nginx;
  char passphrase[1024], alpn[256];
  alk_tls_ctx_t *ctx;
} job_t;

/* A context that is missing without a reason would be a promise kept badly. */
static void made(job_t *j, alk_tls_ctx_t *ctx)
{
  j->ctx = ctx;
  if (ctx == NULL && j->work.err.code == ALK_OK)
    alk_fail(&j->work.err, ALK_E_CRYPTO, 0, "no TLS context");
}

static void run_server(work_t *work)
{
  job_t *j = (job_t *) work;
  alk_tls_server_opts_t opts = {
    .cert = {j->pem, j->pem_len},
    .key = {j->key, j->key_len},
    .passphrase = j->has_passphrase ? j->passphrase : NULL,
    .alpn = j->has_alpn ? j->alpn : NULL,
    .is_bare = j->is_bare,
    .is_nginx = j->is_nginx,
  };
  made(j, alk_tls_server_ctx(&opts, &work->err));
}

static void run_client(work_t *work)
{
  job_t *j = (job_t *) work;
  alk_tls_client_opts_t opts = {
    .ca = {j->pem, j->pem_len},
    .insecure = j->pem == NULL,
    .disguised = j->disguised,
    .alpn = j->has_alpn ? j->alpn : NULL,
  };
  made(j, alk_tls_client_ctx(&opts, &work->err));
}

/* Takes ctx. */
static napi_value wrap_ctx(wrap_env_t *e, alk_tls_ctx_t *ctx)
{
  tls_wrap_t *w = alk_alloc(sizeof *w);
  w->ctx = ctx;
  napi_value object = wrap_new(e, &tls_class, &w->wrap);
  if (object != NULL) wrap_detach(&w->wrap); /* the collector's, at once */
  return object;
}

static napi_value wrap_made(wrap_env_t *e, work_t *work)
{
  job_t *j = (job_t *) work;
  alk_tls_ctx_t *ctx = j->ctx;
  j->ctx = NULL;
  return wrap_ctx(e, ctx);
}

static void free_job(napi_env env, work_t *work)
{
  (void) env;
  job_t *j = (job_t *) work;
  alk_tls_ctx_free(j->ctx);
  alk_free(j->pem);
  alk_free_secret(j->key, j->key_len);
  alk_free_secret(j, sizeof *j);
}

static const work_kind_t client_work = {"alknet:tls", run_client, wrap_made,
                                        free_job};
static const work_kind_t server_work = {"alknet:tls", run_server, wrap_made,
                                        free_job};

static job_t *job_new(const work_kind_t *kind)
{
  job_t *j = alk_alloc(sizeof *j);
  j->work.kind = kind;
  return j;
}

static bool take_pem(napi_env env, napi_value v, char **out, size_t *len)
{
  const char *bytes;
  if (!wrap_bytes(env, v, &bytes, len)) return false;
  if (*len <= PEM_MAX) {
    *out = alk_realloc(NULL, *len);
    memcpy(*out, bytes, *len);
    return true;
  }
  alk_err_t err;
  alk_fail(&err, ALK_E_LIMIT, 0, "more than %d bytes of PEM", PEM_MAX);
  wrap_throw(env, &err);
  return false;
}

/* Text, or null. */
static bool take_text(napi_env env, napi_value v, bool *has, char *out,
                      size_t cap)
{
  *has = !wrap_is_null(env, v);
  return !*has || wrap_str(env, v, out, cap);
}

napi_value tls_client_context(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  wrap_args(env, info, 3, argv);
  job_t *j = job_new(&client_work);
  j->disguised = wrap_bool(env, argv[2]);
  if ((wrap_is_null(env, argv[0]) ||
       take_pem(env, argv[0], &j->pem, &j->pem_len)) &&
      take_text(env, argv[1], &j->has_alpn, j->alpn, sizeof j->alpn))
    return work_queue(env, &j->work);
  work_free(env, &j->work);
  return NULL;
}

napi_value tls_server_context(napi_env env, napi_callback_info info)
{
  napi_value argv[5];
  wrap_args(env, info, 5, argv);
  job_t *j = job_new(&server_work);
  j->is_nginx = wrap_bool(env, argv[4]);
  j->is_bare = wrap_is_null(env, argv[0]) && wrap_is_null(env, argv[1]);
  if ((j->is_bare || (take_pem(env, argv[0], &j->pem, &j->pem_len) &&
                      take_pem(env, argv[1], &j->key, &j->key_len))) &&
      take_text(env, argv[2], &j->has_passphrase, j->passphrase,
                sizeof j->passphrase) &&
      take_text(env, argv[3], &j->has_alpn, j->alpn, sizeof j->alpn))
    return work_queue(env, &j->work);
  work_free(env, &j->work);
  return NULL;
}

/* The two streams' owner is in JS both times: the new object is for the layer,
 * the one that was given has given its stream away. */
napi_value tls_client(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  char name[ALK_TLS_NAME_MAX];
  bool has_name;
  wrap_args(env, info, 3, argv);
  tls_wrap_t *w = wrap_arg(env, argv[1], &tls_class);
  if (w == NULL || !take_text(env, argv[2], &has_name, name, sizeof name))
    return NULL;
  alk_stream_t *s = stream_take(env, argv[0]);
  if (s == NULL) return NULL;
  return stream_wrap(wrap_env(env),
                     alk_tls_client(s, w->ctx, has_name ? name : NULL));
}

napi_value tls_server(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  wrap_args(env, info, 2, argv);
  tls_wrap_t *w = wrap_arg(env, argv[1], &tls_class);
  alk_stream_t *s = w == NULL ? NULL : stream_take(env, argv[0]);
  if (s == NULL) return NULL;
  return stream_wrap(wrap_env(env), alk_tls_server(s, w->ctx));
}

/* 'AB:CD:…', as others show it. */
static napi_value digest_text(napi_env env, const alk_tls_info_t *tls)
{
  char text[ALK_TLS_DIGEST * 3 + 1];
  if (!tls->has_peer) return wrap_null(env);
  for (size_t i = 0; i < ALK_TLS_DIGEST; i++)
    (void) snprintf(text + 3 * i, 4, "%02X:", tls->peer[i]);
  text[sizeof text - 2] = '\0'; /* the last colon */
  return wrap_text(env, text);
}

napi_value tls_info(napi_env env, napi_callback_info info)
{
  napi_value argv[1], o, resumed;
  alk_tls_info_t tls;
  wrap_args(env, info, 1, argv);
  const alk_stream_t *s = stream_peek(env, argv[0]);
  if (s == NULL) return NULL;
  if (!alk_tls_info(s, &tls)) return wrap_null(env);
  if (napi_create_object(env, &o) != napi_ok ||
      napi_get_boolean(env, tls.resumed, &resumed) != napi_ok)
    return NULL;
  wrap_set(env, o, "version", wrap_text(env, tls.version));
  wrap_set(env, o, "cipher", wrap_text(env, tls.cipher));
  wrap_set(env, o, "alpn", wrap_text(env, tls.alpn));
  wrap_set(env, o, "name", wrap_text(env, tls.name));
  wrap_set(env, o, "resumed", resumed);
  wrap_set(env, o, "fingerprint256", digest_text(env, &tls));
  return o;
}

napi_value tls_prove(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  char name[ALK_TLS_NAME_MAX];
  wrap_args(env, info, 3, argv);
  bool is_over = wrap_is_null(env, argv[2]);
  tls_wrap_t *w = wrap_arg(env, argv[0], &tls_class);
  if (w == NULL || !wrap_str(env, argv[1], name, sizeof name)) return NULL;
  const tls_wrap_t *other = is_over ? NULL : wrap_arg(env, argv[2], &tls_class);
  if (other == NULL && !is_over) return NULL;
  alk_tls_prove(w->ctx, name, other == NULL ? NULL : other->ctx);
  return NULL;
}

napi_value tls_pad(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  wrap_args(env, info, 1, argv);
  alk_stream_t *s = stream_peek(env, argv[0]);
  if (s != NULL) alk_tls_pad(s);
  return NULL;
}

/* A server's, to another thread: the number that takeTlsContext() there wants.
 */
static napi_value send_(napi_env env, napi_callback_info info)
{
  alk_err_t err;
  tls_wrap_t *w = wrap_this(env, info, &tls_class, 0, NULL);
  if (w == NULL) return NULL;
  uint64_t number = alk_tls_ctx_send(wrap_env(env)->loop, w->ctx);
  if (number != 0) return wrap_number(env, (double) number);
  alk_fail(&err, ALK_E_OPTION, 0, "a client's TLS context is one thread's");
  return wrap_throw(env, &err);
}

napi_value tls_take_parcel(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint64_t number;
  alk_err_t err;
  wrap_args(env, info, 1, argv);
  if (!wrap_u53(env, argv[0], &number)) return NULL;
  alk_tls_ctx_t *ctx = alk_tls_ctx_take(number);
  if (ctx != NULL) return wrap_ctx(wrap_env(env), ctx);
  alk_fail(&err, ALK_E_CLOSED, 0, "there is no such TLS context");
  return wrap_throw(env, &err);
}

alk_tls_ctx_t *tls_ctx_arg(napi_env env, napi_value v)
{
  tls_wrap_t *w = wrap_arg(env, v, &tls_class);
  return w == NULL ? NULL : w->ctx;
}

static const wrap_method_t methods[] = {{"send", send_}, {NULL, NULL}};

const wrap_class_t tls_class = {
  .id = WRAP_TLS,
  .name = "TlsContext",
  .methods = methods,
  .free = free_ctx,
};
