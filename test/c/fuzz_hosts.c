/* fuzz_hosts.c - known_hosts from hostile bytes. The first byte chooses the
 * host, its port and the key; a line of ours behind any file at all must make
 * the key trusted, unless the file revokes it; and likewise a CA's. */
#include <string.h>

#include "core/mem.h"

#include "ssh/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[] = "\0\0\0\13ssh-ed25519\0\0\0\4\1\2\3\4";

typedef struct {
  const char *text;
  size_t len;
  const char *host;
  uint16_t port;
  const uint8_t *blob; /* NULL: only types are asked for */
  bool hashed;
} question_t;

typedef alk_host_match_t look_up_t(const char *text, size_t len,
                                   const char *host, uint16_t port,
                                   const uint8_t *blob, size_t blob_len);

/* The verdict on the file as it is. */
static alk_host_verdict_t check(const question_t *q, look_up_t *look_up,
                                const char *marker)
{
  alk_host_match_t m =
    look_up(q->text, q->len, q->host, q->port, q->blob, sizeof key - 1);
  CHECK(memchr(m.types, '\0', sizeof m.types) != NULL);
  CHECK((m.verdict == ALK_HOST_UNKNOWN) == (m.line == 0));
  CHECK(q->blob != NULL || m.verdict == ALK_HOST_UNKNOWN);

  alk_buf_t more = {0};
  alk_buf_add(&more, q->text, q->len);
  alk_buf_u8(&more, '\n');
  alk_buf_add(&more, marker, strlen(marker));
  CHECK(
    alk_hosts_line(q->host, q->port, q->hashed, key, sizeof key - 1, &more));
  alk_host_match_t again =
    look_up((const char *) alk_buf_head(&more), alk_buf_size(&more), q->host,
            q->port, key, sizeof key - 1);
  CHECK(again.verdict == ALK_HOST_TRUSTED || again.verdict == ALK_HOST_REVOKED);
  CHECK(q->blob == NULL ||
        (again.verdict == ALK_HOST_REVOKED) == (m.verdict == ALK_HOST_REVOKED));
  alk_buf_free(&more);
  return m.verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size == 0) return 0;
  const question_t q = {
    .text = (const char *) data + 1,
    .len = size - 1,
    .host = (data[0] & 1) != 0 ? "host.example" : "::1",
    .port = (data[0] & 2) != 0 ? 22 : 2222,
    .blob = (data[0] & 4) != 0 ? NULL : key,
    .hashed = (data[0] & 8) != 0,
  };
  alk_host_verdict_t plain = check(&q, alk_hosts_match, "");
  alk_host_verdict_t ca = check(&q, alk_hosts_authority, "@cert-authority ");
  CHECK(ca != ALK_HOST_CHANGED);
  /* Who is revoked is so as either. */
  CHECK((plain == ALK_HOST_REVOKED) == (ca == ALK_HOST_REVOKED));
  return 0;
}
