/* test_hosts.c - known_hosts: every form of a line, hostile files, and the
 * real ssh-keygen's -H and -F. */
#include "core/mem.h"

#include "ssh/cert.h"
#include "ssh/hosts.h"
#include "ssh/hosts_pattern.h"

#include "cert_fixtures.h"
#include "tool.h"

/* Three keys. Of two only the type is real: this code reads no further. */
#define A_KEY    \
  "ssh-ed25519 " \
  "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define B_KEY    \
  "ssh-ed25519 " \
  "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
#define RSA_KEY "ssh-rsa AAAAB3NzaC1yc2EAAAABAw=="

static alk_buf_t a, b, rsa;

static alk_buf_t blob_of(const char *line)
{
  alk_buf_t out = {0};
  const char *text = strchr(line, ' ') + 1;
  assert_true(alk_base64_decode(text, strlen(text), &out));
  return out;
}

static int setup(void **state)
{
  a = blob_of(A_KEY);
  b = blob_of(B_KEY);
  rsa = blob_of(RSA_KEY);
  return tool_setup(state);
}

static int teardown(void **state)
{
  alk_buf_free(&a);
  alk_buf_free(&b);
  alk_buf_free(&rsa);
  return tool_teardown(state);
}

/* On a copy that ends where its block ends. */
static alk_host_match_t match_len(const char *text, size_t len,
                                  const char *host, uint16_t port,
                                  const alk_buf_t *key)
{
  char *copy = alk_memdup(text, len);
  alk_host_match_t m = alk_hosts_match(copy, len, host, port, alk_buf_head(key),
                                       alk_buf_size(key));
  alk_free(copy);
  return m;
}

static alk_host_match_t match(const char *text, const char *host, uint16_t port,
                              const alk_buf_t *key)
{
  return match_len(text, strlen(text), host, port, key);
}

static void expect(const char *text, const char *host, uint16_t port,
                   const alk_buf_t *key, alk_host_verdict_t verdict,
                   unsigned line)
{
  alk_host_match_t m = match(text, host, port, key);
  if (m.verdict != verdict || m.line != line)
    fail_msg("%s:%u in \"%.120s\": verdict %d at line %u", host, port, text,
             m.verdict, m.line);
}

static void verdicts(void **state)
{
  (void) state;
  expect("", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("h " A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("h " A_KEY, "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("h " A_KEY " a comment\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("h " A_KEY "\n", "h", 22, &b, ALK_HOST_CHANGED, 1);
  expect("h " RSA_KEY "\n", "h", 22, &a, ALK_HOST_OTHER, 1);
  expect("g " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("# x\n\n  \t\nh " A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 4);
  expect(" \th\t \t" A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("#h " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
}

static void several_keys(void **state)
{
  (void) state;
  expect("h " B_KEY "\nh " A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 2);
  expect("h " A_KEY "\nh " B_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("h " RSA_KEY "\nh " B_KEY "\n", "h", 22, &a, ALK_HOST_CHANGED, 2);
  expect("h " B_KEY "\nh " RSA_KEY "\n", "h", 22, &a, ALK_HOST_CHANGED, 1);
  const char *text = "h " RSA_KEY "\ng " B_KEY "\nh " A_KEY
                     "\n@revoked h " B_KEY "\nh " B_KEY "\nh " RSA_KEY "\n";
  static const alk_buf_t none;
  alk_host_match_t m = match(text, "h", 22, &none);
  assert_int_equal(m.verdict, ALK_HOST_UNKNOWN);
  assert_int_equal(m.line, 0);
  assert_string_equal(m.types, "ssh-rsa,ssh-ed25519");
  assert_string_equal(match(text, "g", 22, &a).types, "ssh-ed25519");
  assert_string_equal(match(text, "f", 22, &a).types, "");
}

static void markers(void **state)
{
  (void) state;
  const char *both = "h " A_KEY "\n@revoked * " A_KEY "\n";
  expect(both, "h", 22, &a, ALK_HOST_REVOKED, 2);
  expect(both, "h", 22, &b, ALK_HOST_CHANGED, 1);
  expect("@revoked h " A_KEY "\nh " A_KEY "\n", "h", 22, &a, ALK_HOST_REVOKED,
         1);
  expect("@revoked h " A_KEY "\n", "h", 22, &b, ALK_HOST_UNKNOWN, 0);
  expect("@revoked g " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("@cert-authority * " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("@cert-authority * " A_KEY "\n", "h", 22, &b, ALK_HOST_UNKNOWN, 0);
  assert_string_equal(match("@cert-authority * " A_KEY "\n", "h", 22, &a).types,
                      "");
  expect("@unknown h " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("@Revoked h " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("@revoked\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("@ h " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
}

/* On a copy, as above: what the text says of a CA. */
static alk_host_match_t vouch(const char *text, const char *host, uint16_t port,
                              const alk_buf_t *ca)
{
  size_t len = strlen(text);
  char *copy = alk_memdup(text, len);
  alk_host_match_t m = alk_hosts_authority(copy, len, host, port,
                                           ca == NULL ? NULL : alk_buf_head(ca),
                                           ca == NULL ? 0 : alk_buf_size(ca));
  alk_free(copy);
  return m;
}

static void expect_ca(const char *text, const char *host, uint16_t port,
                      alk_host_verdict_t verdict, unsigned line)
{
  alk_host_match_t m = vouch(text, host, port, &a);
  if (m.verdict != verdict || m.line != line)
    fail_msg("%s:%u in \"%.120s\": verdict %d at line %u", host, port, text,
             m.verdict, m.line);
}

#define CA_LINE(names, key) "@cert-authority " names " " key "\n"

static void authorities(void **state)
{
  (void) state;
  expect_ca("", "h", 22, ALK_HOST_UNKNOWN, 0);
  expect_ca(CA_LINE("h", A_KEY), "h", 22, ALK_HOST_TRUSTED, 1);
  expect_ca(CA_LINE("h", A_KEY), "g", 22, ALK_HOST_UNKNOWN, 0);
  expect_ca(CA_LINE("*", B_KEY), "h", 22, ALK_HOST_OTHER, 1);
  expect_ca(CA_LINE("*", RSA_KEY), "h", 22, ALK_HOST_OTHER, 1);
  expect_ca(CA_LINE("*", B_KEY) CA_LINE("*.x,h", A_KEY), "h", 22,
            ALK_HOST_TRUSTED, 2);
  /* A line about a key says nothing about a CA. */
  expect_ca("h " A_KEY "\nh " B_KEY "\n", "h", 22, ALK_HOST_UNKNOWN, 0);
  expect_ca("@CERT-AUTHORITY h " A_KEY "\n", "h", 22, ALK_HOST_UNKNOWN, 0);
  expect_ca("@cert-authority h\n@cert-authority h ssh-ed25519 AAAA\n", "h", 22,
            ALK_HOST_UNKNOWN, 0);
  /* And a CA that is revoked for the host is no more, wherever that stands. */
  expect_ca(CA_LINE("*", A_KEY) "@revoked h " A_KEY "\n", "h", 22,
            ALK_HOST_REVOKED, 2);
  expect_ca("@revoked * " A_KEY "\n" CA_LINE("h", A_KEY), "h", 22,
            ALK_HOST_REVOKED, 1);
  expect_ca(CA_LINE("h", A_KEY) "@revoked g " A_KEY "\n@revoked h " B_KEY "\n",
            "h", 22, ALK_HOST_TRUSTED, 1);
  expect("@revoked h " B_KEY "\n" CA_LINE("h", A_KEY), "h", 22, &b,
         ALK_HOST_REVOKED, 1);
}

static void authorities_and_ports(void **state)
{
  (void) state;
  static const struct {
    const char *names, *host;
    uint16_t port;
    bool vouches;
  } cases[] = {
    {"h", "h", 2222, true},
    {"*.example", "a.example", 2222, true},
    {"[h]:2222", "h", 2222, true},
    {"[*.example]:2222", "a.example", 2222, true},
    {"[h]:2222", "h", 2223, false},
    {"[h]:2222", "h", 22, false},
    {"[h]:22", "h", 22, false},
    {"::1", "::1", 2222, true},
    {"*,!h", "h", 22, false},
    {"*,!h", "h", 2222, false}, /* though "[h]:2222" is no h */
    {"*,![h]:2222", "h", 2222, false},
    {"*,![h]:2222", "h", 2223, true},
    {"*,![h]:2222", "h", 22, true},
    {"!h", "g", 22, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256];
    snprintf(text, sizeof text, CA_LINE("%s", A_KEY), cases[i].names);
    expect_ca(text, cases[i].host, cases[i].port,
              cases[i].vouches ? ALK_HOST_TRUSTED : ALK_HOST_UNKNOWN,
              cases[i].vouches ? 1 : 0);
  }
}

static void hashed_authorities(void **state)
{
  (void) state;
  for (uint16_t port = 22; port <= 2222; port = (uint16_t) (port + 2200)) {
    alk_buf_t text = {0};
    alk_buf_add(&text, "@cert-authority ", 16);
    assert_true(alk_hosts_line("h", port, true, alk_buf_head(&a),
                               alk_buf_size(&a), &text));
    expect_ca(buf_text(&text), "H", port, ALK_HOST_TRUSTED, 1);
    expect_ca(buf_text(&text), "g", port, ALK_HOST_UNKNOWN, 0);
    expect_ca(buf_text(&text), "h", 2223,
              port == 22 ? ALK_HOST_TRUSTED : ALK_HOST_UNKNOWN, port == 22);
    alk_buf_free(&text);
  }
}

static void types_of_authorities(void **state)
{
  (void) state;
  const char *text = "h " A_KEY "\n" CA_LINE("*", RSA_KEY)
    CA_LINE("g", A_KEY) "@revoked h " A_KEY "\n";
  alk_host_match_t m = vouch(text, "h", 2222, NULL);
  assert_int_equal(m.verdict, ALK_HOST_UNKNOWN);
  assert_int_equal(m.line, 0);
  assert_string_equal(m.types, "ssh-rsa");
  assert_string_equal(vouch(text, "g", 22, NULL).types, "ssh-rsa,ssh-ed25519");
  assert_string_equal(match(text, "h", 22, &a).types, "ssh-ed25519");
}

static void too_large_files_vouch_for_nobody(void **state)
{
  (void) state;
  size_t len = ALK_HOSTS_MAX + 1;
  char *text = alk_alloc(len);
  memset(text, '\n', len);
  memcpy(text, CA_LINE("h", A_KEY), strlen(CA_LINE("h", A_KEY)));
  alk_host_match_t m =
    alk_hosts_authority(text, len, "h", 22, alk_buf_head(&a), alk_buf_size(&a));
  assert_int_equal(m.verdict, ALK_HOST_REVOKED);
  assert_int_equal(m.line, 0);
  m = alk_hosts_authority(text, len - 1, "h", 22, alk_buf_head(&a),
                          alk_buf_size(&a));
  assert_int_equal(m.verdict, ALK_HOST_TRUSTED);
  alk_free(text);
}

/* A certificate stands for the key in it where it is revoked, and nowhere
 * else. */
static void certificates_on_lines(void **state)
{
  (void) state;
  alk_buf_t blob = {0}, key = {0}, text = {0};
  assert_true(alk_base64_decode(cert_p256, strlen(cert_p256), &blob));
  alk_key_t *k =
    alk_cert_subject(alk_buf_head(&blob), alk_buf_size(&blob), NULL);
  assert_non_null(k);
  size_t len;
  const uint8_t *p = alk_key_blob(k, &len);
  alk_buf_add(&key, p, len);
  static const struct {
    const char *marker;
    alk_host_verdict_t verdict;
  } cases[] = {{"@revoked ", ALK_HOST_REVOKED},
               {"@cert-authority ", ALK_HOST_UNKNOWN},
               {"", ALK_HOST_OTHER}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    alk_buf_add(&text, cases[i].marker, strlen(cases[i].marker));
    const char *type = "h ecdsa-sha2-nistp256-cert-v01@openssh.com ";
    alk_buf_add(&text, type, strlen(type));
    alk_buf_add(&text, cert_p256, strlen(cert_p256));
    expect(buf_text(&text), "h", 22, &key, cases[i].verdict,
           cases[i].verdict != ALK_HOST_UNKNOWN);
    expect(buf_text(&text), "h", 22, &a,
           i == 2 ? ALK_HOST_OTHER : ALK_HOST_UNKNOWN, i == 2);
    alk_buf_free(&text);
  }
  alk_key_free(k);
  alk_buf_free(&blob);
  alk_buf_free(&key);
}

static void ports(void **state)
{
  (void) state;
  expect("[h]:2222 " A_KEY "\n", "h", 2222, &a, ALK_HOST_TRUSTED, 1);
  expect("[h]:2222 " A_KEY "\n", "h", 2223, &a, ALK_HOST_UNKNOWN, 0);
  expect("[h]:2222 " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("h " A_KEY "\n", "h", 2222, &a, ALK_HOST_UNKNOWN, 0);
  expect("[*.example]:2222 " A_KEY "\n", "a.example", 2222, &a,
         ALK_HOST_TRUSTED, 1);
  expect("*.example " A_KEY "\n", "a.example", 2222, &a, ALK_HOST_UNKNOWN, 0);
  expect("::1 " A_KEY "\n", "::1", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("[::1]:65535 " A_KEY "\n", "::1", 65535, &a, ALK_HOST_TRUSTED, 1);
  /* A revocation counts for every port. */
  expect("@revoked h " A_KEY "\n[h]:2222 " A_KEY "\n", "h", 2222, &a,
         ALK_HOST_REVOKED, 1);
  expect("@revoked [h]:22 " A_KEY "\nh " A_KEY "\n", "h", 22, &a,
         ALK_HOST_REVOKED, 1);
}

static void name_lists(void **state)
{
  (void) state;
  expect("f,g,h " A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("HoSt.Example " A_KEY "\n", "hOsT.eXample", 22, &a, ALK_HOST_TRUSTED,
         1);
  expect("*,!h " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("!h,* " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("!h,* " A_KEY "\n", "g", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("!g " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  expect("*.example,!*.bad.example " A_KEY "\n", "x.bad.example", 22, &a,
         ALK_HOST_UNKNOWN, 0);
  expect(",,h,, " A_KEY "\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect(",, " A_KEY "\n", "h", 22, &a, ALK_HOST_UNKNOWN, 0);
}

static void patterns(void **state)
{
  (void) state;
  static const struct {
    const char *pattern, *name;
    bool matches;
  } cases[] = {
    {"abc", "abc", true},   {"abc", "abcd", false},    {"abc", "ab", false},
    {"", "", false},        {"", "a", false},          {"*", "", true},
    {"*", "abc", true},     {"**", "abc", true},       {"?", "", false},
    {"?", "a", true},       {"??", "a", false},        {"a?c", "abc", true},
    {"a*c", "ac", true},    {"a*c", "abbbc", true},    {"a*c", "abbb", false},
    {"*c", "abcabc", true}, {"*bc*", "abcd", true},    {"*b?*", "ab", false},
    {"A*C", "abc", true},   {"a*b*c", "axbxc", true},  {"*?", "a", true},
    {"*a*b", "aab", true},  {"*ab*ab", "abab", true},  {"*ab*ab", "aab", false},
    {"!abc", "abc", false}, {"x,!b*,a*", "abc", true}, {"a*,!*c", "abc", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    if (alk_host_list_match(cases[i].pattern, strlen(cases[i].pattern),
                            cases[i].name) != cases[i].matches)
      fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
}

static void list_verdicts(void **state)
{
  (void) state;
  static const struct {
    const char *list;
    alk_list_says_t says;
  } cases[] = {
    {"", ALK_LIST_SILENT},          {"g", ALK_LIST_SILENT},
    {"!g", ALK_LIST_SILENT},        {"g,h", ALK_LIST_NAMES},
    {"h,!g", ALK_LIST_NAMES},       {"!h", ALK_LIST_EXCLUDES},
    {"h,!h", ALK_LIST_EXCLUDES},    {"!?,*", ALK_LIST_EXCLUDES},
    {"*,g,!h*", ALK_LIST_EXCLUDES},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_int_equal(
      alk_host_list_says(cases[i].list, strlen(cases[i].list), "h"),
      cases[i].says);
}

/* With backtracking this would not end. */
static void exponential_patterns(void **state)
{
  (void) state;
  enum { LEN = 200 * 1024 };
  char name[ALK_HOST_NAME_MAX + 1];
  memset(name, 'a', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  char *pattern = alk_alloc(LEN);
  for (size_t i = 0; i < LEN; i++)
    pattern[i] = i % 2 == 0 ? '*' : 'a';
  pattern[LEN - 1] = 'b';
  assert_false(alk_host_list_match(pattern, LEN, name));
  assert_true(alk_host_list_match(pattern, 2 * ALK_HOST_NAME_MAX, name));
  assert_false(alk_host_list_match(pattern, 2 * ALK_HOST_NAME_MAX + 2, name));
  memset(pattern, '*', LEN);
  assert_true(alk_host_list_match(pattern, LEN, name));
  for (size_t i = 0; i + 1 < LEN; i += 500) /* many, each as bad as it can be */
    memcpy(pattern + i, "*aaaaaaaab,", 11);
  assert_true(alk_host_list_match(pattern, LEN, name));
  alk_free(pattern);
}

static void lines_that_say_nothing(void **state)
{
  (void) state;
  static const char *const lines[] = {
    "h",
    "h ssh-ed25519",
    "h ssh-ed25519 ",
    "h ssh-ed25519 AAAA",
    "h ssh-ed25519 !!!!",
    "h " A_KEY "=",
    "h " A_KEY "AAA",
    "h ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    "AQEB",
    "h SSH-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
    "h 1024 35 12345678901234567890",
    "h\r" A_KEY,
    "h,\rh " A_KEY,
  };
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    expect(lines[i], "h", 22, &a, ALK_HOST_UNKNOWN, 0);
    alk_buf_t text = {0}; /* and the next line still counts */
    alk_buf_add(&text, lines[i], strlen(lines[i]));
    alk_buf_add(&text, "\nh " A_KEY, 3 + strlen(A_KEY));
    expect(buf_text(&text), "h", 22, &a, ALK_HOST_TRUSTED, 2);
    alk_buf_free(&text);
  }
}

static void bytes_of_windows(void **state)
{
  (void) state;
  expect("h " A_KEY "\r\ng " B_KEY "\r\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("h " A_KEY "\r\ng " B_KEY "\r\n", "g", 22, &b, ALK_HOST_TRUSTED, 2);
  expect("\xef\xbb\xbfh " A_KEY "\r\n", "h", 22, &a, ALK_HOST_TRUSTED, 1);
  expect("\xef\xbb\xbf@revoked h " A_KEY "\r\n", "h", 22, &a, ALK_HOST_REVOKED,
         1);
  expect("g " A_KEY "\n\xef\xbb\xbfh " A_KEY "\n", "h", 22, &a,
         ALK_HOST_UNKNOWN, 0);
}

static void nul_bytes(void **state)
{
  (void) state;
  static const char text[] =
    "h " A_KEY " \0\nh\0 " A_KEY "\n\0h " A_KEY "\nx,\0h " A_KEY "\n";
  for (size_t len = 0; len < sizeof text; len++) {
    size_t end = strlen("h " A_KEY);
    alk_host_match_t m = match_len(text, len, "h", 22, &a);
    if (len < end) /* a part of the key may be a key, but is not this one */
      assert_int_not_equal(m.verdict, ALK_HOST_TRUSTED);
    else
      assert_int_equal(m.verdict,
                       len < end + 2 ? ALK_HOST_TRUSTED : ALK_HOST_UNKNOWN);
  }
}

static void long_lines(void **state)
{
  (void) state;
  alk_buf_t text = {0};
  for (size_t i = 0; i < 64 * 1024 / 4; i++)
    alk_buf_add(&text, "x*y,", 4);
  alk_buf_add(&text, "h " A_KEY "\n", 3 + strlen(A_KEY));
  expect(buf_text(&text), "h", 22, &a, ALK_HOST_TRUSTED, 1);
  alk_buf_free(&text);
  /* Beyond the limit the whole line is nothing: its rest is not one. */
  for (size_t i = 0; i < 300 * 1024; i++)
    alk_buf_u8(&text, ' ');
  alk_buf_add(&text, "h " A_KEY "\ng " A_KEY, 6 + 2 * strlen(A_KEY) - 1);
  expect(buf_text(&text), "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  alk_buf_free(&text);
}

static void too_large_files_fail_closed(void **state)
{
  (void) state;
  size_t len = ALK_HOSTS_MAX + 1;
  char *text = alk_alloc(len);
  memset(text, '\n', len);
  memcpy(text, "h " A_KEY, strlen("h " A_KEY));
  alk_host_match_t m =
    alk_hosts_match(text, len, "h", 22, alk_buf_head(&a), alk_buf_size(&a));
  assert_int_equal(m.verdict, ALK_HOST_REVOKED);
  assert_int_equal(m.line, 0);
  m =
    alk_hosts_match(text, len - 1, "h", 22, alk_buf_head(&a), alk_buf_size(&a));
  assert_int_equal(m.verdict, ALK_HOST_TRUSTED);
  alk_free(text);
}

/* Types come from the file and go to a server: no doubles, no overflow, and
 * nothing that would be two. */
static void put_type(const char *type, alk_buf_t *text)
{
  alk_buf_t blob = {0};
  alk_buf_cstr(&blob, type);
  alk_buf_add(text, "h ", 2);
  alk_buf_add(text, type, strlen(type));
  alk_buf_u8(text, ' ');
  alk_base64_encode(alk_buf_head(&blob), alk_buf_size(&blob), text);
  alk_buf_u8(text, '\n');
  alk_buf_free(&blob);
}

static void type_lists(void **state)
{
  (void) state;
  alk_buf_t text = {0};
  for (unsigned i = 0; i < 64; i++) {
    char type[64];
    snprintf(type, sizeof type, i == 7 ? "t,%u-type" : "t-%u-type", i / 2);
    put_type(type, &text);
  }
  alk_host_match_t m = match(buf_text(&text), "h", 22, &a);
  assert_true(strlen(m.types) < sizeof m.types);
  assert_true(strlen(m.types) > sizeof m.types - 12);
  const char *start = "t-0-type,t-1-type,t-2-type,t-3-type,t-4-type,";
  assert_memory_equal(m.types, start, strlen(start));
  assert_null(strstr(m.types, "t,"));
  alk_buf_free(&text);
}

/* Four types and three commas: 255 characters fit, 256 do not. */
static void full_type_list(void **state)
{
  (void) state;
  for (size_t last = 63; last <= 64; last++) {
    alk_buf_t text = {0};
    char type[65];
    for (char c = 'a'; c <= 'd'; c++) {
      size_t len = c == 'd' ? last : 63;
      memset(type, c, len);
      type[len] = '\0';
      put_type(type, &text);
    }
    alk_host_match_t m = match(buf_text(&text), "h", 22, &a);
    assert_int_equal(strnlen(m.types, sizeof m.types), last == 63 ? 255 : 191);
    alk_buf_free(&text);
  }
}

static void names_that_are_none(void **state)
{
  (void) state;
  char giant[ALK_HOST_NAME_MAX + 2];
  memset(giant, 'a', sizeof giant - 1);
  giant[sizeof giant - 1] = '\0';
  const char *const bad[] = {"",     "a,b", "a b", "*",    "a?",   "!a",
                             "|1|a", "#a",  "@a",  "[a]",  "a\nb", "a\tb",
                             "\x7f", giant, "a\r", "\"a\""};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    expect("* " A_KEY "\n", bad[i], 22, &a, ALK_HOST_UNKNOWN, 0);
    alk_buf_t out = {0};
    assert_false(alk_hosts_line(bad[i], 22, false, alk_buf_head(&a),
                                alk_buf_size(&a), &out));
    assert_int_equal(alk_buf_size(&out), 0);
  }
  giant[ALK_HOST_NAME_MAX] = '\0';
  expect("* " A_KEY "\n", giant, 22, &a, ALK_HOST_TRUSTED, 1);
  expect("* " A_KEY "\n", giant, 65535, &a, ALK_HOST_TRUSTED, 1);
}

static void written_lines(void **state)
{
  (void) state;
  alk_buf_t out = {0};
  const uint8_t *blob = alk_buf_head(&a);
  size_t len = alk_buf_size(&a);
  assert_true(alk_hosts_line("Host.Example", 22, false, blob, len, &out));
  assert_string_equal(buf_text(&out), "host.example " A_KEY "\n");
  assert_true(alk_hosts_line("::1", 2222, false, blob, len, &out));
  assert_string_equal(buf_text(&out),
                      "host.example " A_KEY "\n[::1]:2222 " A_KEY "\n");
  assert_true(alk_hosts_line("HASHED", 2022, true, blob, len, &out));
  assert_true(alk_hosts_line("hashed", 22, true, blob, len, &out));
  assert_null(strstr(buf_text(&out), "hashed"));
  const char *text = buf_text(&out);
  expect(text, "host.example", 22, &a, ALK_HOST_TRUSTED, 1);
  expect(text, "::1", 2222, &a, ALK_HOST_TRUSTED, 2);
  expect(text, "hashed", 2022, &a, ALK_HOST_TRUSTED, 3);
  expect(text, "Hashed", 22, &a, ALK_HOST_TRUSTED, 4);
  expect(text, "hashed", 22, &b, ALK_HOST_CHANGED, 4);
  expect(text, "hashed", 23, &a, ALK_HOST_UNKNOWN, 0);
  size_t size = alk_buf_size(&out);
  assert_false(alk_hosts_line("h", 22, false, blob, 0, &out));
  assert_false(alk_hosts_line("h", 22, false, blob, 3, &out));
  assert_false(
    alk_hosts_line("h", 22, false, (const uint8_t *) "\0\0\0\3a b", 7, &out));
  assert_int_equal(alk_buf_size(&out), size);
  alk_buf_free(&out);
}

/* A hash with any letter changed, or of another form, is no one's. */
static void damaged_hashes(void **state)
{
  (void) state;
  alk_buf_t out = {0};
  assert_true(
    alk_hosts_line("h", 22, true, alk_buf_head(&a), alk_buf_size(&a), &out));
  char *text = alk_strdup(buf_text(&out));
  size_t end = (size_t) (strchr(text, ' ') - text);
  for (size_t i = 0; i < end; i++) {
    char was = text[i];
    text[i] = was == 'A' ? 'B' : 'A';
    expect(text, "h", 22, &a, ALK_HOST_UNKNOWN, 0);
    text[i] = was;
  }
  expect(text, "h", 22, &a, ALK_HOST_TRUSTED, 1);
  alk_buf_t listed = {0}; /* a hash stands alone */
  alk_buf_add(&listed, "g,", 2);
  alk_buf_add(&listed, text, strlen(text));
  expect(buf_text(&listed), "h", 22, &a, ALK_HOST_UNKNOWN, 0);
  alk_buf_free(&listed);
  alk_free(text);
  alk_buf_free(&out);
}

static void hashes_of_ssh_keygen(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  static const char text[] =
    "plain.example,192.0.2.7 " A_KEY "\n[port.example]:2222 " A_KEY
    "\n::1 " A_KEY "\n@revoked bad.example " A_KEY "\n";
  file_write("known_hosts", text, strlen(text));
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-H", "-f", "known_hosts"), 0);
  alk_buf_t hashed = {0};
  file_read("known_hosts", &hashed);
  const char *p = buf_text(&hashed);
  assert_non_null(strstr(p, "|1|"));
  assert_null(strstr(p, "plain.example"));
  assert_int_equal(match(p, "plain.example", 22, &a).verdict, ALK_HOST_TRUSTED);
  assert_int_equal(match(p, "192.0.2.7", 22, &a).verdict, ALK_HOST_TRUSTED);
  assert_int_equal(match(p, "192.0.2.8", 22, &a).verdict, ALK_HOST_UNKNOWN);
  assert_int_equal(match(p, "::1", 22, &b).verdict, ALK_HOST_CHANGED);
  assert_int_equal(match(p, "port.example", 2222, &a).verdict,
                   ALK_HOST_TRUSTED);
  assert_int_equal(match(p, "port.example", 22, &a).verdict, ALK_HOST_UNKNOWN);
  assert_int_equal(match(p, "bad.example", 22, &a).verdict, ALK_HOST_REVOKED);
  alk_buf_free(&hashed);
}

static void lines_for_ssh_keygen(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  alk_buf_t out = {0};
  const uint8_t *blob = alk_buf_head(&a);
  size_t len = alk_buf_size(&a);
  assert_true(alk_hosts_line("plain.example", 22, false, blob, len, &out));
  assert_true(alk_hosts_line("plain.example", 2222, false, blob, len, &out));
  assert_true(alk_hosts_line("hashed.example", 22, true, blob, len, &out));
  assert_true(alk_hosts_line("Hashed.Example", 2222, true, blob, len, &out));
  assert_true(alk_hosts_line("2001:db8::1", 2222, true, blob, len, &out));
  file_write("known_hosts", alk_buf_head(&out), alk_buf_size(&out));
  alk_buf_free(&out);
  static const char *const found[] = {"plain.example", "[plain.example]:2222",
                                      "hashed.example", "[hashed.example]:2222",
                                      "[2001:db8::1]:2222"};
  for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
    char where[64];
    snprintf(where, sizeof where, "found: line %zu", i + 1);
    assert_int_equal(
      TOOL(&out, "ssh-keygen", "-F", found[i], "-f", "known_hosts"), 0);
    assert_non_null(strstr(buf_text(&out), where));
    alk_buf_free(&out);
  }
  assert_int_not_equal(
    TOOL(NULL, "ssh-keygen", "-F", "[hashed.example]:2", "-f", "known_hosts"),
    0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(verdicts),
    cmocka_unit_test(several_keys),
    cmocka_unit_test(markers),
    cmocka_unit_test(authorities),
    cmocka_unit_test(authorities_and_ports),
    cmocka_unit_test(hashed_authorities),
    cmocka_unit_test(types_of_authorities),
    cmocka_unit_test(too_large_files_vouch_for_nobody),
    cmocka_unit_test(certificates_on_lines),
    cmocka_unit_test(ports),
    cmocka_unit_test(name_lists),
    cmocka_unit_test(patterns),
    cmocka_unit_test(list_verdicts),
    cmocka_unit_test(exponential_patterns),
    cmocka_unit_test(lines_that_say_nothing),
    cmocka_unit_test(bytes_of_windows),
    cmocka_unit_test(nul_bytes),
    cmocka_unit_test(long_lines),
    cmocka_unit_test(too_large_files_fail_closed),
    cmocka_unit_test(type_lists),
    cmocka_unit_test(full_type_list),
    cmocka_unit_test(names_that_are_none),
    cmocka_unit_test(written_lines),
    cmocka_unit_test(damaged_hashes),
    cmocka_unit_test(hashes_of_ssh_keygen),
    cmocka_unit_test(lines_for_ssh_keygen),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
