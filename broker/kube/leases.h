/* broker/kube/leases.h — Leases (coordination.k8s.io/v1) by which Konnectivity's agents count the servers
 * there are.
 *
 *   lease_own.c      ours: made, renewed, and deleted when the broker drains
 *   lease_others.c   all with the label: counted, and deleted when they are over
 *
 * An agent with --count-server-leases opens a connection for each that is valid; they are what the
 * proxy-server's own controller makes. On the API's home worker, but for the counts, which any thread may
 * read. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "broker/kube/kube.h"

enum {
    LEASE_DURATION_S = 30, /* as the proxy-server has it, and the next three */
    LEASE_RENEW_MS = 15000,
    LEASE_JITTER_PERCENT = 4,
    LEASE_LIST_MS = 15000,
    LEASE_AGAIN_MS = 2000, /* after a failure: some tries fit into what is left of the duration */
    LEASE_REQUEST_MS = 5000,
    LEASE_CONFLICTS_MAX = 5, /* in one round; component-helpers' controller */
    LEASE_NAME_MAX = 253,    /* of any object: RFC 1123 subdomain */
    LEASE_PATH_MAX = 768,
    LEASES_MAX = 1000, /* with the label; more are not looked at. A cluster has three or five */
};

struct lease_options {
    const char *namespace;
    const char *label;     /* name=value, or several with commas between */
    const char *server_id; /* the holder; the name is made of it */
};

enum lease_own_state {
    LEASE_RESTING,
    LEASE_READING,  /* GET: is it there, and which version? */
    LEASE_MAKING,   /* POST */
    LEASE_RENEWING, /* PUT */
    LEASE_DELETING,
    LEASE_OVER,
    LEASE_OWN_STATES,
};

struct lease_own {
    enum lease_own_state state;
    struct kube_request request;
    struct timer timer;
    json_t *object; /* as the API server has it, as far as we know; NULL: unknown */
    char *body;
    char path[LEASE_PATH_MAX]; /* of the object */
    uint32_t conflicts;        /* in this round */
    bool asked;                /* it may be there */
    bool failing;
};

enum lease_others_state { OTHERS_RESTING, OTHERS_LISTING, OTHERS_DELETING, OTHERS_OVER, OTHERS_STATES };

struct lease_others {
    enum lease_others_state state;
    struct kube_request request;
    struct timer timer;
    json_t *list; /* while expired ones are deleted */
    size_t next;  /* of the list */
    char *body;
    char list_path[2 * LEASE_PATH_MAX], path[LEASE_PATH_MAX];
    uint64_t asked_ns;
};

struct leases {
    struct kube *kube;
    char name[LEASE_NAME_MAX + 1], holder[LEASE_NAME_MAX + 1];
    char folder[LEASE_PATH_MAX]; /* …/namespaces/NAMESPACE/leases */
    json_t *labels;
    bool draining;
    struct lease_own own;
    struct lease_others others;
    _Atomic int32_t valid; /* with the label, at the last list; -1: not known yet. Any thread may read it */
};

MUST_USE int leases_new(struct kube *, const struct lease_options *, struct leases **ret, char *ret_detail,
                        size_t detail_size);
/* 0; -EINVAL with one line that names the setting; -ENOMEM. */
void leases_open(struct leases *);
/* Begins, before the first turn of the home. */
void leases_drain(struct leases *);
/* Deletes ours, at once or when what is under way was answered. */
void leases_abandon(struct leases *);
/* After leases_drain(): gives up what is under way. Ours may stay behind until it is over. */
void leases_free(struct leases **);

/* Between the files. */
void lease_own_init(struct leases *);
void lease_own_begin(struct leases *);
void lease_own_drain(struct leases *);
void lease_own_abandon(struct leases *);
void lease_own_fini(struct leases *);
void lease_others_init(struct leases *, const char *label);
void lease_others_begin(struct leases *);
void lease_others_drain(struct leases *);
void lease_others_fini(struct leases *);
void lease_ask(struct leases *, struct kube_request *, enum http_method, const char *path, char **body);
/* Takes the body, which is freed with lease_answered(). */
bool lease_is_valid(const json_t *lease, int64_t now_us);
/* Renewed, or else acquired, less than its duration ago. One that says neither is not. */
int64_t leases_now_us(const struct leases *);
