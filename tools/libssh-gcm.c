/* libssh-gcm.c - does this libssh check the tag of an AES-GCM packet?
 *
 * Several releases do not (0.9.8, 0.10.6, 0.11.0 to 0.11.4, 0.12.0): they take
 * a packet that was changed on its way. Three processes: a libssh client, a
 * libssh server, and between them this one, which turns one bit of the tag of
 * the client's first encrypted packet. A server that goes on is broken.
 *
 * Exit code 0: the packet was refused. 1: it was taken. 2: could not tell. */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

#define CIPHER "aes128-gcm@openssh.com"

enum { REFUSED = 0, TAKEN = 1, UNKNOWN = 2, SECONDS_MAX = 20, TAG = 16 };

static int server(int fd)
{
  bool no = false;
  ssh_key key;
  ssh_bind bind = ssh_bind_new();
  ssh_session s = ssh_new();
  if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK ||
      ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
      ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) < 0 ||
      ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHER) < 0 ||
      ssh_bind_options_set(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHER) < 0 ||
      ssh_bind_accept_fd(bind, s, fd) != SSH_OK ||
      ssh_handle_key_exchange(s) != SSH_OK)
    return UNKNOWN;
  return ssh_message_get(s) == NULL ? REFUSED : TAKEN;
}

static int client(int fd)
{
  bool no = false;
  ssh_session s = ssh_new();
  socket_t sock = fd;
  ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(s, SSH_OPTIONS_SSH_DIR, "/nonexistent");
  ssh_options_set(s, SSH_OPTIONS_USER, "test");
  ssh_options_set(s, SSH_OPTIONS_FD, &sock);
  ssh_options_set(s, SSH_OPTIONS_CIPHERS_C_S, CIPHER);
  ssh_options_set(s, SSH_OPTIONS_CIPHERS_S_C, CIPHER);
  if (ssh_connect(s) == SSH_OK) (void) ssh_userauth_none(s, NULL);
  return 0;
}

/* Where the client's stream stands: its banner line, packets in clear, then
 * the first encrypted one. */
typedef struct {
  enum { BANNER, CLEAR, SECRET, DONE } state;
  unsigned char packet[40000];
  size_t have;
} spy_t;

static size_t packet_len(const spy_t *p)
{
  return (size_t) p->packet[0] << 24 | (size_t) p->packet[1] << 16 |
         (size_t) p->packet[2] << 8 | p->packet[3];
}

/* Looks at one byte; true: turn a bit of it. */
static bool spy(spy_t *p, unsigned char c)
{
  if (p->state == DONE) return false;
  if (p->state == BANNER) {
    if (c == '\n') p->state = CLEAR;
    return false;
  }
  if (p->have < sizeof p->packet) p->packet[p->have++] = c;
  size_t whole = 4 + (p->have >= 4 ? packet_len(p) : 0);
  if (p->have < 5 || (p->state == CLEAR && p->have < whole)) return false;
  if (p->state == CLEAR) {
    if (p->packet[5] == 21) p->state = SECRET; /* SSH_MSG_NEWKEYS */
    p->have = 0;
    return false;
  }
  if (p->have < whole + TAG) return false;
  p->state = DONE;
  return true;
}

static bool pass(int from, int to, spy_t *p)
{
  unsigned char buf[4096];
  ssize_t n = read(from, buf, sizeof buf);
  if (n <= 0) return false;
  for (ssize_t i = 0; p != NULL && i < n; i++)
    if (spy(p, buf[i])) buf[i] ^= 1;
  return write(to, buf, (size_t) n) == n;
}

static bool relay(int c, int s)
{
  static spy_t p;
  struct pollfd fds[2] = {{.fd = c, .events = POLLIN},
                          {.fd = s, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) break;
    if ((fds[0].revents != 0 && !pass(c, s, &p)) ||
        (fds[1].revents != 0 && !pass(s, c, NULL)))
      break;
  }
  return p.state == DONE;
}

int main(void)
{
  int a[2], b[2], status = 0;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 ||
      socketpair(AF_UNIX, SOCK_STREAM, 0, b) < 0)
    return UNKNOWN;
  pid_t server_pid = fork();
  if (server_pid == 0) {
    alarm(SECONDS_MAX);
    close(a[0]), close(a[1]), close(b[0]);
    _exit(server(b[1]));
  }
  pid_t client_pid = fork();
  if (client_pid == 0) {
    alarm(SECONDS_MAX);
    close(a[0]), close(b[0]), close(b[1]);
    _exit(client(a[1]));
  }
  close(a[1]), close(b[1]);
  alarm(SECONDS_MAX + 1);
  bool turned = relay(a[0], b[0]);
  close(a[0]), close(b[0]);
  waitpid(client_pid, NULL, 0);
  waitpid(server_pid, &status, 0);
  if (!turned || !WIFEXITED(status)) return UNKNOWN;
  return WEXITSTATUS(status);
}
