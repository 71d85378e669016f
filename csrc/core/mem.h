/* mem.h - memory and invariants: what every file may rely on.
 *
 * alk_alloc never returns NULL: out of memory ends the process, as it does in
 * Node itself. In return, no size that a peer chose is allocated before it was
 * compared with a named limit. */
#ifndef ALK_MEM_H
#define ALK_MEM_H

#include <stddef.h>

/* States an invariant whose breach would corrupt memory. Stays on in release
 * builds; never used on anything a peer, a user or the system can cause. */
#define CHECK(x)                                        \
  do {                                                  \
    if (!(x)) alk_check_failed(__FILE__, __LINE__, #x); \
  } while (0)

_Noreturn void alk_check_failed(const char *file, int line, const char *what);

void *alk_alloc(size_t size); /* zeroed */
void *alk_realloc(void *p, size_t size);
void *alk_memdup(const void *p, size_t len); /* len 0: NULL */
char *alk_strdup(const char *s);             /* NULL: NULL */
void alk_free(void *p);                      /* NULL is fine */
void alk_free_secret(void *p, size_t len);   /* wipes it first */

#endif
