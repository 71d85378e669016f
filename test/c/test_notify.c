/* test_notify.c - datagrams to a service manager, and how they are refused. */
#include <sys/un.h>

#include "net/notify.h"

#include "helpers.h"

enum { PLENTY = 10000 };

/* A receiver at a path, or with an abstract name when it begins with '@'. */
static int receiver(const char *path)
{
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  assert_true(len < sizeof sa.sun_path);
  memcpy(sa.sun_path, path, len);
  if (path[0] == '@') sa.sun_path[0] = '\0';
  socklen_t size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len +
                                (path[0] == '@' ? 0 : 1));
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (const struct sockaddr *) &sa, size), 0);
  return fd;
}

static void receives(int fd, const char *path, const char *text)
{
  char got[256] = {0};
  assert_int_equal(alk_notify(path, text, strlen(text)), 0);
  assert_int_equal(recv(fd, got, sizeof got - 1, 0), strlen(text));
  assert_string_equal(got, text);
  assert_int_equal(recv(fd, got, sizeof got, 0), -1); /* one datagram */
}

static void at_a_path(void **state)
{
  (void) state;
  char dir[] = "/tmp/alknet-test-XXXXXX", path[64];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/notify", dir);
  assert_int_equal(alk_notify(path, "READY=1", 7), UV_ENOENT);
  int fd = receiver(path);
  receives(fd, path, "READY=1\nSTATUS=on its way\n");
  receives(fd, path, "STOPPING=1");
  close(fd);
  assert_int_equal(alk_notify(path, "READY=1", 7), UV_ECONNREFUSED);
  unlink(path);
  rmdir(dir);
}

static void at_an_abstract_name(void **state)
{
  (void) state;
  char name[64];
  snprintf(name, sizeof name, "@alknet-test-%d", (int) getpid());
  int fd = receiver(name);
  receives(fd, name, "WATCHDOG=1");
  close(fd);
  assert_int_equal(alk_notify(name, "READY=1", 7), UV_ECONNREFUSED);
}

/* A reader that is behind holds nobody up. */
static void never_waits(void **state)
{
  (void) state;
  char name[64];
  int rc = 0, sent = 0;
  snprintf(name, sizeof name, "@alknet-test-full-%d", (int) getpid());
  int fd = receiver(name);
  for (; rc == 0 && sent < PLENTY; sent++)
    rc = alk_notify(name, "WATCHDOG=1", 10);
  assert_int_equal(rc, UV_EAGAIN);
  char got[16];
  assert_int_equal(recv(fd, got, sizeof got, 0), 10);
  assert_int_equal(alk_notify(name, "WATCHDOG=1", 10), 0);
  close(fd);
}

static void no_address(void **state)
{
  (void) state;
  char long_path[200], longest[109];
  memset(long_path, 'x', sizeof long_path);
  long_path[0] = '/';
  long_path[sizeof long_path - 1] = '\0';
  const char *bad[] = {"", "/", "@", "relative", "vsock:2:1234", long_path};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(alk_notify(bad[i], "READY=1", 7), UV_EINVAL);
  /* 107 bytes and a NUL, or 108 without one: those fit. */
  memset(longest, 'x', sizeof longest);
  longest[108] = '\0';
  longest[0] = '@';
  assert_int_equal(alk_notify(longest, "READY=1", 7), UV_ECONNREFUSED);
  longest[0] = '/';
  assert_int_equal(alk_notify(longest, "READY=1", 7), UV_EINVAL);
  longest[107] = '\0';
  assert_int_equal(alk_notify(longest, "READY=1", 7), UV_ENOENT);
}

/* A descriptor a message: none may stay. */
static void leaves_nothing(void **state)
{
  (void) state;
  int next = dup(0);
  close(next);
  for (int i = 0; i < 10; i++)
    assert_int_equal(alk_notify("/nowhere/at/all", "READY=1", 7), UV_ENOENT);
  int again = dup(0);
  close(again);
  assert_int_equal(again, next);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(at_a_path),      cmocka_unit_test(at_an_abstract_name),
    cmocka_unit_test(never_waits),    cmocka_unit_test(no_address),
    cmocka_unit_test(leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
