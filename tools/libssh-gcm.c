/* libssh-gcm.c - does this libssh check the tag of an AES-GCM packet?
 *
 * Several releases do not (0.9.8, 0.10.6, 0.11.0 to 0.11.4, 0.12.0): they take
 * a packet that was changed on its way. Three processes: a libssh client, a
 * libssh server, and between them this one, which turns one bit of the tag of
 * the client's first encrypted packet. A server that goes on is broken.
 *
 * The packet is held back until the server says that its key exchange is over,
 * so that a refusal is one of the packet and of nothing before it. And a first
 * run turns no bit: when that packet is not taken, the second proves nothing.
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

static int server(int fd, int ready)
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
  if (write(ready, "", 1) != 1) return UNKNOWN;
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
  bool turns; /* or only looks */
} spy_t;

static size_t packet_len(const spy_t *p)
{
  return (size_t) p->packet[0] << 24 | (size_t) p->packet[1] << 16 |
         (size_t) p->packet[2] << 8 | p->packet[3];
}

/* Looks at one byte; true: it is the last one of the tag. */
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

static bool put(int to, const unsigned char *p, size_t n)
{
  return n == 0 || send(to, p, n, MSG_NOSIGNAL) == (ssize_t) n;
}

/* Client to server; the first encrypted packet waits for the server's word. */
static bool pass_spied(int from, int to, int ready, spy_t *p)
{
  unsigned char buf[4096], word;
  size_t sent = 0;
  ssize_t n = read(from, buf, sizeof buf);
  for (ssize_t i = 0; i < n; i++) {
    bool was_clear = p->state == CLEAR;
    if (spy(p, buf[i]) && p->turns) buf[i] ^= 1;
    if (!was_clear || p->state != SECRET) continue;
    sent = (size_t) i + 1;
    if (!put(to, buf, sent) || read(ready, &word, 1) != 1) return false;
  }
  return n > 0 && put(to, buf + sent, (size_t) n - sent);
}

static bool pass(int from, int to)
{
  unsigned char buf[4096];
  ssize_t n = read(from, buf, sizeof buf);
  return n > 0 && put(to, buf, (size_t) n);
}

/* Until either side has gone. True: the packet has passed. */
static bool relay(int c, int s, int ready, bool turns)
{
  spy_t p = {.turns = turns};
  struct pollfd fds[2] = {{.fd = c, .events = POLLIN},
                          {.fd = s, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) break;
    if ((fds[0].revents != 0 && !pass_spied(c, s, ready, &p)) ||
        (fds[1].revents != 0 && !pass(s, c)))
      break;
  }
  return p.state == DONE;
}

static int run(bool turns)
{
  int a[2], b[2], ready[2], status = 0;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 ||
      socketpair(AF_UNIX, SOCK_STREAM, 0, b) < 0 || pipe(ready) < 0)
    return UNKNOWN;
  pid_t server_pid = fork();
  if (server_pid == 0) {
    alarm(SECONDS_MAX);
    close(a[0]), close(a[1]), close(b[0]), close(ready[0]);
    _exit(server(b[1], ready[1]));
  }
  pid_t client_pid = fork();
  if (client_pid == 0) {
    alarm(SECONDS_MAX);
    close(a[0]), close(b[0]), close(b[1]), close(ready[0]), close(ready[1]);
    _exit(client(a[1]));
  }
  close(a[1]), close(b[1]), close(ready[1]);
  alarm(SECONDS_MAX + 1);
  bool passed = relay(a[0], b[0], ready[0], turns);
  close(a[0]), close(b[0]), close(ready[0]);
  if (server_pid < 0 || client_pid < 0 ||
      waitpid(client_pid, NULL, 0) != client_pid ||
      waitpid(server_pid, &status, 0) != server_pid)
    return UNKNOWN;
  return passed && WIFEXITED(status) ? WEXITSTATUS(status) : UNKNOWN;
}

int main(void)
{
  return run(false) == TAKEN ? run(true) : UNKNOWN;
}
