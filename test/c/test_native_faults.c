/* test_native_faults.c - the native engine when what it stands on fails.
 *
 * A tunnel: login, a channel, bytes there and back while the keys change, an
 * orderly end; both ends native, in one loop, over a socketpair. It is run
 * again and again, and each time the next call of one kind fails
 * (native_faults.h has the kinds), once or from then on, until no call is left
 * that could fail. Each run has to end: each session closes once, each channel
 * too, no handle and no descriptor is left, what was heard is what was said, an
 * end is only heard behind all of it, and nobody is let in without a proof.
 *
 * Then tunnels that may not succeed: the client or the server signs with
 * another key, the server has another host key in a later exchange, or one bit
 * changes on the way. No fault makes them succeed.
 *
 * Only some n are run, at a fixed stride, unless FAULTS=all asks for each. */
#define WATCHDOG_SECONDS 3000

#include <openssl/err.h>

#include "core/uvstream.h"

#include "ssh/key_impl.h"
#include "ssh/native/impl.h"
#include "ssh/native/transport.h"
#include "ssh/ssh.h"

#include "helpers.h"
#include "key_fixtures.h"
#include "native_faults.h"

enum {
  PIECE = 1500,
  TOTAL = 5 * PIECE,
  REKEY_BYTES = 6000,
  IDLE_TURNS = 12,
  FLIPS = 16
};

typedef enum {
  TRUE_KEYS,
  FORGED_LOGIN,
  FORGED_HOST,
  CHANGED_HOST,
  FLIPPED
} story_t;

typedef struct { /* what a tunnel is made of */
  const char *kex, *cipher, *mac;
  const char *host, *user; /* private keys */
} suite_t;

static const suite_t suites[] = {
  {"curve25519-sha256", "aes128-gcm@openssh.com", NULL, fixture_ed25519,
   fixture_ed25519},
  {"ecdh-sha2-nistp256", "chacha20-poly1305@openssh.com", NULL, fixture_p256,
   fixture_rsa},
  {"curve25519-sha256@libssh.org", "aes256-ctr",
   "hmac-sha2-256-etm@openssh.com", fixture_rsa, fixture_p256},
};
enum { SUITES = sizeof suites / sizeof *suites };

typedef struct side side_t;
struct side {
  alk_session_t *s; /* NULL: closed, or never there */
  struct tunnel *t;
  side_t *other;
  alk_stream_t *ch;
  int opened, closed;      /* sessions */
  int channels, ch_closes; /* streams */
  int readies, questions;  /* on_hostkey and on_login, or proven on_auth */
  uint64_t said, heard;    /* bytes of the channel */
  bool got_end, ch_failed, failed;
  alk_err_t err; /* why the session ended, if it failed */
};

typedef struct tunnel {
  env_t *e;
  story_t story;
  side_t client, server;
  unsigned long events;
  bool stuck;
} tunnel_t;

static alk_key_t *host_key, *user_key, *stranger;
static const alk_key_t *forged; /* it signs with the stranger's */
static unsigned long exchanges; /* of this run, both sides counted */
static int readies;
static alk_err_t ends[2]; /* of this run: why the client's session ended, and
                             why the server's */
static alk_buf_t sealed;  /* each packet of this run: u32 length, the packet */

bool __real_alk_key_sign(const alk_key_t *k, const char *algorithm,
                         const uint8_t *data, size_t len, alk_buf_t *out,
                         alk_err_t *err);
bool __wrap_alk_key_sign(const alk_key_t *k, const char *algorithm,
                         const uint8_t *data, size_t len, alk_buf_t *out,
                         alk_err_t *err);
kex_t *__real_kex_new(const kex_method_t *m);
kex_t *__wrap_kex_new(const kex_method_t *m);
bool __real_cipher_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                        const uint8_t *head, size_t head_len,
                        const uint8_t *body, size_t body_len);
bool __wrap_cipher_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                        const uint8_t *head, size_t head_len,
                        const uint8_t *body, size_t body_len);
bool __real_cipher_open(cipher_t *c, uint32_t seq, const uint8_t *in,
                        size_t len, uint8_t *out, size_t *payload_len);
bool __wrap_cipher_open(cipher_t *c, uint32_t seq, const uint8_t *in,
                        size_t len, uint8_t *out, size_t *payload_len);

/* Keys are copied by the engine; the blob tells whose this is. A key of
 * another type than the stranger's signs something else. */
bool __wrap_alk_key_sign(const alk_key_t *k, const char *algorithm,
                         const uint8_t *data, size_t len, alk_buf_t *out,
                         alk_err_t *err)
{
  if (forged == NULL || !alk_key_has_blob(k, alk_buf_head(&forged->blob),
                                          alk_buf_size(&forged->blob)))
    return __real_alk_key_sign(k, algorithm, data, len, out, err);
  if (k->kind == stranger->kind)
    return __real_alk_key_sign(stranger, algorithm, data, len, out, err);
  uint8_t *other = alk_memdup(data, len);
  other[len / 2] ^= 1;
  bool ok = __real_alk_key_sign(k, algorithm, other, len, out, err);
  alk_free(other);
  return ok;
}

kex_t *__wrap_kex_new(const kex_method_t *m)
{
  exchanges++;
  return __real_kex_new(m);
}

bool __wrap_cipher_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                        const uint8_t *head, size_t head_len,
                        const uint8_t *body, size_t body_len)
{
  bool ok = __real_cipher_seal(c, seq, out, head, head_len, body, body_len);
  if (ok && c != NULL)
    alk_buf_str(&sealed, out, cipher_sealed_len(c, head_len + body_len));
  return ok;
}

/* Whatever fails: a packet that is opened is, bit for bit, one that was
 * sealed. */
bool __wrap_cipher_open(cipher_t *c, uint32_t seq, const uint8_t *in,
                        size_t len, uint8_t *out, size_t *payload_len)
{
  bool ok = __real_cipher_open(c, seq, in, len, out, payload_len);
  alk_rd_t r = alk_rd(alk_buf_head(&sealed), alk_buf_size(&sealed));
  bool found = !ok || c == NULL;
  while (!found && r.len > 0) {
    size_t n;
    const uint8_t *p = alk_rd_str(&r, &n);
    found = n == len && memcmp(p, in, len) == 0;
  }
  assert_true(found);
  return ok;
}

/* the channel's two ends */

static void say_piece(side_t *m)
{
  char buf[PIECE];
  fill_pattern(buf, PIECE, m->said);
  m->said += PIECE;
  alk_stream_write(m->ch, buf, PIECE);
}

static void ch_open(alk_stream_t *s)
{
  side_t *m = alk_stream_data(s);
  m->t->events++;
  if (m == &m->t->client) say_piece(m);
}

/* The server says back what it hears, the client answers each piece with the
 * next. */
static void ch_data(alk_stream_t *s, const char *buf, size_t len)
{
  side_t *m = alk_stream_data(s);
  bool client = m == &m->t->client;
  m->t->events++;
  check_pattern(buf, len, m->heard);
  m->heard += len;
  assert_true(m->heard <= m->other->said);
  if (!client) {
    m->said += len;
    alk_stream_write(s, buf, len);
  } else if (m->heard == m->said) {
    if (m->said < TOTAL)
      say_piece(m);
    else
      alk_stream_end(s);
  }
}

static void close_if_over(side_t *m)
{
  if (m->got_end && alk_stream_is(m->ch, ALK_S_FLUSHED))
    alk_stream_close(m->ch);
}

static void ch_end(alk_stream_t *s)
{
  side_t *m = alk_stream_data(s);
  m->t->events++;
  m->got_end = true;
  assert_int_equal(m->heard, TOTAL); /* never a part for the whole */
  if (m == &m->t->server) alk_stream_end(s);
  close_if_over(m);
}

static void ch_drain(alk_stream_t *s)
{
  side_t *m = alk_stream_data(s);
  m->t->events++;
  close_if_over(m);
}

static void ch_close(alk_stream_t *s, const alk_err_t *err)
{
  side_t *m = alk_stream_data(s);
  m->t->events++;
  m->ch_closes++;
  m->ch = NULL;
  m->ch_failed = err != NULL;
  if (m == &m->t->client && m->s != NULL) alk_session_close(m->s);
}

static const alk_owner_t owner = {.on_open = ch_open,
                                  .on_data = ch_data,
                                  .on_end = ch_end,
                                  .on_drain = ch_drain,
                                  .on_close = ch_close};

static void own_channel(side_t *m, alk_stream_t *ch)
{
  assert_int_equal(m->channels, 0);
  m->channels++;
  m->ch = ch;
  alk_stream_own(ch, &owner, m);
  alk_stream_resume(ch);
}

/* the sessions */

static void on_hostkey(alk_session_t *s, const uint8_t *blob, size_t len)
{
  side_t *m = alk_session_data(s);
  m->t->events++;
  m->questions++;
  assert_true(m->t->story != FORGED_HOST); /* it is asked about true ones */
  alk_session_trust(s, alk_key_has_blob(host_key, blob, len));
}

static void on_login(alk_session_t *s)
{
  side_t *m = alk_session_data(s);
  m->t->events++;
  if (++m->questions == 2)
    alk_session_login(s, user_key);
  else
    alk_session_close(s); /* it was refused */
}

static void on_auth(alk_session_t *s, const alk_auth_t *auth)
{
  side_t *m = alk_session_data(s);
  m->t->events++;
  assert_true(auth->proven); /* the client never only asks */
  assert_true(m->t->story != FORGED_LOGIN);
  m->questions++;
  alk_session_admit(s, alk_key_has_blob(user_key, auth->blob, auth->blob_len));
}

/* From its next key exchange on, the server is somebody else, who can prove
 * it. */
static void change_host_key(alk_session_t *s)
{
  transport_t *t = ((session_t *) (void *) s)->transport;
  assert_string_equal(alk_key_type(t->hostkeys[0]), alk_key_type(stranger));
  alk_key_free(t->hostkeys[0]);
  t->hostkeys[0] = alk_key_dup(stranger);
}

static void on_ready(alk_session_t *s)
{
  static const alk_target_t target = {.type = ALK_DIRECT_TCPIP,
                                      .host = "db.example",
                                      .port = 5432,
                                      .origin_host = "192.0.2.7",
                                      .origin_port = 50001};
  side_t *m = alk_session_data(s);
  m->t->events++;
  m->readies++;
  assert_int_equal(m->t->server.questions, 1); /* it was proven */
  if (m->t->story == CHANGED_HOST && m == &m->t->server) change_host_key(s);
  if (m == &m->t->client) own_channel(m, alk_session_open(s, &target));
}

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *target)
{
  side_t *m = alk_session_data(s);
  m->t->events++;
  assert_int_equal(m->readies, 1);
  assert_string_equal(target->host, "db.example");
  assert_int_equal(target->port, 5432);
  own_channel(m, ch);
  alk_channel_accept(ch);
}

static void on_close(alk_session_t *s, const alk_err_t *err)
{
  side_t *m = alk_session_data(s);
  m->t->events++;
  assert_ptr_equal(m->s, s);
  m->s = NULL;
  m->closed++;
  m->failed = err != NULL;
  if (err != NULL) m->err = *err;
}

static const alk_session_events_t events = {.on_hostkey = on_hostkey,
                                            .on_login = on_login,
                                            .on_auth = on_auth,
                                            .on_ready = on_ready,
                                            .on_channel = on_channel,
                                            .on_close = on_close};

static void start(tunnel_t *t, const suite_t *suite)
{
  int fds[2];
  alk_session_opts_t opts = {.user = "tester",
                             .kex = suite->kex,
                             .ciphers = suite->cipher,
                             .macs = suite->mac,
                             .hostkeys = &host_key,
                             .hostkeys_len = 1,
                             .rekey_bytes = REKEY_BYTES};
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  for (int i = 0; i < 2; i++) {
    wires[i].fd = fds[i];
    wires[i].said = 0;
  }
  t->client.t = t->server.t = t;
  t->client.other = &t->server;
  t->server.other = &t->client;
  t->client.s = alk_ssh_client(alk_pipe_open(t->e->l, fds[0]), "native", &opts,
                               &events, &t->client, &(alk_err_t){0});
  t->server.s = alk_ssh_server(alk_pipe_open(t->e->l, fds[1]), "native", &opts,
                               &events, &t->server, &(alk_err_t){0});
  t->client.opened = t->client.s != NULL;
  t->server.opened = t->server.s != NULL;
}

/* One thread and no clock: where nothing has happened for some turns, nothing
 * will. */
static void run_to_the_end(tunnel_t *t)
{
  uint64_t seen = 0;
  int idle = 0;
  while (t->client.s != NULL || t->server.s != NULL) {
    uv_run(&t->e->uv, UV_RUN_NOWAIT);
    uint64_t now = t->events + wires[0].said + wires[1].said;
    idle = now == seen ? idle + 1 : 0;
    seen = now;
    if (idle < IDLE_TURNS) continue;
    assert_false(t->stuck && idle > 10 * IDLE_TURNS);
    t->stuck = true;
    for (int i = 0; i < 2; i++) { /* the second time: at once */
      if (t->client.s != NULL) alk_session_close(t->client.s);
      if (t->server.s != NULL) alk_session_close(t->server.s);
    }
  }
}

static bool is_whole(const side_t *m)
{
  return m->opened == 1 && m->readies == 1 && m->heard == TOTAL && m->got_end &&
         !m->ch_failed;
}

static void check_side(const side_t *m)
{
  assert_int_equal(m->closed, m->opened);
  assert_int_equal(m->ch_closes, m->channels);
  assert_true(m->readies <= m->opened);
}

/* True: all of it went well. */
static bool run(const suite_t *suite, story_t story, bool *stuck)
{
  tunnel_t t = {.e = env_new(), .story = story};
  forged = story == FORGED_LOGIN  ? user_key
           : story == FORGED_HOST ? host_key
                                  : NULL;
  exchanges = 0;
  sealed.off = sealed.len = 0;
  start(&t, suite);
  run_to_the_end(&t);
  env_free(t.e);
  check_side(&t.client);
  check_side(&t.server);
  *stuck = t.stuck;
  bool ok =
    is_whole(&t.client) && is_whole(&t.server) && !t.client.failed && !t.stuck;
  if (story == FORGED_HOST) assert_int_equal(t.client.questions, 0);
  if (story == FORGED_LOGIN) assert_int_equal(t.server.questions, 0);
  readies = t.client.readies + t.server.readies;
  ends[0] = t.client.err;
  ends[1] = t.server.err;
  if (story == FORGED_HOST || story == FORGED_LOGIN)
    assert_true(!ok && readies == 0);
  assert_int_equal(ERR_peek_error(), 0); /* it belongs to the whole thread */
  return ok;
}

static void read_keys(const suite_t *suite)
{
  alk_key_free(host_key);
  alk_key_free(user_key);
  host_key = alk_key_read_private(suite->host, strlen(suite->host), NULL, NULL);
  user_key = alk_key_read_private(suite->user, strlen(suite->user), NULL, NULL);
  assert_true(host_key != NULL && user_key != NULL);
}

static void use(const suite_t *suite)
{
  read_keys(suite);
  stranger = alk_key_generate("ed25519", NULL);
  assert_non_null(stranger);
  wires[0].flip = wires[1].flip = -1;
  fault_set(FAULT_NONE, 0, false);
}

static void use_no_more(void)
{
  alk_key_free(host_key);
  alk_key_free(user_key);
  alk_key_free(stranger);
  host_key = user_key = stranger = NULL;
  alk_buf_free(&sealed);
  forged = NULL;
}

/* what fails */

typedef struct {
  fault_kind_t kind;
  const char *name;
  unsigned long stride; /* unless all are run */
  bool survives;        /* one fault alone need not be noticed */
} way_t;

static const way_t ways[] = {
  {FAULT_MEMORY, "memory", 31, true},
  {FAULT_CALL, "calls: 0 or NULL", 7, false},
  {FAULT_CALL_MINUS, "calls: -1 or NULL", 11, false},
  {FAULT_CALL_DONE, "calls: 0, though done", 9, false},
  {FAULT_ENTROPY, "random bytes", 1, false},
  {FAULT_TRY_WRITE, "uv_try_write", 1, false},
  {FAULT_WRITE, "uv_write", 1, false},
  {FAULT_WRITTEN, "uv_write's end", 1, false},
  {FAULT_SHUTDOWN, "uv_shutdown", 1, true},
  {FAULT_READ, "uv_read_start", 1, false},
  {FAULT_STREAM, "the stream", 1, false},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* FAULTS=all: every n, or every more-th where runs are multiplied. FAULTS=few:
 * for valgrind. */
static unsigned long stride_of(const way_t *w, unsigned long more)
{
  const char *how = getenv("FAULTS");
  if (how != NULL && strcmp(how, "all") == 0) return more;
  return w->stride * more * (how != NULL && strcmp(how, "few") == 0 ? 13 : 1);
}

/* How many runs, until no call is left that could fail. Keys are fresh where
 * memory or randomness fails: OpenSSL 3.0's RSA signs wrongly up to 32 times
 * after it could not renew its blinding. */
static unsigned long each_fault(const suite_t *suite, story_t story,
                                const way_t *w, bool lasting,
                                unsigned long stride)
{
  unsigned long runs = 0, whole = 0, stuck = 0;
  bool reached = true;
  for (unsigned long n = 1; reached; n += stride, runs++) {
    bool stays = false;
    if (w->kind == FAULT_MEMORY || w->kind == FAULT_ENTROPY) read_keys(suite);
    fault_set(w->kind, n, lasting);
    bool ok = run(suite, story, &stays);
    unsigned long calls = fault.calls;
    const char *what = fault.what;
    reached = fault.hits > 0;
    fault_set(FAULT_NONE, 0, false);
    if (!ok && !reached && story == TRUE_KEYS)
      fail_msg("\"%s\": run %lu fails, though no call did", w->name, n);
    whole += ok && reached;
    stuck += stays;
    if (stays && story != FLIPPED)
      fail_msg("call %lu of \"%s\" leaves a session waiting", n, w->name);
    /* The last packets say good-bye: all else is done without them. Of calls
     * that were done, each answer is looked at. */
    bool matters = lasting || w->kind == FAULT_CALL_DONE;
    if (ok && reached && matters && !w->survives && n < calls / 10 * 9)
      fail_msg("\"%s\": call %lu (%s) fails and nobody minds", w->name, n,
               what);
  }
  if (story == TRUE_KEYS)
    print_message("%-22s %s: %5lu runs, %lu of them whole, %lu held\n", w->name,
                  lasting ? "for ever" : "once    ", runs, whole, stuck);
  return runs;
}

static void a_tunnel_works(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  bool stuck;
  use(suite);
  for (int i = 0; i < 2; i++)
    assert_true(run(suite, TRUE_KEYS, &stuck));
  assert_true(exchanges >= 4); /* the first, and a later one: both sides */
  use_no_more();
}

static void every_fault_ends_it(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  use(suite);
  for (size_t i = 0; i < WAYS; i++)
    for (int lasting = 0; lasting < 2; lasting++)
      assert_true(each_fault(suite, TRUE_KEYS, &ways[i], lasting == 1,
                             stride_of(&ways[i], 1)) > 1);
  use_no_more();
}

/* The peer is there and says nothing, so only the write itself can tell. */
static void a_failed_write_is_why_it_ends(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  bool stuck;
  use(suite);
  for (unsigned long n = 1; n <= 8; n++) { /* the greeting, the login, data */
    fault_set(FAULT_WRITE, n, false);
    assert_false(run(suite, TRUE_KEYS, &stuck));
    assert_false(stuck);
    assert_int_equal(fault.hits, 1);
    const alk_err_t *err = ends[0].sys == UV_ENOMEM ? &ends[0] : &ends[1];
    assert_int_equal(err->code, ALK_E_SYS);
    assert_int_equal(err->sys, UV_ENOMEM);
    assert_string_equal(err->msg, "write: not enough memory");
  }
  use_no_more();
}

/* A proof of another key is no proof of this one (RFC 4253 §9 lets the keys be
 * changed, not the server). */
static void the_host_key_stays(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  bool stuck;
  use(suite);
  assert_false(run(suite, CHANGED_HOST, &stuck));
  assert_false(stuck);
  assert_int_equal(readies, 2); /* the first exchange was in order */
  assert_int_equal(exchanges, 4);
  assert_int_equal(ends[0].code, ALK_E_HOSTKEY);
  assert_string_equal(ends[0].msg,
                      "the server's host key changed during the session");
  assert_int_equal(ends[1].code, ALK_E_LOST);
  use_no_more();
}

static void no_fault_helps_a_forger(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  unsigned long runs = 0;
  use(suite);
  for (int story = FORGED_LOGIN; story <= FORGED_HOST; story++)
    for (size_t i = 0; ways[i].kind <= FAULT_ENTROPY; i++)
      runs += each_fault(suite, (story_t) story, &ways[i], false,
                         stride_of(&ways[i], 1));
  print_message("%lu runs with forged signatures\n", runs);
  use_no_more();
}

/* Where the flipped byte stands in what its sender has said. */
typedef enum { BARE, PADDING, SEALED, BEYOND } place_t;

/* Nothing vouches for the random padding of the packets before the first keys;
 * for everything else of them the host key's signature does. */
static place_t place_of(const alk_buf_t *said, size_t at)
{
  const uint8_t *p = alk_buf_head(said);
  size_t size = alk_buf_size(said), begin = 0;
  uint8_t number = 0;
  if (at >= size) return BEYOND;
  while (p[begin++] != '\n')
    ;
  while (number != MSG_NEWKEYS && begin <= at) {
    alk_rd_t r = alk_rd(p + begin, size - begin);
    size_t len = alk_rd_u32(&r), pad = alk_rd_u8(&r), end = begin + 4 + len;
    number = alk_rd_u8(&r);
    assert_false(r.bad);
    if (at >= end - pad && at < end) return PADDING;
    begin = end;
  }
  return at < begin ? BARE : SEALED;
}

/* One tunnel in which a bit of byte `at` of side i changes. */
static place_t run_flipped(const suite_t *suite, int i, size_t at)
{
  alk_buf_t said = {0};
  bool stuck;
  wires[i].flip = (int64_t) at;
  wires[i].copy = &said;
  bool ok = run(suite, FLIPPED, &stuck);
  wires[i].flip = -1;
  wires[i].copy = NULL;
  place_t place = place_of(&said, at);
  alk_buf_free(&said);
  if (fault.kind == FAULT_NONE && (place == PADDING || place == BEYOND))
    assert_true(ok);
  if (place == BARE && (ok || readies > 0))
    fail_msg("byte %zu of side %d may change", at, i);
  return place;
}

static void no_changed_bit_passes(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  unsigned long runs = 0;
  use(suite);
  for (int i = 0; i < 2; i++)
    for (size_t at = 0; run_flipped(suite, i, at) != BEYOND; runs++)
      at += 2 + stride_of(&(way_t){.stride = 15}, 1);
  print_message("%lu runs with a changed bit\n", runs);
  use_no_more();
}

/* The lengths of the ways are found in a run without faults. */
static void no_fault_lets_a_changed_bit_pass(void **state)
{
  const suite_t *suite = ((env_t *) *state)->arg;
  const way_t *w = &ways[1]; /* calls */
  unsigned long runs = 0;
  bool stuck;
  use(suite);
  assert_true(run(suite, TRUE_KEYS, &stuck));
  const size_t len[] = {wires[0].said, wires[1].said};
  for (int i = 0; i < 2; i++)
    for (size_t part = 1; part < FLIPS; part++) {
      bool reached = true;
      for (unsigned long n = 1; reached; n += stride_of(w, 5), runs++) {
        fault_set(w->kind, n, false);
        run_flipped(suite, i, len[i] * part / FLIPS);
        reached = fault.hits > 0;
      }
    }
  fault_set(FAULT_NONE, 0, false);
  print_message("%lu runs with a changed bit and a fault\n", runs);
  use_no_more();
}

#define ROWS(name, suite)                                              \
  TEST_OF(name ": a tunnel works", a_tunnel_works, suite),             \
    TEST_OF(name ": every fault ends it", every_fault_ends_it, suite), \
    TEST_OF(name ": forgers", no_fault_helps_a_forger, suite),         \
    TEST_OF(name ": changed bits", no_changed_bit_passes, suite),      \
    TEST_OF(name ": changed bits and faults",                          \
            no_fault_lets_a_changed_bit_pass, suite)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST_OF("a host key that changes", the_host_key_stays, &suites[0]),
    TEST_OF("a failed write", a_failed_write_is_why_it_ends, &suites[0]),
    ROWS("GCM, X25519, Ed25519", &suites[0]),
    ROWS("ChaCha20, P-256, ECDSA", &suites[1]),
    ROWS("CTR, X25519, RSA", &suites[2]),
  };
  if (!always_reseed()) return 1;
  cmocka_set_test_filter(getenv("FAULT_TESTS")); /* a pattern; NULL: all */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
