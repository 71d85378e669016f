/* socks_wrap.c - the clients of a SOCKS listener or door, from their first byte
 * to their last.
 *
 *   on_stream -> handshake -> onrequest, which makes the JS object
 *     -> connect(): a channel is opening; join(): a stream of the caller's is
 *          -> open: "granted", relay -> closed: onclose
 *          -> refused: onrefused, and refuse() is the answer
 *     -> refuse(): delivered -> onclose
 *
 * A client that never gets to its request never gets to JS either. */
#include "core/join.h"
#include "core/mem.h"
#include "core/relay.h"

#include "napi/classes.h"
#include "proto/handshake.h"
#include "ssh/ssh.h"

enum { ON_REFUSED, ON_CLOSE };

typedef struct {
  wrap_t wrap;       /* first */
  socks_client_t *c; /* NULL: gone */
} socks_wrap_t;

struct socks_client {
  socks_door_t *door;          /* NULL: the request has come */
  socks_client_t *next, *prev; /* the door's, while there is one */
  socks_wrap_t *w;             /* NULL: JS does not know it */
  alk_socks_t *h;              /* NULL: granted, or closed */
  alk_join_t *j;               /* NULL: nothing is opening for it */
};

static void leave_door(socks_client_t *c)
{
  socks_door_t *d = c->door;
  if (d == NULL) return;
  c->door = NULL;
  if (c->prev != NULL)
    c->prev->next = c->next;
  else
    d->clients = c->next;
  if (c->next != NULL) c->next->prev = c->prev;
}

/* The end of every client. */
static void finish(socks_client_t *c, const alk_err_t *err)
{
  socks_wrap_t *w = c->w;
  leave_door(c);
  alk_free(c);
  if (w == NULL) return;
  w->c = NULL;
  wrap_tell_error(&w->wrap, ON_CLOSE, err);
  wrap_detach(&w->wrap);
}

/* What a client sent as text need not be UTF-8; N-API makes it so. */
static void on_request(alk_socks_t *h, const alk_socks_request_t *req)
{
  socks_client_t *c = alk_socks_data(h);
  socks_door_t *d = c->door;
  napi_handle_scope scope;
  leave_door(c);
  if (!wrap_begin(d->wrap, &scope)) {
    alk_socks_close(h);
    return;
  }
  napi_env env = d->wrap->e->env;
  socks_wrap_t *w = alk_alloc(sizeof *w);
  napi_value argv[] = {wrap_new(d->wrap->e, &socks_class, &w->wrap),
                       wrap_number(env, req->version),
                       wrap_text(env, req->host), wrap_number(env, req->port)};
  if (argv[0] != NULL) {
    c->w = w;
    w->c = c;
    wrap_emit(d->wrap, d->on_request, 4, argv);
  } else {
    alk_socks_close(h);
  }
  wrap_end(d->wrap, scope);
}

static void on_done(alk_socks_t *h, const alk_err_t *err)
{
  socks_client_t *c = alk_socks_data(h);
  if (c->j != NULL) alk_join_close(c->j);
  finish(c, err);
}

static const alk_socks_events_t socks_events = {
  .on_request = on_request,
  .on_done = on_done,
};

socks_door_t *socks_door_new(napi_env env, const napi_value *argv,
                             int on_request)
{
  socks_door_t *d = alk_alloc(sizeof *d);
  d->on_request = on_request;
  d->has_login = !wrap_is_null(env, argv[0]);
  if (wrap_u32(env, argv[2], INT32_MAX, &d->limit_ms) &&
      (!d->has_login ||
       (wrap_str(env, argv[0], d->user, sizeof d->user) &&
        wrap_str(env, argv[1], d->password, sizeof d->password))))
    return d;
  socks_door_free(d);
  return NULL;
}

void socks_door_free(socks_door_t *d)
{
  alk_free_secret(d, sizeof *d);
}

void socks_enter(socks_door_t *d, alk_stream_t *s)
{
  socks_client_t *c = alk_alloc(sizeof *c);
  c->door = d;
  c->next = d->clients;
  if (c->next != NULL) c->next->prev = c;
  d->clients = c;
  c->h = alk_socks_accept(s, d->has_login ? d->user : NULL,
                          d->has_login ? d->password : NULL, d->limit_ms,
                          &socks_events, c);
}

void socks_drop(socks_door_t *d)
{
  while (d->clients != NULL) {
    socks_client_t *c = d->clients;
    leave_door(c);
    alk_socks_close(c->h);
  }
}

/* NULL: the client is going, and on_done tells so. */
static alk_stream_t *on_channel_open(void *data)
{
  socks_client_t *c = data;
  alk_stream_t *s = alk_socks_grant(c->h);
  if (s == NULL)
    c->j = NULL;
  else
    c->h = NULL;
  return s;
}

static void on_channel_refused(void *data, const alk_err_t *err)
{
  socks_client_t *c = data;
  napi_handle_scope scope;
  c->j = NULL;
  if (!wrap_begin(&c->w->wrap, &scope)) {
    alk_socks_close(c->h);
    return;
  }
  wrap_t *wrap = &c->w->wrap; /* c may be gone after the event */
  napi_value error = wrap_error(wrap->e, err);
  wrap_emit(wrap, ON_REFUSED, 1, &error);
  wrap_end(wrap, scope);
}

static void on_relayed(void *data, const alk_err_t *err)
{
  finish(data, err);
}

static const alk_join_events_t join_events = {
  .on_open = on_channel_open,
  .on_refused = on_channel_refused,
  .on_close = on_relayed,
};

/* The client of a call that still has a question. NULL: thrown, or none. */
static socks_client_t *asking(napi_env env, napi_callback_info info,
                              size_t argc, napi_value *argv)
{
  socks_wrap_t *w = wrap_this(env, info, &socks_class, argc, argv);
  if (w == NULL) return NULL;
  if (w->c != NULL && w->c->h != NULL && w->c->j == NULL) return w->c;
  wrap_throw_closed(env);
  return NULL;
}

static napi_value connect_(napi_env env, napi_callback_info info)
{
  napi_value argv[4];
  char host[256];
  uint32_t port, ms;
  socks_client_t *c = asking(env, info, 4, argv);
  alk_session_t *s = c == NULL ? NULL : session_arg(env, argv[0]);
  if (s == NULL || !wrap_str(env, argv[1], host, sizeof host) ||
      !wrap_u32(env, argv[2], UINT16_MAX, &port) ||
      !wrap_u32(env, argv[3], INT32_MAX, &ms))
    return NULL;
  alk_target_t target = {
    .type = ALK_DIRECT_TCPIP,
    .host = host,
    .port = (uint16_t) port,
    .origin_host = "127.0.0.1",
  };
  c->j = alk_join(alk_session_open(s, &target), ms, &join_events, c);
  return NULL;
}

static void on_joined_closed(const alk_err_t *err, uint64_t a_to_b,
                             uint64_t b_to_a, void *data)
{
  (void) a_to_b;
  (void) b_to_a;
  finish(data, err);
}

/* to is open: there is nothing to wait for. */
static void grant(socks_client_t *c, alk_stream_t *to)
{
  alk_stream_t *s = alk_socks_grant(c->h);
  if (s == NULL) { /* the client is going, and on_done tells so */
    alk_stream_close(to);
    return;
  }
  c->h = NULL;
  alk_relay(s, to, on_joined_closed, c);
}

static napi_value join(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  uint32_t ms;
  socks_client_t *c = asking(env, info, 2, argv);
  if (c == NULL || !wrap_u32(env, argv[1], INT32_MAX, &ms)) return NULL;
  alk_stream_t *to = stream_take(env, argv[0]);
  if (to == NULL) return NULL;
  if (alk_stream_is_open(to))
    grant(c, to);
  else
    c->j = alk_join(to, ms, &join_events, c);
  return NULL;
}

static napi_value refuse(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint32_t code;
  socks_client_t *c = asking(env, info, 1, argv);
  if (c == NULL || !wrap_u32(env, argv[0], UINT8_MAX, &code)) return NULL;
  alk_socks_refuse(c->h,
                   code == ALK_SOCKS_OK ? ALK_SOCKS_FAILURE : (uint8_t) code);
  return NULL;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  socks_wrap_t *w = wrap_this(env, info, &socks_class, 0, NULL);
  if (w != NULL && w->c != NULL && w->c->h != NULL) alk_socks_close(w->c->h);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"connect", connect_}, {"join", join}, {"refuse", refuse},
  {"close", close_},     {NULL, NULL},
};

const wrap_class_t socks_class = {
  .id = WRAP_SOCKS,
  .name = "Socks",
  .methods = methods,
  .events = {"onrefused", "onclose"},
  .free = alk_free,
};
