/* broker/kube/in_cluster.c — credentials as every Pod has them: the API server's address in the environment,
 * its CA and a token, which the kubelet renews, in a folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kube/credentials.h"

static int set_address(struct kube_credentials *c, char *detail, size_t size)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !*host || !port || !*port) {
        snprintf(detail, size,
                 "kubernetes.kubeconfigFile: found none, and no KUBERNETES_SERVICE_HOST and "
                 "KUBERNETES_SERVICE_PORT in the environment; expected the one or, in a Pod, the others");
        return -EINVAL;
    }
    const char *wrong = kube_credentials_set_address(c, host, port);
    if (!wrong)
        return 0;
    snprintf(detail, size,
             "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: found %s, expected the API server's address",
             wrong);
    return -EINVAL;
}

int in_cluster_read(const char *folder, struct kube_credentials *c, char *ret_detail, size_t detail_size)
{
    int rc = set_address(c, ret_detail, detail_size);
    if (rc < 0)
        return rc;
    size_t len = strlen(folder) + sizeof("/ca.crt");
    char *ca = c->names[KUBE_CA] = malloc(len), *token = c->token_file = malloc(len);
    if (!ca || !token) {
        snprintf(ret_detail, detail_size, "out of memory");
        return -ENOMEM;
    }
    c->in_file[KUBE_CA] = true;
    snprintf(ca, len, "%s/ca.crt", folder);
    snprintf(token, len, "%s/token", folder);
    return tls_pem_read(ca, &c->ca, (struct tls_detail){ret_detail, detail_size});
}
