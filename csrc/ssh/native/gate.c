/* gate.c - the one gate: which message may come in which state, to whom.
 *
 * A state is how far the session is and what its key exchange waits for. A row
 * says in which states a number is legal and for which role; what no row
 * allows is never dispatched. Numbers that no row knows are answered with
 * UNIMPLEMENTED where other messages may come at all (RFC 4253 §11.4), known
 * ones in the wrong place end the session. What follows a wrong guess comes to
 * no row: it is skipped. */
#include "ssh/native/impl.h"

enum {
  FIRST_IDLE = 1 << 0,     /* their first KEXINIT is awaited */
  FIRST_EXCHANGE = 1 << 1, /* the method's message */
  FIRST_NEWKEYS = 1 << 2,  /* their first NEWKEYS */
  SERVICE = 1 << 3,
  AUTH = 1 << 4,
  OPEN = 1 << 5,
  NEXT_EXCHANGE = 1 << 6, /* the same of a later exchange */
  NEXT_NEWKEYS = 1 << 7,

  FIRST = FIRST_IDLE | FIRST_EXCHANGE | FIRST_NEWKEYS,
  IDLE = FIRST_IDLE | SERVICE | AUTH | OPEN,
  ANY = FIRST | IDLE | NEXT_EXCHANGE | NEXT_NEWKEYS
};
enum { AT_CLIENT = 1, AT_SERVER = 2, AT_BOTH = 3 };

typedef struct {
  uint8_t number;
  uint8_t states, roles;
  handler_t *handle;
} row_t;

static const row_t rows[] = {
  {MSG_DISCONNECT, ANY, AT_BOTH, transport_on_disconnect},
  {MSG_IGNORE, ANY, AT_BOTH, transport_on_ignore},
  {MSG_UNIMPLEMENTED, ANY, AT_BOTH, transport_on_unimplemented},
  {MSG_DEBUG, ANY, AT_BOTH, transport_on_debug},
  {MSG_SERVICE_REQUEST, SERVICE, AT_SERVER, auth_on_service_request},
  {MSG_SERVICE_ACCEPT, SERVICE, AT_CLIENT, auth_on_service_accept},
  {MSG_EXT_INFO, SERVICE | AUTH, AT_CLIENT, auth_on_ext_info},
  {MSG_KEXINIT, IDLE, AT_BOTH, transport_on_kexinit},
  {MSG_NEWKEYS, FIRST_NEWKEYS | NEXT_NEWKEYS, AT_BOTH, transport_on_newkeys},
  {MSG_KEX_INIT, FIRST_EXCHANGE | NEXT_EXCHANGE, AT_SERVER,
   transport_on_kex_init},
  {MSG_KEX_REPLY, FIRST_EXCHANGE | NEXT_EXCHANGE, AT_CLIENT,
   transport_on_kex_reply},
  {MSG_USERAUTH_REQUEST, AUTH, AT_SERVER, auth_on_request},
  {MSG_USERAUTH_FAILURE, AUTH, AT_CLIENT, auth_on_failure},
  {MSG_USERAUTH_SUCCESS, AUTH, AT_CLIENT, auth_on_success},
  {MSG_USERAUTH_BANNER, AUTH, AT_CLIENT, auth_on_banner},
  {MSG_USERAUTH_PK_OK, AUTH, AT_CLIENT, auth_on_pk_ok},
  {MSG_GLOBAL_REQUEST, OPEN, AT_BOTH, conn_on_global_request},
  {MSG_REQUEST_SUCCESS, OPEN, AT_BOTH, conn_on_request_success},
  {MSG_REQUEST_FAILURE, OPEN, AT_BOTH, conn_on_request_failure},
  {MSG_CHANNEL_OPEN, OPEN, AT_BOTH, conn_on_open},
  {MSG_CHANNEL_OPEN_CONFIRMATION, OPEN, AT_BOTH, conn_on_open_confirmation},
  {MSG_CHANNEL_OPEN_FAILURE, OPEN, AT_BOTH, conn_on_open_failure},
  {MSG_CHANNEL_WINDOW_ADJUST, OPEN, AT_BOTH, conn_on_window_adjust},
  {MSG_CHANNEL_DATA, OPEN, AT_BOTH, conn_on_data},
  {MSG_CHANNEL_EXTENDED_DATA, OPEN, AT_BOTH, conn_on_extended_data},
  {MSG_CHANNEL_EOF, OPEN, AT_BOTH, conn_on_eof},
  {MSG_CHANNEL_CLOSE, OPEN, AT_BOTH, conn_on_close},
  {MSG_CHANNEL_REQUEST, OPEN, AT_BOTH, conn_on_request},
  {MSG_CHANNEL_SUCCESS, OPEN, AT_BOTH, conn_on_channel_reply},
  {MSG_CHANNEL_FAILURE, OPEN, AT_BOTH, conn_on_channel_reply},
};

static unsigned state_of(const session_t *s)
{
  bool first = s->phase == PHASE_KEX;
  switch (transport_stage(s)) {
  case KEX_EXCHANGE:
    return first ? FIRST_EXCHANGE : NEXT_EXCHANGE;
  case KEX_NEWKEYS:
    return first ? FIRST_NEWKEYS : NEXT_NEWKEYS;
  case KEX_IDLE:
    break;
  }
  switch (s->phase) {
  case PHASE_KEX:
    return FIRST_IDLE;
  case PHASE_SERVICE:
    return SERVICE;
  case PHASE_AUTH:
    return AUTH;
  case PHASE_OPEN:
    return OPEN;
  case PHASE_IDENT:
    break;
  }
  return 0;
}

bool gate_lets_data(const session_t *s)
{
  return state_of(s) == OPEN;
}

static const row_t *row_of(uint8_t number)
{
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].number == number) return &rows[i];
  return NULL;
}

/* Strict key exchange: nothing but the exchange itself, and its end. */
static bool is_out_of_place(const session_t *s, uint8_t number, unsigned state)
{
  return (state & FIRST) && transport_is_strict(s) &&
         number != MSG_DISCONNECT && number < MSG_KEXINIT;
}

/* The server's extensions come right behind its first NEWKEYS or right before
 * its USERAUTH_SUCCESS (RFC 8308 §2.4), nowhere else. */
static bool keeps_ext_info_slots(session_t *s, uint8_t number, unsigned state)
{
  if (s->success_next && number != MSG_USERAUTH_SUCCESS) return false;
  s->success_next = number == MSG_EXT_INFO && state == AUTH;
  if (number == MSG_EXT_INFO && state == SERVICE) return s->rx.packets == 1;
  return true;
}

static void answer_unknown(session_t *s, unsigned state)
{
  if (!(state & (SERVICE | AUTH | OPEN))) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer sent an unknown message during a key exchange");
    return;
  }
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_UNIMPLEMENTED);
  alk_buf_u32(&m, s->rx.seq - 1);
  message_send(s, &m);
}

void gate_pass(session_t *s, const uint8_t *payload, size_t len)
{
  uint8_t number = payload[0];
  unsigned state = state_of(s);
  const row_t *row = row_of(number);
  if (transport_skips(s, number)) return;
  if (row == NULL && !s->success_next) {
    answer_unknown(s, state);
    return;
  }
  unsigned role = s->base.server ? AT_SERVER : AT_CLIENT;
  if (row == NULL || !(row->states & state) || !(row->roles & role) ||
      is_out_of_place(s, number, state) ||
      !keeps_ext_info_slots(s, number, state)) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer sent message %u where it may not come", number);
    return;
  }
  alk_rd_t r = alk_rd(payload + 1, len - 1);
  if (!row->handle(s, &r))
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "the peer sent a malformed message %u", number);
}
