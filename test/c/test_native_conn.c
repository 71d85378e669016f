/* test_native_conn.c - the connection layer alone: each message in each state,
 * both roles, against a session that keeps what is said. */
#include "helpers.h"
#include "native_fake.h"

enum { MANY = 300, PEER = 7000 /* the peer's number of its first channel */ };

typedef struct {
  env_t *e;
  fake_session_t *f;
  rec_t r[MANY]; /* channels that the peer opened, in order */
  int asked;
  enum { HOLD, ACCEPT, REFUSE } answer;
  char host[300], origin[300];
  alk_target_t target;
  alk_request_t *listens[MANY];
  alk_listen_t what;
  int listens_len, unlistens, replies, refusals;
  alk_open_reason_t refusal; /* the last of them */
  bool yes;
  uint16_t port;
  char order[64]; /* of replies */
} conn_test_t;

static conn_test_t *cur; /* the one that runs */

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *t)
{
  assert_ptr_equal(s, &cur->f->s.base);
  snprintf(cur->host, sizeof cur->host, "%s", t->host);
  snprintf(cur->origin, sizeof cur->origin, "%s", t->origin_host);
  cur->target = *t;
  rec_own(&cur->r[cur->asked++], ch);
  if (cur->answer == ACCEPT) conn_accept(ch);
  if (cur->answer == REFUSE) conn_refuse(ch, ALK_OPEN_CONNECT_FAILED, "no way");
}

static void on_channel_refused(alk_session_t *s, alk_open_reason_t reason)
{
  assert_ptr_equal(s, &cur->f->s.base);
  cur->refusals++;
  cur->refusal = reason;
}

static void on_listen(alk_session_t *s, alk_request_t *r,
                      const alk_listen_t *what)
{
  (void) s;
  snprintf(cur->host, sizeof cur->host, "%s", what->host);
  cur->what = *what;
  cur->listens[cur->listens_len++] = r;
}

static void on_unlisten(alk_session_t *s, alk_request_t *r,
                        const alk_listen_t *what)
{
  cur->unlistens++;
  on_listen(s, r, what);
}

static void on_reply(alk_session_t *s, bool yes, uint16_t port, void *data)
{
  (void) s;
  size_t len = strlen(cur->order);
  cur->replies++;
  cur->yes = yes;
  cur->port = port;
  if (len + 1 < sizeof cur->order) cur->order[len] = *(const char *) data;
}

static const alk_session_events_t events = {
  .on_channel = on_channel,
  .on_channel_refused = on_channel_refused,
  .on_listen = on_listen,
  .on_unlisten = on_unlisten,
};
static const alk_session_events_t no_events = {0};

static conn_test_t *begin_with(void **state, bool server,
                               alk_session_opts_t opts,
                               const alk_session_events_t *ev)
{
  cur = calloc(1, sizeof *cur);
  assert_non_null(cur);
  cur->e = *state;
  cur->f = fake_session_new(cur->e->l, server, &opts, ev);
  cur->answer = ACCEPT;
  return cur;
}

static conn_test_t *begin(void **state, bool server)
{
  return begin_with(state, server, (alk_session_opts_t){0}, &events);
}

/* The session ends, if it has not; every stream has had its on_close. */
static void finish(conn_test_t *t)
{
  if (!native_is_over(&t->f->s)) fake_session_close(t->f);
  RUN_UNTIL(t->e, conn_is_empty(t->f->s.conn));
  for (int i = 0; i < t->asked; i++) {
    assert_int_equal(t->r[i].closes, 1);
    rec_free(&t->r[i]);
  }
  fake_session_free(t->f);
  free(t);
}

static void finish_broken(conn_test_t *t)
{
  assert_int_equal(t->f->byes, 1);
  finish(t);
}

/* Everything that is due; a watcher's turn may make more. */
static void settle(conn_test_t *t)
{
  turns(t->e, 2);
  assert_int_equal(t->f->byes, 0);
}

#define HEAR(...)      fake_hear(t->f, __VA_ARGS__)
#define SAYS(...)      assert_true(fake_says(t->f, __VA_ARGS__))
#define SAYS_NOTHING() assert_int_equal(alk_buf_size(&t->f->said), 0)

static const alk_target_t direct = {.type = ALK_DIRECT_TCPIP,
                                    .host = "db.example",
                                    .port = 5432,
                                    .origin_host = "192.0.2.7",
                                    .origin_port = 50001};

static void open_one(conn_test_t *t, rec_t *r)
{
  rec_own(r, conn_open(&t->f->s, &direct));
}

static void says_open(conn_test_t *t, uint32_t id)
{
  SAYS("bsuuususu", MSG_CHANNEL_OPEN, "direct-tcpip", id,
       t->f->s.conn->slots[id].chan->window.size, DATA_MAX, "db.example", 5432,
       "192.0.2.7", 50001);
}

/* A channel of ours, open and reading; its number is id, the peer's PEER. */
static void have_open(conn_test_t *t, rec_t *r, uint32_t id, uint32_t window,
                      uint32_t packet)
{
  open_one(t, r);
  says_open(t, id);
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, id, PEER + id, window, packet);
  RUN_UNTIL(t->e, r->opens == 1);
  alk_stream_resume(r->s);
}

static void hear_data(conn_test_t *t, uint32_t id, const char *text)
{
  HEAR("bus", MSG_CHANNEL_DATA, id, text);
}

/* opening */

static void opens_are_said_and_answered(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  open_one(t, &r);
  says_open(t, 0);
  assert_false(alk_stream_is_open(r.s));
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 0, PEER, 1000, 500);
  assert_int_equal(r.opens, 0); /* from the task */
  settle(t);
  assert_string_equal(r.log, "o");
  assert_true(alk_stream_is_open(r.s));
  QUIET(&r, alk_stream_close(r.s));
  settle(t);
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER);
  SAYS_NOTHING();
  assert_string_equal(r.log, "oc");
  assert_false(r.failed);
  finish(t);
}

static void every_type_has_its_box(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[4] = {0};
  alk_target_t local = {.type = ALK_DIRECT_STREAMLOCAL, .host = "/run/x.sock"};
  rec_own(&r[0], conn_open(&t->f->s, &local));
  SAYS("bsuuussu", MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", 0,
       WINDOW_START, DATA_MAX, "/run/x.sock", "", 0);
  finish(t);
  t = begin(state, true);
  local.type = ALK_FORWARDED_STREAMLOCAL;
  rec_own(&r[1], conn_open(&t->f->s, &local));
  SAYS("bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", 0,
       WINDOW_START, DATA_MAX, "/run/x.sock", "");
  alk_target_t tcp = {.type = ALK_FORWARDED_TCPIP, .host = "::1", .port = 80};
  rec_own(&r[2], conn_open(&t->f->s, &tcp));
  SAYS("bsuuususu", MSG_CHANNEL_OPEN, "forwarded-tcpip", 1, WINDOW_START,
       DATA_MAX, "::1", 80, "127.0.0.1", 0);
  finish(t);
  for (int i = 0; i < 3; i++)
    assert_string_equal(r[i].log, "c");
}

static void opens_that_cannot_be(void **state)
{
  char big[300];
  memset(big, 'a', sizeof big);
  big[256] = '\0';
  conn_test_t *t = begin(state, false);
  rec_t r[7] = {0};
  alk_target_t to = direct;
  to.type = ALK_FORWARDED_TCPIP;
  rec_own(&r[0], conn_open(&t->f->s, &to));
  to.type = ALK_DIRECT_TCPIP;
  to.host = big;
  rec_own(&r[1], conn_open(&t->f->s, &to));
  to.host = big + 256 - PATH_MAX_LEN - 1;
  to.type = ALK_DIRECT_STREAMLOCAL;
  rec_own(&r[2], conn_open(&t->f->s, &to));
  t->f->s.phase = PHASE_AUTH;
  rec_own(&r[3], conn_open(&t->f->s, &direct));
  t->f->s.phase = PHASE_OPEN;
  to = direct;
  to.origin_host = big;
  rec_own(&r[6], conn_open(&t->f->s, &to));
  settle(t);
  fake_session_close(t->f);
  rec_own(&r[4], conn_open(&t->f->s, &direct));
  assert_int_equal(r[4].closes, 0);
  SAYS_NOTHING();
  finish(t);
  t = begin(state, true);
  rec_own(&r[5], conn_open(&t->f->s, &direct));
  settle(t);
  const alk_code_t codes[] = {
    ALK_E_UNSUPPORTED, ALK_E_OPTION,      ALK_E_OPTION, ALK_E_CLOSED,
    ALK_E_CLOSED,      ALK_E_UNSUPPORTED, ALK_E_OPTION};
  for (int i = 0; i < 7; i++) {
    assert_string_equal(r[i].log, "c");
    assert_int_equal(r[i].err.code, codes[i]);
  }
  finish(t);
}

static void refusals_are_told(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[8] = {0};
  const uint32_t why[] = {1, 2, 3, 4, 5, 0, UINT32_MAX};
  char words[200];
  memset(words, 'w', sizeof words);
  memcpy(words, "a\nb\x1b\x80", 5);
  for (uint32_t i = 0; i < 7; i++)
    open_one(t, &r[i]);
  for (uint32_t i = 7; i-- > 0;) /* in any order */
    HEAR("buuds", MSG_CHANNEL_OPEN_FAILURE, i, why[i], words, sizeof words,
         "en");
  settle(t);
  for (int i = 0; i < 7; i++) {
    assert_string_equal(r[i].log, "c");
    assert_int_equal(r[i].err.code, ALK_E_CHANNEL);
    assert_int_equal(r[i].err.reason, why[i] <= 4 ? (int) why[i] : 0);
    const char *said = strstr(r[i].err.msg, ": ");
    assert_non_null(said);
    assert_int_equal(strlen(said + 2), WORDS_MAX);
    assert_memory_equal(said + 2, "a?b??www", 8);
  }
  alk_buf_free(&t->f->said);
  open_one(t, &r[7]);
  assert_int_equal(chan_of(r[7].s)->id, 7);
  assert_int_equal(t->f->s.conn->busy, 1);
  HEAR("buuss", MSG_CHANNEL_OPEN_FAILURE, 7, 2, "", "");
  settle(t);
  assert_non_null(strstr(r[7].err.msg, "no reason given"));
  finish(t);
}

static void several_are_in_flight(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[20] = {0};
  for (int i = 0; i < 20; i++)
    open_one(t, &r[i]);
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t id = (i * 7 + 3) % 20;
    HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, id, PEER + id, 100, 100);
  }
  settle(t);
  alk_buf_free(&t->f->said);
  for (uint32_t i = 0; i < 20; i++) {
    assert_string_equal(r[i].log, "o");
    alk_stream_write(r[i].s, "x", 1);
    SAYS("bus", MSG_CHANNEL_DATA, PEER + i, "x");
  }
  finish(t);
}

static void small_packets_are_refused(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[2] = {0};
  open_one(t, &r[0]);
  open_one(t, &r[1]);
  says_open(t, 0);
  says_open(t, 1);
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 0, PEER, 0, 64);
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 1, PEER + 1, 0, 63);
  settle(t);
  assert_string_equal(r[0].log, "o");
  assert_string_equal(r[1].log, "c");
  assert_int_equal(r[1].err.code, ALK_E_PROTO);
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER + 1);
  finish(t);
}

/* Closed by its owner while the peer thinks: on_close does not wait. */
static void abandoned_opens(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[3] = {0};
  open_one(t, &r[0]);
  open_one(t, &r[1]);
  says_open(t, 0);
  says_open(t, 1);
  QUIET(&r[0], alk_stream_close(r[0].s));
  QUIET(&r[1], alk_stream_close(r[1].s));
  settle(t);
  assert_string_equal(r[0].log, "c");
  assert_false(r[0].failed);
  SAYS_NOTHING(); /* the peer's number is not known yet */
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 0, PEER, 1000, 500);
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER);
  hear_data(t, 0, "nobody hears it");
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, UINT32_MAX);
  HEAR("bu", MSG_CHANNEL_EOF, 0);
  HEAR("busb", MSG_CHANNEL_REQUEST, 0, "exit-status", 1);
  HEAR("buuss", MSG_CHANNEL_OPEN_FAILURE, 1, 2, "no", "");
  settle(t);
  SAYS_NOTHING();
  open_one(t, &r[2]);
  says_open(t, 2);
  assert_null(conn_slot(t->f->s.conn, 1)); /* 0 waits for its CLOSE */
  assert_int_equal(conn_slot(t->f->s.conn, 0)->kind, SLOT_GHOST);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  settle(t);
  SAYS_NOTHING();
  assert_int_equal(t->f->s.conn->ghosts, 0);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  finish_broken(t);
}

static void what_answers_no_open(void **state)
{
  for (int i = 0; i < 8; i++) {
    conn_test_t *t = begin(state, false);
    rec_t r[2] = {0};
    have_open(t, &r[0], 0, 100, 100);
    open_one(t, &r[1]);
    uint32_t id = i & 1 ? 0 : 5;
    if (i / 2 == 0)
      HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, id, PEER, 0, 100);
    if (i / 2 == 1) HEAR("buuss", MSG_CHANNEL_OPEN_FAILURE, id, 1, "", "");
    if (i / 2 == 2) HEAR("buss", MSG_CHANNEL_OPEN_FAILURE, 1, "", "");
    if (i / 2 == 3) HEAR("buuu", MSG_CHANNEL_OPEN_CONFIRMATION, 1, PEER, 0);
    finish_broken(t);
    rec_free(&r[0]);
  }
}

static void our_limit_holds(void **state)
{
  conn_test_t *t =
    begin_with(state, false, (alk_session_opts_t){.max_channels = 2}, &events);
  rec_t r[8] = {0};
  have_open(t, &r[0], 0, 100, 100);
  open_one(t, &r[1]);
  open_one(t, &r[2]);
  settle(t);
  assert_string_equal(r[2].log, "c");
  assert_int_equal(r[2].err.code, ALK_E_LIMIT);
  assert_non_null(strstr(r[2].err.msg, "maxChannels"));
  alk_stream_close(r[1].s); /* not answered: the peer still works on it */
  settle(t);
  open_one(t, &r[3]);
  alk_stream_close(r[0].s); /* a ghost: ours is closed */
  settle(t);
  assert_int_equal(r[3].err.code, ALK_E_LIMIT);
  open_one(t, &r[4]);
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 1, PEER + 1, 0, 100);
  settle(t);
  assert_string_equal(r[4].log, "");
  open_one(t, &r[5]); /* a peer that answers no CLOSE gets no more */
  settle(t);
  assert_int_equal(r[5].err.code, ALK_E_LIMIT);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  open_one(t, &r[6]);
  settle(t);
  assert_string_equal(r[6].log, "");
  assert_true(t->f->s.conn->slots_len <= 8);
  finish(t);
}

/* When CLOSE has gone both ways, and those first that are free for longest. */
static void numbers_are_used_again_late(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[11] = {0};
  for (uint32_t i = 0; i < 8; i++) /* all that the table has */
    have_open(t, &r[i], i, 100, 100);
  alk_stream_close(r[5].s); /* ours has gone, theirs has not come */
  settle(t);
  HEAR("bu", MSG_CHANNEL_CLOSE, 3);
  settle(t);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0); /* theirs has come, ours has not gone */
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER + 5);
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER + 3);
  open_one(t, &r[8]);
  says_open(t, 3);
  settle(t);
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER);
  HEAR("bu", MSG_CHANNEL_CLOSE, 5);
  open_one(t, &r[9]);
  says_open(t, 0);
  open_one(t, &r[10]);
  says_open(t, 5);
  assert_int_equal(t->f->s.conn->slots_len, 8);
  finish(t);
}

/* the peer's opens */

static void hear_open(conn_test_t *t, uint32_t id)
{
  HEAR("bsuuususu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER + id, 1000, 500,
       "db.example", 5432, "192.0.2.7", 50001);
}

static void opens_of_the_peer(void **state)
{
  conn_test_t *t = begin(state, true);
  hear_open(t, 0);
  assert_string_equal(t->host, "db.example");
  assert_string_equal(t->origin, "192.0.2.7");
  assert_int_equal(t->target.type, ALK_DIRECT_TCPIP);
  assert_int_equal(t->target.port, 5432);
  assert_int_equal(t->target.origin_port, 50001);
  SAYS("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, PEER, 0, WINDOW_START, DATA_MAX);
  hear_data(t, 0, "early"); /* before on_open is told */
  settle(t);
  assert_string_equal(t->r[0].log, "o");
  alk_stream_resume(t->r[0].s);
  settle(t);
  assert_heard(&t->r[0], "early");
  t->answer = REFUSE;
  hear_open(t, 1);
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER + 1, 2, "no way", "");
  settle(t);
  assert_string_equal(t->r[1].log, "c");
  assert_false(t->r[1].failed);
  SAYS_NOTHING();
  HEAR("bsuuussu", MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", PEER + 2,
       1000, 500, "/run/x", "", 0);
  assert_int_equal(t->target.type, ALK_DIRECT_STREAMLOCAL);
  assert_string_equal(t->host, "/run/x");
  finish(t);
}

/* Answers come when they come; nothing else waits for them. */
static void answers_may_be_late(void **state)
{
  conn_test_t *t = begin(state, true);
  t->answer = HOLD;
  for (uint32_t i = 0; i < 4; i++)
    hear_open(t, i);
  settle(t);
  SAYS_NOTHING();
  QUIET(&t->r[2], conn_accept(t->r[2].s));
  SAYS("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, PEER + 2, 2, WINDOW_START,
       DATA_MAX);
  QUIET(&t->r[0], conn_refuse(t->r[0].s, ALK_OPEN_SHORTAGE, NULL));
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER, 4, "", "");
  QUIET(&t->r[1], alk_stream_close(t->r[1].s)); /* no answer is one */
  settle(t);
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER + 1, 1, "refused", "");
  SAYS_NOTHING();
  assert_string_equal(t->r[0].log, "c");
  assert_string_equal(t->r[1].log, "c");
  assert_string_equal(t->r[2].log, "o");
  assert_string_equal(t->r[3].log, "");
  conn_accept(t->r[2].s); /* a second answer is none */
  conn_refuse(t->r[2].s, 1, "");
  settle(t);
  SAYS_NOTHING();
  finish(t);
}

/* What was written and ended before the answer leaves after it. */
static void early_writes_wait(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  open_one(t, &r);
  says_open(t, 0);
  QUIET(&r, alk_stream_write(r.s, "hello", 5));
  QUIET(&r, alk_stream_end(r.s));
  settle(t);
  SAYS_NOTHING();
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 0, PEER, 1000, 500);
  settle(t);
  SAYS("bus", MSG_CHANNEL_DATA, PEER, "hello");
  SAYS("bu", MSG_CHANNEL_EOF, PEER);
  assert_string_equal(r.log, "ow");
  finish(t);
}

static void refused(conn_test_t *t, uint32_t reason)
{
  size_t len, text_len;
  const uint8_t *p = fake_next(t->f, &len);
  assert_non_null(p);
  alk_rd_t m = alk_rd(p, len);
  assert_int_equal(alk_rd_u8(&m), MSG_CHANNEL_OPEN_FAILURE);
  assert_int_equal(alk_rd_u32(&m), PEER);
  assert_int_equal(alk_rd_u32(&m), reason);
  alk_rd_str(&m, &text_len);
  assert_true(alk_rd_is(&m, "") && alk_rd_done(&m) && text_len > 0);
  SAYS_NOTHING();
  assert_int_equal(t->asked, 0);
  if (t->f->s.base.ev->on_channel_refused != NULL) {
    assert_int_equal(t->refusals, 1);
    assert_int_equal(t->refusal, reason);
  }
  t->refusals = 0;
  settle(t);
}

static void wrong_types_are_refused(void **state)
{
  conn_test_t *t = begin(state, true);
  HEAR("bsuuususu", MSG_CHANNEL_OPEN, "forwarded-tcpip", PEER, 1000, 500, "h",
       1, "o", 2);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", PEER,
       1000, 500, "/h", "");
  refused(t, ALK_OPEN_PROHIBITED);
  static const char *const unknown[] = {"session",
                                        "x11",
                                        "",
                                        "direct-tcpi",
                                        "direct-tcpipx",
                                        "DIRECT-TCPIP",
                                        "auth-agent@openssh.com"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    HEAR("bsuuu", MSG_CHANNEL_OPEN, unknown[i], PEER, 1000, 500);
    refused(t, ALK_OPEN_UNKNOWN_TYPE);
  }
  HEAR("bduuu", MSG_CHANNEL_OPEN, "direct-tcpip", (size_t) 13, PEER, 1000, 500);
  refused(t, ALK_OPEN_UNKNOWN_TYPE); /* with its NUL */
  finish(t);
  t = begin(state, false);
  hear_open(t, 0);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuussu", MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", PEER, 10,
       500, "/x", "", 0);
  refused(t, ALK_OPEN_PROHIBITED);
  finish(t);
  t = begin_with(state, true, (alk_session_opts_t){0}, &no_events);
  hear_open(t, 0);
  refused(t, ALK_OPEN_PROHIBITED);
  finish(t);
}

static void hear_sized(conn_test_t *t, size_t host, size_t origin,
                       uint32_t port, uint32_t origin_port)
{
  static char a[400];
  memset(a, 'a', sizeof a);
  HEAR("bsuuududu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1000, 500, a, host,
       port, a, origin, origin_port);
}

static void targets_have_limits(void **state)
{
  conn_test_t *t = begin(state, true);
  static char a[400];
  memset(a, 'a', sizeof a);
  hear_sized(t, 256, 1, 1, 1);
  refused(t, ALK_OPEN_PROHIBITED);
  hear_sized(t, 1, 256, 1, 1);
  refused(t, ALK_OPEN_PROHIBITED);
  hear_sized(t, 1, 1, 65536, 1);
  refused(t, ALK_OPEN_PROHIBITED);
  hear_sized(t, 1, 1, 1, UINT32_MAX);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuudusu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1000, 500, "a\0b",
       (size_t) 3, 1, "", 1);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuusudu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1000, 500, "a", 1,
       "\0", (size_t) 1, 1);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuususu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1000, 63, "a", 1,
       "b", 1);
  refused(t, ALK_OPEN_PROHIBITED);
  HEAR("bsuuudsu", MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", PEER,
       1000, 500, a, (size_t) 109, "", 0);
  refused(t, ALK_OPEN_PROHIBITED);
  hear_sized(t, 255, 255, 65535, 65535);
  assert_int_equal(t->asked, 1);
  assert_int_equal(strlen(t->host), 255);
  assert_int_equal(t->target.port, 65535);
  HEAR("bsuuudsu", MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", PEER,
       1000, 500, a, (size_t) 108, "", 0);
  assert_int_equal(t->asked, 2);
  finish(t);
}

static void malformed_opens_end_it(void **state)
{
  for (int i = 0; i < 5; i++) {
    conn_test_t *t = begin(state, true);
    if (i == 0) HEAR("bs", MSG_CHANNEL_OPEN, "direct-tcpip");
    if (i == 1) HEAR("bsuu", MSG_CHANNEL_OPEN, "session", 1, 2);
    if (i == 2)
      HEAR("bsuuusus", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1, 500, "a", 1,
           "b");
    if (i == 3)
      HEAR("bsuuususub", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1, 500, "a", 1,
           "b", 2, 0);
    if (i == 4)
      HEAR("bsuuuu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, 1, 500,
           UINT32_MAX);
    assert_int_equal(t->asked, 0);
    finish_broken(t);
  }
}

static void the_peers_limit_holds(void **state)
{
  conn_test_t *t =
    begin_with(state, true, (alk_session_opts_t){.max_channels = 2}, &events);
  t->answer = HOLD;
  hear_open(t, 0);
  hear_open(t, 1);
  hear_open(t, 2);
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER + 2, 4,
       "too many channels on one session", "");
  assert_int_equal(t->asked, 2);
  conn_refuse(t->r[0].s, 1, "no");
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER, 1, "no", "");
  hear_open(t, 3);
  assert_int_equal(t->asked, 3);
  finish(t);
}

static void refused_opens_leave_nothing(void **state)
{
  conn_test_t *t = begin(state, true);
  t->answer = HOLD;
  hear_open(t, 0);
  alk_stream_t *held = t->r[0].s;
  for (int i = 0; i < 10000; i++) {
    HEAR("bsuuu", MSG_CHANNEL_OPEN, "session", PEER, 1000, 500);
    hear_sized(t, 256, 1, 1, 1);
    alk_buf_free(&t->f->said);
  }
  assert_int_equal(t->f->s.conn->slots_len, 8);
  assert_int_equal(t->f->s.conn->streams, 1);
  assert_ptr_equal(t->r[0].s, held);
  finish(t);
}

/* data in */

static void data_is_delivered_at_once(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  hear_data(t, 0, "hello ");
  assert_heard(&r, "hello ");
  HEAR("buus", MSG_CHANNEL_EXTENDED_DATA, 0, 1, "a program's complaint");
  hear_data(t, 0, "");
  hear_data(t, 0, "world");
  assert_heard(&r, "hello world");
  assert_null(chan_of(r.s)->in);
  finish(t);
  rec_free(&r);
}

/* packet.c gathers data and asks conn_take_data; the gate's row does as much.
 */
static void the_gates_own_way(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  alk_rd_t good = alk_rd("\0\0\0\0\0\0\0\2hi", 10);
  assert_true(conn_on_data(&t->f->s, &good));
  alk_rd_t bad = alk_rd("\0\0\0\0\0\0\0\2hi!", 11);
  assert_false(conn_on_data(&t->f->s, &bad));
  assert_heard(&r, "hi");
  alk_rd_t other = alk_rd("\0\0\0\1\0\0\0\2hi", 10);
  assert_true(conn_on_data(&t->f->s, &other)); /* well-formed, but a breach */
  finish_broken(t);
  rec_free(&r);
}

static void a_paused_reader_gets_it_later(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  hear_data(t, 0, "one ");
  QUIET(&r, alk_stream_pause(r.s));
  hear_data(t, 0, "two ");
  hear_data(t, 0, "three ");
  settle(t);
  assert_heard(&r, "one ");
  QUIET(&r, alk_stream_resume(r.s));
  hear_data(t, 0, "four"); /* may not overtake what waits */
  settle(t);
  assert_heard(&r, "one two three four");
  assert_null(chan_of(r.s)->in);
  finish(t);
  rec_free(&r);
}

static void pause_on_data(rec_t *r, char ev)
{
  if (ev == 'd') alk_stream_pause(r->s);
}

/* A pause from inside on_data holds back the next piece of what waited. */
static void a_pause_is_immediate(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[DATA_MAX];
  size_t total = 10 * sizeof big;
  have_open(t, &r, 0, 100, 100);
  alk_stream_pause(r.s);
  for (int i = 0; i < 10; i++)
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  HEAR("bu", MSG_CHANNEL_EOF, 0);
  r.then = pause_on_data;
  int rounds = 0;
  while (alk_buf_size(&r.data) < total) {
    size_t before = alk_buf_size(&r.data);
    alk_stream_resume(r.s);
    settle(t);
    assert_true(alk_buf_size(&r.data) > before);
    assert_true(alk_buf_size(&r.data) - before <= PIECE_MAX);
    rounds++;
  }
  assert_true(rounds >= 3);
  assert_int_equal(r.ends, 0);
  alk_stream_resume(r.s);
  settle(t);
  assert_int_equal(r.ends, 1);
  finish(t);
  rec_free(&r);
}

/* How much the other had heard when this one heard its first. */
static const rec_t *the_other;
static size_t heard_before;
static void compare_on_data(rec_t *r, char ev)
{
  if (ev == 'd' && r->count++ == 0)
    heard_before = alk_buf_size(&the_other->data);
}

/* A channel for which much has waited does not keep the others waiting. */
static void what_waited_comes_in_turns(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[2] = {0};
  static char big[DATA_MAX];
  size_t total = 3 * PIECES_A_TURN * PIECE_MAX;
  for (uint32_t i = 0; i < 2; i++) {
    have_open(t, &r[i], i, 100, 100);
    alk_stream_pause(r[i].s);
  }
  for (size_t n = 0; n < total; n += sizeof big) {
    fill_pattern(big, sizeof big, n);
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  }
  hear_data(t, 1, "hello");
  the_other = &r[0];
  r[1].then = compare_on_data;
  QUIET(&r[0], alk_stream_resume(r[0].s));
  QUIET(&r[1], alk_stream_resume(r[1].s));
  RUN_UNTIL(t->e, alk_buf_size(&r[0].data) == total);
  check_pattern(alk_buf_head(&r[0].data), total, 0);
  assert_heard(&r[1], "hello");
  assert_true(heard_before > 0);
  assert_true(heard_before <= PIECES_A_TURN * PIECE_MAX);
  finish(t);
  rec_free(&r[0]);
  rec_free(&r[1]);
}

static void unread_on_data(rec_t *r, char ev)
{
  if (ev != 'd' || r->count++ > 0) return;
  alk_buf_free(&r->data);
  alk_stream_unread(r->s, "first ", 6);
}

/* What is put back comes before what waits, and before the end and close. */
static void unread_bytes_come_first(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  r.then = unread_on_data;
  hear_data(t, 0, "x");
  hear_data(t, 0, "second");
  HEAR("bu", MSG_CHANNEL_EOF, 0);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  settle(t);
  settle(t);
  assert_heard(&r, "first second");
  assert_string_equal(r.log, "odec");
  finish(t);
  rec_free(&r);
}

static void unread_half(rec_t *r, char ev)
{
  size_t len = alk_buf_size(&r->data);
  if (ev != 'd' || r->count++ > 0) return;
  alk_buf_t back = r->data;
  r->data = (alk_buf_t){0};
  alk_buf_add(&r->data, alk_buf_head(&back), len / 2);
  alk_buf_consume(&back, len / 2);
  alk_stream_unread(r->s, (const char *) alk_buf_head(&back), len - len / 2);
  alk_buf_free(&back);
}

/* The same in the midst of the pieces that waited. */
static void unread_bytes_come_first_of_many(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char text[DATA_MAX];
  have_open(t, &r, 0, 100, 100);
  alk_stream_pause(r.s);
  for (uint64_t i = 0; i < 12; i++) {
    fill_pattern(text, sizeof text, i * sizeof text);
    HEAR("bud", MSG_CHANNEL_DATA, 0, text, sizeof text);
  }
  r.then = unread_half;
  alk_stream_resume(r.s);
  RUN_UNTIL(t->e, alk_buf_size(&r.data) == 12 * sizeof text);
  check_pattern(alk_buf_head(&r.data), 12 * sizeof text, 0);
  finish(t);
  rec_free(&r);
}

static void unread_and_pause(rec_t *r, char ev)
{
  if (ev != 'd' || r->count++ > 0) return;
  alk_stream_unread(r->s, "x", 1);
  alk_stream_pause(r->s);
  alk_buf_free(&r->data);
}

static void unread_bytes_outlive_the_close(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  r.then = unread_and_pause;
  hear_data(t, 0, "x");
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  settle(t);
  assert_string_equal(r.log, "od");
  alk_stream_resume(r.s);
  settle(t);
  settle(t);
  assert_heard(&r, "x");
  assert_string_equal(r.log, "odc");
  finish(t);
  rec_free(&r);
}

static void the_window_is_guarded(void **state)
{
  static uint8_t big[DATA_MAX + 1];
  for (int i = 0; i < 3; i++) {
    conn_test_t *t = begin_with(
      state, false, (alk_session_opts_t){.window_max = WINDOW_MIN}, &events);
    rec_t r = {0};
    have_open(t, &r, 0, 100, 100);
    alk_stream_pause(r.s);
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, (size_t) DATA_MAX);
    if (i == 2) { /* the same for a ghost */
      alk_stream_close(r.s);
      settle(t);
    }
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, (size_t) DATA_MAX);
    hear_data(t, 0, "");
    settle(t);
    if (i == 1)
      HEAR("buus", MSG_CHANNEL_EXTENDED_DATA, 0, 1, "x");
    else
      hear_data(t, 0, "x");
    finish_broken(t);
    rec_free(&r);
  }
  for (int i = 0; i < 2; i++) {
    conn_test_t *t = begin(state, false);
    rec_t r = {0};
    have_open(t, &r, 0, 100, 100);
    if (i == 1) {
      alk_stream_close(r.s);
      settle(t);
    }
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big); /* packet too large */
    assert_int_equal(alk_buf_size(&r.data), 0);
    finish_broken(t);
  }
}

static void malformed_data_ends_it(void **state)
{
  for (int i = 0; i < 9; i++) {
    conn_test_t *t = begin(state, false);
    rec_t r = {0};
    have_open(t, &r, 0, 100, 100);
    if (i == 0) HEAR("b", MSG_CHANNEL_DATA);
    if (i == 1) HEAR("bu", MSG_CHANNEL_DATA, 0);
    if (i == 2) HEAR("buur", MSG_CHANNEL_DATA, 0, 5, "abcd", (size_t) 4);
    if (i == 3) HEAR("buur", MSG_CHANNEL_DATA, 0, 3, "abcd", (size_t) 4);
    if (i == 4) HEAR("buu", MSG_CHANNEL_DATA, 0, UINT32_MAX);
    if (i == 5) HEAR("buu", MSG_CHANNEL_EXTENDED_DATA, 0, 1);
    if (i == 6) HEAR("buusb", MSG_CHANNEL_EXTENDED_DATA, 0, 1, "x", 0);
    if (i == 7) HEAR("buub", MSG_CHANNEL_WINDOW_ADJUST, 0, 1, 0);
    if (i == 8) HEAR("bus", MSG_CHANNEL_REQUEST, 0, "x");
    assert_int_equal(alk_buf_size(&r.data), 0);
    finish_broken(t);
  }
}

/* Consumed bytes are given back, once a turn; received ones are not. */
static void windows_are_given_back(void **state)
{
  conn_test_t *t = begin_with(
    state, false, (alk_session_opts_t){.window_max = WINDOW_MIN}, &events);
  static uint8_t big[8192];
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  settle(t);
  SAYS_NOTHING(); /* an eighth */
  HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  HEAR("buud", MSG_CHANNEL_EXTENDED_DATA, 0, 1, big, sizeof big);
  SAYS_NOTHING(); /* not in the middle of packets */
  settle(t);
  SAYS("buu", MSG_CHANNEL_WINDOW_ADJUST, PEER, 3 * sizeof big);
  alk_stream_pause(r.s);
  for (int i = 0; i < 7; i++)
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  settle(t);
  SAYS_NOTHING();
  alk_stream_resume(r.s);
  settle(t);
  SAYS("buu", MSG_CHANNEL_WINDOW_ADJUST, PEER, 7 * sizeof big);
  for (int i = 0; i < 4; i++)
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  HEAR("bu", MSG_CHANNEL_EOF, 0); /* no more will come: no more is needed */
  settle(t);
  SAYS_NOTHING();
  finish(t);
  rec_free(&r);
}

/* What test_native_window.c shows, as far as a channel has to do with it. */
static void windows_grow(void **state)
{
  conn_test_t *t = begin(state, true);
  static uint8_t big[DATA_MAX];
  hear_open(t, 0);
  settle(t);
  alk_buf_free(&t->f->said);
  alk_stream_resume(t->r[0].s);
  window_t *w = &chan_of(t->r[0].s)->window;
  for (int i = 0; i < 16; i++) /* begins a round */
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  settle(t);
  SAYS("buu", MSG_CHANNEL_WINDOW_ADJUST, PEER, 16 * sizeof big);
  for (int i = 0; i < 48; i++) /* up to the edge */
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  assert_int_equal(w->ahead, 0);
  w->began_ms -= 100; /* as if it had lasted so long, most of it in silence, */
  w->edge_ms -= 50;
  w->consumed = INT32_MAX; /* and much had been read in it */
  HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  assert_true(w->stalled);
  settle(t);
  SAYS("buu", MSG_CHANNEL_WINDOW_ADJUST, PEER, 49 * sizeof big + WINDOW_START);
  assert_int_equal(w->size, 2 * WINDOW_START);
  assert_int_equal(t->f->s.conn->promised, 2 * WINDOW_START);
  finish(t);
}

/* And what a reader does not get again is somebody else's. */
static void windows_shrink(void **state)
{
  conn_test_t *t = begin(state, true);
  static uint8_t big[DATA_MAX];
  hear_open(t, 0);
  settle(t);
  conn_t *n = t->f->s.conn;
  window_t *w = &chan_of(t->r[0].s)->window;
  uint32_t more = 2 * WINDOW_SLOW_MAX - w->size; /* as if it had grown */
  w->size += more;
  w->left += more;
  n->promised += more;
  for (uint32_t i = 0; i < w->size / DATA_MAX; i++)
    HEAR("bud", MSG_CHANNEL_DATA, 0, big, sizeof big);
  assert_int_equal(w->left, 0);
  alk_stream_resume(t->r[0].s);
  while (chan_of(t->r[0].s)->in != NULL)
    settle(t);
  assert_int_equal(w->size, WINDOW_SLOW_MAX);
  assert_int_equal(n->promised, WINDOW_SLOW_MAX);
  finish(t);
}

static void memory_is_shared(void **state)
{
  conn_test_t *tiny =
    begin_with(state, true, (alk_session_opts_t){.window_max = 1}, &events);
  hear_open(tiny, 0);
  assert_int_equal(chan_of(tiny->r[0].s)->window.size, DATA_MAX);
  finish(tiny);
  alk_session_opts_t opts = {.memory_max = 4 * 1024 * 1024,
                             .max_channels = 200};
  conn_test_t *t = begin_with(state, true, opts, &events);
  uint32_t least = window_least(opts.memory_max, opts.max_channels);
  for (uint32_t i = 0; i < 200; i++)
    hear_open(t, i);
  uint64_t sum = 0;
  for (int i = 0; i < 200; i++) {
    uint32_t size = chan_of(t->r[i].s)->window.size;
    assert_true(size >= least);
    assert_true(size <= least + opts.memory_max / WINDOW_SHARE);
    sum += size;
  }
  assert_int_equal(sum, t->f->s.conn->promised);
  assert_true(sum <= opts.memory_max);
  for (int i = 0; i < 200; i++)
    alk_stream_close(t->r[i].s);
  settle(t);
  assert_int_equal(t->f->s.conn->promised, 0);
  assert_int_equal(t->f->s.conn->windows, 0);
  assert_int_equal(t->f->s.conn->ghosts, 200);
  finish(t);
}

/* data out */

static void windows_and_packets_bound_writes(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 250, 100);
  char text[400];
  fill_pattern(text, sizeof text, 0);
  bool more = false;
  QUIET(&r, more = alk_stream_write(r.s, text, sizeof text));
  assert_true(more);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, text, (size_t) 100);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, text + 100, (size_t) 100);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, text + 200, (size_t) 50);
  settle(t);
  SAYS_NOTHING();
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 0);
  settle(t);
  SAYS_NOTHING();
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 30);
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 20);
  settle(t);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, text + 250, (size_t) 50);
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 1000);
  QUIET(&r, alk_stream_write(r.s, "!", 1)); /* behind the rest */
  settle(t);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, text + 300, (size_t) 100);
  SAYS("bus", MSG_CHANNEL_DATA, PEER, "!");
  SAYS_NOTHING();
  assert_string_equal(r.log, "o");
  assert_null(chan_of(r.s)->out);
  finish(t);
}

static void our_packets_have_a_limit_too(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[2 * DATA_MAX + 1];
  have_open(t, &r, 0, UINT32_MAX, UINT32_MAX);
  alk_stream_write(r.s, big, sizeof big);
  for (int i = 0; i < 2; i++)
    SAYS("bud", MSG_CHANNEL_DATA, PEER, big, (size_t) DATA_MAX);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, big, (size_t) 1);
  finish(t);
  t = begin(state, true);
  HEAR("bsuuususu", MSG_CHANNEL_OPEN, "direct-tcpip", PEER, UINT32_MAX,
       UINT32_MAX, "h", 1, "o", 2);
  alk_buf_free(&t->f->said);
  alk_stream_write(t->r[0].s, big, DATA_MAX + 1);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, big, (size_t) DATA_MAX);
  SAYS("bud", MSG_CHANNEL_DATA, PEER, big, (size_t) 1);
  finish(t);
}

static size_t count_data(conn_test_t *t)
{
  size_t len, sum = 0;
  for (const uint8_t *p = fake_next(t->f, &len); p != NULL;
       p = fake_next(t->f, &len))
    if (p[0] == MSG_CHANNEL_DATA) sum += len - DATA_HEAD;
  return sum;
}

static void writes_are_held_up(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[ALK_HIGH_WATER];
  size_t sent = 0;
  have_open(t, &r, 0, UINT32_MAX, UINT32_MAX);
  t->f->rekeying = true;
  assert_true(alk_stream_write(r.s, big, sizeof big - 1));
  assert_false(alk_stream_write(r.s, big, 1));
  settle(t);
  SAYS_NOTHING();
  assert_int_equal(r.drains, 0);
  t->f->room = 100000; /* the stream takes so much, then is full */
  fake_go_on(t->f);
  settle(t);
  sent += count_data(t);
  assert_in_range(sent, 100000, 100000 + DATA_MAX);
  assert_int_equal(r.drains, 0);
  t->f->room = SIZE_MAX;
  fake_go_on(t->f);
  RUN_UNTIL(t->e, r.drains == 1);
  settle(t);
  sent += count_data(t);
  assert_int_equal(sent, sizeof big);
  assert_string_equal(r.log, "ow");
  finish(t);
}

static void write_more(rec_t *r, char ev)
{
  char text[1000];
  if (ev != 'w' || r->count == 0) return;
  assert_int_equal(alk_buf_size(chan_of(r->s)->out), ALK_LOW_WATER);
  fill_pattern(text, sizeof text, (uint64_t) r->count);
  r->count = 0;
  alk_stream_write(r->s, text, sizeof text);
}

/* What is written from inside on_drain stands behind what still waits. */
static void a_drain_does_not_overtake(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[ALK_HIGH_WATER];
  fill_pattern(big, sizeof big, 0);
  have_open(t, &r, 0, UINT32_MAX, UINT32_MAX);
  t->f->rekeying = true;
  alk_stream_write(r.s, big, sizeof big);
  r.count = sizeof big;
  r.then = write_more;
  fake_go_on(t->f);
  turns(t->e, 5);
  assert_int_equal(r.count, 0);
  size_t len, sum = 0;
  for (const uint8_t *p = fake_next(t->f, &len); p != NULL;
       p = fake_next(t->f, &len)) {
    check_pattern(p + DATA_HEAD, len - DATA_HEAD, sum);
    sum += len - DATA_HEAD;
  }
  assert_int_equal(sum, sizeof big + 1000);
  finish(t);
}

/* The drain that follows end() tells that EOF has gone, behind every byte. */
static void the_end_follows_the_bytes(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 3, 100);
  alk_stream_write(r.s, "hello", 5);
  SAYS("bus", MSG_CHANNEL_DATA, PEER, "hel");
  QUIET(&r, alk_stream_end(r.s));
  settle(t);
  SAYS_NOTHING();
  t->f->rekeying = true;
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 2);
  settle(t);
  SAYS_NOTHING();
  assert_int_equal(r.drains, 0);
  fake_go_on(t->f);
  settle(t);
  SAYS("bus", MSG_CHANNEL_DATA, PEER, "lo");
  SAYS("bu", MSG_CHANNEL_EOF, PEER);
  SAYS_NOTHING();
  assert_string_equal(r.log, "ow");
  hear_data(t, 0, "half open");
  assert_heard(&r, "half open");
  finish(t);
  rec_free(&r);
}

/* An end while keys are changed is not told as done before it has gone. */
static void no_drain_before_the_keys(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  t->f->rekeying = true;
  alk_stream_end(r.s);
  settle(t);
  assert_int_equal(r.drains, 0);
  fake_go_on(t->f);
  settle(t);
  SAYS("bu", MSG_CHANNEL_EOF, PEER);
  assert_int_equal(r.drains, 1);
  finish(t);
}

/* Nor before the stream takes it. */
static void no_drain_before_there_is_room(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  t->f->s.full = true;
  alk_stream_write(r.s, "hello", 5);
  alk_stream_end(r.s);
  t->f->room = 5;
  t->f->s.full = false;
  settle(t);
  SAYS("bus", MSG_CHANNEL_DATA, PEER, "hello");
  SAYS_NOTHING();
  assert_int_equal(r.drains, 0);
  fake_go_on(t->f);
  settle(t);
  SAYS("bu", MSG_CHANNEL_EOF, PEER);
  assert_int_equal(r.drains, 1);
  finish(t);
}

/* Bulk channels take turns, and a small one has its turn among them. */
static void writers_take_turns(void **state)
{
  enum { BULK = 5 };
  conn_test_t *t = begin(state, false);
  rec_t r[BULK + 1] = {0};
  static char big[ALK_HIGH_WATER];
  for (uint32_t i = 0; i <= BULK; i++)
    have_open(t, &r[i], i, UINT32_MAX, UINT32_MAX);
  t->f->s.full = true;
  for (int i = 0; i < BULK; i++)
    alk_stream_write(r[i].s, big, sizeof big);
  t->f->s.full = false; /* it could leave, but others have waited longer */
  alk_stream_write(r[BULK].s, "small", 5);
  SAYS_NOTHING();
  fake_go_on(t->f);
  turns(t->e, 10);
  size_t len, before = 0, most[BULK] = {0}, all = 0;
  for (const uint8_t *p = fake_next(t->f, &len); p != NULL;
       p = fake_next(t->f, &len)) {
    alk_rd_t m = alk_rd(p + 1, len - 1);
    uint32_t id = alk_rd_u32(&m) - PEER;
    all += len - DATA_HEAD;
    if (id == BULK) before = all - 5;
    if (id == BULK) continue;
    most[id] += len - DATA_HEAD;
    for (int i = 0; i < BULK; i++) /* nobody is more than a turn ahead */
      assert_true(most[id] <= most[i] + TURN);
  }
  assert_int_equal(before, BULK * TURN);
  assert_int_equal(all, BULK * sizeof big + 5);
  for (int i = 0; i < BULK; i++)
    assert_int_equal(r[i].drains, 1);
  finish(t);
}

static void overflowing_windows_end_it(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 10, 100);
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, UINT32_MAX - 10);
  settle(t);
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, 1);
  finish_broken(t);
}

/* EOF and CLOSE */

/* The four things that can happen to a channel, in every order: the peer's EOF
 * and CLOSE, our end and close. */
static void play(conn_test_t *t, rec_t *r, const char *order, bool eager)
{
  bool got_close = false, closed = false, got_eof = false, ended = false;
  bool reset = false, forgiven = !eager && strchr(order, 'c') != NULL;
  for (; *order != '\0'; order++) {
    if (*order == 'E' && !got_close) HEAR("bu", MSG_CHANNEL_EOF, 0);
    if (*order == 'C') HEAR("bu", MSG_CHANNEL_CLOSE, 0);
    if (*order == 'e' && r->s != NULL) QUIET(r, alk_stream_end(r->s));
    if (*order == 'c' && r->s != NULL) QUIET(r, alk_stream_close(r->s));
    got_eof = got_eof || (*order == 'E' && !got_close && !closed);
    ended = ended || (*order == 'E' && !got_close);
    reset = reset || (*order == 'C' && !ended && !closed && !forgiven);
    got_close = got_close || *order == 'C';
    closed = closed || *order == 'c';
    if (eager) settle(t);
  }
  settle(t);
  settle(t);
  assert_int_equal(r->closes, got_close || closed);
  if (r->closes == 1) assert_int_equal(r->failed, reset);
  if (eager) assert_int_equal(r->ends, got_eof);
}

static void check_said(conn_test_t *t, const char *order)
{
  int eofs = 0, closes = 0;
  size_t len;
  for (const uint8_t *p = fake_next(t->f, &len); p != NULL;
       p = fake_next(t->f, &len)) {
    assert_int_equal(len, 5);
    assert_int_equal(closes, 0); /* nothing follows a CLOSE */
    eofs += p[0] == MSG_CHANNEL_EOF;
    closes += p[0] == MSG_CHANNEL_CLOSE;
    assert_true(p[0] == MSG_CHANNEL_EOF || p[0] == MSG_CHANNEL_CLOSE);
  }
  assert_true(eofs <= 1);
  assert_int_equal(closes, strpbrk(order, "cC") != NULL);
  bool both = strchr(order, 'C') != NULL;
  bool half = !both && strchr(order, 'c') != NULL;
  assert_int_equal(t->f->s.conn->ghosts, half);
  assert_int_equal(t->f->s.conn->busy, !both && !half);
}

static void every_order_of_ends(void **state)
{
  static const char letters[] = "ECec";
  for (int n = 0; n < 4 * 5 * 5 * 5; n++) { /* 0: nothing */
    char order[5] = "";
    bool twice = false;
    for (int i = 0, m = n; i < 4; i++, m /= 5) {
      if (m % 5 == 0) continue;
      char c = letters[m % 5 - 1];
      twice = twice || strchr(order, c) != NULL;
      order[strlen(order)] = c;
    }
    for (int eager = 0; eager < 2 && !twice; eager++) {
      conn_test_t *t = begin(state, false);
      rec_t r = {0};
      have_open(t, &r, 0, 100, 100);
      play(t, &r, order, eager);
      check_said(t, order);
      finish(t);
    }
  }
}

/* The peer's CLOSE overtakes what the owner has not read: that comes first. */
static void unread_data_outlives_the_close(void **state)
{
  for (int eof = 0; eof < 2; eof++) {
    conn_test_t *t = begin(state, false);
    rec_t r = {0};
    have_open(t, &r, 0, 2, 100);
    alk_stream_pause(r.s);
    alk_stream_write(r.s, "never taken", 11);
    SAYS("bus", MSG_CHANNEL_DATA, PEER, "ne");
    hear_data(t, 0, "last words");
    if (eof) HEAR("bu", MSG_CHANNEL_EOF, 0);
    HEAR("bu", MSG_CHANNEL_CLOSE, 0);
    settle(t);
    SAYS("bu", MSG_CHANNEL_CLOSE, PEER); /* at once */
    assert_int_equal(r.closes, 0);
    assert_true(alk_stream_write(r.s, "nor this", 8));
    assert_null(chan_of(r.s)->out);
    alk_stream_end(r.s);
    settle(t);
    SAYS_NOTHING();
    assert_int_equal(r.drains, 1);
    alk_stream_resume(r.s);
    settle(t);
    assert_heard(&r, "last words");
    assert_string_equal(r.log, eof ? "owdec" : "owdc");
    assert_int_equal(r.failed, !eof); /* without an end it may be a part */
    finish(t);
    rec_free(&r);
  }
}

/* A writer that waits for its drain is not left alone by a CLOSE. */
static void a_close_releases_the_writer(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[ALK_HIGH_WATER];
  have_open(t, &r, 0, 0, 100);
  alk_stream_pause(r.s);
  assert_false(alk_stream_write(r.s, big, sizeof big));
  hear_data(t, 0, "x");
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  settle(t);
  assert_string_equal(r.log, "ow");
  assert_null(chan_of(r.s)->out);
  finish(t);
  rec_free(&r);
}

/* Nothing is kept for a channel that its owner has just closed. */
static void closed_channels_keep_nothing(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  alk_stream_close(r.s);
  hear_data(t, 0, "too late");
  assert_null(chan_of(r.s)->in);
  settle(t);
  assert_string_equal(r.log, "oc");
  finish(t);
}

static void an_end_waits_for_its_reader(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  alk_stream_pause(r.s);
  HEAR("bu", MSG_CHANNEL_EOF, 0);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  settle(t);
  assert_string_equal(r.log, "o");
  alk_stream_resume(r.s);
  settle(t);
  assert_string_equal(r.log, "oec");
  finish(t);
}

/* What a closed or ended channel may not hear any more. */
static void messages_out_of_place(void **state)
{
  static const uint8_t numbers[] = {
    MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_WINDOW_ADJUST,
    MSG_CHANNEL_EOF,  MSG_CHANNEL_CLOSE,         MSG_CHANNEL_REQUEST};
  for (int i = 0; i < 6 * 4; i++) {
    uint8_t n = numbers[i % 6];
    conn_test_t *t = begin(state, i / 6 == 3);
    rec_t r = {0};
    uint32_t id = 0;
    if (i / 6 == 0) have_open(t, &r, 0, 100, 100);
    if (i / 6 == 0) HEAR("bu", MSG_CHANNEL_CLOSE, 0); /* closed */
    if (i / 6 == 1) open_one(t, &r);                  /* not open yet */
    if (i / 6 == 2) id = UINT32_MAX;                  /* none */
    if (i / 6 == 3) {                                 /* not answered yet */
      t->answer = HOLD;
      hear_open(t, 0);
    }
    if (n == MSG_CHANNEL_DATA) hear_data(t, id, "x");
    if (n == MSG_CHANNEL_EXTENDED_DATA) HEAR("buus", n, id, 1, "x");
    if (n == MSG_CHANNEL_WINDOW_ADJUST) HEAR("buu", n, id, 1);
    if (n == MSG_CHANNEL_EOF || n == MSG_CHANNEL_CLOSE) HEAR("bu", n, id);
    if (n == MSG_CHANNEL_REQUEST) HEAR("busb", n, id, "x", 0);
    if (i / 6 == 0 && n == MSG_CHANNEL_WINDOW_ADJUST)
      finish(t); /* a_late_window */
    else
      finish_broken(t);
  }
  for (int i = 0; i < 3; i++) {
    conn_test_t *t = begin(state, false);
    rec_t r = {0};
    have_open(t, &r, 0, 100, 100);
    HEAR("bu", MSG_CHANNEL_EOF, 0);
    if (i == 0) hear_data(t, 0, "");
    if (i == 1) HEAR("buus", MSG_CHANNEL_EXTENDED_DATA, 0, 1, "x");
    if (i == 2) HEAR("bu", MSG_CHANNEL_EOF, 0);
    finish_broken(t);
  }
}

/* npm ssh2 reads on after its CLOSE and says so: the others live on. */
static void a_late_window(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[2] = {0};
  have_open(t, &r[0], 0, 100, 100);
  have_open(t, &r[1], 1, 100, 100);
  HEAR("bu", MSG_CHANNEL_CLOSE, 0);
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, UINT32_MAX);
  settle(t);
  assert_string_equal(r[0].log, "oc");
  assert_null(conn_slot(t->f->s.conn, 0));
  HEAR("buu", MSG_CHANNEL_WINDOW_ADJUST, 0, UINT32_MAX);
  settle(t);
  hear_data(t, 1, "x");
  settle(t);
  assert_string_equal(r[1].log, "od");
  finish(t);
  rec_free(&r[1]);
}

static void channel_requests(void **state)
{
  conn_test_t *t = begin(state, true);
  hear_open(t, 0);
  settle(t);
  alk_buf_free(&t->f->said);
  HEAR("busb", MSG_CHANNEL_REQUEST, 0, "eow@openssh.com", 0);
  HEAR("busb", MSG_CHANNEL_REQUEST, 0, "shell", 0);
  HEAR("bu", MSG_CHANNEL_SUCCESS, 0);
  HEAR("bu", MSG_CHANNEL_FAILURE, 99);
  settle(t);
  SAYS_NOTHING();
  HEAR("busbs", MSG_CHANNEL_REQUEST, 0, "exec", 1, "id");
  HEAR("busb", MSG_CHANNEL_REQUEST, 0, "keepalive@openssh.com", 7);
  SAYS("bu", MSG_CHANNEL_FAILURE, PEER);
  SAYS("bu", MSG_CHANNEL_FAILURE, PEER);
  finish(t);
}

/* global requests */

static void ask_forward(conn_test_t *t, const char *name, const char *host,
                        uint32_t port, int wants)
{
  HEAR("bsbsu", MSG_GLOBAL_REQUEST, name, wants, host, port);
}

static void a_client_asks_for_listeners(void **state)
{
  conn_test_t *t = begin(state, true);
  ask_forward(t, "tcpip-forward", "localhost", 8080, 1);
  assert_string_equal(t->host, "localhost");
  assert_int_equal(t->what.port, 8080);
  assert_false(t->what.local);
  HEAR("bsbs", MSG_GLOBAL_REQUEST, "streamlocal-forward@openssh.com", 1,
       "/run/x");
  assert_true(t->what.local);
  assert_string_equal(t->host, "/run/x");
  ask_forward(t, "tcpip-forward", "", 0, 1);
  HEAR("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  ask_forward(t, "cancel-tcpip-forward", "localhost", 8080, 1);
  HEAR("bsbs", MSG_GLOBAL_REQUEST, "cancel-streamlocal-forward@openssh.com", 1,
       "/run/x");
  assert_int_equal(t->listens_len, 5);
  assert_int_equal(t->unlistens, 2);
  conn_answer(t->listens[2], true, 40000); /* in any order */
  conn_answer(t->listens[1], true, 0);
  conn_answer(t->listens[4], true, 0);
  SAYS_NOTHING();
  conn_answer(t->listens[0], true, 8080);
  SAYS("b", MSG_REQUEST_SUCCESS);
  SAYS("b", MSG_REQUEST_SUCCESS);
  SAYS("bu", MSG_REQUEST_SUCCESS, 40000); /* the port only where none was
                                             named */
  SAYS("b", MSG_REQUEST_FAILURE);
  SAYS_NOTHING();
  conn_answer(t->listens[3], true, 1);
  SAYS("b", MSG_REQUEST_SUCCESS);
  SAYS("b", MSG_REQUEST_SUCCESS);
  ask_forward(t, "cancel-tcpip-forward", "", 0, 1);
  conn_answer(t->listens[5], true, 1);
  SAYS("b", MSG_REQUEST_SUCCESS);
  ask_forward(t, "tcpip-forward", "", 81, 1); /* never answered */
  finish(t);
}

static void requests_that_want_no_reply(void **state)
{
  conn_test_t *t = begin(state, true);
  ask_forward(t, "tcpip-forward", "", 81, 0);
  ask_forward(t, "tcpip-forward", "", 82, 1);
  HEAR("bsb", MSG_GLOBAL_REQUEST, "no-more-sessions@openssh.com", 0);
  assert_int_equal(t->listens_len, 2);
  conn_answer(t->listens[1], true, 0); /* the other holds nobody up */
  SAYS("b", MSG_REQUEST_SUCCESS);
  conn_answer(t->listens[0], true, 0);
  settle(t);
  SAYS_NOTHING();
  assert_int_equal(t->f->s.conn->asked_len, 0);
  finish(t);
}

static void requests_that_are_refused_unasked(void **state)
{
  static char a[400];
  memset(a, 'a', sizeof a);
  conn_test_t *t = begin(state, true);
  ask_forward(t, "tcpip-forward", "", 65536, 1);
  HEAR("bsbdu", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, a, (size_t) 256, 1);
  HEAR("bsbdu", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, "a\0", (size_t) 2, 1);
  HEAR("bsbd", MSG_GLOBAL_REQUEST, "streamlocal-forward@openssh.com", 1, a,
       (size_t) 109);
  HEAR("bsbr", MSG_GLOBAL_REQUEST, "hostkeys-prove-00@openssh.com", 1, a,
       sizeof a);
  HEAR("bsb", MSG_GLOBAL_REQUEST, "", 1);
  for (int i = 0; i < 6; i++)
    SAYS("b", MSG_REQUEST_FAILURE);
  SAYS_NOTHING();
  assert_int_equal(t->listens_len, 0);
  finish(t);
  t = begin(state, false); /* nobody asks that of a client */
  ask_forward(t, "tcpip-forward", "", 80, 1);
  ask_forward(t, "tcpip-forward", "", 80, 0);
  HEAR("bsbr", MSG_GLOBAL_REQUEST, "hostkeys-00@openssh.com", 0, a, sizeof a);
  SAYS("b", MSG_REQUEST_FAILURE);
  SAYS_NOTHING();
  finish(t);
  t = begin_with(state, true, (alk_session_opts_t){0}, &no_events);
  ask_forward(t, "tcpip-forward", "", 80, 1);
  SAYS("b", MSG_REQUEST_FAILURE);
  finish(t);
  for (int i = 0; i < 4; i++) {
    t = begin(state, true);
    if (i == 0) HEAR("bs", MSG_GLOBAL_REQUEST, "x");
    if (i == 1) HEAR("bsbs", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, "a");
    if (i == 2)
      HEAR("bsbsub", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, "a", 1, 0);
    if (i == 3)
      HEAR("bsbsu", MSG_GLOBAL_REQUEST, "streamlocal-forward@openssh.com", 1,
           "a", 1);
    assert_int_equal(t->listens_len, 0);
    finish_broken(t);
  }
}

static void unanswered_requests_have_a_limit(void **state)
{
  conn_test_t *t = begin(state, true);
  ask_forward(t, "tcpip-forward", "", 80, 1);
  for (int i = 1; i < REQUESTS_MAX; i++)
    HEAR("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  settle(t);
  SAYS_NOTHING();
  HEAR("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  assert_int_equal(t->f->s.base.err.code, ALK_E_LIMIT);
  RUN_UNTIL(t->e, t->f->killed);
  ask_forward(t, "tcpip-forward", "", 81, 1); /* not heard any more */
  assert_int_equal(t->listens_len, 1);
  conn_answer(t->listens[0], true, 0); /* too late, but r is good till now */
  SAYS_NOTHING();
  finish_broken(t);
}

static void listen_as_client(conn_test_t *t, const char *host, uint16_t port,
                             bool cancel, const char *tag)
{
  alk_listen_t what = {.host = host, .port = port, .local = host[0] == '/'};
  assert_true(
    conn_listen(&t->f->s, &what, cancel, on_reply, (void *) (uintptr_t) tag));
}

static void open_forwarded(conn_test_t *t, uint32_t port, int asked)
{
  HEAR("bsuuususu", MSG_CHANNEL_OPEN, "forwarded-tcpip", PEER, 100, 500,
       "192.0.2.1", port, "192.0.2.7", 50001);
  assert_int_equal(t->asked, asked);
}

static void listening_is_asked_for(void **state)
{
  conn_test_t *t = begin(state, false);
  listen_as_client(t, "", 0, false, "a");
  SAYS("bsbsu", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, "", 0);
  listen_as_client(t, "localhost", 81, false, "b");
  SAYS("bsbsu", MSG_GLOBAL_REQUEST, "tcpip-forward", 1, "localhost", 81);
  listen_as_client(t, "/run/x", 0, false, "c");
  SAYS("bsbs", MSG_GLOBAL_REQUEST, "streamlocal-forward@openssh.com", 1,
       "/run/x");
  conn_keepalive(&t->f->s);
  SAYS("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  listen_as_client(t, "localhost", 82, false, "d");
  alk_buf_free(&t->f->said);
  open_forwarded(t, 81, 0); /* not granted yet */
  HEAR("bu", MSG_REQUEST_SUCCESS, 40000);
  assert_true(t->yes);
  assert_int_equal(t->port, 40000);
  HEAR("b", MSG_REQUEST_SUCCESS);
  assert_int_equal(t->port, 81);
  HEAR("bu", MSG_REQUEST_SUCCESS, 99); /* some always tell a number */
  assert_int_equal(t->port, 0);
  HEAR("b", MSG_REQUEST_FAILURE); /* the keepalive's */
  assert_int_equal(t->replies, 3);
  HEAR("b", MSG_REQUEST_FAILURE);
  assert_false(t->yes);
  assert_string_equal(t->order, "abcd");
  open_forwarded(t, 40000, 1);
  assert_int_equal(t->target.type, ALK_FORWARDED_TCPIP);
  assert_string_equal(t->host, "192.0.2.1");
  open_forwarded(t, 81, 2);
  open_forwarded(t, 82, 2); /* refused above */
  HEAR("bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", PEER,
       100, 500, "/run/x", "");
  assert_int_equal(t->asked, 3);
  assert_int_equal(t->target.type, ALK_FORWARDED_STREAMLOCAL);
  HEAR("bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", PEER,
       100, 500, "/run/y", "");
  HEAR("bsuuuss", MSG_CHANNEL_OPEN, "forwarded-streamlocal@openssh.com", PEER,
       100, 500, "localhost", "");
  assert_int_equal(t->asked, 3);
  open_forwarded(t, 0, 3);
  finish(t);
}

static void listening_is_taken_back(void **state)
{
  conn_test_t *t = begin(state, false);
  listen_as_client(t, "localhost", 81, false, "a");
  listen_as_client(t, "localhost", 82, false, "a");
  HEAR("b", MSG_REQUEST_SUCCESS);
  HEAR("b", MSG_REQUEST_SUCCESS);
  alk_buf_free(&t->f->said);
  listen_as_client(t, "localhost", 81, true, "b");
  SAYS("bsbsu", MSG_GLOBAL_REQUEST, "cancel-tcpip-forward", 1, "localhost", 81);
  open_forwarded(t, 81, 1); /* the server has not seen it yet */
  HEAR("b", MSG_REQUEST_SUCCESS);
  open_forwarded(t, 81, 1);
  open_forwarded(t, 82, 2);
  alk_buf_free(&t->f->said);
  listen_as_client(t, "/run/x", 0, true, "c");
  SAYS("bsbs", MSG_GLOBAL_REQUEST, "cancel-streamlocal-forward@openssh.com", 1,
       "/run/x");
  finish(t); /* unanswered: told no */
}

static void replies_that_nobody_awaits(void **state)
{
  for (int i = 0; i < 7; i++) {
    conn_test_t *t = begin(state, false);
    if (i >= 2) listen_as_client(t, "", 0, false, "a");
    if (i == 0) HEAR("b", MSG_REQUEST_SUCCESS);
    if (i == 1) HEAR("b", MSG_REQUEST_FAILURE);
    if (i == 2) HEAR("bu", MSG_REQUEST_SUCCESS, 0);
    if (i == 3) HEAR("bu", MSG_REQUEST_SUCCESS, 65536);
    if (i == 4) HEAR("b", MSG_REQUEST_SUCCESS);
    if (i == 5) HEAR("bb", MSG_REQUEST_FAILURE, 0);
    if (i == 6) fake_session_close(t->f);
    RUN_UNTIL(t->e, t->f->killed);
    assert_int_equal(t->replies, i >= 2); /* once, whatever happens */
    assert_false(t->yes);
    if (i == 6)
      finish(t);
    else
      finish_broken(t);
  }
}

static void keepalives_do_not_pile_up(void **state)
{
  conn_test_t *t = begin(state, true);
  for (int i = 0; i < 3 * KEEPALIVES_MAX; i++)
    conn_keepalive(&t->f->s);
  for (int i = 0; i < KEEPALIVES_MAX; i++)
    SAYS("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  SAYS_NOTHING();
  HEAR("b", MSG_REQUEST_FAILURE);
  HEAR("bu", MSG_REQUEST_SUCCESS, 1);
  for (int i = 0; i < 3; i++)
    conn_keepalive(&t->f->s);
  for (int i = 0; i < 2; i++)
    SAYS("bsb", MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1);
  SAYS_NOTHING();
  alk_listen_t what = {.host = ""};
  assert_false(conn_listen(&t->f->s, &what, false, on_reply, NULL));
  HEAR("b", MSG_REQUEST_FAILURE);
  fake_session_close(t->f);
  conn_keepalive(&t->f->s);
  SAYS_NOTHING();
  finish(t);
}

/* the session's end */

static void a_dead_session_says_its_last_words(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[7] = {0};
  for (uint32_t i = 0; i < 5; i++)
    have_open(t, &r[i], i, 100, 100);
  have_open(t, &r[6], 5, 100, 100);
  alk_stream_pause(r[1].s);
  alk_stream_end(r[2].s);
  alk_stream_end(r[4].s);
  settle(t);
  open_one(t, &r[5]);
  HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 6, PEER + 6, 100, 100);
  HEAR("bu", MSG_CHANNEL_EOF, 5); /* only the peer has ended */
  for (uint32_t i = 0; i < 5; i++) {
    if (i == 0) alk_stream_pause(r[i].s);
    hear_data(t, i, "last");
    if (i == 0) alk_stream_resume(r[i].s);
  }
  HEAR("bu", MSG_CHANNEL_EOF, 2); /* has ended both ways */
  HEAR("bu", MSG_CHANNEL_EOF, 3);
  HEAR("bu", MSG_CHANNEL_CLOSE, 3); /* closed by the peer */
  native_fail(&t->f->s, ALK_E_LOST, "the cable is cut");
  RUN_UNTIL(t->e, conn_is_empty(t->f->s.conn));
  assert_string_equal(r[0].log, "odc"); /* resumed just now */
  assert_string_equal(r[1].log, "oc");  /* nobody reads it */
  assert_string_equal(r[2].log, "owdec");
  assert_string_equal(r[3].log, "odec");
  assert_string_equal(r[4].log, "owdc"); /* only we had ended */
  assert_string_equal(r[5].log, "oc");
  assert_string_equal(r[6].log, "oec");
  const bool failed[] = {true, true, false, false, true, true, true};
  for (int i = 0; i < 7; i++) {
    assert_int_equal(r[i].failed, failed[i]);
    if (failed[i]) assert_int_equal(r[i].err.code, ALK_E_LOST);
    if (failed[i]) assert_string_equal(r[i].err.msg, "the cable is cut");
    rec_free(&r[i]);
  }
  finish(t);
}

static void a_session_closes_its_channels(void **state)
{
  conn_test_t *t = begin(state, true);
  rec_t r = {0};
  alk_target_t to = direct;
  to.type = ALK_FORWARDED_TCPIP;
  hear_open(t, 0); /* open */
  t->answer = HOLD;
  hear_open(t, 1); /* not answered */
  rec_own(&r, conn_open(&t->f->s, &to));
  hear_open(t, 2); /* not answered either */
  t->answer = ACCEPT;
  hear_open(t, 3); /* closed by the peer, and answered; not read yet */
  HEAR("bus", MSG_CHANNEL_DATA, 4, "x");
  HEAR("bu", MSG_CHANNEL_CLOSE, 4);
  settle(t);
  alk_buf_free(&t->f->said);
  fake_session_close(t->f);
  conn_accept(t->r[1].s); /* too late */
  conn_refuse(t->r[2].s, ALK_OPEN_SHORTAGE, "too late");
  RUN_UNTIL(t->e, conn_is_empty(t->f->s.conn));
  SAYS("bu", MSG_CHANNEL_CLOSE, PEER);
  SAYS("buuss", MSG_CHANNEL_OPEN_FAILURE, PEER + 1, 1, "closing", "");
  SAYS_NOTHING();
  assert_string_equal(t->r[0].log, "oc");
  assert_string_equal(t->r[1].log, "c");
  assert_string_equal(r.log, "c");
  assert_false(t->r[0].failed || t->r[1].failed || r.failed);
  finish(t);
}

static void open_again(rec_t *r, char ev)
{
  if (ev == 'c' && r->count-- > 0) {
    r->closes = 0;
    memset(r->log, 0, sizeof r->log);
    open_one(cur, r);
  }
}

/* Who opens from inside on_close is answered too, each in its own round. */
static void fail_session(rec_t *r, char ev)
{
  (void) r;
  if (ev == 'e') native_fail(&cur->f->s, ALK_E_LOST, "it broke");
}

/* Once the session is over nobody else has a say. */
static void a_failure_stops_the_service(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r[2] = {0};
  have_open(t, &r[0], 0, 100, 100);
  have_open(t, &r[1], 1, 100, 100);
  r[0].then = fail_session;
  HEAR("bu", MSG_CHANNEL_EOF, 0);
  HEAR("bu", MSG_CHANNEL_CLOSE, 1);
  RUN_UNTIL(t->e, conn_is_empty(t->f->s.conn));
  SAYS_NOTHING();
  assert_string_equal(r[0].log, "oec");
  assert_true(r[0].failed);
  assert_string_equal(r[1].log, "oc");
  assert_int_equal(r[1].err.sys, UV_ECONNRESET); /* the peer had closed it */
  finish(t);
}

static void memory_goes_back(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  static char big[ALK_HIGH_WATER];
  have_open(t, &r, 0, UINT32_MAX, UINT32_MAX);
  for (int i = 0; i < 3; i++) {
    t->f->s.full = true;
    alk_stream_write(r.s, big, sizeof big);
    assert_true(chan_of(r.s)->out->cap >= sizeof big);
    fake_go_on(t->f);
    turns(t->e, 5);
    assert_int_equal(count_data(t), sizeof big);
    assert_null(chan_of(r.s)->out);
  }
  native_wake(&t->f->s);
  turns(t->e, 1);
  assert_null(t->f->s.conn->spare);
  finish(t);
}

static void opens_while_it_closes(void **state)
{
  conn_test_t *t = begin(state, false);
  rec_t r = {0};
  have_open(t, &r, 0, 100, 100);
  r.count = 100;
  r.then = open_again;
  fake_session_close(t->f);
  turns(t->e, 1);
  assert_true(r.count < 100 && r.count > 50);
  RUN_UNTIL(t->e, r.count < 0 && r.closes == 1);
  assert_int_equal(r.err.code, ALK_E_CLOSED);
  finish(t);
}

/* The owner closes from inside each event there is; so does the session. */
static char close_in;
static bool close_session;

static void close_then(rec_t *r, char ev)
{
  if (ev != close_in) return;
  if (close_session)
    fake_session_close(cur->f);
  else
    alk_stream_close(r->s);
}

static void closes_from_inside_events(void **state)
{
  for (int i = 0; i < 2 * 4; i++) {
    conn_test_t *t = begin(state, false);
    rec_t r = {0};
    close_in = "odew"[i / 2];
    close_session = i % 2 == 1;
    r.then = close_then;
    open_one(t, &r);
    alk_stream_resume(r.s);
    alk_stream_write(r.s, "out", 3);
    alk_stream_end(r.s);
    HEAR("buuuu", MSG_CHANNEL_OPEN_CONFIRMATION, 0, PEER, 100, 100);
    hear_data(t, 0, "in");
    HEAR("bu", MSG_CHANNEL_EOF, 0);
    settle(t);
    assert_int_equal(r.closes, 1);
    assert_int_equal(r.log[strlen(r.log) - 1], 'c');
    finish(t);
    rec_free(&r);
  }
}

static void idle_channels_are_small(void **state)
{
  conn_test_t *t = begin(state, true);
  hear_open(t, 0);
  settle(t);
  const chan_t *c = chan_of(t->r[0].s);
  assert_true(sizeof *c <= sizeof(alk_stream_t) + 112);
  assert_true(sizeof(slot_t) <= 16);
  assert_null(c->in);
  assert_null(c->out);
  assert_null(t->f->s.conn->spare);
  finish(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(opens_are_said_and_answered),
    TEST(every_type_has_its_box),
    TEST(opens_that_cannot_be),
    TEST(refusals_are_told),
    TEST(several_are_in_flight),
    TEST(small_packets_are_refused),
    TEST(abandoned_opens),
    TEST(what_answers_no_open),
    TEST(our_limit_holds),
    TEST(numbers_are_used_again_late),
    TEST(opens_of_the_peer),
    TEST(answers_may_be_late),
    TEST(early_writes_wait),
    TEST(wrong_types_are_refused),
    TEST(targets_have_limits),
    TEST(malformed_opens_end_it),
    TEST(the_peers_limit_holds),
    TEST(refused_opens_leave_nothing),
    TEST(data_is_delivered_at_once),
    TEST(the_gates_own_way),
    TEST(a_paused_reader_gets_it_later),
    TEST(a_pause_is_immediate),
    TEST(what_waited_comes_in_turns),
    TEST(unread_bytes_come_first),
    TEST(unread_bytes_come_first_of_many),
    TEST(unread_bytes_outlive_the_close),
    TEST(the_window_is_guarded),
    TEST(windows_grow),
    TEST(malformed_data_ends_it),
    TEST(windows_are_given_back),
    TEST(windows_shrink),
    TEST(memory_is_shared),
    TEST(windows_and_packets_bound_writes),
    TEST(our_packets_have_a_limit_too),
    TEST(writes_are_held_up),
    TEST(a_drain_does_not_overtake),
    TEST(the_end_follows_the_bytes),
    TEST(no_drain_before_the_keys),
    TEST(no_drain_before_there_is_room),
    TEST(writers_take_turns),
    TEST(overflowing_windows_end_it),
    TEST(every_order_of_ends),
    TEST(unread_data_outlives_the_close),
    TEST(a_close_releases_the_writer),
    TEST(closed_channels_keep_nothing),
    TEST(an_end_waits_for_its_reader),
    TEST(a_failure_stops_the_service),
    TEST(memory_goes_back),
    TEST(messages_out_of_place),
    TEST(a_late_window),
    TEST(channel_requests),
    TEST(a_client_asks_for_listeners),
    TEST(requests_that_want_no_reply),
    TEST(requests_that_are_refused_unasked),
    TEST(unanswered_requests_have_a_limit),
    TEST(listening_is_asked_for),
    TEST(listening_is_taken_back),
    TEST(replies_that_nobody_awaits),
    TEST(keepalives_do_not_pile_up),
    TEST(a_dead_session_says_its_last_words),
    TEST(a_session_closes_its_channels),
    TEST(opens_while_it_closes),
    TEST(closes_from_inside_events),
    TEST(idle_channels_are_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
