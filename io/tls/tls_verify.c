/* io/tls/tls_verify.c — see tls_verify.h. Everything is read from the certificate with its length: a name
 * with a NUL inside is a different name, never a shorter one. */
#include "io/tls/tls_verify.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { NAME_DNS = 2, NAME_IP = 7 }; /* GeneralName choices, RFC 5280 section 4.2.1.6 */

struct text {
    char *to;
    size_t size, used;
};

static void text_add(struct text *t, const char *fmt, ...) PRINTF(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
    if (t->used + 1 >= t->size)
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->to + t->used, t->size - t->used, fmt, args);
    va_end(args);
    if (n > 0)
        t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

/* A name from outside, made printable: it goes into logs. */
static void text_add_name(struct text *t, const char *prefix, const char *name, size_t len)
{
    text_add(t, "%s%s", t->used > 0 ? " " : "", prefix);
    for (size_t i = 0; i < len; i++)
        text_add(t, name[i] > ' ' && name[i] < 0x7f ? "%c" : "?", name[i]);
}

bool tls_identity_set(struct tls_identity *id, const struct tls_expect *expect)
{
    memset(id, 0, sizeof(*id));
    if (expect->ip && expect->ip->sa.sa_family == AF_INET) {
        id->ip_len = 4;
        memcpy(id->ip, &expect->ip->in.sin_addr, 4);
    } else if (expect->ip && expect->ip->sa.sa_family == AF_INET6) {
        const struct in6_addr *a = &expect->ip->in6.sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(a);
        id->ip_len = mapped ? 4 : 16;
        memcpy(id->ip, a->s6_addr + (mapped ? 12 : 0), id->ip_len);
    }
    if (expect->dns_name) {
        size_t len = strlen(expect->dns_name);
        if (len > 0 && expect->dns_name[len - 1] == '.')
            len--; /* the root's dot is never written in a certificate */
        if (len == 0 || len >= sizeof(id->dns_name))
            return false;
        memcpy(id->dns_name, expect->dns_name, len);
    }
    if (expect->node_name) {
        size_t len = strlen(expect->node_name);
        if (len == 0 || len >= sizeof(id->node_name))
            return false;
        memcpy(id->node_name, expect->node_name, len);
    }
    return id->ip_len > 0 || id->dns_name[0];
}

bool tls_dns_name_matches(const char *pattern, size_t pattern_len, const char *name)
{
    size_t name_len = strlen(name);
    if (pattern_len > 2 && pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(name, '.');
        if (!dot || dot == name)
            return false;
        pattern++;
        pattern_len--;
        name_len -= (size_t)(dot - name);
        name = dot;
    }
    return pattern_len == name_len && pattern_len > 0 && !memchr(pattern, '*', pattern_len) &&
           !memchr(pattern, '\0', pattern_len) && strncasecmp(pattern, name, name_len) == 0;
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
    int part[7], century = 0; /* RFC 5280 section 4.1.2.5: seconds and Z are always there */
    if (generalized) {
        if (len != 15 || !two_digits(text, &century))
            return false;
        text += 2;
    } else if (len != 13) {
        return false;
    }
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
    *ret_s = timegm(&tm);
    return true;
}

static bool asn1_time_s(const WOLFSSL_ASN1_TIME *t, int64_t *ret_s)
{
    return t && t->length > 0 &&
           tls_time_parse(t->data, (size_t)t->length, t->type == ASN_GENERALIZED_TIME, ret_s);
}

static enum ending check_dates(WOLFSSL_X509 *x, uint64_t now_s, struct tls_info *info)
{
    int64_t from, until, now = (int64_t)now_s;
    if (!asn1_time_s(wolfSSL_X509_get_notBefore(x), &from) ||
        !asn1_time_s(wolfSSL_X509_get_notAfter(x), &until)) {
        snprintf(info->detail, sizeof(info->detail), "the certificate's dates cannot be read");
        return ENDING_TLS_EXPIRED;
    }
    if (now >= from && now <= until)
        return ENDING_DONE;
    char text[32];
    struct tm tm;
    time_t t = (time_t)(now < from ? from : until);
    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(info->detail, sizeof(info->detail), "the certificate %s %s",
             now < from ? "is not valid before" : "expired at", text);
    return ENDING_TLS_EXPIRED;
}

/* ---- what a certificate says ---- */

struct bytes_of_name {
    const char *data;
    size_t len;
};

static struct bytes_of_name subject_part(WOLFSSL_X509_NAME *subject, int nid, int *index)
{
    *index = wolfSSL_X509_NAME_get_index_by_NID(subject, nid, *index);
    if (*index < 0)
        return (struct bytes_of_name){0};
    WOLFSSL_ASN1_STRING *s = wolfSSL_X509_NAME_ENTRY_get_data(wolfSSL_X509_NAME_get_entry(subject, *index));
    if (!s || wolfSSL_ASN1_STRING_length(s) < 0)
        return (struct bytes_of_name){0};
    return (struct bytes_of_name){(const char *)wolfSSL_ASN1_STRING_data(s),
                                  (size_t)wolfSSL_ASN1_STRING_length(s)};
}

static bool name_is(struct bytes_of_name n, const char *text)
{
    return n.data && n.len == strlen(text) && memcmp(n.data, text, n.len) == 0;
}

static struct bytes_of_name general_name(WOLFSSL_GENERAL_NAMES *names, int i, int *ret_type)
{
    WOLFSSL_GENERAL_NAME *n = wolfSSL_sk_GENERAL_NAME_value(names, i);
    *ret_type = n ? n->type : -1;
    if (!n || (n->type != NAME_DNS && n->type != NAME_IP))
        return (struct bytes_of_name){0};
    WOLFSSL_ASN1_STRING *s = n->type == NAME_IP ? n->d.iPAddress : n->d.dNSName;
    if (!s || wolfSSL_ASN1_STRING_length(s) <= 0)
        return (struct bytes_of_name){0};
    return (struct bytes_of_name){(const char *)wolfSSL_ASN1_STRING_data(s),
                                  (size_t)wolfSSL_ASN1_STRING_length(s)};
}

struct presented {
    WOLFSSL_X509 *x;
    WOLFSSL_X509_NAME *subject;  /* inside x */
    WOLFSSL_GENERAL_NAMES *sans; /* NULL: none */
    int san_count;
};

static bool presented_get(struct WOLFSSL *ssl, struct presented *p)
{
    *p = (struct presented){.x = wolfSSL_get_peer_certificate(ssl)};
    if (!p->x)
        return false;
    p->subject = wolfSSL_X509_get_subject_name(p->x);
    p->sans = wolfSSL_X509_get_ext_d2i(p->x, NID_subject_alt_name, NULL, NULL);
    p->san_count = p->sans ? wolfSSL_sk_GENERAL_NAME_num(p->sans) : 0;
    return true;
}

static void presented_put(struct presented *p)
{
    if (p->sans)
        wolfSSL_sk_GENERAL_NAME_pop_free(p->sans, NULL);
    wolfSSL_X509_free(p->x);
}

static void add_ip_text(struct text *t, struct bytes_of_name ip)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (ip.len == 4 || ip.len == 16)
        inet_ntop(ip.len == 4 ? AF_INET : AF_INET6, ip.data, text, sizeof(text));
    text_add_name(t, "IP:", text, strlen(text));
}

static void show_names(const struct presented *p, struct tls_info *info)
{
    struct text cn = {info->peer_cn, sizeof(info->peer_cn), 0};
    struct text names = {info->peer_names, sizeof(info->peer_names), 0};
    int index = -1, type;
    struct bytes_of_name part = subject_part(p->subject, NID_commonName, &index);
    if (part.data)
        text_add_name(&cn, "", part.data, part.len);
    index = -1;
    while ((part = subject_part(p->subject, NID_organizationName, &index)).data)
        text_add_name(&names, "O:", part.data, part.len);
    for (int i = 0; i < p->san_count; i++) {
        part = general_name(p->sans, i, &type);
        if (part.data && type == NAME_DNS)
            text_add_name(&names, "DNS:", part.data, part.len);
        else if (part.data)
            add_ip_text(&names, part);
    }
}

/* ---- judgement ---- */

static bool has_expected_san(const struct presented *p, const struct tls_identity *id)
{
    for (int i = 0; i < p->san_count; i++) {
        int type;
        struct bytes_of_name n = general_name(p->sans, i, &type);
        if (!n.data)
            continue;
        if (id->ip_len > 0) {
            if (type == NAME_IP && n.len == id->ip_len && memcmp(n.data, id->ip, n.len) == 0)
                return true;
        } else if (type == NAME_DNS && tls_dns_name_matches(n.data, n.len, id->dns_name)) {
            return true;
        }
    }
    return false;
}

static enum ending check_san(const struct presented *p, const struct tls_identity *id, struct tls_info *info)
{
    if (has_expected_san(p, id))
        return ENDING_DONE;
    char expected[TLS_NAME_MAX] = "";
    if (id->ip_len > 0)
        inet_ntop(id->ip_len == 4 ? AF_INET : AF_INET6, id->ip, expected, sizeof(expected));
    else
        memcpy(expected, id->dns_name, sizeof(expected));
    snprintf(info->detail, sizeof(info->detail), "expected %s SAN %.80s, presented CN:%.60s %.70s",
             id->ip_len > 0 ? "iPAddress" : "dNSName", expected, info->peer_cn,
             p->san_count > 0 ? info->peer_names : "and no SAN");
    return ENDING_TLS_NAME_MISMATCH;
}

static bool is_some_node(struct bytes_of_name cn)
{
    static const char prefix[] = "system:node:";
    return cn.data && cn.len > strlen(prefix) && memcmp(cn.data, prefix, strlen(prefix)) == 0;
}

/* A kubelet's serving certificate as the kubernetes.io/kubelet-serving signer issues it. */
static enum ending check_node(const struct presented *p, const struct tls_identity *id, struct tls_info *info)
{
    char expected[sizeof("system:node:") + TLS_NAME_MAX];
    int index = -1;
    snprintf(expected, sizeof(expected), "system:node:%s", id->node_name);
    struct bytes_of_name cn = subject_part(p->subject, NID_commonName, &index);
    bool any = strcmp(id->node_name, TLS_ANY_NODE) == 0;
    if (!(any ? is_some_node(cn) : name_is(cn, expected)) ||
        subject_part(p->subject, NID_commonName, &index).data) {
        snprintf(info->detail, sizeof(info->detail), "expected subject CN %.100s, presented CN:%.100s",
                 expected, info->peer_cn);
        return ENDING_TLS_NAME_MISMATCH;
    }
    index = -1;
    struct bytes_of_name part;
    while ((part = subject_part(p->subject, NID_organizationName, &index)).data)
        if (name_is(part, "system:nodes"))
            return ENDING_DONE;
    snprintf(info->detail, sizeof(info->detail), "expected subject O system:nodes, presented CN:%.80s %.80s",
             info->peer_cn, info->peer_names);
    return ENDING_TLS_NAME_MISMATCH;
}

enum ending tls_verify_server(struct WOLFSSL *ssl, const struct tls_identity *id, uint64_t now_s,
                              struct tls_info *info)
{
    struct presented p;
    if (!presented_get(ssl, &p)) {
        snprintf(info->detail, sizeof(info->detail), "no certificate was presented");
        return ENDING_TLS_UNTRUSTED;
    }
    show_names(&p, info);
    enum ending end = check_dates(p.x, now_s, info);
    if (end == ENDING_DONE)
        end = check_san(&p, id, info);
    if (end == ENDING_DONE && id->node_name[0])
        end = check_node(&p, id, info);
    presented_put(&p);
    return end;
}

/* Names with a NUL inside are left out: they could not be told from shorter ones. */
static char *names_copy(const struct presented *p)
{
    size_t size = 1;
    int type;
    for (int pass = 0;; pass++) {
        char *names = pass > 0 ? calloc(1, size) : NULL;
        size_t used = 0;
        if (pass > 0 && !names)
            return NULL;
        for (int i = -1; i < p->san_count; i++) {
            int index = -1;
            struct bytes_of_name n = i < 0 ? subject_part(p->subject, NID_commonName, &index)
                                           : general_name(p->sans, i, &type);
            if (!n.data || n.len == 0 || memchr(n.data, '\0', n.len) || (i >= 0 && type != NAME_DNS))
                continue;
            if (names)
                memcpy(names + used, n.data, n.len);
            used += n.len + 1;
        }
        if (names)
            return names;
        size = used + 1;
    }
}

enum ending tls_verify_client(struct WOLFSSL *ssl, bool required, uint64_t now_s, struct tls_info *info,
                              char **ret_names)
{
    struct presented p;
    *ret_names = NULL;
    if (!presented_get(ssl, &p)) {
        if (!required)
            return ENDING_DONE;
        snprintf(info->detail, sizeof(info->detail), "the client presented no certificate");
        return ENDING_TLS_UNTRUSTED;
    }
    show_names(&p, info);
    enum ending end = required ? check_dates(p.x, now_s, info) : ENDING_DONE;
    if (end == ENDING_DONE && !(*ret_names = names_copy(&p)))
        end = ENDING_LIMIT;
    presented_put(&p);
    return end;
}

void tls_verify_show_peer(struct WOLFSSL *ssl, struct tls_info *info)
{
    struct presented p;
    if (!presented_get(ssl, &p))
        return;
    show_names(&p, info);
    presented_put(&p);
}

static void add_common_name(struct text *t, const char *prefix, WOLFSSL_X509_NAME *name)
{
    int index = -1;
    struct bytes_of_name part = {0};
    if (name)
        part = subject_part(name, NID_commonName, &index);
    if (part.data)
        text_add_name(t, prefix, part.data, part.len);
}

void tls_verify_describe_chain(struct WOLFSSL *ssl, char *text, size_t size)
{
    struct text t = {text, size, 0};
    WOLFSSL_X509_CHAIN *chain = wolfSSL_get_peer_chain(ssl);
    int count = chain ? wolfSSL_get_chain_count(chain) : 0;
    text_add(&t, "presented %d certificate%s", count, count == 1 ? "" : "s");
    if (count <= 0)
        return;
    const unsigned char *der = wolfSSL_get_chain_cert(chain, 0);
    WOLFSSL_X509 *x = der ? wolfSSL_X509_d2i(NULL, der, wolfSSL_get_chain_length(chain, 0)) : NULL;
    if (!x)
        return;
    add_common_name(&t, "leaf CN:", wolfSSL_X509_get_subject_name(x));
    add_common_name(&t, "issuer CN:", wolfSSL_X509_get_issuer_name(x));
    wolfSSL_X509_free(x);
}
