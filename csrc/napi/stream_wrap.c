/* stream_wrap.c - a stream as a JS object: the five calls and five events; and
 * for a channel that asks to be connected, connect(): from the target's connect
 * to the relay's end in one call, of which JS hears the end, or why not. */
#include "core/join.h"
#include "core/mem.h"

#include "napi/classes.h"

enum { ON_OPEN, ON_DATA, ON_END, ON_DRAIN, ON_CLOSE, ON_REFUSED };

typedef struct {
  wrap_t wrap;     /* first */
  alk_stream_t *s; /* NULL: closed, given away, or relayed */
  alk_join_t *j;   /* NULL: connect() was not called, or was refused */
} stream_wrap_t;

static void emit(alk_stream_t *s, int event)
{
  stream_wrap_t *w = alk_stream_data(s);
  wrap_tell(&w->wrap, event);
}

static void on_open(alk_stream_t *s)
{
  emit(s, ON_OPEN);
}

static void on_end(alk_stream_t *s)
{
  emit(s, ON_END);
}

static void on_drain(alk_stream_t *s)
{
  emit(s, ON_DRAIN);
}

static void on_data(alk_stream_t *s, const char *buf, size_t len)
{
  stream_wrap_t *w = alk_stream_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_value chunk = wrap_buffer(w->wrap.e->env, buf, len);
  if (chunk != NULL) wrap_emit(&w->wrap, ON_DATA, 1, &chunk);
  wrap_end(&w->wrap, scope);
}

/* The last event, of the stream or of what connect() made of it. */
static void emit_close(stream_wrap_t *w, const alk_err_t *err)
{
  w->s = NULL;
  w->j = NULL;
  wrap_tell_error(&w->wrap, ON_CLOSE, err);
  wrap_detach(&w->wrap);
}

static void on_close(alk_stream_t *s, const alk_err_t *err)
{
  stream_wrap_t *w = alk_stream_data(s);
  if (w->j != NULL) alk_join_close(w->j); /* the target was still opening */
  emit_close(w, err);
}

static alk_stream_t *on_target_open(void *data)
{
  stream_wrap_t *w = data;
  alk_stream_t *s = w->s;
  alk_channel_accept(s);
  w->s = NULL;
  return s;
}

static void on_target_refused(void *data, const alk_err_t *err)
{
  stream_wrap_t *w = data;
  w->j = NULL;
  wrap_tell_error(&w->wrap, ON_REFUSED, err);
}

static void on_relayed(void *data, const alk_err_t *err)
{
  emit_close(data, err);
}

static const alk_join_events_t join_events = {
  .on_open = on_target_open,
  .on_refused = on_target_refused,
  .on_close = on_relayed,
};

static const alk_owner_t owner = {
  .on_open = on_open,
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

napi_value stream_wrap(wrap_env_t *e, alk_stream_t *s)
{
  stream_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = e->exiting ? NULL : wrap_new(e, &stream_class, &w->wrap);
  if (object == NULL) {
    if (e->exiting) alk_free(w);
    alk_stream_close(s);
    return NULL;
  }
  w->s = s;
  alk_stream_own(s, &owner, w);
  return object;
}

alk_stream_t *stream_peek(napi_env env, napi_value v)
{
  stream_wrap_t *w = wrap_arg(env, v, &stream_class);
  if (w == NULL) return NULL;
  if (w->s != NULL && w->j == NULL) return w->s;
  wrap_throw_closed(env);
  return NULL;
}

alk_stream_t *stream_release(alk_stream_t *s)
{
  stream_wrap_t *w = alk_stream_data(s);
  w->s = NULL;
  alk_stream_pause(s);
  alk_stream_own(s, NULL, NULL);
  wrap_detach(&w->wrap);
  return s;
}

alk_stream_t *stream_take(napi_env env, napi_value v)
{
  alk_stream_t *s = stream_peek(env, v);
  return s == NULL ? NULL : stream_release(s);
}

static alk_stream_t *self(napi_env env, napi_callback_info info, size_t argc,
                          napi_value *argv)
{
  stream_wrap_t *w = wrap_this(env, info, &stream_class, argc, argv);
  if (w == NULL) return NULL;
  if (w->s != NULL && w->j == NULL) return w->s;
  wrap_throw_closed(env);
  return NULL;
}

static napi_value resume(napi_env env, napi_callback_info info)
{
  alk_stream_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_stream_resume(s);
  return NULL;
}

static napi_value pause_(napi_env env, napi_callback_info info)
{
  alk_stream_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_stream_pause(s);
  return NULL;
}

static napi_value write_(napi_env env, napi_callback_info info)
{
  napi_value argv[1], result;
  const char *buf;
  size_t len;
  alk_stream_t *s = self(env, info, 1, argv);
  if (s == NULL || !wrap_bytes(env, argv[0], &buf, &len)) return NULL;
  if (alk_stream_has_ended(s)) return wrap_throw_closed(env);
  bool more = alk_stream_write(s, buf, len);
  return napi_get_boolean(env, more, &result) == napi_ok ? result : NULL;
}

static napi_value end(napi_env env, napi_callback_info info)
{
  alk_stream_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_stream_end(s);
  return NULL;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  stream_wrap_t *w = wrap_this(env, info, &stream_class, 0, NULL);
  if (w == NULL) return NULL;
  if (w->s != NULL)
    alk_stream_close(w->s); /* takes the target along */
  else if (w->j != NULL)
    alk_join_close(w->j);
  return NULL;
}

/* A channel that asks: connects its target, accepts it and joins both. */
static napi_value connect_(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  char host[ALK_ADDR_MAX];
  uint32_t port, ms;
  alk_stream_t *s = self(env, info, 3, argv);
  if (s == NULL || !wrap_str(env, argv[0], host, sizeof host) ||
      !wrap_u32(env, argv[1], UINT16_MAX, &port) ||
      !wrap_u32(env, argv[2], INT32_MAX, &ms))
    return NULL;
  if (!alk_stream_is_channel(s) || alk_stream_is_open(s))
    return wrap_throw_closed(env);
  stream_wrap_t *w = alk_stream_data(s);
  alk_stream_t *target =
    alk_tcp_connect(alk_stream_loop(s), host, (uint16_t) port);
  w->j = alk_join(target, ms, &join_events, w);
  return NULL;
}

napi_value address_object(napi_env env, const alk_addr_t *addr)
{
  napi_value object;
  if (napi_create_object(env, &object) != napi_ok) return NULL;
  wrap_set(env, object, "address", wrap_text(env, addr->address));
  wrap_set(env, object, "port", wrap_number(env, addr->port));
  wrap_set(env, object, "family", wrap_number(env, addr->family));
  return object;
}

static napi_value address(napi_env env, napi_callback_info info,
                          bool (*get)(alk_stream_t *s, alk_addr_t *out))
{
  alk_addr_t addr;
  alk_stream_t *s = self(env, info, 0, NULL);
  if (s == NULL) return NULL;
  return get(s, &addr) ? address_object(env, &addr) : wrap_null(env);
}

static napi_value peer(napi_env env, napi_callback_info info)
{
  return address(env, info, alk_tcp_peer);
}

static napi_value local(napi_env env, napi_callback_info info)
{
  return address(env, info, alk_tcp_local);
}

static napi_value limit_unacked(napi_env env, napi_callback_info info)
{
  napi_value argv[1], result;
  uint32_t ms;
  alk_stream_t *s = self(env, info, 1, argv);
  if (s == NULL || !wrap_u32(env, argv[0], INT32_MAX, &ms)) return NULL;
  bool ok = alk_tcp_limit_unacked(s, ms);
  return napi_get_boolean(env, ok, &result) == napi_ok ? result : NULL;
}

/* To another thread: the number that takeStream() there wants. */
static napi_value send_(napi_env env, napi_callback_info info)
{
  alk_err_t err;
  alk_stream_t *s = self(env, info, 0, NULL);
  if (s == NULL) return NULL;
  stream_wrap_t *w = alk_stream_data(s);
  uint64_t number = alk_tcp_send(s, &err);
  if (number == 0) return wrap_throw(env, &err);
  w->s = NULL;
  alk_stream_own(s, NULL, NULL);
  wrap_detach(&w->wrap);
  return wrap_number(env, (double) number);
}

static napi_value kind(napi_env env, napi_callback_info info)
{
  alk_stream_t *s = self(env, info, 0, NULL);
  return s == NULL ? NULL : wrap_text(env, alk_stream_kind(s));
}

napi_value stream_connect_tcp(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  char host[ALK_ADDR_MAX];
  uint32_t port;
  wrap_args(env, info, 2, argv);
  if (!wrap_str(env, argv[0], host, sizeof host) ||
      !wrap_u32(env, argv[1], UINT16_MAX, &port))
    return NULL;
  wrap_env_t *e = wrap_env(env);
  return stream_wrap(e, alk_tcp_connect(e->loop, host, (uint16_t) port));
}

napi_value stream_take_parcel(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint64_t number;
  alk_err_t err;
  wrap_args(env, info, 1, argv);
  if (!wrap_u53(env, argv[0], &number)) return NULL;
  wrap_env_t *e = wrap_env(env);
  alk_stream_t *s = alk_tcp_take(e->loop, number, &err);
  return s == NULL ? wrap_throw(env, &err) : stream_wrap(e, s);
}

napi_value stream_connect_unix(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  char path[4096];
  wrap_args(env, info, 1, argv);
  if (!wrap_str(env, argv[0], path, sizeof path)) return NULL;
  wrap_env_t *e = wrap_env(env);
  return stream_wrap(e, alk_unix_connect(e->loop, path));
}

static const wrap_method_t methods[] = {
  {"resume", resume}, {"pause", pause_},     {"write", write_},
  {"end", end},       {"close", close_},     {"peer", peer},
  {"local", local},   {"connect", connect_}, {"limitUnacked", limit_unacked},
  {"send", send_},    {NULL, NULL},
};
static const wrap_method_t getters[] = {{"kind", kind}, {NULL, NULL}};

const wrap_class_t stream_class = {
  .id = WRAP_STREAM,
  .name = "Stream",
  .methods = methods,
  .getters = getters,
  .events = {"onopen", "ondata", "onend", "ondrain", "onclose", "onrefused"},
  .free = alk_free,
};
