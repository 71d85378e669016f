/* krl.h - OpenSSH's key revocation lists (PROTOCOL.krl): read, and asked.
 *
 * Fails closed: a list that is not understood to its last byte is refused as a
 * whole, because what was not understood may be what revokes; and a blob that
 * cannot be read counts as revoked. Two extensions that are not critical are
 * all that is skipped: those of the list and those of a CA's section.
 *
 * A signed list is refused. Its signature would say nothing here, where nobody
 * is named who may sign one, and to ignore one that may be wrong is worse:
 * OpenSSH never finished signing lists and dropped it in 9.4. */
#ifndef ALK_KRL_H
#define ALK_KRL_H

#include "ssh/key.h"

enum {
  ALK_KRL_MAX = 16 * 1024 * 1024, /* bytes of a list */
  ALK_KRL_SECTIONS_MAX = 4096,    /* sections of certificates: CAs, mostly */
  ALK_KRL_BITMAP_MAX = 2048       /* bytes of one bitmap; OpenSSH's limit */
};

typedef struct alk_krl alk_krl_t;

/* Whether the bytes begin as a list does. */
bool alk_krl_is(const uint8_t *p, size_t len);

/* NULL: err says why. */
alk_krl_t *alk_krl_read(const uint8_t *p, size_t len, alk_err_t *err);
void alk_krl_free(alk_krl_t *l);

/* Why a plain public key or a certificate is revoked, as half a sentence ("the
 * key is revoked"), or NULL. A certificate is when its key is, or its CA's key,
 * or its serial number or key id under its CA or under all. Serial number 0
 * means that the CA does not count, and is never revoked. */
const char *alk_krl_revokes(const alk_krl_t *l, const uint8_t *blob,
                            size_t len);

#endif
