/* notify.c - one datagram to a service manager.
 *
 * Node has no datagram sockets of this family. The protocol is a text in one
 * datagram and needs no library; what it means is for JavaScript to know. */
#include "net/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

/* 0 when path is no address. An abstract name begins with a NUL and has none at
 * its end. */
static socklen_t address_of(const char *path, struct sockaddr_un *out)
{
  size_t len = strlen(path);
  bool is_abstract = path[0] == '@';
  size_t room = sizeof out->sun_path - (is_abstract ? 0 : 1);
  if ((path[0] != '/' && !is_abstract) || len < 2 || len > room) return 0;
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(out->sun_path, path, len);
  if (is_abstract) out->sun_path[0] = '\0';
  return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len +
                      (is_abstract ? 0 : 1));
}

int alk_notify(const char *path, const char *text, size_t len)
{
  struct sockaddr_un to;
  socklen_t to_len = address_of(path, &to);
  if (to_len == 0) return UV_EINVAL;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  ssize_t n = sendto(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *) &to, to_len);
  int rc = n == (ssize_t) len ? 0
           : n < 0            ? uv_translate_sys_error(errno)
                              : UV_EMSGSIZE;
  close(fd);
  return rc;
}
