/* tls_tickets.c - a client's tickets: what makes its next connection to the
 * same server cheaper for both.
 *
 * A context's tickets are of connections that were all checked alike (the same
 * roots, or none), and each is kept under the name that was checked. */
#include <string.h>

#include "core/mem.h"

#include "net/tls_impl.h"

enum { TICKETS_MAX = 8 };

typedef struct {
  char *name;
  SSL_SESSION *session; /* NULL: used, or none yet */
} ticket_t;

struct tls_tickets {
  ticket_t slot[TICKETS_MAX];
  size_t next; /* the slot that the next new name gets */
};

tls_tickets_t *tls_tickets_new(void)
{
  return alk_alloc(sizeof(tls_tickets_t));
}

void tls_tickets_free(tls_tickets_t *t)
{
  if (t == NULL) return;
  for (size_t i = 0; i < TICKETS_MAX; i++) {
    SSL_SESSION_free(t->slot[i].session);
    alk_free(t->slot[i].name);
  }
  alk_free(t);
}

static ticket_t *find(tls_tickets_t *t, const char *name)
{
  for (size_t i = 0; i < TICKETS_MAX; i++)
    if (t->slot[i].name != NULL && strcmp(t->slot[i].name, name) == 0)
      return &t->slot[i];
  return NULL;
}

void tls_tickets_keep(tls_tickets_t *t, const char *name, SSL_SESSION *own)
{
  ticket_t *slot = find(t, name);
  if (slot == NULL) {
    slot = &t->slot[t->next];
    t->next = (t->next + 1) % TICKETS_MAX;
    alk_free(slot->name);
    slot->name = alk_strdup(name);
  }
  SSL_SESSION_free(slot->session);
  slot->session = own;
}

SSL_SESSION *tls_tickets_take(tls_tickets_t *t, const char *name)
{
  ticket_t *slot = find(t, name);
  if (slot == NULL) return NULL;
  SSL_SESSION *session = slot->session;
  slot->session = NULL;
  return session;
}
