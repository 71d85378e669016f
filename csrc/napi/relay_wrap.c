/* relay_wrap.c - two streams joined: JS hears of it again when it is over. */
#include "core/mem.h"
#include "core/relay.h"

#include "napi/classes.h"

enum { ON_CLOSE };

typedef struct {
  wrap_t wrap;    /* first */
  alk_relay_t *r; /* NULL: closed */
} relay_wrap_t;

static void on_close(const alk_err_t *err, uint64_t a_to_b, uint64_t b_to_a,
                     void *data)
{
  relay_wrap_t *w = data;
  napi_handle_scope scope;
  w->r = NULL;
  if (wrap_begin(&w->wrap, &scope)) {
    napi_env env = w->wrap.e->env;
    napi_value argv[] = {wrap_error(w->wrap.e, err),
                         wrap_number(env, (double) a_to_b),
                         wrap_number(env, (double) b_to_a)};
    wrap_emit(&w->wrap, ON_CLOSE, 3, argv);
    wrap_end(&w->wrap, scope);
  }
  wrap_detach(&w->wrap);
}

napi_value relay_join(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  uint32_t ms = 0;
  wrap_args(env, info, 3, argv);
  if (!wrap_is_null(env, argv[2]) && !wrap_u32(env, argv[2], INT32_MAX, &ms))
    return NULL;
  alk_stream_t *a = stream_peek(env, argv[0]);
  alk_stream_t *b = a == NULL ? NULL : stream_peek(env, argv[1]);
  if (b == NULL) return NULL;
  if (a == b) return wrap_throw_closed(env);
  relay_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(wrap_env(env), &relay_class, &w->wrap);
  if (object == NULL) return NULL;
  w->r = alk_relay(stream_release(a), stream_release(b), on_close, w);
  if (ms > 0) alk_relay_limit(w->r, ms);
  return object;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  relay_wrap_t *w = wrap_this(env, info, &relay_class, 0, NULL);
  if (w != NULL && w->r != NULL) alk_relay_close(w->r);
  return NULL;
}

static const wrap_method_t methods[] = {{"close", close_}, {NULL, NULL}};

const wrap_class_t relay_class = {
  .id = WRAP_RELAY,
  .name = "Relay",
  .methods = methods,
  .events = {"onclose"},
  .free = alk_free,
};
