/* socks.c - the server's side of SOCKS over a borrowed stream.
 *
 * The happy path:
 *
 *   GREETING --> [LOGIN -->] REQUEST --> ASKED --grant()--> gone
 *       \------> REQUEST4 --------------/  paused
 *
 * How it can fail:
 * - The client is wrong in a way that SOCKS has words for, or the caller
 *   refuses: REFUSING. The answer is written and the stream ended. It is closed
 *   when the answer has left *and* the client has ended: what a client still
 *   sends is read and dropped, because closing a socket with unread bytes
 *   resets it, and a reset destroys an answer that is on its way.
 * - It takes too long, for its request or for its end: CLOSING.
 * - It does not speak SOCKS, or ends before its request is whole: CLOSING.
 * - The caller gives up, or closes the stream: CLOSING too.
 * - The stream dies in any state: on_close comes without being asked for.
 * All of them end in on_close, which is where on_done is called. */
#include <assert.h>
#include <string.h>

#include "core/mem.h"

#include "proto/handshake.h"

typedef enum {
  GREETING,
  LOGIN,
  REQUEST,
  REQUEST4,
  ASKED,
  REFUSING,
  CLOSING,
  DONE
} state_t;

struct alk_socks {
  alk_stream_t *s;
  const alk_socks_events_t *ev;
  void *data;
  state_t state;
  bool needs_login;
  bool login_fits; /* no login that can be sent equals one that is too long */
  bool refused;    /* by alk_socks_refuse: not an error */
  bool client_ended, delivered; /* REFUSING waits for both */
  alk_socks_login_t login;
  alk_socks_request_t req;
  alk_err_t err; /* the first */
  unsigned limit_ms;
  alk_limit_t limit;
  size_t in_len;
  uint8_t in[ALK_SOCKS_MAX]; /* the message that is not whole yet */
};

static bool is_talking(const alk_socks_t *h)
{
  return h->state <= REQUEST4;
}

/* Closes without a word. */
static void give_up(alk_socks_t *h, alk_code_t code, const char *why)
{
  if (h->err.code == ALK_OK) alk_fail(&h->err, code, 0, "socks: %s", why);
  h->state = CLOSING;
  alk_stream_close(h->s);
}

static void on_late(alk_limit_t *t)
{
  alk_socks_t *h =
    (alk_socks_t *) (void *) ((char *) t - offsetof(alk_socks_t, limit));
  give_up(h, ALK_E_TIMEOUT, "the client took too long");
}

/* The last words, and then the wait of the story above. */
static void refuse(alk_socks_t *h, const uint8_t *words, size_t len)
{
  h->state = REFUSING;
  alk_limit_start(alk_stream_loop(h->s), &h->limit, h->limit_ms);
  alk_stream_resume(h->s);
  alk_stream_write(h->s, (const char *) words, len);
  alk_stream_end(h->s);
}

static void refuse_short(alk_socks_t *h, uint8_t version, uint8_t status,
                         const char *why)
{
  const uint8_t words[2] = {version, status};
  alk_fail(&h->err, ALK_E_AUTH, 0, "socks: %s", why);
  refuse(h, words, sizeof words);
}

static void refuse_request(alk_socks_t *h, uint8_t rep)
{
  uint8_t words[ALK_SOCKS_REPLY_MAX];
  size_t len = alk_socks_put_reply(words, h->req.version, rep);
  refuse(h, words, len);
}

static void answer(alk_socks_t *h, uint8_t version, uint8_t status)
{
  const uint8_t words[2] = {version, status};
  alk_stream_write(h->s, (const char *) words, sizeof words);
}

/* A password may have been in it. */
static void consume(alk_socks_t *h, int used)
{
  size_t n = (size_t) used;
  h->in_len -= n;
  memmove(h->in, h->in + n, h->in_len);
  explicit_bzero(h->in + h->in_len, n);
}

static void take_socks4(alk_socks_t *h)
{
  h->req.version = 4;
  h->state = REQUEST4;
  if (!h->needs_login) return;
  alk_fail(&h->err, ALK_E_AUTH, 0, "socks: SOCKS4 has no password");
  refuse_request(h, ALK_SOCKS_NOT_ALLOWED);
}

static bool take_greeting(alk_socks_t *h)
{
  if (h->in_len > 0 && h->in[0] == 4) {
    take_socks4(h);
    return true;
  }
  uint8_t method = h->needs_login ? ALK_SOCKS_USERPASS : ALK_SOCKS_NONE;
  bool offered = false;
  int used = alk_socks5_parse_greeting(h->in, h->in_len, method, &offered);
  if (used == 0) return false;
  if (used < 0) {
    give_up(h, ALK_E_PROTO, "the client does not speak SOCKS");
    return true;
  }
  consume(h, used);
  if (!offered) {
    refuse_short(h, 5, ALK_SOCKS_NO_METHOD, "no method that is accepted here");
    return true;
  }
  h->req.version = 5;
  h->state = h->needs_login ? LOGIN : REQUEST;
  answer(h, 5, method);
  return true;
}

/* In constant time: both are whole structs, padded with zeros. */
static bool is_login(const alk_socks_t *h, const alk_socks_login_t *login)
{
  const uint8_t *a = (const uint8_t *) &h->login;
  const uint8_t *b = (const uint8_t *) login;
  uint8_t differ = 0;
  for (size_t i = 0; i < sizeof h->login; i++)
    differ |= a[i] ^ b[i];
  return differ == 0 && h->login_fits;
}

static bool take_login(alk_socks_t *h)
{
  alk_socks_login_t login = {0};
  int used = alk_socks5_parse_login(h->in, h->in_len, &login);
  if (used == 0) return false;
  if (used == ALK_SOCKS_E_VERSION) {
    give_up(h, ALK_E_PROTO, "the client broke the login");
    return true;
  }
  bool right = used > 0 && is_login(h, &login);
  explicit_bzero(&login, sizeof login);
  if (!right) {
    refuse_short(h, 1, 1, "wrong user or password");
    return true;
  }
  consume(h, used);
  h->state = REQUEST;
  answer(h, 1, 0);
  return true;
}

static void refuse_bad_request(alk_socks_t *h, int bad)
{
  if (bad == ALK_SOCKS_E_COMMAND) {
    alk_fail(&h->err, ALK_E_PROTO, 0, "socks: a command other than CONNECT");
    refuse_request(h, ALK_SOCKS_BAD_COMMAND);
  } else if (bad == ALK_SOCKS_E_ATYP) {
    alk_fail(&h->err, ALK_E_PROTO, 0, "socks: an unknown address type");
    refuse_request(h, ALK_SOCKS_BAD_ADDRESS_TYPE);
  } else {
    alk_fail(&h->err, ALK_E_PROTO, 0, "socks: a malformed request");
    refuse_request(h, ALK_SOCKS_FAILURE);
  }
}

static bool take_request(alk_socks_t *h)
{
  int used = h->state == REQUEST4
               ? alk_socks4_parse_request(h->in, h->in_len, &h->req)
               : alk_socks5_parse_request(h->in, h->in_len, &h->req);
  if (used == 0) return false;
  if (used == ALK_SOCKS_E_VERSION) {
    give_up(h, ALK_E_PROTO, "the client broke the request");
  } else if (used < 0) {
    refuse_bad_request(h, used);
  } else {
    consume(h, used);
    h->state = ASKED;
  }
  return true;
}

/* False: more bytes are needed, or none. */
static bool step(alk_socks_t *h)
{
  switch (h->state) {
  case GREETING:
    return take_greeting(h);
  case LOGIN:
    return take_login(h);
  case REQUEST:
  case REQUEST4:
    return take_request(h);
  default:
    return false;
  }
}

static void on_data(alk_stream_t *s, const char *buf, size_t len)
{
  alk_socks_t *h = alk_stream_data(s);
  if (!is_talking(h)) return; /* REFUSING: read and dropped */
  while (len > 0 && is_talking(h)) {
    size_t room = sizeof h->in - h->in_len;
    size_t n = len < room ? len : room;
    assert(n > 0); /* no message is longer: each parser has decided by then */
    memcpy(h->in + h->in_len, buf, n);
    h->in_len += n;
    buf += n;
    len -= n;
    while (step(h))
      ;
  }
  /* A stream that broke at our answers has nobody left to ask for. */
  if (h->state != ASKED || !alk_stream_is_open(s)) return;
  alk_limit_stop(alk_stream_loop(s), &h->limit);
  alk_stream_pause(s);
  alk_stream_unread(s, buf, len);
  alk_stream_unread(s, (const char *) h->in, h->in_len);
  h->in_len = 0;
  h->ev->on_request(h, &h->req);
}

static void close_when_delivered(alk_socks_t *h)
{
  if (h->state == REFUSING && h->client_ended && h->delivered)
    alk_stream_close(h->s);
}

static void on_end(alk_stream_t *s)
{
  alk_socks_t *h = alk_stream_data(s);
  h->client_ended = true;
  if (is_talking(h))
    give_up(h, ALK_E_PROTO, "the client ended before its request was whole");
  else
    close_when_delivered(h);
}

/* Every other drain than that of the end is a reply's of a few bytes, which
 * nobody waited for. */
static void on_drain(alk_stream_t *s)
{
  alk_socks_t *h = alk_stream_data(s);
  if (h->state != REFUSING) return;
  h->delivered = true;
  close_when_delivered(h);
}

static void on_close(alk_stream_t *s, const alk_err_t *err)
{
  alk_socks_t *h = alk_stream_data(s);
  alk_limit_stop(alk_stream_loop(s), &h->limit);
  if (h->err.code == ALK_OK && err != NULL) h->err = *err;
  if (h->err.code == ALK_OK)
    alk_fail(&h->err, ALK_E_CANCELED, 0, "socks: the stream was closed");
  h->state = DONE;
  h->ev->on_done(h, h->refused ? NULL : &h->err);
  alk_free_secret(h, sizeof *h);
}

static const alk_owner_t owner = {
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

/* False: too long, no client could send it. */
static bool put_field(char out[256], const char *text)
{
  size_t len = strnlen(text, 256);
  if (len > 255) return false;
  memcpy(out, text, len);
  return true;
}

alk_socks_t *alk_socks_accept(alk_stream_t *s, const char *user,
                              const char *password, unsigned limit_ms,
                              const alk_socks_events_t *ev, void *data)
{
  alk_socks_t *h = alk_alloc(sizeof *h);
  h->s = s;
  h->ev = ev;
  h->data = data;
  h->limit_ms = limit_ms;
  h->limit.late = on_late;
  /* Half a login is not "no login". */
  h->needs_login = user != NULL || password != NULL;
  h->login_fits = user != NULL && password != NULL &&
                  put_field(h->login.user, user) &&
                  put_field(h->login.password, password);
  alk_stream_own(s, &owner, h);
  alk_limit_start(alk_stream_loop(s), &h->limit, limit_ms);
  alk_stream_resume(s);
  return h;
}

void *alk_socks_data(const alk_socks_t *h)
{
  return h->data;
}

alk_stream_t *alk_socks_grant(alk_socks_t *h)
{
  alk_stream_t *s = h->s;
  if (h->state != ASKED || !alk_stream_is_open(s)) return NULL;
  uint8_t words[ALK_SOCKS_REPLY_MAX];
  size_t len = alk_socks_put_reply(words, h->req.version, ALK_SOCKS_OK);
  alk_stream_write(s, (const char *) words, len);
  if (!alk_stream_is_open(s)) return NULL; /* on_close is on its way */
  alk_stream_own(s, NULL, NULL);
  alk_free_secret(h, sizeof *h);
  return s;
}

void alk_socks_refuse(alk_socks_t *h, uint8_t rep)
{
  assert(rep != ALK_SOCKS_OK);
  if (h->state != ASKED || !alk_stream_is_open(h->s)) return;
  h->refused = true;
  refuse_request(h, rep);
}

void alk_socks_close(alk_socks_t *h)
{
  if (h->state == DONE) return; /* from inside on_done */
  give_up(h, ALK_E_CANCELED, "closed");
}
