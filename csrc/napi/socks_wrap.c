/* socks_wrap.c - a SOCKS handshake as a JS object. */
#include "core/mem.h"

#include "napi/classes.h"
#include "proto/handshake.h"

enum { ON_REQUEST, ON_DONE };

typedef struct {
  wrap_t wrap;    /* first */
  alk_socks_t *h; /* NULL: done */
} socks_wrap_t;

static void on_request(alk_socks_t *h, const alk_socks_request_t *req)
{
  socks_wrap_t *w = alk_socks_data(h);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_env env = w->wrap.e->env;
  napi_value argv[] = {wrap_number(env, req->version),
                       wrap_text(env, req->host), wrap_number(env, req->port)};
  wrap_emit(&w->wrap, ON_REQUEST, 3, argv);
  wrap_end(&w->wrap, scope);
}

static void on_done(alk_socks_t *h, alk_stream_t *s, const alk_err_t *err)
{
  socks_wrap_t *w = alk_socks_data(h);
  napi_handle_scope scope;
  w->h = NULL;
  if (wrap_begin(&w->wrap, &scope)) {
    napi_env env = w->wrap.e->env;
    napi_value argv[] = {s == NULL ? wrap_null(env) : stream_wrap(w->wrap.e, s),
                         wrap_error(w->wrap.e, err)};
    if (argv[0] != NULL) wrap_emit(&w->wrap, ON_DONE, 2, argv);
    wrap_end(&w->wrap, scope);
  } else if (s != NULL) {
    alk_stream_close(s);
  }
  wrap_detach(&w->wrap);
}

static const alk_socks_events_t events = {
  .on_request = on_request,
  .on_done = on_done,
};

napi_value socks_accept(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  char user[256], password[256];
  wrap_args(env, info, 3, argv);
  bool auth = !wrap_is_null(env, argv[1]);
  if (auth && (!wrap_str(env, argv[1], user, sizeof user) ||
               !wrap_str(env, argv[2], password, sizeof password)))
    return NULL;
  alk_stream_t *s = stream_take(env, argv[0]);
  if (s == NULL) return NULL;
  socks_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(wrap_env(env), &socks_class, &w->wrap);
  if (object == NULL) {
    alk_stream_close(s);
    return NULL;
  }
  w->h =
    alk_socks_accept(s, auth ? user : NULL, auth ? password : NULL, &events, w);
  return object;
}

static napi_value reply(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint32_t rep;
  socks_wrap_t *w = wrap_this(env, info, &socks_class, 1, argv);
  if (w == NULL || !wrap_u32(env, argv[0], UINT8_MAX, &rep)) return NULL;
  if (w->h != NULL) alk_socks_reply(w->h, (uint8_t) rep);
  return NULL;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  socks_wrap_t *w = wrap_this(env, info, &socks_class, 0, NULL);
  if (w != NULL && w->h != NULL) alk_socks_close(w->h);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"reply", reply}, {"close", close_}, {NULL, NULL}};

const wrap_class_t socks_class = {
  .id = WRAP_SOCKS,
  .name = "Socks",
  .methods = methods,
  .events = {"onrequest", "ondone"},
  .free = alk_free,
};
