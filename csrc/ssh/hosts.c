/* hosts.c - known_hosts, line by line (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
 *
 *   [@marker] names type base64 [comment]
 *
 * names is a comma list of patterns, or one hash: |1|salt|HMAC-SHA1. A host is
 * looked up as "host" on port 22 and as "[host]:port" on others. A line counts
 * when its names match and its key parses; then @revoked beats everything, and
 * the same key beats another one of its type. @cert-authority lines speak of
 * certificates and say nothing about plain keys. For other ports than 22 those
 * that name the host without a port count too, since that is how people write
 * patterns (OpenSSH looks a second time, without the port); but here a negation
 * of either spelling excludes. @revoked lines count for every port of a host,
 * in the file's caution rather than its letter, and one with a certificate
 * revokes the key in it.
 *
 * Fails closed: a text that is too long, or a hash that OpenSSL does not
 * compute, gives ALK_HOST_REVOKED with line 0. */
#include "ssh/hosts.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "ssh/cert.h"
#include "ssh/hosts_pattern.h"
#include "ssh/key.h"

enum {
  LINE_MAX_LEN = 256 * 1024, /* longer lines say nothing */
  TYPE_MAX = 64,
  HASH_LEN = 20,     /* SHA-1 */
  HASH_LETTERS = 28, /* of it in base64 */
  NAME_MAX_LEN = ALK_HOST_NAME_MAX + sizeof "[]:65535"
};

typedef enum { PLAIN, REVOKED, AUTHORITY } marker_t;

/* A run of text inside the file. */
typedef struct {
  const char *p;
  size_t len;
} word_t;

typedef struct {
  marker_t marker;
  word_t names, type, base64;
} entry_t;

typedef struct {
  char name[NAME_MAX_LEN];  /* as it stands in the file */
  char other[NAME_MAX_LEN]; /* the other spelling: with or without its port */
  bool other_is_bare;       /* without */
  marker_t marker;          /* which lines are asked */
  bool failed;              /* OpenSSL did */
} wanted_t;

static bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

static word_t next_word(word_t *line)
{
  while (line->len > 0 && is_blank(*line->p)) {
    line->p++;
    line->len--;
  }
  word_t w = {line->p, 0};
  while (w.len < line->len && !is_blank(w.p[w.len]))
    w.len++;
  line->p += w.len;
  line->len -= w.len;
  return w;
}

static bool word_is(word_t w, const char *text)
{
  return w.len == strlen(text) && memcmp(w.p, text, w.len) == 0;
}

/* Up to the next newline, which is taken, and one CR before it, which is
 * not a part of the line either. */
static word_t next_line(word_t *text)
{
  const char *end = memchr(text->p, '\n', text->len);
  word_t line = {text->p, end == NULL ? text->len : (size_t) (end - text->p)};
  size_t taken = end == NULL ? line.len : line.len + 1;
  text->p += taken;
  text->len -= taken;
  if (line.len > 0 && line.p[line.len - 1] == '\r') line.len--;
  return line;
}

/* Types go into lists and from there to a server. */
static bool type_is_plain(word_t type)
{
  if (type.len == 0 || type.len > TYPE_MAX) return false;
  for (size_t i = 0; i < type.len; i++)
    if (type.p[i] <= ' ' || type.p[i] >= 0x7f || type.p[i] == ',') return false;
  return true;
}

static bool line_parse(word_t line, entry_t *e)
{
  if (line.len > LINE_MAX_LEN || memchr(line.p, '\0', line.len) != NULL ||
      memchr(line.p, '\r', line.len) != NULL)
    return false;
  word_t w = next_word(&line);
  if (w.len == 0 || w.p[0] == '#') return false;
  e->marker = PLAIN;
  if (w.p[0] == '@') {
    if (word_is(w, "@revoked"))
      e->marker = REVOKED;
    else if (word_is(w, "@cert-authority"))
      e->marker = AUTHORITY;
    else
      return false;
    w = next_word(&line);
  }
  e->names = w;
  e->type = next_word(&line);
  e->base64 = next_word(&line);
  return e->names.len > 0 && type_is_plain(e->type) && e->base64.len > 0 &&
         e->base64.len <= ALK_KEY_BLOB_MAX / 3 * 4 + 4;
}

/* The blob, when it parses as far as its type and that is the line's. */
static bool entry_decode(const entry_t *e, alk_buf_t *blob)
{
  if (!alk_base64_decode(e->base64.p, e->base64.len, blob)) return false;
  alk_rd_t r = alk_rd(alk_buf_head(blob), alk_buf_size(blob));
  size_t len;
  const uint8_t *type = alk_rd_str(&r, &len);
  return alk_buf_size(blob) <= ALK_KEY_BLOB_MAX && type != NULL &&
         len == e->type.len && memcmp(type, e->type.p, len) == 0;
}

static bool hash_name(const uint8_t salt[HASH_LEN], const char *name,
                      uint8_t out[HASH_LEN])
{
  unsigned len = 0;
  return HMAC(EVP_sha1(), salt, HASH_LEN, (const uint8_t *) name, strlen(name),
              out, &len) != NULL &&
         len == HASH_LEN;
}

/* |1|salt|hash, both in base64. */
static bool hash_matches(wanted_t *want, word_t names, const char *name)
{
  if (names.len != 3 + HASH_LETTERS + 1 + HASH_LETTERS ||
      memcmp(names.p, "|1|", 3) != 0 || names.p[3 + HASH_LETTERS] != '|')
    return false;
  alk_buf_t both = {0};
  uint8_t hash[HASH_LEN];
  bool ok =
    alk_base64_decode(names.p + 3, HASH_LETTERS, &both) &&
    alk_base64_decode(names.p + 4 + HASH_LETTERS, HASH_LETTERS, &both) &&
    alk_buf_size(&both) == HASH_LEN + HASH_LEN;
  if (ok && !hash_name(alk_buf_head(&both), name, hash)) want->failed = true;
  ok = ok && !want->failed &&
       CRYPTO_memcmp(hash, alk_buf_head(&both) + HASH_LEN, HASH_LEN) == 0;
  alk_buf_free(&both);
  return ok;
}

static alk_list_says_t names_say(wanted_t *want, word_t names, const char *name)
{
  if (names.p[0] != '|') return alk_host_list_says(names.p, names.len, name);
  return hash_matches(want, names, name) ? ALK_LIST_NAMES : ALK_LIST_SILENT;
}

static bool entry_matches(wanted_t *want, const entry_t *e)
{
  if (e->marker != REVOKED && e->marker != want->marker) return false;
  alk_list_says_t says = names_say(want, e->names, want->name);
  if (e->marker == PLAIN) return says == ALK_LIST_NAMES;
  alk_list_says_t more = names_say(want, e->names, want->other);
  if (e->marker == REVOKED)
    return says == ALK_LIST_NAMES || more == ALK_LIST_NAMES;
  return says != ALK_LIST_EXCLUDES && more != ALK_LIST_EXCLUDES &&
         (says == ALK_LIST_NAMES ||
          (want->other_is_bare && more == ALK_LIST_NAMES));
}

/* Adds a type to the list, unless it is there or does not fit. */
static void add_type(alk_host_match_t *m, word_t type)
{
  size_t used = strlen(m->types);
  for (const char *p = m->types; *p != '\0';) {
    size_t len = strcspn(p, ",");
    if (len == type.len && memcmp(p, type.p, len) == 0) return;
    p += len + (p[len] == ',');
  }
  if (used + 1 + type.len >= sizeof m->types) return;
  if (used > 0) m->types[used++] = ',';
  memcpy(m->types + used, type.p, type.len);
  m->types[used + type.len] = '\0';
}

/* Verdicts in the order in which a later line may replace them. */
static unsigned weight(alk_host_verdict_t v)
{
  switch (v) {
  case ALK_HOST_UNKNOWN:
    return 0;
  case ALK_HOST_OTHER:
    return 1;
  case ALK_HOST_CHANGED:
    return 2;
  case ALK_HOST_TRUSTED:
    return 3;
  case ALK_HOST_REVOKED:
    break;
  }
  return 4;
}

static void judge(alk_host_match_t *m, alk_host_verdict_t v, unsigned line)
{
  if (weight(v) <= weight(m->verdict)) return;
  m->verdict = v;
  m->line = line;
}

static bool is_key(alk_rd_t key, const uint8_t *blob, size_t len)
{
  return len == key.len && memcmp(blob, key.p, len) == 0;
}

/* Whether a certificate that stands on the line is of the key. */
static bool certifies(const alk_buf_t *cert, alk_rd_t key)
{
  const uint8_t *p = alk_buf_head(cert);
  if (!alk_cert_is(p, alk_buf_size(cert))) return false;
  alk_key_t *subject = alk_cert_subject(p, alk_buf_size(cert), NULL);
  if (subject == NULL) return false;
  size_t len;
  const uint8_t *blob = alk_key_blob(subject, &len);
  bool same = is_key(key, blob, len);
  alk_key_free(subject);
  return same;
}

static bool has_type(alk_rd_t key, word_t type)
{
  size_t len;
  const uint8_t *p = alk_rd_str(&key, &len);
  return p != NULL && len == type.len && memcmp(p, type.p, len) == 0;
}

/* What a line that names the host says about the key. */
static void entry_judge(const entry_t *e, alk_rd_t key, unsigned line,
                        alk_host_match_t *m)
{
  alk_buf_t blob = {0};
  if (!entry_decode(e, &blob)) goto out;
  if (e->marker != REVOKED) add_type(m, e->type);
  if (key.p == NULL) goto out;
  bool same = is_key(key, alk_buf_head(&blob), alk_buf_size(&blob));
  if (e->marker == REVOKED) {
    if (same || certifies(&blob, key)) judge(m, ALK_HOST_REVOKED, line);
  } else if (same) {
    judge(m, ALK_HOST_TRUSTED, line);
  } else {
    bool changed = e->marker == PLAIN && has_type(key, e->type);
    judge(m, changed ? ALK_HOST_CHANGED : ALK_HOST_OTHER, line);
  }

out:
  alk_buf_free(&blob);
}

/* Names in a file and on a line of it: nothing that means something there. */
static bool host_is_plain(const char *host)
{
  size_t len = strnlen(host, ALK_HOST_NAME_MAX + 1);
  if (len == 0 || len > ALK_HOST_NAME_MAX) return false;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char) host[i];
    if (c <= ' ' || c == 0x7f || strchr(",*?!|#@[]\"\\", c) != NULL)
      return false;
  }
  return true;
}

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool want_host(const char *host, uint16_t port, wanted_t *want)
{
  if (!host_is_plain(host)) return false;
  char low[ALK_HOST_NAME_MAX + 1];
  size_t len = strlen(host);
  for (size_t i = 0; i <= len; i++)
    low[i] = lower(host[i]);
  char *plain = port == 22 ? want->name : want->other;
  char *full = port == 22 ? want->other : want->name;
  snprintf(plain, NAME_MAX_LEN, "%s", low);
  snprintf(full, NAME_MAX_LEN, "[%s]:%u", low, (unsigned) port);
  want->other_is_bare = port != 22;
  return true;
}

static alk_host_match_t look_up(word_t text, wanted_t *want, alk_rd_t key)
{
  alk_host_match_t m = {.verdict = ALK_HOST_UNKNOWN};
  if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
    text.p += 3; /* an editor's BOM */
    text.len -= 3;
  }
  ERR_set_mark();
  for (unsigned line = 1; text.len > 0 && !want->failed; line++) {
    entry_t e;
    if (line_parse(next_line(&text), &e) && entry_matches(want, &e))
      entry_judge(&e, key, line, &m);
  }
  ERR_pop_to_mark();
  return m;
}

static alk_host_match_t ask(word_t text, const char *host, uint16_t port,
                            marker_t marker, alk_rd_t key)
{
  wanted_t want = {.marker = marker, .failed = text.len > ALK_HOSTS_MAX};
  alk_host_match_t m = {.verdict = ALK_HOST_UNKNOWN};
  if (!want.failed && !want_host(host, port, &want)) return m;
  if (!want.failed) m = look_up(text, &want, key);
  if (want.failed) m = (alk_host_match_t){.verdict = ALK_HOST_REVOKED};
  return m;
}

alk_host_match_t alk_hosts_match(const char *text, size_t len, const char *host,
                                 uint16_t port, const uint8_t *blob,
                                 size_t blob_len)
{
  return ask((word_t){text, len}, host, port, PLAIN,
             alk_rd(blob, blob == NULL ? 0 : blob_len));
}

alk_host_match_t alk_hosts_authority(const char *text, size_t len,
                                     const char *host, uint16_t port,
                                     const uint8_t *blob, size_t blob_len)
{
  return ask((word_t){text, len}, host, port, AUTHORITY,
             alk_rd(blob, blob == NULL ? 0 : blob_len));
}

static bool put_hashed(const char *name, alk_buf_t *out)
{
  uint8_t salt[HASH_LEN], hash[HASH_LEN];
  ERR_set_mark();
  bool ok = RAND_bytes(salt, HASH_LEN) == 1 && hash_name(salt, name, hash);
  ERR_pop_to_mark();
  if (!ok) return false;
  alk_buf_add(out, "|1|", 3);
  alk_base64_encode(salt, HASH_LEN, out);
  alk_buf_u8(out, '|');
  alk_base64_encode(hash, HASH_LEN, out);
  return true;
}

bool alk_hosts_line(const char *host, uint16_t port, bool hashed,
                    const uint8_t *blob, size_t blob_len, alk_buf_t *out)
{
  wanted_t want = {0};
  if (!want_host(host, port, &want)) return false;
  if (blob == NULL || blob_len == 0 || blob_len > ALK_KEY_BLOB_MAX)
    return false;
  alk_rd_t r = alk_rd(blob, blob_len);
  word_t type = {NULL, 0};
  type.p = (const char *) alk_rd_str(&r, &type.len);
  if (type.p == NULL || !type_is_plain(type)) return false;
  if (!hashed)
    alk_buf_add(out, want.name, strlen(want.name));
  else if (!put_hashed(want.name, out))
    return false;
  alk_buf_u8(out, ' ');
  alk_buf_add(out, type.p, type.len);
  alk_buf_u8(out, ' ');
  alk_base64_encode(blob, blob_len, out);
  alk_buf_u8(out, '\n');
  return true;
}
