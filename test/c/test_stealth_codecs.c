/* test_stealth_codecs.c - what nginx makes of heads, bodies and first bytes,
 * and its pages. Compared with nginx itself they are in test/interop; here are
 * the edges, and that it makes no difference how the bytes were cut. */
#include "stealth/body_codec.h"
#include "stealth/field_codec.h"
#include "stealth/first_codec.h"
#include "stealth/head_codec.h"
#include "stealth/page_codec.h"

#include "helpers.h"

#define HOST "Host: a\r\n"

typedef struct {
  bool done;
  uint16_t page;
  size_t used;
  bool keeps;
} seen_t;

static seen_t take(const char *text, size_t len, size_t step)
{
  alk_head_t h = {0};
  size_t used = 0;
  while (used < len && !h.done) {
    size_t n = len - used < step ? len - used : step;
    /* From memory of just that size, so that a byte too many is seen. */
    uint8_t *copy = alk_memdup(text + used, n);
    used += alk_head_take(&h, copy, n);
    alk_free(copy);
  }
  seen_t seen = {h.done, h.page, used, h.keeps};
  alk_head_free(&h);
  return seen;
}

static seen_t whole(const char *text)
{
  size_t len = strlen(text);
  seen_t seen = take(text, len, len);
  for (size_t step = 1; step < 8; step += 3) {
    seen_t cut = take(text, len, step);
    assert_int_equal(cut.done, seen.done);
    assert_int_equal(cut.page, seen.page);
    assert_int_equal(cut.used, seen.used);
    assert_int_equal(cut.keeps, seen.keeps);
  }
  return seen;
}

/* page: -1, it is not over; used: 0, all of it. */
static void assert_head(const char *text, int page, size_t used)
{
  seen_t seen = whole(text);
  if (seen.done != (page >= 0) || (page >= 0 && seen.page != page) ||
      seen.used != (used == 0 ? strlen(text) : used))
    fail_msg("%s: done %d page %d used %zu", text, seen.done, seen.page,
             seen.used);
}

static void test_heads(void **state)
{
  (void) state;
  assert_head("GET / HTTP/1.1\r\n" HOST "\r\n", ALK_PAGE_SITE, 0);
  assert_head("GET / HTTP/1.1\r\n" HOST "\r", -1, 0);
  assert_head("GET / HTTP/1.1\r\n" HOST "\r\nmore", ALK_PAGE_SITE, 27);
  assert_head("\r\n\n\rGET /", -1, 0);
  assert_head("SSH-2.0-x\r\n", 400, 5); /* the digit */
  assert_head("GET / HTTP/1.1\r\n\r\n", 400, 0);
  assert_head("GET / HTTP/1.0\r\n\r\n", ALK_PAGE_SITE, 0);
  assert_head("GET / HTTP/2", 505, 0);
  assert_head("GET / HTTP/1.", -1, 0);
  assert_head("GET / HTTP/1.100", -1, 0);
  assert_head("GET / HTTP/1.1000", 400, 0);
  assert_head("GET /a%2", -1, 0);
  assert_head("GET /a%2 HTTP/1.1\r\n", 400, 0);
  assert_head("GET /\r\n", ALK_PAGE_SITE, 0);
  assert_head("POST /\r\n", 400, 0);
  assert_head("DELETE / HTTP/1.1\r\n" HOST "\r\n", 405, 0);
  assert_head("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, 34);
  assert_head("GET http://a:1/ HTTP/1.1\r\n" HOST "\r\n", ALK_PAGE_SITE, 0);
  assert_head("GET http://a.:99999 HTTP/1.1\r\n" HOST "\r\n", ALK_PAGE_SITE, 0);
  assert_head("GET http:// HTTP/1.1\r\n", 400, 0);
  assert_true(whole("GET / HTTP/1.1\r\n" HOST "\r\n").keeps);
  assert_false(whole("GET / HTTP/1.0\r\n\r\n").keeps);
}

static void test_bodies_announced(void **state)
{
  (void) state;
#define POST "POST / HTTP/1.1\r\n" HOST
  assert_head(POST "Content-Length: 1048576\r\n\r\n", ALK_PAGE_SITE, 0);
  assert_head(POST "Content-Length: 1048577\r\n\r\n", 413, 0);
  assert_head(POST "Content-Length: 9223372036854775808\r\n\r\n", 400, 0);
  assert_head(POST "Transfer-Encoding: CHUNKED\r\n\r\n", ALK_PAGE_SITE, 0);
  assert_head(POST "Transfer-Encoding: x\r\n\r\n", 501, 0);
#undef POST
}

/* A line that is `fill` bytes longer than its frame. */
static seen_t long_head(const char *before, size_t fill, const char *behind)
{
  size_t a = strlen(before), b = strlen(behind);
  char *text = alk_alloc(a + fill + b + 1);
  memcpy(text, before, a);
  memset(text + a, 'a', fill);
  memcpy(text + a + fill, behind, b);
  seen_t seen = whole(text);
  alk_free(text);
  return seen;
}

/* A line has to fit into one of nginx's buffers. */
static void test_long_lines(void **state)
{
  (void) state;
  const char *rest = " HTTP/1.1\r\n" HOST "\r\n";
  size_t frame = strlen("GET / HTTP/1.1\r\n");
  assert_int_equal(long_head("GET /", 8192 - frame, rest).page, ALK_PAGE_SITE);
  seen_t seen = long_head("GET /", 8192 - frame + 1, rest);
  assert_int_equal(seen.page, ALK_PAGE_LINE_TOO_LONG);
  assert_int_equal(seen.used, 8192);
  seen = long_head("GET / HTTP/1.1\r\n" HOST "X: ", 9000, "\r\n\r\n");
  assert_int_equal(seen.page, ALK_PAGE_HEAD_TOO_LARGE);
  assert_int_equal(seen.used, strlen("GET / HTTP/1.1\r\n" HOST) + 8192);
}

/* And all of them into four, and the first small one. */
static void test_many_lines(void **state)
{
  (void) state;
  alk_buf_t text = {0};
  alk_buf_add(&text, "GET / HTTP/1.1\r\n", 16);
  while (alk_buf_size(&text) < 64 * 1024)
    alk_buf_add(&text, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 32);
  seen_t seen = take((const char *) alk_buf_head(&text), alk_buf_size(&text),
                     alk_buf_size(&text));
  assert_true(seen.done);
  assert_int_equal(seen.page, ALK_PAGE_HEAD_TOO_LARGE);
  assert_true(seen.used > 32 * 1024 && seen.used <= 33 * 1024);
  alk_buf_free(&text);
}

static void test_next(void **state)
{
  (void) state;
  static const char two[] =
    "GET / HTTP/1.1\r\n" HOST "\r\nHEAD / HTTP/1.0\r\n\r\n";
  alk_head_t h = {0};
  size_t used = alk_head_take(&h, (const uint8_t *) two, sizeof two - 1);
  assert_true(h.done && h.keeps && !h.is_head);
  alk_head_next(&h, true);
  assert_false(h.done);
  used +=
    alk_head_take(&h, (const uint8_t *) two + used, sizeof two - 1 - used);
  assert_int_equal(used, sizeof two - 1);
  assert_true(h.done && h.is_head && !h.keeps);
  alk_head_free(&h);
}

static bool is_path(const char *text)
{
  return alk_field_is_path(text, strlen(text));
}

static void test_paths(void **state)
{
  (void) state;
  const char *good[] = {
    "/",        "//",        "/.",     "/./",    "/a/..",    "/a/../b",
    "/a//../b", "/...",      "/..a",   "/%61",   "/a?../..", "/a#../../..",
    "/?%zz",    "/%3f/../b", "/a/%2e", "/.%2e.", "/a%2f.."};
  const char *bad[] = {"/..",   "/../", "/./..",   "/a/../..", "/%2e%2e",
                       "/..?x", "/%",   "/%4",     "/%g0",     "/%00",
                       "/..#",  "//..", "/%2f%2e."};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    if (!is_path(good[i])) fail_msg("%s is no path", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (is_path(bad[i])) fail_msg("%s is a path", bad[i]);
}

static bool is_host(const char *text)
{
  return alk_field_is_host(text, strlen(text));
}

static void test_hosts(void **state)
{
  (void) state;
  assert_true(is_host("a") && is_host("a.") && is_host("a.b:80"));
  assert_true(is_host("[::1]:80") && is_host("a:b:c") && is_host("_\xff"));
  assert_false(is_host("") || is_host(".") || is_host(":80") ||
               is_host("a..b"));
  assert_false(is_host("a b") || is_host("a/b") || is_host("a\x7f"));
}

static void assert_body(const char *text, bool bad, size_t used)
{
  size_t len = strlen(text);
  for (size_t step = 1; step <= len; step++) {
    alk_body_t b = alk_body(true, -1);
    size_t at = 0;
    while (at < len && !b.done) {
      size_t n = len - at < step ? len - at : step;
      at += alk_body_take(&b, (const uint8_t *) text + at, n);
    }
    assert_int_equal(b.bad, bad);
    assert_int_equal(at, used);
    assert_int_equal(b.done, used < len || bad || used == len);
  }
}

static void test_chunks(void **state)
{
  (void) state;
  assert_body("0\r\n\r\n", false, 5);
  assert_body("5\r\nhello\r\n0\r\n\r\nGET", false, 15);
  assert_body("A;x\nhellohello\n0\n\n", false, 18);
  assert_body("1\r\na\r\n0\r\nX: y\r\nZ\r\n\r\nmore", false, 20);
  assert_body("x", true, 1);
  assert_body("5x", true, 2);
  assert_body("1\r\nab", true, 5);
  assert_body("0\r\n\rx", true, 5);
  assert_body("8000000000000000", true, 16);
}

static void test_length(void **state)
{
  (void) state;
  alk_body_t b = alk_body(false, 10);
  const uint8_t bytes[8] = {0};
  assert_int_equal(alk_body_take(&b, bytes, 8), 8);
  assert_false(b.done);
  assert_int_equal(alk_body_take(&b, bytes, 8), 2);
  assert_true(b.done && !b.bad);
  assert_true(alk_body(false, 0).done && alk_body(false, -1).done);
}

static alk_first_t look(const char *text, const char *token, size_t *used)
{
  return alk_first_look((const uint8_t *) text, strlen(text), token, used);
}

#define TOKEN "abcdefghijklmnopqrstuvwxyz-_0123456789ABCDE"
#define WRONG "abcdefghijklmnopqrstuvwxyz-_0123456789ABCDF"

static void test_first_with_secret(void **state)
{
  (void) state;
  size_t used;
  static const char greeting[] = "GET /" TOKEN " HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t n = 0; n + 1 < sizeof greeting; n++)
    assert_int_equal(
      alk_first_look((const uint8_t *) greeting, n, TOKEN, &used),
      ALK_FIRST_MORE);
  assert_int_equal(look(greeting, TOKEN, &used), ALK_FIRST_KNOWN);
  assert_int_equal(used, sizeof greeting - 1);
  assert_int_equal(
    look("GET /" TOKEN " HTTP/1.1\r\n\r\nSSH-2.0-", TOKEN, &used),
    ALK_FIRST_KNOWN);
  assert_int_equal(used, 5 + 43 + 11 + 2);
  /* Each at the byte at which it is known. */
  assert_int_equal(look("S", TOKEN, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("GET / ", TOKEN, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("GET /a.", TOKEN, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("GET /" TOKEN "a", TOKEN, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("GET /" WRONG " HTTP/1.1\r", TOKEN, &used),
                   ALK_FIRST_MORE);
  assert_int_equal(look("GET /" WRONG " HTTP/1.1\r\n", TOKEN, &used),
                   ALK_FIRST_OTHER);
  assert_int_equal(used, 0);
  /* A token that could not be made. */
  static const char none[ALK_TOKEN_TEXT + 1] = {0};
  assert_int_equal(look("GET /" TOKEN " HTTP/1.1\r\n\r\n", none, &used),
                   ALK_FIRST_OTHER);
}

static void test_first_too_long(void **state)
{
  (void) state;
  size_t used;
  uint8_t text[ALK_FIRST_MAX];
  memset(text, 'a', sizeof text);
  memcpy(text, "GET /" TOKEN " HTTP/1.1\r\n", 59);
  assert_int_equal(alk_first_look(text, sizeof text - 1, TOKEN, &used),
                   ALK_FIRST_MORE);
  assert_int_equal(alk_first_look(text, sizeof text, TOKEN, &used),
                   ALK_FIRST_OTHER);
}

static void test_first_without_secret(void **state)
{
  (void) state;
  size_t used;
  assert_int_equal(look("", NULL, &used), ALK_FIRST_MORE);
  assert_int_equal(look("SSH-2.0", NULL, &used), ALK_FIRST_MORE);
  assert_int_equal(look("SSH-2.0-x", NULL, &used), ALK_FIRST_SSH);
  assert_int_equal(look("SSH-1.99-", NULL, &used), ALK_FIRST_SSH);
  assert_int_equal(look("SSH-1.5", NULL, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("SSH-3", NULL, &used), ALK_FIRST_OTHER);
  assert_int_equal(look("GET", NULL, &used), ALK_FIRST_OTHER);
  assert_int_equal(used, 0);
  assert_true(alk_first_is_tls(0x16) && alk_first_is_tls(0x80));
  assert_false(alk_first_is_tls('S') || alk_first_is_tls(0));
}

static void test_page(void **state)
{
  (void) state;
  alk_buf_t out = {0};
  alk_page_t page = {.page = 404, .server = "nginx/1.22.1", .keeps = true};
  alk_page_put(&out, &page);
  static const char head[] =
    "HTTP/1.1 404 Not Found\r\nServer: nginx/1.22.1\r\n"
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Content-Type: text/html\r\nContent-Length: 153\r\n"
    "Connection: keep-alive\r\n\r\n<html>\r\n";
  assert_memory_equal(alk_buf_head(&out), head, sizeof head - 1);
  assert_int_equal(alk_buf_size(&out), sizeof head - 1 - 8 + 153);
  alk_buf_free(&out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_heads),          TEST(test_bodies_announced),
    TEST(test_long_lines),     TEST(test_many_lines),
    TEST(test_next),           TEST(test_paths),
    TEST(test_hosts),          TEST(test_chunks),
    TEST(test_length),         TEST(test_first_with_secret),
    TEST(test_first_too_long), TEST(test_first_without_secret),
    TEST(test_page),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
