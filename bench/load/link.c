/* link.c - a long wire between two network namespaces, for a kernel without
 * netem: `link NEAR FAR DELAY_US MBIT QUEUE_KIB`, NEAR and FAR the pids of
 * processes in the two. Each gets a TUN device `way0`; what one sends comes out
 * of the other when it has waited for its turn on a line of so many Mbit/s, and
 * then the delay. Prints "ready" when both devices are there.
 *
 * TCP itself sees the delay, the rate and, when more than QUEUE_KIB wait for
 * the line, the loss of what comes last. Packets are those of the IP layer:
 * nothing is added for a frame around them. As with any network device of
 * today the kernel hands over segments of one stream in one large packet (TSO);
 * the headers that they have on the line are counted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull

enum {
  PACKET_MAX = 65536 + sizeof(struct virtio_net_hdr),
  BATCH = 64,   /* packets read, and written, before the other way's turn */
  HEADERS = 52, /* of a TCP segment over IPv4, with timestamps */
  BUFFER = 96 << 20
};

/* In the buffer in front of each packet. */
typedef struct {
  uint64_t due;
  uint32_t len; /* 0: the rest of the buffer is not used */
} record_t;

typedef struct {
  int from, to;
  uint8_t *buf;
  size_t head, tail; /* next to write, next to read; equal: empty */
  uint64_t free_at;  /* when the line has sent all that it was given */
} way_t;

static uint64_t delay_ns, bits_per_second, queue_ns;

static void die(const char *what)
{
  fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * SECOND + (uint64_t) t.tv_nsec;
}

/* The device of that namespace. */
static int open_tun(const char *pid)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/net", atoi(pid));
  int ns = open(path, O_RDONLY | O_CLOEXEC);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) die("the namespace");
  close(ns);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq r = {.ifr_name = "way0",
                    .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) die("/dev/net/tun");
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0) die("offload");
  return fd;
}

static void way_init(way_t *w, int from, int to)
{
  *w = (way_t){.from = from, .to = to};
  w->buf = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (w->buf == MAP_FAILED) die("memory");
}

static size_t record_size(uint32_t len)
{
  return (sizeof(record_t) + len + 15) / 16 * 16;
}

/* Where a packet of any size may go; NULL: the buffer is full. */
static record_t *room(way_t *w)
{
  const size_t most = record_size(PACKET_MAX);
  if (w->head >= w->tail) {
    if (BUFFER - w->head > most)
      return (record_t *) (void *) (w->buf + w->head);
    if (w->tail <= most) return NULL;
    ((record_t *) (void *) (w->buf + w->head))->len = 0;
    w->head = 0;
  }
  return w->tail - w->head > most ? (record_t *) (void *) (w->buf + w->head)
                                  : NULL;
}

/* Bytes that the packet is on the line: one header for each of its segments. */
static uint64_t wire_bytes(const uint8_t *packet, size_t len)
{
  struct virtio_net_hdr h;
  memcpy(&h, packet, sizeof h);
  len -= sizeof h;
  if (h.gso_type == VIRTIO_NET_HDR_GSO_NONE || h.gso_size == 0) return len;
  size_t data = len > HEADERS ? len - HEADERS : 0;
  size_t segments = (data + h.gso_size - 1) / h.gso_size;
  return len + (segments > 0 ? segments - 1 : 0) * HEADERS;
}

static void take_in(way_t *w)
{
  for (int i = 0; i < BATCH; i++) {
    static uint8_t lost[PACKET_MAX];
    record_t *r = room(w);
    uint8_t *at = r == NULL ? lost : (uint8_t *) (r + 1);
    ssize_t n = read(w->from, at, PACKET_MAX);
    if (n < 0 && errno == EAGAIN) return;
    if (n < (ssize_t) sizeof(struct virtio_net_hdr)) die("read");
    uint64_t t = now_ns();
    if (w->free_at < t) w->free_at = t;
    if (r == NULL || w->free_at - t > queue_ns) continue; /* lost */
    w->free_at += wire_bytes(at, (size_t) n) * 8 * SECOND / bits_per_second;
    *r = (record_t){.due = w->free_at + delay_ns, .len = (uint32_t) n};
    w->head += record_size((uint32_t) n);
  }
}

/* The next packet to come out; NULL: there is none. */
static record_t *next(way_t *w)
{
  if (w->head == w->tail) return NULL;
  record_t *r = (record_t *) (void *) (w->buf + w->tail);
  if (r->len > 0) return r;
  w->tail = 0;
  return next(w);
}

static void let_out(way_t *w)
{
  uint64_t t = now_ns();
  for (int i = 0; i < BATCH; i++) {
    record_t *r = next(w);
    if (r == NULL || r->due > t) return;
    /* A device that is not up yet, or no longer, loses it. */
    if (write(w->to, r + 1, r->len) < 0 && errno != EIO && errno != EAGAIN)
      die("write");
    w->tail += record_size(r->len);
  }
}

/* Until something comes, or is due. */
static void wait_for(way_t ways[2])
{
  struct pollfd p[2] = {{.fd = ways[0].from, .events = POLLIN},
                        {.fd = ways[1].from, .events = POLLIN}};
  uint64_t due = UINT64_MAX, t = now_ns();
  for (int i = 0; i < 2; i++) {
    record_t *r = next(&ways[i]);
    if (r != NULL && r->due < due) due = r->due;
  }
  uint64_t ns = due <= t ? 0 : due - t;
  struct timespec limit = {.tv_sec = (time_t) (ns / SECOND),
                           .tv_nsec = (long) (ns % SECOND)};
  if (ppoll(p, 2, due == UINT64_MAX ? NULL : &limit, NULL) < 0 &&
      errno != EINTR)
    die("ppoll");
}

int main(int argc, char **argv)
{
  if (argc != 6) {
    fputs("link: see the comment at the top of bench/load/link.c\n", stderr);
    return 2;
  }
  delay_ns = strtoull(argv[3], NULL, 10) * 1000;
  bits_per_second = strtoull(argv[4], NULL, 10) * 1000000;
  queue_ns = strtoull(argv[5], NULL, 10) * 1024 * 8 * SECOND / bits_per_second;
  /* A wire waits for nobody, where it may. */
  prctl(PR_SET_TIMERSLACK, 1);
  sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
  int near = open_tun(argv[1]), far = open_tun(argv[2]);
  way_t ways[2];
  way_init(&ways[0], near, far);
  way_init(&ways[1], far, near);
  puts("ready");
  fflush(stdout);
  for (;;) {
    for (int i = 0; i < 2; i++) {
      take_in(&ways[i]);
      let_out(&ways[i]);
    }
    wait_for(ways);
  }
}
