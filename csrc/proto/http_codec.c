/* http_codec.c - the head of an answer, one byte after the other.
 *
 *   HTTP/1.1 200 Connection established CR LF    START VERSION STATUS REASON
 *   Proxy-Authenticate: Basic realm="x" CR LF    LINE NAME VALUE
 *   CR LF                                        LINE LAST_LF
 *
 * Strict where leniency would have two programs see two different heads: a line
 * ends with CR LF and nothing else, a name touches its colon, no control
 * characters. 1xx are skipped, but for 101, which nobody has asked for. No
 * field has a say in where a 2xx ends: RFC 9112 §6.3 has none for CONNECT. */
#include "proto/http_codec.h"

#include <stdio.h>
#include <string.h>

#include "proto/host_codec.h"

typedef enum {
  START,   /* at: how much of the word below was there */
  VERSION, /* the digit behind it */
  GAP,     /* the space behind the version */
  STATUS,  /* at: how many of its digits were there */
  STATUS_END,
  REASON,
  LINE_LF, /* the LF of a line that is not the last */
  LINE,    /* at the start of one */
  NAME,    /* at: how much of the name below it was; 255: it is another */
  VALUE,
  SCHEME_GAP, /* in front of the value, which begins with a scheme */
  SCHEME,
  LAST_LF
} state_t;

enum { ANOTHER = 255 };

static const char version_word[] = "HTTP/1.";
static const char auth_name[] = "proxy-authenticate";

/* RFC 9110 §5.6.2. */
static bool is_tchar(uint8_t c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_digit(uint8_t c)
{
  return c >= '0' && c <= '9';
}

/* RFC 9110 §5.5 and RFC 9112 §4: blanks, visible characters, obs-text. */
static bool is_text(uint8_t c)
{
  return c == '\t' || (c >= ' ' && c != 0x7f);
}

static void go(alk_http_head_t *h, state_t state)
{
  h->state = (uint8_t) state;
  h->at = 0;
}

static void bad(alk_http_head_t *h)
{
  h->result = ALK_HTTP_BAD;
}

static void go_if(alk_http_head_t *h, bool ok, state_t state)
{
  if (ok)
    go(h, state);
  else
    bad(h);
}

static void keep_reason(alk_http_head_t *h, uint8_t c)
{
  if (h->reason_len + 1 < sizeof h->reason)
    h->reason[h->reason_len++] = c >= ' ' && c <= '~' ? (char) c : '?';
}

static void keep_scheme(alk_http_head_t *h, char c)
{
  if (h->schemes_len + 1 < sizeof h->schemes) h->schemes[h->schemes_len++] = c;
}

/* An interim head says nothing about the one that counts. */
static void forget(alk_http_head_t *h)
{
  *h = (alk_http_head_t){.total = h->total};
}

static void take_digit(alk_http_head_t *h, uint8_t c)
{
  if (!is_digit(c) || (h->at == 0 && (c < '1' || c > '5'))) {
    bad(h);
    return;
  }
  h->status = (uint16_t) (h->status * 10 + (c - '0'));
  if (++h->at == 3) go(h, STATUS_END);
}

static void take_status_line(alk_http_head_t *h, uint8_t c)
{
  switch ((state_t) h->state) {
  case START:
    if (c != (uint8_t) version_word[h->at])
      bad(h);
    else if (++h->at == sizeof version_word - 1)
      go(h, VERSION);
    break;
  case VERSION:
    go_if(h, c == '0' || c == '1', GAP);
    break;
  case GAP:
    go_if(h, c == ' ', STATUS);
    break;
  case STATUS:
    take_digit(h, c);
    break;
  case STATUS_END: /* some leave out the space where no reason follows */
    go_if(h, c == ' ' || c == '\r', c == ' ' ? REASON : LINE_LF);
    break;
  default: /* REASON */
    if (c == '\r')
      go(h, LINE_LF);
    else if (is_text(c))
      keep_reason(h, c);
    else
      bad(h);
    break;
  }
}

static void take_line_start(alk_http_head_t *h, uint8_t c)
{
  if (c == '\r') {
    go(h, LAST_LF);
  } else if ((c == ' ' || c == '\t') && h->may_fold) {
    go(h, VALUE); /* RFC 9112 §5.2: a value in several lines, of old */
  } else if (is_tchar(c)) {
    go(h, NAME);
    h->at = (c | 0x20) == auth_name[0] ? 1 : ANOTHER;
  } else {
    bad(h);
  }
}

static void take_name(alk_http_head_t *h, uint8_t c)
{
  size_t len = sizeof auth_name - 1;
  if (c == ':') {
    go(h, h->at == len ? SCHEME_GAP : VALUE);
    h->may_fold = true;
  } else if (!is_tchar(c)) {
    bad(h);
  } else {
    char lower = (char) (c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    bool same = h->at < len && lower == auth_name[h->at];
    h->at = same ? (uint8_t) (h->at + 1) : ANOTHER;
  }
}

static void take_value(alk_http_head_t *h, uint8_t c)
{
  if (c == '\r') {
    go(h, LINE_LF);
  } else if (!is_text(c)) {
    bad(h);
  } else if (h->state == SCHEME && is_tchar(c)) {
    keep_scheme(h, (char) c);
  } else if (h->state == SCHEME_GAP && is_tchar(c)) {
    if (h->schemes_len > 0) {
      keep_scheme(h, ',');
      keep_scheme(h, ' ');
    }
    keep_scheme(h, (char) c);
    go(h, SCHEME);
  } else if (h->state != SCHEME_GAP || (c != ' ' && c != '\t')) {
    go(h, VALUE);
  }
}

static void take_last(alk_http_head_t *h, uint8_t c)
{
  if (c != '\n' || h->status == 101)
    bad(h);
  else if (h->status < 200)
    forget(h);
  else
    h->result = ALK_HTTP_DONE;
}

static void take(alk_http_head_t *h, uint8_t c)
{
  switch ((state_t) h->state) {
  case LINE_LF:
    go_if(h, c == '\n', LINE);
    break;
  case LINE:
    take_line_start(h, c);
    break;
  case NAME:
    take_name(h, c);
    break;
  case VALUE:
  case SCHEME_GAP:
  case SCHEME:
    take_value(h, c);
    break;
  case LAST_LF:
    take_last(h, c);
    break;
  default:
    take_status_line(h, c);
    break;
  }
}

size_t alk_http_head_take(alk_http_head_t *h, const uint8_t *p, size_t n)
{
  size_t i = 0;
  while (i < n && h->result == ALK_HTTP_MORE) {
    if (h->total == ALK_HTTP_HEAD_MAX) {
      h->result = ALK_HTTP_LONG;
      break;
    }
    h->total++;
    take(h, p[i++]);
  }
  return i;
}

/* RFC 9110 §5.5, without obs-text: ours is ASCII. */
static bool is_value(const char *text)
{
  for (const char *c = text; *c != '\0'; c++)
    if (*c < ' ' || *c > '~') return false;
  return true;
}

bool alk_http_put_connect(alk_buf_t *out, const char *host, uint16_t port,
                          const char *authorization)
{
  uint8_t addr[16];
  char place[ALK_HOST_MAX + sizeof "[]:65535"];
  alk_host_kind_t kind = alk_host_kind(host, addr);
  if (kind == ALK_HOST_BAD) return false;
  if (authorization != NULL && !is_value(authorization)) return false;
  int len = snprintf(place, sizeof place,
                     kind == ALK_HOST_IPV6 ? "[%s]:%u" : "%s:%u", host, port);
  const char *const parts[] = {"CONNECT ", place, " HTTP/1.1\r\nHost: ", place,
                               "\r\n"};
  if (len <= 0 || (size_t) len >= sizeof place) return false;
  /* In one piece, so that no copy of a password is left where it grew. */
  alk_buf_reserve(out, 2 * sizeof place + 64 +
                         (authorization == NULL ? 0 : strlen(authorization)));
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    alk_buf_add(out, parts[i], strlen(parts[i]));
  if (authorization != NULL) {
    alk_buf_add(out, "Proxy-Authorization: ", 21);
    alk_buf_add(out, authorization, strlen(authorization));
    alk_buf_add(out, "\r\n", 2);
  }
  alk_buf_add(out, "\r\n", 2);
  return true;
}
