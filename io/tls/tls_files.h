/* io/tls/tls_files.h — are certificate, key, CA and token files fit for use? Said before anything listens.
 *
 * Only looks; TLS contexts read the files again. A file that changes in between is caught there. Files are
 * judged through libcrypto, which is stricter and more talkative here than the TLS library. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

enum tls_file_verdict { TLS_FILE_GOOD = 0, TLS_FILE_DOUBTFUL /* usable, worth a warning */, TLS_FILE_BAD };
enum tls_file_use { TLS_FILE_SERVER, TLS_FILE_CLIENT, TLS_FILE_ISSUER }; /* what a certificate is for */
/* Who is meant to be able to read a secret. With WORLD there is a warning instead of a refusal. */
enum tls_file_readers { TLS_FILE_OWNER, TLS_FILE_GROUP, TLS_FILE_WORLD };

enum { TLS_FILE_WARN_DAYS = 7 };

struct tls_file_finding {
    char found[360], expected[160]; /* set unless good: one line of people's text, no secrets */
    int64_t not_after;              /* of a certificate or the CA that ends first, unix seconds; 0: unknown */
};

MUST_USE enum tls_file_verdict tls_file_check_certificate(const char *path, enum tls_file_use,
                                                          struct tls_file_finding *ret_finding);
/* The first certificate: parses, valid now, for more than TLS_FILE_WARN_DAYS, made for this use. One that may
 * not sign certificates is bad as an issuer, other uses are only doubted. */
MUST_USE enum tls_file_verdict tls_file_check_key(const char *path, const char *certificate_path,
                                                  enum tls_file_readers,
                                                  struct tls_file_finding *ret_finding);
/* Not readable by everybody, parses without a passphrase, belongs to the certificate (checked before). */
MUST_USE enum tls_file_verdict tls_file_check_ca(const char *path, struct tls_file_finding *ret_finding);
/* At least one CA certificate that is valid now. */
MUST_USE enum tls_file_verdict tls_file_check_token(const char *path, enum tls_file_readers,
                                                    struct tls_file_finding *ret_finding);
/* Not readable by everybody, one line of characters that a header field may hold (RFC 6750, b64token). */
