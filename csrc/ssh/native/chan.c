/* chan.c - one channel: the stream's six functions, DATA, EOF and CLOSE.
 *
 * The happy path out: write() seals straight from the caller's bytes; what the
 * peer's window, the transport or new keys hold up waits in c->out, and the
 * writers take turns. In: conn_take_data counts, conn_deliver hands over, or
 * keeps it in c->in while the owner does not read, which the window bounds;
 * what the owner has consumed is given back at the end of the turn.
 *
 * Everything but data is told from chan_serve, which the session's task calls
 * for channels on the dirty list: on_open, what waited, on_end, on_drain; then
 * CLOSE is said and on_close told. The peer's CLOSE is answered at once, and
 * what it did not take is dropped; what came before it is delivered first. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ssh/native/conn.h"

struct piece {
  piece_t *next; /* a ring */
  size_t len, cap;
  uint8_t bytes[];
};

session_t *chan_session(const chan_t *c)
{
  return (session_t *) (void *) c->base.session;
}

conn_t *chan_conn(const chan_t *c)
{
  return chan_session(c)->conn;
}

alk_stream_t *chan_stream(chan_t *c)
{
  return &c->base.stream;
}

chan_t *chan_of(alk_stream_t *s)
{
  return (chan_t *) (void *) s;
}

static bool is(const chan_t *c, unsigned flag)
{
  return alk_stream_is(&c->base.stream, flag);
}

bool chan_can_send(const session_t *s)
{
  return !native_is_over(s) && s->stream != NULL && !s->full &&
         transport_may_send(s);
}

void chan_free_buf(alk_buf_t *b)
{
  if (b == NULL) return;
  alk_buf_free(b);
  alk_free(b);
}

/* Bytes that were written and not sent. */
static size_t unsent(const chan_t *c)
{
  return c->out == NULL ? 0 : alk_buf_size(c->out);
}

static bool wants_to_send(const chan_t *c)
{
  if (c->state != CHAN_OPEN || c->got_close || is(c, ALK_S_CLOSING))
    return false;
  if (unsent(c) > 0) return c->peer_left > 0;
  return is(c, ALK_S_ENDED) && !c->eof_sent;
}

/* As much of p as may leave now; how much that was. */
static size_t send_data(chan_t *c, const uint8_t *p, size_t len)
{
  session_t *s = chan_session(c);
  size_t sent = 0;
  while (sent < len && c->peer_left > 0 && chan_can_send(s)) {
    size_t n = len - sent;
    if (n > c->peer_left) n = c->peer_left;
    if (n > c->peer_packet) n = c->peer_packet;
    uint8_t head[DATA_HEAD] = {MSG_CHANNEL_DATA};
    for (unsigned i = 0; i < 4; i++) {
      head[1 + i] = (uint8_t) (c->peer_id >> (24 - 8 * i));
      head[5 + i] = (uint8_t) (n >> (24 - 8 * i));
    }
    c->peer_left -= (uint32_t) n;
    packet_send(s, head, sizeof head, p + sent, n);
    sent += n;
    /* A relay may write megabytes before the session's task runs. */
    transport_consider_rekey(s);
  }
  return sent;
}

static void keep_out(chan_t *c, const uint8_t *p, size_t len)
{
  conn_t *n = chan_conn(c);
  if (c->out == NULL) {
    c->out = n->spare == NULL ? alk_alloc(sizeof *c->out) : n->spare;
    n->spare = NULL;
  }
  alk_buf_add(c->out, p, len);
}

/* Pieces double up to the limit, so that bytes which come one by one cost
 * little more than themselves. Not zeroed and never moved: a window's worth of
 * bulk waits here whenever the reader is slower than the peer. */
static piece_t *add_piece(chan_t *c, size_t len)
{
  piece_t *last = c->in;
  size_t cap = last == NULL ? PIECE_MIN : last->cap * 2;
  if (cap < len) cap = len;
  if (cap > PIECE_MAX) cap = PIECE_MAX;
  piece_t *p = alk_realloc(NULL, sizeof *p + cap);
  *p = (piece_t){.cap = cap, .next = p};
  if (last != NULL) {
    p->next = last->next;
    last->next = p;
  }
  c->in = p;
  return p;
}

static void keep_in(chan_t *c, const uint8_t *p, size_t len)
{
  while (len > 0) {
    piece_t *last = c->in;
    if (last == NULL || last->len == last->cap) last = add_piece(c, len);
    size_t n = last->cap - last->len;
    if (n > len) n = len;
    memcpy(last->bytes + last->len, p, n);
    last->len += n;
    p += n;
    len -= n;
  }
}

static piece_t *take_piece(chan_t *c)
{
  piece_t *last = c->in, *first = last->next;
  if (first == last)
    c->in = NULL;
  else
    last->next = first->next;
  return first;
}

/* Idle channels hold no memory; the next that has to wait takes this. */
static void put_out_away(chan_t *c)
{
  conn_t *n = chan_conn(c);
  if (n->spare == NULL)
    n->spare = c->out;
  else
    chan_free_buf(c->out);
  c->out = NULL;
}

static void chan_resume(alk_stream_t *s)
{
  chan_t *c = chan_of(s);
  c->flowing = true;
  if (c->in != NULL || c->got_eof || c->got_close) conn_mark(c);
}

static void chan_pause(alk_stream_t *s)
{
  chan_of(s)->flowing = false;
}

static bool chan_write(alk_stream_t *s, const char *buf, size_t len)
{
  chan_t *c = chan_of(s);
  const uint8_t *p = (const uint8_t *) buf;
  size_t sent = 0;
  if (c->got_close || native_is_over(chan_session(c))) return true;
  if (c->state == CHAN_OPEN && unsent(c) == 0 && chan_conn(c)->writers.len == 0)
    sent = send_data(c, p, len);
  if (sent < len) {
    keep_out(c, p + sent, len - sent);
    if (wants_to_send(c)) conn_want_to_send(c);
  }
  return unsent(c) < ALK_HIGH_WATER;
}

static void chan_end(alk_stream_t *s)
{
  conn_mark(chan_of(s));
}

static void chan_close(alk_stream_t *s)
{
  chan_of(s)->flowing = false;
  conn_mark(chan_of(s));
}

static void chan_free(alk_stream_t *s)
{
  chan_t *c = chan_of(s);
  while (c->in != NULL)
    alk_free(take_piece(c));
  chan_free_buf(c->out);
  alk_free(c);
}

static const alk_stream_ops_t chan_ops = {
  .kind = "channel",
  .resume = chan_resume,
  .pause = chan_pause,
  .write = chan_write,
  .end = chan_end,
  .close = chan_close,
  .free = chan_free,
};

chan_t *chan_new(session_t *s)
{
  chan_t *c = alk_alloc(sizeof *c);
  alk_stream_init(chan_stream(c), s->base.loop, &chan_ops);
  c->base.session = &s->base;
  c->id = NO_ID;
  s->conn->streams++;
  return c;
}

void chan_fail(chan_t *c, alk_code_t code, int reason, const char *fmt, ...)
{
  alk_err_t err;
  char text[sizeof err.msg];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  alk_fail(&err, code, 0, "%s", text);
  err.reason = reason;
  alk_stream_fail(chan_stream(c), &err);
}

void chan_opened(chan_t *c)
{
  c->state = CHAN_OPEN;
  c->open_owed = true;
  conn_mark(c);
}

static void ate(chan_t *c, size_t len)
{
  window_eat(&c->window, (uint32_t) len);
  if (window_is_due(&c->window) && !is(c, ALK_S_CLOSING)) conn_mark(c);
}

static void tell_open(chan_t *c)
{
  if (!c->open_owed) return;
  c->open_owed = false;
  alk_emit_open(chan_stream(c));
}

/* What waited, but no more than so many pieces; then the end, then the close.
 */
static void pull(chan_t *c, unsigned pieces)
{
  alk_stream_t *s = chan_stream(c);
  if (is(c, ALK_S_CLOSING)) return;
  for (; c->flowing && c->in != NULL && pieces > 0; pieces--) {
    piece_t *p = take_piece(c);
    alk_emit_data(s, (const char *) p->bytes, p->len);
    ate(c, p->len);
    alk_free(p);
  }
  if (c->in != NULL) {
    if (c->flowing) conn_mark(c);
    return;
  }
  if (c->got_eof) alk_emit_end(s);
  bool told = s->prefix == NULL && (!c->got_eof || is(c, ALK_S_GOT_END));
  if (!c->got_close || !told) return;
  if (c->got_eof)
    alk_stream_close(s);
  else /* what came may be a part: nobody may take it for the whole */
    alk_stream_fail_sys(s, UV_ECONNRESET, "the peer closed without an end");
}

static void say_close(chan_t *c)
{
  if (c->close_sent) return;
  c->close_sent = true;
  conn_say(chan_session(c), MSG_CHANNEL_CLOSE, c->peer_id);
}

static void give_back(chan_t *c)
{
  session_t *s = chan_session(c);
  conn_t *n = s->conn;
  if (c->state != CHAN_OPEN || c->got_eof || c->got_close) return;
  uint32_t before = c->window.size;
  uint32_t more =
    window_adjust(&c->window, n->window_max, conn_room(n), conn_now(s));
  n->promised = n->promised - before + c->window.size;
  if (more == 0) return;
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_CHANNEL_WINDOW_ADJUST);
  alk_buf_u32(&m, c->peer_id);
  alk_buf_u32(&m, more);
  message_send(s, &m);
}

/* on_drain, where it is owed. After end() it says that all of it has left, or
 * that the peer wants none of it. */
static void tell_drain(chan_t *c)
{
  if (is(c, ALK_S_CLOSING)) return;
  if (is(c, ALK_S_ENDED)) {
    if ((c->eof_sent || c->got_close) && !is(c, ALK_S_FLUSHED))
      alk_emit_drain(chan_stream(c));
  } else if (is(c, ALK_S_FULL) && unsent(c) <= ALK_LOW_WATER) {
    alk_emit_drain(chan_stream(c));
  }
}

void chan_send(chan_t *c)
{
  size_t n = unsent(c);
  if (n > TURN) n = TURN;
  if (n > 0) {
    alk_buf_consume(c->out, send_data(c, alk_buf_head(c->out), n));
    if (unsent(c) == 0) put_out_away(c);
  }
  if (unsent(c) == 0 && wants_to_send(c) && chan_can_send(chan_session(c))) {
    c->eof_sent = true;
    conn_say(chan_session(c), MSG_CHANNEL_EOF, c->peer_id);
  }
  tell_drain(c);
  if (wants_to_send(c)) conn_want_to_send(c);
}

/* The stream is closing: the peer is told as far as it knows of the channel. */
static void finish(chan_t *c)
{
  if (c->state == CHAN_ASKED)
    conn_say_refused(chan_session(c), c->peer_id, ALK_OPEN_PROHIBITED,
                     "refused");
  if (c->state == CHAN_OPEN) say_close(c);
  conn_gone(c);
}

void chan_serve(chan_t *c)
{
  tell_open(c);
  if (c->got_close) {
    chan_free_buf(c->out); /* nobody will take it */
    c->out = NULL;
    say_close(c);
  }
  pull(c, PIECES_A_TURN);
  if (!is(c, ALK_S_CLOSING)) {
    give_back(c);
    tell_drain(c);
  }
  if (is(c, ALK_S_CLOSING))
    finish(c);
  else if (wants_to_send(c))
    conn_want_to_send(c);
}

/* A channel that had ended both ways is no victim. */
void chan_last_words(chan_t *c)
{
  if (c->state != CHAN_OPEN || is(c, ALK_S_CLOSING)) return;
  tell_open(c);
  pull(c, UINT_MAX); /* there is no other turn */
  if (c->got_eof && c->in == NULL && is(c, ALK_S_FLUSHED))
    alk_stream_close(chan_stream(c));
}

/* The slot that a message is for, if one may come for it: of an open channel
 * that the peer has not closed, or a ghost. Else the session ends. */
static slot_t *open_slot(session_t *s, uint32_t id, const char *what)
{
  slot_t *slot = conn_slot(s->conn, id);
  bool ok = slot != NULL &&
            (slot->kind == SLOT_GHOST ||
             (slot->kind == SLOT_CHAN && slot->chan->state == CHAN_OPEN &&
              !slot->chan->got_close));
  if (ok) return slot;
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
             "the peer sent %s for a channel that is not open", what);
  return NULL;
}

/* Counts len bytes of data. *c NULL: nobody wants them. */
static bool take(session_t *s, uint32_t id, size_t len, chan_t **c)
{
  slot_t *slot = open_slot(s, id, "data");
  if (slot == NULL) return false;
  bool fits = len <= DATA_MAX;
  if (slot->kind == SLOT_GHOST) {
    fits = fits && len <= slot->left;
    if (fits) slot->left -= (uint32_t) len;
  } else if (slot->chan->got_eof) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer sent data after the end of it");
    return false;
  } else {
    fits =
      fits && window_take(&slot->chan->window, (uint32_t) len, conn_now(s));
    *c = slot->chan;
  }
  if (fits) return true;
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
             "the peer sent more data than its window or a packet allows");
  return false;
}

bool conn_take_data(session_t *s, const uint8_t *payload, size_t len,
                    chan_t **c, const uint8_t **data, size_t *data_len)
{
  alk_rd_t r = alk_rd(payload + 1, len - 1);
  uint32_t id = alk_rd_u32(&r);
  *c = NULL;
  *data = alk_rd_str(&r, data_len);
  if (alk_rd_done(&r)) return take(s, id, *data_len, c);
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
             "the peer sent a malformed message %d", MSG_CHANNEL_DATA);
  return false;
}

void conn_deliver(chan_t *c, const uint8_t *data, size_t len)
{
  if (is(c, ALK_S_CLOSING)) return;
  if (c->flowing && c->in == NULL) {
    alk_emit_data(chan_stream(c), (const char *) data, len);
    ate(c, len);
  } else {
    keep_in(c, data, len);
  }
}

bool conn_on_data(session_t *s, alk_rd_t *r)
{
  chan_t *c = NULL;
  uint32_t id = alk_rd_u32(r);
  size_t len;
  const uint8_t *data = alk_rd_str(r, &len);
  if (!alk_rd_done(r)) return false;
  if (take(s, id, len, &c) && c != NULL) conn_deliver(c, data, len);
  return true;
}

/* What would be a program's stderr has no reader here, but it has used the
 * window. */
bool conn_on_extended_data(session_t *s, alk_rd_t *r)
{
  chan_t *c = NULL;
  uint32_t id = alk_rd_u32(r);
  alk_rd_u32(r); /* its kind */
  size_t len;
  alk_rd_str(r, &len);
  if (!alk_rd_done(r)) return false;
  if (take(s, id, len, &c) && c != NULL) ate(c, len);
  return true;
}

/* Whether the number is of a channel that the peer has closed, for all that we
 * know. */
static bool has_been_closed(conn_t *n, uint32_t id)
{
  slot_t *slot = conn_slot(n, id);
  if (slot == NULL) return id < n->slots_len;
  return slot->kind == SLOT_CHAN && slot->chan->got_close;
}

/* A peer that reads on after its CLOSE (npm ssh2 1.17) may say so, against
 * RFC 4254 §5.3: a window that nobody needs does no harm, and the end of the
 * session would take its other channels down. */
bool conn_on_window_adjust(session_t *s, alk_rd_t *r)
{
  uint32_t id = alk_rd_u32(r), more = alk_rd_u32(r);
  if (!alk_rd_done(r)) return false;
  if (has_been_closed(s->conn, id)) return true;
  slot_t *slot = open_slot(s, id, "a window");
  if (slot == NULL || slot->kind == SLOT_GHOST) return true;
  chan_t *c = slot->chan;
  if (!window_add(&c->peer_left, more))
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer made a window of more than 2^32 - 1 bytes");
  else if (wants_to_send(c))
    conn_want_to_send(c);
  return true;
}

bool conn_on_eof(session_t *s, alk_rd_t *r)
{
  uint32_t id = alk_rd_u32(r);
  if (!alk_rd_done(r)) return false;
  slot_t *slot = open_slot(s, id, "an end");
  if (slot == NULL || slot->kind == SLOT_GHOST) return true;
  if (slot->chan->got_eof) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer ended a channel for a second time");
    return true;
  }
  slot->chan->got_eof = true;
  conn_mark(slot->chan);
  return true;
}

bool conn_on_close(session_t *s, alk_rd_t *r)
{
  uint32_t id = alk_rd_u32(r);
  if (!alk_rd_done(r)) return false;
  slot_t *slot = open_slot(s, id, "a close");
  if (slot == NULL) return true;
  if (slot->kind == SLOT_GHOST) {
    conn_release(s->conn, id);
    return true;
  }
  slot->chan->got_close = true;
  conn_mark(slot->chan);
  return true;
}

/* Requests are for programs and terminals, which nobody runs here. */
bool conn_on_request(session_t *s, alk_rd_t *r)
{
  size_t len;
  uint32_t id = alk_rd_u32(r);
  alk_rd_str(r, &len);
  bool wants_reply = alk_rd_u8(r) != 0;
  if (r->bad) return false;
  slot_t *slot = open_slot(s, id, "a request");
  if (slot == NULL || slot->kind == SLOT_GHOST) return true;
  if (wants_reply) conn_say(s, MSG_CHANNEL_FAILURE, slot->chan->peer_id);
  return true;
}

/* We ask nothing of channels; an answer all the same does no harm. */
bool conn_on_channel_reply(session_t *s, alk_rd_t *r)
{
  (void) s;
  alk_rd_u32(r);
  return alk_rd_done(r);
}
