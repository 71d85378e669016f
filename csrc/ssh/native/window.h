/* window.h - how much a peer may send before it is told to go on: arithmetic
 * only (RFC 4254 §5.2).
 *
 * Our window for a channel starts small and is doubled when it is what holds
 * the peer back. A round tells: it begins when an adjustment is sent; the first
 * byte beyond what the peer was allowed before can only have left after the
 * adjustment had come, so its arrival ends one round trip (dynamic
 * right-sizing). The window is too small if
 *   - the peer had used up what it knew of, and then nothing came for a 16th
 *     of the round trip or more: it stood still, and
 *   - at the rate at which bytes were consumed, more than half of the window is
 *     consumed in the shortest round trip that was seen: not the reader was
 *     slow, and not a machine busy at either end, or a queue on the way, which
 *     a larger window would only make longer.
 *
 * What was consumed is given back by quarters, so that a peer who stands still
 * does so for long enough to be seen; of the largest window in small parts, for
 * what is given back late is missing on a long way.
 *
 * What was granted cannot be taken back: a reader that stops has all of it to
 * wait for. But a window of more than WINDOW_SLOW_MAX is that large for a
 * reader who keeps pace: where three quarters of it have come, what he reads is
 * not given back until it is half of what it was, or that small. Only half, and
 * once a round: one who has just rested takes as much in a round trip as
 * before, and shows it in the next.
 *
 * The sizes of all windows of a session do not exceed its memory. A part of it
 * is kept for channels to come, a little for each; what those that there are
 * have besides they take from the rest, and the fewer they are the more.
 *
 * Times are those of uv_now(), in ms. Less than WINDOW_STALL_MIN_MS is not told
 * from the clock's own steps (2 MiB in 2 ms are 1 GB/s); in a round of more
 * than WINDOW_RTT_MAX_MS the peer had nothing to say. */
#ifndef ALK_NATIVE_WINDOW_H
#define ALK_NATIVE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum {
  WINDOW_START = 2 * 1024 * 1024,
  WINDOW_SLOW_MAX = 4 * 1024 * 1024, /* where the reader keeps no pace */
  WINDOW_MIN = 64 * 1024,            /* is kept for a channel to come, */
  WINDOW_TINY = 1024,                /* or less, where they are many */
  WINDOW_MAX_DEFAULT = 16 * 1024 * 1024,
  WINDOW_MEMORY_DEFAULT = 64 * 1024 * 1024,
  WINDOW_PART_MAX = 512 * 1024, /* is given back at once of the largest */
  WINDOW_KEPT = 4,   /* no more than this part of the memory is kept */
  WINDOW_SHARE = 20, /* a new channel takes this part of the room, at most */
  WINDOW_STALL_MIN_MS = 2, /* one may be the clock's */
  WINDOW_RTT_MAX_MS = 2000
};

/* size = left + eaten + what came and was not consumed yet. */
typedef struct {
  uint32_t size;
  uint32_t left;  /* the peer may still send this much */
  uint32_t eaten; /* consumed and not given back yet */
  uint32_t floor; /* it becomes no smaller in this round */
  /* The round: */
  uint32_t ahead;    /* bytes up to the edge that the peer knew */
  uint32_t consumed; /* since it began */
  uint32_t began_ms, edge_ms;
  uint16_t rtt_ms;    /* the shortest of all rounds, as far as it counts */
  unsigned stage : 2; /* private */
  bool stalled : 1;
  bool largest : 1; /* it grows no more */
} window_t;

/* What is kept for each of so many channels: WINDOW_TINY at the least, which
 * comes on top of the memory where they are very many. */
uint32_t window_least(uint64_t memory, uint32_t channels);
/* The size of a new channel's window: max is the option's, least what was kept
 * for it, room what memory is left for promises. */
uint32_t window_first(uint32_t max, uint32_t least, uint64_t room);
void window_init(window_t *w, uint32_t size);
/* len bytes came. False: more than was allowed; nothing is counted. */
bool window_take(window_t *w, uint32_t len, uint64_t now);
void window_eat(window_t *w, uint32_t len); /* the reader has consumed them */
bool window_is_due(const window_t *w);      /* an adjustment is worth it */
/* How much to give back now, and a new size where it grows, up to max, and by
 * no more than room, or shrinks. */
uint32_t window_adjust(window_t *w, uint32_t max, uint64_t room, uint64_t now);

/* The other direction: what the peer lets us send. False: the sum is no
 * 32-bit number, which RFC 4254 §5.2 forbids. */
bool window_add(uint32_t *left, uint32_t more);

#endif
