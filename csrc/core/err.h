/* err.h - one way to say what went wrong: a code for programs, an errno for
 * the system, a stage and a sentence for people. */
#ifndef ALK_ERR_H
#define ALK_ERR_H

#include <stddef.h>

/* name, stage, what it means, what to do. lib/errors.js and docs/errors.md are
 * read from and checked against this table. */
#define ALK_ERR_MAP(X)                                                       \
  X(SYS, "system", "the operating system refused",                           \
    "see errno and the message")                                             \
  X(CANCELED, "close", "closed or aborted by this side",                     \
    "nothing: it was asked for")                                             \
  X(CLOSED, "close", "the object is already closed", "open a new one")       \
  X(LIMIT, "limit", "a configured limit was hit",                            \
    "raise the limit that the message names, if the peer is trusted")        \
  X(TIMEOUT, "timeout", "a time limit passed",                               \
    "check the network and the peer, or raise the limit named")              \
  X(OPTION, "options", "an option is missing, unknown or wrong",             \
    "correct the option that the message names")                             \
  X(DNS, "dns", "the name was not found", "check the name and the resolver") \
  X(TLS, "tls", "TLS failed",                                                \
    "see the message: the certificate, its name and dates, or the peer")     \
  X(PROTO, "protocol", "the peer broke the protocol",                        \
    "check what is listening at the other end")                              \
  X(KEX, "kex", "no algorithm that both sides accept",                       \
    "update the peer, or see docs/ssh-engines.md for what is offered")       \
  X(HOSTKEY, "hostkey", "the host key is not trusted",                       \
    "compare the fingerprint, then add it to known_hosts or pin it")         \
  X(KEY, "key", "the key could not be read",                                 \
    "check the file, its format and its passphrase")                         \
  X(AUTH, "auth", "authentication was refused",                              \
    "check the user, the identity and the server's authorized_keys")         \
  X(CHANNEL, "channel", "the peer refused the channel",                      \
    "see reason: policy, target or resources")                               \
  X(LOST, "session", "the session was lost", "connect again")                \
  X(PROXY, "proxy", "the proxy refused, or could not",                       \
    "see reason and the message: what the proxy allows, or reaches")         \
  X(PROXYAUTH, "proxy", "the proxy wants another user or password",          \
    "check user and password in the proxy's URL")                            \
  X(ACME, "acme", "the certificate authority refused, or could not",         \
    "see the message: it has the authority's own words")                     \
  X(CRYPTO, "crypto", "a cryptographic operation failed",                    \
    "report it: this should not happen")                                     \
  X(UNSUPPORTED, "engine", "this SSH engine cannot do that",                 \
    "see docs/ssh-engines.md")

typedef enum {
  ALK_OK,
#define X(name, stage, text, advice) ALK_E_##name,
  ALK_ERR_MAP(X)
#undef X
    ALK_E_COUNT
} alk_code_t;

typedef struct {
  alk_code_t code;
  int sys;       /* a uv errno (UV_ECONNREFUSED), or 0 */
  int reason;    /* of who refused: RFC 4254 §5.1, or a proxy's number; or 0 */
  char msg[224]; /* "connect 10.0.0.1:22: connection refused" */
} alk_err_t;

/* Fills *err (which may be NULL) and returns code, so that a failing function
 * ends with: return alk_fail(err, ALK_E_KEY, 0, "%s: %s", path, why); */
alk_code_t alk_fail(alk_err_t *err, alk_code_t code, int sys, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));

const char *alk_code_name(alk_code_t code);   /* "ERR_ALKNET_AUTH" */
const char *alk_code_stage(alk_code_t code);  /* "auth" */
const char *alk_code_text(alk_code_t code);   /* what it means */
const char *alk_code_advice(alk_code_t code); /* what to do */

#endif
