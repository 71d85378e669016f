/* observer.c - what libssh's headers do not offer and its archive does.
 *
 * libssh keeps a list of packet handlers and asks them in order. Ours joins it
 * first, looks, and lets libssh's own handler follow. So we learn of window
 * adjustments and open answers (trap 5), of refusals with their exact reason
 * (trap 10), of packet sizes that its writer cannot live with, of the host key
 * algorithm, and of the peer's last words.
 *
 * The other way round: libssh's refusal of an open always says "prohibited"
 * without a word, and its DISCONNECT "Bye Bye". The link diverts its packer's
 * calls (-Wl,--wrap) through here, and while observer_refuse() or
 * observer_bye() runs, that one packet gets our reason. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

/* In libssh.a, not in its headers (0.9 to 0.12 alike). */
void ssh_packet_set_callbacks(ssh_session session,
                              struct ssh_packet_callbacks_struct *callbacks);
int ssh_buffer_pack_va(ssh_buffer buffer, const char *format, size_t argc,
                       va_list ap);
int __wrap__ssh_buffer_pack(ssh_buffer buffer, const char *format, size_t argc,
                            ...);

enum {
  DISCONNECT = 1,
  KEXINIT = 20,
  COOKIE = 16,
  CHANNEL_OPEN = 90,
  CHANNEL_OPEN_CONFIRMATION = 91,
  CHANNEL_OPEN_FAILURE = 92,
  CHANNEL_WINDOW_ADJUST = 93
};

/* The peer's list beside ours: the client's order decides (RFC 4253 §7.1). */
static void saw_kexinit(session_t *s, alk_rd_t *r)
{
  size_t len;
  (void) alk_rd_bytes(r, COOKIE);
  (void) alk_rd_str(r, &len);
  const uint8_t *list = alk_rd_str(r, &len);
  if (list == NULL) return; /* libssh says what it thinks of that */
  char *theirs = alk_alloc(len + 1);
  memcpy(theirs, list, len);
  const char *first = s->base.server ? theirs : s->hostkeys;
  const char *other = s->base.server ? s->hostkeys : theirs;
  options_agreed(first, other, s->hostkey, sizeof s->hostkey);
  alk_free(theirs);
}

static void check_packet_size(session_t *s, uint32_t size)
{
  if (size < MAX_PACKET_MIN)
    session_fail(s, ALK_E_PROTO, "maximum packet size of %u bytes", size);
}

static channel_t *opening(session_t *s, uint32_t id)
{
  channel_t *c = s->channels;
  while (c != NULL && !(c->state == CH_OPENING && c->id == id))
    c = c->next;
  return c;
}

/* A peer's words: printable only. */
static void put_words(char *out, size_t cap, const uint8_t *text, size_t len)
{
  if (len >= cap) len = cap - 1;
  for (size_t i = 0; i < len; i++)
    out[i] = text[i] >= ' ' && text[i] < 127 ? (char) text[i] : '?';
  out[len] = '\0';
}

static void saw_disconnect(session_t *s, alk_rd_t *r)
{
  s->last_reason = alk_rd_u32(r);
  size_t len;
  const uint8_t *text = alk_rd_str(r, &len);
  s->disconnected = true;
  put_words(s->last_words, sizeof s->last_words, text, text == NULL ? 0 : len);
}

static void saw_failure(session_t *s, alk_rd_t *r)
{
  channel_t *c = opening(s, alk_rd_u32(r));
  uint32_t reason = alk_rd_u32(r);
  size_t len;
  const uint8_t *text = alk_rd_str(r, &len);
  if (c == NULL || c->refusal_reason != 0) return;
  c->refusal = alk_alloc(REFUSAL_MAX + 1);
  put_words(c->refusal, REFUSAL_MAX + 1, text, text == NULL ? 0 : len);
  c->refusal_reason = reason != 0 && reason <= ALK_OPEN_SHORTAGE
                        ? reason
                        : ALK_OPEN_CONNECT_FAILED;
  s->answered = true;
}

static int observe(ssh_session ssh, uint8_t type, ssh_buffer packet, void *user)
{
  (void) ssh;
  session_t *s = user;
  alk_rd_t r = alk_rd(ssh_buffer_get(packet), ssh_buffer_get_len(packet));
  if (type == DISCONNECT) {
    saw_disconnect(s, &r);
  } else if (type == KEXINIT) {
    saw_kexinit(s, &r);
  } else if (type == CHANNEL_OPEN) {
    (void) alk_rd_sub(&r);
    (void) alk_rd_u32(&r);
    (void) alk_rd_u32(&r);
    check_packet_size(s, alk_rd_u32(&r));
  } else if (type == CHANNEL_OPEN_CONFIRMATION) {
    (void) alk_rd_u32(&r);
    (void) alk_rd_u32(&r);
    (void) alk_rd_u32(&r);
    check_packet_size(s, alk_rd_u32(&r));
    s->answered = true;
  } else if (type == CHANNEL_OPEN_FAILURE) {
    saw_failure(s, &r);
  } else {
    s->adjusted = true;
  }
  /* A packet that has failed the session goes no further. */
  return s->base.err.code == ALK_OK ? SSH_PACKET_NOT_USED : SSH_PACKET_USED;
}

void observer_attach(session_t *s)
{
  static ssh_packet_callback table[] = {
    [DISCONNECT] = observe,           [KEXINIT] = observe,
    [CHANNEL_OPEN] = observe,         [CHANNEL_OPEN_CONFIRMATION] = observe,
    [CHANNEL_OPEN_FAILURE] = observe, [CHANNEL_WINDOW_ADJUST] = observe,
  };
  s->observer.start = 0;
  s->observer.n_callbacks = sizeof table / sizeof *table;
  s->observer.callbacks = table;
  s->observer.user = s;
  ssh_packet_set_callbacks(s->ssh, &s->observer);
}

/* What to say instead, while observer_refuse() runs. A thread has one loop. */
static _Thread_local struct {
  bool on;
  alk_open_reason_t reason;
  const char *text;
} refusal;

static _Thread_local const session_t *leaving; /* during observer_bye() */

static int pack(ssh_buffer buffer, const char *format, size_t argc, ...)
{
  va_list ap;
  va_start(ap, argc);
  int rc = ssh_buffer_pack_va(buffer, format, argc, ap);
  va_end(ap);
  return rc;
}

/* libssh's own calls are ("bdddd", 92, sender, 1, 0, 0): two empty strings, and
 * ("bdss", 1, 11, "Bye Bye", ""). */
int __wrap__ssh_buffer_pack(ssh_buffer buffer, const char *format, size_t argc,
                            ...)
{
  va_list ap;
  va_start(ap, argc);
  int rc;
  if (refusal.on && strcmp(format, "bdddd") == 0) {
    unsigned type = va_arg(ap, unsigned);
    uint32_t sender = va_arg(ap, uint32_t);
    refusal.on = false;
    rc = pack(buffer, "bddss", 5, type, sender, (uint32_t) refusal.reason,
              refusal.text, "", 0x4f65feb3 /* libssh's end mark */);
  } else if (leaving != NULL && strcmp(format, "bdss") == 0) {
    unsigned type = va_arg(ap, unsigned);
    const alk_session_t *s = &leaving->base;
    leaving = NULL;
    rc = pack(buffer, format, 4, type, alk_session_bye_reason(s),
              alk_session_bye_text(s), "", 0x4f65feb3 /* libssh's end mark */);
  } else {
    rc = ssh_buffer_pack_va(buffer, format, argc, ap);
  }
  va_end(ap);
  return rc;
}

void observer_bye(const session_t *s)
{
  leaving = s;
  ssh_disconnect(s->ssh);
  leaving = NULL;
}

void observer_refuse(ssh_message msg, alk_open_reason_t reason,
                     const char *text)
{
  refusal.on = true;
  refusal.reason = reason;
  refusal.text = text;
  ssh_message_reply_default(msg);
  refusal.on = false;
}
