/* engine_info.h - what is built in, for those who only want to tell. */
#ifndef ALK_ENGINE_INFO_H
#define ALK_ENGINE_INFO_H

#include <stdbool.h>
#include <stddef.h>

/* The i-th engine (the first is the default) and the version of the library
 * beneath it (NULL: none). False: no more. */
bool alk_engine_info(size_t i, const char **name, const char **version);
const char *alk_crypto_version(void); /* OpenSSL's, as it runs */

#endif
