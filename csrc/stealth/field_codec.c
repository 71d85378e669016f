/* field_codec.c - the parts of a request's head, as nginx 1.22 takes them. */
#include "stealth/field_codec.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  char lower = (char) (c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A host in text, a port behind it, which nobody looks at. */
bool alk_field_is_host(const char *p, size_t n)
{
  bool is_literal = n > 0 && p[0] == '[';
  size_t len = n;   /* without the port */
  bool open = true; /* a colon begins the port */
  size_t dot = n;   /* the last one */
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char) p[i];
    if (c <= ' ' || c == 0x7f || c == '/') return false;
    if (c == '.' && i > 0 && dot == i - 1) return false;
    if (c == '.') dot = i;
    if (open && c == (is_literal ? ']' : ':')) {
      len = is_literal ? i + 1 : i;
      open = false;
    }
  }
  if (len > 0 && dot == len - 1) len--;
  return len > 0;
}

/* How the path is walked: one plain or decoded character after the other. */
typedef struct {
  const char *p, *end;
  bool bad;
} walk_t;

/* The next character; -1: the path ends here. *coded: it stood as %xx. */
static int next(walk_t *w, bool *coded)
{
  *coded = false;
  if (w->p == w->end) return -1;
  char c = *w->p++;
  if (c != '%') return (unsigned char) c;
  int high = w->p < w->end ? hex(*w->p++) : -1;
  int low = w->p < w->end && high >= 0 ? hex(*w->p++) : -1;
  *coded = true;
  w->bad = low < 0 || (high == 0 && low == 0);
  return w->bad ? -1 : high * 16 + low;
}

/* What begins a query or a fragment. A coded one is a character of the path. */
static bool ends_path(int c, bool coded)
{
  return c < 0 || (!coded && (c == '?' || c == '#'));
}

/* Segments are counted, empty ones and "." not at all. A dot that was coded is
 * a dot, and a slash a slash. */
bool alk_field_is_path(const char *p, size_t n)
{
  walk_t w = {.p = p, .end = p + n};
  size_t depth = 0, len = 0, dots = 0; /* of this segment */
  for (;;) {
    bool coded;
    int c = next(&w, &coded);
    if (w.bad) return false;
    bool ends = ends_path(c, coded);
    if (!ends && c != '/') {
      len++;
      if (c == '.') dots++;
      continue;
    }
    bool is_up = len == 2 && dots == 2;
    if (is_up && depth == 0) return false;
    if (is_up)
      depth--;
    else if (len > 0 && !(len == 1 && dots == 1))
      depth++;
    if (ends) return true;
    len = dots = 0;
  }
}

int64_t alk_field_length(const char *p, size_t n)
{
  int64_t length = 0;
  if (n == 0) return -1;
  for (size_t i = 0; i < n; i++) {
    if (p[i] < '0' || p[i] > '9') return -1;
    if (length > (INT64_MAX - 9) / 10) return -1;
    length = length * 10 + (p[i] - '0');
  }
  return length;
}

static const char *find(const char *p, size_t n, const char *word,
                        bool any_case)
{
  size_t len = strlen(word);
  for (; n >= len; p++, n--)
    if ((any_case ? strncasecmp(p, word, len) : strncmp(p, word, len)) == 0)
      return p;
  return NULL;
}

bool alk_field_has(const char *p, size_t n, const char *word, bool any_case)
{
  return find(p, n, word, any_case) != NULL;
}

/* "MSIE 6.0", and enough behind it. */
alk_agent_t alk_field_agent(const char *p, size_t n)
{
  alk_agent_t agent = {0};
  const char *msie = find(p, n, "MSIE ", false);
  if (msie != NULL && (size_t) (p + n - msie) <= 7) msie = NULL;
  if (find(p, n, "Opera", false) != NULL) return agent;
  if (msie == NULL) {
    agent.is_padded = find(p, n, "Gecko/", false) == NULL &&
                      find(p, n, "Chrome/", false) != NULL;
    return agent;
  }
  size_t rest = (size_t) (p + n - msie) - 8;
  agent.is_padded = true;
  if (msie[6] == '.')
    agent.is_old_explorer =
      msie[5] == '4' || msie[5] == '5' ||
      (msie[5] == '6' && find(msie + 8, rest, "SV1", false) == NULL);
  return agent;
}
