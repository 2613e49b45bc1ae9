/* broker/selector.h — what kube-apiserver must be given to use the broker: its EgressSelectorConfiguration,
 * and the part of kubeadm's ClusterConfiguration that hands it over. Printed from a checked configuration, so
 * that both sides agree on socket, address and names. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "io/attributes.h"

struct config;

/* Paths are as kube-apiserver sees them. NULL: the default. */
struct selector_options {
    const char *protocol; /* http-connect or grpc: Konnectivity's, over a Unix socket only */
    const char *listener; /* the first that kube-apiserver can use, a Unix socket before TCP */
    const char *host;     /* in the URL: the listener's address */
    const char *server_name;
    const char *ca_file, *client_certificate_file, *client_key_file; /* of a TCP listener */
    const char *file; /* where the configuration is going to be */
    bool kubeadm;     /* print kubeadm's part instead */
};

#define SELECTOR_FILE        "/etc/kubernetes/egress-selector.yaml"
#define SELECTOR_CA_FILE     "/etc/kubernetes/pki/hawser/ca.crt"
#define SELECTOR_CLIENT_FILE "/etc/kubernetes/pki/hawser/client.crt"
#define SELECTOR_KEY_FILE    "/etc/kubernetes/pki/hawser/client.key"

MUST_USE bool selector_print(const struct config *, const struct selector_options *, FILE *out,
                             char *ret_detail, size_t detail_size);
/* False with one line of what was found and expected, and nothing printed. */
