/* hosts_pattern.h - the patterns of known_hosts (ssh_config(5), PATTERNS). */
#ifndef ALK_HOSTS_PATTERN_H
#define ALK_HOSTS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum { ALK_HOST_NAME_MAX = 1025 }; /* a name; longer ones match nothing */

/* list: patterns with * and ?, separated by commas, of any case; name: lower
 * case. True when one matches and none with a ! before it does. The time is
 * linear in the list whatever stands in it. */
bool alk_host_list_match(const char *list, size_t len, const char *name);

#endif
