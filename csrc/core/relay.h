/* relay.h - joins two streams until both have ended. */
#ifndef ALK_RELAY_H
#define ALK_RELAY_H

#include <stdint.h>

#include "core/stream.h"

typedef struct alk_relay alk_relay_t;
typedef void (*alk_relay_cb)(const alk_err_t *err, uint64_t a_to_b,
                             uint64_t b_to_a, void *data);

/* Owns both until cb. cb comes once, when both are closed; err is the first
 * (NULL: clean). Streams that are not open yet are waited for. */
alk_relay_t *alk_relay(alk_stream_t *a, alk_stream_t *b, alk_relay_cb cb,
                       void *data);
/* Right after alk_relay: both have so long to be open, or are closed with
 * ALK_E_TIMEOUT. */
void alk_relay_limit(alk_relay_t *r, unsigned ms);
/* Right after alk_relay of two that are open: when b has ended and all that it
 * said has left through a, a has so long to end as well, or both are closed:
 * for a b that ends when all is said. */
void alk_relay_linger(alk_relay_t *r, unsigned ms);
/* b is closed, as if it had ended: what it said still leaves through a, and an
 * end, before a is closed, after ms at most. */
void alk_relay_finish(alk_relay_t *r, unsigned ms);
void alk_relay_close(alk_relay_t *r); /* at once */

#endif
