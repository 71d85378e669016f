/* request.c - global requests (RFC 4254 §4): forwards and keepalives.
 *
 * The peer's: each stands in a queue until it is answered, because replies have
 * to leave in the order in which the requests came, while policy answers in any
 * order. Nobody's are refused at once. Ours: several in flight, each reply is
 * for the oldest; a reply that nobody awaits ends the session. What the server
 * has granted is noted, for it may open channels for that alone. */
#include <string.h>

#include "ssh/native/conn.h"

struct request {
  alk_request_t base; /* first */
  request_t *next;
  bool wants_reply, answered, yes;
  bool wants_port; /* the choice of the port was left to us */
  uint16_t port;
};

typedef struct {
  bool local;
  uint16_t port;
  char *host;
} place_t;

struct awaited {
  awaited_t *next;
  enum { KEEPALIVE, LISTEN, UNLISTEN, PING } kind;
  place_t place;
  alk_reply_cb cb;
  void *data;
};

struct grant {
  grant_t *next;
  place_t place;
};

/* One row a request that a client may make of a server. */
static const struct {
  const char *name;
  bool local, cancel;
} forwards[] = {
  {"tcpip-forward", false, false},
  {"cancel-tcpip-forward", false, true},
  {"streamlocal-forward@openssh.com", true, false},
  {"cancel-streamlocal-forward@openssh.com", true, true},
};
enum { FORWARDS = sizeof forwards / sizeof *forwards };

static void say_reply(session_t *s, const request_t *r)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, r->yes ? MSG_REQUEST_SUCCESS : MSG_REQUEST_FAILURE);
  if (r->yes && r->wants_port) alk_buf_u32(&m, r->port);
  message_send(s, &m);
}

/* Says what can be said: up to the first that is still thought about. Those
 * that want no reply hold nobody up. */
static void flush_replies(session_t *s)
{
  conn_t *n = s->conn;
  request_t **at = &n->asked;
  while (*at != NULL) {
    request_t *r = *at;
    if (!r->answered && r->wants_reply) return;
    if (!r->answered) {
      at = &r->next;
      continue;
    }
    if (r->wants_reply && !native_is_over(s)) say_reply(s, r);
    *at = r->next;
    n->asked_len--;
    alk_free(r);
  }
}

/* NULL: too many are unanswered, and the session ends. */
static request_t *queue_request(session_t *s, bool wants_reply)
{
  conn_t *n = s->conn;
  if (n->asked_len >= REQUESTS_MAX) {
    native_bye(s, BYE_PROTOCOL, ALK_E_LIMIT,
               "the peer has more than %d requests unanswered", REQUESTS_MAX);
    return NULL;
  }
  request_t *r = alk_alloc(sizeof *r), **at = &n->asked;
  r->base.session = &s->base;
  r->wants_reply = wants_reply;
  while (*at != NULL)
    at = &(*at)->next;
  *at = r;
  n->asked_len++;
  return r;
}

void conn_answer(alk_request_t *r, bool yes, uint16_t port)
{
  request_t *q = (request_t *) (void *) r;
  q->answered = true;
  q->yes = yes;
  q->port = port;
  flush_replies((session_t *) (void *) r->session);
}

static void refuse(session_t *s, bool wants_reply)
{
  if (!wants_reply) return;
  request_t *r = queue_request(s, true);
  if (r != NULL) conn_answer(&r->base, false, 0);
}

static bool read_place(alk_rd_t *r, bool local, char *host, uint32_t *port,
                       bool *fits)
{
  size_t len, max = local ? PATH_MAX_LEN : NAME_MAX_LEN;
  const uint8_t *p = alk_rd_str(r, &len);
  *port = local ? 0 : alk_rd_u32(r);
  if (!alk_rd_done(r)) return false;
  *fits = conn_text(host, max + 1, p, len) && *port <= UINT16_MAX;
  return true;
}

/* False: malformed. */
static bool take_forward(session_t *s, alk_rd_t *r, size_t row, bool wants)
{
  char host[NAME_MAX_LEN + 1];
  uint32_t port;
  bool fits, cancel = forwards[row].cancel, local = forwards[row].local;
  if (!read_place(r, local, host, &port, &fits)) return false;
  const alk_session_events_t *ev = s->base.ev;
  void (*tell)(alk_session_t *, alk_request_t *, const alk_listen_t *) =
    cancel ? ev->on_unlisten : ev->on_listen;
  if (!s->base.server || !fits || tell == NULL) {
    refuse(s, wants);
    return true;
  }
  request_t *q = queue_request(s, wants);
  if (q == NULL) return true;
  q->wants_port = !local && !cancel && port == 0;
  alk_listen_t what = {.local = local, .host = host, .port = (uint16_t) port};
  tell(&s->base, &q->base, &what);
  return true;
}

/* Keepalives, hostkeys-00@openssh.com and whatever else is asked: no, which is
 * all that a keepalive wants to hear. */
bool conn_on_global_request(session_t *s, alk_rd_t *r)
{
  size_t len;
  const uint8_t *name = alk_rd_str(r, &len);
  bool wants_reply = alk_rd_u8(r) != 0;
  if (r->bad) return false;
  for (size_t i = 0; i < FORWARDS; i++)
    if (len == strlen(forwards[i].name) &&
        memcmp(name, forwards[i].name, len) == 0)
      return take_forward(s, r, i, wants_reply);
  refuse(s, wants_reply);
  return true;
}

static awaited_t *await(conn_t *n)
{
  awaited_t *a = alk_alloc(sizeof *a), **at = &n->awaited;
  while (*at != NULL)
    at = &(*at)->next;
  *at = a;
  return a;
}

static void say_request(session_t *s, const char *name, const place_t *place)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_GLOBAL_REQUEST);
  alk_buf_cstr(&m, name);
  alk_buf_u8(&m, 1); /* a reply is wanted */
  if (place != NULL) alk_buf_cstr(&m, place->host);
  if (place != NULL && !place->local) alk_buf_u32(&m, place->port);
  message_send(s, &m);
}

bool conn_listen(session_t *s, const alk_listen_t *what, bool cancel,
                 alk_reply_cb cb, void *data)
{
  if (native_is_over(s) || s->phase != PHASE_OPEN || s->base.server)
    return false;
  size_t row = 0;
  while (forwards[row].local != what->local || forwards[row].cancel != cancel)
    row++;
  awaited_t *a = await(s->conn);
  a->kind = cancel ? UNLISTEN : LISTEN;
  a->place.local = what->local;
  a->place.host = alk_strdup(what->host);
  a->place.port = what->port;
  a->cb = cb;
  a->data = data;
  say_request(s, forwards[row].name, &a->place);
  return true;
}

/* A peer that answers none of them is dead, and its owner finds out by the
 * bytes received; more of them would only pile up. */
void conn_keepalive(session_t *s)
{
  conn_t *n = s->conn;
  if (native_is_over(s) || n->keepalives >= KEEPALIVES_MAX) return;
  n->keepalives++;
  await(n)->kind = KEEPALIVE;
  say_request(s, "keepalive@openssh.com", NULL);
}

/* One that somebody waits for: how many there are is theirs to bound. */
bool conn_ping(session_t *s, alk_reply_cb cb, void *data)
{
  if (native_is_over(s)) return false;
  awaited_t *a = await(s->conn);
  a->kind = PING;
  a->cb = cb;
  a->data = data;
  say_request(s, "keepalive@openssh.com", NULL);
  return true;
}

static bool same_place(const place_t *a, const place_t *b)
{
  return a->local == b->local && a->port == b->port &&
         strcmp(a->host, b->host) == 0;
}

static void note_grant(conn_t *n, place_t *place)
{
  grant_t *g = alk_alloc(sizeof *g);
  g->place = *place;
  place->host = NULL; /* the grant's now */
  g->next = n->grants;
  n->grants = g;
}

static void drop_grant(conn_t *n, const place_t *place)
{
  for (grant_t **at = &n->grants; *at != NULL; at = &(*at)->next) {
    grant_t *g = *at;
    if (!same_place(&g->place, place)) continue;
    *at = g->next;
    alk_free(g->place.host);
    alk_free(g);
    return;
  }
}

/* By its port alone: what the server says of the address is its own view. */
bool request_is_granted(const conn_t *n, const alk_target_t *target)
{
  bool local = target->type == ALK_FORWARDED_STREAMLOCAL;
  for (const grant_t *g = n->grants; g != NULL; g = g->next) {
    if (g->place.local != local) continue;
    if (local ? strcmp(g->place.host, target->host) == 0
              : g->place.port == target->port)
      return true;
  }
  return false;
}

static awaited_t *take_awaited(conn_t *n)
{
  awaited_t *a = n->awaited;
  if (a == NULL) return NULL;
  n->awaited = a->next;
  if (a->kind == KEEPALIVE) n->keepalives--;
  return a;
}

/* a is gone. */
static void tell_reply(session_t *s, awaited_t *a, bool yes)
{
  uint16_t port = a->place.port;
  alk_reply_cb cb = a->cb;
  void *data = a->data;
  if (yes && a->kind == LISTEN) note_grant(s->conn, &a->place);
  if (yes && a->kind == UNLISTEN) drop_grant(s->conn, &a->place);
  alk_free(a->place.host);
  alk_free(a);
  if (cb != NULL) cb(&s->base, yes, yes ? port : 0, data);
}

static awaited_t *reply_for(session_t *s)
{
  awaited_t *a = take_awaited(s->conn);
  if (a == NULL)
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer answered a request that nobody made");
  return a;
}

/* Its own part is u32 port, where the choice was left to the server. */
bool conn_on_request_success(session_t *s, alk_rd_t *r)
{
  awaited_t *a = reply_for(s);
  if (a == NULL) return true;
  bool chosen = a->kind == LISTEN && !a->place.local && a->place.port == 0;
  uint32_t port = chosen ? alk_rd_u32(r) : a->place.port;
  bool ok = !chosen || (port > 0 && port <= UINT16_MAX);
  if (ok) a->place.port = (uint16_t) port;
  tell_reply(s, a, ok);
  return ok;
}

bool conn_on_request_failure(session_t *s, alk_rd_t *r)
{
  if (!alk_rd_done(r)) return false;
  awaited_t *a = reply_for(s);
  if (a != NULL) tell_reply(s, a, a->kind == PING);
  return true;
}

void request_kill_all(session_t *s)
{
  for (;;) {
    awaited_t *a = take_awaited(s->conn);
    if (a == NULL) return;
    tell_reply(s, a, false);
  }
}

void request_free_all(conn_t *n)
{
  while (n->asked != NULL) {
    request_t *r = n->asked;
    n->asked = r->next;
    alk_free(r);
  }
  while (n->grants != NULL) {
    grant_t *g = n->grants;
    n->grants = g->next;
    alk_free(g->place.host);
    alk_free(g);
  }
  for (awaited_t *a = take_awaited(n); a != NULL; a = take_awaited(n)) {
    alk_free(a->place.host);
    alk_free(a);
  }
}
