/* auth.h - for the files of the authentication layer: what it remembers. */
#ifndef ALK_NATIVE_AUTH_H
#define ALK_NATIVE_AUTH_H

#include "ssh/native/impl.h"

#define AUTH_SERVICE    "ssh-userauth"
#define AUTH_CONNECTION "ssh-connection"
#define AUTH_METHOD     "publickey"
#define AUTH_NONE       "none"
#define AUTH_SIG_ALGS   "server-sig-algs"

/* The engine's own last resort; the owner has finer limits. Where the owner
 * says how many keys may be offered (max_auth), that takes the place of the two
 * defaults: it has decided what a question may tell. */
enum {
  AUTH_USER_MAX = 256,
  AUTH_KEYS_DEFAULT = 20,    /* offers of keys, queries included */
  AUTH_QUERIES_DEFAULT = 15, /* of those: they tell which keys exist */
  AUTH_OTHERS_MAX = 10,      /* requests of methods that do not exist here */
  AUTH_BANNERS_MAX = 16,
  AUTH_SIG_ALGS_MAX = 4096
};

/* What a session waits for. Nothing but the step says what an answer, of the
 * owner or of the peer, is about. */
typedef enum {
  AUTH_IDLE,    /* server: the next request */
  AUTH_ASKED,   /* client: the service, of the server */
  AUTH_LOGIN,   /* client: a key, of the owner */
  AUTH_TRIED,   /* client: a signed request of ours is under way */
  AUTH_QUERIED, /* server: the owner judges a key without a signature */
  AUTH_PROVEN,  /* server: the owner judges one whose signature was right */
  AUTH_DONE     /* authenticated */
} auth_step_t;

struct auth {
  auth_step_t step;
  char *user; /* client: ours; server: theirs, from the first request on */
  bool user_is_bad; /* server: the first request's name was none */
  unsigned keys, queries, others, banners;
  unsigned keys_max, queries_max;
  alk_buf_t pk_ok; /* server, AUTH_QUERIED: the answer that a yes sends */
  char *sig_algs;  /* client: what the server takes; NULL: it did not say */
};

bool auth_text_is(alk_rd_t r, const char *text);
void auth_ask_login(session_t *s);
/* For messages that are right in form and wrong in time. True, as handlers
 * return: the session is over and has said why. */
bool auth_out_of_turn(session_t *s, const char *what);

#endif
