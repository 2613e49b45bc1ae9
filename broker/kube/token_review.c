/* broker/kube/token_review.c — the home's side of token_review.h: what is known is answered at once, what is
 * being asked is waited for, and what is unknown is asked, once. Whoever waits for a flight is answered when
 * it lands, which the request's deadline sees to.
 *
 * A token that was good before goes ahead of those never seen: when all agents come back at once, or rubbish
 * is sent by somebody, those who belong here are served first. */
#include "broker/kube/token_review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/kube/jwt.h"
#include "broker/kube/kube.h"
#include "broker/kube/token_ask.h"
#include "broker/kube/token_cache.h"
#include "broker/kube/token_verdict.h"
#include "io/engine.h"
#include "io/tls/tls_hash.h"

#define TOKEN_REVIEWS_PATH "/apis/authentication.k8s.io/v1/tokenreviews"

struct token_reviews {
    struct kube *kube;
    struct token_review_options options;
    struct token_cache cache;
    struct slab flights, waits;
    bool draining;
};

struct token_wait {
    struct list node;
    struct token_ask *ask; /* opaque: it is its worker's */
    unsigned asker;
};

struct token_flight {
    struct token_reviews *reviews;
    struct token_entry *entry;
    struct kube_request request;
    struct list waits;
    char *body; /* holds the token */
    size_t len;
    struct slice token;
};

static struct broker_worker *home_of(const struct token_reviews *t)
{
    return t->kube->home;
}

static void reply(struct token_reviews *t, unsigned asker, struct token_ask *ask, bool good, const char *why)
{
    token_ask_answer(home_of(t)->worker, asker, ask, good, why);
}

/* -- a flight lands
 * ---------------------------------------------------------------------------------------------
 */

static void flight_free(struct token_flight *f)
{
    ASSERT(list_empty(&f->waits));
    kube_cancel(&f->request);
    explicit_bzero(f->body, f->len);
    free(f->body);
    slab_give(&f->reviews->flights, f);
}

static void tell_all(struct token_flight *f, bool good, const char *why)
{
    struct token_reviews *t = f->reviews;
    for (struct list *node; (node = list_pop(&f->waits));) {
        struct token_wait *wait = list_entry(node, struct token_wait, node);
        reply(t, wait->asker, wait->ask, good, why);
        slab_give(&t->waits, wait);
    }
}

/* Until when a good token is taken without asking again. */
static uint64_t good_until(const struct token_flight *f)
{
    struct worker *w = home_of(f->reviews)->worker;
    uint64_t wall_ns = w->engine->ops->wall_ns(w->engine), ms = TOKEN_GOOD_MS;
    int64_t expiry, now_s = (int64_t)(wall_ns / 1000000000);
    if (jwt_expiry(f->token, &expiry) && expiry < now_s + TOKEN_GOOD_MS / 1000)
        ms = expiry > now_s ? (uint64_t)(expiry - now_s) * 1000 : 0;
    return w->now_ns + ms * 1000000;
}

static void on_answered(struct kube_request *r, const struct kube_answer *a)
{
    struct token_flight *f = r->owner;
    struct token_reviews *t = f->reviews;
    struct token_entry *e = f->entry;
    struct worker *w = home_of(t)->worker;
    char why[TOKEN_WHY_MAX];
    enum token_verdict verdict = token_review_judge(&t->options, a, why);
    switch (verdict) {
    case TOKEN_IS_GOOD:
        counter_add(w, COUNTER_token_reviews_good, 1);
        token_cache_know(&t->cache, e, true, good_until(f));
        break;
    case TOKEN_IS_REFUSED:
        counter_add(w, COUNTER_token_reviews_refused, 1);
        memcpy(e->why, why, sizeof(e->why));
        token_cache_know(&t->cache, e, false, w->now_ns + TOKEN_REFUSED_MS * 1000000ull);
        break;
    case TOKEN_IS_UNKNOWN:
        counter_add(w, COUNTER_token_reviews_failed, 1);
        token_cache_forget(&t->cache, e);
        break;
    }
    tell_all(f, verdict == TOKEN_IS_GOOD, why);
    flight_free(f);
}

/* -- a flight begins
 * --------------------------------------------------------------------------------------------
 */

static struct token_flight *flight_new(struct token_reviews *t, struct token_entry *e, struct slice token)
{
    struct worker *w = home_of(t)->worker;
    struct token_flight *f = slab_take(&t->flights);
    if (!f)
        return NULL;
    f->body = token_review_body(&t->options, token, &f->len, &f->token);
    if (!f->body) {
        slab_give(&t->flights, f);
        return NULL;
    }
    f->reviews = t;
    f->entry = e;
    e->flight = f;
    list_init(&f->waits);
    kube_request_init(&f->request);
    f->request.method = HTTP_METHOD_POST;
    f->request.path = TOKEN_REVIEWS_PATH;
    f->request.body = f->body;
    f->request.len = f->len;
    f->request.urgent = e->was_good;
    f->request.deadline_ns = w->now_ns + TOKEN_REVIEW_MS * 1000000ull;
    f->request.answered = on_answered;
    f->request.owner = f;
    token_cache_ask(&t->cache, e);
    kube_request(t->kube, &f->request);
    return f;
}

/* The flight that answers, a new one if need be; NULL: a limit is reached. */
static struct token_flight *flight_of(struct token_reviews *t, struct token_entry *e, const uint8_t *hash,
                                      struct slice token)
{
    if (e && e->state == TOKEN_ASKED)
        return e->flight;
    bool added = !e;
    if (added)
        e = token_cache_add(&t->cache, hash);
    struct token_flight *f = e && token_cache_may_ask(&t->cache) ? flight_new(t, e, token) : NULL;
    if (!f && added && e)
        token_cache_drop(&t->cache, e);
    return f;
}

static void wait_for(struct token_reviews *t, struct token_flight *f, struct token_ask *ask, unsigned asker)
{
    struct token_wait *wait = f ? slab_take(&t->waits) : NULL;
    if (!wait) {
        reply(t, asker, ask, false, "too many tokens are being checked");
        return;
    }
    list_init(&wait->node);
    wait->ask = ask;
    wait->asker = asker;
    list_add_tail(&f->waits, &wait->node);
}

void token_ask_deliver(struct worker *w, struct msg *msg)
{
    struct token_reviews *t = msg->to;
    struct token_ask *ask = (struct token_ask *)(uintptr_t)msg->extra[0];
    unsigned asker = (unsigned)msg->extra[1];
    struct slice token = slice_of((const char *)msg->seg.data, msg->seg.len);
    uint8_t hash[TOKEN_HASH_BYTES];
    sha256_once((struct bytes){msg->seg.data, msg->seg.len}, hash);
    struct token_entry *e = token_cache_find(&t->cache, hash, w->now_ns);
    if (t->draining) {
        reply(t, asker, ask, false, ending_text(ENDING_DRAINING));
    } else if (e && (e->state == TOKEN_GOOD || e->state == TOKEN_REFUSED)) {
        counter_add(w, COUNTER_token_checks_kept, 1);
        reply(t, asker, ask, e->state == TOKEN_GOOD, e->why);
    } else {
        wait_for(t, flight_of(t, e, hash, token), ask, asker);
    }
    worker_release_seg(w, msg->seg);
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

int token_reviews_new(struct kube *k, const struct token_review_options *o, struct token_reviews **ret)
{
    struct token_reviews *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->kube = k;
    t->options = *o;
    slab_init(&t->flights, "TokenReviews", sizeof(struct token_flight), TOKEN_PENDING_MAX);
    slab_init(&t->waits, "who waits for TokenReviews", sizeof(struct token_wait), TOKEN_WAITS_MAX);
    if (token_cache_init(&t->cache, TOKEN_PENDING_MAX, TOKEN_GOOD_MAX, TOKEN_REFUSED_MAX) < 0) {
        free(t);
        return -ENOMEM;
    }
    *ret = t;
    return 0;
}

void token_reviews_drain(struct token_reviews *t)
{
    t->draining = true;
    struct list *asked = &t->cache.order[TOKEN_ASKED];
    while (!list_empty(asked)) {
        struct token_entry *e = list_entry(asked->next, struct token_entry, order);
        struct token_flight *f = e->flight;
        token_cache_forget(&t->cache, e);
        tell_all(f, false, ending_text(ENDING_DRAINING));
        flight_free(f);
    }
}

void token_reviews_free(struct token_reviews **tp)
{
    struct token_reviews *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    token_cache_fini(&t->cache);
    slab_fini(&t->waits);
    slab_fini(&t->flights);
    free(t);
}
