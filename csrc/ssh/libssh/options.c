/* options.c - what libssh is told before it starts: algorithms, limits, keys.
 *
 * libssh drops from a list the names that it does not know, so names of newer
 * releases stand here too and are offered where they exist. */
#include <string.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

#ifndef ALK_LIBSSH_GCM /* the build's self-test found the tag unchecked */
#  define ALK_LIBSSH_GCM 0
#endif

#define KEX                                               \
  "mlkem768x25519-sha256,sntrup761x25519-sha512,"         \
  "sntrup761x25519-sha512@openssh.com,curve25519-sha256," \
  "curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
#define HOSTKEYS "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
#define USERKEYS                                         \
  "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," \
  "ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
#define CERT "-cert-v01@openssh.com"
#define USERCERTS                                                            \
  "ssh-ed25519" CERT ",ecdsa-sha2-nistp256" CERT ",ecdsa-sha2-nistp384" CERT \
  ",ecdsa-sha2-nistp521" CERT ",rsa-sha2-512" CERT ",rsa-sha2-256" CERT
#define MACS   "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
#define CHACHA "chacha20-poly1305@openssh.com"
#define GCM    "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
#define CTR    "aes256-ctr,aes128-ctr"

static bool cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
  return true; /* but for a few boards, all have the extension */
#else
  return false;
#endif
}

static const char *default_ciphers(void)
{
#if ALK_LIBSSH_GCM
  return cpu_has_aes() ? GCM "," CHACHA "," CTR : CHACHA "," GCM "," CTR;
#else
  return cpu_has_aes() ? CTR "," CHACHA : CHACHA "," CTR;
#endif
}

static bool on_list(const char *list, const char *name, size_t len)
{
  for (const char *p = list; p != NULL; p = strchr(p, ',')) {
    if (*p == ',') p++;
    if (strncmp(p, name, len) == 0 && (p[len] == ',' || p[len] == '\0'))
      return true;
  }
  return false;
}

void options_agreed(const char *first, const char *other, char *out, size_t cap)
{
  out[0] = '\0';
  for (const char *p = first;; p++) {
    size_t len = strcspn(p, ",");
    if (len > 0 && len < cap && on_list(other, p, len)) {
      memcpy(out, p, len);
      out[len] = '\0';
      return;
    }
    p += len;
    if (*p == '\0') return;
  }
}

/* Lists narrow what is offered and never widen it. */
static const char *narrow(const char *what, const char *wanted,
                          const char *offered, alk_err_t *err)
{
  if (wanted == NULL) return offered;
  for (const char *p = wanted;; p++) {
    size_t len = strcspn(p, ",");
    if (len == 0 || !on_list(offered, p, len)) {
      alk_fail(err, ALK_E_OPTION, 0, "%s: %.*s is not offered by libssh here",
               what, (int) len, p);
      return NULL;
    }
    p += len;
    if (*p == '\0') return wanted;
  }
}

typedef struct {
  const char *kex, *ciphers, *macs, *hostkeys;
} lists_t;

static bool choose(const alk_session_opts_t *o, lists_t *out, alk_err_t *err)
{
  out->kex = narrow("kex", o->kex, KEX, err);
  if (out->kex == NULL) return false;
  out->ciphers = narrow("ciphers", o->ciphers, default_ciphers(), err);
  if (out->ciphers == NULL) return false;
  out->macs = narrow("macs", o->macs, MACS, err);
  if (out->macs == NULL) return false;
  out->hostkeys =
    narrow("host key algorithms", o->hostkey_algorithms, HOSTKEYS, err);
  return out->hostkeys != NULL;
}

static bool has_key(const alk_session_opts_t *o, const char *name, size_t len)
{
  for (size_t i = 0; i < o->hostkeys_len; i++) {
    const char *type = alk_key_type(o->hostkeys[i]);
    if (strcmp(type, "ssh-rsa") == 0) type = "rsa-sha2-512,rsa-sha2-256";
    if (on_list(type, name, len)) return true;
  }
  return false;
}

static void keep_hostkey(session_t *s, const char *name, size_t len)
{
  size_t used = strlen(s->hostkeys);
  CHECK(used + len + 2 <= sizeof s->hostkeys); /* all of HOSTKEYS fits, once */
  if (used > 0) s->hostkeys[used++] = ',';
  memcpy(s->hostkeys + used, name, len);
  s->hostkeys[used + len] = '\0';
}

/* Which of the host key algorithms stand in our KEXINIT: libssh does not tell
 * later which it was. A server has no key for some. */
static void keep_hostkeys(session_t *s, const alk_session_opts_t *o,
                          const char *list)
{
  for (const char *p = list;; p++) {
    size_t len = strcspn(p, ",");
    if (!on_list(s->hostkeys, p, len) &&
        (!s->base.server || has_key(o, p, len)))
      keep_hostkey(s, p, len);
    p += len;
    if (*p == '\0') return;
  }
}

typedef struct {
  enum ssh_options_e option;
  const void *value;
} setting_t;

static bool set_all(session_t *s, const setting_t *set, size_t n,
                    alk_err_t *err)
{
  for (size_t i = 0; i < n; i++)
    if (ssh_options_set(s->ssh, set[i].option, set[i].value) != SSH_OK) {
      alk_fail(err, ALK_E_OPTION, 0, "libssh: %s", ssh_get_error(s->ssh));
      return false;
    }
  return true;
}

bool options_session(session_t *s, const alk_session_opts_t *opts,
                     alk_err_t *err)
{
  bool no = false;
  uint64_t bytes = opts->rekey_bytes;
  if (bytes == 0 || bytes > REKEY_BYTES_MAX) bytes = REKEY_BYTES_MAX;
  uint32_t seconds =
    opts->rekey_seconds > 0 ? opts->rekey_seconds : REKEY_SECONDS_DEFAULT;
  const setting_t set[] = {
    {SSH_OPTIONS_PROCESS_CONFIG, &no}, /* no files, no forks (trap 19) */
    {SSH_OPTIONS_SSH_DIR, "/nonexistent"},
    {SSH_OPTIONS_COMPRESSION_C_S, "none"},
    {SSH_OPTIONS_COMPRESSION_S_C, "none"},
    {SSH_OPTIONS_REKEY_DATA, &bytes},
    {SSH_OPTIONS_REKEY_TIME, &seconds},
  };
  return set_all(s, set, sizeof set / sizeof *set, err);
}

/* A server's lists are its bind's, which would overwrite (and leak) these. */
bool options_client(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err)
{
  lists_t l;
  int rsa = ALK_RSA_MIN_BITS;
  socket_t fd = WIRE_FD;
  if (!choose(opts, &l, err)) return false;
  keep_hostkeys(s, opts, l.hostkeys);
  const setting_t set[] = {
    {SSH_OPTIONS_USER, opts->user},
    {SSH_OPTIONS_FD, &fd},
    {SSH_OPTIONS_KEY_EXCHANGE, l.kex},
    {SSH_OPTIONS_HOSTKEYS, l.hostkeys},
    {SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, USERCERTS "," USERKEYS},
    {SSH_OPTIONS_CIPHERS_C_S, l.ciphers},
    {SSH_OPTIONS_CIPHERS_S_C, l.ciphers},
    {SSH_OPTIONS_HMAC_C_S, l.macs},
    {SSH_OPTIONS_HMAC_S_C, l.macs},
    {SSH_OPTIONS_RSA_MIN_SIZE, &rsa},
  };
  return set_all(s, set, sizeof set / sizeof *set, err);
}

static bool import_hostkeys(session_t *s, const alk_session_opts_t *opts,
                            alk_err_t *err)
{
  for (size_t i = 0; i < opts->hostkeys_len; i++) {
    ssh_key key = options_key(opts->hostkeys[i], err);
    if (key == NULL) return false;
    /* The bind owns it from here on. */
    if (ssh_bind_options_set(s->bind, SSH_BIND_OPTIONS_IMPORT_KEY, key) !=
        SSH_OK) {
      ssh_key_free(key);
      alk_fail(err, ALK_E_OPTION, 0, "libssh: %s", ssh_get_error(s->bind));
      return false;
    }
  }
  return true;
}

bool options_bind(session_t *s, const alk_session_opts_t *opts, alk_err_t *err)
{
  lists_t l;
  if (!choose(opts, &l, err)) return false;
  keep_hostkeys(s, opts, l.hostkeys);
  s->bind = ssh_bind_new();
  CHECK(s->bind != NULL);
  bool no = false;
  int rsa = ALK_RSA_MIN_BITS;
  const struct {
    enum ssh_bind_options_e option;
    const void *value;
  } set[] = {
    {SSH_BIND_OPTIONS_PROCESS_CONFIG, &no},
    {SSH_BIND_OPTIONS_BANNER, "alknet"},
    {SSH_BIND_OPTIONS_RSA_MIN_SIZE, &rsa},
    {SSH_BIND_OPTIONS_KEY_EXCHANGE, l.kex},
    {SSH_BIND_OPTIONS_CIPHERS_C_S, l.ciphers},
    {SSH_BIND_OPTIONS_CIPHERS_S_C, l.ciphers},
    {SSH_BIND_OPTIONS_HMAC_C_S, l.macs},
    {SSH_BIND_OPTIONS_HMAC_S_C, l.macs},
    {SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, USERKEYS},
  };
  for (size_t i = 0; i < sizeof set / sizeof *set; i++)
    if (ssh_bind_options_set(s->bind, set[i].option, set[i].value) < 0) {
      alk_fail(err, ALK_E_OPTION, 0, "libssh: %s", ssh_get_error(s->bind));
      return false;
    }
  if (!import_hostkeys(s, opts, err)) return false;
  if (ssh_bind_options_set(s->bind, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS,
                           l.hostkeys) >= 0)
    return true;
  alk_fail(err, ALK_E_OPTION, 0, "libssh: %s", ssh_get_error(s->bind));
  return false;
}

/* False: libssh has no use for it. */
static bool add_certificate(const alk_key_t *key, ssh_key out)
{
  size_t len;
  const uint8_t *blob = alk_key_cert(key, &len);
  alk_buf_t text = {0};
  ssh_key cert = NULL;
  alk_base64_encode(blob, len, &text);
  alk_buf_u8(&text, 0);
  bool ok =
    ssh_pki_import_cert_base64((const char *) alk_buf_head(&text),
                               ssh_key_type_from_name(alk_key_cert_type(key)),
                               &cert) == SSH_OK &&
    ssh_pki_copy_cert_to_privkey(cert, out) == SSH_OK;
  ssh_key_free(cert);
  alk_buf_free(&text);
  return ok;
}

ssh_key options_key(const alk_key_t *key, alk_err_t *err)
{
  alk_buf_t text = {0};
  ssh_key out = NULL;
  if (!alk_key_write_private(key, NULL, "", &text, err)) return NULL;
  alk_buf_u8(&text, 0);
  if (ssh_pki_import_privkey_base64((const char *) alk_buf_head(&text), NULL,
                                    NULL, NULL, &out) != SSH_OK) {
    alk_fail(err, ALK_E_KEY, 0, "libssh cannot use this %s key",
             alk_key_type(key));
    out = NULL;
  }
  alk_buf_free_secret(&text);
  return out;
}

ssh_key options_login_key(const alk_key_t *key, alk_err_t *err)
{
  ssh_key out = options_key(key, err);
  if (out == NULL || alk_key_cert_type(key) == NULL ||
      add_certificate(key, out))
    return out;
  ssh_key_free(out);
  alk_fail(err, ALK_E_KEY, 0, "libssh cannot use this %s",
           alk_key_cert_type(key));
  return NULL;
}
