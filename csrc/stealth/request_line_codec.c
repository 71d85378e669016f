/* request_line_codec.c - a request's first line, one byte after the other, as
 * nginx 1.22: head_state_codec.h has its states. */
#include "stealth/field_codec.h"
#include "stealth/head_state_codec.h"

enum { MINOR_MAX = 99 };

static const char version_word[] = "HTTP/";

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
    if (strlen(known[i].name) == head_here(h) &&
        memcmp(head_text(h), known[i].name, head_here(h)) == 0)
      h->method = (uint8_t) known[i].method;
  h->is_head = h->method == HEAD;
}

static void in_method(alk_head_t *h, uint8_t c)
{
  if (c == ' ' && h->state == METHOD) {
    name_method(h);
    head_go(h, GAP);
  } else {
    head_go_if(h, (c >= 'A' && c <= 'Z') || c == '_' || c == '-', METHOD);
  }
}

static void begin_target(alk_head_t *h, state_t state)
{
  h->target = h->target_end = head_here(h);
  head_go(h, state);
}

static void in_scheme(alk_head_t *h, uint8_t c)
{
  if (h->state == GAP) {
    if (c == '/')
      begin_target(h, SEGMENT);
    else if (c != ' ')
      head_go_if(h, is_letter(c), SCHEME);
  } else if (h->state == SLASH) {
    head_go_if(h, c == '/', SECOND_SLASH);
  } else if (h->state == SECOND_SLASH) {
    head_go_if(h, c == '/', HOST_START);
  } else if (c == ':') {
    head_go(h, SLASH);
  } else if (!is_letter(c) && !is_digit(c) && !is_one_of(c, "+-.")) {
    head_bad(h);
  }
}

static void behind_authority(alk_head_t *h, uint8_t c)
{
  h->host_end = head_here(h);
  if (c == '/')
    begin_target(h, SEGMENT);
  else if (c == '?')
    begin_target(h, QUERY);
  else
    head_go_if(h, c == ' ', BEHIND);
}

static void in_host(alk_head_t *h, uint8_t c)
{
  if (h->state == HOST_START) {
    h->host = head_here(h);
    head_go(h, c == '[' ? LITERAL : HOST);
    if (c == '[') return;
  }
  if (h->state == LITERAL) {
    if (c == ']')
      head_go(h, HOST_END);
    else if (!is_letter(c) && !is_digit(c) && !is_one_of(c, ":-._~!$&'()*+,;="))
      head_bad(h);
    return;
  }
  if (h->state == HOST && (is_letter(c) || is_digit(c) || is_one_of(c, ".-")))
    return;
  if (h->state == PORT && is_digit(c)) return;
  if (c == ':' && h->state != PORT) {
    head_go(h, PORT);
    /* What is checked is the host alone. */
    h->host_end = head_here(h);
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
  h->target_end = head_here(h);
  return true;
}

static void in_target(alk_head_t *h, uint8_t c)
{
  if (c < ' ' || c == 0x7f) {
    head_bad(h);
  } else if (h->state == QUERY) {
    if (c == '#') h->is_complex = true;
  } else if (is_one_of(c, "%#") ||
             (h->state == SEGMENT && is_one_of(c, "./"))) {
    h->is_complex = true;
    head_go(h, QUERY);
  } else if (c == '?') {
    head_go(h, QUERY);
  } else if (c == '/') {
    head_go(h, SEGMENT);
  } else if (c != '+') {
    head_go(h, PATH);
  }
}

static void in_version(alk_head_t *h, uint8_t c)
{
  uint16_t *number = h->state == MAJOR ? &h->major : &h->minor;
  if (h->state == MAJOR && c == '.') {
    head_go(h, MINOR_START);
    return;
  }
  if (h->state == MINOR && c == ' ') {
    head_go(h, TRAIL);
    return;
  }
  if (!is_digit(c) || (h->state == MAJOR_START && c == '0') ||
      h->minor > MINOR_MAX) {
    head_bad(h);
    return;
  }
  if (h->state == MAJOR_START) number = &h->major;
  *number = (uint16_t) (*number * 10 + (c - '0'));
  if (h->state == MAJOR_START) head_go(h, MAJOR);
  if (h->state == MINOR_START) head_go(h, MINOR);
  if (h->major <= 1) return;
  h->is_broken = true;
  head_over(h, ALK_PAGE_BAD_VERSION);
}

static void in_word(alk_head_t *h, uint8_t c)
{
  uint8_t at = h->at;
  head_go_if(h, c == (uint8_t) version_word[at], WORD);
  h->at = (uint8_t) (at + 1);
  if (version_word[h->at] == '\0') head_go(h, MAJOR_START);
}

static bool is_old(const alk_head_t *h)
{
  return h->major == 0; /* HTTP/0.9: no version stood there */
}

static bool is_right(const alk_head_t *h)
{
  const char *line = head_text(h);
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
    head_refuse(h);
  else if (h->is_bare)
    head_decide(h);
  else
    head_go(h, LINE);
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

void head_in_request_line(alk_head_t *h, uint8_t c)
{
  if (h->state >= SEGMENT && h->state <= QUERY && ends_target(h, c))
    head_go(h, BEHIND); /* and the byte is looked at once more */
  if ((c == '\r' || c == '\n') && may_end(h)) {
    head_go(h, REQUEST_LF);
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
    if (c != ' ') head_bad(h);
  } else if (c == '\n') {
    end_request_line(h);
  } else {
    head_bad(h);
  }
}
