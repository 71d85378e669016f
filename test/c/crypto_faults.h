/* crypto_faults.h - OpenSSL's allocations fail when the test says so. Install
 * before the first use of OpenSSL. */
#ifndef CRYPTO_FAULTS_H
#define CRYPTO_FAULTS_H

#include <stdlib.h>

#include <openssl/crypto.h>

static unsigned long fault_countdown; /* 1: the next allocation fails */

static inline bool fault_is_now(void)
{
  return fault_countdown > 0 && --fault_countdown == 0;
}

static inline void *fault_malloc(size_t size, const char *file, int line)
{
  (void) file;
  (void) line;
  return fault_is_now() ? NULL : malloc(size);
}

static inline void *fault_realloc(void *p, size_t size, const char *file,
                                  int line)
{
  (void) file;
  (void) line;
  return fault_is_now() ? NULL : realloc(p, size);
}

static inline void fault_free(void *p, const char *file, int line)
{
  (void) file;
  (void) line;
  free(p);
}

static inline bool faults_install(void)
{
  return CRYPTO_set_mem_functions(fault_malloc, fault_realloc, fault_free) == 1;
}

/* Around what is tried: while (more) { faults_on(++n); ...; more =
 * faults_off(); } has the first allocation fail, then the second, ... and then
 * none. */
static inline void faults_on(unsigned long n)
{
  fault_countdown = n;
}

/* False: the fault was not reached, so this was the last run. */
static inline bool faults_off(void)
{
  bool reached = fault_countdown == 0;
  fault_countdown = 0;
  return reached;
}

#endif
