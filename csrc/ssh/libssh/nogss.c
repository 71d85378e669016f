/* nogss.c - GSSAPI, absent.
 *
 * Debian's libssh.a was built with GSSAPI and wants its symbols, though only
 * gssapi-with-mic authentication uses them, which alknet never offers. These
 * stand in for the library: each says "failure" or "nothing", so that a peer
 * who asks for the method anyway is refused, and neither the addon nor its
 * users need Kerberos. */
#include <stddef.h>
#include <stdint.h>

#define GSS_FAILURE (13u << 16) /* GSS_S_FAILURE, RFC 2744 §3.9.1 */

extern const void *const GSS_C_NT_HOSTBASED_SERVICE;
extern const void *const GSS_C_NT_USER_NAME;
const void *const GSS_C_NT_HOSTBASED_SERVICE = NULL;
const void *const GSS_C_NT_USER_NAME = NULL;

/* The callers look at the result before anything else, and pass what they
 * have set to "none" themselves; so one body serves all. */
#define ABSENT(name)               \
  uint32_t name(uint32_t *minor);  \
  uint32_t name(uint32_t *minor)   \
  {                                \
    if (minor != NULL) *minor = 0; \
    return GSS_FAILURE;            \
  }

ABSENT(gss_accept_sec_context)
ABSENT(gss_acquire_cred)
ABSENT(gss_add_oid_set_member)
ABSENT(gss_create_empty_oid_set)
ABSENT(gss_display_name)
ABSENT(gss_display_status)
ABSENT(gss_get_mic)
ABSENT(gss_import_name)
ABSENT(gss_indicate_mechs)
ABSENT(gss_init_sec_context)
ABSENT(gss_inquire_cred)
ABSENT(gss_inquire_cred_by_mech)
ABSENT(gss_release_buffer)
ABSENT(gss_release_cred)
ABSENT(gss_release_name)
ABSENT(gss_release_oid_set)
ABSENT(gss_test_oid_set_member)
ABSENT(gss_verify_mic)
