/* test_netwatch.c - what netlink's messages say, cut at every byte; and real
 * changes, in a network of this test's own. */
#include "helpers.h"

#ifdef __linux__

#  include <linux/if_addr.h>
#  include <linux/netlink.h>
#  include <linux/rtnetlink.h>
#  include <net/if.h>
#  include <sched.h>
#  include <sys/ioctl.h>
#  include <sys/resource.h>

#  include "net/netwatch.h"

/* ---- messages */

typedef struct {
  struct nlmsghdr head;
  struct ifaddrmsg address;
  struct rtattr attr;
  struct ifa_cacheinfo times;
} address_message_t;

static address_message_t address_message(uint32_t created, uint32_t updated)
{
  return (address_message_t){
    .head = {.nlmsg_len = sizeof(address_message_t), .nlmsg_type = RTM_NEWADDR},
    .attr = {.rta_len = sizeof(struct rtattr) + sizeof(struct ifa_cacheinfo),
             .rta_type = IFA_CACHEINFO},
    .times = {.cstamp = created, .tstamp = updated},
  };
}

/* From a block of its own, so that a look past its end is seen. */
static bool is_change(const void *p, size_t len)
{
  uint8_t *copy = malloc(len + 1);
  assert_non_null(copy);
  memmove(copy + 1, p, len);
  bool yes = alk_netlink_is_change(copy + 1, len);
  free(copy);
  return yes;
}

static void kinds(void **state)
{
  const struct {
    uint16_t type;
    bool yes;
  } kind[] = {{RTM_NEWLINK, true}, {RTM_DELLINK, true},   {RTM_NEWADDR, true},
              {RTM_DELADDR, true}, {RTM_NEWROUTE, true},  {RTM_DELROUTE, true},
              {NLMSG_NOOP, false}, {RTM_NEWNEIGH, false}, {NLMSG_ERROR, false},
              {NLMSG_DONE, false}, {0xffff, false}};
  (void) state;
  for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
    struct nlmsghdr head = {.nlmsg_len = sizeof head,
                            .nlmsg_type = kind[i].type};
    assert_int_equal(is_change(&head, sizeof head), kind[i].yes);
  }
  assert_false(is_change("", 0));
}

static void a_renewed_lifetime_is_none(void **state)
{
  (void) state;
  address_message_t renewed = address_message(100, 200);
  address_message_t added = address_message(200, 200);
  assert_false(is_change(&renewed, sizeof renewed));
  assert_true(is_change(&added, sizeof added));
  address_message_t two[] = {renewed, added};
  assert_true(is_change(two, sizeof two)); /* the second of one datagram */
  two[1] = renewed;
  assert_false(is_change(two, sizeof two));
  renewed.attr.rta_type = IFA_LABEL; /* nothing says that it is one */
  assert_true(is_change(&renewed, sizeof renewed));
}

/* What cannot be read might be one: to ask the peer once more costs nothing. */
static void damaged_ones_count(void **state)
{
  (void) state;
  address_message_t whole = address_message(100, 200);
  for (size_t len = 1; len < sizeof whole; len++)
    assert_true(is_change(&whole, len));
  const uint32_t lengths[] = {0, 1, 15, sizeof whole + 1, UINT32_MAX};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    address_message_t bad = whole;
    bad.head.nlmsg_len = lengths[i];
    assert_true(is_change(&bad, sizeof bad));
  }
  for (uint32_t len = 0; len <= UINT16_MAX; len++) {
    address_message_t bad = whole;
    bad.attr.rta_len = (uint16_t) len;
    bool fits = len == sizeof bad.attr + sizeof bad.times;
    assert_int_equal(is_change(&bad, sizeof bad), !fits);
  }
}

/* ---- a network of our own */

typedef struct {
  alk_netwatch_t *w;
  int changes, closes;
  bool close_itself;
} watch_t;

static void on_change(alk_netwatch_t *w)
{
  watch_t *t = alk_netwatch_data(w);
  assert_int_equal(t->closes, 0);
  t->changes++;
  if (t->close_itself) alk_netwatch_close(w);
}

static void on_close(alk_netwatch_t *w)
{
  watch_t *t = alk_netwatch_data(w);
  assert_ptr_equal(t->w, w);
  t->closes++;
  t->w = NULL;
}

static const alk_netwatch_events_t events = {
  .on_change = on_change,
  .on_close = on_close,
};

static void watch(env_t *e, watch_t *t)
{
  alk_err_t err = {0};
  t->w = alk_netwatch_open(e->l, &events, t, &err);
  assert_string_equal(err.msg, "");
  assert_non_null(t->w);
}

static void finish(env_t *e, watch_t *t)
{
  if (t->w != NULL) alk_netwatch_close(t->w);
  if (t->w != NULL) alk_netwatch_close(t->w);
  RUN_UNTIL(e, t->closes == 1);
}

/* Whether this process has a network of its own by now. */
static bool have_network(void)
{
  static int made = -1;
  if (made < 0)
    made =
      unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  return made == 1;
}

static void need_network(env_t *e)
{
  if (have_network()) return;
  print_message("skipped: the system gives no network of its own: %s\n",
                strerror(errno));
  e->passed = true;
  skip();
}

/* The loopback interface, up or down: the kernel tells of it. */
static void set_loopback(bool up)
{
  struct ifreq r = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
  if (up)
    r.ifr_flags |= IFF_UP;
  else
    r.ifr_flags &= ~IFF_UP;
  assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
  close(fd);
}

/* The cheapest of all changes. */
static void set_mtu(int mtu)
{
  struct ifreq r = {.ifr_name = "lo", .ifr_mtu = mtu};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(ioctl(fd, SIOCSIFMTU, &r), 0);
  close(fd);
}

static void a_change_is_told_once(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  need_network(e);
  set_loopback(false);
  watch(e, &t);
  turns(e, 3);
  assert_int_equal(t.changes, 0); /* nor what was before */
  for (int i = 0; i < 10; i++) {
    set_loopback(i % 2 == 0);
    turns(e, 2);
  }
  assert_int_equal(t.changes, 0); /* the dust has to settle */
  SPIN_UNTIL(e, t.changes == 1);
  set_loopback(true);
  SPIN_UNTIL(e, t.changes == 2);
  finish(e, &t);
}

/* More than the kernel keeps for us: what was lost was a change as well. */
static void a_flood_is_survived(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  need_network(e);
  watch(e, &t);
  for (int i = 0; i < 1000; i++)
    set_mtu(2000 + i % 2);
  SPIN_UNTIL(e, t.changes >= 1);
  int before = t.changes;
  set_mtu(3000);
  SPIN_UNTIL(e, t.changes > before); /* and goes on */
  finish(e, &t);
}

/* Root may write to anybody's socket; what it says there is no news. */
static void only_the_kernel_is_heard(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  need_network(e);
  set_loopback(false);
  watch(e, &t);
  struct nlmsghdr lie = {.nlmsg_len = sizeof lie, .nlmsg_type = RTM_DELROUTE};
  struct sockaddr_nl to = {.nl_family = AF_NETLINK,
                           .nl_pid = (uint32_t) getpid()};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  assert_true(fd >= 0);
  assert_int_equal(
    sendto(fd, &lie, sizeof lie, 0, (struct sockaddr *) &to, sizeof to),
    sizeof lie);
  turns(e, 3);
  close(fd);
  uint64_t until = uv_now(&e->uv) + 400;
  SPIN_UNTIL(e, uv_now(&e->uv) > until);
  assert_int_equal(t.changes, 0);
  set_loopback(true);
  SPIN_UNTIL(e, t.changes == 1);
  finish(e, &t);
}

static void closes_while_it_settles(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  need_network(e);
  set_loopback(false);
  watch(e, &t);
  set_loopback(true);
  turns(e, 3);
  finish(e, &t);
  assert_int_equal(t.changes, 0);
}

static void closes_itself(void **state)
{
  env_t *e = *state;
  watch_t t = {.close_itself = true};
  need_network(e);
  set_loopback(false);
  watch(e, &t);
  set_loopback(true);
  SPIN_UNTIL(e, t.closes == 1);
  assert_int_equal(t.changes, 1);
}

static void keeps_no_loop_alive(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  watch(e, &t);
  assert_int_equal(uv_run(&e->uv, UV_RUN_DEFAULT), 0);
  assert_int_equal(t.closes, 0);
  finish(e, &t);
}

/* The loop's end closes it. */
static void goes_with_the_loop(void **state)
{
  env_t *e = *state;
  watch_t t = {0};
  watch(e, &t);
  env_close(e);
  RUN_UNTIL(e, e->idle);
  assert_int_equal(t.closes, 1);
}

static void out_of_descriptors(void **state)
{
  env_t *e = *state;
  struct rlimit was, low;
  alk_err_t err = {0};
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  low = was;
  int top = dup(0);
  low.rlim_cur = (rlim_t) top;
  close(top);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  assert_null(alk_netwatch_open(e->l, &events, NULL, &err));
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_int_equal(err.code, ALK_E_SYS);
  assert_int_equal(err.sys, UV_EMFILE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(kinds),
    TEST(a_renewed_lifetime_is_none),
    TEST(damaged_ones_count),
    TEST(a_change_is_told_once),
    TEST(a_flood_is_survived),
    TEST(only_the_kernel_is_heard),
    TEST(closes_while_it_settles),
    TEST(closes_itself),
    TEST(keeps_no_loop_alive),
    TEST(goes_with_the_loop),
    TEST(out_of_descriptors),
  };
  return cmocka_run_group_tests_name("netwatch", tests, NULL, NULL);
}

#else

#  include "net/netwatch.h"

static void is_not_there(void **state)
{
  env_t *e = *state;
  alk_err_t err = {0};
  assert_null(alk_netwatch_open(e->l, NULL, NULL, &err));
  assert_int_equal(err.code, ALK_E_UNSUPPORTED);
}

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(is_not_there)};
  return cmocka_run_group_tests_name("netwatch", tests, NULL, NULL);
}

#endif
