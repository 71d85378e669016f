/* addr_codec.c - the address of a SOCKS5 message. */
#include "proto/addr_codec.h"

bool alk_socks5_read_addr(alk_rd_t *r, alk_socks_addr_t *out)
{
  *out = (alk_socks_addr_t){.type = alk_rd_u8(r)};
  if (r->bad) return true;
  if (out->type == SOCKS5_IPV4)
    out->len = 4;
  else if (out->type == SOCKS5_IPV6)
    out->len = 16;
  else if (out->type == SOCKS5_NAME)
    out->len = alk_rd_u8(r);
  else
    return false;
  out->bytes = alk_rd_bytes(r, out->len);
  out->port = alk_rd_u16(r);
  return true;
}
