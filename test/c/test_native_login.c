/* test_native_login.c - the native engine's login, at the client: what it
 * sends, which answers it takes, and what it makes of the server's list of
 * algorithms. And the table of algorithms, which both roles share. The server
 * is in test_native_auth.c. */
#include "ssh/cert.h"

#include "cert_build.h"
#include "key_cases.h"
#include "native_auth_fake.h"

static alk_key_t *keys[FIXTURES], *certified[FIXTURES];

static int setup(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    keys[i] = read_key(fixtures[i].text);
    certified[i] = read_key(fixtures[i].text);
    alk_buf_t cert = cert_build(&(spec_t){.key = keys[i],
                                          .ca = keys[0],
                                          .kind = ALK_CERT_USER,
                                          .before = UINT64_MAX});
    assert_true(alk_key_attach_cert(certified[i], alk_buf_head(&cert),
                                    alk_buf_size(&cert), NULL));
    alk_buf_free(&cert);
  }
  return 0;
}

static int teardown(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_key_free(keys[i]);
    alk_key_free(certified[i]);
  }
  return 0;
}

static void hear_buf(fake_t *f, alk_buf_t m)
{
  assert_true(fake_hear(f, alk_buf_head(&m), alk_buf_size(&m)));
  alk_buf_free(&m);
}

static void hear_accept(fake_t *f, const char *name)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_SERVICE_ACCEPT);
  alk_buf_cstr(&m, name);
  hear_buf(f, m);
}

static void hear_failure(fake_t *f, const char *methods, uint8_t partial)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_USERAUTH_FAILURE);
  alk_buf_cstr(&m, methods);
  alk_buf_u8(&m, partial);
  hear_buf(f, m);
}

static void hear_success(fake_t *f)
{
  const uint8_t m = MSG_USERAUTH_SUCCESS;
  assert_true(fake_hear(f, &m, 1));
}

static void hear_sig_algs(fake_t *f, const char *list)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_EXT_INFO);
  alk_buf_u32(&m, 2);
  alk_buf_cstr(&m, "nothing@example.com");
  alk_buf_str(&m, "\0\1", 2);
  alk_buf_cstr(&m, "server-sig-algs");
  alk_buf_cstr(&m, list);
  hear_buf(f, m);
  assert_false(f->over);
}

/* A client that has asked for the service. */
static fake_t *fresh(void)
{
  static const char request[] = "\x05\0\0\0\x0cssh-userauth";
  fake_t *f = fake_new(false, "tester");
  auth_start(&f->s);
  assert_int_equal(f->sent_len, 1);
  assert_int_equal(alk_buf_size(&f->sent[0]), sizeof request - 1);
  assert_memory_equal(alk_buf_head(&f->sent[0]), request, sizeof request - 1);
  fake_forget_sent(f);
  return f;
}

/* One that is asked for a key. */
static fake_t *client(void)
{
  fake_t *f = fresh();
  hear_accept(f, "ssh-userauth");
  assert_int_equal(f->s.phase, PHASE_AUTH);
  assert_int_equal(f->logins, 1);
  assert_int_equal(f->sent_len, 0);
  return f;
}

/* One that has tried a key. */
static fake_t *tried(void)
{
  fake_t *f = client();
  auth_login(&f->s, keys[0]);
  assert_int_equal(f->sent_len, 1);
  assert_false(f->s.asking);
  fake_forget_sent(f);
  return f;
}

static void ended(const fake_t *f, unsigned bye, alk_code_t code)
{
  assert_true(f->over);
  assert_int_equal(f->sent_len, 0);
  assert_int_equal(f->bye, bye);
  assert_int_equal(f->err.code, code);
  assert_int_equal(f->authenticated, 0);
}

static void test_service(void **state)
{
  (void) state;
  static const char *const wrong[] = {"", "ssh-connection", "ssh-userauth2"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    fake_t *f = fresh();
    hear_accept(f, wrong[i]);
    ended(f, BYE_PROTOCOL, ALK_E_PROTO);
    assert_int_equal(f->logins, 0);
    fake_free(f);
  }
  fake_t *f = fake_new(false, "tester"); /* before it asked */
  hear_accept(f, "ssh-userauth");
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  assert_int_equal(f->logins, 0);
  fake_free(f);
  f = fresh();
  assert_true(fake_hear(f, "\x06\0\0\0\x0cssh-userauth", 18));
  ended(f, BYE_PROTOCOL, ALK_E_PROTO); /* a byte too many */
  fake_free(f);
}

/* Every field, and a signature that is right for this session alone. */
static void check_request(fake_t *f, const alk_key_t *key,
                          const char *algorithm)
{
  assert_false(f->over);
  assert_int_equal(f->sent_len, 1);
  const uint8_t *all = alk_buf_head(&f->sent[0]);
  alk_rd_t r = alk_rd(all, alk_buf_size(&f->sent[0]));
  const sig_alg_t *alg =
    sig_alg_find((const uint8_t *) algorithm, strlen(algorithm));
  size_t len, blob_len, sig_len;
  assert_int_equal(alk_rd_u8(&r), MSG_USERAUTH_REQUEST);
  assert_true(alk_rd_is(&r, "tester"));
  assert_true(alk_rd_is(&r, "ssh-connection"));
  assert_true(alk_rd_is(&r, "publickey"));
  assert_int_equal(alk_rd_u8(&r), 1);
  assert_true(alk_rd_is(&r, algorithm));
  const uint8_t *blob = alk_rd_str(&r, &blob_len);
  const uint8_t *want =
    alg->is_cert ? alk_key_cert(key, &len) : alk_key_blob(key, &len);
  assert_int_equal(blob_len, len);
  assert_memory_equal(blob, want, len);
  alk_buf_t data = {0};
  alk_buf_str(&data, f->session_id, sizeof f->session_id);
  alk_buf_add(&data, all, (size_t) (r.p - all));
  const uint8_t *sig = alk_rd_str(&r, &sig_len);
  assert_true(alk_rd_done(&r));
  assert_true(
    sig_alg_verify(alg, blob, blob_len, sig, sig_len, data.p, data.len));
  data.p[5] ^= 1;
  assert_false(
    sig_alg_verify(alg, blob, blob_len, sig, sig_len, data.p, data.len));
  alk_buf_free(&data);
}

static void test_logins(void **state)
{
  (void) state;
#define CERT "-cert-v01@openssh.com"
  const struct {
    const char *list; /* server-sig-algs; NULL: none came */
    alk_key_t *key;
    const char *algorithm;
  } cases[] = {
    {NULL, keys[0], "ssh-ed25519"},
    {NULL, keys[1], "ecdsa-sha2-nistp256"},
    {NULL, keys[2], "ecdsa-sha2-nistp384"},
    {NULL, keys[3], "ecdsa-sha2-nistp521"},
    {NULL, keys[4], "rsa-sha2-512"},
    {"rsa-sha2-256,rsa-sha2-512", keys[4], "rsa-sha2-256"},
    {"ssh-ed25519,rsa-sha2-512", keys[4], "rsa-sha2-512"},
    {"ssh-rsa,rsa-sha2-256", keys[4], "rsa-sha2-256"},
    {"ssh-rsa", keys[4], "rsa-sha2-512"},
    {"", keys[4], "rsa-sha2-512"},
    {"rsa-sha2-25,rsa-sha2-2566,,", keys[4], "rsa-sha2-512"},
    {"rsa-sha2-512", keys[0], "ssh-ed25519"},
    {NULL, certified[0], "ssh-ed25519" CERT},
    {NULL, certified[1], "ecdsa-sha2-nistp256" CERT},
    {NULL, certified[2], "ecdsa-sha2-nistp384" CERT},
    {NULL, certified[3], "ecdsa-sha2-nistp521" CERT},
    {NULL, certified[4], "rsa-sha2-512" CERT},
    {"rsa-sha2-256", certified[4], "rsa-sha2-256" CERT},
    {"rsa-sha2-512,rsa-sha2-256" CERT, certified[4], "rsa-sha2-256" CERT},
    {"ssh-ed25519", certified[4], "rsa-sha2-512" CERT},
    {"ssh-ed25519", certified[0], "ssh-ed25519" CERT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fake_t *f = fresh();
    if (cases[i].list != NULL) hear_sig_algs(f, cases[i].list);
    hear_accept(f, "ssh-userauth");
    auth_login(&f->s, cases[i].key);
    check_request(f, cases[i].key, cases[i].algorithm);
    fake_forget_sent(f);
    hear_success(f);
    assert_false(f->over);
    assert_int_equal(f->authenticated, 1);
    assert_int_equal(f->s.phase, PHASE_OPEN);
    fake_free(f);
  }
}

/* What the one end sends, the other admits. */
static void test_both_ends(void **state)
{
  (void) state;
  for (size_t i = 0; i < 2 * FIXTURES; i++) {
    fake_t *c = client(), *s = fake_new(true, NULL);
    assert_true(fake_hear(s, "\x05\0\0\0\x0cssh-userauth", 17));
    fake_forget_sent(s);
    s->answer = 1;
    auth_login(&c->s, i < FIXTURES ? keys[i] : certified[i - FIXTURES]);
    hear_buf(s, c->sent[0]);
    c->sent_len = 0;
    assert_true(s->proven);
    assert_int_equal(s->authenticated, 1);
    hear_buf(c, s->sent[0]);
    s->sent_len = 0;
    assert_int_equal(c->authenticated, 1);
    fake_free(c);
    fake_free(s);
  }
}

static void test_unusable_key(void **state)
{
  (void) state;
  size_t len;
  const uint8_t *blob = alk_key_blob(keys[0], &len);
  alk_key_t *public = alk_key_read_blob(blob, len, NULL);
  assert_non_null(public);
  fake_t *f = client();
  auth_login(&f->s, public);
  ended(f, 0, ALK_E_KEY);
  alk_key_free(public);
  fake_free(f);
}

static void test_one_answer(void **state)
{
  (void) state;
  fake_t *f = fresh();
  auth_login(&f->s, keys[0]); /* nobody asked yet */
  assert_int_equal(f->sent_len, 0);
  hear_accept(f, "ssh-userauth");
  auth_login(&f->s, keys[0]);
  auth_login(&f->s, keys[1]);
  auth_admit(&f->s, true);
  check_request(f, keys[0], "ssh-ed25519");
  fake_forget_sent(f);
  hear_success(f);
  auth_login(&f->s, keys[0]);
  assert_int_equal(f->sent_len, 0);
  fake_free(f);
}

static void test_refused(void **state)
{
  (void) state;
  fake_t *f = tried();
  for (int i = 0; i < 3; i++) {
    static const char *const lists[] = {"publickey", "password,publickey",
                                        "publickey,password,"};
    hear_failure(f, lists[i], 0);
    assert_false(f->over);
    assert_true(f->s.asking);
    assert_int_equal(f->logins, i + 2);
    auth_login(&f->s, keys[i + 1]);
    check_request(f, keys[i + 1], fixtures[i + 1].type);
    fake_forget_sent(f);
  }
  hear_success(f);
  assert_int_equal(f->authenticated, 1);
  fake_free(f);
}

static void test_refused_for_good(void **state)
{
  (void) state;
  static const char *const lists[] = {
    "",           ",",          "password",
    "publickey2", "xpublickey", "PublicKey",
    "publicke,",  "publi,ckey", "password,keyboard-interactive"};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    fake_t *f = tried();
    hear_failure(f, lists[i], 0);
    ended(f, 0, ALK_E_AUTH);
    assert_int_equal(f->logins, 1);
    fake_free(f);
  }
  for (int partial = 1; partial < 256; partial += 127) {
    fake_t *f = tried();
    hear_failure(f, "publickey", (uint8_t) partial);
    ended(f, 0, ALK_E_AUTH);
    assert_int_equal(f->logins, 1);
    fake_free(f);
  }
}

/* Answers to what was not asked. */
static void test_out_of_turn(void **state)
{
  (void) state;
  static const uint8_t success = MSG_USERAUTH_SUCCESS;
  for (int which = 0; which < 4; which++) {
    fake_t *f = client();
    f->s.asking = false; /* as if packets came through all the same */
    if (which == 0) hear_success(f);
    if (which == 1) hear_failure(f, "publickey", 0);
    if (which == 2) { /* nor does the gate let a second one in */
      f->s.phase = PHASE_SERVICE;
      hear_accept(f, "ssh-userauth");
    }
    if (which == 3) fake_hear(f, "\x3c\0\0\0\0\0\0\0\0", 9);
    ended(f, BYE_PROTOCOL, ALK_E_PROTO);
    assert_int_equal(f->logins, 1);
    fake_free(f);
  }
  fake_t *f = fresh();
  assert_false(fake_hear(f, &success, 1));
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  fake_free(f);
  f = tried(); /* a key that was signed with is not asked about */
  assert_true(fake_hear(f, "\x3c\0\0\0\0\0\0\0\0", 9));
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  fake_free(f);
}

static void test_malformed(void **state)
{
  (void) state;
#define LINE(text)          \
  {                         \
    text, sizeof(text) - 1u \
  }
  static const struct {
    const char *p;
    size_t len;
  } lines[] = {
    LINE("\x34\0"),                         /* SUCCESS and more */
    LINE("\x33"),                           /* FAILURE of nothing */
    LINE("\x33\0\0\0\x09publickey"),        /* without partial */
    LINE("\x33\0\0\0\x09publickey\0\0"),    /* and more */
    LINE("\x33\0\0\0\x0apublickey\0"),      /* too long */
    LINE("\x35\0\0\0\2hi"),                 /* BANNER, no language */
    LINE("\x35\0\0\0\2hi\0\0\0\0x"),        /* and more */
    LINE("\x35\xff\xff\xff\xffhi\0\0\0\0"), /* too long */
    LINE("\x35"),                           /* of nothing */
    LINE("\x07"),                           /* EXT_INFO of nothing */
    LINE("\x07\0\0\0"),                     /* cut */
    LINE("\x07\0\0\0\0x"),                  /* none, and more */
    LINE("\x07\0\0\0\1"),                   /* one, not there */
    LINE("\x07\0\0\0\1\0\0\0\0\0\0\0"),     /* cut */
    LINE("\x07\0\0\0\2\0\0\0\0\0\0\0\0"),   /* two, one there */
    LINE("\x07\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
    LINE("\x07\0\0\0\1\0\0\0\0\xff\xff\xff\xff"),
    LINE("\x07\0\0\0\1\0\0\0\0\0\0\0\0\0"), /* and more */
    LINE("\x07\0\0\0\1\0\0\0\x0fserver-sig-algs\0\0\0\3a\0b"),
    LINE("\x07\0\0\0\1\0\0\0\x0fserver-sig-algs\0\0\0\3a b"),
    LINE("\x07\0\0\0\1\0\0\0\x0fserver-sig-algs\0\0\0\3a\x7f"
         "b"),
    LINE("\x07\0\0\0\1\0\0\0\x0fserver-sig-algs\0\0\0\1\xe9"),
  };
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    fake_t *f = tried();
    assert_true(fake_hear(f, lines[i].p, lines[i].len));
    ended(f, BYE_PROTOCOL, ALK_E_PROTO);
    assert_null(f->s.auth->sig_algs);
    fake_free(f);
  }
}

static void test_banners(void **state)
{
  (void) state;
  fake_t *f = tried();
  for (int i = 0; i < AUTH_BANNERS_MAX; i++) {
    assert_true(fake_hear(f, "\x35\0\0\0\3\x1b[m\0\0\0\2en", 14));
    assert_false(f->over);
  }
  assert_true(fake_hear(f, "\x35\0\0\0\3\x1b[m\0\0\0\2en", 14));
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  fake_free(f);
}

static void test_ext_info(void **state)
{
  (void) state;
  fake_t *f = fresh();
  assert_true(fake_hear(f, "\x07\0\0\0\0", 5));
  assert_null(f->s.auth->sig_algs);
  hear_sig_algs(f, "rsa-sha2-256");
  assert_string_equal(f->s.auth->sig_algs, "rsa-sha2-256");
  assert_true(fake_hear(f, "\x07\0\0\0\1\0\0\0\1x\0\0\0\0", 14));
  assert_string_equal(f->s.auth->sig_algs, "rsa-sha2-256");
  hear_sig_algs(f, "");
  assert_string_equal(f->s.auth->sig_algs, "");
  char list[AUTH_SIG_ALGS_MAX + 2];
  memset(list, 'x', sizeof list);
  list[AUTH_SIG_ALGS_MAX] = '\0';
  hear_sig_algs(f, list);
  assert_string_equal(f->s.auth->sig_algs, list);
  list[AUTH_SIG_ALGS_MAX] = 'x';
  list[AUTH_SIG_ALGS_MAX + 1] = '\0';
  hear_sig_algs(f, list);
  assert_null(f->s.auth->sig_algs);
  hear_accept(f, "ssh-userauth");
  auth_login(&f->s, keys[4]);
  check_request(f, keys[4], "rsa-sha2-512");
  fake_forget_sent(f);
  hear_sig_algs(f, "rsa-sha2-256"); /* it counts from now on */
  hear_failure(f, "publickey", 0);
  auth_login(&f->s, keys[4]);
  check_request(f, keys[4], "rsa-sha2-256");
  fake_free(f);
}

static const sig_alg_t *find(const char *name)
{
  return sig_alg_find((const uint8_t *) name, strlen(name));
}

static void test_table(void **state)
{
  (void) state;
  assert_string_equal(find("rsa-sha2-512" CERT)->key, "ssh-rsa" CERT);
  assert_string_equal(find("rsa-sha2-512" CERT)->sig, "rsa-sha2-512");
  assert_true(find("rsa-sha2-512" CERT)->is_cert);
  assert_string_equal(find("rsa-sha2-256")->key, "ssh-rsa");
  assert_string_equal(find("rsa-sha2-256")->sig, "rsa-sha2-256");
  assert_false(find("rsa-sha2-256")->is_cert);
  static const char *const none[] = {
    "", "ssh-rsa", "ssh-dss", "ssh-rsa" CERT, "ssh-ed25519x", "ssh-ed2551"};
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
    assert_null(find(none[i]));
  assert_null(sig_alg_find(NULL, 0));
  assert_null(sig_alg_find((const uint8_t *) "ssh-ed25519", 12));

  alk_rd_t r = alk_rd(sig_algs_accepted, strlen(sig_algs_accepted));
  int count = 0;
  for (; r.len > 0; count++) {
    const char *comma = memchr(r.p, ',', r.len);
    size_t len = comma == NULL ? r.len : (size_t) (comma - (const char *) r.p);
    const sig_alg_t *a = sig_alg_find(r.p, len);
    assert_non_null(a);
    assert_false(a->is_cert);
    alk_rd_bytes(&r, comma == NULL ? len : len + 1);
  }
  assert_int_equal(count, 6);
}

static void test_for(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    const sig_alg_t *a = sig_alg_for(keys[i], false, NULL);
    const sig_alg_t *b = sig_alg_for(certified[i], true, NULL);
    assert_string_equal(a->key, fixtures[i].type);
    assert_string_equal(b->key, alk_key_cert_type(certified[i]));
    assert_ptr_equal(sig_alg_for(certified[i], false, NULL), a);
    assert_ptr_equal(sig_alg_for(keys[i], false, a->name), a);
    assert_ptr_equal(sig_alg_for(certified[i], true, b->name), b);
    assert_null(sig_alg_for(keys[i], true, NULL));
    assert_null(sig_alg_for(keys[i], true, b->name));
    assert_null(sig_alg_for(keys[i], false, b->name));
    assert_null(sig_alg_for(certified[i], true, a->name));
    assert_null(sig_alg_for(keys[i], false, ""));
    assert_null(sig_alg_for(keys[i], false, ",,ssh-rsa,"));
  }
  assert_string_equal(sig_alg_for(keys[4], false, NULL)->name, "rsa-sha2-512");
  assert_string_equal(
    sig_alg_for(keys[4], false, ",ssh-rsa,rsa-sha2-256,rsa-sha2-512")->name,
    "rsa-sha2-256");
}

static bool verifies(const sig_alg_t *alg, alk_rd_t blob, alk_rd_t sig,
                     const char *text)
{
  return sig_alg_verify(alg, blob.p, blob.len, sig.p, sig.len,
                        (const uint8_t *) text, strlen(text));
}

static alk_rd_t blob_of(size_t i)
{
  size_t len;
  const uint8_t *p = i < FIXTURES ? alk_key_blob(keys[i], &len)
                                  : alk_key_cert(certified[i - FIXTURES], &len);
  return alk_rd(p, len);
}

/* Every algorithm, every blob, every algorithm inside the signature. */
static void test_verify(void **state)
{
  (void) state;
  static const char *const algs[] = {
    "ssh-ed25519",         "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521", "rsa-sha2-512",        "rsa-sha2-256"};
  static const size_t key_for[] = {0, 1, 2, 3, 4, 4};
  for (size_t made = 0; made < 6; made++) {
    alk_buf_t out = {0};
    assert_true(alk_key_sign(keys[key_for[made]], algs[made],
                             (const uint8_t *) "text", 4, &out, NULL));
    alk_rd_t sig = alk_rd(alk_buf_head(&out), alk_buf_size(&out));
    for (size_t a = 0; a < 12; a++) {
      char name[64];
      snprintf(name, sizeof name, "%s%s", algs[a % 6], a < 6 ? "" : CERT);
      for (size_t b = 0; b < 2 * FIXTURES; b++) {
        bool fits = a % 6 == made && b % FIXTURES == key_for[made] &&
                    (a < 6) == (b < FIXTURES);
        assert_int_equal(verifies(find(name), blob_of(b), sig, "text"), fits);
        assert_false(verifies(find(name), blob_of(b), sig, "test"));
        assert_false(
          verifies(find(name), blob_of(b), alk_rd(sig.p, sig.len - 1), "text"));
        assert_false(verifies(find(name), alk_rd(NULL, 0), sig, "text"));
      }
    }
    alk_buf_free(&out);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_service),
    cmocka_unit_test(test_logins),
    cmocka_unit_test(test_both_ends),
    cmocka_unit_test(test_unusable_key),
    cmocka_unit_test(test_one_answer),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_refused_for_good),
    cmocka_unit_test(test_out_of_turn),
    cmocka_unit_test(test_malformed),
    cmocka_unit_test(test_banners),
    cmocka_unit_test(test_ext_info),
    cmocka_unit_test(test_table),
    cmocka_unit_test(test_for),
    cmocka_unit_test(test_verify),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
