/* page_codec.h - nginx's pages: a head and a body in HTML, for each thing that
 * it has to say by itself. */
#ifndef ALK_STEALTH_PAGE_CODEC_H
#define ALK_STEALTH_PAGE_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/buf.h"

enum { ALK_PAGE_SERVER_MAX = 64 };

typedef struct {
  unsigned page;      /* a status, or 494 or 497 */
  const char *server; /* "nginx/1.22.1": in the head and below the page */
  time_t now;
  bool is_bare;   /* no head */
  bool is_head;   /* no body */
  bool is_padded; /* with the comments for old browsers */
  bool keeps;     /* the connection stays */
} alk_page_t;

void alk_page_put(alk_buf_t *out, const alk_page_t *page);

#endif
