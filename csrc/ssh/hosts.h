/* hosts.h - known_hosts as a pure function (sshd(8), SSH_KNOWN_HOSTS FILE
 * FORMAT): plain and hashed names, [host]:port, patterns and negation, several
 * keys a host, @revoked and @cert-authority. A line that does not parse says
 * nothing about any host. No I/O. */
#ifndef ALK_HOSTS_H
#define ALK_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum { ALK_HOSTS_MAX = 16 * 1024 * 1024 }; /* bytes of a file; more: error */

typedef enum {
  ALK_HOST_UNKNOWN, /* no line names this host */
  ALK_HOST_TRUSTED, /* this key stands there for this host */
  ALK_HOST_CHANGED, /* other keys of the same type stand there, not this */
  ALK_HOST_OTHER,   /* only keys of other types stand there */
  ALK_HOST_REVOKED  /* @revoked: this key must never be accepted for it */
} alk_host_verdict_t;

typedef struct {
  alk_host_verdict_t verdict;
  unsigned line; /* of the entry that decided, from 1; 0: none */
  /* The types of the keys that stand there for the host, without markers, in
   * file order, no doubles: what to ask the server for first. Comma list. */
  char types[256];
} alk_host_match_t;

/* About a plain key. host: lower or upper case, no brackets. blob NULL: only
 * types is filled. */
alk_host_match_t alk_hosts_match(const char *text, size_t len, const char *host,
                                 uint16_t port, const uint8_t *blob,
                                 size_t blob_len);

/* The same about the key of a CA that has certified the host's: TRUSTED: a
 * @cert-authority line says that it may; OTHER: only other CAs may; REVOKED;
 * never CHANGED. types: of the CAs' keys. On a port other than 22 a line for
 * the host without a port counts too, as long as the line excludes neither
 * spelling. */
alk_host_match_t alk_hosts_authority(const char *text, size_t len,
                                     const char *host, uint16_t port,
                                     const uint8_t *blob, size_t blob_len);

/* A line for host: "name type base64\n", the name hashed when asked. False:
 * OpenSSL failed, nothing appended. */
bool alk_hosts_line(const char *host, uint16_t port, bool hashed,
                    const uint8_t *blob, size_t blob_len, alk_buf_t *out);

#endif
