/* host_codec.h - what a host is to those who write it into a message: pure. */
#ifndef ALK_HOST_CODEC_H
#define ALK_HOST_CODEC_H

#include <stdint.h>

enum { ALK_HOST_MAX = 255 };

typedef enum {
  ALK_HOST_BAD, /* nothing that may stand in a message */
  ALK_HOST_NAME,
  ALK_HOST_IPV4, /* in text; addr has 4 bytes */
  ALK_HOST_IPV6  /* in text, without brackets and without a zone; 16 bytes */
} alk_host_kind_t;

/* A name is letters, digits, dots, hyphens and underscores, at most
 * ALK_HOST_MAX of them: nothing that a proxy could read as the end of a line, a
 * port, a login or a path. Other scripts come in their ASCII form. */
alk_host_kind_t alk_host_kind(const char *host, uint8_t addr[16]);

#endif
