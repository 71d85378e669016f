/* native_hex.h - hexadecimal, for known answers. */
#ifndef NATIVE_HEX_H
#define NATIVE_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/mem.h"

static inline uint8_t unhex_digit(char c)
{
  const char *digits = "0123456789abcdef", *at = strchr(digits, c);
  CHECK(c != '\0' && at != NULL);
  return (uint8_t) (at - digits);
}

/* How many bytes: no more than max. */
static inline size_t unhex(const char *hex, uint8_t *out, size_t max)
{
  size_t len = strlen(hex) / 2;
  CHECK(len <= max && strlen(hex) % 2 == 0);
  for (size_t i = 0; i < len; i++)
    out[i] =
      (uint8_t) (unhex_digit(hex[2 * i]) << 4 | unhex_digit(hex[2 * i + 1]));
  return len;
}

#endif
