/* netwatch.h - tells that the network has changed: an interface, an address, a
 * route. A hint that connections may be dead, and that a new one may succeed;
 * no more than that. */
#ifndef ALK_NETWATCH_H
#define ALK_NETWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/loop.h"

typedef struct alk_netwatch alk_netwatch_t;

typedef struct {
  /* At most a few times a second: what comes close together is told once. */
  void (*on_change)(alk_netwatch_t *w);
  void (*on_close)(alk_netwatch_t *w); /* once, last, always */
} alk_netwatch_events_t;

/* Keeps no loop alive. NULL: the system refused, or it has no such thing
 * (ALK_E_UNSUPPORTED: all but Linux). */
alk_netwatch_t *alk_netwatch_open(alk_loop_t *l,
                                  const alk_netwatch_events_t *ev, void *data,
                                  alk_err_t *err);
void *alk_netwatch_data(const alk_netwatch_t *w);
void alk_netwatch_close(alk_netwatch_t *w); /* idempotent */

/* Whether a datagram of netlink tells of a change. For tests. */
bool alk_netlink_is_change(const uint8_t *buf, size_t len);

#endif
