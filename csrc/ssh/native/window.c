/* window.c - the arithmetic of windows. window.h tells the method. */
#include "ssh/native/window.h"

#include "core/mem.h"

enum { NO_ROUND, BEFORE_EDGE, AT_EDGE, BEYOND_EDGE };

uint32_t window_least(uint64_t memory, uint32_t channels)
{
  uint64_t least = memory / WINDOW_KEPT / channels;
  if (least < WINDOW_TINY) return WINDOW_TINY;
  return least < WINDOW_MIN ? (uint32_t) least : WINDOW_MIN;
}

uint32_t window_first(uint32_t max, uint32_t least, uint64_t room)
{
  uint64_t size = least + room / WINDOW_SHARE;
  if (size > WINDOW_START) size = WINDOW_START;
  return size < max ? (uint32_t) size : max;
}

void window_init(window_t *w, uint32_t size)
{
  *w = (window_t){
    .size = size, .left = size, .floor = WINDOW_SLOW_MAX, .rtt_ms = UINT16_MAX};
}

static void reach_edge(window_t *w, uint64_t now)
{
  w->stage = AT_EDGE;
  w->edge_ms = (uint32_t) now;
}

static void pass_edge(window_t *w, uint64_t now)
{
  uint32_t still_ms = (uint32_t) now - w->edge_ms;
  uint32_t rtt_ms = (uint32_t) now - w->began_ms;
  w->stalled = w->stage == AT_EDGE && still_ms >= WINDOW_STALL_MIN_MS &&
               still_ms >= rtt_ms / 16;
  if (rtt_ms < w->rtt_ms) w->rtt_ms = (uint16_t) rtt_ms;
  w->stage = BEYOND_EDGE;
}

bool window_take(window_t *w, uint32_t len, uint64_t now)
{
  if (len > w->left) return false;
  if (len == 0) return true;
  w->left -= len;
  if (w->stage == AT_EDGE || (w->stage == BEFORE_EDGE && len > w->ahead)) {
    pass_edge(w, now);
  } else if (w->stage == BEFORE_EDGE) {
    w->ahead -= len;
    if (w->ahead == 0) reach_edge(w, now);
  }
  return true;
}

void window_eat(window_t *w, uint32_t len)
{
  CHECK(len <= w->size - w->left - w->eaten);
  w->eaten += len;
  w->consumed = len > UINT32_MAX - w->consumed ? UINT32_MAX : w->consumed + len;
}

bool window_is_due(const window_t *w)
{
  uint32_t part = w->size / 4;
  if (w->largest && part > WINDOW_PART_MAX) part = WINDOW_PART_MAX;
  return w->eaten > 0 && w->eaten >= part;
}

static bool is_too_small(const window_t *w, uint64_t now)
{
  if (!w->stalled || w->rtt_ms > WINDOW_RTT_MAX_MS) return false;
  uint32_t round_ms = (uint32_t) now - w->began_ms;
  /* 32 bits have run over, perhaps to the very ms at which it began. */
  if (round_ms == 0 || round_ms < w->rtt_ms) return false;
  uint64_t in_rtt = (uint64_t) w->consumed * w->rtt_ms / round_ms;
  return in_rtt > w->size / 2;
}

static uint32_t growth(const window_t *w, uint32_t max, uint64_t room)
{
  if (w->size >= max) return 0;
  uint64_t more = w->size;
  if (more > max - w->size) more = max - w->size;
  if (more > room) more = room;
  return (uint32_t) more;
}

/* Of what was eaten: what the reader does not get again. While what was given
 * back is still on its way, little is left whatever he does. */
static uint32_t withheld(const window_t *w)
{
  bool waits = w->stage == BEFORE_EDGE || w->stage == AT_EDGE;
  if (waits || w->size <= w->floor || w->left > w->size / 4) return 0;
  uint32_t most = w->size - w->floor;
  return w->eaten < most ? w->eaten : most;
}

static void begin_round(window_t *w, uint64_t now)
{
  w->stage = BEFORE_EDGE;
  w->began_ms = (uint32_t) now;
  w->ahead = w->left;
  w->floor = w->size / 2 > WINDOW_SLOW_MAX ? w->size / 2 : WINDOW_SLOW_MAX;
  w->consumed = 0;
  w->stalled = false;
  if (w->ahead == 0) reach_edge(w, now);
}

uint32_t window_adjust(window_t *w, uint32_t max, uint64_t room, uint64_t now)
{
  if (!window_is_due(w)) return 0;
  uint32_t less = withheld(w);
  uint32_t more = w->eaten - less;
  w->eaten = 0;
  w->size -= less;
  if (more == 0) return 0;
  if (w->stage == BEYOND_EDGE && is_too_small(w, now)) {
    uint32_t extra = growth(w, max, room);
    w->size += extra;
    more += extra;
  }
  if (w->stage == NO_ROUND || w->stage == BEYOND_EDGE) begin_round(w, now);
  w->largest = w->size >= max;
  w->left += more;
  return more;
}

bool window_add(uint32_t *left, uint32_t more)
{
  if (more > UINT32_MAX - *left) return false;
  *left += more;
  return true;
}
