/* address.h - for the files of this room: socket addresses and their text.
 * Addresses are numeric: whoever resolved the name has also decided which of
 * its addresses may be reached. */
#ifndef ALK_NET_ADDRESS_H
#define ALK_NET_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "net/net.h"

/* 0, or libuv's number for what is wrong with it. */
int address_parse(const char *address, uint16_t port,
                  struct sockaddr_storage *out);
int address_parse_path(const char *path, struct sockaddr_un *out);

/* False: neither IPv4 nor IPv6. */
bool address_fill(const struct sockaddr_storage *sa, alk_addr_t *out);

#endif
