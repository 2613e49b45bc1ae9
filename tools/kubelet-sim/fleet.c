/* tools/kubelet-sim/fleet.c — who the kubelets are.
 *
 * A node is an index; its address and name follow from it. Its certificate is minted by the fleet's CA, or
 * wrongly where a fault asks for that; a fault set that is replaced at run time makes the next handshake mint
 * anew. P-256 keys are one each. The rogue CA has the real one's name, so that only a signature can tell them
 * apart. */
#include "tools/kubelet-sim/fleet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAF_DAYS = 365, DAY_S = 86400, HOUR_S = 3600, BACKDATE_S = 300, MINT_THREADS_MAX = 64 };

bool fleet_init(struct fleet *fleet, uint32_t base, uint32_t count, enum mint_algorithm algorithm,
                struct mint_ca *ca)
{
    *fleet = (struct fleet){.base = base, .count = count, .algorithm = algorithm, .ca = *ca};
    *ca = (struct mint_ca){0};
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&fleet->stripes[i], NULL);
    fleet->nodes = calloc(count, sizeof(*fleet->nodes));
    if (!fleet->nodes)
        return false;
    for (uint32_t i = 0; i < count; i++)
        fleet->nodes[i].cert_kind = FAULT_KINDS_N;
    char name[65] = "kubelet CA";
    X509_NAME_get_text_by_NID(X509_get_subject_name(fleet->ca.cert), NID_commonName, name, sizeof(name));
    if (mint_ca_new(name, MINT_P256, LEAF_DAYS, NULL, &fleet->rogue) != MINT_OK)
        return false;
    if (algorithm == MINT_RSA2048)
        for (size_t i = 0; i < SHARED_RSA_KEYS; i++)
            if (mint_key(MINT_RSA2048, &fleet->shared_keys[i]) != MINT_OK)
                return false;
    return true;
}

void fleet_fini(struct fleet *fleet)
{
    for (uint32_t i = 0; fleet->nodes && i < fleet->count; i++) {
        X509_free(fleet->nodes[i].cert);
        EVP_PKEY_free(fleet->nodes[i].key);
    }
    free(fleet->nodes);
    for (size_t i = 0; i < SHARED_RSA_KEYS; i++)
        EVP_PKEY_free(fleet->shared_keys[i]);
    mint_ca_fini(&fleet->ca);
    mint_ca_fini(&fleet->rogue);
}

void fleet_name(uint32_t node, char ret_name[static NAME_MAX_BYTES])
{
    snprintf(ret_name, NAME_MAX_BYTES, "node-%05u", (node + 1) % 100000);
}

void fleet_address(const struct fleet *fleet, uint32_t node, char ret_address[static INET_ADDRSTRLEN])
{
    struct in_addr address = {htonl(fleet->base + node)};
    inet_ntop(AF_INET, &address, ret_address, INET_ADDRSTRLEN);
}

enum fault_kind fleet_cert_kind(const struct fault_set *faults, uint32_t node)
{
    struct fault_plan plan = {0};
    uint32_t bits = fault_draw(faults, node, MOMENT_CERT, 0, &plan);
    return bits ? (enum fault_kind)__builtin_ctz(bits) : FAULT_KINDS_N;
}

static bool mint(struct fleet *fleet, uint32_t node, enum fault_kind kind)
{
    char name[NAME_MAX_BYTES], cn[64], address[INET_ADDRSTRLEN];
    fleet_name(kind == FAULT_WRONG_NODE ? node ^ 1 : node, name);
    fleet_address(fleet, node, address);
    if (kind == FAULT_WRONG_IP)
        snprintf(address, sizeof(address), "192.0.2.%u", node % 254 + 1); /* TEST-NET-1 */
    snprintf(cn, sizeof(cn), "system:node:%s", name);
    int64_t now_s = time(NULL);
    bool expired = kind == FAULT_EXPIRED;
    struct mint_spec spec = {.cn = cn,
                             .orgs = (const char *const[]){"system:nodes"},
                             .orgs_n = 1,
                             .dns = (const char *const[]){name},
                             .dns_n = 1,
                             .ips = (const char *const[]){address},
                             .ips_n = 1,
                             .usage = MINT_SERVER,
                             .not_before_s = now_s - (expired ? DAY_S : BACKDATE_S),
                             .not_after_s = expired ? now_s - HOUR_S : now_s + (int64_t)LEAF_DAYS * DAY_S};
    const struct mint_ca *issuer = kind == FAULT_SELF_SIGNED ? NULL
                                   : kind == FAULT_WRONG_CA  ? &fleet->rogue
                                                             : &fleet->ca;
    struct node *n = &fleet->nodes[node];
    EVP_PKEY *key = n->key;
    X509 *cert = NULL;
    if (!key && fleet->algorithm == MINT_RSA2048) {
        key = fleet->shared_keys[node % SHARED_RSA_KEYS];
        EVP_PKEY_up_ref(key);
    } else if (!key && mint_key(fleet->algorithm, &key) != MINT_OK) {
        return false;
    }
    n->key = key; /* a node keeps its key when only the certificate changes */
    if (mint_cert(&spec, key, issuer, &cert) != MINT_OK)
        return false;
    X509_free(n->cert);
    n->cert = cert;
    n->cert_kind = kind;
    return true;
}

bool fleet_identity(struct fleet *fleet, uint32_t node, enum fault_kind cert_kind, X509 **ret_cert,
                    EVP_PKEY **ret_key)
{
    struct node *n = &fleet->nodes[node];
    pthread_mutex_t *stripe = &fleet->stripes[node % STRIPES];
    pthread_mutex_lock(stripe);
    bool ok = (n->cert && n->cert_kind == cert_kind) || mint(fleet, node, cert_kind);
    if (ok) {
        X509_up_ref(n->cert);
        EVP_PKEY_up_ref(n->key);
        *ret_cert = n->cert;
        *ret_key = n->key;
    }
    pthread_mutex_unlock(stripe);
    return ok;
}

struct share {
    struct fleet *fleet;
    const struct fault_set *faults;
    uint32_t first, step;
    bool ok;
};

static void *mint_share(void *arg)
{
    struct share *s = arg;
    s->ok = true;
    for (uint32_t i = s->first; s->ok && i < s->fleet->count; i += s->step)
        s->ok = mint(s->fleet, i,
                     fleet_cert_kind(s->faults, i)); /* before anybody listens: no lock is needed */
    if (!s->ok)
        fprintf(stderr, "kubelet-sim: %s\n", mint_reason()); /* the reason is per thread: say it here */
    return NULL;
}

bool fleet_mint_all(struct fleet *fleet, const struct fault_set *faults, unsigned threads)
{
    struct share shares[MINT_THREADS_MAX];
    pthread_t ids[MINT_THREADS_MAX];
    unsigned n = threads < MINT_THREADS_MAX ? threads : MINT_THREADS_MAX, started = 0;
    for (; started < n; started++) {
        shares[started] = (struct share){.fleet = fleet, .faults = faults, .first = started, .step = n};
        if (pthread_create(&ids[started], NULL, mint_share, &shares[started]) != 0)
            break;
    }
    bool ok = started == n;
    for (unsigned i = 0; i < started; i++) {
        pthread_join(ids[i], NULL);
        ok = ok && shares[i].ok;
    }
    return ok;
}
