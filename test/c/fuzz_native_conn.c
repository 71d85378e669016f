/* fuzz_native_conn.c - the connection layer against a peer and an owner that
 * are both driven by the input, with a model between them.
 *
 * Each step is an opcode and its arguments. The model is what the peer can know
 * of each channel from the messages alone: how much it was allowed to send, how
 * much it has allowed, which ends were said. It foretells whether a message is
 * a breach, and checks each message of ours: that it may be said now, and that
 * the bytes are the next ones of an endless pattern. */
#include <stdlib.h>

#include "native_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { CHANS = 40, IDS = 32, WINDOW_TOP = 128 * 1024, ASKED_MAX = 64 };

typedef struct { /* the owner's side */
  alk_stream_t *s;
  bool closed, question, in_call, ended;
  uint64_t wrote, heard; /* bytes: the patterns' positions */
  int model;             /* its row, once the peer knows of it */
} owner_t;

typedef struct { /* the peer's side; the row's number is our id */
  enum { NONE, OPENING, OPEN } stage;
  uint32_t peer_id;
  uint64_t in_left, out_left, out_packet;
  uint64_t said, heard; /* bytes */
  bool eof_in, close_in, eof_out, close_out;
  int failures_due;
} model_t;

typedef struct {
  const alk_request_t *r; /* NULL: refused unasked */
  bool answered, yes;
} due_t;

typedef struct {
  alk_rd_t in;
  fake_session_t *f;
  owner_t owners[CHANS];
  int owners_len;
  model_t models[IDS];
  uint32_t questions[CHANS]; /* peer ids without an answer yet */
  int questions_len;
  uint32_t next_peer_id;
  alk_request_t *requests[ASKED_MAX];
  int requests_len, awaited;
  due_t due[REQUESTS_MAX + 1]; /* replies, in the order of their requests */
  int due_len;
  bool wants; /* the request that comes now wants a reply */
} fuzz_t;

static uv_loop_t uv;
static alk_loop_t *loop;
static fuzz_t *fz;

static uint8_t pattern(uint64_t i)
{
  return (uint8_t) (i % 251);
}

/* the owner */

static owner_t *new_owner(alk_stream_t *s);

static void heard(alk_stream_t *s, const char *buf, size_t len)
{
  owner_t *o = alk_stream_data(s);
  CHECK(!o->closed && !o->in_call);
  for (size_t i = 0; i < len; i++)
    CHECK((uint8_t) buf[i] == pattern(o->heard + i));
  o->heard += len;
  uint8_t what = alk_rd_u8(&fz->in);
  if (what == 1) alk_stream_pause(s);
  if (what == 2) alk_stream_close(s);
  if (what == 3) {
    alk_stream_unread(s, buf, len);
    o->heard -= len;
  }
}

static void told(alk_stream_t *s)
{
  owner_t *o = alk_stream_data(s);
  CHECK(!o->closed && !o->in_call);
  uint8_t what = alk_rd_u8(&fz->in);
  if (what == 1) alk_stream_close(s);
  if (what != 2) return;
  o->ended = true;
  alk_stream_end(s);
}

static void closed(alk_stream_t *s, const alk_err_t *err)
{
  owner_t *o = alk_stream_data(s);
  (void) err;
  CHECK(!o->closed && !o->in_call);
  o->closed = true;
  o->s = NULL;
}

static const alk_owner_t owner = {.on_open = told,
                                  .on_data = heard,
                                  .on_end = told,
                                  .on_drain = told,
                                  .on_close = closed};

static owner_t *new_owner(alk_stream_t *s)
{
  owner_t *o = &fz->owners[fz->owners_len++];
  *o = (owner_t){.s = s, .model = -1};
  alk_stream_own(s, &owner, o);
  return o;
}

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *t)
{
  (void) s;
  CHECK(strlen(t->host) <= NAME_MAX_LEN);
  CHECK(strlen(t->origin_host) <= NAME_MAX_LEN);
  new_owner(ch)->question = true;
  uint8_t what = alk_rd_u8(&fz->in);
  if (what % 4 == 0) conn_accept(ch);
  if (what % 4 == 1) conn_refuse(ch, ALK_OPEN_CONNECT_FAILED, "no");
  if (what % 4 == 2) alk_stream_close(ch);
}

static void answer(alk_request_t *r, bool yes)
{
  for (int i = 0; i < fz->due_len; i++)
    if (fz->due[i].r == r) fz->due[i] = (due_t){.answered = true, .yes = yes};
  conn_answer(r, yes, 1);
}

static void on_listen(alk_session_t *s, alk_request_t *r,
                      const alk_listen_t *what)
{
  (void) s;
  CHECK(strlen(what->host) <= NAME_MAX_LEN);
  if (fz->wants) fz->due[fz->due_len - 1] = (due_t){.r = r};
  if (fz->requests_len == ASKED_MAX)
    answer(r, false);
  else
    fz->requests[fz->requests_len++] = r;
}

static const alk_session_events_t events = {
  .on_channel = on_channel, .on_listen = on_listen, .on_unlisten = on_listen};

/* what we say, as the peer sees it */

static model_t *by_peer_id(uint32_t peer_id)
{
  for (int i = 0; i < IDS; i++)
    if (fz->models[i].stage == OPEN && fz->models[i].peer_id == peer_id)
      return &fz->models[i];
  alk_check_failed(__FILE__, __LINE__, "the channel is there");
}

static owner_t *owner_of(const model_t *m)
{
  for (int i = 0; i < fz->owners_len; i++)
    if (fz->owners[i].model == (int) (m - fz->models)) return &fz->owners[i];
  return NULL;
}

static void answer_question(uint32_t peer_id)
{
  for (int i = 0; i < fz->questions_len; i++) {
    if (fz->questions[i] != peer_id) continue;
    fz->questions[i] = fz->questions[--fz->questions_len];
    return;
  }
  alk_check_failed(__FILE__, __LINE__, "there was a question");
}

/* A number of ours comes into use. */
static model_t *use(uint32_t id, int stage, uint32_t window)
{
  CHECK(id < IDS && fz->models[id].stage == NONE);
  CHECK(window <= WINDOW_TOP);
  model_t *m = &fz->models[id];
  *m = (model_t){.stage = stage == OPEN ? OPEN : OPENING, .in_left = window};
  slot_t *slot = conn_slot(fz->f->s.conn, id);
  CHECK(slot != NULL && slot->chan != NULL);
  for (int i = 0; i < fz->owners_len; i++) {
    if (fz->owners[i].model == (int) id) fz->owners[i].model = -1;
    if (fz->owners[i].s == chan_stream(slot->chan))
      fz->owners[i].model = (int) id;
  }
  return m;
}

static void free_when_closed(model_t *m)
{
  if (m->close_in && m->close_out) m->stage = NONE;
}

static void says_data(alk_rd_t *r)
{
  size_t len;
  model_t *m = by_peer_id(alk_rd_u32(r));
  const uint8_t *p = alk_rd_str(r, &len);
  CHECK(alk_rd_done(r) && len > 0 && len <= DATA_MAX);
  CHECK(!m->eof_out && !m->close_out && !m->close_in);
  CHECK(len <= m->out_left && len <= m->out_packet);
  for (size_t i = 0; i < len; i++)
    CHECK(p[i] == pattern(m->said + i));
  m->said += len;
  m->out_left -= len;
}

static void says_end(uint8_t number, alk_rd_t *r)
{
  model_t *m = by_peer_id(alk_rd_u32(r));
  CHECK(alk_rd_done(r) && !m->close_out);
  if (number == MSG_CHANNEL_EOF) {
    const owner_t *o = owner_of(m);
    CHECK(!m->eof_out && !m->close_in);
    CHECK(o != NULL && o->ended && o->wrote == m->said);
    m->eof_out = true;
  } else if (number == MSG_CHANNEL_CLOSE) {
    m->close_out = true;
    free_when_closed(m);
  } else {
    CHECK(m->failures_due-- > 0);
  }
}

static void says_open(alk_rd_t *r)
{
  size_t len;
  alk_rd_str(r, &len);
  uint32_t id = alk_rd_u32(r), window = alk_rd_u32(r);
  CHECK(alk_rd_u32(r) == DATA_MAX && !r->bad);
  slot_t *slot = conn_slot(fz->f->s.conn, id);
  CHECK(slot != NULL && slot->kind == SLOT_CHAN);
  use(id, OPENING, window);
}

static void says_confirmation(alk_rd_t *r)
{
  uint32_t peer_id = alk_rd_u32(r), id = alk_rd_u32(r);
  uint32_t window = alk_rd_u32(r);
  CHECK(alk_rd_u32(r) == DATA_MAX && alk_rd_done(r));
  answer_question(peer_id);
  model_t *m = use(id, OPEN, window);
  const chan_t *c = conn_slot(fz->f->s.conn, id)->chan;
  m->peer_id = peer_id;
  m->out_left = c->peer_left;
  m->out_packet = c->peer_packet;
}

static void says(void *data, const uint8_t *p, size_t len)
{
  alk_rd_t r = alk_rd(p + 1, len - 1);
  model_t *m;
  (void) data;
  switch (p[0]) {
  case MSG_CHANNEL_OPEN:
    says_open(&r);
    break;
  case MSG_CHANNEL_OPEN_CONFIRMATION:
    says_confirmation(&r);
    break;
  case MSG_CHANNEL_OPEN_FAILURE:
    answer_question(alk_rd_u32(&r));
    break;
  case MSG_CHANNEL_WINDOW_ADJUST:
    m = by_peer_id(alk_rd_u32(&r));
    CHECK(!m->close_out && !m->eof_in);
    m->in_left += alk_rd_u32(&r);
    CHECK(alk_rd_done(&r) && m->in_left <= WINDOW_TOP);
    break;
  case MSG_CHANNEL_DATA:
    says_data(&r);
    break;
  case MSG_CHANNEL_EOF:
  case MSG_CHANNEL_CLOSE:
  case MSG_CHANNEL_FAILURE:
    says_end(p[0], &r);
    break;
  case MSG_REQUEST_SUCCESS:
  case MSG_REQUEST_FAILURE:
    CHECK(fz->due_len-- > 0 && fz->due[0].answered);
    CHECK(fz->due[0].yes == (p[0] == MSG_REQUEST_SUCCESS));
    memmove(fz->due, fz->due + 1, sizeof fz->due - sizeof *fz->due);
    break;
  default:
    CHECK(p[0] == MSG_GLOBAL_REQUEST);
    fz->awaited++;
  }
}

/* the owner's steps */

static void own_open(void)
{
  alk_target_t t = {.type = fz->f->s.base.server ? ALK_FORWARDED_TCPIP
                                                 : ALK_DIRECT_TCPIP,
                    .host = "h"};
  if (fz->owners_len == CHANS) return;
  alk_stream_t *s = conn_open(&fz->f->s, &t);
  owner_t *o = new_owner(s);
  if (chan_of(s)->id != NO_ID) o->model = (int) chan_of(s)->id;
}

static void own_write(owner_t *o, size_t len)
{
  static char buf[200 * 1000];
  if (o->ended || alk_stream_is(o->s, ALK_S_FULL)) return;
  for (size_t i = 0; i < len; i++)
    buf[i] = (char) pattern(o->wrote + i);
  o->wrote += len;
  bool more = alk_stream_write(o->s, buf, len);
  CHECK(more || alk_buf_size(chan_of(o->s)->out) >= ALK_HIGH_WATER);
}

static void own_step(uint8_t what)
{
  owner_t *o;
  size_t len = (size_t) alk_rd_u8(&fz->in) << (alk_rd_u8(&fz->in) % 10);
  if (fz->owners_len == 0) return;
  o = &fz->owners[alk_rd_u8(&fz->in) % fz->owners_len];
  if (o->closed) return;
  o->in_call = true;
  if (what == 0) own_write(o, len);
  if (what == 1) {
    o->ended = true;
    alk_stream_end(o->s);
  }
  if (what == 2) alk_stream_close(o->s);
  if (what == 3) alk_stream_pause(o->s);
  if (what == 4 || what == 5) alk_stream_resume(o->s);
  if (what == 6 && o->question && !alk_stream_is(o->s, ALK_S_CLOSING))
    conn_accept(o->s);
  if (what == 7 && o->question && !alk_stream_is(o->s, ALK_S_CLOSING) &&
      chan_of(o->s)->state == CHAN_ASKED)
    conn_refuse(o->s, ALK_OPEN_SHORTAGE, "full");
  o->in_call = false;
}

/* the peer's steps */

/* Says it, and compares with what the model expects. */
#define HEAR(legal, ...)                    \
  do {                                      \
    bool legal_ = (legal);                  \
    fake_hear(fz->f, __VA_ARGS__);          \
    CHECK(fz->f->byes == (legal_ ? 0 : 1)); \
  } while (0)

static bool is_ghost(const model_t *m)
{
  return m->stage == OPEN && m->close_out;
}

static bool is_open(const model_t *m)
{
  return m->stage == OPEN && !m->close_in;
}

static void peer_data(model_t *m, uint32_t id, bool extended)
{
  static uint8_t buf[DATA_MAX + 2];
  size_t len = (size_t) alk_rd_u8(&fz->in) << (alk_rd_u8(&fz->in) % 9);
  if (len > sizeof buf) len = sizeof buf;
  uint8_t how = alk_rd_u8(&fz->in) % 8;
  if (how < 4 && len > m->in_left) len = (size_t) m->in_left;
  if (how == 4) len = (size_t) m->in_left + 1;
  if (how == 5) len = (size_t) m->in_left;
  if (how == 6 || (how > 3 && len > sizeof buf)) len = DATA_MAX;
  bool legal = is_open(m) && (!m->eof_in || is_ghost(m)) && len <= DATA_MAX &&
               len <= m->in_left;
  for (size_t i = 0; i < len; i++)
    buf[i] = pattern(m->heard + i);
  if (legal) m->in_left -= len;
  if (extended) {
    HEAR(legal, "buud", MSG_CHANNEL_EXTENDED_DATA, id, 1, buf, len);
  } else {
    if (legal) m->heard += len;
    HEAR(legal, "bud", MSG_CHANNEL_DATA, id, buf, len);
  }
}

static void peer_ends(model_t *m, uint32_t id, bool all)
{
  bool legal = is_open(m) && (all || !m->eof_in || is_ghost(m));
  if (legal && all) m->close_in = true;
  if (legal && !all) m->eof_in = true;
  if (legal && all) free_when_closed(m);
  HEAR(legal, "bu", all ? MSG_CHANNEL_CLOSE : MSG_CHANNEL_EOF, id);
}

static void peer_adjust(model_t *m, uint32_t id)
{
  uint32_t more = (uint32_t) alk_rd_u8(&fz->in) << (alk_rd_u8(&fz->in) % 25);
  bool counts = is_open(m) && !is_ghost(m);
  /* A window for a channel that has been closed is of no account. */
  const conn_t *n = fz->f->s.conn;
  const slot_t *slot = id < n->slots_len ? &n->slots[id] : NULL;
  bool was_closed =
    slot != NULL && (slot->kind == SLOT_FREE ||
                     (slot->kind == SLOT_CHAN && slot->chan->got_close));
  bool legal = m->stage == OPEN || was_closed;
  if (counts) {
    /* Bytes may leave from inside: they are of the new window. */
    legal = m->out_left + more <= UINT32_MAX;
    m->out_left += more;
  }
  HEAR(legal, "buu", MSG_CHANNEL_WINDOW_ADJUST, id, more);
}

static void peer_answer(model_t *m, uint32_t id, bool yes)
{
  uint32_t window = (uint32_t) alk_rd_u8(&fz->in) << (alk_rd_u8(&fz->in) % 25);
  uint32_t packet = alk_rd_u8(&fz->in) * (uint32_t) 200;
  bool legal = m->stage == OPENING;
  uint32_t peer_id = fz->next_peer_id++;
  if (legal && yes) {
    m->stage = OPEN;
    m->peer_id = peer_id;
    m->out_left = window;
    m->out_packet = packet;
  }
  if (legal && !yes) m->stage = NONE;
  if (yes)
    HEAR(legal, "buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, id, peer_id, window,
         packet);
  else
    HEAR(legal, "buuss", MSG_CHANNEL_OPEN_FAILURE, id, window, "\x01no", "");
}

static void peer_open(void)
{
  uint8_t kind = alk_rd_u8(&fz->in);
  uint32_t peer_id = fz->next_peer_id++;
  uint32_t window = (uint32_t) alk_rd_u8(&fz->in) << (alk_rd_u8(&fz->in) % 25);
  uint32_t packet = alk_rd_u8(&fz->in) * (uint32_t) 200;
  if (fz->owners_len == CHANS) return;
  fz->questions[fz->questions_len++] = peer_id;
  if (kind % 4 == 0)
    HEAR(true, "bsuuu", MSG_CHANNEL_OPEN, "session", peer_id, window, packet);
  else if (kind % 4 == 1)
    HEAR(true, "bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com",
         peer_id, window, packet, "/x", "");
  else
    HEAR(true, "bsuuususu", MSG_CHANNEL_OPEN, "direct-tcpip", peer_id, window,
         packet, "h", kind == 2 ? 65536 : 1, "o", 2);
}

static void peer_asks_channel(model_t *m, uint32_t id)
{
  bool wants = alk_rd_u8(&fz->in) & 1;
  if (is_open(m) && !is_ghost(m)) m->failures_due += wants;
  HEAR(is_open(m), "busb", MSG_CHANNEL_REQUEST, id, "x", wants);
}

static void peer_asks(void)
{
  uint8_t how = alk_rd_u8(&fz->in);
  int wants = how & 1;
  bool full = fz->f->s.conn->asked_len == REQUESTS_MAX;
  bool forward = (how & 6) == 0 && fz->f->s.base.server;
  fz->wants = wants;
  if (wants) fz->due[fz->due_len++] = (due_t){.answered = true};
  if ((how & 6) == 0)
    HEAR(!(full && (wants || forward)), "bsbsu", MSG_GLOBAL_REQUEST,
         how & 8 ? "tcpip-forward" : "cancel-tcpip-forward", wants, "", how);
  else
    HEAR(!(full && wants), "bsb", MSG_GLOBAL_REQUEST, "x", wants);
}

static void peer_replies(void)
{
  bool legal = fz->awaited > 0;
  fz->awaited -= legal;
  HEAR(legal, "b", MSG_REQUEST_FAILURE);
}

/* Whatever bytes; nothing is foretold, so the model ends with the session. */
static void peer_raves(void)
{
  static const uint8_t numbers[] = {80, 81, 82, 90, 91, 92,  93,
                                    95, 96, 97, 98, 99, 100, 94};
  uint8_t m[64];
  size_t len = 1 + alk_rd_u8(&fz->in) % (sizeof m - 1);
  for (size_t i = 0; i < len; i++)
    m[i] = alk_rd_u8(&fz->in);
  m[0] = numbers[m[0] % sizeof numbers];
  fz->f->watch = NULL;
  fake_hear_bytes(fz->f, m, len);
  fake_session_close(fz->f);
}

static void peer_step(uint8_t what)
{
  uint32_t id = alk_rd_u8(&fz->in) % IDS;
  model_t *m = &fz->models[id];
  if (what == 0 || what == 1) peer_data(m, id, what == 1);
  if (what == 2 || what == 3) peer_ends(m, id, what == 3);
  if (what == 4) peer_adjust(m, id);
  if (what == 5 || what == 6) peer_answer(m, id, what == 5);
  if (what == 7) peer_open();
  if (what == 8) peer_asks_channel(m, id);
  if (what == 9) peer_asks();
  if (what == 10) peer_replies();
  if (what == 11) peer_raves();
}

static void other_step(uint8_t what)
{
  fake_session_t *f = fz->f;
  if (what == 0) f->rekeying = true;
  if (what == 1) f->room = alk_rd_u8(&fz->in) * (size_t) 100 + 1;
  if (what == 2) f->s.full = true;
  if (what == 3 || what == 4) {
    f->room = SIZE_MAX;
    fake_go_on(f);
  }
  if (what == 5) own_open();
  if (what == 6) conn_keepalive(&f->s);
  if (what == 7 && fz->requests_len > 0) {
    int i = alk_rd_u8(&fz->in) % fz->requests_len;
    alk_request_t *r = fz->requests[i];
    fz->requests[i] = fz->requests[--fz->requests_len];
    answer(r, alk_rd_u8(&fz->in) & 1);
  }
  if (what >= 8) uv_run(&uv, UV_RUN_NOWAIT);
  alk_buf_free(&f->said);
}

static void check_sums(const conn_t *n)
{
  uint64_t promised = 0;
  uint32_t busy = 0, ghosts = 0;
  for (uint32_t i = 0; i < n->slots_len; i++) {
    const slot_t *s = &n->slots[i];
    busy += s->kind == SLOT_CHAN || s->kind == SLOT_ABANDONED;
    ghosts += s->kind == SLOT_GHOST;
    if (s->kind != SLOT_CHAN) continue;
    const window_t *w = &s->chan->window;
    CHECK(w->eaten <= w->size - w->left);
    CHECK(s->chan->in == NULL || w->eaten < w->size - w->left);
    promised += w->size;
  }
  CHECK(busy == n->busy && ghosts == n->ghosts);
  CHECK(busy <= n->max && n->slots_len <= IDS);
  CHECK(promised <= n->promised && promised <= n->memory_max);
}

static void step(uint8_t op)
{
  if (op < 0x70)
    peer_step(op % 12);
  else if (op < 0xc0)
    own_step(op % 8);
  else
    other_step(op % 16);
  check_sums(fz->f->s.conn);
}

static void finish(void)
{
  fz->f->watch = NULL;
  if (!native_is_over(&fz->f->s)) fake_session_close(fz->f);
  while (!conn_is_empty(fz->f->s.conn))
    uv_run(&uv, UV_RUN_NOWAIT);
  for (int i = 0; i < fz->owners_len; i++)
    CHECK(fz->owners[i].closed);
  fake_session_free(fz->f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  if (loop == NULL) {
    CHECK(uv_loop_init(&uv) == 0);
    loop = alk_loop_new(&uv);
  }
  fz = alk_alloc(sizeof *fz);
  fz->in = alk_rd(p, n);
  fz->next_peer_id = 1000;
  alk_session_opts_t opts = {
    .window_max = WINDOW_TOP, .memory_max = 8 * WINDOW_TOP, .max_channels = 20};
  fz->f = fake_session_new(loop, alk_rd_u8(&fz->in) & 1, &opts, &events);
  fz->f->watch = says;
  while (fz->in.len > 0 && !native_is_over(&fz->f->s))
    step(alk_rd_u8(&fz->in));
  finish();
  alk_free(fz);
  return 0;
}
