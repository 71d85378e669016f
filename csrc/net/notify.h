/* notify.h - telling a service manager how it goes (sd_notify(3)). */
#ifndef ALK_NOTIFY_H
#define ALK_NOTIFY_H

#include <stddef.h>

/* Sends one datagram to the Unix socket at path, or, when it begins with '@',
 * of that abstract name. Never waits: 0, or a uv errno; UV_EAGAIN when the
 * reader is behind. */
int alk_notify(const char *path, const char *text, size_t len);

#endif
