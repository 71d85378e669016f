/* cert_check.c - what a certificate may be used for, as far as it can be said
 * without asking whom to trust. The rules are OpenSSH's but for one: an empty
 * list of principals, which once meant everybody, means nobody. */
#include <string.h>

#include "ssh/cert.h"
#include "ssh/hosts_pattern.h"

static const char *const text_options[] = {"force-command", "source-address",
                                           NULL};
static const char *const empty_options[] = {"verify-required", NULL};
static const char *const empty_extensions[] = {
  "no-touch-required",
  "permit-X11-forwarding",
  "permit-agent-forwarding",
  "permit-port-forwarding",
  "permit-pty",
  "permit-user-rc",
  NULL,
};

static bool is_one_of(const char *name, const char *const names[])
{
  for (; *names != NULL; names++)
    if (strcmp(*names, name) == 0) return true;
  return false;
}

const alk_cert_option_t *alk_cert_option(const alk_cert_options_t *options,
                                         const char *name)
{
  for (size_t i = 0; i < options->count; i++)
    if (strcmp(options->list[i].name, name) == 0) return &options->list[i];
  return NULL;
}

/* False: longer than any host's name. */
static bool lower_case(const char *name, char out[ALK_HOST_NAME_MAX + 1])
{
  size_t len = strlen(name);
  if (len > ALK_HOST_NAME_MAX) return false;
  for (size_t i = 0; i <= len; i++)
    out[i] =
      name[i] >= 'A' && name[i] <= 'Z' ? (char) (name[i] - 'A' + 'a') : name[i];
  return true;
}

/* A principal is one pattern, never a list: with a comma in it, it matches
 * nothing. Nor does one with a ! in front, which in a list only takes away. */
static bool host_matches(const alk_cert_t *c, const char *host)
{
  char name[ALK_HOST_NAME_MAX + 1];
  if (!lower_case(host, name)) return false;
  for (size_t i = 0; i < c->principals_count; i++) {
    const char *p = c->principals[i];
    if (strchr(p, ',') == NULL && alk_host_list_match(p, strlen(p), name))
      return true;
  }
  return false;
}

static bool user_matches(const alk_cert_t *c, const char *user)
{
  for (size_t i = 0; i < c->principals_count; i++)
    if (strcmp(c->principals[i], user) == 0) return true;
  return false;
}

static const char *wrong_principal(const alk_cert_t *c, const char *principal)
{
  if (c->principals_count == 0)
    return "it names nobody: an empty list of principals is not everybody";
  if (principal == NULL) return NULL;
  bool ok = *principal != '\0' &&
            (c->kind == ALK_CERT_HOST ? host_matches(c, principal)
                                      : user_matches(c, principal));
  if (ok) return NULL;
  return c->kind == ALK_CERT_HOST ? "it is not for this host"
                                  : "it is not for this user";
}

static const char *wrong_option(const alk_cert_t *c)
{
  for (size_t i = 0; i < c->critical.count; i++) {
    const alk_cert_option_t *o = &c->critical.list[i];
    if (c->kind == ALK_CERT_HOST || (!is_one_of(o->name, text_options) &&
                                     !is_one_of(o->name, empty_options)))
      return "it has a critical option that is not known";
    if (is_one_of(o->name, text_options) ? o->text == NULL : o->value.len > 0)
      return "one of its critical options is damaged";
  }
  for (size_t i = 0; i < c->extensions.count; i++) {
    const alk_cert_option_t *o = &c->extensions.list[i];
    if (c->kind == ALK_CERT_USER && o->value.len > 0 &&
        is_one_of(o->name, empty_extensions))
      return "one of its extensions is damaged";
  }
  return NULL;
}

bool alk_cert_check(const alk_cert_t *c, alk_cert_kind_t want,
                    const char *principal, uint64_t now, alk_err_t *err)
{
  const char *why = NULL;
  if (c->kind != want)
    why = want == ALK_CERT_HOST ? "it is not a host's" : "it is not a user's";
  else if (now < c->valid_after)
    why = "it is not yet valid";
  else if (now >= c->valid_before)
    why = "it has expired";
  if (why == NULL) why = wrong_principal(c, principal);
  if (why == NULL) why = wrong_option(c);
  if (why == NULL) return true;
  alk_fail(err, want == ALK_CERT_HOST ? ALK_E_HOSTKEY : ALK_E_AUTH, 0,
           "the certificate is refused: %s", why);
  return false;
}
