/* session.c - the libssh engine: the pump, the road of a session, and its end.
 *
 * The happy path: open -> the state's step runs whenever the transport has
 * brought something or somebody wishes something, until it enters `ready` ->
 * reading and channel service -> close: channels say good-bye, then DISCONNECT,
 * then libssh is let go and the transport ends; when transport, timer and
 * channels are gone, on_close. A failure takes the same road without the
 * good-byes. wire.c tells how libssh gets at the transport. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

static const alk_engine_t *engine(void);
static void pump(alk_task_t *t);

static session_t *self(alk_session_t *s)
{
  return (session_t *) (void *) s;
}

void session_enter(session_t *s, const state_t *state)
{
  s->state = state;
  session_wake(s);
}

void session_wake(session_t *s)
{
  alk_loop_defer(s->base.loop, &s->pump);
}

void session_fail(session_t *s, alk_code_t code, const char *fmt, ...)
{
  alk_err_t err;
  char text[sizeof err.msg];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  /* libssh quotes the peer. */
  for (char *p = text; *p != '\0'; p++)
    if (*p < ' ' || *p > '~') *p = '?';
  alk_fail(&err, code, 0, "%s", text);
  alk_session_fail(&s->base, &err);
}

void session_fail_ssh(session_t *s, alk_code_t code, const char *what)
{
  const char *why = ssh_get_error(s->ssh);
  if (s->disconnected) {
    bool is_first = s->base.err.code == ALK_OK && s->base.closing == 0;
    session_fail(s, code, "%s: the peer disconnected: %s", what, s->last_words);
    if (is_first && s->last_reason <= ALK_BYE_MAX)
      s->base.err.reason = (int) s->last_reason;
    return;
  }
  /* The transport's end is the session's; its own error, if it has one, is
   * the better story and replaces this when it has closed. */
  if (strstr(why, "Socket error") != NULL) code = ALK_E_LOST;
  session_fail(s, code, "%s: %s", what, why[0] != '\0' ? why : "libssh failed");
}

bool session_is_dead(session_t *s)
{
  if ((ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0 &&
      ssh_is_connected(s->ssh))
    return false;
  alk_code_t code = s->state == &state_ready ? ALK_E_LOST : ALK_E_PROTO;
  session_fail_ssh(s, code, "SSH session");
  return true;
}

bool session_blob(session_t *s, ssh_key key)
{
  char *b64 = NULL;
  alk_buf_free(&s->peer_key);
  bool ok = ssh_pki_export_pubkey_base64(key, &b64) == SSH_OK &&
            alk_base64_decode(b64, strlen(b64), &s->peer_key);
  ssh_string_free_char(b64);
  return ok;
}

static bool session_failed(const session_t *s)
{
  return s->base.closing == 2 || s->base.err.code != ALK_OK;
}

/* The reading phase: ssh_message_get is libssh's read-and-dispatch for both
 * roles; it polls once, and only when no message waits. What the transport
 * brings at once (ALK_READ_BUF) bounds it. */
void session_read(session_t *s)
{
  s->reading = true;
  while (!s->asking && !session_failed(s)) {
    uint64_t before = s->wire.in_bytes;
    ssh_message msg = ssh_message_get(s->ssh);
    if (msg != NULL)
      server_message(s, msg);
    else if (s->wire.in_bytes == before)
      break;
  }
  s->reading = false;
}

void session_answered(session_t *s)
{
  s->asking = false;
  session_wake(s);
}

/* Replies and window adjustments wait in libssh for a poll that says they can
 * leave. */
void session_push(session_t *s)
{
  while (!s->full && !session_failed(s) &&
         (ssh_get_status(s->ssh) & SSH_WRITE_PENDING))
    if (ssh_blocking_flush(s->ssh, 0) == SSH_ERROR) break;
}

static void send_keepalive(session_t *s)
{
  s->keepalive_wanted = false;
  /* The call after an answered request only takes note of the answer, so it
   * may need a second one to send (trap 12). */
  uint64_t before = s->packets.out_packets;
  for (int i = 0; i < 2 && s->packets.out_packets == before; i++)
    (void) ssh_send_keepalive(s->ssh);
}

static void ready_step(session_t *s)
{
  if (!s->ready_told) {
    s->ready_told = true;
    s->base.ev->on_ready(&s->base);
  }
  session_read(s);
  if (session_failed(s) || session_is_dead(s)) return;
  if (s->keepalive_wanted) send_keepalive(s);
  channel_retry(s);
  channel_service_all(s);
  if (!session_failed(s)) session_is_dead(s);
}

const state_t state_ready = {"ready", ready_step};

/* Between key exchanges: a client that is turned away in its login, too. */
static bool may_say_bye(const session_t *s)
{
  bool has_keys =
    s->state == &state_ready || (s->base.server && s->state != &state_accept);
  return has_keys && !session_failed(s);
}

static void let_go(session_t *s)
{
  if (s->ssh == NULL) return;
  channel_kill_all(s);
  if (s->auth_msg != NULL) ssh_message_free(s->auth_msg);
  s->auth_msg = NULL;
  ssh_key_free(s->login_key);
  s->login_key = NULL;
  if (may_say_bye(s)) {
    /* Right behind another packet libssh would wait for a poll, and then be
     * freed. The wire takes everything. */
    ssh_set_fd_towrite(s->ssh);
    observer_bye(s);
  }
  ssh_free(s->ssh);
  s->ssh = NULL;
  if (s->bind != NULL) ssh_bind_free(s->bind);
  s->bind = NULL;
  wire_end(s);
}

static void finish_when_idle(session_t *s)
{
  if (s->ssh != NULL || s->transport != NULL || s->channels != NULL) return;
  if (s->handles > 0) return;
  alk_task_cancel(s->base.loop, &s->pump);
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

/* In good order the channels say good-bye first, and libssh's output leaves.
 * What is left then is the transport's: its last bytes leave too, unless the
 * peer does not read them. */
static void closing_step(session_t *s)
{
  uv_handle_t *linger = (uv_handle_t *) &s->linger;
  if (s->base.closing == 1 && !uv_is_closing(linger) && !uv_is_active(linger))
    CHECK(uv_timer_start(&s->linger, on_linger, LINGER_MS, 0) == 0);
  if (s->ssh != NULL && s->state == &state_ready && !session_failed(s)) {
    channel_close_all(s);
    if (s->channels != NULL || (ssh_get_status(s->ssh) & SSH_WRITE_PENDING))
      return;
  }
  let_go(s);
  channel_kill_all(s); /* those that somebody tried to open meanwhile */
  if (s->transport != NULL && s->base.closing == 2)
    alk_stream_close(s->transport);
  if (s->transport == NULL && !uv_is_closing(linger)) {
    uv_close(linger, on_timer_closed);
    uv_close((uv_handle_t *) &s->patience, on_timer_closed);
  }
  finish_when_idle(s);
}

static void run_step(session_t *s)
{
  /* Handshake steps read as they like; there are no channels yet. */
  s->reading = s->state != &state_ready;
  s->state->step(s);
  s->reading = false;
  if (s->ssh == NULL) return;
  session_push(s);
  wire_flush_later(s);
}

void session_pump(session_t *s)
{
  alk_task_cancel(s->base.loop, &s->pump);
  session_t *outer = wire_enter(s);
  if (s->ssh != NULL && !session_failed(s)) run_step(s);
  bool over = s->base.closing > 0;
  if (over) closing_step(s);
  wire_leave(outer);
  if (over) return; /* s may be gone */
  if (s->asking)
    alk_stream_pause(s->transport);
  else
    alk_stream_resume(s->transport);
  if (s->dirty_head != NULL && !s->full) session_wake(s);
}

static void pump(alk_task_t *t)
{
  session_pump((session_t *) (void *) ((char *) t - offsetof(session_t, pump)));
}

/* One story about a death: the transport's, not libssh's echo of it. */
void session_transport_gone(session_t *s, const alk_err_t *err)
{
  if (err != NULL && s->base.err.code == ALK_E_LOST)
    s->base.err = *err;
  else if (err != NULL)
    alk_session_fail(&s->base, err);
  else if (s->base.closing == 0)
    session_fail(s, ALK_E_LOST, "the transport was closed");
  session_wake(s);
}

static void init_library(void)
{
  CHECK(ssh_init() == 0);
}

static alk_session_t *session_open(alk_stream_t *transport, bool server,
                                   const alk_session_opts_t *opts,
                                   alk_err_t *err)
{
  static uv_once_t once = UV_ONCE_INIT;
  uv_once(&once, init_library);
  session_t *s = alk_alloc(sizeof *s);
  alk_session_init(&s->base, alk_stream_loop(transport), engine(), server);
  s->pump.run = pump;
  s->channels_max =
    opts->max_channels > 0 ? opts->max_channels : MAX_CHANNELS_DEFAULT;
  CHECK(uv_timer_init(alk_loop_uv(s->base.loop), &s->linger) == 0);
  CHECK(uv_timer_init(alk_loop_uv(s->base.loop), &s->patience) == 0);
  s->handles = 2;
  s->linger.data = s->patience.data = s;
  s->ssh = ssh_new();
  CHECK(s->ssh != NULL);
  ssh_set_blocking(s->ssh, 0);
  ssh_set_counters(s->ssh, &s->wire, &s->packets);
  observer_attach(s);
  session_enter(s, server ? &state_accept : &state_connect);
  wire_attach(s, transport);
  session_t *outer = wire_enter(s);
  bool ok =
    server ? server_prepare(s, opts, err) : client_prepare(s, opts, err);
  wire_leave(outer);
  if (ok) return &s->base;
  alk_session_fail(&s->base, err); /* closes like any other, but tells nobody */
  return NULL;
}

static void session_close(alk_session_t *base)
{
  session_wake(self(base));
}

static void session_free(alk_session_t *base)
{
  session_t *s = self(base);
  alk_buf_free(&s->peer_key);
  alk_buf_free(&s->out);
  alk_free(s);
}

static void session_ref(alk_session_t *base, bool keeps)
{
  session_t *s = self(base);
  if (s->transport != NULL) alk_stream_ref(s->transport, keeps);
}

static void session_keepalive(alk_session_t *base)
{
  self(base)->keepalive_wanted = true;
  session_wake(self(base));
}

static uint64_t session_received(const alk_session_t *base)
{
  return ((const session_t *) (const void *) base)->wire_in;
}

static uint64_t session_sent(const alk_session_t *base)
{
  return ((const session_t *) (const void *) base)->wire_out;
}

static uint32_t session_channels(const alk_session_t *base)
{
  return ((const session_t *) (const void *) base)->channels_len;
}

static void copy(char *out, size_t cap, const char *text)
{
  snprintf(out, cap, "%s", text == NULL ? "" : text);
}

static void session_info(const alk_session_t *base, alk_session_info_t *out)
{
  const session_t *s = (const session_t *) (const void *) base;
  if (s->ssh == NULL) return;
  copy(out->peer, sizeof out->peer,
       base->server ? ssh_get_clientbanner(s->ssh)
                    : ssh_get_serverbanner(s->ssh));
  copy(out->kex, sizeof out->kex, ssh_get_kex_algo(s->ssh));
  copy(out->hostkey, sizeof out->hostkey, s->hostkey);
  copy(out->cipher_in, sizeof out->cipher_in, ssh_get_cipher_in(s->ssh));
  copy(out->cipher_out, sizeof out->cipher_out, ssh_get_cipher_out(s->ssh));
  copy(out->mac_in, sizeof out->mac_in, ssh_get_hmac_in(s->ssh));
  copy(out->mac_out, sizeof out->mac_out, ssh_get_hmac_out(s->ssh));
}

static const char *session_version(void)
{
  return ssh_version(0);
}

const alk_engine_t alk_libssh_engine = {
  .name = "libssh",
  .version = session_version,
  .open = session_open,
  .close = session_close,
  .free = session_free,
  .trust = client_trust,
  .login = client_login,
  .admit = server_admit,
  .ref = session_ref,
  .keepalive = session_keepalive,
  .received = session_received,
  .sent = session_sent,
  .channels = session_channels,
  .info = session_info,
  .open_channel = channel_open,
  .accept = channel_accept,
  .refuse = channel_refuse,
};

static const alk_engine_t *engine(void)
{
  return &alk_libssh_engine;
}
