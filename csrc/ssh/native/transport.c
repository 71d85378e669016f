/* transport.c - identification, the small messages, and when new keys are due
 * (RFC 4253 §4.2, §9, §11). exchange.c is how they are made. */
#include "ssh/native/transport.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "core/mem.h"

#define IDENT "SSH-2.0-alknet"

bool transport_may_send(const session_t *s)
{
  return !s->transport->init_sent;
}

kex_stage_t transport_stage(const session_t *s)
{
  return s->transport->stage;
}

bool transport_is_strict(const session_t *s)
{
  return s->transport->strict;
}

const uint8_t *transport_session_id(const session_t *s, size_t *len)
{
  *len = s->transport->session_id_len;
  return s->transport->session_id;
}

bool transport_peer_wants_ext_info(const session_t *s)
{
  return s->transport->ext_info;
}

uint64_t transport_rekey_ms(const session_t *s)
{
  return s->transport->rekey_ms;
}

static bool take_hostkeys(transport_t *t, const alk_session_opts_t *opts,
                          alk_err_t *err)
{
  if (opts->hostkeys_len > HOSTKEYS_MAX) {
    alk_fail(err, ALK_E_OPTION, 0, "more than %d host keys", HOSTKEYS_MAX);
    return false;
  }
  for (size_t i = 0; i < opts->hostkeys_len; i++)
    t->hostkeys[t->hostkeys_len++] = alk_key_dup(opts->hostkeys[i]);
  return true;
}

transport_t *transport_new(session_t *s, const alk_session_opts_t *opts,
                           alk_err_t *err)
{
  transport_t *t = alk_alloc(sizeof *t);
  uint64_t bytes = opts->rekey_bytes;
  t->rekey_bytes =
    bytes == 0 || bytes > REKEY_BYTES_MAX ? REKEY_BYTES_MAX : bytes;
  uint32_t seconds = opts->rekey_seconds;
  t->rekey_ms = 1000ull * (seconds > 0 ? seconds : REKEY_SECONDS_DEFAULT);
  snprintf(t->ident, sizeof t->ident, "%s", IDENT);
  if (take_hostkeys(t, opts, err) &&
      negotiate_offer(t, s->base.server, opts, err))
    return t;
  transport_free(t);
  return NULL;
}

void transport_free(transport_t *t)
{
  if (t == NULL) return;
  exchange_forget(t);
  for (size_t i = 0; i < t->hostkeys_len; i++)
    alk_key_free(t->hostkeys[i]);
  cipher_free(t->next_rx);
  alk_buf_free(&t->peer_key);
  alk_buf_free_secret(&t->waiting);
  OPENSSL_cleanse(t, sizeof *t);
  alk_free(t);
}

static void on_limit(uv_timer_t *timer)
{
  session_t *s = timer->data;
  if (s->asking) { /* it is our side that takes its time */
    native_timer(s, 1000ull * HANDSHAKE_SECONDS, on_limit);
    return;
  }
  native_bye(s, BYE_KEX, ALK_E_TIMEOUT, "the %s took too long",
             s->phase == PHASE_OPEN ? "key exchange" : "login");
}

void transport_start(session_t *s)
{
  alk_buf_add(&s->out, s->transport->ident, strlen(s->transport->ident));
  alk_buf_add(&s->out, "\r\n", 2);
  exchange_start(s);
  native_timer(s, 1000ull * HANDSHAKE_SECONDS, on_limit);
  native_wake(s);
}

void transport_rekey(session_t *s)
{
  transport_t *t = s->transport;
  if (t->init_sent || t->stage != KEX_IDLE || native_is_over(s)) return;
  exchange_start(s);
  /* Before, the login has its limit, and nobody gets more time by new keys. */
  if (s->phase == PHASE_OPEN)
    native_timer(s, 1000ull * REKEY_LIMIT_SECONDS, on_limit);
}

static bool is_worn(const direction_t *d)
{
  return d->bytes >= d->bytes_max || d->packets >= d->packets_max;
}

void transport_consider_rekey(session_t *s)
{
  if (s->phase == PHASE_OPEN && (is_worn(&s->rx) || is_worn(&s->tx)))
    transport_rekey(s);
}

static bool is_ident(const char *line)
{
  return strncmp(line, "SSH-2.0-", 8) == 0 ||
         strncmp(line, "SSH-1.99-", 9) == 0;
}

/* A whole line, without its end. A server may say a few others first. */
static void take_line(session_t *s, const char *line, size_t len)
{
  transport_t *t = s->transport;
  if (len > 0 && line[len - 1] == '\r') len--;
  bool is_text = len < sizeof t->peer_ident && memchr(line, '\0', len) == NULL;
  if (is_text) {
    memcpy(t->peer_ident, line, len);
    t->peer_ident[len] = '\0';
  }
  if (is_text && is_ident(t->peer_ident)) {
    s->phase = PHASE_KEX;
    return;
  }
  bool may_talk = is_text && !s->base.server &&
                  strncmp(t->peer_ident, "SSH-", 4) != 0 &&
                  ++t->ident_lines <= IDENT_LINES_MAX;
  t->peer_ident[0] = '\0';
  if (!may_talk)
    native_fail(s, ALK_E_PROTO,
                "the peer does not speak SSH 2: no identification line came");
}

size_t transport_ident(session_t *s, const uint8_t *p, size_t len)
{
  size_t limit = len < IDENT_MAX ? len : IDENT_MAX;
  const uint8_t *end = limit == 0 ? NULL : memchr(p, '\n', limit);
  if (end != NULL) {
    take_line(s, (const char *) p, (size_t) (end - p));
    return (size_t) (end - p) + 1;
  }
  if (limit == IDENT_MAX)
    native_fail(s, ALK_E_PROTO,
                "the peer does not speak SSH 2: its first line is too long");
  return 0;
}

bool transport_on_disconnect(session_t *s, alk_rd_t *r)
{
  uint32_t reason = alk_rd_u32(r);
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (r->bad) return false; /* the language may be missing */
  char text[160];
  size_t n = len < sizeof text ? len : sizeof text - 1;
  for (size_t i = 0; i < n; i++)
    text[i] = p[i] >= ' ' && p[i] <= '~' ? (char) p[i] : '?';
  text[n] = '\0';
  s->said_bye = true;
  alk_code_t code = s->phase == PHASE_OPEN   ? ALK_E_LOST
                    : s->phase == PHASE_AUTH ? ALK_E_AUTH
                    : reason == BYE_KEX      ? ALK_E_KEX
                                             : ALK_E_PROTO;
  bool is_first = s->base.err.code == ALK_OK && !native_is_over(s);
  native_fail(s, code, "the peer disconnected: %s",
              n > 0 ? text : "no reason given");
  if (is_first && reason <= ALK_BYE_MAX) s->base.err.reason = (int) reason;
  return true;
}

bool transport_on_ignore(session_t *s, alk_rd_t *r)
{
  (void) s;
  (void) r; /* whatever it holds */
  return true;
}

bool transport_on_unimplemented(session_t *s, alk_rd_t *r)
{
  (void) s;
  alk_rd_u32(r);
  return alk_rd_done(r);
}

bool transport_on_debug(session_t *s, alk_rd_t *r)
{
  (void) s;
  (void) r;
  return true;
}

void message_send(session_t *s, alk_buf_t *m)
{
  transport_t *t = s->transport;
  if (transport_may_send(s))
    packet_send(s, alk_buf_head(m), alk_buf_size(m), NULL, 0);
  else if (alk_buf_size(&t->waiting) + alk_buf_size(m) <= CONTROL_MAX)
    alk_buf_str(&t->waiting, alk_buf_head(m), alk_buf_size(m));
  else
    native_bye(s, BYE_PROTOCOL, ALK_E_LIMIT,
               "the peer asks much and does not change the keys");
  alk_buf_free(m);
}

static void copy(char *out, size_t cap, const char *text)
{
  snprintf(out, cap, "%s", text == NULL ? "" : text);
}

void transport_info(const session_t *s, alk_session_info_t *out)
{
  const transport_t *t = s->transport;
  const agreed_t *a = &t->agreed;
  copy(out->peer, sizeof out->peer, t->peer_ident);
  copy(out->kex, sizeof out->kex, a->kex);
  if (a->hostkey == NULL || a->cipher_rx == NULL || a->cipher_tx == NULL)
    return;
  copy(out->hostkey, sizeof out->hostkey, a->hostkey->name);
  copy(out->cipher_in, sizeof out->cipher_in, a->cipher_rx->name);
  copy(out->cipher_out, sizeof out->cipher_out, a->cipher_tx->name);
  copy(out->mac_in, sizeof out->mac_in,
       a->mac_rx == NULL ? "" : a->mac_rx->name);
  copy(out->mac_out, sizeof out->mac_out,
       a->mac_tx == NULL ? "" : a->mac_tx->name);
}
