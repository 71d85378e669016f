/* tls_name.c - whom a client asks for, and who the server has to be: a name, or
 * an address, among the subjectAltNames. A certificate's common name is not
 * looked at (RFC 9525 §2). */
#include <netinet/in.h>
#include <string.h>

#include <openssl/x509v3.h>
#include <uv.h>

#include "core/mem.h"

#include "net/tls_impl.h"

char *tls_plain_name(const char *name)
{
  size_t len = strcspn(name, "%");
  if (len > 0 && name[len - 1] == '.') len--;
  char *plain = alk_memdup(name, len + 1);
  plain[len] = '\0';
  return plain;
}

static bool is_address(const char *name)
{
  struct in6_addr any;
  return uv_inet_pton(AF_INET, name, &any) == 0 ||
         uv_inet_pton(AF_INET6, name, &any) == 0;
}

bool tls_set_name(SSL *ssl, char *name)
{
  X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
  if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1;
  X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return name[0] != '\0' && X509_VERIFY_PARAM_set1_host(p, name, 0) == 1 &&
         SSL_set_tlsext_host_name(ssl, name) == 1;
}
