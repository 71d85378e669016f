/* mem.c - allocation that cannot fail, and invariants that stay on. */
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void alk_check_failed(const char *file, int line, const char *what)
{
  fprintf(stderr, "alknet: %s:%d: broken invariant: %s\n", file, line, what);
  abort();
}

static void *or_die(void *p)
{
  if (p == NULL) {
    fputs("alknet: out of memory\n", stderr);
    abort();
  }
  return p;
}

void *alk_alloc(size_t size)
{
  return or_die(calloc(1, size > 0 ? size : 1));
}

void *alk_realloc(void *p, size_t size)
{
  return or_die(realloc(p, size > 0 ? size : 1));
}

void *alk_memdup(const void *p, size_t len)
{
  if (len == 0) return NULL;
  return memcpy(alk_alloc(len), p, len);
}

char *alk_strdup(const char *s)
{
  return s == NULL ? NULL : or_die(strdup(s));
}

void alk_free(void *p)
{
  free(p);
}

void alk_free_secret(void *p, size_t len)
{
  if (p != NULL) explicit_bzero(p, len);
  free(p);
}
