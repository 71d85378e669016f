/* buf.h - bytes: a reader and a writer with limits, and a queue.
 *
 * Reader and writer speak the data types of RFC 4251 §5 (integers are big
 * endian; a string is a u32 length and that many bytes), which SOCKS5 and the
 * OpenSSH formats share. A reader never leaves its input: the first read that
 * would sets bad and every later read gives zero or NULL, so a parser checks
 * once, at its end. */
#ifndef ALK_BUF_H
#define ALK_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const uint8_t *p;
  size_t len; /* what is left */
  bool bad;
} alk_rd_t;

alk_rd_t alk_rd(const void *p, size_t len);
uint8_t alk_rd_u8(alk_rd_t *r);
uint16_t alk_rd_u16(alk_rd_t *r);
uint32_t alk_rd_u32(alk_rd_t *r);
uint64_t alk_rd_u64(alk_rd_t *r);
const uint8_t *alk_rd_bytes(alk_rd_t *r, size_t len); /* NULL: bad */
/* A string; *len is 0 and the result NULL when it is bad. */
const uint8_t *alk_rd_str(alk_rd_t *r, size_t *len);
alk_rd_t alk_rd_sub(alk_rd_t *r);    /* a string, as a reader of its own */
bool alk_rd_done(const alk_rd_t *r); /* nothing bad, nothing left */
bool alk_rd_is(alk_rd_t *r, const char *text); /* a string equal to text */

/* A growing run of bytes with its front consumed: writer and queue. */
typedef struct {
  uint8_t *p;           /* the first byte that is not consumed is p[off] */
  size_t off, len, cap; /* bytes held are p[off..len) */
} alk_buf_t;

void alk_buf_free(alk_buf_t *b);        /* empty again, memory given back */
void alk_buf_free_secret(alk_buf_t *b); /* wiped first */
size_t alk_buf_size(const alk_buf_t *b);
const uint8_t *alk_buf_head(const alk_buf_t *b);
void alk_buf_consume(alk_buf_t *b, size_t len);
uint8_t *alk_buf_reserve(alk_buf_t *b, size_t len); /* room at the tail ... */
void alk_buf_commit(alk_buf_t *b, size_t len);      /* ... of which len used */
void alk_buf_add(alk_buf_t *b, const void *p, size_t len);
void alk_buf_u8(alk_buf_t *b, uint8_t v);
void alk_buf_u16(alk_buf_t *b, uint16_t v);
void alk_buf_u32(alk_buf_t *b, uint32_t v);
void alk_buf_u64(alk_buf_t *b, uint64_t v);
void alk_buf_str(alk_buf_t *b, const void *p, size_t len);
void alk_buf_cstr(alk_buf_t *b, const char *s);
/* An mpint from an unsigned big-endian number (RFC 4251 §5). */
void alk_buf_mpint(alk_buf_t *b, const uint8_t *p, size_t len);

#endif
