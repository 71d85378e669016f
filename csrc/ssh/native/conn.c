/* conn.c - the connection layer (RFC 4254): the table of channels, their
 * opening, and the service of those that have something to do.
 *
 * The happy path: CHANNEL_OPEN of ours -> CONFIRMATION -> on_open; or one of
 * the peer's -> on_channel -> conn_accept, now or later -> CONFIRMATION ->
 * on_open; chan.c goes on from there. An open that is refused ends as on_close
 * with the reason; one that its owner has abandoned leaves a slot behind that
 * answers the confirmation with CLOSE.
 *
 * Lists instead of walks: a channel that is idle costs no time at all. What is
 * found on a list when the service begins is served once; what comes on it
 * meanwhile waits for the next, so no channel starves the others. */
#include "ssh/native/conn.h"

#include <stdio.h>
#include <string.h>

/* What CHANNEL_OPEN says before its type's own part. */
typedef struct {
  const uint8_t *type;
  size_t type_len;
  uint32_t peer_id, window, packet;
} opening_t;

/* Such a part, read. The target's texts point into it. */
typedef struct {
  alk_target_t target;
  char host[NAME_MAX_LEN + 1], origin[NAME_MAX_LEN + 1];
  bool fits;
} wanted_t;

/* One row a type that we speak; the server opens the forwarded ones. */
static const struct {
  const char *name;
  alk_channel_type_t type;
  bool by_server, local;
} types[] = {
  {"direct-tcpip", ALK_DIRECT_TCPIP, false, false},
  {"forwarded-tcpip", ALK_FORWARDED_TCPIP, true, false},
  {"direct-streamlocal@openssh.com", ALK_DIRECT_STREAMLOCAL, false, true},
  {"forwarded-streamlocal@openssh.com", ALK_FORWARDED_STREAMLOCAL, true, true},
};
enum { TYPES = sizeof types / sizeof *types };

static void list_init(list_t *l)
{
  l->head.next = l->head.prev = &l->head;
}

static void list_add(list_t *l, ring_t *r)
{
  if (r->next != NULL) return;
  r->next = &l->head;
  r->prev = l->head.prev;
  r->prev->next = r->next->prev = r;
  l->len++;
}

static void list_remove(list_t *l, ring_t *r)
{
  if (r->next == NULL) return;
  r->prev->next = r->next;
  r->next->prev = r->prev;
  r->next = r->prev = NULL;
  l->len--;
}

static chan_t *list_pop(list_t *l, size_t offset)
{
  ring_t *r = l->head.next;
  if (r == &l->head) return NULL;
  list_remove(l, r);
  return (chan_t *) (void *) ((char *) r - offset);
}

static chan_t *pop_dirty(conn_t *n)
{
  return list_pop(&n->dirty, offsetof(chan_t, dirty));
}

static chan_t *pop_writer(conn_t *n)
{
  return list_pop(&n->writers, offsetof(chan_t, writer));
}

void conn_mark(chan_t *c)
{
  list_add(&chan_conn(c)->dirty, &c->dirty);
  native_wake(chan_session(c));
}

/* Without a wake when nothing can leave: the drain, or the new keys, do it. */
void conn_want_to_send(chan_t *c)
{
  list_add(&chan_conn(c)->writers, &c->writer);
  if (chan_can_send(chan_session(c))) native_wake(chan_session(c));
}

uint64_t conn_now(const session_t *s)
{
  return uv_now(alk_loop_uv(s->base.loop));
}

uint64_t conn_room(const conn_t *n)
{
  /* One that was refused has its window until its owner has heard of it. */
  uint32_t to_come = n->max > n->windows ? n->max - n->windows : 0;
  uint64_t kept = (uint64_t) to_come * n->window_least;
  if (kept > n->memory_max / WINDOW_KEPT) kept = n->memory_max / WINDOW_KEPT;
  uint64_t taken = n->promised + kept;
  return taken < n->memory_max ? n->memory_max - taken : 0;
}

/* Numbers are used again in the order in which they became free, so that what a
 * sloppy peer says late of a closed channel seldom meets a new one. */
static void add_free(conn_t *n, uint32_t id)
{
  n->slots[id] = (slot_t){.kind = SLOT_FREE, .left = NO_ID};
  if (n->first_free == NO_ID)
    n->first_free = id;
  else
    n->slots[n->last_free].left = id;
  n->last_free = id;
}

/* The table: grows by doubling, to at most twice the limit, because ghosts have
 * a limit of their own. */
static void grow_table(conn_t *n)
{
  uint32_t len = n->slots_len == 0 ? 8 : n->slots_len * 2;
  n->slots = alk_realloc(n->slots, len * sizeof *n->slots);
  for (uint32_t i = n->slots_len; i < len; i++)
    add_free(n, i);
  n->slots_len = len;
}

static void take_slot(chan_t *c)
{
  conn_t *n = chan_conn(c);
  if (n->first_free == NO_ID) grow_table(n);
  c->id = n->first_free;
  slot_t *slot = &n->slots[c->id];
  n->first_free = slot->left;
  *slot = (slot_t){.kind = SLOT_CHAN, .chan = c};
  n->busy++;
}

slot_t *conn_slot(conn_t *n, uint32_t id)
{
  return id < n->slots_len && n->slots[id].kind != SLOT_FREE ? &n->slots[id]
                                                             : NULL;
}

void conn_release(conn_t *n, uint32_t id)
{
  slot_t *slot = &n->slots[id];
  if (slot->kind == SLOT_GHOST)
    n->ghosts--;
  else
    n->busy--;
  add_free(n, id);
}

static void make_ghost(conn_t *n, slot_t *slot, uint32_t left)
{
  *slot = (slot_t){.kind = SLOT_GHOST, .left = left};
  n->busy--;
  n->ghosts++;
}

/* Ghosts go when the peer answers, which is soon; a peer that never does gets
 * no more channels either. */
static bool is_crowded(const conn_t *n)
{
  return n->busy >= n->max || n->ghosts >= n->max;
}

static void promise(chan_t *c)
{
  conn_t *n = chan_conn(c);
  window_init(&c->window,
              window_first(n->window_max, n->window_least, conn_room(n)));
  n->windows++;
  n->promised += c->window.size;
}

static void leave_slot(conn_t *n, chan_t *c)
{
  if (c->id == NO_ID) return;
  slot_t *slot = &n->slots[c->id];
  if (c->state == CHAN_OPENING)
    *slot = (slot_t){.kind = SLOT_ABANDONED, .left = c->window.left};
  else if (c->state == CHAN_OPEN && !c->got_close)
    make_ghost(n, slot, c->window.left);
  else
    conn_release(n, c->id);
}

void conn_gone(chan_t *c)
{
  conn_t *n = chan_conn(c);
  list_remove(&n->dirty, &c->dirty);
  list_remove(&n->writers, &c->writer);
  leave_slot(n, c);
  if (c->window.size > 0) n->windows--;
  n->promised -= c->window.size;
  n->streams--;
  alk_emit_close(chan_stream(c));
}

void conn_say(session_t *s, uint8_t number, uint32_t peer_id)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, number);
  alk_buf_u32(&m, peer_id);
  message_send(s, &m);
}

void conn_say_refused(session_t *s, uint32_t peer_id, alk_open_reason_t reason,
                      const char *text)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_CHANNEL_OPEN_FAILURE);
  alk_buf_u32(&m, peer_id);
  alk_buf_u32(&m, reason);
  alk_buf_cstr(&m, text);
  alk_buf_cstr(&m, ""); /* language */
  message_send(s, &m);
}

bool conn_text(char *out, size_t size, const uint8_t *p, size_t len)
{
  if (len >= size || memchr(p, 0, len) != NULL) return false;
  memcpy(out, p, len);
  out[len] = '\0';
  return true;
}

/* The box of each type (RFC 4254 §7.2, OpenSSH PROTOCOL §2.4):
 *   tcpip:                  string host, u32 port, string origin, u32 port
 *   direct-streamlocal:     string path, string reserved, u32 reserved
 *   forwarded-streamlocal:  string path, string reserved */
static void say_open(chan_t *c, const alk_target_t *t)
{
  size_t i = 0;
  while (types[i].type != t->type)
    i++;
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_CHANNEL_OPEN);
  alk_buf_cstr(&m, types[i].name);
  alk_buf_u32(&m, c->id);
  alk_buf_u32(&m, c->window.left);
  alk_buf_u32(&m, DATA_MAX);
  alk_buf_cstr(&m, t->host);
  if (types[i].local) {
    alk_buf_cstr(&m, "");
    if (t->type == ALK_DIRECT_STREAMLOCAL) alk_buf_u32(&m, 0);
  } else {
    alk_buf_u32(&m, t->port);
    alk_buf_cstr(&m, t->origin_host == NULL ? "127.0.0.1" : t->origin_host);
    alk_buf_u32(&m, t->origin_port);
  }
  message_send(chan_session(c), &m);
}

static bool is_local(alk_channel_type_t type)
{
  return type == ALK_DIRECT_STREAMLOCAL || type == ALK_FORWARDED_STREAMLOCAL;
}

static bool is_by_server(alk_channel_type_t type)
{
  return type == ALK_FORWARDED_TCPIP || type == ALK_FORWARDED_STREAMLOCAL;
}

alk_stream_t *conn_open(session_t *s, const alk_target_t *t)
{
  conn_t *n = s->conn;
  chan_t *c = chan_new(s);
  size_t max = is_local(t->type) ? PATH_MAX_LEN : NAME_MAX_LEN;
  const char *origin = t->origin_host == NULL ? "" : t->origin_host;
  if (native_is_over(s) || s->phase != PHASE_OPEN) {
    chan_fail(c, ALK_E_CLOSED, 0, "the session is not open");
  } else if (is_by_server(t->type) != s->base.server) {
    chan_fail(c, ALK_E_UNSUPPORTED, 0, "a %s does not open such channels",
              s->base.server ? "server" : "client");
  } else if (strlen(t->host) > max || strlen(origin) > NAME_MAX_LEN) {
    chan_fail(c, ALK_E_OPTION, 0, "the channel's destination is too long");
  } else if (is_crowded(n)) {
    chan_fail(c, ALK_E_LIMIT, 0,
              "too many channels on one session (maxChannels)");
  } else {
    take_slot(c);
    c->state = CHAN_OPENING;
    promise(c);
    say_open(c, t);
  }
  return chan_stream(c);
}

void conn_accept(alk_stream_t *ch)
{
  chan_t *c = chan_of(ch);
  session_t *s = chan_session(c);
  if (c->state != CHAN_ASKED || native_is_over(s)) return;
  promise(c);
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_CHANNEL_OPEN_CONFIRMATION);
  alk_buf_u32(&m, c->peer_id);
  alk_buf_u32(&m, c->id);
  alk_buf_u32(&m, c->window.left);
  alk_buf_u32(&m, DATA_MAX);
  message_send(s, &m);
  chan_opened(c);
}

static void forget_slot(chan_t *c)
{
  conn_release(chan_conn(c), c->id);
  c->id = NO_ID;
  c->state = CHAN_UNKNOWN;
}

void conn_refuse(alk_stream_t *ch, alk_open_reason_t reason, const char *text)
{
  chan_t *c = chan_of(ch);
  session_t *s = chan_session(c);
  if (c->state != CHAN_ASKED) return;
  if (!native_is_over(s))
    conn_say_refused(s, c->peer_id, reason, text == NULL ? "" : text);
  forget_slot(c);
  alk_stream_close(ch);
}

static bool read_port(alk_rd_t *r, uint16_t *port)
{
  uint32_t v = alk_rd_u32(r);
  *port = (uint16_t) v;
  return v <= UINT16_MAX;
}

static bool read_text(alk_rd_t *r, char *out, size_t size)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  return p != NULL && conn_text(out, size, p, len);
}

/* False: malformed. w->fits tells whether it is something to ask about. */
static bool read_wanted(alk_rd_t *r, alk_channel_type_t type, wanted_t *w)
{
  alk_target_t *t = &w->target;
  size_t len;
  *w = (wanted_t){.target.type = type, .fits = true};
  t->host = w->host;
  t->origin_host = w->origin;
  if (is_local(type)) {
    w->fits = read_text(r, w->host, PATH_MAX_LEN + 1);
    alk_rd_str(r, &len); /* reserved */
    if (type == ALK_DIRECT_STREAMLOCAL) alk_rd_u32(r);
    return alk_rd_done(r);
  }
  w->fits = read_text(r, w->host, sizeof w->host);
  if (!read_port(r, &t->port)) w->fits = false;
  if (!read_text(r, w->origin, sizeof w->origin)) w->fits = false;
  if (!read_port(r, &t->origin_port)) w->fits = false;
  return alk_rd_done(r);
}

/* Why such an open is refused unasked, or NULL. */
static const char *objection(const session_t *s, const opening_t *o,
                             const wanted_t *w, alk_open_reason_t *reason)
{
  *reason = ALK_OPEN_PROHIBITED;
  if (!w->fits) return "the destination is too long or no text";
  if (o->packet < PEER_PACKET_MIN) return "the maximum packet is too small";
  if (s->base.ev->on_channel == NULL) return "no channels are served";
  if (!s->base.server && !request_is_granted(s->conn, &w->target))
    return "nobody asked to forward this";
  *reason = ALK_OPEN_SHORTAGE;
  return is_crowded(s->conn) ? "too many channels on one session" : NULL;
}

static void ask(session_t *s, const opening_t *o, const wanted_t *w)
{
  chan_t *c = chan_new(s);
  take_slot(c);
  c->state = CHAN_ASKED;
  c->peer_id = o->peer_id;
  c->peer_left = o->window;
  c->peer_packet = o->packet < DATA_MAX ? o->packet : DATA_MAX;
  s->base.ev->on_channel(&s->base, chan_stream(c), &w->target);
}

static void refuse_open(session_t *s, const opening_t *o,
                        alk_open_reason_t reason, const char *why)
{
  conn_say_refused(s, o->peer_id, reason, why);
  alk_session_emit_refused(&s->base, reason);
}

bool conn_on_open(session_t *s, alk_rd_t *r)
{
  opening_t o;
  wanted_t w;
  alk_open_reason_t reason;
  o.type = alk_rd_str(r, &o.type_len);
  o.peer_id = alk_rd_u32(r);
  o.window = alk_rd_u32(r);
  o.packet = alk_rd_u32(r);
  if (r->bad) return false;
  size_t i = 0;
  while (i < TYPES && (o.type_len != strlen(types[i].name) ||
                       memcmp(o.type, types[i].name, o.type_len) != 0))
    i++;
  if (i == TYPES || types[i].by_server == s->base.server) {
    refuse_open(s, &o, i == TYPES ? ALK_OPEN_UNKNOWN_TYPE : ALK_OPEN_PROHIBITED,
                "channels of this type are not served");
    return true;
  }
  if (!read_wanted(r, types[i].type, &w)) return false;
  const char *why = objection(s, &o, &w, &reason);
  if (why != NULL)
    refuse_open(s, &o, reason, why);
  else
    ask(s, &o, &w);
  return true;
}

/* The slot that an answer to an open of ours is for. Else the session ends. */
static slot_t *opening_slot(session_t *s, uint32_t id)
{
  slot_t *slot = conn_slot(s->conn, id);
  if (slot != NULL &&
      (slot->kind == SLOT_ABANDONED ||
       (slot->kind == SLOT_CHAN && slot->chan->state == CHAN_OPENING)))
    return slot;
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
             "the peer answered an open that is not there");
  return NULL;
}

bool conn_on_open_confirmation(session_t *s, alk_rd_t *r)
{
  uint32_t id = alk_rd_u32(r), peer_id = alk_rd_u32(r);
  uint32_t window = alk_rd_u32(r), packet = alk_rd_u32(r);
  if (!alk_rd_done(r)) return false;
  slot_t *slot = opening_slot(s, id);
  if (slot == NULL) return true;
  if (slot->kind == SLOT_ABANDONED) {
    conn_say(s, MSG_CHANNEL_CLOSE, peer_id);
    make_ghost(s->conn, slot, slot->left);
    return true;
  }
  chan_t *c = slot->chan;
  c->peer_id = peer_id;
  c->peer_left = window;
  c->peer_packet = packet < DATA_MAX ? packet : DATA_MAX;
  chan_opened(c);
  if (packet < PEER_PACKET_MIN)
    chan_fail(c, ALK_E_PROTO, 0,
              "the peer's maximum packet of %u bytes is too small", packet);
  return true;
}

/* The peer's words go into messages and logs. */
static void make_printable(char *out, const uint8_t *p, size_t len)
{
  if (len > WORDS_MAX) len = WORDS_MAX;
  for (size_t i = 0; i < len; i++)
    out[i] = p[i] >= ' ' && p[i] <= '~' ? (char) p[i] : '?';
  out[len] = '\0';
}

bool conn_on_open_failure(session_t *s, alk_rd_t *r)
{
  char words[WORDS_MAX + 1];
  size_t len, language_len;
  uint32_t id = alk_rd_u32(r), reason = alk_rd_u32(r);
  const uint8_t *text = alk_rd_str(r, &len);
  alk_rd_str(r, &language_len);
  if (!alk_rd_done(r)) return false;
  slot_t *slot = opening_slot(s, id);
  if (slot == NULL) return true;
  if (slot->kind == SLOT_ABANDONED) {
    conn_release(s->conn, id);
    return true;
  }
  make_printable(words, text, len);
  chan_t *c = slot->chan;
  forget_slot(c);
  chan_fail(c, ALK_E_CHANNEL, reason <= ALK_OPEN_SHORTAGE ? (int) reason : 0,
            "the peer refused the channel: %s",
            words[0] != '\0' ? words : "no reason given");
  return true;
}

static void serve_dirty(conn_t *n)
{
  for (size_t i = n->dirty.len; i > 0 && !native_is_over(n->s); i--) {
    chan_t *c = pop_dirty(n);
    if (c == NULL) return;
    chan_serve(c);
  }
}

/* Each writer has one turn; who has more to say queues up again. */
static void serve_writers(conn_t *n)
{
  bool idle = n->writers.len == 0;
  for (size_t i = n->writers.len; i > 0 && chan_can_send(n->s); i--) {
    chan_t *c = pop_writer(n);
    if (c == NULL) break;
    chan_send(c);
  }
  if (!idle) return;
  chan_free_buf(n->spare);
  n->spare = NULL;
}

void conn_service(session_t *s)
{
  serve_dirty(s->conn);
  serve_writers(s->conn);
}

void conn_close_all(session_t *s)
{
  conn_t *n = s->conn;
  for (uint32_t i = 0; i < n->slots_len; i++) {
    if (n->slots[i].kind != SLOT_CHAN) continue;
    chan_t *c = n->slots[i].chan;
    if (c->state == CHAN_ASKED)
      conn_say_refused(s, c->peer_id, ALK_OPEN_PROHIBITED, "closing");
    if (c->state == CHAN_OPEN && !c->close_sent)
      conn_say(s, MSG_CHANNEL_CLOSE, c->peer_id);
    c->close_sent = true;
    alk_stream_close(chan_stream(c));
  }
}

static void drop_table(conn_t *n)
{
  alk_free(n->slots);
  n->slots = NULL;
  n->slots_len = n->busy = n->ghosts = 0;
  n->first_free = NO_ID;
}

void conn_kill_all(session_t *s)
{
  conn_t *n = s->conn;
  alk_err_t err = s->base.err;
  if (err.code == ALK_OK)
    alk_fail(&err, ALK_E_LOST, 0, "the session was closed");
  request_kill_all(s);
  for (uint32_t i = 0; i < n->slots_len; i++)
    if (n->slots[i].kind == SLOT_CHAN) conn_mark(n->slots[i].chan);
  /* Who opens another from on_close is answered in the next round. */
  for (size_t i = n->dirty.len; i > 0; i--) {
    chan_t *c = pop_dirty(n);
    chan_last_words(c);
    alk_stream_fail(chan_stream(c), &err);
    conn_gone(c);
  }
  drop_table(n);
}

conn_t *conn_new(session_t *s, const alk_session_opts_t *opts)
{
  conn_t *n = alk_alloc(sizeof *n);
  n->s = s;
  n->first_free = NO_ID;
  n->max = opts->max_channels > 0 ? opts->max_channels : CHANNELS_DEFAULT;
  n->window_max = opts->window_max > 0 ? opts->window_max : WINDOW_MAX_DEFAULT;
  if (n->window_max < DATA_MAX) n->window_max = DATA_MAX;
  n->memory_max =
    opts->memory_max > 0 ? opts->memory_max : WINDOW_MEMORY_DEFAULT;
  n->window_least = window_least(n->memory_max, n->max);
  list_init(&n->dirty);
  list_init(&n->writers);
  return n;
}

void conn_free(conn_t *c)
{
  if (c == NULL) return;
  request_free_all(c);
  drop_table(c);
  chan_free_buf(c->spare);
  alk_free(c);
}

bool conn_is_empty(const conn_t *c)
{
  return c->streams == 0;
}

uint32_t conn_channels(const conn_t *c)
{
  return c->busy;
}
