/* ahead.h - how far a TCP socket is filled ahead of the wire.
 *
 * Left to itself the kernel takes megabytes that cannot leave yet, and whatever
 * is written next waits behind them: on a slow way a keystroke waits most of a
 * second for somebody else's upload. So a socket that has refused bytes once is
 * to take no more than leaves in AHEAD_MS at the rate that TCP allows itself,
 * its window a round trip; that is as long as a busy loop may be late to refill
 * it. Above AHEAD_FREE_RATE, over loopback for one, the kernel may do as it
 * likes: 4 MiB, its usual most, leave within 100 ms.
 *
 * Linux only (tcp(7): TCP_INFO, TCP_NOTSENT_LOWAT); elsewhere the kernel's own
 * choice stays. */
#ifndef ALK_AHEAD_H
#define ALK_AHEAD_H

#include <stdint.h>

enum {
  AHEAD_MS = 25,
  AHEAD_MIN = 16 * 1024,
  AHEAD_LOOK_MS = 50,            /* between two looks at a socket */
  AHEAD_FREE_RATE = 40 * 1000000 /* bytes a second */
};
#define AHEAD_FREE UINT32_MAX

/* Bytes, or AHEAD_FREE, for a congestion window of so many segments of so many
 * bytes, and a round trip of so many microseconds. */
uint32_t alk_ahead_of(uint32_t window, uint32_t segment, uint32_t rtt_us);

/* Looks at a socket and sets its limit, which it returns; AHEAD_FREE where that
 * cannot be. */
uint32_t alk_ahead_limit(int fd);

#endif
