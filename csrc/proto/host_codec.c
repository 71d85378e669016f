/* host_codec.c - a host in text: an address, a name, or neither. */
#include "proto/host_codec.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

static bool is_name(const char *host)
{
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789.-_";
  size_t len = strnlen(host, ALK_HOST_MAX + 1);
  return len > 0 && len <= ALK_HOST_MAX && strspn(host, allowed) == len;
}

alk_host_kind_t alk_host_kind(const char *host, uint8_t addr[16])
{
  if (inet_pton(AF_INET, host, addr) == 1) return ALK_HOST_IPV4;
  if (inet_pton(AF_INET6, host, addr) == 1) return ALK_HOST_IPV6;
  return is_name(host) ? ALK_HOST_NAME : ALK_HOST_BAD;
}
