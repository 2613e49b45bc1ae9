/* io/tls/tls_certificate.c — see tls_certificate.h. Lengths must be minimal and stay inside what surrounds
 * them; anything else makes the whole certificate unreadable, which callers treat as a failed verification.
 * Signatures are not looked at: the TLS library has verified them. */
#include "io/tls/tls_certificate.h"

#include <string.h>
#include <time.h>

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0c,
    DER_PRINTABLE_STRING = 0x13,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_VERSION = 0xa0,    /* [0] EXPLICIT */
    DER_EXTENSIONS = 0xa3, /* [3] EXPLICIT */
    DER_DNS_NAME = 0x82,   /* [2] IMPLICIT IA5String */
    DER_IP_ADDRESS = 0x87, /* [7] IMPLICIT OCTET STRING */
};

/* Takes one element off `in`. */
static bool der_take(struct bytes *in, int *ret_tag, struct bytes *ret)
{
    if (in->len < 2 || (in->data[0] & 0x1f) == 0x1f)
        return false;
    size_t head = 2, len = in->data[1];
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        if (octets == 0 || octets > 3 || in->len < 2 + octets || in->data[2] == 0)
            return false;
        len = 0;
        for (size_t i = 0; i < octets; i++)
            len = len << 8 | in->data[2 + i];
        if (len < 0x80)
            return false;
        head += octets;
    }
    if (len > in->len - head)
        return false;
    *ret_tag = in->data[0];
    *ret = (struct bytes){in->data + head, len};
    in->data += head + len;
    in->len -= head + len;
    return true;
}

static bool der_expect(struct bytes *in, int tag, struct bytes *ret)
{
    int found;
    return der_take(in, &found, ret) && found == tag;
}

static bool oid_is(struct bytes oid, const char *expected)
{
    return oid.len == 3 && memcmp(oid.data, expected, 3) == 0;
}

static bool two_digits(const uint8_t *text, int *ret)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *ret = (text[0] - '0') * 10 + (text[1] - '0');
    return true;
}

bool tls_time_parse(const uint8_t *text, size_t len, bool generalized, int64_t *ret_s)
{
    int part[6], century = 0; /* RFC 5280 section 4.1.2.5: seconds and Z are always there */
    if (len != (generalized ? 15 : 13) || (generalized && !two_digits(text, &century)))
        return false;
    text += generalized ? 2 : 0;
    for (int i = 0; i < 6; i++)
        if (!two_digits(text + 2 * i, &part[i]))
            return false;
    if (text[12] != 'Z')
        return false;
    int year = generalized ? century * 100 + part[0] : part[0] + (part[0] < 50 ? 2000 : 1900);
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = part[1] - 1,
                    .tm_mday = part[2],
                    .tm_hour = part[3],
                    .tm_min = part[4],
                    .tm_sec = part[5]};
    struct tm asked = tm;
    *ret_s = timegm(&tm); /* which makes next January of a 13th month: a date that it changed was none */
    return tm.tm_mon == asked.tm_mon && tm.tm_mday == asked.tm_mday && tm.tm_hour == asked.tm_hour &&
           tm.tm_min == asked.tm_min && tm.tm_sec == asked.tm_sec;
}

static bool take_time(struct bytes *in, int64_t *ret_s)
{
    int tag;
    struct bytes text;
    return der_take(in, &tag, &text) && (tag == DER_UTC_TIME || tag == DER_GENERALIZED_TIME) &&
           tls_time_parse(text.data, text.len, tag == DER_GENERALIZED_TIME, ret_s);
}

/* Looks for subjectAltName; a second one makes the certificate unreadable. */
static bool take_extensions(struct bytes in, struct bytes *ret_names)
{
    struct bytes list, extension, oid, value;
    bool found = false;
    if (!der_expect(&in, DER_SEQUENCE, &list) || in.len > 0)
        return false;
    while (list.len > 0) {
        int tag;
        if (!der_expect(&list, DER_SEQUENCE, &extension) || !der_expect(&extension, DER_OID, &oid) ||
            !der_take(&extension, &tag, &value))
            return false;
        if (tag == DER_BOOLEAN && !der_take(&extension, &tag, &value))
            return false;
        if (tag != DER_OCTETS || extension.len > 0)
            return false;
        if (!oid_is(oid, "\x55\x1d\x11"))
            continue;
        if (found || !der_expect(&value, DER_SEQUENCE, ret_names) || value.len > 0)
            return false;
        found = true;
    }
    return true;
}

bool tls_certificate_parse(struct bytes der, struct tls_certificate *ret)
{
    struct tls_certificate c = {0};
    struct bytes whole, tbs, skipped, validity;
    int tag;
    if (!der_expect(&der, DER_SEQUENCE, &whole) || der.len > 0 || !der_expect(&whole, DER_SEQUENCE, &tbs))
        return false;
    if (tbs.len > 0 && tbs.data[0] == DER_VERSION && !der_take(&tbs, &tag, &skipped))
        return false;
    if (!der_expect(&tbs, DER_INTEGER, &skipped) || !der_expect(&tbs, DER_SEQUENCE, &skipped) ||
        !der_expect(&tbs, DER_SEQUENCE, &c.issuer) || !der_expect(&tbs, DER_SEQUENCE, &validity) ||
        !take_time(&validity, &c.not_before_s) || !take_time(&validity, &c.not_after_s) || validity.len > 0 ||
        !der_expect(&tbs, DER_SEQUENCE, &c.subject) || !der_expect(&tbs, DER_SEQUENCE, &skipped))
        return false;
    while (tbs.len > 0) { /* unique identifiers, then extensions, each at most once and these last */
        struct bytes content;
        if (!der_take(&tbs, &tag, &content))
            return false;
        if (tag == DER_EXTENSIONS && (tbs.len > 0 || !take_extensions(content, &c.names)))
            return false;
    }
    *ret = c;
    return true;
}

bool tls_subject_next(struct bytes *rest, enum tls_subject_part *ret_part, struct bytes *ret_value)
{
    /* Name is a sequence of sets of attributes. The sets' borders do not matter: they are stepped into. */
    struct bytes in = *rest, set, attribute, oid;
    int tag;
    if (in.len > 0 && in.data[0] == DER_SET) {
        if (!der_take(&in, &tag, &set) || set.len == 0)
            return false;
        rest->len -= (size_t)(set.data - rest->data);
        rest->data = set.data;
    }
    if (!der_expect(rest, DER_SEQUENCE, &attribute) || !der_expect(&attribute, DER_OID, &oid) ||
        !der_take(&attribute, &tag, ret_value) || attribute.len > 0)
        return false;
    /* A name is one of the character strings that signers use for names; anything else is not compared with
     * one. */
    bool text = tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING || tag == DER_IA5_STRING;
    *ret_part = text && oid_is(oid, "\x55\x04\x03")   ? SUBJECT_CN
                : text && oid_is(oid, "\x55\x04\x0a") ? SUBJECT_O
                                                      : SUBJECT_OTHER;
    return true;
}

bool tls_name_next(struct bytes *rest, enum tls_name_kind *ret_kind, struct bytes *ret_value)
{
    int tag;
    if (!der_take(rest, &tag, ret_value))
        return false;
    *ret_kind = tag == DER_DNS_NAME ? NAME_DNS : tag == DER_IP_ADDRESS ? NAME_IP : NAME_OTHER;
    return true;
}
