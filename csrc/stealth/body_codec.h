/* body_codec.h - the body of a request that nobody wants: where it ends. */
#ifndef ALK_STEALTH_BODY_CODEC_H
#define ALK_STEALTH_BODY_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  bool done, bad;
  bool is_chunked;
  uint8_t state;
  bool is_last;  /* the chunk without data, and what follows it */
  uint64_t left; /* of the body, or of this chunk */
} alk_body_t;

/* length: of a body in one piece; not looked at when it is chunked. */
alk_body_t alk_body(bool is_chunked, int64_t length);

/* Returns how many bytes were its own. */
size_t alk_body_take(alk_body_t *b, const uint8_t *p, size_t n);

#endif
