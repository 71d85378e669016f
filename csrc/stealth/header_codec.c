/* header_codec.c - the fields of a request's head, one byte after the other, as
 * nginx 1.22: head_state_codec.h has their states. What a line means is looked
 * at when it is whole. */
#include <strings.h>

#include "stealth/field_codec.h"
#include "stealth/head_state_codec.h"

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

enum { FIELDS = sizeof fields / sizeof *fields, AGENT_BIT = FIELDS - 2 };

static void take_connection(alk_head_t *h, const char *value, size_t len)
{
  if (alk_field_has(value, len, "close", true))
    h->connection = CLOSE;
  else if (alk_field_has(value, len, "keep-alive", true))
    h->connection = KEEP_ALIVE;
}

static void take_agent(alk_head_t *h, const char *value, size_t len)
{
  if (head_has(h, AGENT_BIT)) return;
  alk_agent_t agent = alk_field_agent(value, len);
  h->is_padded = agent.is_padded;
  h->is_old_explorer = agent.is_old_explorer;
}

/* False: it may not stand there, or not once more. */
static bool take_field(alk_head_t *h, unsigned which, const char *value,
                       size_t len)
{
  field_t field = fields[which].field;
  if (head_has(h, which) && field != F_AGENT && field != F_CONNECTION)
    return false;
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
  const char *line = head_text(h);
  size_t end = head_here(h); /* the LF */
  size_t start = h->value > 0 ? h->value : h->name_end;
  while (end > start && line[end - 1] == '\r')
    end--;
  while (end > start && is_one_of((uint8_t) line[end - 1], " \t"))
    end--;
  head_go(h, LINE);
  if (h->is_odd) return;
  for (unsigned i = 0; i < FIELDS; i++) {
    if (strlen(fields[i].name) != h->name_end ||
        strncasecmp(line, fields[i].name, h->name_end) != 0)
      continue;
    size_t len = h->value > 0 ? end - start : 0;
    if (!take_field(h, i, line + start, len)) head_refuse(h);
  }
}

static void in_name(alk_head_t *h, uint8_t c)
{
  if (h->state == LINE) {
    h->is_odd = false;
    h->value = h->name_end = 0;
  }
  bool is_first = h->state == LINE;
  head_go(h, NAME);
  if (is_letter(c) || is_digit(c) || c == '-') return;
  if (!is_first && (c == ':' || c == '\r' || c == '\n')) {
    h->name_end = head_here(h);
    head_go(h, c == ':' ? LEAD : LINE_LF);
    if (c == '\n') end_field(h);
  } else if (c <= ' ' || c == 0x7f || c == ':') {
    head_bad(h);
  } else {
    h->is_odd = true;
  }
}

static void in_value(alk_head_t *h, uint8_t c)
{
  if (c == '\0') {
    head_bad(h);
  } else if (c == '\r') {
    head_go(h, LINE_LF);
  } else if (c == '\n') {
    end_field(h);
  } else if (h->state == LEAD && c != ' ' && c != '\t') {
    h->value = head_here(h);
    head_go(h, VALUE);
  }
}

void head_in_fields(alk_head_t *h, uint8_t c)
{
  bool is_last =
    (h->state == LINE && c == '\n') || (h->state == LAST_LF && c == '\n');
  if (is_last)
    head_decide(h);
  else if (h->state == LINE && c == '\r')
    head_go(h, LAST_LF);
  else if (h->state == LINE || h->state == NAME)
    in_name(h, c);
  else if (h->state == LEAD || h->state == VALUE)
    in_value(h, c);
  else if (h->state == LINE_LF && c == '\n')
    end_field(h);
  else if (h->state != LINE_LF || c != '\r')
    head_bad(h);
}
