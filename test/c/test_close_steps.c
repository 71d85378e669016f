/* test_close_steps.c - whatever runs may be closed at any moment: each scene
 * is run for N = 0..20 turns of the loop and then closed, by its own close()
 * and by alk_loop_close(). Every stream answers once, nothing is left over. */
#include "core/relay.h"

#include "helpers.h"

enum { TURNS_MAX = 20, RECS = 4, PEERS = 4, CHUNK = 64 * 1024 };

/* What a scene may use; what it does not use stays zero. */
typedef struct {
  env_t *e;
  rec_t rec[RECS];
  int recs;
  peer_t peer[PEERS];
  int peers;
  int raw; /* a raw listener, or -1 */
  alk_listener_t *ln;
  int ln_opened, ln_closes;
  alk_relay_t *relay;
  int relays, relay_closes;
} scene_t;

typedef struct {
  const char *name;
  void (*start)(scene_t *sc);
  void (*step)(scene_t *sc);  /* before each turn; may be NULL */
  void (*close)(scene_t *sc); /* instead of alk_loop_close */
} script_t;

static rec_t *add_rec(scene_t *sc, alk_stream_t *s)
{
  assert_true(sc->recs < RECS);
  rec_t *r = &sc->rec[sc->recs++];
  rec_own(r, s);
  return r;
}

static void close_recs(scene_t *sc)
{
  for (int i = 0; i < sc->recs; i++)
    if (sc->rec[i].s != NULL)
      QUIET(&sc->rec[i], alk_stream_close(sc->rec[i].s));
}

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  scene_t *sc = alk_listener_data(ln);
  rec_t *r = add_rec(sc, s);
  QUIET(r, alk_stream_resume(s));
  QUIET(r, alk_stream_write(s, "welcome", 7));
  QUIET(r, alk_stream_end(s));
}

static void on_error(alk_listener_t *ln, const alk_err_t *err)
{
  (void) ln;
  fail_msg("%s", err->msg);
}

static void on_listener_close(alk_listener_t *ln)
{
  scene_t *sc = alk_listener_data(ln);
  sc->ln_closes++;
  sc->ln = NULL;
}

static const alk_listener_events_t listener_events = {
  .on_stream = on_stream,
  .on_error = on_error,
  .on_close = on_listener_close,
};

static uint16_t start_listener(scene_t *sc)
{
  alk_err_t err;
  alk_addr_t at;
  sc->ln = alk_tcp_listen(sc->e->l, "127.0.0.1", 0, &listener_events, sc, &err);
  assert_non_null(sc->ln);
  assert_true(alk_listener_address(sc->ln, &at));
  sc->ln_opened++;
  return at.port;
}

/* Connects with a resumed stream that has something to say, and to end. */
static void start_connect(scene_t *sc)
{
  uint16_t port;
  sc->raw = raw_listen(&port);
  rec_t *r = add_rec(sc, alk_tcp_connect(sc->e->l, "127.0.0.1", port));
  QUIET(r, alk_stream_resume(r->s));
  QUIET(r, alk_stream_write(r->s, "hello", 5));
  QUIET(r, alk_stream_end(r->s));
}

/* The peer accepts, answers and goes, a step at a time. */
static void step_raw_server(scene_t *sc)
{
  peer_t *p = &sc->peer[0];
  if (sc->peers == 0) {
    int flags = fcntl(sc->raw, F_GETFL);
    fcntl(sc->raw, F_SETFL, flags | O_NONBLOCK);
    int fd = accept4(sc->raw, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    peer_init(p, fd);
    sc->peers = 1;
  } else if (!peer_done(p)) {
    peer_read(p, 64);
    if (p->eof) (void) !write(p->fd, "bye", 3);
  } else if (p->fd >= 0) {
    peer_close(p);
  }
}

static void start_refused(scene_t *sc)
{
  rec_t *r = add_rec(sc, alk_tcp_connect(sc->e->l, "127.0.0.1", dead_port()));
  QUIET(r, alk_stream_resume(r->s));
  QUIET(r, alk_stream_write(r->s, "hello", 5));
}

static void start_unix_refused(scene_t *sc)
{
  rec_t *r = add_rec(sc, alk_unix_connect(sc->e->l, "/nowhere/at/all"));
  QUIET(r, alk_stream_resume(r->s));
  QUIET(r, alk_stream_write(r->s, "hello", 5));
}

/* One full write queue, a peer that reads slowly, an end behind it. */
static void start_full(scene_t *sc)
{
  static char chunk[CHUNK];
  sc->peers = 1;
  rec_t *r = &sc->rec[sc->recs++];
  tcp_pair(sc->e, r, &sc->peer[0]);
  bool room = true;
  while (room)
    QUIET(r, room = alk_stream_write(r->s, chunk, sizeof chunk));
  QUIET(r, alk_stream_end(r->s));
}

static void step_slow_reader(scene_t *sc)
{
  peer_read(&sc->peer[0], 4 * CHUNK);
}

/* The peer resets in the middle of a transfer both ways. */
static void start_reset(scene_t *sc)
{
  start_full(sc);
  QUIET(&sc->rec[0], alk_stream_resume(sc->rec[0].s));
}

static void step_reset(scene_t *sc)
{
  peer_t *p = &sc->peer[0];
  if (p->fd < 0) return;
  peer_say(p, "data");
  if (++sc->rec[0].count == 3) peer_reset(p);
}

/* Unread bytes that are unread again each time. */
static void unread_again(rec_t *r, char ev)
{
  if (ev == 'd') QUIET(r, alk_stream_unread(r->s, "again", 5));
  alk_buf_free(&r->data);
}

static void start_unread(scene_t *sc)
{
  sc->peers = 1;
  rec_t *r = &sc->rec[sc->recs++];
  tcp_pair(sc->e, r, &sc->peer[0]);
  r->then = unread_again;
  peer_say(&sc->peer[0], "data");
  QUIET(r, alk_stream_unread(r->s, "unread", 6));
  QUIET(r, alk_stream_resume(r->s));
}

static void start_accept(scene_t *sc)
{
  uint16_t port = start_listener(sc);
  rec_t *r = add_rec(sc, alk_tcp_connect(sc->e->l, "127.0.0.1", port));
  QUIET(r, alk_stream_resume(r->s));
  QUIET(r, alk_stream_write(r->s, "hello", 5));
}

static void close_accepted(scene_t *sc)
{
  close_recs(sc);
  if (sc->ln != NULL) alk_listener_close(sc->ln);
}

static void start_backlog(scene_t *sc)
{
  uint16_t port = start_listener(sc);
  for (sc->peers = 0; sc->peers < PEERS; sc->peers++)
    peer_init(&sc->peer[sc->peers], raw_connect(port));
}

static void close_listener_first(scene_t *sc)
{
  if (sc->ln != NULL) alk_listener_close(sc->ln);
  close_recs(sc);
}

static void on_relay_close(const alk_err_t *err, uint64_t a_to_b,
                           uint64_t b_to_a, void *data)
{
  scene_t *sc = data;
  (void) err;
  (void) a_to_b;
  (void) b_to_a;
  sc->relay_closes++;
  sc->relay = NULL;
}

static void start_relay_of(scene_t *sc, alk_stream_t *a, alk_stream_t *b)
{
  sc->relay = alk_relay(a, b, on_relay_close, sc);
  sc->relays++;
}

/* Two peers that talk through a relay; then one ends, then the other. */
static void start_relay(scene_t *sc)
{
  rec_t a = {0}, b = {0};
  tcp_pair(sc->e, &a, &sc->peer[0]);
  tcp_pair(sc->e, &b, &sc->peer[1]);
  sc->peers = 2;
  start_relay_of(sc, a.s, b.s);
}

static void step_relay(scene_t *sc)
{
  int n = ++sc->rec[0].count; /* no rec is used here: only the counter */
  for (int i = 0; i < 2; i++) {
    static const char chunk[CHUNK];
    peer_t *p = &sc->peer[i];
    peer_read(p, CHUNK);
    if (n < 5 + 5 * i) (void) !write(p->fd, chunk, sizeof chunk);
    if (n == 5 + 5 * i) shutdown(p->fd, SHUT_WR);
  }
}

static void close_relay(scene_t *sc)
{
  if (sc->relay != NULL) alk_relay_close(sc->relay);
  if (sc->relay != NULL) alk_relay_close(sc->relay);
}

/* A relay whose two streams are still connecting, one of them in vain. */
static void start_relay_early(scene_t *sc)
{
  uint16_t port;
  sc->raw = raw_listen(&port);
  start_relay_of(sc, alk_tcp_connect(sc->e->l, "127.0.0.1", port),
                 alk_tcp_connect(sc->e->l, "127.0.0.1", dead_port()));
}

static const script_t scripts[] = {
  {"connect", start_connect, step_raw_server, close_recs},
  {"refused", start_refused, NULL, close_recs},
  {"unix refused", start_unix_refused, NULL, close_recs},
  {"full", start_full, step_slow_reader, close_recs},
  {"reset", start_reset, step_reset, close_recs},
  {"unread", start_unread, NULL, close_recs},
  {"accept", start_accept, NULL, close_accepted},
  {"backlog", start_backlog, NULL, close_listener_first},
  {"relay", start_relay, step_relay, close_relay},
  {"early relay", start_relay_early, NULL, close_relay},
};

static bool all_closed(const scene_t *sc)
{
  for (int i = 0; i < sc->recs; i++)
    if (sc->rec[i].closes != 1) return false;
  return sc->ln_closes == sc->ln_opened && sc->relay_closes == sc->relays;
}

static void run_scene(const script_t *script, int n, bool whole_loop)
{
  scene_t sc = {.e = env_new(), .raw = -1};
  script->start(&sc);
  for (int i = 0; i < n; i++) {
    if (script->step != NULL) script->step(&sc);
    uv_run(&sc.e->uv, UV_RUN_NOWAIT);
  }
  if (whole_loop)
    env_close(sc.e);
  else
    script->close(&sc);
  RUN_UNTIL(sc.e, all_closed(&sc));
  for (int i = 0; i < sc.recs; i++)
    rec_free(&sc.rec[i]);
  for (int i = 0; i < sc.peers; i++)
    peer_close(&sc.peer[i]);
  if (sc.raw >= 0) close(sc.raw);
  env_free(sc.e);
}

static void close_at_every_step(void **state)
{
  env_t *e = *state;
  for (int n = 0; n <= TURNS_MAX; n++) {
    run_scene(e->arg, n, false);
    run_scene(e->arg, n, true);
  }
}

int main(void)
{
  enum { N = sizeof scripts / sizeof scripts[0] };
  struct CMUnitTest tests[N];
  case_t cases[N];
  for (int i = 0; i < N; i++) {
    cases[i] = (case_t){close_at_every_step, &scripts[i]};
    tests[i] = (struct CMUnitTest){scripts[i].name, env_run, env_setup,
                                   env_teardown, &cases[i]};
  }
  return cmocka_run_group_tests_name("close_steps", tests, NULL, NULL);
}
