/* broker/kube/credentials.c — what both sources of credentials have in common. */
#include "broker/kube/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/http/authority.h"

enum { HTTPS_PORT = 443 };

static const char *set_authority(struct kube_credentials *c, struct slice text)
{
    struct authority a;
    enum authority_result result = authority_parse(text, &a);
    if (result != AUTHORITY_OK)
        return authority_result_text(result);
    if (a.host.len >= sizeof(c->host))
        return "a host name that is too long";
    for (uint32_t i = 0; i < a.host.len; i++)
        c->host[i] = (char)tolower((unsigned char)a.host.data[i]);
    uint32_t len = a.host.len > 1 && a.host.data[a.host.len - 1] == '.' ? a.host.len - 1 : a.host.len;
    c->host[len] = '\0';
    c->port = a.has_port ? a.port : HTTPS_PORT;
    return NULL;
}

static const char *set_prefix(struct kube_credentials *c, struct slice path)
{
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    if (path.len >= sizeof(c->prefix))
        return "a path that is too long";
    for (uint32_t i = 0; i < path.len; i++)
        if ((unsigned char)path.data[i] <= ' ' || (unsigned char)path.data[i] >= 0x7f ||
            strchr("?#\"<>\\^`{|}", path.data[i]))
            return "a query, a fragment or characters that a path cannot have";
    memcpy(c->prefix, path.data, path.len);
    c->prefix[path.len] = '\0';
    return NULL;
}

const char *kube_credentials_set_server(struct kube_credentials *c, const char *url)
{
    struct slice text = slice_of_text(url);
    if (slice_starts_nocase(text, SLICE("http://")))
        return "plain http, which would show the credentials to everybody on the way";
    if (!slice_starts_nocase(text, SLICE("https://")))
        return "no https URL";
    text = slice_from(text, (uint32_t)strlen("https://"));
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    struct slice authority = slash ? slice_first(text, (uint32_t)(slash - text.data)) : text;
    const char *wrong = set_authority(c, authority);
    return wrong ? wrong : set_prefix(c, slice_from(text, authority.len));
}

const char *kube_credentials_set_address(struct kube_credentials *c, const char *host, const char *port)
{
    char text[POOL_NAME_MAX + 16];
    bool v6 = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof(text), "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    if (len < 0 || (size_t)len >= sizeof(text))
        return "a host name that is too long";
    return set_authority(c, slice_of_text(text));
}

bool kube_token_is_valid(const char *token, size_t len)
{
    size_t body = len;
    while (body > 0 && token[body - 1] == '=')
        body--;
    for (size_t i = 0; i < body; i++)
        if (!((token[i] >= '0' && token[i] <= '9') || (token[i] >= 'A' && token[i] <= 'Z') ||
              (token[i] >= 'a' && token[i] <= 'z') || (token[i] && strchr("-._~+/", token[i]))))
            return false;
    return body > 0 && len <= KUBE_TOKEN_MAX;
}

int kube_credentials_load(const char *kubeconfig_file, struct kube_credentials *ret, char *ret_detail,
                          size_t detail_size)
{
    memset(ret, 0, sizeof(*ret));
    int rc = kubeconfig_file ? kubeconfig_read(kubeconfig_file, ret, ret_detail, detail_size)
                             : in_cluster_read(KUBE_SERVICE_ACCOUNT, ret, ret_detail, detail_size);
    if (rc < 0)
        kube_credentials_fini(ret);
    return rc;
}

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void kube_credentials_fini(struct kube_credentials *c)
{
    tls_pem_free(&c->ca);
    tls_pem_free(&c->certificate);
    tls_pem_free(&c->key);
    wipe(&c->token);
    wipe(&c->token_file);
    for (unsigned i = 0; i < ARRAY_SIZE(c->names); i++)
        wipe(&c->names[i]);
}
