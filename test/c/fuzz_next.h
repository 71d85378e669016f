/* fuzz_next.h - what the fuzzers of handshakes have in common: input in pieces,
 * and the stream's next owner, who sums up what it receives. */
#ifndef FUZZ_NEXT_H
#define FUZZ_NEXT_H

#include "core/stream.h"

/* The size of the next piece of n bytes, from a small generator. Seed 0: all
 * at once. */
static inline size_t piece(uint32_t *x, uint8_t seed, size_t n)
{
  *x = *x * 1103515245u + 12345u;
  size_t len = seed == 0 ? n : 1 + (*x >> 16) % (1u + seed % 32u);
  return len < n ? len : n;
}

typedef struct {
  alk_stream_t *s; /* NULL: not given yet, or closed */
  size_t bytes;
  uint8_t sum;
} next_t;

static inline void next_data(alk_stream_t *s, const char *buf, size_t len)
{
  next_t *next = alk_stream_data(s);
  for (size_t i = 0; i < len; i++)
    next->sum = (uint8_t) (next->sum * 31 + (uint8_t) buf[i]);
  next->bytes += len;
}

static inline void next_close(alk_stream_t *s, const alk_err_t *err)
{
  (void) err;
  next_t *next = alk_stream_data(s);
  next->s = NULL;
}

static inline void next_own(next_t *next, alk_stream_t *s)
{
  static const alk_owner_t owner = {.on_data = next_data,
                                    .on_close = next_close};
  next->s = s;
  alk_stream_own(s, &owner, next);
  alk_stream_resume(s);
}

static inline bool next_is_equal(const next_t *a, const next_t *b)
{
  return a->bytes == b->bytes && a->sum == b->sum;
}

#endif
