/* address.c - socket addresses and their text. */
#include "net/address.h"

#include <netinet/in.h>
#include <string.h>

#include <uv.h>

int address_parse(const char *address, uint16_t port,
                  struct sockaddr_storage *out)
{
  memset(out, 0, sizeof *out);
  if (uv_ip4_addr(address, port, (struct sockaddr_in *) out) == 0) return 0;
  return uv_ip6_addr(address, port, (struct sockaddr_in6 *) out);
}

/* An empty path would name a socket that has no file, and libuv 1.44 would cut
 * one that is too long. */
int address_parse_path(const char *path, struct sockaddr_un *out)
{
  size_t len = strlen(path);
  if (len == 0) return UV_EINVAL;
  if (len >= sizeof out->sun_path) return UV_ENAMETOOLONG;
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(out->sun_path, path, len);
  return 0;
}

bool address_fill(const struct sockaddr_storage *sa, alk_addr_t *out)
{
  const struct sockaddr_in *in4 = (const struct sockaddr_in *) sa;
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) sa;
  if (sa->ss_family == AF_INET) {
    out->family = 4;
    out->port = ntohs(in4->sin_port);
    return uv_ip4_name(in4, out->address, sizeof out->address) == 0;
  }
  if (sa->ss_family == AF_INET6) {
    out->family = 6;
    out->port = ntohs(in6->sin6_port);
    return uv_ip6_name(in6, out->address, sizeof out->address) == 0;
  }
  return false;
}
