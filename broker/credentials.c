/* broker/credentials.c — see credentials.h: snapshots, and how a worker passes from one to the next.
 *
 * What a worker took from a snapshot it may use until its turn ends, never longer: messages between workers
 * carry the number of an identity, and whoever leases a connection looks it up in its own snapshot. What
 * lives longer has references of its own (TLS streams, made contexts) or is asked for (the pool, which says
 * whether it uses a generation).
 */
#include "broker/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "broker/front.h"
#include "broker/kube/access.h"
#include "broker/kube/kube.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"

enum { LEFT_CHECK_MS = 1000 }; /* a walk of the pool's endpoints; nobody waits for it */

/* -- snapshots ----------------------------------------------------------------------------------------------
 */

static struct credentials *allocate(uint32_t listeners, uint32_t profiles, uint32_t authorizations,
                                    uint32_t routes)
{
    struct credentials *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->listener_count = listeners;
    c->profile_count = profiles;
    c->authorization_count = authorizations;
    c->route_count = routes;
    c->listeners = calloc(listeners + 1u, sizeof(*c->listeners));
    c->profiles = calloc(profiles + 1u, sizeof(*c->profiles));
    c->authorizations = calloc(authorizations + 1u, sizeof(*c->authorizations));
    c->issuing = calloc(routes + 1u, sizeof(*c->issuing));
    c->nodes = calloc(routes + 1u, sizeof(struct config_nodes *));
    if (!c->listeners || !c->profiles || !c->authorizations || !c->issuing || !c->nodes)
        credentials_free(&c);
    return c;
}

struct credentials *credentials_new(const struct config *config)
{
    return allocate(config->listener_count,
                    IDENTITIES_OWN + config->tls_profile_count * (uint32_t)IDENTITY_VARIANTS +
                        1 /* the API */,
                    config->tls_profile_count, config->route_count);
}

struct credentials *credentials_copy(const struct credentials *from)
{
    struct credentials *c = allocate(from->listener_count, from->profile_count, from->authorization_count,
                                     from->route_count);
    if (!c)
        return NULL;
    for (uint32_t i = 0; i < c->listener_count; i++)
        c->listeners[i] = from->listeners[i] ? tls_context_ref(from->listeners[i]) : NULL;
    for (uint32_t i = 0; i < c->route_count; i++)
        if (from->issuing[i].issuer)
            c->issuing[i] = (struct issuing){tls_issuer_ref(from->issuing[i].issuer),
                                             tls_roots_ref(from->issuing[i].client_roots)};
    for (uint32_t i = 0; i < c->route_count; i++)
        c->nodes[i] = config_nodes_ref(from->nodes[i]);
    c->kube = kube_access_ref(from->kube);
    memcpy(c->profiles, from->profiles, c->profile_count * sizeof(*c->profiles));
    memcpy(c->authorizations, from->authorizations, c->authorization_count * sizeof(*c->authorizations));
    return c;
}

void credentials_free(struct credentials **credentials)
{
    struct credentials *c = *credentials;
    *credentials = NULL;
    if (!c)
        return;
    for (uint32_t i = 0; c->listeners && i < c->listener_count; i++)
        tls_context_unref(&c->listeners[i]);
    for (uint32_t i = 0; c->issuing && i < c->route_count; i++) {
        tls_issuer_unref(&c->issuing[i].issuer);
        tls_roots_unref(&c->issuing[i].client_roots);
    }
    for (uint32_t i = 0; c->nodes && i < c->route_count; i++)
        config_nodes_unref(&c->nodes[i]);
    kube_access_unref(&c->kube);
    if (c->authorizations)
        explicit_bzero(c->authorizations, c->authorization_count * sizeof(*c->authorizations));
    free(c->listeners);
    free(c->profiles);
    free(c->authorizations);
    free(c->issuing);
    free(c->nodes);
    free(c);
}

uint32_t identity_number(const struct config *config, const struct config_route *route, unsigned variant)
{
    uint32_t profile = (uint32_t)(route->profile - config->tls_profiles);
    return IDENTITIES_OWN + profile * (uint32_t)IDENTITY_VARIANTS + variant;
}

struct identity *identity_new(unsigned workers)
{
    struct identity *i = calloc(1, sizeof(*i) + workers * sizeof(i->uses[0]));
    if (!i)
        return NULL;
    list_init(&i->node);
    for (unsigned w = 0; w < workers; w++) {
        i->uses[w].identity = i;
        list_init(&i->uses[w].node);
    }
    return i;
}

void identity_free(struct identity **identity)
{
    struct identity *i = *identity;
    *identity = NULL;
    if (!i)
        return;
    list_remove(&i->node);
    tls_context_unref(&i->profile.context);
    free(i);
}

/* -- a worker's way from one to the next --------------------------------------------------------------------
 */

static struct identity *identity_of(const struct pool_profile *profile)
{
    return container_of((struct pool_profile *)(uintptr_t)profile, struct identity, profile);
}

/* Lets go of replaced identities that the pool has forgotten. A kubelet's exec session may hold one for
 * hours. */
static void leave_unused(struct broker_worker *bw)
{
    list_each_safe(node, tmp, &bw->identities_left)
    {
        struct identity *i = list_entry(node, struct identity_use, node)->identity;
        if (pool_uses_generation(bw->pool, i->profile.id, i->profile.generation))
            continue;
        list_remove(node);
        atomic_fetch_sub_explicit(&i->users, 1, memory_order_release); /* it may be gone now */
    }
    if (!list_empty(&bw->identities_left))
        worker_arm_ms(bw->worker, &bw->identities_timer, LEFT_CHECK_MS);
}

static void on_left_check(struct timer *t)
{
    leave_unused(container_of(t, struct broker_worker, identities_timer));
}

static void change_profiles(struct broker_worker *bw, const struct credentials *to)
{
    const struct credentials *from = bw->credentials;
    for (uint32_t n = 0; n < to->profile_count; n++) {
        if (from->profiles[n] == to->profiles[n])
            continue;
        pool_retire_generation(bw->pool, n, to->profiles[n]->generation);
        list_add_tail(&bw->identities_left, &identity_of(from->profiles[n])->uses[bw->worker->number].node);
    }
}

static void change_listeners(struct broker_worker *bw, const struct credentials *to)
{
    for (uint32_t n = 0; n < to->listener_count; n++) {
        struct front_listener *l = &bw->listeners[n];
        if (l->tls == to->listeners[n])
            continue;
        tls_context_unref(&l->tls); /* connections have references of their own */
        l->tls = tls_context_ref(to->listeners[n]);
    }
}

static void change_mints(struct broker_worker *bw, const struct credentials *to)
{
    for (uint32_t n = 0; n < to->route_count; n++) {
        const struct issuing *next = &to->issuing[n];
        if (bw->mints[n] && (next->issuer != bw->credentials->issuing[n].issuer ||
                             next->client_roots != bw->credentials->issuing[n].client_roots))
            tls_mint_replace(bw->mints[n], next->issuer, next->client_roots);
    }
}

static void change_kube(struct broker_worker *bw, const struct credentials *to)
{
    struct kube *kube = bw->broker->kube;
    if (kube && kube->home == bw && to->kube != bw->credentials->kube)
        kube_adopt(kube, to->kube, credentials_profile(to, credentials_kube_identity(to)));
}

void credentials_begin(struct broker_worker *bw, struct credentials *c)
{
    timer_init(&bw->identities_timer, on_left_check);
    list_init(&bw->identities_left);
    bw->credentials = c;
    atomic_fetch_add_explicit(&c->adopted, 1, memory_order_release);
}

void credentials_adopt(struct broker_worker *bw, struct credentials *to)
{
    change_profiles(bw, to);
    change_listeners(bw, to);
    change_mints(bw, to);
    change_kube(bw, to);
    bw->credentials = to;
    atomic_fetch_add_explicit(&to->adopted, 1, memory_order_release); /* the one before may be gone now */
    leave_unused(bw);
}

void credentials_end(struct broker_worker *bw)
{
    worker_disarm(bw->worker, &bw->identities_timer);
}
