/* fuzz_hosts.c - known_hosts from hostile bytes. The first byte chooses the
 * host, its port and the key; a line of ours behind any file at all must make
 * the key trusted, unless the file revokes it. */
#include <string.h>

#include "core/mem.h"

#include "ssh/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[] = "\0\0\0\13ssh-ed25519\0\0\0\4\1\2\3\4";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0) return 0;
  const char *host = (data[0] & 1) != 0 ? "host.example" : "::1";
  uint16_t port = (data[0] & 2) != 0 ? 22 : 2222;
  const uint8_t *blob = (data[0] & 4) != 0 ? NULL : key;
  const char *text = (const char *) data + 1;
  size_t len = size - 1;
  alk_host_match_t m =
    alk_hosts_match(text, len, host, port, blob, sizeof key - 1);
  CHECK(memchr(m.types, '\0', sizeof m.types) != NULL);
  CHECK((m.verdict == ALK_HOST_UNKNOWN) == (m.line == 0));
  CHECK(blob != NULL || m.verdict == ALK_HOST_UNKNOWN);

  alk_buf_t more = {0};
  alk_buf_add(&more, text, len);
  alk_buf_u8(&more, '\n');
  CHECK(
    alk_hosts_line(host, port, (data[0] & 8) != 0, key, sizeof key - 1, &more));
  alk_host_match_t again =
    alk_hosts_match((const char *) alk_buf_head(&more), alk_buf_size(&more),
                    host, port, key, sizeof key - 1);
  CHECK(again.verdict == ALK_HOST_TRUSTED || again.verdict == ALK_HOST_REVOKED);
  CHECK(blob == NULL ||
        (again.verdict == ALK_HOST_REVOKED) == (m.verdict == ALK_HOST_REVOKED));
  alk_buf_free(&more);
  return 0;
}
