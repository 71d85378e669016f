/* token.c - HMAC-SHA-256 over a key of the connection, and the question of a
 * browser around it. */
#include "stealth/token.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "net/tls.h"

enum { HASH = 32, BASE64 = 44 + 1, HEAD_MAX = 512, HOST_TEXT_MAX = 255 };

/* Browsers' questions have these lengths, mostly by their cookies. */
enum { PAD_MIN = 160, PAD_MAX = 1184 };

static const char label[] = "EXPORTER-alknet-stealth";

static void put_text(alk_token_t *out, const uint8_t hash[HASH])
{
  unsigned char text[BASE64];
  EVP_EncodeBlock(text, hash, HASH);
  for (size_t i = 0; i < ALK_TOKEN_TEXT; i++)
    out->text[i] = (char) (text[i] == '+'   ? '-'
                           : text[i] == '/' ? '_'
                                            : text[i]);
  out->text[ALK_TOKEN_TEXT] = '\0';
}

bool alk_token_make(const alk_stream_t *s, const uint8_t *secret, size_t len,
                    alk_token_t *out)
{
  uint8_t key[HASH], hash[HASH];
  unsigned got = 0;
  bool ok = len >= ALK_SECRET_MIN && len <= ALK_SECRET_MAX &&
            alk_tls_export(s, label, key, sizeof key) &&
            HMAC(EVP_sha256(), secret, (int) len, key, sizeof key, hash,
                 &got) != NULL &&
            got == sizeof hash;
  if (ok) put_text(out, hash);
  OPENSSL_cleanse(key, sizeof key);
  OPENSSL_cleanse(hash, sizeof hash);
  return ok;
}

static bool put_padding(alk_buf_t *out)
{
  static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  uint8_t seed[2], random[PAD_MAX];
  if (RAND_bytes(seed, sizeof seed) != 1) return false;
  size_t len =
    (size_t) PAD_MIN + (seed[0] * 256u + seed[1]) % (PAD_MAX - PAD_MIN + 1u);
  if (RAND_bytes(random, (int) len) != 1) return false;
  for (size_t i = 0; i < len; i++)
    alk_buf_u8(out, (uint8_t) letters[random[i] % 64]);
  return true;
}

bool alk_token_put_greeting(alk_buf_t *out, const alk_token_t *token,
                            const char *host)
{
  char head[HEAD_MAX];
  int len = snprintf(head, sizeof head,
                     "GET /%s HTTP/1.1\r\nHost: %.*s\r\nAccept: */*\r\n"
                     "Cookie: id=",
                     token->text, HOST_TEXT_MAX, host);
  if (len < 0 || (size_t) len >= sizeof head) return false;
  alk_buf_add(out, head, (size_t) len);
  if (!put_padding(out)) return false;
  alk_buf_add(out, "\r\n\r\n", 4);
  return true;
}
