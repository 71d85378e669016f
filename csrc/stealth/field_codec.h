/* field_codec.h - what nginx makes of the parts of a head once they are whole:
 * pure functions over text. */
#ifndef ALK_STEALTH_FIELD_CODEC_H
#define ALK_STEALTH_FIELD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A host that nginx takes, in the request line or in Host. */
bool alk_field_is_host(const char *p, size_t n);

/* A path, and the query behind it, that can be decoded and does not lead
 * above its root. */
bool alk_field_is_path(const char *p, size_t n);

/* Content-Length; -1: it is no number. */
int64_t alk_field_length(const char *p, size_t n);

/* Whether word is somewhere in it, in any case or just in this. */
bool alk_field_has(const char *p, size_t n, const char *word, bool any_case);

typedef struct {
  bool is_padded;       /* MSIE or Chrome */
  bool is_old_explorer; /* MSIE 4, 5, and most of 6 */
} alk_agent_t;
alk_agent_t alk_field_agent(const char *p, size_t n);

#endif
