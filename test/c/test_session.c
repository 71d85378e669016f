/* test_session.c - ssh.h, whatever the engine: both ends of a session in one
 * loop, joined by a socketpair, so that each test sees both sides. The engine
 * pairs are rows of a table at the end. */
#include "core/uvstream.h"

#include "ssh/engine_info.h"
#include "ssh/ssh.h"

#include "helpers.h"

enum { CHUNK = 32768, MANY = 50 };

typedef struct { /* the engines of one run */
  const char *client, *server;
} pair_t;

typedef struct end end_t;
struct end {
  alk_session_t *s; /* NULL: closed */
  int hostkeys, logins, auths, readies, channels, closes;
  bool failed;
  alk_err_t err;
  end_t *other;
  struct both *both;
};

typedef struct both {
  env_t *e;
  end_t client, server;
  alk_key_t *host_key, *user_key, *other_key;
  bool distrust;         /* the client's answer to the host key */
  int refuse_first;      /* logins that offer the wrong key */
  bool hold_channels;    /* the server leaves opens unanswered */
  alk_open_reason_t why; /* 0: accept */
  rec_t at_server[MANY]; /* the server's ends of channels, in order */
  char host[256], origin[256];
  uint16_t port, origin_port;
  bool proven_only;
} both_t;

static both_t *both_of(alk_session_t *s)
{
  return ((end_t *) alk_session_data(s))->both;
}

static void on_hostkey(alk_session_t *s, const uint8_t *blob, size_t len)
{
  both_t *b = both_of(s);
  size_t want_len;
  const uint8_t *want = alk_key_blob(b->host_key, &want_len);
  b->client.hostkeys++;
  assert_int_equal(len, want_len);
  assert_memory_equal(blob, want, len);
  alk_session_trust(s, !b->distrust);
}

static void on_login(alk_session_t *s)
{
  both_t *b = both_of(s);
  bool wrong = b->client.logins++ < b->refuse_first;
  alk_session_login(s, wrong ? b->other_key : b->user_key);
}

static void on_auth(alk_session_t *s, const alk_auth_t *auth)
{
  both_t *b = both_of(s);
  size_t len;
  const uint8_t *want = alk_key_blob(b->user_key, &len);
  b->server.auths++;
  assert_string_equal(auth->user, "tester");
  assert_string_equal(auth->algorithm, "ssh-ed25519");
  alk_session_admit(s, auth->blob_len == len &&
                         memcmp(auth->blob, want, len) == 0);
}

static void on_ready(alk_session_t *s)
{
  ((end_t *) alk_session_data(s))->readies++;
}

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *t)
{
  both_t *b = both_of(s);
  snprintf(b->host, sizeof b->host, "%s", t->host);
  snprintf(b->origin, sizeof b->origin, "%s", t->origin_host);
  b->port = t->port;
  b->origin_port = t->origin_port;
  assert_int_equal(t->type, ALK_DIRECT_TCPIP);
  assert_true(b->server.channels < MANY);
  rec_own(&b->at_server[b->server.channels++], ch);
  if (b->hold_channels) return;
  if (b->why == 0)
    alk_channel_accept(ch);
  else
    alk_channel_refuse(ch, b->why, "Connection refused");
}

static void on_close(alk_session_t *s, const alk_err_t *err)
{
  end_t *end = alk_session_data(s);
  assert_ptr_equal(end->s, s);
  end->s = NULL;
  end->closes++;
  end->failed = err != NULL;
  if (err != NULL) end->err = *err;
}

static const alk_session_events_t events = {
  .on_hostkey = on_hostkey,
  .on_login = on_login,
  .on_auth = on_auth,
  .on_ready = on_ready,
  .on_channel = on_channel,
  .on_close = on_close,
};

static alk_key_t *new_key(const char *type)
{
  alk_key_t *k = alk_key_generate(type, NULL);
  assert_non_null(k);
  return k;
}

static both_t *both_new(env_t *e)
{
  both_t *b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->e = e;
  b->client.both = b->server.both = b;
  b->host_key = new_key("ed25519");
  b->user_key = new_key("ed25519");
  b->other_key = new_key("ed25519");
  /* Making keys took long, under valgrind half a minute. */
  uv_update_time(&e->uv);
  return b;
}

static void both_free(both_t *b)
{
  for (int i = 0; i < MANY; i++)
    rec_free(&b->at_server[i]);
  alk_key_free(b->host_key);
  alk_key_free(b->user_key);
  alk_key_free(b->other_key);
  free(b);
}

/* The server runs on the loop of at, which may be another than the client's. */
static void both_start_at(both_t *b, env_t *at, alk_session_opts_t opts)
{
  const pair_t *pair = b->e->arg;
  int fds[2];
  alk_err_t err;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  alk_stream_t *c = alk_pipe_open(b->e->l, fds[0]);
  alk_stream_t *s = alk_pipe_open(at->l, fds[1]);
  opts.user = "tester";
  opts.hostkeys = &b->host_key;
  opts.hostkeys_len = 1;
  b->client.s =
    alk_ssh_client(c, pair->client, &opts, &events, &b->client, &err);
  b->server.s =
    alk_ssh_server(s, pair->server, &opts, &events, &b->server, &err);
  assert_true(b->client.s != NULL && b->server.s != NULL);
}

static void both_start(both_t *b, alk_session_opts_t opts)
{
  both_start_at(b, b->e, opts);
}

static both_t *both_ready(env_t *e, alk_session_opts_t opts)
{
  both_t *b = both_new(e);
  both_start(b, opts);
  RUN_UNTIL(e, b->client.readies == 1 && b->server.readies == 1);
  return b;
}

static void both_close(both_t *b)
{
  if (b->client.s != NULL) alk_session_close(b->client.s);
  RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
  both_free(b);
}

static const alk_target_t target = {
  .type = ALK_DIRECT_TCPIP,
  .host = "db.example",
  .port = 5432,
  .origin_host = "192.0.2.7",
  .origin_port = 50001,
};

/* An open channel: r at the client, b->at_server[i] at the server. */
static rec_t *open_one(both_t *b, rec_t *r)
{
  int i = b->server.channels;
  rec_own(r, alk_session_open(b->client.s, &target));
  RUN_UNTIL(b->e, r->opens == 1 && b->at_server[i].opens == 1);
  alk_stream_resume(r->s);
  alk_stream_resume(b->at_server[i].s);
  return &b->at_server[i];
}

static void login_works(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  alk_session_info_t info;
  assert_int_equal(b->client.hostkeys, 1);
  assert_int_equal(b->client.logins, 1);
  assert_true(b->server.auths >= 1);
  alk_session_info(b->client.s, &info);
  assert_int_equal(strncmp(info.peer, "SSH-2.0-", 8), 0);
  assert_string_not_equal(info.kex, "");
  assert_string_not_equal(info.cipher_out, "");
  assert_true(alk_session_received(b->server.s) > 0);
  both_close(b);
}

/* One session; its server has key and offers algorithms, its client all. */
static void assert_hostkey(env_t *e, alk_key_t *key, const char *algorithms,
                           const char *expected)
{
  const pair_t *pair = e->arg;
  both_t *b = both_new(e);
  alk_session_info_t info;
  alk_err_t err;
  int fds[2];
  alk_key_free(b->host_key);
  b->host_key = key;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  alk_session_opts_t opts = {.user = "tester"};
  b->client.s = alk_ssh_client(alk_pipe_open(e->l, fds[0]), pair->client, &opts,
                               &events, &b->client, &err);
  opts = (alk_session_opts_t){.hostkeys = &b->host_key,
                              .hostkeys_len = 1,
                              .hostkey_algorithms = algorithms};
  b->server.s = alk_ssh_server(alk_pipe_open(e->l, fds[1]), pair->server, &opts,
                               &events, &b->server, &err);
  RUN_UNTIL(e, b->client.readies == 1 && b->server.readies == 1);
  alk_session_info(b->client.s, &info);
  assert_string_equal(info.hostkey, expected);
  alk_session_info(b->server.s, &info);
  assert_string_equal(info.hostkey, expected);
  b->host_key = NULL;
  both_close(b);
}

static void info_names_the_host_key(void **state)
{
  alk_key_t *ed25519 = new_key("ed25519"), *ecdsa = new_key("ecdsa");
  alk_key_t *rsa = new_key("rsa");
  assert_hostkey(*state, ed25519, NULL, "ssh-ed25519");
  assert_hostkey(*state, ecdsa, NULL, "ecdsa-sha2-nistp256");
  assert_hostkey(*state, rsa, NULL, "rsa-sha2-512");
  assert_hostkey(*state, rsa, "ssh-ed25519,rsa-sha2-256", "rsa-sha2-256");
  assert_hostkey(*state, rsa, "rsa-sha2-256,rsa-sha2-512", "rsa-sha2-512");
  alk_key_free(ed25519);
  alk_key_free(ecdsa);
  alk_key_free(rsa);
}

static void close_is_clean_for_who_asks(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  alk_session_close(b->client.s);
  assert_int_equal(b->client.closes, 0); /* law 1 */
  RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
  assert_false(b->client.failed);
  assert_int_equal(b->client.closes, 1);
  assert_int_equal(b->server.closes, 1);
  both_free(b);
}

/* RFC 4253 §11.1: also right behind a channel's last packet. */
static void close_says_good_bye(void **state)
{
  for (int channels = 0; channels < 3; channels++)
    for (int who = 0; who < 2; who++) {
      both_t *b = both_ready(*state, (alk_session_opts_t){0});
      rec_t r[2] = {0};
      for (int i = 0; i < channels; i++)
        open_one(b, &r[i]);
      alk_session_close(who == 0 ? b->client.s : b->server.s);
      RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
      end_t *other = who == 0 ? &b->server : &b->client;
      assert_true(other->failed);
      assert_int_equal(other->err.code, ALK_E_LOST);
      assert_int_equal(other->err.reason, ALK_BYE_BY_APPLICATION);
      assert_non_null(strstr(other->err.msg, "the peer disconnected: closed"));
      for (int i = 0; i < channels; i++)
        rec_free(&r[i]);
      both_free(b);
    }
}

/* Whatever the words are, and whoever says them. Once: to close a second time
 * is to close at once. */
static void close_says_why(void **state)
{
  char words[200];
  memset(words, 'w', sizeof words - 1);
  words[sizeof words - 1] = '\0';
  for (int who = 0; who < 2; who++) {
    both_t *b = both_ready(*state, (alk_session_opts_t){0});
    alk_session_t *s = who == 0 ? b->client.s : b->server.s;
    alk_session_bye(s, 12, words);
    RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
    end_t *other = who == 0 ? &b->server : &b->client;
    assert_int_equal(other->err.code, ALK_E_LOST);
    assert_int_equal(other->err.reason, 12);
    const char *heard = strstr(other->err.msg, "the peer disconnected: www");
    assert_non_null(heard);
    /* Who hears them may cut them, too. */
    size_t len = strspn(strchr(heard, 'w'), "w");
    assert_true(len >= 100 && len <= 127);
    both_free(b);
  }
}

static void a_refused_key_can_be_followed(void **state)
{
  both_t *b = both_new(*state);
  b->refuse_first = 3;
  both_start(b, (alk_session_opts_t){0});
  RUN_UNTIL(b->e, b->client.readies == 1 && b->server.readies == 1);
  assert_int_equal(b->client.logins, 4);
  both_close(b);
}

static void an_untrusted_host_ends_it(void **state)
{
  both_t *b = both_new(*state);
  b->distrust = true;
  both_start(b, (alk_session_opts_t){0});
  RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
  assert_true(b->client.failed && b->server.failed);
  assert_int_equal(b->client.err.code, ALK_E_HOSTKEY);
  assert_int_equal(b->client.logins, 0);
  assert_int_equal(b->server.auths, 0);
  both_free(b);
}

static void no_common_algorithm(void **state)
{
  env_t *e = *state;
  both_t *b = both_new(e);
  const pair_t *pair = e->arg;
  int fds[2];
  alk_err_t err;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  alk_session_opts_t opts = {.user = "tester", .ciphers = "aes128-ctr"};
  b->client.s = alk_ssh_client(alk_pipe_open(e->l, fds[0]), pair->client, &opts,
                               &events, &b->client, &err);
  opts = (alk_session_opts_t){
    .hostkeys = &b->host_key, .hostkeys_len = 1, .ciphers = "aes256-ctr"};
  b->server.s = alk_ssh_server(alk_pipe_open(e->l, fds[1]), pair->server, &opts,
                               &events, &b->server, &err);
  RUN_UNTIL(e, b->client.s == NULL && b->server.s == NULL);
  assert_true(b->client.failed && b->server.failed);
  assert_int_equal(b->client.hostkeys, 0);
  both_free(b);
}

static void unknown_names_are_errors(void **state)
{
  env_t *e = *state;
  const pair_t *pair = e->arg;
  const char *const bad[] = {"3des-cbc", "aes128-ctr,", ",", "",
                             "aes128-ctr,none"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int fds[2];
    alk_err_t err = {0};
    alk_session_opts_t opts = {.user = "tester", .ciphers = bad[i]};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
    assert_null(alk_ssh_client(alk_pipe_open(e->l, fds[0]), pair->client, &opts,
                               &events, NULL, &err));
    assert_int_equal(err.code, ALK_E_OPTION);
    close(fds[1]);
  }
}

static void bytes_go_both_ways(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  rec_t *at = open_one(b, &r);
  assert_string_equal(b->host, "db.example");
  assert_string_equal(b->origin, "192.0.2.7");
  assert_int_equal(b->port, 5432);
  assert_int_equal(b->origin_port, 50001);
  QUIET(&r, alk_stream_write(r.s, "ping", 4));
  RUN_UNTIL(b->e, alk_buf_size(&at->data) == 4);
  QUIET(at, alk_stream_write(at->s, "pong!", 5));
  RUN_UNTIL(b->e, alk_buf_size(&r.data) == 5);
  QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(b->e, at->ends == 1 && r.drains == 1);
  QUIET(at, alk_stream_write(at->s, "late", 4)); /* half open */
  RUN_UNTIL(b->e, alk_buf_size(&r.data) == 9);
  QUIET(at, alk_stream_end(at->s));
  RUN_UNTIL(b->e, r.ends == 1 && at->drains == 1);
  QUIET(&r, alk_stream_close(r.s));
  RUN_UNTIL(b->e, r.closes == 1 && at->closes == 1);
  assert_false(r.failed || at->failed);
  rec_free(&r);
  both_close(b);
}

/* Writes a known sequence of bytes as long as it is taken. */
static void pour(rec_t *r, size_t *sent, size_t total)
{
  static char chunk[CHUNK];
  while (*sent < total) {
    size_t n = total - *sent < CHUNK ? total - *sent : CHUNK;
    for (size_t i = 0; i < n; i++)
      chunk[i] = (char) ((*sent + i) * 31 >> 3);
    *sent += n;
    if (!alk_stream_write(r->s, chunk, n)) return;
  }
}

static void assert_poured(const rec_t *r, size_t total)
{
  const uint8_t *p = alk_buf_head(&r->data);
  assert_int_equal(alk_buf_size(&r->data), total);
  for (size_t i = 0; i < total; i++)
    if (p[i] != (uint8_t) (i * 31 >> 3)) fail_msg("byte %zu is wrong", i);
}

static size_t total_of[2], sent_of[2]; /* of the two pourers below */

static void pour_up(rec_t *r, char ev)
{
  memset(r->log, 0, sizeof r->log); /* it would be long */
  if (ev == 'w') pour(r, &sent_of[0], total_of[0]);
}

static void pour_down(rec_t *r, char ev)
{
  memset(r->log, 0, sizeof r->log);
  if (ev == 'w') pour(r, &sent_of[1], total_of[1]);
}

static void transfer(both_t *b, size_t total)
{
  rec_t r = {0};
  rec_t *at = open_one(b, &r);
  total_of[0] = total_of[1] = total;
  sent_of[0] = sent_of[1] = 0;
  r.then = pour_up;
  at->then = pour_down;
  pour(&r, &sent_of[0], total);
  pour(at, &sent_of[1], total);
  RUN_UNTIL(b->e,
            alk_buf_size(&r.data) >= total && alk_buf_size(&at->data) >= total);
  assert_poured(&r, total);
  assert_poured(at, total);
  r.then = at->then = NULL;
  alk_stream_close(r.s);
  RUN_UNTIL(b->e, r.closes == 1 && at->closes == 1);
  rec_free(&r);
}

static void much_goes_both_ways_at_once(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  transfer(b, 8 * 1024 * 1024);
  both_close(b);
}

static void keys_are_changed_meanwhile(void **state)
{
  both_t *b =
    both_ready(*state, (alk_session_opts_t){.rekey_bytes = 256 * 1024});
  transfer(b, 4 * 1024 * 1024);
  both_close(b);
}

static void every_cipher(void **state)
{
  static const char *const ciphers[] = {
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"};
  for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
    alk_session_info_t info;
    both_t *b = both_ready(*state, (alk_session_opts_t){.ciphers = ciphers[i]});
    alk_session_info(b->client.s, &info);
    assert_string_equal(info.cipher_in, ciphers[i]);
    assert_string_equal(info.cipher_out, ciphers[i]);
    transfer(b, 300 * 1000);
    both_close(b);
  }
}

static void refusals_carry_reason_and_words(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r[4] = {0};
  for (int why = ALK_OPEN_PROHIBITED; why <= ALK_OPEN_SHORTAGE; why++) {
    b->why = (alk_open_reason_t) why;
    rec_own(&r[why - 1], alk_session_open(b->client.s, &target));
    RUN_UNTIL(b->e, r[why - 1].closes == 1);
    assert_int_equal(r[why - 1].opens, 0);
    assert_int_equal(r[why - 1].err.code, ALK_E_CHANNEL);
    assert_int_equal(r[why - 1].err.reason, why);
    assert_non_null(strstr(r[why - 1].err.msg, "Connection refused"));
  }
  both_close(b);
}

static void many_opens_at_once(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  static rec_t r[MANY];
  memset(r, 0, sizeof r);
  int opened = 0;
  for (int i = 0; i < MANY; i++)
    rec_own(&r[i], alk_session_open(b->client.s, &target));
  while (opened < MANY) {
    uv_run(&b->e->uv, UV_RUN_ONCE);
    opened = 0;
    for (int i = 0; i < MANY; i++)
      opened += r[i].opens;
  }
  for (int i = 0; i < MANY; i++)
    alk_stream_close(r[i].s);
  RUN_UNTIL(b->e, r[MANY - 1].closes == 1 && r[0].closes == 1);
  both_close(b);
}

static void the_channel_limit_holds(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){.max_channels = 2});
  rec_t r[4] = {0};
  open_one(b, &r[0]);
  assert_int_equal(alk_session_channels(b->client.s), 1);
  open_one(b, &r[1]);
  rec_own(&r[2], alk_session_open(b->client.s, &target));
  RUN_UNTIL(b->e, r[2].closes == 1);
  assert_int_equal(r[2].err.code, ALK_E_LIMIT);
  assert_int_equal(alk_session_channels(b->client.s), 2);
  assert_int_equal(alk_session_channels(b->server.s), 2);
  alk_stream_close(r[0].s);
  RUN_UNTIL(b->e, r[0].closes == 1 && b->at_server[0].closes == 1);
  assert_int_equal(alk_session_channels(b->client.s), 1);
  open_one(b, &r[3]); /* there is room again */
  both_close(b);
}

/* Who does not read holds the writer, in bounded memory; others go on. */
static void a_paused_reader_holds_its_writer(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t slow = {0}, quick = {0};
  rec_t *at_slow = open_one(b, &slow);
  rec_t *at_quick = open_one(b, &quick);
  size_t total = 64 * 1024 * 1024;
  alk_stream_pause(at_slow->s);
  total_of[0] = total;
  sent_of[0] = 0;
  slow.then = pour_up;
  pour(&slow, &sent_of[0], total);
  for (int i = 0; i < 100; i++) { /* it stalls, the other answers */
    alk_stream_write(quick.s, "x", 1);
    RUN_UNTIL(b->e, alk_buf_size(&at_quick->data) == (size_t) i + 1);
  }
  assert_true(sent_of[0] < 20 * 1024 * 1024);
  assert_int_equal(alk_buf_size(&at_slow->data), 0);
  alk_stream_resume(at_slow->s);
  RUN_UNTIL(b->e, alk_buf_size(&at_slow->data) == total);
  assert_poured(at_slow, total);
  slow.then = NULL;
  rec_free(&slow);
  rec_free(&quick);
  both_close(b);
}

/* What was written before an orderly end arrives, though the end follows at
 * once and the session's close right after the drain. */
static void nothing_accepted_is_lost(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  rec_t *at = open_one(b, &r);
  size_t sent = 0, total = 200 * 1024;
  pour(&r, &sent, total);
  assert_int_equal(sent, total);
  alk_stream_end(r.s);
  RUN_UNTIL(b->e, r.drains >= 1 && alk_stream_has_ended(r.s));
  alk_stream_close(r.s);
  alk_session_close(b->client.s);
  RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
  assert_poured(at, total);
  assert_int_equal(at->ends, 1);
  rec_free(&r);
  both_free(b);
}

/* A peeking owner: gives all but the first byte back, each time. */
static void peek(rec_t *r, char ev)
{
  memset(r->log, 0, sizeof r->log);
  if (ev != 'd') return;
  size_t more = alk_buf_size(&r->data) - (size_t) r->count - 1;
  r->count++;
  r->data.len -= more;
  uint8_t *rest = r->data.p + r->data.len; /* still there */
  alk_stream_unread(r->s, (const char *) rest, more);
}

static void what_was_unread_comes_first(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  rec_t *at = open_one(b, &r);
  size_t sent = 0, total = 2000;
  at->then = peek;
  while (sent < total) { /* more comes while the rest is unread */
    size_t next = sent + 100;
    pour(&r, &sent, next);
    turns(b->e, 3);
  }
  alk_stream_end(r.s);
  RUN_UNTIL(b->e, at->ends == 1);
  assert_poured(at, total);
  at->then = NULL;
  alk_stream_close(r.s);
  RUN_UNTIL(b->e, r.closes == 1 && at->closes == 1);
  rec_free(&r);
  both_close(b);
}

/* What came before may be a part, and nobody may take it for the whole. libssh
 * cannot close without an end, so its peers are told less. */
static void a_close_without_an_end_is_a_reset(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  const pair_t *pair = b->e->arg;
  bool tells = strcmp(pair->server, "libssh") != 0;
  rec_t r = {0};
  rec_t *at = open_one(b, &r);
  alk_stream_write(at->s, "a part", 6);
  RUN_UNTIL(b->e, alk_buf_size(&r.data) == 6);
  alk_stream_close(at->s);
  RUN_UNTIL(b->e, at->closes == 1 && r.closes == 1);
  assert_int_equal(r.ends, !tells);
  assert_int_equal(r.failed, tells);
  if (tells) assert_int_equal(r.err.sys, UV_ECONNRESET);
  rec_free(&r);
  both_close(b);
}

static alk_session_t *leaving;

static void leave(rec_t *r, char ev)
{
  if (ev != 'w') return;
  alk_stream_close(r->s);
  alk_session_close(leaving);
}

/* Two loops, turn by turn. Nothing waits, so the watchdog is the limit. */
#define TURNS_UNTIL(e, far, cond) \
  while (!(cond)) {               \
    turns(e, 1);                  \
    turns(far, 1);                \
  }

/* Data, EOF, CLOSE and DISCONNECT that come in one piece: an orderly end. The
 * server says all of it while the client's loop stands still. */
static void an_end_outruns_the_disconnect(void **state)
{
  env_t *e = *state;
  /* A loop's first stream makes libuv open a descriptor that it keeps. */
  alk_stream_close(alk_uvstream_new(e->l, UV_TCP));
  env_t *far = env_new();
  both_t *b = both_new(e);
  rec_t r = {0}, *at = &b->at_server[0];
  both_start_at(b, far, (alk_session_opts_t){0});
  TURNS_UNTIL(e, far, b->client.readies == 1 && b->server.readies == 1);
  rec_own(&r, alk_session_open(b->client.s, &target));
  TURNS_UNTIL(e, far, r.opens == 1 && at->opens == 1);
  alk_stream_resume(r.s);
  alk_stream_resume(at->s);
  alk_stream_end(r.s);
  TURNS_UNTIL(e, far, at->ends == 1 && r.drains == 1);
  alk_stream_write(at->s, "last words", 10);
  leaving = b->server.s;
  at->then = leave;
  alk_stream_end(at->s);
  RUN_UNTIL(far, b->server.s == NULL);
  assert_int_equal(alk_buf_size(&r.data), 0);
  RUN_UNTIL(e, b->client.s == NULL);
  assert_int_equal(alk_buf_size(&r.data), 10);
  assert_int_equal(r.ends, 1);
  assert_int_equal(r.closes, 1);
  assert_false(r.failed);
  rec_free(&r);
  both_free(b);
  env_free(far);
}

static void unanswered_opens_end_with_the_session(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  b->hold_channels = true;
  rec_own(&r, alk_session_open(b->client.s, &target));
  RUN_UNTIL(b->e, b->server.channels == 1);
  both_close(b);
  assert_int_equal(r.closes, 1);
  assert_int_equal(r.opens, 0);
}

static void an_abandoned_open_is_closed_when_answered(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  b->hold_channels = true;
  rec_own(&r, alk_session_open(b->client.s, &target));
  RUN_UNTIL(b->e, b->server.channels == 1);
  alk_stream_close(r.s);
  alk_channel_accept(b->at_server[0].s);
  alk_stream_resume(b->at_server[0].s); /* to hear the end before the close */
  RUN_UNTIL(b->e, r.closes == 1 && b->at_server[0].closes == 1);
  assert_int_equal(r.opens, 0);
  both_close(b);
}

static void a_keepalive_is_answered(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  for (int i = 0; i < 5; i++) { /* also after an answered one (trap 12) */
    uint64_t before = alk_session_received(b->client.s);
    alk_session_keepalive(b->client.s);
    RUN_UNTIL(b->e, alk_session_received(b->client.s) > before);
  }
  both_close(b);
}

static void on_pong(alk_session_t *s, bool yes, uint16_t port, void *data)
{
  (void) s;
  (void) port;
  *(int *) data += yes ? 1 : 100;
}

static void a_ping_is_told_its_answer(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  alk_session_t *ends[] = {b->client.s, b->server.s, b->client.s};
  if (!alk_session_can_ping(b->server.s)) ends[1] = b->client.s;
  int pongs = 0;
  if (!alk_session_can_ping(b->client.s)) {
    assert_false(alk_session_ping(b->client.s, on_pong, &pongs));
    both_close(b);
    assert_int_equal(pongs, 0);
    return;
  }
  for (int i = 0; i < 3; i++) {
    uint64_t before = alk_session_sent(ends[i]);
    assert_true(alk_session_ping(ends[i], on_pong, &pongs));
    RUN_UNTIL(b->e, pongs == i + 1);
    assert_true(alk_session_sent(ends[i]) > before);
  }
  /* A session that ends owes nobody an answer, but says so. */
  assert_true(alk_session_ping(b->client.s, on_pong, &pongs));
  alk_session_close(b->client.s);
  assert_false(alk_session_ping(b->client.s, on_pong, &pongs));
  RUN_UNTIL(b->e, b->client.s == NULL && b->server.s == NULL);
  assert_true(pongs == 4 || pongs == 103);
  both_free(b);
}

static void closed_sessions_refuse_opens(void **state)
{
  both_t *b = both_ready(*state, (alk_session_opts_t){0});
  rec_t r = {0};
  alk_session_close(b->client.s);
  rec_own(&r, alk_session_open(b->client.s, &target));
  RUN_UNTIL(b->e, r.closes == 1 && b->client.s == NULL);
  assert_true(r.failed);
  RUN_UNTIL(b->e, b->server.s == NULL);
  both_free(b);
}

/* The session is closed after every number of turns from its birth on: login,
 * channel, transfer; by the client, by the server, and by the loop. */
static void close_at_every_step(void **state)
{
  for (int n = 0; n < 60; n++)
    for (int who = 0; who < 3; who++) {
      env_t *e = env_new();
      e->arg = ((env_t *) *state)->arg;
      both_t *b = both_new(e);
      rec_t r = {0};
      size_t sent = 0;
      both_start(b, (alk_session_opts_t){0});
      for (int i = 0; i < n; i++) {
        uv_run(&e->uv, UV_RUN_NOWAIT);
        if (b->client.readies == 1 && r.s == NULL && r.closes == 0)
          rec_own(&r, alk_session_open(b->client.s, &target));
        if (r.opens == 1 && sent == 0) pour(&r, &sent, 1024 * 1024);
      }
      if (who == 0 && b->client.s != NULL) alk_session_close(b->client.s);
      if (who == 1 && b->server.s != NULL) alk_session_close(b->server.s);
      if (who == 2) env_close(e);
      RUN_UNTIL(e, b->client.s == NULL && b->server.s == NULL);
      assert_int_equal(b->client.closes, 1);
      assert_int_equal(b->server.closes, 1);
      rec_free(&r);
      both_free(b);
      env_free(e);
    }
}

#define ROWS(pair)                                                            \
  TEST_OF("login works", login_works, pair),                                  \
    TEST_OF("host key's name", info_names_the_host_key, pair),                \
    TEST_OF("close is clean", close_is_clean_for_who_asks, pair),             \
    TEST_OF("good-bye", close_says_good_bye, pair),                           \
    TEST_OF("good-bye, and why", close_says_why, pair),                       \
    TEST_OF("refused keys", a_refused_key_can_be_followed, pair),             \
    TEST_OF("untrusted host", an_untrusted_host_ends_it, pair),               \
    TEST_OF("no common algorithm", no_common_algorithm, pair),                \
    TEST_OF("unknown names", unknown_names_are_errors, pair),                 \
    TEST_OF("bytes both ways", bytes_go_both_ways, pair),                     \
    TEST_OF("much both ways", much_goes_both_ways_at_once, pair),             \
    TEST_OF("rekey", keys_are_changed_meanwhile, pair),                       \
    TEST_OF("every cipher", every_cipher, pair),                              \
    TEST_OF("refusals", refusals_carry_reason_and_words, pair),               \
    TEST_OF("many opens", many_opens_at_once, pair),                          \
    TEST_OF("channel limit", the_channel_limit_holds, pair),                  \
    TEST_OF("paused reader", a_paused_reader_holds_its_writer, pair),         \
    TEST_OF("nothing is lost", nothing_accepted_is_lost, pair),               \
    TEST_OF("unread first", what_was_unread_comes_first, pair),               \
    TEST_OF("close without end", a_close_without_an_end_is_a_reset, pair),    \
    TEST_OF("end outruns disconnect", an_end_outruns_the_disconnect, pair),   \
    TEST_OF("unanswered opens", unanswered_opens_end_with_the_session, pair), \
    TEST_OF("abandoned open", an_abandoned_open_is_closed_when_answered,      \
            pair),                                                            \
    TEST_OF("keepalive", a_keepalive_is_answered, pair),                      \
    TEST_OF("ping", a_ping_is_told_its_answer, pair),                         \
    TEST_OF("closed session", closed_sessions_refuse_opens, pair),            \
    TEST_OF("close at every step", close_at_every_step, pair)

static const pair_t pairs[] = {
  {"native", "native"},
  {"native", "libssh"},
  {"libssh", "native"},
  {"libssh", "libssh"},
};

int main(void)
{
  int failed = 0;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    printf("# %s client, %s server\n", pairs[i].client, pairs[i].server);
    fflush(stdout);
    const struct CMUnitTest tests[] = {ROWS(&pairs[i])};
    failed += cmocka_run_group_tests(tests, NULL, NULL);
  }
  return failed;
}
