/* head_codec.c - a request's head, one byte after the other, as nginx 1.22.
 *
 *   GET http://host:80/path?query HTTP/1.1 CR LF
 *   METHOD GAP SCHEME … HOST … SEGMENT PATH QUERY BEHIND WORD MAJOR MINOR
 *   Name: value CR LF                     LINE NAME LEAD VALUE LINE_LF
 *   CR LF                                 LINE LAST_LF
 *
 * A byte that may not stand where it stands is a page at once; what a line
 * means is looked at when it is whole, and the request when its head is. */
#include "stealth/head_codec.h"

#include <string.h>
#include <strings.h>

#include "stealth/field_codec.h"

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

enum { MINOR_MAX = 99 };

static const char version_word[] = "HTTP/";

static void go(alk_head_t *h, state_t state)
{
  h->state = (uint8_t) state;
  h->at = 0;
}

static void over(alk_head_t *h, unsigned page)
{
  h->done = true;
  h->page = (uint16_t) page;
}

/* This byte may not stand here. */
static void bad(alk_head_t *h)
{
  h->is_broken = true;
  over(h, ALK_PAGE_BAD_REQUEST);
}

/* What is whole now makes no sense. */
static void refuse(alk_head_t *h)
{
  over(h, ALK_PAGE_BAD_REQUEST);
}

static void go_if(alk_head_t *h, bool ok, state_t state)
{
  if (ok)
    go(h, state);
  else
    bad(h);
}

static bool is_digit(uint8_t c)
{
  return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_one_of(uint8_t c, const char *set)
{
  return c != 0 && strchr(set, c) != NULL;
}

static const char *text(const alk_head_t *h)
{
  return (const char *) alk_buf_head(&h->line);
}

/* Where in the line the byte is that is being looked at. */
static uint32_t here(const alk_head_t *h)
{
  return (uint32_t) alk_buf_size(&h->line) - 1;
}

/* ---- the request line, by the byte */

static void name_method(alk_head_t *h)
{
  static const struct {
    const char *name;
    method_t method;
  } known[] = {{"GET", GET},
               {"HEAD", HEAD},
               {"POST", POST},
               {"TRACE", TRACE},
               {"CONNECT", CONNECT}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strlen(known[i].name) == here(h) &&
        memcmp(text(h), known[i].name, here(h)) == 0)
      h->method = (uint8_t) known[i].method;
  h->is_head = h->method == HEAD;
}

static void in_method(alk_head_t *h, uint8_t c)
{
  if (c == ' ' && h->state == METHOD) {
    name_method(h);
    go(h, GAP);
  } else {
    go_if(h, (c >= 'A' && c <= 'Z') || c == '_' || c == '-', METHOD);
  }
}

static void begin_target(alk_head_t *h, state_t state)
{
  h->target = h->target_end = here(h);
  go(h, state);
}

static void in_scheme(alk_head_t *h, uint8_t c)
{
  if (h->state == GAP) {
    if (c == '/')
      begin_target(h, SEGMENT);
    else if (c != ' ')
      go_if(h, is_letter(c), SCHEME);
  } else if (h->state == SLASH) {
    go_if(h, c == '/', SECOND_SLASH);
  } else if (h->state == SECOND_SLASH) {
    go_if(h, c == '/', HOST_START);
  } else if (c == ':') {
    go(h, SLASH);
  } else if (!is_letter(c) && !is_digit(c) && !is_one_of(c, "+-.")) {
    bad(h);
  }
}

static void behind_authority(alk_head_t *h, uint8_t c)
{
  h->host_end = here(h);
  if (c == '/')
    begin_target(h, SEGMENT);
  else if (c == '?')
    begin_target(h, QUERY);
  else
    go_if(h, c == ' ', BEHIND);
}

static void in_host(alk_head_t *h, uint8_t c)
{
  if (h->state == HOST_START) {
    h->host = here(h);
    go(h, c == '[' ? LITERAL : HOST);
    if (c == '[') return;
  }
  if (h->state == LITERAL) {
    if (c == ']')
      go(h, HOST_END);
    else if (!is_letter(c) && !is_digit(c) && !is_one_of(c, ":-._~!$&'()*+,;="))
      bad(h);
    return;
  }
  if (h->state == HOST && (is_letter(c) || is_digit(c) || is_one_of(c, ".-")))
    return;
  if (h->state == PORT && is_digit(c)) return;
  if (c == ':' && h->state != PORT) {
    go(h, PORT);
    /* What is checked is the host alone. */
    h->host_end = here(h);
    return;
  }
  uint32_t end = h->host_end;
  bool has_port = h->state == PORT;
  behind_authority(h, c);
  if (has_port) h->host_end = end;
}

/* The target is whole; what may follow in its line. */
static bool ends_target(alk_head_t *h, uint8_t c)
{
  if (c != ' ' && c != '\r' && c != '\n') return false;
  h->target_end = here(h);
  return true;
}

static void in_target(alk_head_t *h, uint8_t c)
{
  if (c < ' ' || c == 0x7f) {
    bad(h);
  } else if (h->state == QUERY) {
    if (c == '#') h->is_complex = true;
  } else if (is_one_of(c, "%#") ||
             (h->state == SEGMENT && is_one_of(c, "./"))) {
    h->is_complex = true;
    go(h, QUERY);
  } else if (c == '?') {
    go(h, QUERY);
  } else if (c == '/') {
    go(h, SEGMENT);
  } else if (c != '+') {
    go(h, PATH);
  }
}

static void in_version(alk_head_t *h, uint8_t c)
{
  uint16_t *number = h->state == MAJOR ? &h->major : &h->minor;
  if (h->state == MAJOR && c == '.') {
    go(h, MINOR_START);
    return;
  }
  if (h->state == MINOR && c == ' ') {
    go(h, TRAIL);
    return;
  }
  if (!is_digit(c) || (h->state == MAJOR_START && c == '0') ||
      h->minor > MINOR_MAX) {
    bad(h);
    return;
  }
  if (h->state == MAJOR_START) number = &h->major;
  *number = (uint16_t) (*number * 10 + (c - '0'));
  if (h->state == MAJOR_START) go(h, MAJOR);
  if (h->state == MINOR_START) go(h, MINOR);
  if (h->major <= 1) return;
  h->is_broken = true;
  over(h, ALK_PAGE_BAD_VERSION);
}

static void in_word(alk_head_t *h, uint8_t c)
{
  uint8_t at = h->at;
  go_if(h, c == (uint8_t) version_word[at], WORD);
  h->at = (uint8_t) (at + 1);
  if (version_word[h->at] == '\0') go(h, MAJOR_START);
}

/* ---- what the request line means */

static bool is_old(const alk_head_t *h)
{
  return h->major == 0; /* HTTP/0.9: no version stood there */
}

static void decide(alk_head_t *h);

static bool is_right(const alk_head_t *h)
{
  const char *line = text(h);
  if (is_old(h) && h->method != GET) return false;
  if (h->is_complex &&
      !alk_field_is_path(line + h->target, h->target_end - h->target))
    return false;
  return h->host == 0 ||
         alk_field_is_host(line + h->host, h->host_end - h->host);
}

static void end_request_line(alk_head_t *h)
{
  h->is_bare = is_old(h);
  h->is_head = h->is_head && !h->is_bare;
  if (!is_right(h))
    refuse(h);
  else if (h->is_bare)
    decide(h);
  else
    go(h, LINE);
}

/* A line's end may stand here, with or without CR. */
static bool may_end(const alk_head_t *h)
{
  switch (h->state) {
  case SEGMENT:
  case PATH:
  case QUERY:
  case BEHIND:
  case MINOR:
  case TRAIL:
    return true;
  default:
    return false;
  }
}

static void up_to_target(alk_head_t *h, uint8_t c)
{
  if (h->state <= METHOD)
    in_method(h, c);
  else if (h->state <= SECOND_SLASH)
    in_scheme(h, c);
  else if (h->state <= PORT)
    in_host(h, c);
  else
    in_target(h, c);
}

static void in_request(alk_head_t *h, uint8_t c)
{
  if (h->state >= SEGMENT && h->state <= QUERY && ends_target(h, c))
    go(h, BEHIND); /* and the byte is looked at once more */
  if ((c == '\r' || c == '\n') && may_end(h)) {
    go(h, REQUEST_LF);
    if (c == '\n') end_request_line(h);
  } else if (h->state <= QUERY) {
    up_to_target(h, c);
  } else if (h->state == BEHIND) {
    if (c != ' ') in_word(h, c);
  } else if (h->state == WORD) {
    in_word(h, c);
  } else if (h->state <= MINOR) {
    in_version(h, c);
  } else if (h->state == TRAIL) {
    if (c != ' ') bad(h);
  } else if (c == '\n') {
    end_request_line(h);
  } else {
    bad(h);
  }
}

/* ---- what a field means */

typedef enum {
  PLAIN,
  F_HOST,
  F_CONNECTION,
  F_AGENT,
  F_LENGTH,
  F_ENCODING,
  ONCE /* and whatever it says */
} field_t;

static const struct {
  const char *name;
  field_t field;
} fields[] = {
  {"host", F_HOST},
  {"content-length", F_LENGTH},
  {"transfer-encoding", F_ENCODING},
  {"if-modified-since", ONCE},
  {"if-unmodified-since", ONCE},
  {"if-match", ONCE},
  {"if-none-match", ONCE},
  {"content-range", ONCE},
  {"if-range", ONCE},
  {"expect", ONCE},
  {"authorization", ONCE},
  {"user-agent", F_AGENT},
  {"connection", F_CONNECTION},
};

enum { FIELDS = sizeof fields / sizeof *fields, HOST_BIT = 0, LENGTH_BIT = 1 };
enum { AGENT_BIT = FIELDS - 2 };

static bool has(const alk_head_t *h, unsigned bit)
{
  return (h->seen & (1u << bit)) != 0;
}

static void take_connection(alk_head_t *h, const char *value, size_t len)
{
  if (alk_field_has(value, len, "close", true))
    h->connection = CLOSE;
  else if (alk_field_has(value, len, "keep-alive", true))
    h->connection = KEEP_ALIVE;
}

static void take_agent(alk_head_t *h, const char *value, size_t len)
{
  if (has(h, AGENT_BIT)) return;
  alk_agent_t agent = alk_field_agent(value, len);
  h->is_padded = agent.is_padded;
  h->is_old_explorer = agent.is_old_explorer;
}

/* False: it may not stand there, or not once more. */
static bool take_field(alk_head_t *h, unsigned which, const char *value,
                       size_t len)
{
  field_t field = fields[which].field;
  if (has(h, which) && field != F_AGENT && field != F_CONNECTION) return false;
  if (field == F_HOST && !alk_field_is_host(value, len)) return false;
  if (field == F_LENGTH) h->length = alk_field_length(value, len);
  if (field == F_ENCODING) {
    h->is_coded = true;
    h->is_chunked = len == 7 && strncasecmp(value, "chunked", 7) == 0;
  }
  if (field == F_CONNECTION) take_connection(h, value, len);
  if (field == F_AGENT) take_agent(h, value, len);
  h->seen |= (uint16_t) (1u << which);
  return true;
}

static void end_field(alk_head_t *h)
{
  const char *line = text(h);
  size_t end = here(h); /* the LF */
  size_t start = h->value > 0 ? h->value : h->name_end;
  while (end > start && line[end - 1] == '\r')
    end--;
  while (end > start && is_one_of((uint8_t) line[end - 1], " \t"))
    end--;
  go(h, LINE);
  if (h->is_odd) return;
  for (unsigned i = 0; i < FIELDS; i++) {
    if (strlen(fields[i].name) != h->name_end ||
        strncasecmp(line, fields[i].name, h->name_end) != 0)
      continue;
    size_t len = h->value > 0 ? end - start : 0;
    if (!take_field(h, i, line + start, len)) refuse(h);
  }
}

static void in_name(alk_head_t *h, uint8_t c)
{
  if (h->state == LINE) {
    h->is_odd = false;
    h->value = h->name_end = 0;
  }
  bool is_first = h->state == LINE;
  go(h, NAME);
  if (is_letter(c) || is_digit(c) || c == '-') return;
  if (!is_first && (c == ':' || c == '\r' || c == '\n')) {
    h->name_end = here(h);
    go(h, c == ':' ? LEAD : LINE_LF);
    if (c == '\n') end_field(h);
  } else if (c <= ' ' || c == 0x7f || c == ':') {
    bad(h);
  } else {
    h->is_odd = true;
  }
}

static void in_value(alk_head_t *h, uint8_t c)
{
  if (c == '\0') {
    bad(h);
  } else if (c == '\r') {
    go(h, LINE_LF);
  } else if (c == '\n') {
    end_field(h);
  } else if (h->state == LEAD && c != ' ' && c != '\t') {
    h->value = here(h);
    go(h, VALUE);
  }
}

/* ---- the head is whole */

/* The fields contradict the version, or one another. */
static bool contradicts(const alk_head_t *h, bool is_new)
{
  bool has_length = has(h, LENGTH_BIT);
  if (!h->is_bare && is_new && !has(h, HOST_BIT)) return true;
  if (has_length && h->length < 0) return true;
  if (h->is_coded && !is_new) return true;
  return h->is_chunked && has_length;
}

static void pass(alk_head_t *h, bool is_new)
{
  h->passed = true;
  h->keeps = h->connection == KEEP_ALIVE ||
             (h->connection == UNSAID && is_new && !h->is_bare);
  if (h->is_old_explorer && h->method == POST) h->keeps = false;
  if (h->length > ALK_HEAD_BODY_MAX) {
    h->keeps = false;
    over(h, ALK_PAGE_BODY_TOO_LARGE);
  } else {
    over(h, h->method == OTHER ? ALK_PAGE_NOT_ALLOWED : ALK_PAGE_SITE);
  }
}

static void decide(alk_head_t *h)
{
  bool is_new = h->major == 1 && h->minor > 0;
  if (!has(h, LENGTH_BIT)) h->length = -1;
  if (contradicts(h, is_new))
    refuse(h);
  else if (h->is_coded && !h->is_chunked)
    over(h, ALK_PAGE_NOT_IMPLEMENTED);
  else if (h->method == TRACE || h->method == CONNECT)
    over(h, ALK_PAGE_NOT_ALLOWED);
  else
    pass(h, is_new);
}

static void in_fields(alk_head_t *h, uint8_t c)
{
  bool is_last =
    (h->state == LINE && c == '\n') || (h->state == LAST_LF && c == '\n');
  if (is_last)
    decide(h);
  else if (h->state == LINE && c == '\r')
    go(h, LAST_LF);
  else if (h->state == LINE || h->state == NAME)
    in_name(h, c);
  else if (h->state == LEAD || h->state == VALUE)
    in_value(h, c);
  else if (h->state == LINE_LF && c == '\n')
    end_field(h);
  else if (h->state != LINE_LF || c != '\r')
    bad(h);
}

/* ---- nginx's buffers */

/* Whether nothing of a line is there yet. */
static bool is_between(const alk_head_t *h)
{
  return h->state == START || h->state == LINE;
}

/* The buffer is full and the head is not whole: the line goes on in the next
 * one, if there is one and it is not longer than that. */
static void fill_up(alk_head_t *h)
{
  if (h->state == START) {
    h->used = h->token = 0; /* of empty lines there may be any number */
    return;
  }
  bool in_request = h->state < LINE;
  uint32_t len = is_between(h) ? 0 : h->used - h->token;
  if (len >= ALK_HEAD_LARGE_BUF || h->large == ALK_HEAD_LARGE_BUFS) {
    over(h, in_request ? ALK_PAGE_LINE_TOO_LONG : ALK_PAGE_HEAD_TOO_LARGE);
    return;
  }
  h->large++;
  h->cap = ALK_HEAD_LARGE_BUF;
  h->used = len;
  h->token = 0;
}

static void take_byte(alk_head_t *h, uint8_t c)
{
  if (is_between(h)) {
    alk_buf_consume(&h->line, alk_buf_size(&h->line));
    h->token = h->used;
  }
  h->used++;
  if (h->state == START && (c == '\r' || c == '\n')) return;
  alk_buf_u8(&h->line, c);
  if (h->state < LINE)
    in_request(h, c);
  else
    in_fields(h, c);
}

size_t alk_head_take(alk_head_t *h, const uint8_t *p, size_t n)
{
  size_t used = 0;
  if (h->cap == 0) h->cap = ALK_HEAD_BUF;
  while (used < n && !h->done) {
    take_byte(h, p[used++]);
    if (!h->done && h->used == h->cap) fill_up(h);
  }
  return used;
}

void alk_head_next(alk_head_t *h, bool has_more)
{
  uint32_t cap = h->cap, used = h->used;
  alk_head_free(h);
  if (!has_more || used == cap) return;
  h->cap = cap;
  h->used = h->token = used;
  h->large = cap == ALK_HEAD_LARGE_BUF ? 1 : 0;
}

void alk_head_free(alk_head_t *h)
{
  alk_buf_free(&h->line);
  *h = (alk_head_t){0};
}
