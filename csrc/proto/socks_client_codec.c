/* socks_client_codec.c - the client's half of SOCKS5, bytes to values and back.
 * As in socks_codec.c, a parser returns at the first byte that settles the
 * matter. */
#include "proto/socks_client_codec.h"

#include <string.h>

#include "core/buf.h"

#include "proto/addr_codec.h"
#include "proto/host_codec.h"

enum { FIELD_MAX = 255 };

static size_t put_field(uint8_t *out, const char *text, size_t len)
{
  out[0] = (uint8_t) len;
  memcpy(out + 1, text, len);
  return 1 + len;
}

/* +----+------+----------+------+----------+
 * |VER | ULEN |  UNAME   | PLEN |  PASSWD  |
 * +----+------+----------+------+----------+
 * | 1  |  1   | 1 to 255 |  1   | 0 to 255 |
 * +----+------+----------+------+----------+
 * The RFC wants one byte at least in a password, too. There are servers with an
 * empty one, and it is theirs to say no. */
size_t alk_socks5_put_login(uint8_t out[ALK_SOCKS_LOGIN_MAX], const char *user,
                            const char *password)
{
  size_t user_len = strnlen(user, FIELD_MAX + 1);
  size_t password_len = strnlen(password, FIELD_MAX + 1);
  if (user_len == 0 || user_len > FIELD_MAX || password_len > FIELD_MAX)
    return 0;
  out[0] = SOCKS5_LOGIN_VERSION;
  size_t len = 1 + put_field(out + 1, user, user_len);
  return len + put_field(out + len, password, password_len);
}

/* +----+-----+-------+------+----------+----------+
 * |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
 * +----+-----+-------+------+----------+----------+
 * | 1  |  1  | X'00' |  1   | Variable |    2     |
 * +----+-----+-------+------+----------+----------+ */
size_t alk_socks5_put_connect(uint8_t out[ALK_SOCKS_REQUEST_MAX],
                              const char *host, uint16_t port)
{
  uint8_t addr[16];
  size_t len = 4;
  alk_host_kind_t kind = alk_host_kind(host, addr);
  if (kind == ALK_HOST_BAD) return 0;
  out[0] = 5;
  out[1] = SOCKS_CONNECT;
  out[2] = 0;
  if (kind == ALK_HOST_NAME) {
    out[3] = SOCKS5_NAME;
    len += put_field(out + len, host, strlen(host));
  } else {
    size_t size = kind == ALK_HOST_IPV4 ? 4 : 16;
    out[3] = kind == ALK_HOST_IPV4 ? SOCKS5_IPV4 : SOCKS5_IPV6;
    memcpy(out + len, addr, size);
    len += size;
  }
  out[len++] = (uint8_t) (port >> 8);
  out[len++] = (uint8_t) port;
  return len;
}

/* What an answer begins with, the version and one byte. Returns as a parser
 * does. */
static int take_pair(alk_rd_t *r, uint8_t version, uint8_t *value)
{
  uint8_t said = alk_rd_u8(r);
  if (r->bad) return 0;
  if (said != version && said != 5) return ALK_SOCKS_E_VERSION;
  uint8_t second = alk_rd_u8(r);
  if (r->bad) return 0;
  *value = second;
  return 2;
}

int alk_socks5_parse_method(const uint8_t *p, size_t n, uint8_t *method)
{
  alk_rd_t r = alk_rd(p, n);
  return take_pair(&r, 5, method);
}

/* The version of the sub-negotiation is 1; there are servers that say 5 here.
 */
int alk_socks5_parse_status(const uint8_t *p, size_t n, uint8_t *status)
{
  alk_rd_t r = alk_rd(p, n);
  return take_pair(&r, SOCKS5_LOGIN_VERSION, status);
}

/* +----+-----+-------+------+----------+----------+
 * |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
 * +----+-----+-------+------+----------+----------+
 * | 1  |  1  | X'00' |  1   | Variable |    2     |
 * +----+-----+-------+------+----------+----------+
 * The bound address is of no use here; it only has to be skipped. */
int alk_socks5_parse_reply(const uint8_t *p, size_t n, uint8_t *rep)
{
  alk_rd_t r = alk_rd(p, n);
  uint8_t said = 0;
  int rc = take_pair(&r, 5, &said);
  if (rc <= 0) return rc;
  if (said != ALK_SOCKS_OK) {
    *rep = said;
    return 2;
  }
  alk_rd_u8(&r); /* reserved: nothing depends on it */
  alk_socks_addr_t bound;
  if (!alk_socks5_read_addr(&r, &bound)) return ALK_SOCKS_E_ATYP;
  if (r.bad) return 0;
  *rep = said;
  return (int) (n - r.len);
}
