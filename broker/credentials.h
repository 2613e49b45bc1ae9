/* broker/credentials.h — what the broker proves itself with, whom it trusts and what they are called, as read
 * from files: one immutable snapshot of all of it.
 *
 * reload.c makes snapshots and publishes the newest one; a worker adopts it between two turns and reads its
 * own until then. What did not change is shared by reference between snapshots. A snapshot is freed when all
 * workers have adopted a newer one; an identity that was replaced lives on for as long as a pool refers to
 * it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/list.h"
#include "pool/pool.h"

struct broker_worker;
struct config;
struct config_nodes;
struct kube_access;
struct config_route;
struct tls_context;
struct tls_issuer;
struct tls_roots;

/* Numbers of identities towards destinations: pool_profile.id, the same over all reloads. Those of TLS
 * profiles are numbered behind the ones that need no files. */
enum { IDENTITY_NONE, IDENTITY_PLAIN, IDENTITY_OPAQUE, IDENTITIES_OWN };
enum identity_variant { IDENTITY_INSECURE = 1, IDENTITY_SINGLE_USE = 2, IDENTITY_VARIANTS = 4 }; /* bits */

enum { AUTHORIZATION_BYTES_MAX = 4096 }; /* a service account's token has 1 KiB; a head may have 64 */

/* A pool's profile in one generation, and who may still refer to it once it was replaced. */
struct identity {
    struct pool_profile profile;
    struct list node;       /* of those that were replaced, reload.c */
    _Atomic unsigned users; /* then: workers whose pool may still refer to it */
    struct identity_use {
        struct list node; /* broker_worker.identities_left */
        struct identity *identity;
    } uses[]; /* [worker] */
};

struct authorization {
    char text[AUTHORIZATION_BYTES_MAX]; /* "Bearer …", "" for none; a secret */
};

/* What mints certificates where TLS ends in a tunnel. */
struct issuing {
    struct tls_issuer *issuer;
    struct tls_roots *client_roots;
};

struct credentials {
    struct tls_context **listeners;       /* [listener of the configuration]; NULL: plain */
    const struct pool_profile **profiles; /* [number of the identity]; NULL: no route uses it */
    struct authorization *authorizations; /* [TLS profile] */
    struct issuing *issuing;              /* [route] */
    struct config_nodes **nodes;          /* [route] */
    struct kube_access *kube;             /* NULL: nothing is asked of the Kubernetes API */
    uint32_t listener_count, profile_count, authorization_count, route_count;
    _Atomic unsigned adopted; /* workers that have it in force */
};

MUST_USE struct credentials *credentials_new(const struct config *);
/* Empty. NULL: out of memory. */
MUST_USE struct credentials *credentials_copy(const struct credentials *);
/* To be changed and published. NULL: out of memory. */
void credentials_free(struct credentials **);
/* But not the identities, which are the reloader's. */
uint32_t identity_number(const struct config *, const struct config_route *, unsigned variant);
/* Of the route's TLS profile. */
MUST_USE struct identity *identity_new(unsigned workers);
/* NULL: out of memory. */
void identity_free(struct identity **);

/* That towards the Kubernetes API, behind those of TLS profiles. */
static inline uint32_t credentials_kube_identity(const struct credentials *c)
{
    return c->profile_count - 1;
}

static inline const struct pool_profile *credentials_profile(const struct credentials *c, uint32_t identity)
{
    return c->profiles[identity];
}

/* On the worker's thread, between two turns. */
void credentials_begin(struct broker_worker *, struct credentials *);
/* The first one. */
void credentials_adopt(struct broker_worker *, struct credentials *);
/* Takes a newer one into force: new handshakes and requests use it, what is under way goes on. */
void credentials_end(struct broker_worker *);
/* The worker has stopped. */
