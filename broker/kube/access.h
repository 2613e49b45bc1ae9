/* broker/kube/access.h — what one reading of the credentials came to, for requests: where the API server is,
 * and the token. Immutable, so any thread may look in it; references are taken and left by one thread. Holds
 * a secret, which is wiped when it goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/kube/credentials.h"
#include "io/attributes.h"

struct tls_context;

struct kube_access {
    unsigned refs;
    struct kube_credentials credentials; /* without the bytes of its PEM files */
    char *bearer; /* "Bearer …", the value of Authorization; NULL: there is no token */
};

MUST_USE int kube_access_new(struct kube_credentials *, struct kube_access **ret, char *ret_detail,
                             size_t detail_size);
/* Takes what is in the credentials, also when it fails, and reads the token. 0, or -errno with one line. */
struct kube_access *kube_access_ref(struct kube_access *);
void kube_access_unref(struct kube_access **);
/* Nulls it. NULL is welcome, also above. */
MUST_USE int kube_access_context(const struct kube_credentials *, struct tls_context **ret, char *ret_detail,
                                 size_t detail_size);
/* Of a client that knows the API server by them and shows it our certificate. 0, or -errno with one line. */
bool kube_access_same_server(const struct kube_credentials *, const struct kube_credentials *);
/* Address, port and path. */
