/* head_state_codec.h - what the files that make up head_codec.h share: where a
 * head is, and how it goes on from there.
 *
 *   GET http://host:80/path?query HTTP/1.1 CR LF
 *   METHOD GAP SCHEME … HOST … SEGMENT PATH QUERY BEHIND WORD MAJOR MINOR
 *   Name: value CR LF                     LINE NAME LEAD VALUE LINE_LF
 *   CR LF                                 LINE LAST_LF */
#ifndef ALK_STEALTH_HEAD_STATE_CODEC_H
#define ALK_STEALTH_HEAD_STATE_CODEC_H

#include <string.h>

#include "stealth/head_codec.h"

typedef enum {
  START, /* empty lines may stand in front */
  METHOD,
  GAP,
  SCHEME,
  SLASH, /* the first behind the scheme */
  SECOND_SLASH,
  HOST_START,
  HOST,
  HOST_END,
  LITERAL, /* an address in brackets */
  PORT,
  SEGMENT, /* right behind a slash of the path */
  PATH,
  QUERY,  /* or what of a path is not looked at by the byte */
  BEHIND, /* a blank behind the target */
  WORD,   /* at: how much of "HTTP/" was there */
  MAJOR_START,
  MAJOR,
  MINOR_START,
  MINOR,
  TRAIL,
  REQUEST_LF,
  LINE, /* at the start of a field */
  NAME,
  LEAD, /* blanks in front of a value */
  VALUE,
  LINE_LF,
  LAST_LF
} state_t;

typedef enum { OTHER, GET, HEAD, POST, TRACE, CONNECT } method_t;
typedef enum { UNSAID, CLOSE, KEEP_ALIVE } connection_t;

/* Bits of seen, as the table of header_codec.c has these fields. */
enum { HOST_BIT = 0, LENGTH_BIT = 1 };

static inline bool head_has(const alk_head_t *h, unsigned bit)
{
  return (h->seen & (1u << bit)) != 0;
}

static inline void head_go(alk_head_t *h, state_t state)
{
  h->state = (uint8_t) state;
  h->at = 0;
}

static inline void head_over(alk_head_t *h, unsigned page)
{
  h->done = true;
  h->page = (uint16_t) page;
}

/* This byte may not stand here. */
static inline void head_bad(alk_head_t *h)
{
  h->is_broken = true;
  head_over(h, ALK_PAGE_BAD_REQUEST);
}

/* What is whole now makes no sense. */
static inline void head_refuse(alk_head_t *h)
{
  head_over(h, ALK_PAGE_BAD_REQUEST);
}

static inline void head_go_if(alk_head_t *h, bool ok, state_t state)
{
  if (ok)
    head_go(h, state);
  else
    head_bad(h);
}

static inline bool is_digit(uint8_t c)
{
  return c >= '0' && c <= '9';
}

static inline bool is_letter(uint8_t c)
{
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool is_one_of(uint8_t c, const char *set)
{
  return c != 0 && strchr(set, c) != NULL;
}

static inline const char *head_text(const alk_head_t *h)
{
  return (const char *) alk_buf_head(&h->line);
}

/* Where in the line the byte is that is being looked at. */
static inline uint32_t head_here(const alk_head_t *h)
{
  return (uint32_t) alk_buf_size(&h->line) - 1;
}

/* The next byte of the request line; of a field, or of the head's end. Each
 * decides when the head is whole with it. */
void head_in_request_line(alk_head_t *h, uint8_t c);
void head_in_fields(alk_head_t *h, uint8_t c);

/* The head is whole: what it asks for, or its page. */
void head_decide(alk_head_t *h);

#endif
