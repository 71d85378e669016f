/* head_codec.h - the head of an HTTP/1 request as nginx reads it, pure: what it
 * asks for, or which page nginx has for it.
 *
 * It is read byte by byte, and is over at the very byte at which nginx makes up
 * its mind: how the bytes were cut on their way makes no difference. So that
 * limits are nginx's too, its buffers are counted along (one of 1 KiB, then
 * four of 8 KiB); what is kept is the line that is not whole yet. */
#ifndef ALK_STEALTH_HEAD_CODEC_H
#define ALK_STEALTH_HEAD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum {
  ALK_HEAD_BUF = 1024,
  ALK_HEAD_LARGE_BUF = 8192,
  ALK_HEAD_LARGE_BUFS = 4,
  ALK_HEAD_BODY_MAX = 1024 * 1024 /* a longer body is a 413 */
};

/* Which page: a status, or one of nginx's own numbers, shown as a 400. */
enum {
  ALK_PAGE_SITE = 0, /* nothing is wrong: the site has an answer */
  ALK_PAGE_BAD_REQUEST = 400,
  ALK_PAGE_NOT_ALLOWED = 405,
  ALK_PAGE_BODY_TOO_LARGE = 413,
  ALK_PAGE_LINE_TOO_LONG = 414,
  ALK_PAGE_HEAD_TOO_LARGE = 494,
  ALK_PAGE_PLAIN = 497, /* no TLS where there should be */
  ALK_PAGE_NOT_IMPLEMENTED = 501,
  ALK_PAGE_BAD_VERSION = 505
};

typedef struct {
  bool done;
  uint16_t page;
  bool is_bare;   /* HTTP/0.9: gets a body and no head, whatever it asks */
  bool is_head;   /* HEAD: gets a head and no body */
  bool is_padded; /* an Internet Explorer or a Chrome: gets longer pages */
  bool keeps;     /* the client may ask again */
  bool is_broken; /* by its last byte, which nginx does not take */
  bool passed;    /* the head is right: the page is about what it asks for */
  bool is_chunked;
  int64_t length; /* of the body; -1: not said */
  alk_buf_t line; /* private from here: the line that is not whole yet */
  uint8_t state, at, method, connection;
  bool is_complex;      /* the path has to be looked at when it is whole */
  bool is_odd;          /* a field with such a name is not looked at */
  bool is_old_explorer; /* gets no second answer to a POST */
  bool is_coded;        /* Transfer-Encoding was there */
  uint16_t seen;        /* fields that may come once: bits */
  uint16_t major, minor;
  uint32_t host, host_end, target, target_end; /* in the request line */
  uint32_t name_end, value;                    /* in a field's */
  uint32_t cap, used, token; /* nginx's buffer, and where the line began */
  uint8_t large;             /* how many of the large ones are taken */
} alk_head_t;

/* Starts from a zeroed head. Takes bytes until it is done, and returns how
 * many. */
size_t alk_head_take(alk_head_t *h, const uint8_t *p, size_t n);

/* Of the same connection; has_more: of the next request some is there. */
void alk_head_next(alk_head_t *h, bool has_more);
void alk_head_free(alk_head_t *h);

#endif
