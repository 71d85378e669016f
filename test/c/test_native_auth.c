/* test_native_auth.c - the native engine's login, at the server: whom it asks
 * about, and who never gets that far. The client is in test_native_login.c. */
#include <stdlib.h>

#include <openssl/crypto.h>

#include "ssh/cert.h"

#include "cert_build.h"
#include "crypto_faults.h"
#include "key_cases.h"
#include "native_auth_fake.h"

enum { FACES = 2 * FIXTURES };

/* Each key twice: plain, and as a certificate. */
typedef struct {
  const alk_key_t *key;
  alk_buf_t blob;
  char type[64];
} face_t;

static alk_key_t *keys[FIXTURES], *other;
static face_t faces[FACES];
static const face_t *const plain = &faces[0]; /* Ed25519's */
static const char *const names[] = {
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
  "ssh-ed25519-cert-v01@openssh.com",
  "ecdsa-sha2-nistp256-cert-v01@openssh.com",
  "ecdsa-sha2-nistp384-cert-v01@openssh.com",
  "ecdsa-sha2-nistp521-cert-v01@openssh.com",
  "rsa-sha2-512-cert-v01@openssh.com",
  "rsa-sha2-256-cert-v01@openssh.com",
};

/* Which of faces each name is for. */
static const size_t face_for[] = {0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9};

enum { NAMES = sizeof names / sizeof names[0] };

/* Names that must mean nothing. */
static const char *const strangers[] = {
  "ssh-rsa",        "ssh-rsa-cert-v01@openssh.com",
  "ssh-dss",        "",
  "ssh-ed2551",     "ssh-ed25519,",
  "SSH-ED25519",    "sk-ssh-ed25519@openssh.com",
  "x509v3-ssh-rsa",
};

enum { STRANGERS = sizeof strangers / sizeof strangers[0] };

static int setup(void **state)
{
  (void) state;
  other = alk_key_generate("ed25519", NULL);
  assert_non_null(other);
  for (size_t i = 0; i < FIXTURES; i++) {
    size_t len;
    keys[i] = read_key(fixtures[i].text);
    const uint8_t *blob = alk_key_blob(keys[i], &len);
    faces[i].key = faces[FIXTURES + i].key = keys[i];
    alk_buf_add(&faces[i].blob, blob, len);
    faces[FIXTURES + i].blob = cert_build(&(spec_t){.key = keys[i],
                                                    .ca = other,
                                                    .kind = ALK_CERT_USER,
                                                    .before = UINT64_MAX});
    snprintf(faces[i].type, 64, "%s", fixtures[i].type);
    snprintf(faces[FIXTURES + i].type, 64, "%s-cert-v01@openssh.com",
             fixtures[i].type);
  }
  return 0;
}

static int teardown(void **state)
{
  (void) state;
  for (size_t i = 0; i < FACES; i++)
    alk_buf_free(&faces[i].blob);
  for (size_t i = 0; i < FIXTURES; i++)
    alk_key_free(keys[i]);
  alk_key_free(other);
  return 0;
}

static fake_request_t offer(const char *alg, const face_t *face)
{
  return (fake_request_t){.alg = alg,
                          .blob = alk_buf_head(&face->blob),
                          .blob_len = alk_buf_size(&face->blob)};
}

static fake_request_t login(const char *alg, const face_t *face)
{
  fake_request_t q = offer(alg, face);
  q.key = face->key;
  return q;
}

static void hear_buf(fake_t *f, alk_buf_t m)
{
  assert_true(fake_hear(f, alk_buf_head(&m), alk_buf_size(&m)));
  alk_buf_free(&m);
}

static void hear(fake_t *f, fake_request_t q)
{
  hear_buf(f, fake_request(f, q));
}

static void hear_service(fake_t *f, const char *name)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_SERVICE_REQUEST);
  alk_buf_cstr(&m, name);
  hear_buf(f, m);
}

/* A server that waits for requests. */
static fake_t *server_with(uint32_t max_auth)
{
  fake_t *f = fake_new_with(true, NULL, max_auth);
  auth_start(&f->s);
  assert_int_equal(f->sent_len, 0);
  hear_service(f, "ssh-userauth");
  assert_int_equal(f->sent_len, 1);
  assert_int_equal(f->s.phase, PHASE_AUTH);
  fake_forget_sent(f);
  return f;
}

static fake_t *server(void)
{
  return server_with(0);
}

static void said(const fake_t *f, const void *text, size_t len)
{
  assert_int_equal(f->sent_len, 1);
  assert_int_equal(alk_buf_size(&f->sent[0]), len);
  assert_memory_equal(alk_buf_head(&f->sent[0]), text, len);
}

/* One FAILURE, byte for byte, and the owner was not asked. */
static void refused(fake_t *f, int asked)
{
  static const char failure[] = "\x33\0\0\0\x09publickey";
  assert_false(f->over);
  assert_false(f->s.asking);
  said(f, failure, sizeof failure); /* its final NUL: not partial */
  assert_int_equal(f->asked, asked);
  assert_int_equal(f->authenticated, 0);
  fake_forget_sent(f);
}

static void ended(const fake_t *f, unsigned bye, alk_code_t code)
{
  assert_true(f->over);
  assert_int_equal(f->sent_len, 0);
  assert_int_equal(f->bye, bye);
  assert_int_equal(f->err.code, code);
  assert_int_equal(f->authenticated, 0);
}

static void asked_about(fake_t *f, const face_t *face, bool proven)
{
  assert_true(f->s.asking);
  assert_int_equal(f->sent_len, 0);
  assert_int_equal(f->asked, 1);
  assert_string_equal(f->user, "tester");
  assert_string_equal(f->algorithm, face->type);
  assert_int_equal(alk_buf_size(&f->blob), alk_buf_size(&face->blob));
  assert_memory_equal(alk_buf_head(&f->blob), alk_buf_head(&face->blob),
                      alk_buf_size(&face->blob));
  assert_int_equal(f->proven, proven);
  f->asked = 0;
}

static void admitted(const fake_t *f)
{
  said(f, "\x34", 1);
  assert_int_equal(f->authenticated, 1);
  assert_int_equal(f->s.phase, PHASE_OPEN);
  assert_false(f->s.asking);
  assert_false(f->over);
}

static void test_service(void **state)
{
  (void) state;
  fake_t *f = fake_new(true, NULL);
  hear_service(f, "ssh-userauth");
  said(f, "\x06\0\0\0\x0cssh-userauth", 17);
  fake_forget_sent(f);
  alk_buf_t m = {0}; /* only once */
  alk_buf_u8(&m, MSG_SERVICE_REQUEST);
  alk_buf_cstr(&m, "ssh-userauth");
  assert_false(fake_hear(f, alk_buf_head(&m), alk_buf_size(&m)));
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  fake_free(f);

  static const char *const wrong[] = {"", "ssh-connection", "ssh-userauth2",
                                      "ssh-userAuth"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    f = fake_new(true, NULL);
    hear_service(f, wrong[i]);
    ended(f, BYE_SERVICE, ALK_E_PROTO);
    assert_int_equal(f->s.phase, PHASE_SERVICE);
    fake_free(f);
  }
  for (size_t len = 1; len <= alk_buf_size(&m) + 1; len++) {
    if (len == alk_buf_size(&m)) continue;
    f = fake_new(true, NULL);
    alk_buf_t cut = {0};
    alk_buf_add(&cut, alk_buf_head(&m), len < 18 ? len : 17);
    if (len == 18) alk_buf_u8(&cut, 0);
    hear_buf(f, cut);
    ended(f, BYE_PROTOCOL, ALK_E_PROTO);
    fake_free(f);
  }
  alk_buf_free(&m);
}

static void test_ext_info(void **state)
{
  (void) state;
  fake_t *f = fake_new(true, NULL);
  f->ext_info = true;
  auth_start(&f->s);
  assert_int_equal(f->sent_len, 1);
  alk_rd_t r = alk_rd(alk_buf_head(&f->sent[0]), alk_buf_size(&f->sent[0]));
  assert_int_equal(alk_rd_u8(&r), MSG_EXT_INFO);
  assert_int_equal(alk_rd_u32(&r), 1);
  assert_true(alk_rd_is(&r, "server-sig-algs"));
  assert_true(alk_rd_is(&r,
                        "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
                        "ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"));
  assert_true(alk_rd_done(&r));
  fake_free(f);
}

/* Every algorithm with every kind of blob: the owner hears of what fits. */
static void test_query(void **state)
{
  (void) state;
  for (size_t a = 0; a < NAMES; a++) {
    for (size_t b = 0; b < FACES; b++) {
      fake_t *f = server();
      hear(f, offer(names[a], &faces[b]));
      if (face_for[a] != b) {
        refused(f, 0);
        fake_free(f);
        continue;
      }
      asked_about(f, &faces[b], false);
      auth_admit(&f->s, true);
      assert_int_equal(f->sent_len, 1);
      alk_rd_t r = alk_rd(alk_buf_head(&f->sent[0]), alk_buf_size(&f->sent[0]));
      size_t len;
      assert_int_equal(alk_rd_u8(&r), MSG_USERAUTH_PK_OK);
      assert_true(alk_rd_is(&r, names[a]));
      const uint8_t *blob = alk_rd_str(&r, &len);
      assert_true(alk_rd_done(&r));
      assert_int_equal(len, alk_buf_size(&faces[b].blob));
      assert_memory_equal(blob, alk_buf_head(&faces[b].blob), len);
      assert_int_equal(f->authenticated, 0);
      assert_int_equal(f->s.phase, PHASE_AUTH);
      fake_forget_sent(f);
      hear(f, offer(names[a], &faces[b]));
      asked_about(f, &faces[b], false);
      auth_admit(&f->s, false);
      refused(f, 0);
      fake_free(f);
    }
  }
}

static void test_login(void **state)
{
  (void) state;
  for (size_t a = 0; a < NAMES; a++) {
    const face_t *face = &faces[face_for[a]];
    fake_t *f = server();
    hear(f, login(names[a], face));
    asked_about(f, face, true);
    auth_admit(&f->s, false);
    refused(f, 0);
    hear(f, login(names[a], face));
    asked_about(f, face, true);
    auth_admit(&f->s, true);
    admitted(f);
    auth_admit(&f->s, true); /* once is enough */
    admitted(f);
    fake_free(f);
  }
}

static void test_answers_at_once(void **state)
{
  (void) state;
  fake_t *f = server();
  f->answer = -1;
  hear(f, login("ssh-ed25519", plain));
  refused(f, 1);
  f->answer = 1;
  hear(f, login("ssh-ed25519", plain));
  admitted(f);
  fake_free(f);
}

/* A yes to a question about a key is no yes to its holder. */
static void test_query_admits_nobody(void **state)
{
  (void) state;
  fake_t *f = server();
  f->answer = 1;
  hear(f, offer("ssh-ed25519", plain));
  assert_int_equal(f->authenticated, 0);
  fake_forget_sent(f);
  auth_admit(&f->s, true);
  assert_int_equal(f->sent_len, 0);
  assert_int_equal(f->authenticated, 0);
  fake_request_t q = login("ssh-ed25519", plain);
  q.key = other; /* the key of the query does not sign */
  hear(f, q);
  refused(f, 1);
  fake_free(f);
}

static void test_unasked_answer(void **state)
{
  (void) state;
  fake_t *f = fake_new(true, NULL);
  auth_admit(&f->s, true);
  hear_service(f, "ssh-userauth");
  fake_forget_sent(f);
  auth_admit(&f->s, true);
  auth_login(&f->s, keys[0]);
  assert_int_equal(f->sent_len, 0);
  assert_int_equal(f->authenticated, 0);
  hear(f, (fake_request_t){.method = "none"});
  refused(f, 0);
  fake_free(f);
}

/* The session opens no packet meanwhile; if it did, nothing would come of it.
 */
static void test_request_while_asked(void **state)
{
  (void) state;
  fake_t *f = server();
  hear(f, offer("ssh-ed25519", plain));
  assert_true(f->s.asking);
  alk_buf_t m = fake_request(f, login("ssh-ed25519", plain));
  alk_rd_t r = alk_rd(alk_buf_head(&m) + 1, alk_buf_size(&m) - 1);
  assert_true(auth_on_request(&f->s, &r));
  assert_int_equal(f->asked, 1);
  ended(f, BYE_PROTOCOL, ALK_E_PROTO);
  alk_buf_free(&m);
  fake_free(f);
}

static void test_strange_algorithms(void **state)
{
  (void) state;
  for (size_t a = 0; a < STRANGERS; a++) {
    fake_t *f = server();
    for (size_t b = 0; b < FACES; b++) {
      hear(f, offer(strangers[a], &faces[b]));
      refused(f, 0);
    }
    fake_request_t q = login(strangers[a], plain);
    q.sig_alg = "ssh-ed25519";
    hear(f, q);
    refused(f, 0);
    q = login(strangers[a], &faces[4]);
    q.sig_alg = "rsa-sha2-256";
    hear(f, q);
    refused(f, 0);
    fake_free(f);
  }
}

/* Names and hashes must agree: a signature of one algorithm is none of
 * another, and a certificate is signed for by the key in it. */
static void test_wrong_signers(void **state)
{
  (void) state;
  fake_t *f = server();
  fake_request_t q = login("rsa-sha2-512", &faces[4]);
  q.sig_alg = "rsa-sha2-256";
  hear(f, q);
  refused(f, 0);
  for (size_t b = 0; b < FACES; b += FIXTURES) {
    q = login(b == 0 ? names[0] : names[6], &faces[b]);
    q.key = other; /* of the certificate: the CA */
    hear(f, q);
    refused(f, 0);
    q.key = keys[1];
    q.sig_alg = "ecdsa-sha2-nistp256";
    hear(f, q);
    refused(f, 0);
  }
  fake_free(f);
}

/* A signature is good for one user, one session, one certificate. */
static void test_replays(void **state)
{
  (void) state;
  fake_t *f = server();
  alk_buf_t m = fake_request(f, login("ssh-ed25519", plain));
  f->session_id[31] ^= 1;
  hear_buf(f, m);
  refused(f, 0);
  fake_request_t q = login("ssh-ed25519", plain);
  m = fake_request(f, q);
  uint8_t *user = m.p + 5;
  assert_memory_equal(user, "tester", 6);
  user[5] = 's';
  fake_t *g = server();
  hear_buf(g, m);
  refused(g, 0);
  fake_free(g);
  fake_free(f);
}

/* A certificate that nobody signed is told from a right one when it logs in. */
static void test_forged_cert(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    face_t forged = faces[FIXTURES + i];
    alk_buf_t blob = {0};
    alk_buf_add(&blob, alk_buf_head(&forged.blob), alk_buf_size(&forged.blob));
    blob.p[blob.len - 1] ^= 1;
    forged.blob = blob;
    fake_t *f = server();
    hear(f, login(names[i < 4 ? 6 + i : 10], &forged));
    refused(f, 0);
    fake_free(f);
    alk_buf_free(&blob);
  }
}

/* What happens to one message: never a proven key, never an admission. */
static void never_proven(const uint8_t *p, size_t len)
{
  fake_t *f = server();
  fake_hear(f, p, len);
  if (f->asked > 0) assert_false(f->proven);
  if (f->s.asking) auth_admit(&f->s, true);
  assert_int_equal(f->authenticated, 0);
  fake_free(f);
}

static void test_every_byte_counts(void **state)
{
  (void) state;
  fake_t *f = server();
  const face_t *some[] = {plain, &faces[FIXTURES]};
  for (size_t k = 0; k < 2; k++) {
    alk_buf_t m = fake_request(f, login(names[6 * k], some[k]));
    for (size_t i = 0; i < alk_buf_size(&m); i++) {
      m.p[i] ^= 1;
      never_proven(alk_buf_head(&m), alk_buf_size(&m));
      m.p[i] ^= 0x81;
      never_proven(alk_buf_head(&m), alk_buf_size(&m));
      m.p[i] ^= 0x80;
    }
    hear_buf(f, m); /* and unchanged it is right */
    assert_true(f->s.asking && f->proven);
    auth_admit(&f->s, false);
    fake_forget_sent(f);
  }
  fake_free(f);
}

/* Cut anywhere, or with something behind it. Where the cut leaves a request
 * of another form, that is what counts. */
static void test_lengths(void **state)
{
  (void) state;
  fake_t *f = server();
  for (int signed_too = 0; signed_too < 2; signed_too++) {
    alk_buf_t m = fake_request(f, signed_too ? login("ssh-ed25519", plain)
                                             : offer("ssh-ed25519", plain));
    size_t len = alk_buf_size(&m);
    alk_buf_u8(&m, 0);
    for (size_t i = 1; i <= len + 1; i++) {
      if (i == len) continue;
      fake_t *g = server();
      assert_true(fake_hear(g, m.p, i));
      assert_int_equal(g->asked, 0);
      ended(g, BYE_PROTOCOL, ALK_E_PROTO);
      fake_free(g);
    }
    alk_buf_free(&m);
  }
  fake_free(f);
}

/* A boolean that is neither: it would be signed as one thing and read as
 * another. */
static void test_flags(void **state)
{
  (void) state;
  for (int flag = 2; flag < 256; flag++) {
    for (int with_signature = 0; with_signature < 2; with_signature++) {
      fake_t *f = server();
      fake_request_t q = with_signature ? login("ssh-ed25519", plain)
                                        : offer("ssh-ed25519", plain);
      q.flag = (uint8_t) flag;
      hear(f, q);
      assert_int_equal(f->asked, 0);
      ended(f, BYE_PROTOCOL, ALK_E_PROTO);
      fake_free(f);
    }
  }
}

static void test_blobs(void **state)
{
  (void) state;
  fake_t *f = server();
  fake_request_t q = offer("ssh-ed25519", plain);
  q.blob_len--;
  hear(f, q); /* cut */
  refused(f, 0);
  q.blob_len = 0;
  hear(f, q);
  refused(f, 0);
  alk_buf_t big = {0};
  alk_buf_cstr(&big, names[6]);
  while (alk_buf_size(&big) <= ALK_KEY_BLOB_MAX)
    alk_buf_u8(&big, 0);
  q = (fake_request_t){.alg = names[6], .blob = big.p, .blob_len = big.len};
  hear(f, q);
  refused(f, 0);
  q.key = keys[0];
  hear(f, q);
  refused(f, 0);
  q.key = NULL;
  q.blob_len--; /* what it says is for the owner to find out */
  hear(f, q);
  assert_true(f->s.asking && !f->proven);
  alk_buf_free(&big);
  fake_free(f);
}

static void test_methods(void **state)
{
  (void) state;
  static const char *const methods[] = {"none",
                                        "password",
                                        "hostbased",
                                        "keyboard-interactive",
                                        "",
                                        "publicke",
                                        "publickeys",
                                        "PUBLICKEY",
                                        "gssapi-with-mic",
                                        "publickey-hostbound-v00@openssh.com"};
  fake_t *f = server();
  for (int i = 0; i < AUTH_OTHERS_MAX; i++) {
    fake_request_t q = login("ssh-ed25519", plain);
    q.method = methods[i];
    hear(f, q);
    refused(f, 0);
  }
  hear(f, (fake_request_t){.method = "none"});
  ended(f, BYE_NO_MORE_AUTH, ALK_E_AUTH);
  fake_free(f);

  alk_buf_t m = {0}; /* a NUL hides nothing */
  f = server();
  alk_buf_u8(&m, MSG_USERAUTH_REQUEST);
  alk_buf_cstr(&m, "tester");
  alk_buf_cstr(&m, "ssh-connection");
  alk_buf_str(&m, "publickey\0", 10);
  hear_buf(f, m);
  refused(f, 0);
  fake_free(f);
}

static void told(fake_t *f, fake_request_t q, alk_refused_t why, size_t blob)
{
  int before = f->told;
  hear(f, q);
  refused(f, 0);
  assert_int_equal(f->told, before + 1);
  assert_int_equal(f->why, why);
  assert_int_equal(f->told_len, blob);
}

/* What is refused unasked, the owner hears of: it counts and logs. */
static void test_tells(void **state)
{
  (void) state;
  fake_t *f = server();
  fake_request_t q = login("ssh-ed25519", plain);
  size_t len = q.blob_len;
  hear(f, (fake_request_t){.method = "none"});
  refused(f, 0);
  assert_int_equal(f->told, 0); /* so every login begins */
  told(f, (fake_request_t){.method = "password"}, ALK_REFUSED_METHOD, 0);
  assert_string_equal(f->user, "tester");
  q.key = other;
  told(f, q, ALK_REFUSED_SIGNATURE, len);
  q = offer("ssh-dss", plain);
  told(f, q, ALK_REFUSED_KEY, q.blob_len);
  q = offer("ssh-ed25519", plain);
  q.blob_len = 0;
  told(f, q, ALK_REFUSED_KEY, 0);
  alk_buf_t big = {0};
  while (alk_buf_size(&big) <= ALK_KEY_BLOB_MAX)
    alk_buf_u8(&big, 0);
  q.blob = big.p;
  q.blob_len = big.len;
  told(f, q, ALK_REFUSED_KEY, 0);
  alk_buf_free(&big);
  fake_free(f);

  f = server();
  q = login("ssh-ed25519", plain);
  q.user = "tes\nter";
  told(f, q, ALK_REFUSED_USER, len);
  assert_string_equal(f->user, "");
  assert_int_equal(f->asked, 0);
  fake_free(f);
}

static void test_counts(void **state)
{
  (void) state;
  fake_t *f = server();
  f->answer = -1;
  for (int i = 0; i < AUTH_KEYS_DEFAULT; i++) {
    fake_request_t q =
      i % 2 ? login("ssh-ed25519", plain) : offer("ssh-ed25519", plain);
    if (i % 3 == 0) q.alg = "ssh-dss"; /* what is refused unasked counts too */
    q.sig_alg = "ssh-ed25519";
    hear(f, q);
    assert_int_equal(f->sent_len, 1);
    fake_forget_sent(f);
  }
  f->answer = 1;
  hear(f, login("ssh-ed25519", plain));
  ended(f, BYE_NO_MORE_AUTH, ALK_E_AUTH);
  fake_free(f);
}

static void test_queries(void **state)
{
  (void) state;
  fake_t *f = server();
  f->answer = -1;
  for (int i = 0; i < AUTH_QUERIES_DEFAULT; i++) {
    hear(f, offer("ssh-ed25519", plain));
    assert_int_equal(f->sent_len, 1);
    fake_forget_sent(f);
  }
  hear(f, offer("ssh-ed25519", plain));
  ended(f, BYE_NO_MORE_AUTH, ALK_E_AUTH);
  fake_free(f);
}

/* What the owner allows is allowed, above the defaults and below. */
static void test_counts_of_the_owner(void **state)
{
  (void) state;
  static const uint32_t max[] = {1, 14, 21, 1000};
  for (size_t i = 0; i < sizeof max / sizeof max[0]; i++) {
    for (int is_signed = 0; is_signed < 2; is_signed++) {
      fake_t *f = server_with(max[i]);
      fake_request_t q =
        is_signed ? login("ssh-ed25519", plain) : offer("ssh-ed25519", plain);
      f->answer = -1;
      for (uint32_t n = 0; n < max[i]; n++) {
        hear(f, q);
        assert_int_equal(f->sent_len, 1);
        fake_forget_sent(f);
      }
      assert_int_equal(f->asked, max[i]);
      f->answer = 1;
      hear(f, q);
      assert_int_equal(f->asked, max[i]);
      ended(f, BYE_NO_MORE_AUTH, ALK_E_AUTH);
      fake_free(f);
    }
  }
}

static void test_services(void **state)
{
  (void) state;
  static const char *const wrong[] = {"", "ssh-userauth", "ssh-connection2",
                                      "shell"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    for (int later = 0; later < 2; later++) {
      fake_t *f = server();
      if (later) hear(f, (fake_request_t){.method = "none"});
      fake_forget_sent(f);
      fake_request_t q = login("ssh-ed25519", plain);
      q.service = wrong[i];
      hear(f, q);
      assert_int_equal(f->asked, 0);
      ended(f, BYE_SERVICE, ALK_E_PROTO);
      fake_free(f);
    }
  }
}

static void test_user_stays(void **state)
{
  (void) state;
  static const char *const others[] = {"", "teste", "testers", "Tester",
                                       "tester\n"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    for (int other_first = 0; other_first < 2; other_first++) {
      fake_t *f = server();
      fake_request_t q = login("ssh-ed25519", plain);
      q.method = "none";
      q.user = other_first ? others[i] : NULL;
      hear(f, q);
      refused(f, 0);
      q.method = NULL;
      q.user = other_first ? NULL : others[i];
      hear(f, q);
      assert_int_equal(f->asked, 0);
      ended(f, BYE_PROTOCOL, ALK_E_PROTO);
      fake_free(f);
    }
  }
}

static alk_buf_t login_as(const fake_t *f, const void *user, size_t len)
{
  alk_buf_t m = {0}, data = {0}, sig = {0};
  alk_buf_u8(&m, MSG_USERAUTH_REQUEST);
  alk_buf_str(&m, user, len);
  alk_buf_cstr(&m, "ssh-connection");
  alk_buf_cstr(&m, "publickey");
  alk_buf_u8(&m, 1);
  alk_buf_cstr(&m, "ssh-ed25519");
  alk_buf_str(&m, plain->blob.p, alk_buf_size(&plain->blob));
  alk_buf_str(&data, f->session_id, sizeof f->session_id);
  alk_buf_add(&data, m.p, m.len);
  assert_true(
    alk_key_sign(keys[0], "ssh-ed25519", data.p, data.len, &sig, NULL));
  alk_buf_str(&m, sig.p, sig.len);
  alk_buf_free(&data);
  alk_buf_free(&sig);
  return m;
}

static void test_user_names(void **state)
{
  (void) state;
  char longest[AUTH_USER_MAX + 2];
  memset(longest, 'u', sizeof longest);
  const struct {
    const char *p;
    size_t len;
    bool ok;
  } users[] = {
    {longest, AUTH_USER_MAX, true},
    {longest, AUTH_USER_MAX + 1, false},
    {"a b~\xc3\xa9", 6, true},
    {"", 0, true},
    {"a\0b", 3, false},
    {"\0", 1, false},
    {"tester\0", 7, false},
    {"a\x1f", 2, false},
    {"\nroot", 5, false},
    {"a\x7f", 2, false},
  };
  for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
    fake_t *f = server();
    f->answer = -1;
    hear_buf(f, login_as(f, users[i].p, users[i].len));
    refused(f, users[i].ok);
    if (users[i].ok) assert_int_equal(strlen(f->user), users[i].len);
    hear_buf(f, login_as(f, users[i].p, users[i].len));
    refused(f, users[i].ok ? 2 : 0);
    fake_free(f);
  }
}

/* OpenSSL without memory makes a right signature wrong, never the reverse. */
static void test_faults(void **state)
{
  (void) state;
  static const size_t some[] = {0, 1, 5, 11};
  fake_t *of = server();
  for (size_t k = 0; k < sizeof some / sizeof some[0]; k++) {
    alk_buf_t good =
      fake_request(of, login(names[some[k]], &faces[face_for[some[k]]]));
    alk_buf_t bad = {0};
    alk_buf_add(&bad, good.p, good.len);
    bad.p[bad.len - 1] ^= 1;
    bool failed = true;
    for (unsigned long n = 1; failed; n++) {
      fake_t *f = server(), *g = server();
      f->answer = g->answer = 1;
      faults_on(n);
      fake_hear(f, bad.p, bad.len);
      faults_on(n);
      fake_hear(g, good.p, good.len);
      failed = faults_off();
      assert_int_equal(f->asked, 0);
      refused(f, 0);
      if (!failed || g->asked > 0)
        admitted(g);
      else
        refused(g, 0);
      fake_free(f);
      fake_free(g);
    }
    alk_buf_free(&good);
    alk_buf_free(&bad);
  }
  fake_free(of);
}

int main(void)
{
  /* Before OpenSSL's first allocation. */
  if (!faults_install()) return 1;
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_service),
    cmocka_unit_test(test_ext_info),
    cmocka_unit_test(test_query),
    cmocka_unit_test(test_login),
    cmocka_unit_test(test_answers_at_once),
    cmocka_unit_test(test_query_admits_nobody),
    cmocka_unit_test(test_unasked_answer),
    cmocka_unit_test(test_request_while_asked),
    cmocka_unit_test(test_strange_algorithms),
    cmocka_unit_test(test_wrong_signers),
    cmocka_unit_test(test_replays),
    cmocka_unit_test(test_forged_cert),
    cmocka_unit_test(test_every_byte_counts),
    cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_flags),
    cmocka_unit_test(test_blobs),
    cmocka_unit_test(test_methods),
    cmocka_unit_test(test_tells),
    cmocka_unit_test(test_counts),
    cmocka_unit_test(test_queries),
    cmocka_unit_test(test_counts_of_the_owner),
    cmocka_unit_test(test_services),
    cmocka_unit_test(test_user_stays),
    cmocka_unit_test(test_user_names),
    cmocka_unit_test(test_faults),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
