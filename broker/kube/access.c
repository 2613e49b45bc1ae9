/* broker/kube/access.c — see access.h. */
#include "broker/kube/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kube/bearer.h"
#include "io/tls/tls.h"

int kube_access_new(struct kube_credentials *c, struct kube_access **ret, char *ret_detail,
                    size_t detail_size)
{
    struct kube_access *a = calloc(1, sizeof(*a));
    if (!a) {
        kube_credentials_fini(c);
        snprintf(ret_detail, detail_size, "out of memory");
        return -ENOMEM;
    }
    tls_pem_free(&c->ca);
    tls_pem_free(&c->certificate);
    tls_pem_free(&c->key);
    a->refs = 1;
    a->credentials = *c;
    memset(c, 0, sizeof(*c));
    int rc = bearer_read(&a->credentials, &a->bearer, ret_detail, detail_size);
    if (rc < 0)
        kube_access_unref(&a);
    else
        *ret = a;
    return rc;
}

struct kube_access *kube_access_ref(struct kube_access *a)
{
    if (a)
        a->refs++;
    return a;
}

void kube_access_unref(struct kube_access **access)
{
    struct kube_access *a = *access;
    *access = NULL;
    if (!a || --a->refs > 0)
        return;
    bearer_wipe(&a->bearer);
    kube_credentials_fini(&a->credentials);
    free(a);
}

int kube_access_context(const struct kube_credentials *c, struct tls_context **ret, char *ret_detail,
                        size_t detail_size)
{
    struct tls_context_options options = {.role = TLS_CLIENT,
                                          .ca_pem = &c->ca,
                                          .certificate_pem = c->certificate.bytes ? &c->certificate : NULL,
                                          .key_pem = c->key.bytes ? &c->key : NULL,
                                          .alpn = "h2,http/1.1",
                                          .allow_tls12 = true,
                                          .resumption = true};
    return tls_context_new(&options, ret, ret_detail, detail_size);
}

bool kube_access_same_server(const struct kube_credentials *a, const struct kube_credentials *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0 && strcmp(a->prefix, b->prefix) == 0;
}
