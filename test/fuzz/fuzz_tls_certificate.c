/* test/fuzz/fuzz_tls_certificate.c — libFuzzer target: the DER of a leaf certificate, its names and dates.
 *
 * The input is the certificate, nothing else. Must hold: all that is read lies inside the input; walking the
 * names always ends; a refusal writes nothing. And beside OpenSSL: of a certificate that both can read, we
 * read no name and no date that it does not. (It may well read more than we do: it takes BER.)
 */
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/tls/tls_certificate.h"
#include "test/fuzz/fuzz.h"

static void must(bool held)
{
    if (!held)
        abort();
}

static bool is_inside(struct bytes outer, struct bytes inner)
{
    return inner.len == 0 || (inner.data >= outer.data && inner.len <= outer.len &&
                              (size_t)(inner.data - outer.data) <= outer.len - inner.len);
}

static bool is_same(struct bytes ours, const ASN1_STRING *theirs)
{
    return ours.len == (size_t)ASN1_STRING_length(theirs) &&
           (ours.len == 0 || memcmp(ours.data, ASN1_STRING_get0_data(theirs), ours.len) == 0);
}

/* OpenSSL keeps what is no string with its header; we are handed the contents. */
static bool is_same_text(struct bytes ours, const ASN1_STRING *theirs)
{
    int type = ASN1_STRING_type(theirs);
    bool text = type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING || type == V_ASN1_IA5STRING;
    return !text || is_same(ours, theirs);
}

static void check_subject(struct bytes name)
{
    struct bytes rest = name, value;
    enum tls_subject_part part;
    for (size_t before = rest.len; tls_subject_next(&rest, &part, &value); before = rest.len)
        must(rest.len < before && is_inside(name, rest) && is_inside(name, value));
}

static void check_names(struct bytes names)
{
    struct bytes rest = names, value;
    enum tls_name_kind kind;
    for (size_t before = rest.len; tls_name_next(&rest, &kind, &value); before = rest.len)
        must(rest.len < before && is_inside(names, rest) && is_inside(names, value));
}

static void compare_time(int64_t ours, const ASN1_TIME *theirs)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(theirs, &tm) == 1)
        must(timegm(&tm) == ours);
}

static void compare_subject(struct bytes rest, const X509_NAME *theirs)
{
    struct bytes value;
    enum tls_subject_part part;
    int count = X509_NAME_entry_count(theirs);
    for (int i = 0; tls_subject_next(&rest, &part, &value); i++) {
        must(i < count);
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(theirs, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        if (part != SUBJECT_OTHER)
            must(nid == (part == SUBJECT_CN ? NID_commonName : NID_organizationName) &&
                 is_same_text(value, X509_NAME_ENTRY_get_data(entry)));
    }
}

static void compare_names(struct bytes rest, const GENERAL_NAMES *theirs)
{
    struct bytes value;
    enum tls_name_kind kind;
    for (int i = 0; tls_name_next(&rest, &kind, &value); i++) {
        must(i < sk_GENERAL_NAME_num(theirs));
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(theirs, i);
        if (kind == NAME_DNS)
            must(name->type == GEN_DNS && is_same(value, name->d.dNSName));
        if (kind == NAME_IP)
            must(name->type == GEN_IPADD && is_same(value, name->d.iPAddress));
    }
}

static void compare(struct bytes der, const struct tls_certificate *ours)
{
    const uint8_t *at = der.data;
    X509 *theirs = d2i_X509(NULL, &at, (long)der.len);
    if (theirs) {
        must(at == der.data + der.len);
        compare_time(ours->not_before_s, X509_get0_notBefore(theirs));
        compare_time(ours->not_after_s, X509_get0_notAfter(theirs));
        compare_subject(ours->subject, X509_get_subject_name(theirs));
        compare_subject(ours->issuer, X509_get_issuer_name(theirs));
        GENERAL_NAMES *names = X509_get_ext_d2i(theirs, NID_subject_alt_name, NULL, NULL);
        if (names) /* else there are none, or it can not read them: then the handshake fails elsewhere */
            compare_names(ours->names, names);
        GENERAL_NAMES_free(names);
    }
    X509_free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes der = {data, size};
    struct tls_certificate c, untouched;
    memset(&c, 0xa5, sizeof(c));
    memset(&untouched, 0xa5, sizeof(untouched));
    if (!tls_certificate_parse(der, &c)) {
        must(memcmp(&c, &untouched, sizeof(c)) == 0);
        return 0;
    }
    must(is_inside(der, c.issuer) && is_inside(der, c.subject) && is_inside(der, c.names));
    check_subject(c.issuer);
    check_subject(c.subject);
    check_names(c.names);
    compare(der, &c);
    return 0;
}
