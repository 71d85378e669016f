/* krl_impl.h - for the files that make up krl.h. What is alk_cert_bytes_t
 * points into the list's own copy of its bytes. */
#ifndef ALK_KRL_IMPL_H
#define ALK_KRL_IMPL_H

#include "ssh/cert.h"
#include "ssh/krl.h"

typedef struct {
  uint64_t lo, hi; /* both revoked */
} alk_krl_range_t;

typedef struct {
  uint64_t first; /* the serial number of the lowest bit */
  alk_cert_bytes_t bits;
} alk_krl_bitmap_t;

/* Growing arrays: alk_buf_t whose bytes are whole elements. */
typedef struct {
  alk_cert_bytes_t ca; /* empty: every CA */
  alk_buf_t ranges;    /* alk_krl_range_t, sorted, none touches another */
  alk_buf_t bitmaps;   /* alk_krl_bitmap_t */
  alk_buf_t key_ids;   /* alk_cert_bytes_t, sorted */
} alk_krl_section_t;

struct alk_krl {
  uint8_t *bytes;
  alk_buf_t sections;           /* alk_krl_section_t */
  alk_buf_t keys, sha1, sha256; /* alk_cert_bytes_t, sorted */
};

static inline size_t alk_krl_count(const alk_buf_t *b, size_t size)
{
  return alk_buf_size(b) / size;
}

/* The elements; NULL: there are none. */
static inline void *alk_krl_list(const alk_buf_t *b)
{
  return b->p;
}

/* By length, then by bytes. */
int alk_krl_compare(const void *a, const void *b);

#endif
