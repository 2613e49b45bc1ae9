/* broker/kube/kube.h — the Kubernetes API, as the broker itself asks it: for TokenReviews and Leases.
 *
 * One worker, the home of the API server's endpoint, makes all requests: so there is one budget of requests,
 * one cache and one flight for the whole process, and the connections are the pool's like any others. A
 * request is answered once, in bounded time; on the way it waits for its turn (qps, burst), and is repeated
 * while the API server is overloaded or cannot be reached. Redirects are not followed. Owner worker only, but
 * for kube_new() and kube_free().
 *
 *   kube.c       requests: their turn, their repetition, their end
 *   kube_call.c  one attempt: the front half of an exchange without a client
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/http/http_name.h"
#include "broker/kube/bearer.h"
#include "io/ending.h"
#include "io/list.h"
#include "io/slab.h"
#include "io/worker.h"
#include "pool/pool.h"

struct broker;
struct broker_worker;
struct kube_call;
struct kube_access;
struct leases;
struct token_reviews;

enum {
    KUBE_ANSWER_MAX = 1024 * 1024, /* a list of a few leases has some KiB */
    KUBE_CALLS_MAX = 32,           /* at a time; well below what a session and the pool's queue carry */
    KUBE_TRIES_MAX = 5,
    KUBE_BACKOFF_MS = 250,      /* doubles with each try; half of it is chance */
    KUBE_RETRY_AFTER_MS = 1000, /* of 429 and 5xx that do not say */
    KUBE_WARN_MS = 30000,       /* between two lines about an API server that stays away */
};

struct kube_answer {
    enum ending ending; /* DONE: there is a status */
    uint16_t status;
    const char *body; /* with a NUL behind it, which is not counted; lent */
    size_t len;
    const char *detail; /* one line of what went wrong, where the status is not 2xx; "" otherwise; lent */
};

enum kube_state {
    KUBE_IDLE,
    KUBE_WAITING, /* for its turn */
    KUBE_RESTING, /* before it is repeated */
    KUBE_ASKING,  /* an attempt is under way */
    KUBE_STATES,
};

/* Embedded by whoever asks; kube_request_init() before its first use. */
struct kube_request {
    enum http_method method;
    const char *path; /* with its query; lent until it is answered, as the body */
    const char *body; /* JSON, or NULL */
    size_t len;
    uint64_t deadline_ns;
    bool urgent; /* before others that wait */
    void (*answered)(struct kube_request *, const struct kube_answer *);
    void *owner;
    struct kube *kube; /* kube.c's, as everything below */
    enum kube_state state;
    struct list node;
    struct timer timer;
    struct kube_call *call;
    uint32_t tries;
};

struct kube {
    struct broker_worker *home;
    struct endpoint_key key;
    char prefix[256];
    char authority[POOL_NAME_MAX + 16]; /* as Host has it */
    struct bearer bearer;
    struct list urgent, waiting; /* requests */
    struct list calls_open;
    struct slab calls;
    uint32_t requests; /* not answered */
    struct timer turn; /* when the next request may go */
    struct task start;
    uint64_t interval_ns, tolerance_ns, next_ns; /* of the budget: one request each interval, bursts within
                                                    the tolerance */
    bool failing;                                /* as the last attempt was */
    uint64_t warned_ns;                          /* 0: never */
    uint32_t unwarned;
    struct token_reviews *reviews; /* NULL: not configured, as the next */
    struct leases *leases;
};

struct kube_options {
    const char *kubeconfig_file; /* NULL: as in a Pod */
    uint32_t qps, burst;         /* 1 at least */
};

MUST_USE int kube_new(struct broker *, const struct kube_options *, struct kube **ret, char *ret_detail,
                      size_t detail_size);
/* With the credentials in force; nothing is asked yet. 0, or -errno with one line. Before the workers start.
 */
void kube_free(struct kube **);
/* After all workers have drained, or before any has started. */
MUST_USE int kube_make(const struct kube_access *, const struct pool_profile *, const struct kube_options *,
                       struct kube **ret);
/* Part of it, for tests; 0 or -ENOMEM. Its home is the caller's to set. */
void kube_adopt(struct kube *, const struct kube_access *, const struct pool_profile *);
/* Others are in force, of the same server. Home worker only, between two turns; lent until the next ones. */
unsigned kube_home(const struct kube *);
void kube_open(struct kube *);
/* Leases begin, with the first turn. */

void kube_request_init(struct kube_request *);
void kube_request(struct kube *, struct kube_request *);
/* Answers once, as an event, by the deadline. */
void kube_cancel(struct kube_request *);
/* No answer will come. Harmless when none is due. */
void kube_drain(struct kube *);
/* Our lease is deleted, checks of tokens are answered, and no new one is begun. Again: no effect. */
void kube_abandon(struct kube *);
/* After kube_drain(): what is still under way is not waited for any longer. */
bool kube_is_idle(const struct kube *);
/* Nothing is under way. After kube_drain() this comes true within the deadlines of what is, and of a
 * deletion. */

const char *kube_status_text(const char *body, size_t len, const char *field, char *ret, size_t size);
/* A text of a Status (meta/v1): its message or reason, printable; "" when there is none. Returns ret. */
