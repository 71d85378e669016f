/* ahead.c - what a TCP socket may take; ahead.h says why. */
#include "core/ahead.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

uint32_t alk_ahead_of(uint32_t window, uint32_t segment, uint32_t rtt_us)
{
  uint64_t bytes = (uint64_t) window * segment;
  uint64_t rtt = rtt_us > 0 ? rtt_us : 1;
  if (bytes / rtt >= AHEAD_FREE_RATE / 1000000) return AHEAD_FREE;
  uint64_t ahead = bytes * AHEAD_MS * 1000 / rtt;
  return ahead > AHEAD_MIN ? (uint32_t) ahead : AHEAD_MIN;
}

#if defined(TCP_NOTSENT_LOWAT) && defined(__linux__)

uint32_t alk_ahead_limit(int fd)
{
  struct tcp_info info;
  socklen_t len = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
    return AHEAD_FREE;
  uint32_t ahead =
    alk_ahead_of(info.tcpi_snd_cwnd, info.tcpi_snd_mss, info.tcpi_rtt);
  /* A kernel without it fills its buffer, as before. */
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &ahead, sizeof ahead);
  return ahead;
}

#else

uint32_t alk_ahead_limit(int fd)
{
  (void) fd;
  return AHEAD_FREE;
}

#endif
