/* engine.c - the engines that are built in; the first is the default. */
#include "ssh/engine.h"

#include <string.h>

#include <openssl/crypto.h>

#include "ssh/engine_info.h"

extern const alk_engine_t alk_native_engine;
#ifdef ALK_LIBSSH
extern const alk_engine_t alk_libssh_engine;
#endif

static const alk_engine_t *const engines[] = {
  &alk_native_engine,
#ifdef ALK_LIBSSH
  &alk_libssh_engine,
#endif
};
enum { ENGINES = sizeof engines / sizeof *engines };

const alk_engine_t *alk_engine_find(const char *name)
{
  for (size_t i = 0; i < ENGINES; i++)
    if (name == NULL || strcmp(engines[i]->name, name) == 0) return engines[i];
  return NULL;
}

bool alk_engine_info(size_t i, const char **name, const char **version)
{
  if (i >= ENGINES) return false;
  *name = engines[i]->name;
  *version = engines[i]->version();
  return true;
}

const char *alk_crypto_version(void)
{
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}
