/* join.c - waits for a stream, then relays.
 *
 *   OPENING --on_open--> relay --> on_close
 *      | to closes, or it takes too long --> on_refused
 *      | alk_join_close() or no asker is left --> silence */
#include "core/join.h"

#include "core/mem.h"
#include "core/relay.h"

/* What only an opening stream needs: a relay may live long. */
typedef struct {
  alk_limit_t limit; /* first */
  alk_stream_t *to;
  alk_join_t *j;
} opening_t;

struct alk_join {
  opening_t *opening; /* NULL: it is over */
  alk_relay_t *relay; /* NULL: to is still opening */
  const alk_join_events_t *ev;
  void *data;
};

static void on_relayed(const alk_err_t *err, uint64_t a_to_b, uint64_t b_to_a,
                       void *data)
{
  alk_join_t *j = data;
  (void) a_to_b;
  (void) b_to_a;
  j->ev->on_close(j->data, err);
  alk_free(j);
}

static alk_stream_t *opening_over(alk_join_t *j)
{
  alk_stream_t *to = j->opening->to;
  alk_limit_stop(alk_stream_loop(to), &j->opening->limit);
  alk_free(j->opening);
  j->opening = NULL;
  return to;
}

/* It is nobody's from here on: it frees itself. */
static void drop(alk_stream_t *to)
{
  alk_stream_own(to, NULL, NULL);
  alk_stream_close(to);
}

static void on_open(alk_stream_t *to)
{
  alk_join_t *j = alk_stream_data(to);
  opening_over(j);
  alk_stream_t *asker = j->ev->on_open(j->data);
  if (asker != NULL) {
    j->relay = alk_relay(asker, to, on_relayed, j);
    return;
  }
  drop(to);
  alk_free(j);
}

/* j goes first: the asker may begin anew from inside the event. */
static void refused(alk_join_t *j, const alk_err_t *err)
{
  const alk_join_events_t *ev = j->ev;
  void *data = j->data;
  alk_free(j);
  ev->on_refused(data, err);
}

static void on_close(alk_stream_t *to, const alk_err_t *err)
{
  alk_join_t *j = alk_stream_data(to);
  alk_err_t none;
  opening_over(j);
  if (err == NULL) alk_fail(&none, ALK_E_CLOSED, 0, "closed before it opened");
  refused(j, err == NULL ? &none : err);
}

static void on_late(alk_limit_t *t)
{
  alk_join_t *j = ((opening_t *) (void *) t)->j;
  alk_err_t err;
  alk_fail(&err, ALK_E_TIMEOUT, 0, "it did not open in time");
  drop(opening_over(j));
  refused(j, &err);
}

static const alk_owner_t opening = {.on_open = on_open, .on_close = on_close};

alk_join_t *alk_join(alk_stream_t *to, unsigned limit_ms,
                     const alk_join_events_t *ev, void *data)
{
  CHECK(!alk_stream_is_open(to));
  alk_join_t *j = alk_alloc(sizeof *j);
  j->ev = ev;
  j->data = data;
  j->opening = alk_alloc(sizeof *j->opening);
  *j->opening = (opening_t){.limit.late = on_late, .to = to, .j = j};
  alk_stream_own(to, &opening, j);
  alk_limit_start(alk_stream_loop(to), &j->opening->limit, limit_ms);
  return j;
}

void alk_join_close(alk_join_t *j)
{
  if (j->relay != NULL) {
    alk_relay_close(j->relay);
    return;
  }
  drop(opening_over(j));
  alk_free(j);
}
