/* tools/kubelet-sim/fleet.h — the nodes: address, name, certificate, ticket epoch, tallies. Shared by all
 * workers: tallies are relaxed atomics, certificates are guarded by striped mutexes and taken by reference.
 */
#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/kubelet-sim/fault.h"
#include "tools/pki/mint.h"

enum {
    NAME_MAX_BYTES = 16, /* "node-65000" */
    STRIPES = 64,
    SHARED_RSA_KEYS = 8, /* an RSA key takes some 50 ms to make; sharing is said in the help */
};

struct node {
    X509 *cert;
    EVP_PKEY *key;
    enum fault_kind cert_kind; /* what the certificate was minted as; FAULT_KINDS_N: good */
    uint32_t connections, handshakes_full, handshakes_resumed, handshakes_failed, requests, unauthorized;
    uint32_t epochs_added, epoch_floor; /* see ticket.c */
    uint32_t reboot;                    /* how often the node was rebooted; older connections are reset */
};

struct fleet {
    uint32_t base, count; /* host order */
    enum mint_algorithm algorithm;
    struct mint_ca ca, rogue;
    EVP_PKEY *shared_keys[SHARED_RSA_KEYS];
    pthread_mutex_t stripes[STRIPES];
    struct node *nodes;
};

MUST_USE bool fleet_init(struct fleet *, uint32_t base, uint32_t count, enum mint_algorithm,
                         struct mint_ca *ca);
/* Takes the CA. False: mint_reason() tells. */
void fleet_fini(struct fleet *);

#define FLEET_OUTSIDE UINT32_MAX
static inline uint32_t fleet_index(const struct fleet *fleet, struct in_addr address)
{
    uint32_t index = ntohl(address.s_addr) - fleet->base;
    return index < fleet->count ? index : FLEET_OUTSIDE;
}

void fleet_name(uint32_t node, char ret_name[static NAME_MAX_BYTES]);
void fleet_address(const struct fleet *, uint32_t node, char ret_address[static INET_ADDRSTRLEN]);

MUST_USE bool fleet_identity(struct fleet *, uint32_t node, enum fault_kind cert_kind, X509 **ret_cert,
                             EVP_PKEY **ret_key);
/* References to the node's certificate and key, minted now if it has none of that kind. */
MUST_USE bool fleet_mint_all(struct fleet *, const struct fault_set *, unsigned threads);
enum fault_kind fleet_cert_kind(const struct fault_set *, uint32_t node);
