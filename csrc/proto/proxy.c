/* proxy.c - the client's side of a proxy over a borrowed stream.
 *
 * The happy path:
 *
 *   SOCKS5:  METHOD --> [STATUS -->] REPLY --> on_open
 *   HTTP:    HEAD ---------------------------> on_open
 *
 * We speak first. Behind the last question nothing is said until it has been
 * answered with a yes, so that no byte of the tunnel is ever read by the proxy;
 * and what comes behind the yes is the target's, which may well speak first.
 *
 * How it can fail:
 * - The proxy says no, or wants another login, or says what nobody understands,
 *   or ends; or it takes too long: CLOSING.
 * - The question itself is wrong: CLOSING, before anything was said.
 * - The caller gives up, or closes the stream: CLOSING too.
 * - The stream dies in any state: its on_close comes without being asked for.
 * All of them end in the stream's on_close, which is where ours is called. */
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"

#include "proto/handshake.h"
#include "proto/http_codec.h"
#include "proto/socks_client_codec.h"

typedef enum { METHOD, STATUS, REPLY, HEAD, OPEN, CLOSING } state_t;

struct alk_proxy {
  alk_stream_t *s;
  const alk_proxy_events_t *ev;
  void *data;
  state_t state;
  alk_err_t err; /* the first */
  alk_limit_t limit;
  bool has_login; /* or an authorization */
  size_t login_len, request_len, in_len;
  uint8_t login[ALK_SOCKS_LOGIN_MAX];
  uint8_t request[ALK_SOCKS_REQUEST_MAX];
  uint8_t in[ALK_SOCKS_ANSWER_MAX]; /* the answer that is not whole yet */
  alk_http_head_t head;
};

/* The first reason counts, and closes. */
static void fail(alk_proxy_t *h, alk_code_t code, int sys, int reason,
                 const char *why)
{
  if (h->state == CLOSING) return;
  alk_fail(&h->err, code, sys, "proxy: %s", why);
  h->err.reason = reason;
  h->state = CLOSING;
  alk_stream_close(h->s);
}

static void on_late(alk_limit_t *t)
{
  alk_proxy_t *h =
    (alk_proxy_t *) (void *) ((char *) t - offsetof(alk_proxy_t, limit));
  fail(h, ALK_E_TIMEOUT, 0, 0, "no answer in time");
}

static void say(alk_proxy_t *h, const void *p, size_t len)
{
  alk_stream_write(h->s, p, len);
}

/* SOCKS5 */

static void ask_socks(alk_proxy_t *h)
{
  h->state = REPLY;
  say(h, h->request, h->request_len);
}

static void take_method(alk_proxy_t *h, uint8_t method)
{
  if (method == ALK_SOCKS_NONE) {
    ask_socks(h);
  } else if (method == ALK_SOCKS_USERPASS && h->has_login) {
    h->state = STATUS;
    say(h, h->login, h->login_len);
  } else if (method == ALK_SOCKS_NO_METHOD) {
    fail(h, ALK_E_PROXYAUTH, 0, 0,
         h->has_login ? "it takes neither this login nor none"
                      : "it wants a user and a password");
  } else {
    fail(h, ALK_E_PROTO, 0, 0, "it chose a login that was not offered");
  }
}

static void take_status(alk_proxy_t *h, uint8_t status)
{
  if (status == 0)
    ask_socks(h);
  else
    fail(h, ALK_E_PROXYAUTH, 0, 0, "wrong user or password");
}

/* RFC 1928 §6; sys where the system has just that word. A time to live that has
 * expired is what SOCKS has for a time-out. */
static const struct {
  int sys;
  const char *text;
} replies[] = {
  [ALK_SOCKS_FAILURE] = {0, "it failed, and says no more (1)"},
  [ALK_SOCKS_NOT_ALLOWED] = {0, "its rules do not allow that (2)"},
  [ALK_SOCKS_NET_UNREACHABLE] = {UV_ENETUNREACH, "network unreachable (3)"},
  [ALK_SOCKS_HOST_UNREACHABLE] = {UV_EHOSTUNREACH, "host unreachable (4)"},
  [ALK_SOCKS_REFUSED] = {UV_ECONNREFUSED, "connection refused (5)"},
  [ALK_SOCKS_TTL_EXPIRED] = {UV_ETIMEDOUT, "time to live expired (6)"},
  [ALK_SOCKS_BAD_COMMAND] = {0, "it has no CONNECT (7)"},
  [ALK_SOCKS_BAD_ADDRESS_TYPE] = {0, "it does not know such addresses (8)"},
};

static void take_reply(alk_proxy_t *h, uint8_t rep)
{
  char other[32];
  if (rep == ALK_SOCKS_OK) {
    h->state = OPEN;
  } else if (rep < sizeof replies / sizeof *replies) {
    int sys = replies[rep].sys;
    fail(h, sys == 0 ? ALK_E_PROXY : ALK_E_SYS, sys, rep, replies[rep].text);
  } else {
    snprintf(other, sizeof other, "it refused with %u", rep);
    fail(h, ALK_E_PROXY, 0, rep, other);
  }
}

/* False: more bytes are needed, or none. */
static bool step(alk_proxy_t *h)
{
  uint8_t said = 0;
  int used;
  state_t state = h->state;
  if (state == METHOD)
    used = alk_socks5_parse_method(h->in, h->in_len, &said);
  else if (state == STATUS)
    used = alk_socks5_parse_status(h->in, h->in_len, &said);
  else if (state == REPLY)
    used = alk_socks5_parse_reply(h->in, h->in_len, &said);
  else
    return false;
  if (used == 0) return false;
  if (used < 0) {
    fail(h, ALK_E_PROTO, 0, 0, "it does not speak SOCKS5");
    return true;
  }
  h->in_len -= (size_t) used;
  memmove(h->in, h->in + used, h->in_len);
  if (state == METHOD)
    take_method(h, said);
  else if (state == STATUS)
    take_status(h, said);
  else
    take_reply(h, said);
  return true;
}

/* How many bytes were taken: all, or up to the end of the reply and a few. */
static size_t take_socks(alk_proxy_t *h, const uint8_t *p, size_t n)
{
  size_t taken = 0;
  while (taken < n && h->state < HEAD) {
    size_t room = sizeof h->in - h->in_len;
    size_t len = n - taken < room ? n - taken : room;
    CHECK(len > 0); /* no answer is longer: its parser has decided by then */
    memcpy(h->in + h->in_len, p + taken, len);
    h->in_len += len;
    taken += len;
    while (step(h))
      ;
  }
  return taken;
}

/* HTTP */

static void refused_login(alk_proxy_t *h)
{
  char why[224];
  int status = h->head.status;
  snprintf(why, sizeof why, "%d %s (%s%s%s)", status, h->head.reason,
           h->has_login ? "it does not take this user and password"
                        : "it wants a user and a password",
           h->head.schemes[0] == '\0' ? "" : "; it offers ", h->head.schemes);
  fail(h, ALK_E_PROXYAUTH, 0, status, why);
}

static void take_status_code(alk_proxy_t *h)
{
  char why[128];
  int status = h->head.status;
  if (status < 300) {
    h->state = OPEN;
  } else if (status == 407 || status == 401) { /* tinyproxy's: wrong password */
    refused_login(h);
  } else {
    snprintf(why, sizeof why, "it refused: %d %s", status, h->head.reason);
    fail(h, ALK_E_PROXY, 0, status, why);
  }
}

static size_t take_http(alk_proxy_t *h, const uint8_t *p, size_t n)
{
  size_t taken = alk_http_head_take(&h->head, p, n);
  if (h->head.result == ALK_HTTP_DONE)
    take_status_code(h);
  else if (h->head.result == ALK_HTTP_BAD)
    fail(h, ALK_E_PROTO, 0, 0, "what it answers is not HTTP/1");
  else if (h->head.result == ALK_HTTP_LONG)
    fail(h, ALK_E_LIMIT, 0, 0, "the head of its answer is over 8 KiB");
  return taken;
}

/* both */

/* The stream is the target's, and goes to whoever asked for it. */
static void give_back(alk_proxy_t *h, const char *rest, size_t len)
{
  alk_stream_t *s = h->s;
  const alk_proxy_events_t *ev = h->ev;
  void *data = h->data;
  alk_limit_stop(alk_stream_loop(s), &h->limit);
  alk_stream_pause(s);
  alk_stream_unread(s, rest, len);
  alk_stream_unread(s, (const char *) h->in, h->in_len);
  alk_stream_own(s, NULL, NULL);
  alk_free_secret(h, sizeof *h);
  ev->on_open(data, s);
}

static void on_data(alk_stream_t *s, const char *buf, size_t len)
{
  alk_proxy_t *h = alk_stream_data(s);
  if (h->state == CLOSING) return;
  const uint8_t *p = (const uint8_t *) buf;
  size_t taken =
    h->state == HEAD ? take_http(h, p, len) : take_socks(h, p, len);
  /* A stream that broke at what we said leads nowhere: on_close is on its way.
   */
  if (h->state == OPEN && alk_stream_is_open(s))
    give_back(h, buf + taken, len - taken);
}

static void on_end(alk_stream_t *s)
{
  alk_proxy_t *h = alk_stream_data(s);
  fail(h, ALK_E_PROXY, 0, 0, "it ended the connection instead of an answer");
}

static void on_close(alk_stream_t *s, const alk_err_t *err)
{
  alk_proxy_t *h = alk_stream_data(s);
  const alk_proxy_events_t *ev = h->ev;
  void *data = h->data;
  alk_limit_stop(alk_stream_loop(s), &h->limit);
  alk_err_t why = h->err;
  if (why.code == ALK_OK && err != NULL) why = *err;
  if (why.code == ALK_OK)
    alk_fail(&why, ALK_E_CANCELED, 0, "proxy: the stream was closed");
  alk_free_secret(h, sizeof *h);
  ev->on_close(data, &why);
}

static const alk_owner_t owner = {
  .on_data = on_data,
  .on_end = on_end,
  .on_close = on_close,
};

static alk_proxy_t *proxy_new(alk_stream_t *s, const alk_proxy_ask_t *ask,
                              const alk_proxy_events_t *ev, void *data)
{
  alk_proxy_t *h = alk_alloc(sizeof *h);
  h->s = s;
  h->ev = ev;
  h->data = data;
  h->limit.late = on_late;
  alk_stream_own(s, &owner, h);
  alk_limit_start(alk_stream_loop(s), &h->limit, ask->limit_ms);
  alk_stream_resume(s);
  return h;
}

alk_proxy_t *alk_proxy_socks5(alk_stream_t *s, const alk_proxy_ask_t *ask,
                              const alk_proxy_events_t *ev, void *data)
{
  static const uint8_t plain[] = {5, 1, ALK_SOCKS_NONE};
  static const uint8_t both[] = {5, 2, ALK_SOCKS_NONE, ALK_SOCKS_USERPASS};
  alk_proxy_t *h = proxy_new(s, ask, ev, data);
  h->state = METHOD;
  h->has_login = ask->user != NULL && ask->password != NULL;
  if (h->has_login)
    h->login_len = alk_socks5_put_login(h->login, ask->user, ask->password);
  h->request_len = alk_socks5_put_connect(h->request, ask->host, ask->port);
  if (h->request_len == 0)
    fail(h, ALK_E_OPTION, 0, 0, "the target is not a host");
  else if (h->has_login && h->login_len == 0)
    fail(h, ALK_E_OPTION, 0, 0, "user and password have 1 to 255 bytes");
  else if (h->has_login)
    say(h, both, sizeof both);
  else
    say(h, plain, sizeof plain);
  return h;
}

alk_proxy_t *alk_proxy_http(alk_stream_t *s, const alk_proxy_ask_t *ask,
                            const alk_proxy_events_t *ev, void *data)
{
  alk_buf_t request = {0};
  alk_proxy_t *h = proxy_new(s, ask, ev, data);
  h->state = HEAD;
  h->has_login = ask->authorization != NULL;
  if (alk_http_put_connect(&request, ask->host, ask->port, ask->authorization))
    say(h, alk_buf_head(&request), alk_buf_size(&request));
  else
    fail(h, ALK_E_OPTION, 0, 0, "the target is not a host");
  alk_buf_free_secret(&request);
  return h;
}

void alk_proxy_close(alk_proxy_t *h)
{
  fail(h, ALK_E_CANCELED, 0, 0, "closed");
}
