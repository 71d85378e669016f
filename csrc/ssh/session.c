/* session.c - what every engine's sessions share, and ssh.h's front door. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/engine.h"

static void close_live(alk_live_t *o)
{
  alk_session_t *s =
    (alk_session_t *) (void *) ((char *) o - offsetof(alk_session_t, live));
  alk_session_close(s); /* in good order ... */
  alk_session_close(s); /* ... or at once: the loop is ending */
}

void alk_session_init(alk_session_t *s, alk_loop_t *l,
                      const alk_engine_t *engine, bool server)
{
  s->engine = engine;
  s->loop = l;
  s->server = server;
  alk_session_heard(s);
  alk_live_add(l, &s->live, close_live);
}

void alk_session_heard(alk_session_t *s)
{
  s->heard_at = uv_now(alk_loop_uv(s->loop));
}

void alk_session_fail(alk_session_t *s, const alk_err_t *err)
{
  if (s->err.code == ALK_OK && s->closing == 0) s->err = *err;
  alk_session_close(s);
}

void alk_session_emit_close(alk_session_t *s)
{
  if (s->ev != NULL) s->ev->on_close(s, s->err.code == ALK_OK ? NULL : &s->err);
  alk_live_remove(s->loop, &s->live);
  s->engine->free(s);
}

void alk_session_emit_refused(alk_session_t *s, alk_open_reason_t reason)
{
  if (s->ev->on_channel_refused != NULL) s->ev->on_channel_refused(s, reason);
}

uint32_t alk_session_bye_reason(const alk_session_t *s)
{
  return s->bye == 0 ? ALK_BYE_BY_APPLICATION : s->bye;
}

const char *alk_session_bye_text(const alk_session_t *s)
{
  return s->bye == 0 ? "closed" : s->bye_text;
}

static alk_session_t *open_session(alk_stream_t *transport, bool server,
                                   const char *name,
                                   const alk_session_opts_t *opts,
                                   alk_err_t *err)
{
  const alk_engine_t *engine = alk_engine_find(name);
  if (engine != NULL) return engine->open(transport, server, opts, err);
  alk_fail(err, ALK_E_OPTION, 0, "SSH engine %s is not built in", name);
  alk_stream_close(transport);
  return NULL;
}

alk_session_t *alk_ssh_client(alk_stream_t *transport, const char *engine,
                              const alk_session_opts_t *opts,
                              const alk_session_events_t *ev, void *data,
                              alk_err_t *err)
{
  CHECK(opts->user != NULL);
  alk_session_t *s = open_session(transport, false, engine, opts, err);
  if (s == NULL) return NULL;
  s->ev = ev;
  s->data = data;
  return s;
}

alk_session_t *alk_ssh_server(alk_stream_t *transport, const char *engine,
                              const alk_session_opts_t *opts,
                              const alk_session_events_t *ev, void *data,
                              alk_err_t *err)
{
  CHECK(opts->hostkeys_len > 0);
  alk_session_t *s = open_session(transport, true, engine, opts, err);
  if (s == NULL) return NULL;
  s->ev = ev;
  s->data = data;
  return s;
}

void *alk_session_data(const alk_session_t *s)
{
  return s->data;
}

void alk_session_close(alk_session_t *s)
{
  if (s->closing < 2) s->closing++;
  s->engine->close(s);
}

void alk_session_bye(alk_session_t *s, uint32_t reason, const char *text)
{
  CHECK(reason > 0 && reason <= ALK_BYE_MAX);
  if (s->closing == 0) {
    s->bye = reason;
    snprintf(s->bye_text, sizeof s->bye_text, "%s", text);
  }
  alk_session_close(s);
}

void alk_session_trust(alk_session_t *s, bool yes)
{
  if (s->closing == 0) s->engine->trust(s, yes);
}

void alk_session_login(alk_session_t *s, alk_key_t *key)
{
  if (s->closing == 0) s->engine->login(s, key);
}

void alk_session_admit(alk_session_t *s, bool yes)
{
  if (s->closing == 0) s->engine->admit(s, yes);
}

void alk_session_ref(alk_session_t *s, bool keeps)
{
  if (s->engine->ref != NULL) s->engine->ref(s, keeps);
}

void alk_session_keepalive(alk_session_t *s)
{
  if (s->closing == 0) s->engine->keepalive(s);
}

uint64_t alk_session_received(const alk_session_t *s)
{
  return s->engine->received(s);
}

uint64_t alk_session_silence(const alk_session_t *s)
{
  return uv_now(alk_loop_uv(s->loop)) - s->heard_at;
}

uint64_t alk_session_sent(const alk_session_t *s)
{
  return s->engine->sent(s);
}

uint32_t alk_session_channels(const alk_session_t *s)
{
  return s->engine->channels(s);
}

void alk_session_info(const alk_session_t *s, alk_session_info_t *out)
{
  memset(out, 0, sizeof *out);
  out->engine = s->engine->name;
  s->engine->info(s, out);
}

bool alk_session_can_listen(const alk_session_t *s)
{
  return !s->server && s->engine->listen != NULL;
}

static bool listen_or_not(alk_session_t *s, const alk_listen_t *what,
                          bool cancel, alk_reply_cb cb, void *data)
{
  if (s->closing > 0 || !alk_session_can_listen(s)) return false;
  return s->engine->listen(s, what, cancel, cb, data);
}

bool alk_session_listen(alk_session_t *s, const alk_listen_t *what,
                        alk_reply_cb cb, void *data)
{
  return listen_or_not(s, what, false, cb, data);
}

bool alk_session_unlisten(alk_session_t *s, const alk_listen_t *what,
                          alk_reply_cb cb, void *data)
{
  return listen_or_not(s, what, true, cb, data);
}

bool alk_session_can_ping(const alk_session_t *s)
{
  return s->engine->ping != NULL;
}

bool alk_session_ping(alk_session_t *s, alk_reply_cb cb, void *data)
{
  if (s->closing > 0 || !alk_session_can_ping(s)) return false;
  return s->engine->ping(s, cb, data);
}

void alk_request_answer(alk_request_t *r, bool yes, uint16_t port)
{
  r->session->engine->answer(r, yes, port);
}

alk_stream_t *alk_session_open(alk_session_t *s, const alk_target_t *target)
{
  return s->engine->open_channel(s, target);
}

static const alk_engine_t *engine_of(alk_stream_t *ch)
{
  CHECK(alk_stream_is_channel(ch));
  return ((alk_channel_t *) (void *) ch)->session->engine;
}

void alk_channel_accept(alk_stream_t *ch)
{
  if (!alk_stream_is(ch, ALK_S_CLOSING)) engine_of(ch)->accept(ch);
}

void alk_channel_refuse(alk_stream_t *ch, alk_open_reason_t reason,
                        const char *text)
{
  if (!alk_stream_is(ch, ALK_S_CLOSING))
    engine_of(ch)->refuse(ch, reason, text);
}

bool alk_stream_is_channel(const alk_stream_t *s)
{
  return strcmp(alk_stream_kind(s), "channel") == 0;
}
