/* io/tls/tls_verify.c — see tls_verify.h. Everything is read from the certificate with its length: a name
 * with a NUL inside is a different name, never a shorter one. */
#include "io/tls/tls_verify.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "io/tls/tls_certificate.h"

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

static enum ending check_dates(const struct tls_certificate *c, uint64_t now_s, struct tls_info *info)
{
    int64_t now = (int64_t)now_s;
    if (now >= c->not_before_s && now <= c->not_after_s)
        return ENDING_DONE;
    char text[32];
    struct tm tm;
    time_t t = (time_t)(now < c->not_before_s ? c->not_before_s : c->not_after_s);
    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(info->detail, sizeof(info->detail), "the certificate %s %s",
             now < c->not_before_s ? "is not valid before" : "expired at", text);
    return ENDING_TLS_EXPIRED;
}

/* ---- what a certificate says ---- */

/* The first, then the next part of a subject of the given kind. */
static bool subject_find(struct bytes *rest, enum tls_subject_part wanted, struct bytes *ret)
{
    enum tls_subject_part part;
    while (tls_subject_next(rest, &part, ret))
        if (part == wanted)
            return true;
    return false;
}

static bool name_is(struct bytes n, const char *text)
{
    return n.len == strlen(text) && memcmp(n.data, text, n.len) == 0;
}

enum got { GOT_CERTIFICATE, GOT_NONE, GOT_UNREADABLE };

struct presented {
    WOLFSSL_X509 *x; /* owns the bytes; NULL: the session does */
    struct tls_certificate c;
    bool kept; /* the session has it */
};

static struct bytes kept_leaf(WOLFSSL *ssl)
{
    WOLFSSL_X509_CHAIN *chain = wolfSSL_get_peer_chain(ssl);
    if (!chain || wolfSSL_get_chain_count(chain) <= 0 || wolfSSL_get_chain_length(chain, 0) <= 0)
        return (struct bytes){0};
    return (struct bytes){wolfSSL_get_chain_cert(chain, 0), (size_t)wolfSSL_get_chain_length(chain, 0)};
}

static struct bytes shown_leaf(WOLFSSL_X509 *x)
{
    int len = 0;
    const unsigned char *der = wolfSSL_X509_get_der(x, &len);
    return der && len > 0 ? (struct bytes){der, (size_t)len} : (struct bytes){0};
}

/* The certificate as it was shown, or on a resumed connection as the session kept it. */
static enum got presented_get(WOLFSSL *ssl, struct presented *p)
{
    struct bytes der = {0};
    *p = (struct presented){0};
    if (wolfSSL_session_reused(ssl)) {
        der = kept_leaf(ssl);
    } else {
        p->x = wolfSSL_get_peer_certificate(ssl);
        if (p->x)
            der = shown_leaf(p->x);
    }
    if (der.len == 0)
        return p->x ? GOT_UNREADABLE : GOT_NONE;
    struct bytes kept = kept_leaf(ssl);
    p->kept = kept.len == der.len && memcmp(kept.data, der.data, der.len) == 0;
    return tls_certificate_parse(der, &p->c) ? GOT_CERTIFICATE : GOT_UNREADABLE;
}

static void presented_put(struct presented *p)
{
    if (p->x)
        wolfSSL_X509_free(p->x);
}

static void add_ip_text(struct text *t, struct bytes ip)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (ip.len == 4 || ip.len == 16)
        inet_ntop(ip.len == 4 ? AF_INET : AF_INET6, ip.data, text, sizeof(text));
    text_add_name(t, "IP:", text, strlen(text));
}

static void show_names(const struct tls_certificate *c, struct tls_info *info)
{
    struct text cn = {info->peer_cn, sizeof(info->peer_cn), 0};
    struct text names = {info->peer_names, sizeof(info->peer_names), 0};
    struct bytes rest = c->subject, value;
    enum tls_name_kind kind;
    if (subject_find(&rest, SUBJECT_CN, &value))
        text_add_name(&cn, "", (const char *)value.data, value.len);
    rest = c->subject;
    while (subject_find(&rest, SUBJECT_O, &value))
        text_add_name(&names, "O:", (const char *)value.data, value.len);
    rest = c->names;
    while (tls_name_next(&rest, &kind, &value)) {
        if (kind == NAME_DNS)
            text_add_name(&names, "DNS:", (const char *)value.data, value.len);
        else if (kind == NAME_IP)
            add_ip_text(&names, value);
    }
}

/* ---- judgement ---- */

static bool has_expected_san(const struct tls_certificate *c, const struct tls_identity *id)
{
    struct bytes rest = c->names, n;
    enum tls_name_kind kind;
    while (tls_name_next(&rest, &kind, &n)) {
        if (id->ip_len > 0 && kind == NAME_IP && n.len == id->ip_len && memcmp(n.data, id->ip, n.len) == 0)
            return true;
        if (id->ip_len == 0 && kind == NAME_DNS &&
            tls_dns_name_matches((const char *)n.data, n.len, id->dns_name))
            return true;
    }
    return false;
}

static enum ending check_san(const struct tls_certificate *c, const struct tls_identity *id,
                             struct tls_info *info)
{
    if (has_expected_san(c, id))
        return ENDING_DONE;
    char expected[TLS_NAME_MAX] = "";
    if (id->ip_len > 0)
        inet_ntop(id->ip_len == 4 ? AF_INET : AF_INET6, id->ip, expected, sizeof(expected));
    else
        memcpy(expected, id->dns_name, sizeof(expected));
    snprintf(info->detail, sizeof(info->detail), "expected %s SAN %.80s, presented CN:%.60s %.70s",
             id->ip_len > 0 ? "iPAddress" : "dNSName", expected, info->peer_cn,
             c->names.len > 0 ? info->peer_names : "and no SAN");
    return ENDING_TLS_NAME_MISMATCH;
}

static bool is_some_node(struct bytes cn)
{
    static const char prefix[] = "system:node:";
    return cn.len > strlen(prefix) && memcmp(cn.data, prefix, strlen(prefix)) == 0;
}

/* A kubelet's serving certificate as the kubernetes.io/kubelet-serving signer issues it: one CN. */
static enum ending check_node(const struct tls_certificate *c, const struct tls_identity *id,
                              struct tls_info *info)
{
    char expected[sizeof("system:node:") + TLS_NAME_MAX];
    struct bytes rest = c->subject, value;
    snprintf(expected, sizeof(expected), "system:node:%s", id->node_name);
    bool any = strcmp(id->node_name, TLS_ANY_NODE) == 0;
    if (!subject_find(&rest, SUBJECT_CN, &value) || !(any ? is_some_node(value) : name_is(value, expected)) ||
        subject_find(&rest, SUBJECT_CN, &value)) {
        snprintf(info->detail, sizeof(info->detail), "expected subject CN %.100s, presented CN:%.100s",
                 expected, info->peer_cn);
        return ENDING_TLS_NAME_MISMATCH;
    }
    rest = c->subject;
    while (subject_find(&rest, SUBJECT_O, &value))
        if (name_is(value, "system:nodes"))
            return ENDING_DONE;
    snprintf(info->detail, sizeof(info->detail), "expected subject O system:nodes, presented CN:%.80s %.80s",
             info->peer_cn, info->peer_names);
    return ENDING_TLS_NAME_MISMATCH;
}

static enum ending refuse(struct tls_info *info, enum got got)
{
    snprintf(info->detail, sizeof(info->detail), "%s",
             got == GOT_NONE ? "no certificate was presented" : "the certificate cannot be read");
    return ENDING_TLS_UNTRUSTED;
}

enum ending tls_verify_server(struct WOLFSSL *ssl, const struct tls_identity *id, uint64_t now_s,
                              struct tls_info *info, bool *ret_resumable)
{
    struct presented p;
    enum got got = presented_get(ssl, &p);
    enum ending end;
    if (got == GOT_CERTIFICATE) {
        show_names(&p.c, info);
        *ret_resumable = p.kept;
        end = check_dates(&p.c, now_s, info);
        if (end == ENDING_DONE)
            end = check_san(&p.c, id, info);
        if (end == ENDING_DONE && id->node_name[0])
            end = check_node(&p.c, id, info);
    } else {
        end = refuse(info, got);
    }
    presented_put(&p);
    return end;
}

/* Names with a NUL inside are left out: they could not be told from shorter ones. */
static void name_append(char *names, size_t *used, struct bytes n)
{
    if (n.len == 0 || memchr(n.data, '\0', n.len))
        return;
    memcpy(names + *used, n.data, n.len);
    *used += n.len + 1;
}

static char *names_copy(const struct tls_certificate *c)
{
    /* Each name is preceded by at least two octets in DER, so their place suffices for the NULs. */
    char *names = calloc(1, c->subject.len + c->names.len + 1);
    struct bytes rest = c->subject, value;
    enum tls_name_kind kind;
    size_t used = 0;
    if (!names)
        return NULL;
    if (subject_find(&rest, SUBJECT_CN, &value))
        name_append(names, &used, value);
    rest = c->names;
    while (tls_name_next(&rest, &kind, &value))
        if (kind == NAME_DNS)
            name_append(names, &used, value);
    return names;
}

enum ending tls_verify_client(struct WOLFSSL *ssl, bool required, uint64_t now_s, struct tls_info *info,
                              char **ret_names)
{
    struct presented p;
    enum got got = presented_get(ssl, &p);
    enum ending end = ENDING_DONE;
    *ret_names = NULL;
    if (got == GOT_CERTIFICATE) {
        show_names(&p.c, info);
        end = required ? check_dates(&p.c, now_s, info) : ENDING_DONE;
        if (end == ENDING_DONE && required && !(*ret_names = names_copy(&p.c)))
            end = ENDING_LIMIT;
    } else if (required) {
        end = refuse(info, got);
    }
    presented_put(&p);
    return end;
}

void tls_verify_show_peer(struct WOLFSSL *ssl, struct tls_info *info)
{
    struct presented p;
    if (presented_get(ssl, &p) == GOT_CERTIFICATE)
        show_names(&p.c, info);
    presented_put(&p);
}

static void add_common_name(struct text *t, const char *prefix, struct bytes name)
{
    struct bytes value;
    if (subject_find(&name, SUBJECT_CN, &value))
        text_add_name(t, prefix, (const char *)value.data, value.len);
}

void tls_verify_describe_chain(struct WOLFSSL *ssl, char *text, size_t size)
{
    struct text t = {text, size, 0};
    struct tls_certificate c;
    WOLFSSL_X509_CHAIN *chain = wolfSSL_get_peer_chain(ssl);
    int count = chain ? wolfSSL_get_chain_count(chain) : 0;
    text_add(&t, "presented %d certificate%s", count, count == 1 ? "" : "s");
    if (count <= 0 || !tls_certificate_parse(kept_leaf(ssl), &c))
        return;
    add_common_name(&t, "first CN:", c.subject);
    add_common_name(&t, "issuer CN:", c.issuer);
}
