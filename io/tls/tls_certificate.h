/* io/tls/tls_certificate.h — what we need to know of a certificate, read straight from its DER: dates,
 * subject and alternative names. Nothing is copied: all of it points into the input. Any thread.
 *
 * The library's own objects cost 80 us for each connection (a random generator of their own is made and
 * tested), as much as the rest of a resumed handshake.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_hash.h"

struct tls_certificate {
    struct bytes issuer, subject;      /* contents of the Names */
    struct bytes names;                /* contents of the GeneralNames; empty: no such extension */
    int64_t not_before_s, not_after_s; /* since 1970 */
};

enum tls_subject_part { SUBJECT_CN, SUBJECT_O, SUBJECT_OTHER };
enum tls_name_kind { NAME_DNS, NAME_IP, NAME_OTHER };

MUST_USE bool tls_certificate_parse(struct bytes der, struct tls_certificate *ret);
/* False when it is not strict DER of the expected shape (RFC 5280 section 4.1). */
MUST_USE bool tls_subject_next(struct bytes *rest, enum tls_subject_part *ret_part, struct bytes *ret_value);
/* Takes the next attribute of a Name; false at its end or where it cannot be read. */
MUST_USE bool tls_name_next(struct bytes *rest, enum tls_name_kind *ret_kind, struct bytes *ret_value);
/* The same for alternative names. */
bool tls_time_parse(const uint8_t *text, size_t len, bool generalized, int64_t *ret_s);
