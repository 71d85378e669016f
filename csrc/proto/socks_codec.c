/* socks_codec.c - SOCKS messages, bytes to structs and back.
 *
 * Each parser reads from the front and returns at the first byte that settles
 * the matter: the reader going bad means "more". So what a parser says of a
 * message it also says of every longer input that begins with it. Port 0
 * passes: what it leads to, the far end knows (alknet-control:0 is a
 * destination). */
#include "proto/socks_codec.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"

#include "proto/addr_codec.h"

enum { FIELD_MAX = 255, IPV6_GROUPS = 8 };
enum { SOCKS4_GRANTED = 90, SOCKS4_REJECTED = 91 };

static int used(const alk_rd_t *r, size_t n)
{
  return (int) (n - r->len);
}

/* Names are handed on as they are, so nothing may pass that could mean
 * something else further on: no control characters, no blanks, no bytes whose
 * encoding nobody has named. */
static bool is_name(const uint8_t *p, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (p[i] < 0x21 || p[i] > 0x7e) return false;
  return len > 0;
}

static void put_ipv4(char out[256], const uint8_t ip[4])
{
  snprintf(out, 256, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
}

/* The longest run of zero groups; the first of equals. Returns its length. */
static int zero_run(const uint16_t group[IPV6_GROUPS], int *start)
{
  int best = 0, len = 0;
  for (int i = 0; i < IPV6_GROUPS; i++) {
    len = group[i] == 0 ? len + 1 : 0;
    if (len <= best) continue;
    best = len;
    *start = i + 1 - len;
  }
  return best;
}

/* RFC 5952. Not inet_ntop, because C libraries differ in a lone zero group
 * (§4.2.2) and in when they write the end as IPv4: here, for mapped addresses
 * only (§5). */
static void put_ipv6(char out[256], const uint8_t ip[16])
{
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  if (memcmp(ip, mapped, sizeof mapped) == 0) {
    snprintf(out, 256, "::ffff:%u.%u.%u.%u", ip[12], ip[13], ip[14], ip[15]);
    return;
  }
  alk_rd_t r = alk_rd(ip, 16);
  uint16_t group[IPV6_GROUPS];
  for (int i = 0; i < IPV6_GROUPS; i++)
    group[i] = alk_rd_u16(&r);
  int start = 0;
  int run = zero_run(group, &start);
  if (run < 2) run = 0; /* §4.2.2: a lone zero is written out */
  size_t len = 0;
  for (int i = 0; i < IPV6_GROUPS; i++) {
    if (run > 0 && i == start) {
      len += (size_t) snprintf(out + len, 256 - len, "::");
      i += run - 1;
      continue;
    }
    bool glued = i == 0 || (run > 0 && i == start + run);
    len += (size_t) snprintf(out + len, 256 - len, glued ? "%x" : ":%x",
                             (unsigned) group[i]);
  }
}

/* +----+----------+----------+
 * |VER | NMETHODS | METHODS  |
 * +----+----------+----------+
 * | 1  |    1     | 0 to 255 |
 * +----+----------+----------+ */
int alk_socks5_parse_greeting(const uint8_t *p, size_t n, uint8_t method,
                              bool *offered)
{
  alk_rd_t r = alk_rd(p, n);
  uint8_t version = alk_rd_u8(&r);
  if (r.bad) return 0;
  if (version != 5) return ALK_SOCKS_E_VERSION;
  uint8_t count = alk_rd_u8(&r);
  const uint8_t *methods = alk_rd_bytes(&r, count);
  if (r.bad) return 0;
  *offered = count > 0 && memchr(methods, method, count) != NULL;
  return used(&r, n);
}

/* +----+------+----------+------+----------+
 * |VER | ULEN |  UNAME   | PLEN |  PASSWD  |
 * +----+------+----------+------+----------+
 * | 1  |  1   | 0 to 255 |  1   | 0 to 255 |
 * +----+------+----------+------+----------+
 * The RFC wants one byte at least in each; an empty one is left to be wrong.
 * All of out is written, so that two of them can be compared whole. */
int alk_socks5_parse_login(const uint8_t *p, size_t n, alk_socks_login_t *out)
{
  alk_rd_t r = alk_rd(p, n);
  uint8_t version = alk_rd_u8(&r);
  if (r.bad) return 0;
  if (version != SOCKS5_LOGIN_VERSION) return ALK_SOCKS_E_VERSION;
  uint8_t user_len = alk_rd_u8(&r);
  const uint8_t *user = alk_rd_bytes(&r, user_len);
  uint8_t password_len = alk_rd_u8(&r);
  const uint8_t *password = alk_rd_bytes(&r, password_len);
  if (r.bad) return 0;
  if (user_len > 0 && memchr(user, 0, user_len) != NULL)
    return ALK_SOCKS_E_SYNTAX;
  if (password_len > 0 && memchr(password, 0, password_len) != NULL)
    return ALK_SOCKS_E_SYNTAX;
  memset(out, 0, sizeof *out);
  if (user_len > 0) memcpy(out->user, user, user_len);
  if (password_len > 0) memcpy(out->password, password, password_len);
  return used(&r, n);
}

/* What a request of either version begins with. Returns as a parser does. */
static int take_command(alk_rd_t *r, uint8_t version)
{
  uint8_t said = alk_rd_u8(r);
  if (r->bad) return 0;
  if (said != version) return ALK_SOCKS_E_VERSION;
  uint8_t command = alk_rd_u8(r);
  if (r->bad) return 0;
  return command == SOCKS_CONNECT ? 2 : ALK_SOCKS_E_COMMAND;
}

/* +----+-----+-------+------+----------+----------+
 * |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
 * +----+-----+-------+------+----------+----------+
 * | 1  |  1  | X'00' |  1   | Variable |    2     |
 * +----+-----+-------+------+----------+----------+
 * DST.ADDR: 4 bytes, 16 bytes, or a length byte and a name. */
int alk_socks5_parse_request(const uint8_t *p, size_t n,
                             alk_socks_request_t *out)
{
  alk_rd_t r = alk_rd(p, n);
  int rc = take_command(&r, 5);
  if (rc <= 0) return rc;
  alk_rd_u8(&r); /* reserved: nothing depends on it */
  alk_socks_addr_t dst;
  if (!alk_socks5_read_addr(&r, &dst)) return ALK_SOCKS_E_ATYP;
  if (r.bad) return 0;
  if (dst.type == SOCKS5_NAME && !is_name(dst.bytes, dst.len))
    return ALK_SOCKS_E_SYNTAX;
  *out = (alk_socks_request_t){.version = 5, .port = dst.port};
  if (dst.type == SOCKS5_IPV4)
    put_ipv4(out->host, dst.bytes);
  else if (dst.type == SOCKS5_IPV6)
    put_ipv6(out->host, dst.bytes);
  else
    memcpy(out->host, dst.bytes, dst.len);
  return used(&r, n);
}

/* Takes a field that a NUL ends. Returns as a parser does. */
static int take_field(alk_rd_t *r, const uint8_t **text, size_t *len)
{
  size_t max = r->len <= FIELD_MAX ? r->len : FIELD_MAX + 1;
  const uint8_t *nul = max > 0 ? memchr(r->p, 0, max) : NULL;
  if (nul == NULL) return max > FIELD_MAX ? ALK_SOCKS_E_SYNTAX : 0;
  *len = (size_t) (nul - r->p);
  *text = alk_rd_bytes(r, *len + 1);
  return (int) (*len + 1);
}

/* +----+----+---------+-------+--------+------+ 4a, when DSTIP is 0.0.0.x and
 * | VN | CD | DSTPORT | DSTIP | USERID | NULL | x is not 0: the name and one
 * +----+----+---------+-------+--------+------+ more NULL follow.
 * | 1  | 1  |    2    |   4   |  var.  |  1   |
 * +----+----+---------+-------+--------+------+ */
int alk_socks4_parse_request(const uint8_t *p, size_t n,
                             alk_socks_request_t *out)
{
  alk_rd_t r = alk_rd(p, n);
  int rc = take_command(&r, 4);
  if (rc <= 0) return rc;
  uint16_t port = alk_rd_u16(&r);
  const uint8_t *ip = alk_rd_bytes(&r, 4);
  if (r.bad) return 0;
  const uint8_t *user, *name = NULL;
  size_t len = 0;
  rc = take_field(&r, &user, &len);
  if (rc <= 0) return rc;
  if (ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0) {
    rc = take_field(&r, &name, &len);
    if (rc <= 0) return rc;
  }
  if (name != NULL && !is_name(name, len)) return ALK_SOCKS_E_SYNTAX;
  *out = (alk_socks_request_t){.version = 4, .port = port};
  if (name == NULL)
    put_ipv4(out->host, ip);
  else
    memcpy(out->host, name, len);
  return used(&r, n);
}

/* +----+-----+-------+------+----------+----------+  SOCKS4:
 * |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |  | VN | CD | PORT | IP |
 * +----+-----+-------+------+----------+----------+  | 0  | 1  |  2   | 4  |
 * | 1  |  1  | X'00' |  1   |    4     |    2     |
 * +----+-----+-------+------+----------+----------+ */
size_t alk_socks_put_reply(uint8_t out[ALK_SOCKS_REPLY_MAX], uint8_t version,
                           uint8_t rep)
{
  memset(out, 0, ALK_SOCKS_REPLY_MAX);
  if (version == 4) {
    out[1] = rep == ALK_SOCKS_OK ? SOCKS4_GRANTED : SOCKS4_REJECTED;
    return 8;
  }
  out[0] = 5;
  out[1] = rep;
  out[3] = SOCKS5_IPV4;
  return 10;
}
