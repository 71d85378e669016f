/* test_socks_codec.c - every SOCKS message: cut at every byte, at its limits,
 * and wrong in every way that has a name. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/socks_codec.h"

/* Bytes with their length; a literal's own NUL does not count. */
#define BYTES(text) (const uint8_t *) (text), sizeof(text) - 1

typedef int (*parser_t)(const uint8_t *p, size_t n);

static bool offered;
static alk_socks_login_t login;
static alk_socks_request_t req;

static int greeting(const uint8_t *p, size_t n)
{
  return alk_socks5_parse_greeting(p, n, ALK_SOCKS_NONE, &offered);
}

static int login_of(const uint8_t *p, size_t n)
{
  return alk_socks5_parse_login(p, n, &login);
}

static int request5(const uint8_t *p, size_t n)
{
  return alk_socks5_parse_request(p, n, &req);
}

static int request4(const uint8_t *p, size_t n)
{
  return alk_socks4_parse_request(p, n, &req);
}

static const parser_t parsers[] = {greeting, login_of, request5, request4};
static const uint8_t first_byte[] = {5, 1, 5, 4};

/* From memory of just that size, so that ASan and valgrind see a byte read too
 * many. */
static int parse(parser_t parser, const uint8_t *p, size_t n)
{
  uint8_t *copy = malloc(n > 0 ? n : 1);
  assert_non_null(copy);
  memcpy(copy, p, n);
  int rc = parser(n > 0 ? copy : NULL, n);
  free(copy);
  assert_true(rc <= (int) n);
  return rc;
}

/* A whole message: every shorter one is "more", and what follows is not used.
 */
static void takes(parser_t parser, const uint8_t *p, size_t n)
{
  uint8_t longer[ALK_SOCKS_MAX + 64];
  assert_true(n <= ALK_SOCKS_MAX);
  for (size_t cut = 0; cut < n; cut++)
    assert_int_equal(parse(parser, p, cut), 0);
  for (int filler = 0; filler < 256; filler += 51) {
    memset(longer, filler, sizeof longer);
    memcpy(longer, p, n);
    assert_int_equal(parse(parser, longer, sizeof longer), n);
  }
  assert_int_equal(parse(parser, p, n), n);
}

/* A wrong one: "more" until the byte that makes it wrong, the same verdict from
 * there on. Returns the length at which the verdict falls. */
static size_t refuses(parser_t parser, const uint8_t *p, size_t n, int verdict)
{
  size_t at = 0;
  for (size_t cut = 0; cut <= n; cut++) {
    int rc = parse(parser, p, cut);
    if (rc == 0 && at == 0) continue;
    assert_int_equal(rc, verdict);
    if (at == 0) at = cut;
  }
  assert_true(at > 0);
  return at;
}

static void assert_req(uint8_t version, const char *host, uint16_t port)
{
  assert_int_equal(req.version, version);
  assert_string_equal(req.host, host);
  assert_int_equal(req.port, port);
}

/* Messages built for the limits. */
static uint8_t msg[1024];
static size_t len;

static void start(void)
{
  len = 0;
}

static void put(int byte)
{
  assert_true(len < sizeof msg);
  msg[len++] = (uint8_t) byte;
}

static void put_run(int byte, size_t n)
{
  while (n-- > 0)
    put(byte);
}

static void put_name_request(const uint8_t *name, size_t n, uint16_t port)
{
  start();
  put(5);
  put(1);
  put(0);
  put(3);
  put((int) n);
  for (size_t i = 0; i < n; i++)
    put(name[i]);
  put(port >> 8);
  put(port & 0xff);
}

static void put_socks4(int ip_end, size_t user_len, size_t name_len)
{
  start();
  put(4);
  put(1);
  put(0x1f);
  put(0x90);
  put_run(0, 3);
  put(ip_end);
  put_run('u', user_len);
  put(0);
  if (name_len == SIZE_MAX) return;
  put_run('n', name_len);
  put(0);
}

static void greetings(void **state)
{
  (void) state;
  takes(greeting, BYTES("\x05\x01\x00"));
  assert_true(offered);
  takes(greeting, BYTES("\x05\x03\x02\x01\x00"));
  assert_true(offered);
  takes(greeting, BYTES("\x05\x02\x01\x02"));
  assert_false(offered);
  offered = true;
  takes(greeting, BYTES("\x05\x00"));
  assert_false(offered);
  for (int last = 0; last < 2; last++) {
    start();
    put(5);
    put(255);
    put_run(0x80, 254);
    put(last == 1 ? 0 : 0x80);
    takes(greeting, msg, len);
    assert_int_equal(offered, last == 1);
  }
  assert_int_equal(alk_socks5_parse_greeting(BYTES("\x05\x02\x00\x02"),
                                             ALK_SOCKS_USERPASS, &offered),
                   4);
  assert_true(offered);
  /* The method is looked for in the list, not in what follows it. */
  assert_int_equal(alk_socks5_parse_greeting(BYTES("\x05\x01\x00\x02"),
                                             ALK_SOCKS_USERPASS, &offered),
                   3);
  assert_false(offered);
}

static void logins(void **state)
{
  (void) state;
  memset(&login, 'x', sizeof login);
  takes(login_of, BYTES("\x01\x04user\x06secret"));
  assert_string_equal(login.user, "user");
  assert_string_equal(login.password, "secret");
  for (size_t i = strlen("user"); i < sizeof login.user; i++)
    assert_int_equal(login.user[i], 0);
  for (size_t i = strlen("secret"); i < sizeof login.password; i++)
    assert_int_equal(login.password[i], 0);
  takes(login_of, BYTES("\x01\x01u\x01p"));
  takes(login_of, BYTES("\x01\x00\x00"));
  assert_string_equal(login.user, "");
  assert_string_equal(login.password, "");
  takes(login_of, BYTES("\x01\x02\xc3\xa9\x01\x80")); /* any byte but NUL */
  assert_string_equal(login.user, "\xc3\xa9");
  start();
  put(1);
  put(255);
  put_run('u', 255);
  put(255);
  put_run('p', 255);
  takes(login_of, msg, len);
  assert_int_equal(strlen(login.user), 255);
  assert_int_equal(strlen(login.password), 255);
}

static void bad_logins(void **state)
{
  (void) state;
  refuses(login_of, BYTES("\x01\x04u\0er\x01p"), ALK_SOCKS_E_SYNTAX);
  refuses(login_of, BYTES("\x01\x01u\x03p\0p"), ALK_SOCKS_E_SYNTAX);
  refuses(login_of, BYTES("\x01\x01\0\x01p"), ALK_SOCKS_E_SYNTAX);
}

static void addresses(void **state)
{
  (void) state;
  takes(request5, BYTES("\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"));
  assert_req(5, "127.0.0.1", 80);
  takes(request5, BYTES("\x05\x01\x00\x01\xff\xff\xff\xff\xff\xff"));
  assert_req(5, "255.255.255.255", 65535);
  takes(request5, BYTES("\x05\x01\xff\x01\x00\x00\x00\x00\x00\x01"));
  assert_req(5, "0.0.0.0", 1);
  takes(request5, BYTES("\x05\x01\x00\x04\xfd\x00\x0e\xc2\0\0\0\0\0\0\0\0\0\0"
                        "\x02\x54\x01\xbb"));
  assert_req(5, "fd00:ec2::254", 443);
}

static void names(void **state)
{
  (void) state;
  uint8_t name[255];
  memset(name, 'n', sizeof name);
  for (size_t n = 1; n <= sizeof name; n += 127) {
    put_name_request(name, n, 443);
    takes(request5, msg, len);
    assert_int_equal(strlen(req.host), n);
    assert_memory_equal(req.host, name, n);
    assert_int_equal(req.port, 443);
  }
  /* Exactly as sent: nothing is looked at twice. */
  static const char *const odd[] = {
    "localhost.", "127.0.0.1",  "[::1]",          "::1", "EXAMPLE.com", "a..b",
    "-x",         "2130706433", "alknet-control", "%00"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    put_name_request((const uint8_t *) odd[i], strlen(odd[i]), 8080);
    takes(request5, msg, len);
    assert_req(5, odd[i], 8080);
  }
}

/* Every byte, at the front, in the middle and at the end of a name. */
static void name_bytes(void **state)
{
  (void) state;
  for (int byte = 0; byte < 256; byte++)
    for (size_t at = 0; at < 3; at++) {
      uint8_t name[3] = {'a', 'b', 'c'};
      name[at] = (uint8_t) byte;
      put_name_request(name, sizeof name, 80);
      bool good = byte > 0x20 && byte < 0x7f;
      assert_int_equal(parse(request5, msg, len),
                       good ? (int) len : ALK_SOCKS_E_SYNTAX);
      if (byte == 0) continue; /* ends the name in SOCKS4 */
      put_socks4(1, 0, sizeof name);
      memcpy(msg + len - 4, name, sizeof name);
      assert_int_equal(parse(request4, msg, len),
                       good ? (int) len : ALK_SOCKS_E_SYNTAX);
      if (good) assert_memory_equal(req.host, name, sizeof name);
    }
}

/* Port 0 is the far end's to judge: alknet-control:0 is a real destination. */
static void port_0(void **state)
{
  (void) state;
  takes(request5, BYTES("\x05\x01\x00\x03\x08"
                        "alknet-x\x00\x00"));
  assert_req(5, "alknet-x", 0);
  takes(request5, BYTES("\x05\x01\x00\x01\x7f\0\0\x01\0\0"));
  assert_req(5, "127.0.0.1", 0);
  takes(request5, BYTES("\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                        "\0\0"));
  assert_req(5, "::1", 0);
  takes(request4, BYTES("\x04\x01\0\0\x7f\0\0\x01\0"));
  assert_req(4, "127.0.0.1", 0);
  takes(request4, BYTES("\x04\x01\0\0\0\0\0\x01\0alknet-x\0"));
  assert_req(4, "alknet-x", 0);
}

static void bad_requests(void **state)
{
  (void) state;
  refuses(request5, BYTES("\x05\x01\x00\x03\x00\x00\x50"), ALK_SOCKS_E_SYNTAX);
  for (int byte = 0; byte < 256; byte++) {
    uint8_t m[] = {5, 1, 0, 1, 127, 0, 0, 1, 0, 80};
    m[1] = (uint8_t) byte;
    if (byte != 1)
      assert_int_equal(refuses(request5, m, sizeof m, ALK_SOCKS_E_COMMAND), 2);
    m[1] = 1;
    m[3] = (uint8_t) byte;
    if (byte != 1 && byte != 3 && byte != 4)
      assert_int_equal(refuses(request5, m, sizeof m, ALK_SOCKS_E_ATYP), 4);
  }
}

/* No version but its own, and that at the first byte. */
static void versions(void **state)
{
  (void) state;
  for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++)
    for (int byte = 0; byte < 256; byte++) {
      uint8_t m[32] = {(uint8_t) byte, 1};
      if (byte == first_byte[i])
        assert_int_equal(parse(parsers[i], m, 1), 0);
      else
        assert_int_equal(refuses(parsers[i], m, sizeof m, ALK_SOCKS_E_VERSION),
                         1);
    }
}

static void socks4(void **state)
{
  (void) state;
  takes(request4, BYTES("\x04\x01\x00\x50\x7f\x00\x00\x01\x00"));
  assert_req(4, "127.0.0.1", 80);
  takes(request4, BYTES("\x04\x01\x01\xbb\xc0\x00\x02\x07user\x00"));
  assert_req(4, "192.0.2.7", 443);
  takes(request4, BYTES("\x04\x01\x01\xbb\x00\x00\x00\x00\x00"));
  assert_req(4, "0.0.0.0", 443); /* not 4a */
  takes(request4, BYTES("\x04\x01\x01\xbb\x00\x00\x01\x00\x00"));
  assert_req(4, "0.0.1.0", 443); /* nor this */
  takes(request4, BYTES("\x04\x01\x01\xbb\x00\x01\x00\x01\x00"));
  assert_req(4, "0.1.0.1", 443);
  takes(request4, BYTES("\x04\x01\x01\xbb\x01\x00\x00\x01\x00"));
  assert_req(4, "1.0.0.1", 443);
  takes(request4, BYTES("\x04\x01\x00\x50\0\0\0\x01u\x01\xff\0example.com\0"));
  assert_req(4, "example.com", 80);
  takes(request4, BYTES("\x04\x01\x00\x50\0\0\0\xff\0n\0"));
  assert_req(4, "n", 80);
}

static void socks4_limits(void **state)
{
  (void) state;
  put_socks4(1, 255, 255);
  assert_int_equal(len, ALK_SOCKS_MAX);
  takes(request4, msg, len);
  assert_int_equal(strlen(req.host), 255);
  /* One byte more in either field: known at that byte, ended or not. */
  put_socks4(1, 256, 1);
  assert_int_equal(refuses(request4, msg, len, ALK_SOCKS_E_SYNTAX), 8 + 256);
  put_socks4(1, 0, 256);
  assert_int_equal(refuses(request4, msg, len, ALK_SOCKS_E_SYNTAX),
                   8 + 1 + 256);
  put_socks4(1, 0, 0); /* an empty name */
  refuses(request4, msg, len, ALK_SOCKS_E_SYNTAX);
  put_socks4(1, 600, SIZE_MAX); /* a user without end */
  assert_int_equal(refuses(request4, msg, len - 1, ALK_SOCKS_E_SYNTAX),
                   8 + 256);
  for (int byte = 0; byte < 256; byte++) {
    uint8_t m[] = {4, 1, 0, 80, 127, 0, 0, 1, 0};
    m[1] = (uint8_t) byte;
    if (byte != 1)
      assert_int_equal(refuses(request4, m, sizeof m, ALK_SOCKS_E_COMMAND), 2);
  }
}

/* The buffer of the handshake rests on this. */
static void never_more_at_the_limit(void **state)
{
  (void) state;
  static const uint8_t fillers[] = {0, 1, 3, 4, 'a', 0x7f, 0x80, 0xff};
  uint8_t m[ALK_SOCKS_MAX];
  for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++)
    for (size_t f = 0; f < sizeof fillers; f++)
      for (int second = 0; second < 256; second++) {
        memset(m, fillers[f], sizeof m);
        m[0] = first_byte[i];
        m[1] = (uint8_t) second;
        assert_int_not_equal(parse(parsers[i], m, sizeof m), 0);
        m[3] = 3; /* a name, and fillers are its length */
        assert_int_not_equal(parse(parsers[i], m, sizeof m), 0);
      }
}

static const char *ipv6_text(const uint8_t ip[16])
{
  uint8_t m[22] = {5, 1, 0, 4};
  memcpy(m + 4, ip, 16);
  m[21] = 80;
  assert_int_equal(parse(request5, m, sizeof m), sizeof m);
  return req.host;
}

/* RFC 5952, section by section. */
static void ipv6_rules(void **state)
{
  (void) state;
  static const struct {
    const char *any, *canonical;
  } rules[] = {
    {"0:0:0:0:0:0:0:0", "::"},
    {"0:0:0:0:0:0:0:1", "::1"},
    {"1:0:0:0:0:0:0:0", "1::"},
    {"2001:0db8::0001", "2001:db8::1"},
    {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
    {"0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"},
    {"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"},
    {"0:0:2:3:4:5:6:7", "::2:3:4:5:6:7"},
    {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
    {"2001:DB8::ABCD", "2001:db8::abcd"},
    {"::ffff:169.254.169.254", "::ffff:169.254.169.254"},
    {"::ffff:0:0", "::ffff:0.0.0.0"},
    {"::1.2.3.4", "::102:304"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"fe80::1", "fe80::1"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    uint8_t ip[16];
    assert_int_equal(inet_pton(AF_INET6, rules[i].any, ip), 1);
    assert_string_equal(ipv6_text(ip), rules[i].canonical);
  }
}

/* Every pattern of zero and other groups goes there and back. */
static void ipv6_round_trips(void **state)
{
  (void) state;
  static const uint16_t other[] = {0x1, 0xab, 0xcde, 0xffff};
  for (unsigned pattern = 0; pattern < 256; pattern++)
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
      uint8_t ip[16] = {0}, back[16];
      for (size_t g = 0; g < 8; g++)
        if (pattern >> g & 1) {
          ip[2 * g] = (uint8_t) (other[k] >> 8);
          ip[2 * g + 1] = (uint8_t) other[k];
        }
      const char *text = ipv6_text(ip);
      assert_int_equal(inet_pton(AF_INET6, text, back), 1);
      assert_memory_equal(ip, back, sizeof ip);
      assert_null(strstr(text, ":::"));
    }
}

static void replies(void **state)
{
  (void) state;
  uint8_t out[ALK_SOCKS_REPLY_MAX];
  for (int rep = 0; rep < 256; rep++) {
    memset(out, 0xee, sizeof out);
    assert_int_equal(alk_socks_put_reply(out, 5, (uint8_t) rep), 10);
    const uint8_t want5[10] = {5, (uint8_t) rep, 0, 1};
    assert_memory_equal(out, want5, sizeof want5);
    memset(out, 0xee, sizeof out);
    assert_int_equal(alk_socks_put_reply(out, 4, (uint8_t) rep), 8);
    const uint8_t want4[8] = {0, rep == 0 ? 90 : 91};
    assert_memory_equal(out, want4, sizeof want4);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(greetings),     cmocka_unit_test(logins),
    cmocka_unit_test(bad_logins),    cmocka_unit_test(addresses),
    cmocka_unit_test(names),         cmocka_unit_test(name_bytes),
    cmocka_unit_test(port_0),        cmocka_unit_test(bad_requests),
    cmocka_unit_test(versions),      cmocka_unit_test(socks4),
    cmocka_unit_test(socks4_limits), cmocka_unit_test(never_more_at_the_limit),
    cmocka_unit_test(ipv6_rules),    cmocka_unit_test(ipv6_round_trips),
    cmocka_unit_test(replies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
