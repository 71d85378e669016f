/* fuzz_stealth_head.c - heads of requests in arbitrary pieces: where they end,
 * and with which page, is the same as in one; and nothing is kept beyond
 * nginx's own limits. Input: one byte for the sizes of the pieces, then what is
 * sent. */
#include <string.h>

#include "core/mem.h"

#include "stealth/body_codec.h"
#include "stealth/head_codec.h"
#include "stealth/page_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { REQUESTS = 8, HEAD_MAX = ALK_HEAD_BUF + 4 * ALK_HEAD_LARGE_BUF };

/* Pieces whose sizes come from a small generator; seed 0: one piece. */
static size_t piece(uint32_t *x, uint8_t seed, size_t left)
{
  *x = *x * 1103515245u + 12345u;
  size_t len = seed == 0 ? left : 1 + (*x >> 16) % (1u + seed % 32u);
  return len < left ? len : left;
}

typedef struct {
  unsigned page[REQUESTS];
  size_t end[REQUESTS]; /* of each head */
  int count;
} talk_t;

static void check_page(const alk_head_t *h)
{
  alk_buf_t out = {0};
  alk_page_t page = {.page = h->page,
                     .server = "s",
                     .is_bare = h->is_bare,
                     .is_head = h->is_head,
                     .is_padded = h->is_padded,
                     .keeps = h->keeps};
  alk_page_put(&out, &page);
  CHECK(alk_buf_size(&out) > 0 && alk_buf_size(&out) < 2048);
  CHECK(!h->keeps || h->passed);
  CHECK(!h->passed || !h->is_broken);
  alk_buf_free(&out);
}

static size_t take_head(alk_head_t *h, const uint8_t *p, size_t n, uint32_t *x,
                        uint8_t seed)
{
  size_t used = 0;
  while (used < n && !h->done) {
    size_t len = piece(x, seed, n - used);
    /* From memory of just that size, so that a byte too many is seen. */
    uint8_t *copy = alk_memdup(p + used, len);
    size_t took = alk_head_take(h, copy, len);
    alk_free(copy);
    CHECK(took <= len && (took == len || h->done));
    CHECK(alk_buf_size(&h->line) <= ALK_HEAD_LARGE_BUF);
    used += took;
  }
  return used;
}

static talk_t talk(const uint8_t *p, size_t n, uint8_t seed)
{
  talk_t t = {0};
  alk_head_t h = {0};
  uint32_t x = seed;
  size_t at = 0;
  while (at < n && t.count < REQUESTS) {
    size_t used = take_head(&h, p + at, n - at, &x, seed);
    at += used;
    if (!h.done) break;
    check_page(&h);
    t.page[t.count] = h.page;
    t.end[t.count++] = at;
    if (!h.keeps) break;
    alk_body_t b = alk_body(h.is_chunked, h.length);
    at += alk_body_take(&b, p + at, n - at);
    if (!b.done || b.bad) break;
    /* As for one that asks after each answer: its buffers begin anew. */
    alk_head_next(&h, false);
  }
  alk_head_free(&h);
  return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  if (n < 1 || n > 128 * 1024) return 0;
  talk_t all = talk(p + 1, n - 1, 0), cut = talk(p + 1, n - 1, p[0]);
  CHECK(memcmp(&all, &cut, sizeof all) == 0);
  CHECK(all.count == 0 || p[1] == '\r' || p[1] == '\n' ||
        all.end[0] <= HEAD_MAX);
  return 0;
}
