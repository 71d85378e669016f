/* test_native_packet.c - the packet reader, the gate and what ends a session,
 * seen by a peer who says what it likes: a whole session in each phase
 * (native_known.h). */
#include "ssh/native/impl.h"

#include "helpers.h"
#include "key_fixtures.h"
#include "native_known.h"

typedef struct {
  known_t k;
  alk_err_t err;
  int closes, readies, questions;
  bool failed;
} peer_end_t;

static alk_key_t *key;

static void ask_key(alk_session_t *s, const uint8_t *blob, size_t len)
{
  (void) blob;
  (void) len;
  ((peer_end_t *) alk_session_data(s))->questions++;
}

static void ask(alk_session_t *s)
{
  ((peer_end_t *) alk_session_data(s))->questions++;
}

static void ask_auth(alk_session_t *s, const alk_auth_t *auth)
{
  (void) auth;
  ((peer_end_t *) alk_session_data(s))->questions++;
}

static void ready(alk_session_t *s)
{
  ((peer_end_t *) alk_session_data(s))->readies++;
}

static void closed(alk_session_t *s, const alk_err_t *err)
{
  peer_end_t *p = alk_session_data(s);
  p->closes++;
  p->failed = err != NULL;
  if (err != NULL) p->err = *err;
  p->k.s = NULL;
}

static const alk_session_events_t events = {.on_hostkey = ask_key,
                                            .on_login = ask,
                                            .on_auth = ask_auth,
                                            .on_ready = ready,
                                            .on_close = closed};

/* What has been said so far does not matter. */
static void forget_said(peer_end_t *p)
{
  known_turn(&p->k);
  p->k.f->out.off = p->k.f->out.len;
  p->k.f->sent = 0;
}

static peer_end_t *start(env_t *e, bool server, phase_t phase)
{
  peer_end_t *p = alk_alloc(sizeof *p);
  p->k.uv = &e->uv;
  p->k.loop = e->l;
  known_open(&p->k, server, key, (alk_session_opts_t){0}, &events, p);
  known_put(&p->k, phase, key);
  forget_said(p);
  return p;
}

static void finish(env_t *e, peer_end_t *p)
{
  for (int i = 0; i < 2; i++)
    if (p->k.s != NULL) alk_session_close(&p->k.s->base);
  RUN_UNTIL(e, p->k.s == NULL);
  assert_int_equal(p->closes, 1);
  known_free(&p->k);
  alk_free(p);
}

static void say(peer_end_t *p, const void *payload, size_t len)
{
  known_say(&p->k, payload, len);
  known_turn(&p->k);
}

static bool is_over(const peer_end_t *p)
{
  return p->k.s == NULL || native_is_over(p->k.s);
}

/* Waits for the end and looks why it came. */
static void assert_ends(env_t *e, peer_end_t *p, alk_code_t code,
                        const char *why)
{
  RUN_UNTIL(e, p->k.s == NULL);
  assert_true(p->failed);
  assert_int_equal(p->err.code, code);
  if (strstr(p->err.msg, why) == NULL)
    fail_msg("\"%s\" is not \"%s\"", p->err.msg, why);
  finish(e, p);
}

/* The next packet that was sent in the clear; its payload. */
static alk_rd_t said(peer_end_t *p)
{
  alk_rd_t r = alk_rd(alk_buf_head(&p->k.f->out), alk_buf_size(&p->k.f->out));
  size_t len = alk_rd_u32(&r), pad = alk_rd_u8(&r);
  assert_false(r.bad);
  assert_true(len > pad + 1 && len <= r.len + 1);
  alk_buf_consume(&p->k.f->out, 4 + len);
  p->k.f->sent = alk_buf_size(&p->k.f->out);
  r.len = len - 1 - pad;
  return r;
}

/* RFC 4250 §4.1: which numbers mean something, and which may come when. */
static bool among(uint8_t number, const char *list)
{
  for (const char *p = list; *p != '\0'; p++) {
    char *end;
    long from = strtol(p, &end, 10);
    long to = *end == '-' ? strtol(end + 1, &end, 10) : from;
    if (number >= from && number <= to) return true;
    if (*end == '\0') return false;
    p = end;
  }
  return false;
}

static bool may_come(uint8_t number, bool server, phase_t phase)
{
  if (among(number, "1-4,20")) return true;
  if (phase == PHASE_SERVICE) return among(number, server ? "5" : "6-7");
  if (phase == PHASE_AUTH) return among(number, server ? "50" : "7,51-53,60");
  return phase == PHASE_OPEN && among(number, "80-82,90-100");
}

static void one_number(env_t *e, uint8_t number, bool server, phase_t phase)
{
  peer_end_t *p = start(e, server, phase);
  bool known = among(number, "1-7,20-21,30-31,50-53,60,80-82,90-100");
  if (!server && phase == PHASE_AUTH) { /* or it waits for its owner */
    alk_session_login(&p->k.s->base, key);
    forget_said(p);
  }
  uint32_t seq = p->k.seq;
  say(p, &number, 1);
  if (!known && phase != PHASE_KEX) {
    assert_false(is_over(p));
    alk_rd_t r = said(p);
    assert_int_equal(alk_rd_u8(&r), MSG_UNIMPLEMENTED);
    assert_int_equal(alk_rd_u32(&r), seq);
    assert_true(alk_rd_done(&r));
    finish(e, p);
  } else if (!known) {
    assert_ends(e, p, ALK_E_PROTO, "unknown message");
  } else if (!may_come(number, server, phase)) {
    assert_ends(e, p, ALK_E_PROTO, "where it may not come");
  } else if (is_over(p) && number != MSG_USERAUTH_SUCCESS &&
             number != MSG_USERAUTH_PK_OK && number != MSG_REQUEST_SUCCESS &&
             number != MSG_REQUEST_FAILURE) {
    assert_ends(e, p, ALK_E_PROTO, "malformed");
  } else {
    assert_int_equal(p->readies, phase == PHASE_OPEN ||
                                   (number == MSG_USERAUTH_SUCCESS && !server));
    finish(e, p);
  }
}

/* Each number, alone, in each phase, to both roles. */
static void every_number(void **state)
{
  for (int server = 0; server < 2; server++)
    for (phase_t phase = PHASE_KEX; phase <= PHASE_OPEN; phase++)
      for (int number = 0; number < 256; number++)
        one_number(*state, (uint8_t) number, server == 1, phase);
}

static void small_talk(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  say(p, "\2\0\0\0\1x", 6);            /* IGNORE */
  say(p, "\2", 1);                     /* nothing in it */
  say(p, "\3\0\0\0\1", 5);             /* UNIMPLEMENTED */
  say(p, "\4\1\0\0\0\1x\0\0\0\0", 11); /* DEBUG */
  assert_false(is_over(p));
  assert_int_equal(alk_buf_size(&p->k.f->out), 0);
  say(p, "\1\0\0\0\13\0\0\0\3b\1e\0\0\0\0", 16); /* DISCONNECT */
  assert_ends(*state, p, ALK_E_LOST, "b?e");
}

static void too_much_before_keys(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_KEX);
  for (int i = 0; i < 64; i++) {
    assert_false(is_over(p));
    say(p, "\2", 1);
  }
  assert_false(is_over(p));
  say(p, "\2", 1);
  assert_ends(*state, p, ALK_E_PROTO, "too many packets");
}

typedef struct {
  const char *kex, *hostkeys, *compression;
  uint8_t guesses;
} init_t;

#define STRICT         ",kex-strict-c-v00@openssh.com"
#define GROUP_EXCHANGE "diffie-hellman-group-exchange-sha256"

static void say_init(peer_end_t *p, init_t i)
{
  static const uint8_t cookie[16];
  const char *lists[] = {i.kex == NULL ? "curve25519-sha256" : i.kex,
                         i.hostkeys == NULL ? "ssh-ed25519" : i.hostkeys,
                         "aes128-ctr",
                         "aes128-ctr",
                         "hmac-sha2-256-etm@openssh.com",
                         "hmac-sha2-256-etm@openssh.com",
                         i.compression == NULL ? "none" : i.compression,
                         "none",
                         "",
                         ""};
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_KEXINIT);
  alk_buf_add(&m, cookie, sizeof cookie);
  for (int n = 0; n < 10; n++)
    alk_buf_cstr(&m, lists[n]);
  alk_buf_u8(&m, i.guesses);
  alk_buf_u32(&m, 0);
  say(p, alk_buf_head(&m), alk_buf_size(&m));
  alk_buf_free(&m);
}

static void nothing_in_common(void **state)
{
  const struct {
    init_t init;
    const char *why;
  } cases[] = {
    {{.kex = "diffie-hellman-group1-sha1"}, "key exchange"},
    {{.kex = "kex-strict-c-v00@openssh.com"}, "key exchange"},
    {{.hostkeys = "ssh-dss"}, "host key algorithm"},
    {{.compression = "zlib"}, "compression"},
    {{.kex = ""}, "key exchange"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    peer_end_t *p = start(*state, true, PHASE_KEX);
    say_init(p, cases[i].init);
    assert_ends(*state, p, ALK_E_KEX, cases[i].why);
  }
}

static void strictness(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_KEX);
  say(p, "\2", 1);
  say_init(p, (init_t){.kex = "curve25519-sha256" STRICT});
  assert_ends(*state, p, ALK_E_PROTO, "not the first packet");
  p = start(*state, true, PHASE_KEX);
  say_init(p, (init_t){.kex = "curve25519-sha256" STRICT});
  say(p, "\2", 1);
  assert_ends(*state, p, ALK_E_PROTO, "where it may not come");
  p = start(*state, true, PHASE_KEX); /* without: it may */
  say(p, "\2", 1);
  say_init(p, (init_t){0});
  say(p, "\2", 1);
  assert_false(is_over(p));
  finish(*state, p);
}

/* A wrong guess is skipped, a right one is taken. */
static void guesses(void **state)
{
  static const uint8_t init[37] = {MSG_KEX_INIT, 0, 0, 0, 32, 9};
  const struct {
    init_t init;
    uint8_t wrong[2]; /* its message; none: the guess is right */
  } cases[] = {
    {{.kex = "sntrup761x25519-sha512,curve25519-sha256", .guesses = 1},
     {MSG_KEX_INIT, '?'}},
    {{.kex = GROUP_EXCHANGE ",curve25519-sha256", .guesses = 1}, {34, '?'}},
    {{.hostkeys = "rsa-sha2-512,ssh-ed25519", .guesses = 1},
     {MSG_KEX_INIT, '?'}},
    {{.guesses = 1}, {0}},
    {{.guesses = 0}, {0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    peer_end_t *p = start(*state, true, PHASE_KEX);
    say_init(p, cases[i].init);
    if (cases[i].wrong[0] != 0) {
      say(p, cases[i].wrong, sizeof cases[i].wrong);
      assert_int_equal(alk_buf_size(&p->k.f->out), 0);
    }
    say(p, init, sizeof init);
    assert_false(is_over(p));
    alk_rd_t r = said(p);
    assert_int_equal(alk_rd_u8(&r), MSG_KEX_REPLY);
    finish(*state, p);
  }
}

/* One message, of a method's own numbers: nothing else passes for a guess. */
static void what_is_no_guess(void **state)
{
  const init_t wrong = {.kex = GROUP_EXCHANGE ",curve25519-sha256",
                        .guesses = 1};
  peer_end_t *p = start(*state, true, PHASE_KEX);
  say_init(p, wrong);
  say(p, "\x32?", 2);
  assert_ends(*state, p, ALK_E_PROTO, "where it may not come");
  p = start(*state, true, PHASE_KEX);
  say_init(p, wrong);
  say(p, "\x22?", 2);
  assert_false(is_over(p));
  say(p, "\x22?", 2);
  assert_ends(*state, p, ALK_E_PROTO, "unknown message");
  p = start(*state, false, PHASE_KEX); /* of a server that would begin */
  say_init(p,
           (init_t){.kex = "rsa2048-sha256,curve25519-sha256", .guesses = 1});
  say(p, "\x1e?", 2);
  assert_false(is_over(p));
  say(p, "\x1e?", 2);
  assert_ends(*state, p, ALK_E_PROTO, "where it may not come");
}

static void lines_before_packets(void **state)
{
  static const char *const bad[] = {"SSH-1.5-old\r\n", "GET / HTTP/1.1\r\n",
                                    "SSH-2.0\r\n", "\n"};
  char line[300];
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    peer_end_t *p = start(*state, true, PHASE_IDENT);
    fake_feed(p->k.f, bad[i], strlen(bad[i]));
    known_turn(&p->k);
    assert_ends(*state, p, ALK_E_PROTO, "does not speak SSH 2");
  }
  memset(line, 'x', sizeof line);
  peer_end_t *p = start(*state, false, PHASE_IDENT);
  fake_feed(p->k.f, line, 254);
  known_turn(&p->k);
  assert_false(is_over(p));
  fake_feed(p->k.f, line, 1);
  assert_ends(*state, p, ALK_E_PROTO, "too long");
  p = start(*state, false, PHASE_IDENT); /* a server may talk, for a while */
  for (int i = 0; i <= 64; i++) {
    assert_false(is_over(p));
    fake_feed(p->k.f, "hello\r\n", 7);
    known_turn(&p->k);
  }
  assert_ends(*state, p, ALK_E_PROTO, "no identification line");
}

static void limits_in_time(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_KEX);
  known_strike(&p->k);
  assert_ends(*state, p, ALK_E_TIMEOUT, "login took too long");
  p = start(*state, false, PHASE_AUTH); /* our own owner thinks */
  assert_int_equal(p->questions, 1);
  known_strike(&p->k);
  assert_false(is_over(p));
  alk_session_login(&p->k.s->base, key);
  known_strike(&p->k);
  assert_ends(*state, p, ALK_E_TIMEOUT, "login took too long");
  p = start(*state, true, PHASE_OPEN);
  known_strike(&p->k); /* new keys are due */
  known_turn(&p->k);
  alk_rd_t r = said(p);
  assert_int_equal(alk_rd_u8(&r), MSG_KEXINIT);
  known_strike(&p->k); /* and the peer does not want any */
  assert_ends(*state, p, ALK_E_TIMEOUT, "key exchange took too long");
}

/* When the time that the session waits for is over. */
static uint64_t limit_at(const peer_end_t *p)
{
  return uv_now(p->k.uv) + uv_timer_get_due_in(&p->k.s->timer);
}

/* A key exchange of theirs, as if it had been carried through. */
static void exchange(peer_end_t *p)
{
  transport_t *t = p->k.s->transport;
  say_init(p, (init_t){0});
  if (is_over(p)) return;
  assert_int_equal(t->stage, KEX_EXCHANGE);
  exchange_forget(t);
  t->init_sent = false;
  t->stage = KEX_IDLE;
}

/* They give nobody more time for the login, and nobody has many of them. */
static void new_keys_before_the_login(void **state)
{
  const struct {
    bool server;
    phase_t phase;
  } cases[] = {
    {true, PHASE_SERVICE}, {true, PHASE_AUTH}, {false, PHASE_SERVICE}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    peer_end_t *p = start(*state, cases[i].server, cases[i].phase);
    uint64_t at = limit_at(p);
    for (int n = 0; n < EARLY_EXCHANGES_MAX; n++) {
      exchange(p);
      assert_false(is_over(p));
      assert_int_equal(limit_at(p), at);
    }
    exchange(p);
    assert_ends(*state, p, ALK_E_PROTO, "too many key exchanges");
  }
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  for (int n = 0; n < 2 * EARLY_EXCHANGES_MAX; n++)
    exchange(p);
  assert_false(is_over(p));
  finish(*state, p);
}

/* Many requests that have to be answered, until it is too much. */
static void ask_much(peer_end_t *p)
{
  static const uint8_t request[] = {MSG_GLOBAL_REQUEST, 0, 0, 0, 1, 'k', 1};
  size_t len = cipher_sealed_len(NULL, sizeof request);
  alk_buf_t many = {0};
  for (int i = 0; i < 1000; i++) {
    assert_true(cipher_seal(NULL, 0, alk_buf_reserve(&many, len), request,
                            sizeof request, NULL, 0));
    alk_buf_commit(&many, len);
  }
  int rounds = 0;
  for (; !is_over(p); rounds++) {
    assert_true(rounds < 1000);
    assert_true(alk_buf_size(&p->k.s->out) < 2 * CONTROL_MAX);
    fake_feed(p->k.f, alk_buf_head(&many), alk_buf_size(&many));
    known_turn(&p->k);
  }
  assert_true(rounds > 10);
  alk_buf_free(&many);
}

static void a_peer_that_does_not_read(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  p->k.f->full = true;
  p->k.s->full = true;
  ask_much(p);
  fake_drain(p->k.f);
  assert_ends(*state, p, ALK_E_LIMIT, "reads nothing");
  p = start(*state, true, PHASE_OPEN); /* nor lets the last words leave */
  p->k.f->full = true;
  say(p, "\xc8", 1);
  alk_session_close(&p->k.s->base);
  known_turn(&p->k);
  assert_non_null(p->k.s);
  known_strike(&p->k);
  finish(*state, p);
}

static void a_peer_that_changes_no_keys(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  transport_rekey(p->k.s);
  ask_much(p);
  assert_ends(*state, p, ALK_E_LIMIT, "does not change the keys");
}

static void changed_packets(void **state)
{
  static const char *const ciphers[][2] = {
    {"aes128-gcm@openssh.com", NULL},
    {"chacha20-poly1305@openssh.com", NULL},
    {"aes256-ctr", "hmac-sha2-512-etm@openssh.com"},
  };
  for (size_t i = 0; i < 3; i++)
    for (size_t at = 0; at < 32; at += 5) {
      peer_end_t *p = start(*state, true, PHASE_OPEN);
      uint8_t packet[128];
      p->k.cipher = ciphers[i][0];
      p->k.mac = ciphers[i][1];
      known_keys(&p->k);
      say(p, "\2good", 5);
      assert_false(is_over(p));
      size_t len = cipher_sealed_len(p->k.seal, 5);
      assert_true(cipher_seal(p->k.seal, p->k.seq++, packet,
                              (const uint8_t *) "\2good", 5, NULL, 0));
      assert_true(4 + at < len);
      packet[4 + at] ^= 4;
      fake_feed(p->k.f, packet, len);
      known_turn(&p->k);
      assert_ends(*state, p, ALK_E_PROTO, "damaged or forged");
    }
}

static void wrong_lengths(void **state)
{
  static const uint32_t lengths[] = {0,     1,     11,         13,
                                     35001, 35004, 0x7fffffff, 0xffffffff};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    peer_end_t *p = start(*state, true, PHASE_OPEN);
    alk_buf_t m = {0};
    alk_buf_u32(&m, lengths[i]);
    fake_feed(p->k.f, alk_buf_head(&m), 4);
    alk_buf_free(&m);
    known_turn(&p->k);
    assert_ends(*state, p, ALK_E_PROTO, "wrong length");
  }
}

/* A packet is a packet, however it is cut. */
static void byte_by_byte(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  uint8_t packet[64];
  size_t len = cipher_sealed_len(NULL, 1);
  for (uint8_t number = 200; number < 203; number++) {
    assert_true(cipher_seal(NULL, 0, packet, &number, 1, NULL, 0));
    fake_feed_bytes(p->k.f, packet, len);
  }
  for (int i = 0; i < 60; i++)
    known_turn(&p->k);
  for (int i = 0; i < 3; i++) {
    alk_rd_t r = said(p);
    assert_int_equal(alk_rd_u8(&r), MSG_UNIMPLEMENTED);
  }
  finish(*state, p);
}

static void the_transport_ends(void **state)
{
  peer_end_t *p = start(*state, true, PHASE_OPEN);
  fake_fail(p->k.f, UV_ECONNRESET);
  assert_ends(*state, p, ALK_E_SYS, "read");
  p = start(*state, true, PHASE_OPEN);
  fake_feed_end(p->k.f);
  assert_ends(*state, p, ALK_E_LOST, "closed the connection");
  p = start(*state, true, PHASE_KEX);
  fake_feed_end(p->k.f);
  assert_ends(*state, p, ALK_E_PROTO, "before the key exchange");
  p = start(*state, true, PHASE_OPEN);
  alk_stream_close(p->k.s->stream); /* as the loop's end does */
  assert_ends(*state, p, ALK_E_LOST, "transport was closed");
}

static void options(void **state)
{
  env_t *e = *state;
  alk_key_t *keys[9];
  alk_err_t err = {0};
  for (int i = 0; i < 9; i++)
    keys[i] = key;
  const struct {
    alk_session_opts_t opts;
    const char *why;
  } cases[] = {
    {{.hostkeys = keys, .hostkeys_len = 9}, "host keys"},
    {{.hostkeys = keys,
      .hostkeys_len = 1,
      .hostkey_algorithms = "rsa-sha2-512"},
     "nothing is left"},
    {{.hostkeys = keys, .hostkeys_len = 1, .kex = "sntrup"}, "kex: sntrup"},
    {{.hostkeys = keys, .hostkeys_len = 1, .macs = ""}, "macs"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fake_t *f = fake_stream_new(e->l);
    assert_null(
      alk_ssh_server(f->s, "native", &cases[i].opts, &events, NULL, &err));
    assert_int_equal(err.code, ALK_E_OPTION);
    assert_non_null(strstr(err.msg, cases[i].why));
    RUN_UNTIL(e, f->s == NULL);
    fake_free(f);
  }
}

static void forwards_and_references(void **state)
{
  static const alk_listen_t what = {.host = "localhost", .port = 8080};
  peer_end_t *p = start(*state, false, PHASE_AUTH);
  assert_false(alk_session_listen(&p->k.s->base, &what, NULL, NULL));
  finish(*state, p);
  p = start(*state, false, PHASE_OPEN);
  alk_session_ref(&p->k.s->base, false);
  alk_session_ref(&p->k.s->base, true);
  finish(*state, p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(every_number),
    TEST(small_talk),
    TEST(too_much_before_keys),
    TEST(nothing_in_common),
    TEST(strictness),
    TEST(guesses),
    TEST(what_is_no_guess),
    TEST(lines_before_packets),
    TEST(limits_in_time),
    TEST(new_keys_before_the_login),
    TEST(a_peer_that_does_not_read),
    TEST(a_peer_that_changes_no_keys),
    TEST(changed_packets),
    TEST(wrong_lengths),
    TEST(byte_by_byte),
    TEST(the_transport_ends),
    TEST(options),
    TEST(forwards_and_references),
  };
  key =
    alk_key_read_private(fixture_ed25519, strlen(fixture_ed25519), NULL, NULL);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  alk_key_free(key);
  return failed;
}
