/* session_wrap.c - an SSH session as a JS object. */
#include <stdlib.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "ssh/ssh.h"

enum {
  ON_HOSTKEY,
  ON_LOGIN,
  ON_AUTH,
  ON_READY,
  ON_CHANNEL,
  ON_CLOSE,
  ON_LISTEN,
  ON_UNLISTEN,
  ON_REPLY,
  ON_AUTH_REFUSED,
  ON_CHANNEL_REFUSED
};
enum { LIST_MAX = 1024, USER_MAX = 256, HOSTKEYS_MAX = 16, PLACE_MAX = 256 };

/* A request of the peer that JS knows by its number: REQUESTS_MAX of the engine
 * bounds them. Gone when it is answered, or with the session. */
typedef struct question question_t;
struct question {
  question_t *next;
  alk_request_t *r;
  uint32_t id;
  bool wants_port; /* a yes has to name one */
};

typedef struct {
  wrap_t wrap;      /* first */
  alk_session_t *s; /* NULL: closed */
  bool server;
  uint64_t received, sent; /* when it closed */
  uint32_t last_id;        /* of requests, ours or the peer's */
  question_t *questions;
} session_wrap_t;

static void on_hostkey(alk_session_t *s, const uint8_t *blob, size_t len)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_value key = wrap_buffer(w->wrap.e->env, blob, len);
  if (key != NULL) wrap_emit(&w->wrap, ON_HOSTKEY, 1, &key);
  wrap_end(&w->wrap, scope);
}

static void emit(alk_session_t *s, int event)
{
  session_wrap_t *w = alk_session_data(s);
  wrap_tell(&w->wrap, event);
}

static void on_login(alk_session_t *s)
{
  emit(s, ON_LOGIN);
}

static void on_ready(alk_session_t *s)
{
  emit(s, ON_READY);
}

/* What a peer sent as text need not be UTF-8; N-API makes it so. */
static void on_auth(alk_session_t *s, const alk_auth_t *auth)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_env env = w->wrap.e->env;
  napi_value argv[4] = {
    wrap_text(env, auth->user),
    wrap_text(env, auth->algorithm),
    wrap_buffer(env, auth->blob, auth->blob_len),
  };
  bool ok = argv[0] != NULL && argv[1] != NULL && argv[2] != NULL &&
            napi_get_boolean(env, auth->proven, &argv[3]) == napi_ok;
  if (ok) wrap_emit(&w->wrap, ON_AUTH, 4, argv);
  wrap_end(&w->wrap, scope);
}

static void on_auth_refused(alk_session_t *s, const char *user,
                            alk_refused_t why, const uint8_t *blob, size_t len)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_env env = w->wrap.e->env;
  napi_value argv[3] = {
    wrap_text(env, user),
    wrap_number(env, why),
    blob == NULL ? wrap_null(env) : wrap_buffer(env, blob, len),
  };
  if (argv[0] != NULL && argv[2] != NULL)
    wrap_emit(&w->wrap, ON_AUTH_REFUSED, 3, argv);
  wrap_end(&w->wrap, scope);
}

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *target)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) {
    alk_stream_close(ch);
    return;
  }
  napi_env env = w->wrap.e->env;
  napi_value argv[] = {
    stream_wrap(w->wrap.e, ch),          wrap_number(env, target->type),
    wrap_text(env, target->host),        wrap_number(env, target->port),
    wrap_text(env, target->origin_host), wrap_number(env, target->origin_port),
  };
  if (argv[0] != NULL) wrap_emit(&w->wrap, ON_CHANNEL, 6, argv);
  wrap_end(&w->wrap, scope);
}

static void on_channel_refused(alk_session_t *s, alk_open_reason_t reason)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_value number = wrap_number(w->wrap.e->env, reason);
  wrap_emit(&w->wrap, ON_CHANNEL_REFUSED, 1, &number);
  wrap_end(&w->wrap, scope);
}

/* q's place in the list, or that of the list's end. */
static question_t **question_at(session_wrap_t *w, uint32_t id)
{
  question_t **at = &w->questions;
  while (*at != NULL && (*at)->id != id)
    at = &(*at)->next;
  return at;
}

static void answer_question(question_t **at, bool yes, uint16_t port)
{
  question_t *q = *at;
  *at = q->next;
  alk_request_answer(q->r, yes, port);
  alk_free(q);
}

static void drop_questions(session_wrap_t *w)
{
  while (w->questions != NULL) {
    question_t *q = w->questions;
    w->questions = q->next;
    alk_free(q);
  }
}

static void ask(alk_session_t *s, alk_request_t *r, const alk_listen_t *what,
                int event)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) {
    alk_request_answer(r, false, 0);
    return;
  }
  napi_env env = w->wrap.e->env;
  question_t *q = alk_alloc(sizeof *q);
  *q = (question_t){.next = w->questions, .r = r, .id = ++w->last_id};
  q->wants_port = event == ON_LISTEN && !what->local && what->port == 0;
  w->questions = q;
  napi_value argv[4] = {wrap_number(env, q->id), NULL,
                        wrap_text(env, what->host),
                        wrap_number(env, what->port)};
  if (argv[2] != NULL &&
      napi_get_boolean(env, what->local, &argv[1]) == napi_ok)
    wrap_emit(&w->wrap, event, 4, argv);
  else
    answer_question(&w->questions, false, 0);
  wrap_end(&w->wrap, scope);
}

static void on_listen(alk_session_t *s, alk_request_t *r,
                      const alk_listen_t *what)
{
  ask(s, r, what, ON_LISTEN);
}

static void on_unlisten(alk_session_t *s, alk_request_t *r,
                        const alk_listen_t *what)
{
  ask(s, r, what, ON_UNLISTEN);
}

static void on_reply(alk_session_t *s, bool yes, uint16_t port, void *data)
{
  session_wrap_t *w = alk_session_data(s);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_env env = w->wrap.e->env;
  napi_value argv[3] = {wrap_number(env, (double) (uintptr_t) data), NULL,
                        wrap_number(env, port)};
  if (napi_get_boolean(env, yes, &argv[1]) == napi_ok)
    wrap_emit(&w->wrap, ON_REPLY, 3, argv);
  wrap_end(&w->wrap, scope);
}

static void on_close(alk_session_t *s, const alk_err_t *err)
{
  session_wrap_t *w = alk_session_data(s);
  w->received = alk_session_received(s);
  w->sent = alk_session_sent(s);
  w->s = NULL;
  drop_questions(w);
  wrap_tell_error(&w->wrap, ON_CLOSE, err);
  wrap_detach(&w->wrap);
}

static const alk_session_events_t events = {
  .on_hostkey = on_hostkey,
  .on_login = on_login,
  .on_auth = on_auth,
  .on_auth_refused = on_auth_refused,
  .on_ready = on_ready,
  .on_channel = on_channel,
  .on_channel_refused = on_channel_refused,
  .on_close = on_close,
};

/* With the option listens; without it the engine refuses, and nobody waits for
 * an owner who does not know these events. */
static const alk_session_events_t listening_events = {
  .on_hostkey = on_hostkey,
  .on_login = on_login,
  .on_auth = on_auth,
  .on_auth_refused = on_auth_refused,
  .on_ready = on_ready,
  .on_channel = on_channel,
  .on_channel_refused = on_channel_refused,
  .on_listen = on_listen,
  .on_unlisten = on_unlisten,
  .on_close = on_close,
};

/* The options of one call, with the memory that they point to. */
typedef struct {
  alk_session_opts_t opts;
  bool has_engine, listens;
  char engine[32], user[USER_MAX];
  char kex[LIST_MAX], ciphers[LIST_MAX], macs[LIST_MAX], hostkeys[LIST_MAX];
  alk_key_t *keys[HOSTKEYS_MAX];
} options_t;

static bool text_option(napi_env env, napi_value o, const char *name, char *buf,
                        size_t cap, const char **out)
{
  napi_value v;
  if (napi_get_named_property(env, o, name, &v) != napi_ok) return false;
  if (wrap_is_null(env, v)) return true;
  if (!wrap_str(env, v, buf, cap)) return false;
  *out = buf;
  return true;
}

static bool number_option(napi_env env, napi_value o, const char *name,
                          double *out)
{
  napi_value v;
  if (napi_get_named_property(env, o, name, &v) != napi_ok) return false;
  if (wrap_is_null(env, v)) return true;
  return napi_get_value_double(env, v, out) == napi_ok && *out >= 0 &&
         *out <= 9007199254740991.0;
}

static bool flag_option(napi_env env, napi_value o, const char *name, bool *out)
{
  napi_value v;
  if (napi_get_named_property(env, o, name, &v) != napi_ok) return false;
  *out = false;
  return wrap_is_null(env, v) || napi_get_value_bool(env, v, out) == napi_ok;
}

static bool key_options(napi_env env, napi_value o, options_t *out)
{
  napi_value list, v;
  uint32_t n = 0;
  if (napi_get_named_property(env, o, "hostKeys", &list) != napi_ok)
    return false;
  if (wrap_is_null(env, list)) return true;
  if (napi_get_array_length(env, list, &n) != napi_ok || n > HOSTKEYS_MAX)
    return false;
  for (uint32_t i = 0; i < n; i++) {
    if (napi_get_element(env, list, i, &v) != napi_ok) return false;
    out->keys[i] = key_arg(env, v);
    if (out->keys[i] == NULL) return false;
  }
  out->opts.hostkeys = out->keys;
  out->opts.hostkeys_len = n;
  return true;
}

static bool read_options(napi_env env, napi_value o, options_t *out)
{
  alk_session_opts_t *p = &out->opts;
  const char *engine = NULL;
  double bytes = 0, seconds = 0, window = 0, total = 0, max = 0, auth = 0;
  bool ok =
    text_option(env, o, "engine", out->engine, sizeof out->engine, &engine) &&
    text_option(env, o, "user", out->user, sizeof out->user, &p->user) &&
    text_option(env, o, "kex", out->kex, LIST_MAX, &p->kex) &&
    text_option(env, o, "ciphers", out->ciphers, LIST_MAX, &p->ciphers) &&
    text_option(env, o, "macs", out->macs, LIST_MAX, &p->macs) &&
    text_option(env, o, "hostKeyAlgorithms", out->hostkeys, LIST_MAX,
                &p->hostkey_algorithms) &&
    number_option(env, o, "rekeyBytes", &bytes) &&
    number_option(env, o, "rekeySeconds", &seconds) &&
    number_option(env, o, "windowMax", &window) &&
    number_option(env, o, "windowTotal", &total) &&
    number_option(env, o, "maxChannels", &max) &&
    number_option(env, o, "maxAuthAttempts", &auth) &&
    flag_option(env, o, "listens", &out->listens) && seconds <= UINT32_MAX &&
    window <= UINT32_MAX && total <= UINT32_MAX && max <= UINT32_MAX &&
    auth <= UINT32_MAX && key_options(env, o, out);
  out->has_engine = engine != NULL;
  p->rekey_bytes = (uint64_t) bytes;
  p->rekey_seconds = (uint32_t) seconds;
  p->window_max = (uint32_t) window;
  p->memory_max = (uint32_t) total;
  p->max_channels = (uint32_t) max;
  p->max_auth = (uint32_t) auth;
  return ok;
}

static napi_value throw_option(napi_env env, const char *what)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "%s", what);
  return wrap_throw(env, &err);
}

static napi_value open_session(napi_env env, napi_callback_info info,
                               bool server)
{
  napi_value argv[2];
  options_t o = {0};
  alk_err_t err;
  wrap_args(env, info, 2, argv);
  if (!read_options(env, argv[1], &o))
    return throw_option(env, "session options are wrong");
  if (server ? o.opts.hostkeys_len == 0 : o.opts.user == NULL)
    return throw_option(env,
                        server ? "hostKeys is required" : "user is required");
  alk_stream_t *transport = stream_take(env, argv[0]);
  if (transport == NULL) return NULL;
  wrap_env_t *e = wrap_env(env);
  session_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(e, &session_class, &w->wrap);
  if (object == NULL) {
    alk_stream_close(transport);
    return NULL;
  }
  w->server = server;
  w->s = (server ? alk_ssh_server : alk_ssh_client)(
    transport, o.has_engine ? o.engine : NULL, &o.opts,
    o.listens ? &listening_events : &events, w, &err);
  if (w->s != NULL) return object;
  wrap_detach(&w->wrap);
  return wrap_throw(env, &err);
}

napi_value session_client(napi_env env, napi_callback_info info)
{
  return open_session(env, info, false);
}

napi_value session_server(napi_env env, napi_callback_info info)
{
  return open_session(env, info, true);
}

static alk_session_t *self(napi_env env, napi_callback_info info, size_t argc,
                           napi_value *argv)
{
  session_wrap_t *w = wrap_this(env, info, &session_class, argc, argv);
  if (w == NULL) return NULL;
  if (w->s == NULL) wrap_throw_closed(env);
  return w->s;
}

alk_session_t *session_arg(napi_env env, napi_value v)
{
  session_wrap_t *w = wrap_arg(env, v, &session_class);
  if (w == NULL) return NULL;
  if (w->s == NULL) wrap_throw_closed(env);
  return w->s;
}

static napi_value trust(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  alk_session_t *s = self(env, info, 1, argv);
  if (s != NULL) alk_session_trust(s, wrap_bool(env, argv[0]));
  return NULL;
}

static napi_value login(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  alk_session_t *s = self(env, info, 1, argv);
  if (s == NULL) return NULL;
  alk_key_t *key = key_arg(env, argv[0]);
  if (key != NULL) alk_session_login(s, key);
  return NULL;
}

static napi_value admit(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  alk_session_t *s = self(env, info, 1, argv);
  if (s != NULL) alk_session_admit(s, wrap_bool(env, argv[0]));
  return NULL;
}

static napi_value ref(napi_env env, napi_callback_info info)
{
  alk_session_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_session_ref(s, true);
  return NULL;
}

static napi_value unref(napi_env env, napi_callback_info info)
{
  alk_session_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_session_ref(s, false);
  return NULL;
}

static napi_value keepalive(napi_env env, napi_callback_info info)
{
  alk_session_t *s = self(env, info, 0, NULL);
  if (s != NULL) alk_session_keepalive(s);
  return NULL;
}

/* What went through it can be asked for afterwards, too. */
static napi_value received(napi_env env, napi_callback_info info)
{
  session_wrap_t *w = wrap_this(env, info, &session_class, 0, NULL);
  if (w == NULL) return NULL;
  uint64_t n = w->s == NULL ? w->received : alk_session_received(w->s);
  return wrap_number(env, (double) n);
}

static napi_value sent(napi_env env, napi_callback_info info)
{
  session_wrap_t *w = wrap_this(env, info, &session_class, 0, NULL);
  if (w == NULL) return NULL;
  uint64_t n = w->s == NULL ? w->sent : alk_session_sent(w->s);
  return wrap_number(env, (double) n);
}

static napi_value silence(napi_env env, napi_callback_info info)
{
  alk_session_t *s = self(env, info, 0, NULL);
  return s == NULL ? NULL : wrap_number(env, (double) alk_session_silence(s));
}

/* None when it is over. */
static napi_value channels(napi_env env, napi_callback_info info)
{
  session_wrap_t *w = wrap_this(env, info, &session_class, 0, NULL);
  if (w == NULL) return NULL;
  return wrap_number(env, w->s == NULL ? 0 : alk_session_channels(w->s));
}

static napi_value session_info(napi_env env, napi_callback_info info)
{
  alk_session_info_t i;
  napi_value o;
  alk_session_t *s = self(env, info, 0, NULL);
  if (s == NULL || napi_create_object(env, &o) != napi_ok) return NULL;
  alk_session_info(s, &i);
  wrap_set(env, o, "engine", wrap_text(env, i.engine));
  wrap_set(env, o, "peer", wrap_text(env, i.peer));
  wrap_set(env, o, "kex", wrap_text(env, i.kex));
  wrap_set(env, o, "hostkey", wrap_text(env, i.hostkey));
  wrap_set(env, o, "cipherIn", wrap_text(env, i.cipher_in));
  wrap_set(env, o, "cipherOut", wrap_text(env, i.cipher_out));
  wrap_set(env, o, "macIn", wrap_text(env, i.mac_in));
  wrap_set(env, o, "macOut", wrap_text(env, i.mac_out));
  return o;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  char text[256];
  uint32_t reason;
  session_wrap_t *w = wrap_this(env, info, &session_class, 2, argv);
  if (w == NULL || w->s == NULL) return NULL;
  if (wrap_is_null(env, argv[0])) {
    alk_session_close(w->s);
    return NULL;
  }
  if (!wrap_u32(env, argv[0], ALK_BYE_MAX, &reason) ||
      !wrap_str(env, argv[1], text, sizeof text))
    return NULL;
  if (reason == 0) return throw_option(env, "0 is no reason");
  alk_session_bye(w->s, reason, text);
  return NULL;
}

static napi_value open_(napi_env env, napi_callback_info info)
{
  napi_value argv[5];
  char host[4096], origin[256];
  uint32_t type, port, origin_port;
  alk_session_t *s = self(env, info, 5, argv);
  if (s == NULL || !wrap_u32(env, argv[0], ALK_FORWARDED_STREAMLOCAL, &type) ||
      !wrap_str(env, argv[1], host, sizeof host) ||
      !wrap_u32(env, argv[2], UINT16_MAX, &port) ||
      !wrap_str(env, argv[3], origin, sizeof origin) ||
      !wrap_u32(env, argv[4], UINT16_MAX, &origin_port))
    return NULL;
  alk_target_t target = {
    .type = (alk_channel_type_t) type,
    .host = host,
    .port = (uint16_t) port,
    .origin_host = origin,
    .origin_port = (uint16_t) origin_port,
  };
  return stream_wrap(wrap_env(env), alk_session_open(s, &target));
}

static alk_stream_t *channel_arg(napi_env env, napi_value v)
{
  alk_stream_t *ch = stream_peek(env, v);
  if (ch == NULL || alk_stream_is_channel(ch)) return ch;
  throw_option(env, "not a channel");
  return NULL;
}

static napi_value accept_(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  alk_session_t *s = self(env, info, 1, argv);
  alk_stream_t *ch = s == NULL ? NULL : channel_arg(env, argv[0]);
  if (ch != NULL) alk_channel_accept(ch);
  return NULL;
}

static napi_value refuse(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  uint32_t reason;
  char text[256];
  alk_session_t *s = self(env, info, 3, argv);
  alk_stream_t *ch = s == NULL ? NULL : channel_arg(env, argv[0]);
  if (ch == NULL || !wrap_u32(env, argv[1], ALK_OPEN_SHORTAGE, &reason) ||
      !wrap_str(env, argv[2], text, sizeof text))
    return NULL;
  alk_channel_refuse(ch, (alk_open_reason_t) reason, text);
  return NULL;
}

static napi_value throw_listen(napi_env env, alk_session_t *s, bool server)
{
  alk_session_info_t i;
  alk_err_t err;
  if (alk_session_can_listen(s)) return wrap_throw_closed(env);
  alk_session_info(s, &i);
  alk_fail(&err, ALK_E_UNSUPPORTED, 0,
           "a %s of the %s engine cannot ask its peer to listen",
           server ? "server" : "client", i.engine);
  return wrap_throw(env, &err);
}

/* The number of a request as on_reply's data: it is never followed. */
static void *as_data(uint32_t id)
{
  return (void *) (uintptr_t) id; /* NOLINT(performance-no-int-to-ptr) */
}

static napi_value ask_peer(napi_env env, napi_callback_info info, bool cancel)
{
  napi_value argv[3];
  char host[PLACE_MAX];
  uint32_t port = 0;
  alk_session_t *s = self(env, info, 3, argv);
  if (s == NULL || !wrap_str(env, argv[1], host, sizeof host)) return NULL;
  alk_listen_t what = {.local = wrap_bool(env, argv[0]), .host = host};
  if (!what.local && !wrap_u32(env, argv[2], UINT16_MAX, &port)) return NULL;
  what.port = (uint16_t) port;
  session_wrap_t *w = alk_session_data(s);
  uint32_t id = w->last_id + 1;
  if (!(cancel ? alk_session_unlisten : alk_session_listen)(s, &what, on_reply,
                                                            as_data(id)))
    return throw_listen(env, s, w->server);
  w->last_id = id;
  return wrap_number(env, id);
}

static napi_value listen_(napi_env env, napi_callback_info info)
{
  return ask_peer(env, info, false);
}

static napi_value unlisten(napi_env env, napi_callback_info info)
{
  return ask_peer(env, info, true);
}

static napi_value ping(napi_env env, napi_callback_info info)
{
  alk_err_t err;
  alk_session_t *s = self(env, info, 0, NULL);
  if (s == NULL) return NULL;
  session_wrap_t *w = alk_session_data(s);
  uint32_t id = w->last_id + 1;
  if (alk_session_ping(s, on_reply, as_data(id))) {
    w->last_id = id;
    return wrap_number(env, id);
  }
  if (alk_session_can_ping(s)) return wrap_throw_closed(env);
  alk_fail(&err, ALK_E_UNSUPPORTED, 0,
           "this SSH engine does not tell when its peer has answered");
  return wrap_throw(env, &err);
}

/* One that is answered already, or went with the session, is nobody's. */
static napi_value answer(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  uint32_t id, port = 0;
  session_wrap_t *w = wrap_this(env, info, &session_class, 3, argv);
  if (w == NULL || !wrap_u32(env, argv[0], UINT32_MAX, &id) ||
      (!wrap_is_null(env, argv[2]) &&
       !wrap_u32(env, argv[2], UINT16_MAX, &port)))
    return NULL;
  bool yes = wrap_bool(env, argv[1]);
  question_t **at = question_at(w, id);
  if (*at == NULL) return NULL;
  if (yes && port == 0 && (*at)->wants_port)
    return throw_option(env, "the port that was bound is missing");
  answer_question(at, yes, (uint16_t) port);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"trust", trust},       {"login", login},
  {"admit", admit},       {"keepalive", keepalive},
  {"received", received}, {"close", close_},
  {"sent", sent},         {"ping", ping},
  {"info", session_info}, {"open", open_},
  {"accept", accept_},    {"refuse", refuse},
  {"ref", ref},           {"unref", unref},
  {"listen", listen_},    {"unlisten", unlisten},
  {"answer", answer},     {"silence", silence},
  {"channels", channels}, {NULL, NULL},
};

const wrap_class_t session_class = {
  .id = WRAP_SESSION,
  .name = "Session",
  .methods = methods,
  .events = {"onhostkey", "onlogin", "onauth", "onready", "onchannel",
             "onclose", "onlisten", "onunlisten", "onreply", "onauthrefused",
             "onchannelrefused"},
  .free = alk_free,
};
