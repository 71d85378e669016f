/* tls_why.c - OpenSSL's errors in a sentence: what the peer said, what was
 * wrong with its certificate, or what came that is not TLS. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "net/tls_impl.h"

/* Reasons that OpenSSL words for those who know it. */
static const struct {
  int lib, reason;
  const char *text;
} plainly[] = {
  {ERR_LIB_SSL, SSL_R_HTTP_REQUEST, "the peer speaks HTTP, not TLS"},
  {ERR_LIB_SSL, SSL_R_HTTPS_PROXY_REQUEST,
   "the peer takes this for an HTTP proxy"},
  {ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
  {ERR_LIB_SSL, SSL_R_PACKET_LENGTH_TOO_LONG, "the peer does not speak TLS"},
  {ERR_LIB_SSL, SSL_R_BAD_RECORD_TYPE, "the peer does not speak TLS"},
  {ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER, "no cipher that both sides accept"},
  {ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL, "the peer is older than TLS 1.2"},
  {ERR_LIB_SSL, SSL_R_VERSION_TOO_LOW, "the peer is older than TLS 1.2"},
  {ERR_LIB_SSL, SSL_R_CALLBACK_FAILED, "there is no certificate yet to show"},
  {ERR_LIB_SSL, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
   "a record was changed on the way"},
  {ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL,
   "its key is too short (RSA: 2048 bits)"},
  {ERR_LIB_SSL, SSL_R_CA_KEY_TOO_SMALL,
   "the key of one that it was signed with is too short (RSA: 2048 bits)"},
  {ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK, "it is signed with too weak a hash"},
  {ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ, "it is encrypted"},
  {ERR_LIB_PEM, PEM_R_BAD_END_LINE, "it is cut short"},
};

/* An alert of the peer, to its own number. */
static bool is_alert(int reason, int *alert)
{
  *alert = reason - SSL_AD_REASON_OFFSET;
  return *alert >= 0 && *alert < 256;
}

static const char *reason_text(unsigned long code)
{
  int reason = ERR_GET_REASON(code);
  const char *text = ERR_reason_error_string(code);
  for (size_t i = 0; i < sizeof plainly / sizeof *plainly; i++)
    if (plainly[i].lib == ERR_GET_LIB(code) && plainly[i].reason == reason)
      return plainly[i].text;
  return text == NULL ? "OpenSSL gave no reason" : text;
}

/* What was wrong with the peer's certificate, if that is it; or NULL. */
static const char *verdict_text(const SSL *ssl)
{
  unsigned long last = ERR_peek_last_error();
  if (ssl == NULL || ERR_GET_LIB(last) != ERR_LIB_SSL ||
      ERR_GET_REASON(last) != SSL_R_CERTIFICATE_VERIFY_FAILED)
    return NULL;
  return X509_verify_cert_error_string(SSL_get_verify_result(ssl));
}

void tls_why(const SSL *ssl, const char *what, alk_err_t *err)
{
  int alert;
  const char *verdict = verdict_text(ssl);
  /* The first is the cause, the others are who passed it on. */
  unsigned long code = ERR_get_error();
  if (verdict != NULL)
    alk_fail(err, ALK_E_TLS, 0, "%s: the server's certificate: %s", what,
             verdict);
  else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
           is_alert(ERR_GET_REASON(code), &alert))
    alk_fail(err, ALK_E_TLS, 0, "%s: the peer refused: %s (alert %d)", what,
             SSL_alert_desc_string_long(alert), alert);
  else
    alk_fail(err, ALK_E_TLS, 0, "%s: %s", what, reason_text(code));
  ERR_clear_error();
}
