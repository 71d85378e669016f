/* gcov_link.c - for `make FLAVOUR=cov`: gcov's library is diverted like libssh
 * is (wire.c). Where a test has no libssh, these lead it back. */
#include <fcntl.h>
#include <unistd.h>

int __real_close(int fd);
int __wrap_close(int fd);
int __real_fcntl(int fd, int cmd, void *arg);
int __wrap_fcntl(int fd, int cmd, void *arg);

__attribute__((weak)) int __wrap_close(int fd)
{
  return __real_close(fd);
}

__attribute__((weak)) int __wrap_fcntl(int fd, int cmd, void *arg)
{
  return __real_fcntl(fd, cmd, arg);
}
