/* test_cert_check.c - what certificates may be used for: kind, time, principals
 * and options, as a matrix. */
#include "core/mem.h"

#include "ssh/cert.h"

#include "cert_build.h"
#include "key_cases.h"

enum { NOW = 1000 };

static alk_key_t *ca, *key;

static spec_t spec(alk_cert_kind_t kind)
{
  return (spec_t){
    .key = key, .ca = ca, .kind = kind, .before = UINT64_MAX, .serial = 1};
}

static alk_cert_t *make(const spec_t *s)
{
  alk_err_t err = {0};
  alk_buf_t b = cert_build(s);
  alk_cert_t *c = alk_cert_read(b.p, alk_buf_size(&b), &err);
  assert_string_equal(err.msg, "");
  assert_non_null(c);
  alk_buf_free(&b);
  return c;
}

/* why NULL: it passes. */
static void check(const spec_t *s, alk_cert_kind_t want, const char *principal,
                  uint64_t now, const char *why)
{
  alk_err_t err = {0};
  alk_cert_t *c = make(s);
  bool ok = alk_cert_check(c, want, principal, now, &err);
  assert_int_equal(alk_cert_check(c, want, principal, now, NULL), ok);
  alk_cert_free(c);
  if (ok != (why == NULL) || strstr(err.msg, why == NULL ? "" : why) == NULL)
    fail_msg("expected %s for %s: %s", why == NULL ? "a yes" : why,
             principal == NULL ? "(any)" : principal, ok ? "yes" : err.msg);
  if (ok)
    assert_int_equal(err.code, ALK_OK);
  else
    assert_int_equal(err.code,
                     want == ALK_CERT_HOST ? ALK_E_HOSTKEY : ALK_E_AUTH);
}

static void kinds(void **state)
{
  (void) state;
  spec_t user = spec(ALK_CERT_USER), host = spec(ALK_CERT_HOST);
  check(&user, ALK_CERT_USER, "bob", NOW, NULL);
  check(&host, ALK_CERT_HOST, "bob", NOW, NULL);
  check(&user, ALK_CERT_HOST, "bob", NOW, "it is not a host's");
  check(&host, ALK_CERT_USER, "bob", NOW, "it is not a user's");
  check(&user, ALK_CERT_HOST, NULL, NOW, "it is not a host's");
  check(&host, ALK_CERT_USER, NULL, NOW, "it is not a user's");
}

static void times(void **state)
{
  (void) state;
  static const char early[] = "it is not yet valid", late[] = "it has expired";
  static const struct {
    uint64_t after, before, now;
    const char *why;
  } cases[] = {
    {0, UINT64_MAX, 0, NULL},
    {0, UINT64_MAX, UINT64_MAX - 1, NULL},
    {0, UINT64_MAX, UINT64_MAX, late},
    {0, 0, 0, late},
    {0, 1, 0, NULL},
    {0, 1, 1, late},
    {1, 2, 0, early},
    {1, 2, 1, NULL},
    {1, 2, 2, late},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX - 1, early},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, late},
    {UINT64_MAX, 0, NOW, early},
    {2000, 1000, 1500, early},
    {2000, 1000, 2500, late},
    {(uint64_t) 1 << 63, UINT64_MAX, NOW, early},
    {0, (uint64_t) 1 << 63, NOW, NULL},
    {0, (uint64_t) 1 << 32, ((uint64_t) 1 << 32) + 1, late},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(ALK_CERT_USER);
    s.after = cases[i].after;
    s.before = cases[i].before;
    check(&s, ALK_CERT_USER, "alice", cases[i].now, cases[i].why);
  }
}

static void users(void **state)
{
  (void) state;
  static const char no[] = "it is not for this user";
  static const char nobody[] = "it names nobody";
  static const struct {
    lit_t principals;
    const char *user, *why;
  } cases[] = {
#define CASE(list, user, why) {{(list), sizeof(list) - 1u}, user, why}
    CASE("\0\0\0\5alice\0\0\0\3bob", "alice", NULL),
    CASE("\0\0\0\5alice\0\0\0\3bob", "bob", NULL),
    CASE("\0\0\0\5alice\0\0\0\3bob", NULL, NULL),
    CASE("\0\0\0\5alice\0\0\0\3bob", "carol", no),
    CASE("\0\0\0\5alice\0\0\0\3bob", "Alice", no),
    CASE("\0\0\0\5alice\0\0\0\3bob", "alic", no),
    CASE("\0\0\0\5alice\0\0\0\3bob", "alice ", no),
    CASE("\0\0\0\5alice\0\0\0\3bob", "alicebob", no),
    CASE("\0\0\0\5alice\0\0\0\3bob", "", no),
    CASE("", "alice", nobody),
    CASE("", "", nobody),
    CASE("", NULL, nobody),
    CASE("\0\0\0\0", "", no),
    CASE("\0\0\0\0", "alice", no),
    CASE("\0\0\0\12alice,root", "alice", no),
    CASE("\0\0\0\12alice,root", "root", no),
    CASE("\0\0\0\1*", "alice", no),
    CASE("\0\0\0\5alic?", "alice", no),
    CASE("\0\0\0\5!root", "alice", no),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(ALK_CERT_USER);
    s.principals = cases[i].principals;
    check(&s, ALK_CERT_USER, cases[i].user, NOW, cases[i].why);
  }
}

static void hosts(void **state)
{
  (void) state;
  static const char no[] = "it is not for this host";
  static const char nobody[] = "it names nobody";
  static const struct {
    lit_t principals;
    const char *host, *why;
  } cases[] = {
#define CASE(list, host, why) {{(list), sizeof(list) - 1u}, host, why}
    CASE("\0\0\0\1a\0\0\0\6host.x", "host.x", NULL),
    CASE("\0\0\0\1a\0\0\0\6host.x", NULL, NULL),
    CASE("\0\0\0\1a\0\0\0\6host.x", "HOST.x", NULL),
    CASE("\0\0\0\1a\0\0\0\6Host.X", "host.x", NULL),
    CASE("\0\0\0\1a\0\0\0\6host.x", "host.x.evil", no),
    CASE("\0\0\0\1a\0\0\0\6host.x", "ahost.x", no),
    CASE("\0\0\0\1a\0\0\0\6host.x", "", no),
    CASE("", "host.x", nobody),
    CASE("", NULL, nobody),
    CASE("\0\0\0\0", "", no),
    CASE("\0\0\0\3*.x", "host.x", NULL),
    CASE("\0\0\0\3*.x", "a.b.x", NULL),
    CASE("\0\0\0\3*.x", "x", no),
    CASE("\0\0\0\3*.x", "host.xx", no),
    CASE("\0\0\0\6h?st.x", "host.x", NULL),
    CASE("\0\0\0\6h?st.x", "hst.x", no),
    CASE("\0\0\0\1*", "", no),
    CASE("\0\0\0\1*", "host.x", NULL),
    CASE("\0\0\0\1*", "*", NULL),
    CASE("\0\0\0\6host.x", "*", no), /* the pattern is the CA's, not ours */
    CASE("\0\0\0\6host.x", "h?st.x", no),
    CASE("\0\0\0\10a,host.x", "host.x", no),
    CASE("\0\0\0\10host.x,a", "host.x", no),
    CASE("\0\0\0\2,*", "host.x", no),
    CASE("\0\0\0\3!ab", "host.x", no),
    CASE("\0\0\0\2!*\0\0\0\6host.x", "host.x", NULL),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(ALK_CERT_HOST);
    s.principals = cases[i].principals;
    check(&s, ALK_CERT_HOST, cases[i].host, NOW, cases[i].why);
  }
}

/* A pattern as long as a certificate can hold, made to be tried again and
 * again; and names of the longest length, and longer. */
static void long_names(void **state)
{
  (void) state;
  enum { PATTERN = 12000, NAME = 1025 };
  alk_buf_t principals = {0};
  char *pattern = alk_alloc(PATTERN), *name = alk_alloc(NAME + 2);
  for (size_t i = 0; i < PATTERN; i++)
    pattern[i] = i % 2 == 0 ? '*' : 'a';
  pattern[PATTERN - 2] = 'b';
  memset(name, 'a', NAME);
  alk_buf_str(&principals, pattern, PATTERN - 1);
  spec_t s = spec(ALK_CERT_HOST);
  s.principals =
    (lit_t){(const char *) principals.p, alk_buf_size(&principals)};
  check(&s, ALK_CERT_HOST, name, NOW, "not for this host");
  s.principals = LIT("\0\0\0\3*aa");
  check(&s, ALK_CERT_HOST, name, NOW, NULL);
  name[NAME] = 'a';
  check(&s, ALK_CERT_HOST, name, NOW, "not for this host");
  alk_buf_free(&principals);
  alk_free(pattern);
  alk_free(name);
}

static void options(void **state)
{
  (void) state;
  static const char unknown[] = "it has a critical option that is not known";
  static const char damaged[] = "one of its critical options is damaged";
  static const struct {
    lit_t critical;
    const char *why; /* for a user's; a host's is always refused */
  } cases[] = {
#define CASE(list, why) {{(list), sizeof(list) - 1u}, why}
    CASE("\0\0\0\15force-command\0\0\0\6\0\0\0\2ls", NULL),
    CASE("\0\0\0\16source-address\0\0\0\5\0\0\0\1*", NULL),
    CASE("\0\0\0\17verify-required\0\0\0\0", NULL),
    CASE("\0\0\0\15force-command\0\0\0\6\0\0\0\2ls"
         "\0\0\0\16source-address\0\0\0\5\0\0\0\1*"
         "\0\0\0\17verify-required\0\0\0\0",
         NULL),
    CASE("\0\0\0\16permit-listen!\0\0\0\0", unknown),
    CASE("\0\0\0\12permit-pty\0\0\0\0", unknown),
    CASE("\0\0\0\15Force-command\0\0\0\6\0\0\0\2ls", unknown),
    CASE("\0\0\0\16force-command2\0\0\0\6\0\0\0\2ls", unknown),
    CASE("\0\0\0\0\0\0\0\0", unknown),
    CASE("\0\0\0\15force-command\0\0\0\6\0\0\0\2ls\0\0\0\1x\0\0\0\0", unknown),
    CASE("\0\0\0\15force-command\0\0\0\0", damaged),
    CASE("\0\0\0\15force-command\0\0\0\2ls", damaged),
    CASE("\0\0\0\15force-command\0\0\0\7\0\0\0\2ls!", damaged),
    CASE("\0\0\0\15force-command\0\0\0\6\0\0\0\2l\0", damaged),
    CASE("\0\0\0\16source-address\0\0\0\6\0\0\0\3ab", damaged),
    CASE("\0\0\0\16source-address\0\0\0\7\0\0\0\3a\0b", damaged),
    CASE("\0\0\0\17verify-required\0\0\0\4\0\0\0\0", damaged),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(ALK_CERT_USER);
    s.critical = cases[i].critical;
    check(&s, ALK_CERT_USER, "alice", NOW, cases[i].why);
    s.kind = ALK_CERT_HOST;
    check(&s, ALK_CERT_HOST, "alice", NOW, unknown);
  }
}

static void extensions(void **state)
{
  (void) state;
  static const char damaged[] = "one of its extensions is damaged";
  static const struct {
    lit_t list;
    const char *why;
  } cases[] = {
#define CASE(list, why) {{(list), sizeof(list) - 1u}, why}
    CASE("\0\0\0\26permit-port-forwarding\0\0\0\0", NULL),
    CASE("\0\0\0\15scopes@alknet\0\0\0\5\0\0\0\1a", NULL),
    CASE("\0\0\0\15force-command\0\0\0\0", NULL),
    CASE("\0\0\0\1a\0\0\0\1\xff\0\0\0\12permit-pty\0\0\0\0", NULL),
    CASE("\0\0\0\26permit-port-forwarding\0\0\0\1\0", damaged),
    CASE("\0\0\0\12permit-pty\0\0\0\4\0\0\0\0", damaged),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(ALK_CERT_USER);
    s.extensions = cases[i].list;
    check(&s, ALK_CERT_USER, "alice", NOW, cases[i].why);
    s.kind = ALK_CERT_HOST; /* none has a meaning there */
    check(&s, ALK_CERT_HOST, "alice", NOW, NULL);
  }
}

/* What is wrong in several ways is refused for the first of them. */
static void order(void **state)
{
  (void) state;
  spec_t s = spec(ALK_CERT_USER);
  s.after = 2 * NOW;
  s.principals = LIT("");
  s.critical = LIT("\0\0\0\1x\0\0\0\0");
  check(&s, ALK_CERT_HOST, "alice", NOW, "it is not a host's");
  check(&s, ALK_CERT_USER, "alice", NOW, "it is not yet valid");
  s.after = 0;
  check(&s, ALK_CERT_USER, "alice", NOW, "it names nobody");
  s.principals = (lit_t){0};
  check(&s, ALK_CERT_USER, "carol", NOW, "not for this user");
  check(&s, ALK_CERT_USER, "alice", NOW, "not known");
}

static int setup(void **state)
{
  (void) state;
  ca = read_key(fixture_ed25519);
  key = read_key(fixture_p256);
  return 0;
}

static int teardown(void **state)
{
  (void) state;
  alk_key_free(ca);
  alk_key_free(key);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(kinds),      cmocka_unit_test(times),
    cmocka_unit_test(users),      cmocka_unit_test(hosts),
    cmocka_unit_test(long_names), cmocka_unit_test(options),
    cmocka_unit_test(extensions), cmocka_unit_test(order),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
