/* broker/kube/credentials.h — where the API server is, how to know it, and who we are to it: from a
 * kubeconfig, or from what Kubernetes gives to every Pod. Read at start and reload; any thread. Holds
 * secrets, which are wiped when it goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_pem.h"
#include "pool/pool.h"

enum {
    KUBECONFIG_BYTES_MAX = 1024 * 1024,
    KUBE_TOKEN_MAX = 16 * 1024, /* a bound token has about 1.2 KiB */
};

/* What Kubernetes mounts into a Pod (the path is part of its contract). */
#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

enum kube_pem { KUBE_CA, KUBE_CERTIFICATE, KUBE_KEY, KUBE_PEMS };

struct kube_credentials {
    char host[POOL_NAME_MAX]; /* IP literal or lower-case DNS name */
    uint16_t port;
    char prefix[256]; /* path in front of the API's own, without a slash at its end; "" as a rule */
    char server_name[POOL_NAME_MAX];     /* expected instead of the host; "" when unused */
    struct tls_pem ca, certificate, key; /* bytes NULL: none, of the last two */
    char *names[KUBE_PEMS];              /* what the paths of these point to */
    bool in_file[KUBE_PEMS];             /* that is the name of a file, not a place in the kubeconfig */
    char *token;                         /* NULL: none, or in token_file */
    char *token_file;                    /* NULL: none */
};

MUST_USE int kube_credentials_load(const char *kubeconfig_file, struct kube_credentials *ret,
                                   char *ret_detail, size_t detail_size);
/* kubeconfig_file NULL: as in a Pod. 0; or -errno with one line: FILE:LINE:COLUMN: FIELD: found, expected. */
void kube_credentials_fini(struct kube_credentials *);

/* The two sources. */
MUST_USE int kubeconfig_read(const char *path, struct kube_credentials *ret, char *ret_detail,
                             size_t detail_size);
MUST_USE int in_cluster_read(const char *folder, struct kube_credentials *ret, char *ret_detail,
                             size_t detail_size);
/* folder: KUBE_SERVICE_ACCOUNT, but for tests. */

/* Parts of a credential, for the sources. NULL, or what is wrong with it. */
const char *kube_credentials_set_server(struct kube_credentials *, const char *url);
const char *kube_credentials_set_address(struct kube_credentials *, const char *host, const char *port);
bool kube_token_is_valid(const char *token, size_t len);
/* b64token of RFC 6750 section 2.1, at most KUBE_TOKEN_MAX. */
