/* hosts_pattern.h - the patterns of known_hosts (ssh_config(5), PATTERNS). */
#ifndef ALK_HOSTS_PATTERN_H
#define ALK_HOSTS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum { ALK_HOST_NAME_MAX = 1025 }; /* a name; longer ones match nothing */

typedef enum {
  ALK_LIST_SILENT,  /* no pattern matches */
  ALK_LIST_NAMES,   /* one does */
  ALK_LIST_EXCLUDES /* one with a ! before it does, which outweighs the others
                     */
} alk_list_says_t;

/* list: patterns with * and ?, separated by commas, of any case; name: lower
 * case. The time is linear in the list whatever stands in it. */
alk_list_says_t alk_host_list_says(const char *list, size_t len,
                                   const char *name);
/* Whether it names it. */
bool alk_host_list_match(const char *list, size_t len, const char *name);

#endif
