/* session.c - the native engine: its front door, its task, and a session's end.
 *
 * The happy path: open -> our identification and KEXINIT leave -> the phases,
 * moved on by the handlers of what comes -> on_ready -> channels -> close:
 * each channel says CLOSE, then DISCONNECT, then the transport ends; when
 * transport, timer and channels are gone, on_close. A failure takes the same
 * road without the good-byes of the channels. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/native/impl.h"

static session_t *self(alk_session_t *s)
{
  return (session_t *) (void *) s;
}

void native_wake(session_t *s)
{
  alk_loop_defer(s->base.loop, &s->task);
}

bool native_is_over(const session_t *s)
{
  return s->base.closing > 0;
}

static void fail(session_t *s, alk_code_t code, const char *text)
{
  alk_err_t err;
  alk_fail(&err, code, 0, "%s", text);
  alk_session_fail(&s->base, &err);
}

void native_fail(session_t *s, alk_code_t code, const char *fmt, ...)
{
  char text[sizeof((alk_err_t *) 0)->msg];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fail(s, code, text);
}

static void say_bye(session_t *s, uint32_t reason, const char *text)
{
  if (s->said_bye || s->phase == PHASE_IDENT) return;
  s->said_bye = true;
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_DISCONNECT);
  alk_buf_u32(&m, reason);
  alk_buf_cstr(&m, text);
  alk_buf_cstr(&m, "");
  packet_send(s, alk_buf_head(&m), alk_buf_size(&m), NULL, 0);
  alk_buf_free(&m);
}

void native_bye(session_t *s, bye_t reason, alk_code_t code, const char *fmt,
                ...)
{
  char text[sizeof((alk_err_t *) 0)->msg];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (native_is_over(s)) return;
  say_bye(s, reason, text);
  fail(s, code, text);
}

void native_ask(session_t *s)
{
  s->asking = true;
  if (s->stream != NULL) alk_stream_pause(s->stream);
}

void native_answered(session_t *s)
{
  s->asking = false;
  native_wake(s);
}

static void on_rekey_time(uv_timer_t *t)
{
  session_t *s = t->data;
  transport_rekey(s);
}

void native_keys_fresh(session_t *s)
{
  if (s->phase == PHASE_OPEN)
    native_timer(s, transport_rekey_ms(s), on_rekey_time);
}

void native_authenticated(session_t *s)
{
  s->phase = PHASE_OPEN;
  s->ready_owed = true;
  native_keys_fresh(s);
  native_wake(s);
}

void native_timer(session_t *s, uint64_t ms, uv_timer_cb cb)
{
  if (uv_is_closing((uv_handle_t *) &s->timer)) return;
  if (ms == 0)
    uv_timer_stop(&s->timer);
  else
    CHECK(uv_timer_start(&s->timer, cb, ms, 0) == 0);
}

static void finish_when_idle(session_t *s)
{
  if (s->stream != NULL || s->handles > 0 || !conn_is_empty(s->conn)) return;
  alk_task_cancel(s->base.loop, &s->task);
  alk_session_emit_close(&s->base);
}

static void on_timer_closed(uv_handle_t *h)
{
  session_t *s = h->data;
  s->handles--;
  finish_when_idle(s);
}

static void on_linger(uv_timer_t *t)
{
  session_t *s = t->data;
  alk_session_close(&s->base); /* the second time: at once */
}

/* Once. What had come for the channels is still delivered, what was said last
 * still leaves, unless the peer does not read it within LINGER_MS. */
static void say_all(session_t *s)
{
  s->ending = true;
  native_timer(s, LINGER_MS, on_linger);
  if (s->phase == PHASE_OPEN && s->base.err.code == ALK_OK &&
      transport_may_send(s))
    conn_close_all(s);
  conn_kill_all(s);
  if (s->base.err.code == ALK_OK)
    say_bye(s, alk_session_bye_reason(&s->base),
            alk_session_bye_text(&s->base));
  s->full = false; /* the stream takes it all */
  packet_flush(s);
  if (s->stream != NULL) {
    alk_stream_resume(s->stream); /* its end is heard, its bytes are not */
    alk_stream_end(s->stream);    /* on_drain closes it */
  }
}

static void closing_step(session_t *s)
{
  if (!s->ending) say_all(s);
  conn_kill_all(s); /* those that somebody tried to open meanwhile */
  if (s->stream != NULL && s->base.closing == 2) alk_stream_close(s->stream);
  uv_handle_t *timer = (uv_handle_t *) &s->timer;
  if (s->stream == NULL && !uv_is_closing(timer))
    uv_close(timer, on_timer_closed);
  finish_when_idle(s);
}

static void tell_ready(session_t *s)
{
  s->ready_owed = false;
  s->base.ev->on_ready(&s->base);
}

/* Everything that is due, from the loop. */
static void run(session_t *s)
{
  if (!native_is_over(s) && s->ready_owed) tell_ready(s);
  if (!native_is_over(s) && !s->asking) packet_resume(s);
  if (!native_is_over(s) && s->ready_owed) tell_ready(s);
  if (!native_is_over(s)) conn_service(s);
  if (!native_is_over(s)) transport_consider_rekey(s);
  if (!native_is_over(s)) {
    /* What was done may lead to more in this turn (an end to a close): then
     * all of it leaves in one write, the next time. */
    if (!alk_task_is_queued(&s->task)) packet_flush(s);
    if (!s->asking) alk_stream_resume(s->stream);
    return;
  }
  closing_step(s); /* s may be gone */
}

static void run_task(alk_task_t *t)
{
  run((session_t *) (void *) ((char *) t - offsetof(session_t, task)));
}

static void on_data(alk_stream_t *t, const char *buf, size_t len)
{
  session_t *s = alk_stream_data(t);
  if (native_is_over(s)) return; /* it is closing and hears nothing more */
  packet_feed(s, (const uint8_t *) buf, len);
  native_wake(s);
}

static void on_end(alk_stream_t *t)
{
  session_t *s = alk_stream_data(t);
  if (native_is_over(s)) return; /* what we say last still leaves */
  native_fail(s, s->phase < PHASE_SERVICE ? ALK_E_PROTO : ALK_E_LOST,
              "the peer closed the connection%s",
              s->phase < PHASE_SERVICE ? " before the key exchange was done"
                                       : "");
}

static void on_drain(alk_stream_t *t)
{
  session_t *s = alk_stream_data(t);
  s->full = false;
  if (alk_stream_has_ended(t)) alk_stream_close(t);
  native_wake(s);
}

/* One story about a death: the transport's own, where it has one. */
static void on_close(alk_stream_t *t, const alk_err_t *err)
{
  session_t *s = alk_stream_data(t);
  s->stream = NULL;
  if (err != NULL && s->base.err.code == ALK_E_LOST)
    s->base.err = *err;
  else if (err != NULL)
    alk_session_fail(&s->base, err);
  else if (!native_is_over(s))
    native_fail(s, ALK_E_LOST, "the transport was closed");
  native_wake(s);
}

static const alk_owner_t owner = {
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

static void engine_free(alk_session_t *base)
{
  session_t *s = self(base);
  cipher_free(s->rx.cipher);
  cipher_free(s->tx.cipher);
  alk_buf_free_secret(&s->in);
  alk_buf_free_secret(&s->out);
  transport_free(s->transport);
  auth_free(s->auth);
  conn_free(s->conn);
  alk_free(s);
}

static alk_session_t *engine_open(alk_stream_t *stream, bool server,
                                  const alk_session_opts_t *opts,
                                  alk_err_t *err)
{
  alk_loop_t *l = alk_stream_loop(stream);
  session_t *s = alk_alloc(sizeof *s);
  s->base.server = server;
  s->transport = transport_new(s, opts, err);
  if (s->transport == NULL) {
    alk_free(s);
    alk_stream_close(stream);
    return NULL;
  }
  alk_session_init(&s->base, l, &alk_native_engine, server);
  s->auth = auth_new(s, opts);
  s->conn = conn_new(s, opts);
  s->task.run = run_task;
  CHECK(uv_timer_init(alk_loop_uv(l), &s->timer) == 0);
  uv_unref((uv_handle_t *) &s->timer); /* the transport keeps the loop up */
  s->timer.data = s;
  s->handles = 1;
  s->stream = stream;
  alk_stream_own(stream, &owner, s);
  alk_stream_resume(stream);
  transport_start(s);
  return &s->base;
}

static void engine_close(alk_session_t *s)
{
  native_wake(self(s));
}

static void engine_trust(alk_session_t *s, bool yes)
{
  transport_trusted(self(s), yes);
}

static void engine_login(alk_session_t *s, alk_key_t *key)
{
  auth_login(self(s), key);
}

static void engine_admit(alk_session_t *s, bool yes)
{
  auth_admit(self(s), yes);
}

static void engine_ref(alk_session_t *s, bool keeps)
{
  if (self(s)->stream != NULL) alk_stream_ref(self(s)->stream, keeps);
}

static void engine_keepalive(alk_session_t *s)
{
  if (self(s)->phase == PHASE_OPEN) conn_keepalive(self(s));
}

static uint64_t engine_received(const alk_session_t *s)
{
  return ((const session_t *) (const void *) s)->received;
}

static uint64_t engine_sent(const alk_session_t *s)
{
  return ((const session_t *) (const void *) s)->sent;
}

static uint32_t engine_channels(const alk_session_t *s)
{
  return conn_channels(((const session_t *) (const void *) s)->conn);
}

static void engine_info(const alk_session_t *s, alk_session_info_t *out)
{
  transport_info((const session_t *) (const void *) s, out);
}

static bool engine_listen(alk_session_t *s, const alk_listen_t *what,
                          bool cancel, alk_reply_cb cb, void *data)
{
  return self(s)->phase == PHASE_OPEN &&
         conn_listen(self(s), what, cancel, cb, data);
}

static bool engine_ping(alk_session_t *s, alk_reply_cb cb, void *data)
{
  return self(s)->phase == PHASE_OPEN && conn_ping(self(s), cb, data);
}

static alk_stream_t *engine_open_channel(alk_session_t *s,
                                         const alk_target_t *target)
{
  return conn_open(self(s), target);
}

static const char *version(void)
{
  return NULL; /* alknet's own */
}

const alk_engine_t alk_native_engine = {
  .name = "native",
  .version = version,
  .open = engine_open,
  .close = engine_close,
  .free = engine_free,
  .trust = engine_trust,
  .login = engine_login,
  .admit = engine_admit,
  .ref = engine_ref,
  .keepalive = engine_keepalive,
  .received = engine_received,
  .sent = engine_sent,
  .channels = engine_channels,
  .info = engine_info,
  .listen = engine_listen,
  .ping = engine_ping,
  .answer = conn_answer,
  .open_channel = engine_open_channel,
  .accept = conn_accept,
  .refuse = conn_refuse,
};
