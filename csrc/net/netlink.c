/* netlink.c - changes of the network, as the Linux kernel tells them.
 *
 *   opened -> watching -- a message --> settling (250 ms) -> on_change
 *                 ^                                               |
 *                 +-----------------------------------------------+
 *
 * Whoever asks wants to act when the dust has settled: a changed address comes
 * as a removal, an addition and some routes. The messages of that time are
 * read, so that none is left to be told a second time, and told as one.
 *
 * Nothing is taken from a message but that it came: one that does not parse, or
 * is cut, counts as a change. What a full queue loses does not matter, for what
 * is in it tells the same; so the kernel need not report it (ENOBUFS), which
 * libuv would take for the end of the socket. Only the kernel's messages are
 * heard. When the socket fails the watch closes by itself. */
#include "net/netwatch.h"

#ifdef __linux__

#  include <errno.h>
#  include <linux/if_addr.h>
#  include <linux/netlink.h>
#  include <linux/rtnetlink.h>
#  include <string.h>
#  include <sys/socket.h>
#  include <unistd.h>

#  include "core/mem.h"

enum { SETTLE_MS = 250 };

/* Messages that are read in one turn of the loop. */
enum { BURST_MAX = 64 };

struct alk_netwatch {
  alk_loop_t *loop;
  alk_live_t live;
  alk_limit_t settling;
  const alk_netwatch_events_t *ev;
  void *data;
  int fd;
  uv_poll_t poll; /* the one handle */
};

/* An address whose lifetime was renewed, as IPv6 routers do every few minutes:
 * it is older than its last change. */
static bool is_renewal(const uint8_t *p, size_t len)
{
  const size_t head = NLMSG_ALIGN(sizeof(struct ifaddrmsg));
  if (len < head) return false;
  p += head;
  len -= head;
  struct rtattr attr;
  struct ifa_cacheinfo times;
  while (len >= sizeof attr) {
    memcpy(&attr, p, sizeof attr);
    if (attr.rta_len < sizeof attr || attr.rta_len > len) return false;
    if (attr.rta_type == IFA_CACHEINFO &&
        attr.rta_len >= sizeof attr + sizeof times) {
      memcpy(&times, p + sizeof attr, sizeof times);
      return times.cstamp != times.tstamp;
    }
    size_t step = RTA_ALIGN(attr.rta_len);
    if (step >= len) return false;
    p += step;
    len -= step;
  }
  return false;
}

static bool changes(uint16_t type, const uint8_t *p, size_t len)
{
  switch (type) {
  case RTM_NEWLINK:
  case RTM_DELLINK:
  case RTM_DELADDR:
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
    return true;
  case RTM_NEWADDR:
    return !is_renewal(p, len);
  default:
    return false;
  }
}

bool alk_netlink_is_change(const uint8_t *buf, size_t len)
{
  struct nlmsghdr head;
  while (len >= sizeof head) {
    memcpy(&head, buf, sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > len) return true;
    if (changes(head.nlmsg_type, buf + sizeof head,
                head.nlmsg_len - sizeof head))
      return true;
    size_t step = NLMSG_ALIGN(head.nlmsg_len);
    if (step >= len) return false;
    buf += step;
    len -= step;
  }
  return len > 0;
}

/* Reads one: whether it tells of a change. *rc: 0, or why none was read. */
static bool read_one(alk_netwatch_t *w, int *rc)
{
  struct sockaddr_nl from = {0};
  uint8_t *buf = (uint8_t *) alk_loop_read_buf(w->loop);
  struct iovec iov = {.iov_base = buf, .iov_len = ALK_READ_BUF};
  struct msghdr msg = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1};
  ssize_t n = recvmsg(w->fd, &msg, 0);
  *rc = n >= 0 || errno == EINTR ? 0 : errno;
  if (n < 0) return false;
  if (msg.msg_namelen != sizeof from || from.nl_pid != 0) return false;
  return (msg.msg_flags & MSG_TRUNC) != 0 ||
         alk_netlink_is_change(buf, (size_t) n);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
  (void) events;
  alk_netwatch_t *w = poll->data;
  bool changed = false;
  int rc = status < 0 ? EIO : 0;
  for (int i = 0; i < BURST_MAX && rc == 0; i++)
    if (read_one(w, &rc)) changed = true;
  if (changed && !w->settling.running)
    alk_limit_start(w->loop, &w->settling, SETTLE_MS);
  if (rc != 0 && rc != EAGAIN) alk_netwatch_close(w);
}

static void on_settled(alk_limit_t *t)
{
  alk_netwatch_t *w =
    (alk_netwatch_t *) (void *) ((char *) t -
                                 offsetof(alk_netwatch_t, settling));
  w->ev->on_change(w);
}

static void on_closed(uv_handle_t *h)
{
  alk_netwatch_t *w = h->data;
  w->ev->on_close(w);
  alk_live_remove(w->loop, &w->live);
  alk_free(w);
}

void alk_netwatch_close(alk_netwatch_t *w)
{
  if (uv_is_closing((uv_handle_t *) &w->poll)) return;
  alk_limit_stop(w->loop, &w->settling);
  uv_close((uv_handle_t *) &w->poll, on_closed);
  close(w->fd);
}

static void close_live(alk_live_t *o)
{
  alk_netwatch_close(
    (alk_netwatch_t *) (void *) ((char *) o - offsetof(alk_netwatch_t, live)));
}

static int open_socket(void)
{
  struct sockaddr_nl sa = {.nl_family = AF_NETLINK,
                           .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                        RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                        RTMGRP_IPV6_ROUTE};
  const int yes = 1;
  int fd =
    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return fd;
  if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes) == 0 &&
      bind(fd, (const struct sockaddr *) &sa, sizeof sa) == 0)
    return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

alk_netwatch_t *alk_netwatch_open(alk_loop_t *l,
                                  const alk_netwatch_events_t *ev, void *data,
                                  alk_err_t *err)
{
  int fd = open_socket();
  int rc = fd < 0 ? uv_translate_sys_error(errno) : 0;
  alk_netwatch_t *w = alk_alloc(sizeof *w);
  if (rc == 0) rc = uv_poll_init(alk_loop_uv(l), &w->poll, fd);
  if (rc < 0) {
    alk_fail(err, ALK_E_SYS, rc, "watch the network: %s", uv_strerror(rc));
    if (fd >= 0) close(fd);
    alk_free(w);
    return NULL;
  }
  w->loop = l;
  w->ev = ev;
  w->data = data;
  w->fd = fd;
  w->settling.late = on_settled;
  w->poll.data = w;
  CHECK(uv_poll_start(&w->poll, UV_READABLE, on_readable) == 0);
  uv_unref((uv_handle_t *) &w->poll);
  alk_live_add(l, &w->live, close_live);
  return w;
}

void *alk_netwatch_data(const alk_netwatch_t *w)
{
  return w->data;
}

#else

alk_netwatch_t *alk_netwatch_open(alk_loop_t *l,
                                  const alk_netwatch_events_t *ev, void *data,
                                  alk_err_t *err)
{
  (void) l;
  (void) ev;
  (void) data;
  alk_fail(err, ALK_E_UNSUPPORTED, 0,
           "changes of the network are told on Linux");
  return NULL;
}

void *alk_netwatch_data(const alk_netwatch_t *w)
{
  (void) w;
  return NULL;
}

void alk_netwatch_close(alk_netwatch_t *w)
{
  (void) w;
}

bool alk_netlink_is_change(const uint8_t *buf, size_t len)
{
  (void) buf;
  return len > 0;
}

#endif
