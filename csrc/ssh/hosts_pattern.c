/* hosts_pattern.c - matches a name against a list of patterns.
 *
 * A pattern is matched without recursion: after a mismatch only the last star
 * is tried again, one character further on in the name. So the name's position
 * of a retry only grows, over the whole pattern, and there are at most as many
 * retries as the name has characters, each of at most that many steps:
 * len(pattern) + len(name)^2, with a name that is short. */
#include "ssh/hosts_pattern.h"

#include <string.h>

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool pattern_match(const char *p, size_t len, const char *name)
{
  const char *end = p + len;
  const char *star = NULL;  /* behind the last one */
  const char *retry = NULL; /* what it has to begin with, next time */
  while (*name != '\0') {
    if (p < end && *p == '*') {
      star = ++p;
      retry = name;
    } else if (p < end && (*p == '?' || lower(*p) == *name)) {
      p++;
      name++;
    } else if (star != NULL) {
      p = star;
      name = ++retry;
    } else {
      return false;
    }
  }
  while (p < end && *p == '*')
    p++;
  return p == end;
}

alk_list_says_t alk_host_list_says(const char *list, size_t len,
                                   const char *name)
{
  alk_list_says_t says = ALK_LIST_SILENT;
  while (len > 0) {
    const char *comma = memchr(list, ',', len);
    size_t n = comma == NULL ? len : (size_t) (comma - list);
    bool negated = n > 0 && list[0] == '!';
    if (pattern_match(list + negated, n - negated, name)) {
      if (negated) return ALK_LIST_EXCLUDES;
      says = ALK_LIST_NAMES;
    }
    size_t taken = comma == NULL ? n : n + 1;
    list += taken;
    len -= taken;
  }
  return says;
}

bool alk_host_list_match(const char *list, size_t len, const char *name)
{
  return alk_host_list_says(list, len, name) == ALK_LIST_NAMES;
}
