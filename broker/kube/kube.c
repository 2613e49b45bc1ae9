/* broker/kube/kube.c — requests to the API server: their turn, their repetition, their end. See kube.h.
 *
 * What is repeated: answers 429 and 5xx, after the time that Retry-After says; attempts that came to nothing,
 * after one that doubles; and a 401 where the token's file holds another token by now. All the broker asks
 * for may be repeated: TokenReviews make nothing, and Leases are written with a resourceVersion or answered
 * by 409. When the tries or the time are over, the last answer is the answer.
 */
#include "broker/kube/kube.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/credentials.h"
#include "broker/kube/access.h"
#include "broker/kube/kube_call.h"
#include "broker/kube/leases.h"
#include "broker/kube/token_review.h"
#include "io/log.h"

#define B(s) (1u << KUBE_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[KUBE_STATES] = {
    [KUBE_IDLE] = {"idle",    B(WAITING)                       },
    [KUBE_WAITING] = {"waiting", B(ASKING) | B(RESTING) | B(IDLE) },
    [KUBE_RESTING] = {"resting", B(WAITING) | B(IDLE)             },
    [KUBE_ASKING] = {"asking",  B(WAITING) | B(RESTING) | B(IDLE)},
};
#undef B

static struct worker *worker_of(const struct kube *k)
{
    return k->home->worker;
}

/* Also takes it off the list on which it waits. */
static void set_state(struct kube_request *r, enum kube_state next)
{
    ASSERT(states[r->state].next & (1u << next));
    list_remove(&r->node);
    r->state = next;
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void leave(struct kube_request *r)
{
    struct kube *k = r->kube;
    set_state(r, KUBE_IDLE);
    worker_disarm(worker_of(k), &r->timer);
    if (r->call)
        kube_call_give_up(r->call);
    k->requests--;
}

void kube_cancel(struct kube_request *r)
{
    if (r->state != KUBE_IDLE)
        leave(r);
}

static void answer(struct kube_request *r, const struct kube_answer *a)
{
    leave(r);
    r->answered(r, a);
}

static void fail(struct kube_request *r, enum ending reason, const char *detail)
{
    answer(r, &(struct kube_answer){.ending = reason, .body = "", .detail = detail});
}

/* -- turns --------------------------------------------------------------------------------------------------
 */

/* The budget is a clock that each request moves by an interval and that may be ahead of time by the burst
 * (GCRA). */
static bool may_go(struct kube *k)
{
    uint64_t now = worker_of(k)->now_ns;
    if (k->next_ns < now)
        k->next_ns = now;
    if (k->next_ns - now > k->tolerance_ns) {
        timer_arm_at(&worker_of(k)->timers, &k->turn, k->next_ns - k->tolerance_ns);
        return false;
    }
    k->next_ns += k->interval_ns;
    return true;
}

static void rest(struct kube_request *r, uint64_t ms)
{
    set_state(r, KUBE_RESTING);
    worker_arm_ms(worker_of(r->kube), &r->timer, ms);
}

static bool time_is_left(const struct kube_request *r, uint64_t ms)
{
    return worker_of(r->kube)->now_ns + ms * 1000000 < r->deadline_ns;
}

static uint64_t backoff_ms(struct kube_request *r)
{
    uint64_t ms = (uint64_t)KUBE_BACKOFF_MS << (r->tries > 0 ? r->tries - 1 : 0);
    return ms / 2 + worker_random(worker_of(r->kube)) % (ms / 2 + 1);
}

static void begin(struct kube_request *r)
{
    struct kube *k = r->kube;
    r->tries++;
    counter_add(worker_of(k), COUNTER_kube_requests, 1);
    if (kube_call_begin(k, r))
        set_state(r, KUBE_ASKING);
    else if (r->tries < KUBE_TRIES_MAX && time_is_left(r, KUBE_BACKOFF_MS << r->tries))
        rest(r, backoff_ms(r));
    else
        fail(r, ENDING_LIMIT, "the broker is out of exchanges or buffers");
}

static struct kube_request *first_of(struct kube *k)
{
    struct list *list = list_empty(&k->urgent) ? &k->waiting : &k->urgent;
    return list_empty(list) ? NULL : list_entry(list->next, struct kube_request, node);
}

static void on_start(struct task *task)
{
    struct kube *k = container_of(task, struct kube, start);
    struct kube_request *r;
    while (k->calls.used < KUBE_CALLS_MAX && (r = first_of(k)) && may_go(k))
        begin(r);
}

static void on_turn(struct timer *timer)
{
    struct kube *k = container_of(timer, struct kube, turn);
    on_start(&k->start);
}

static void wait_for_turn(struct kube_request *r)
{
    struct kube *k = r->kube;
    set_state(r, KUBE_WAITING);
    list_add_tail(r->urgent ? &k->urgent : &k->waiting, &r->node);
    timer_arm_at(&worker_of(k)->timers, &r->timer, r->deadline_ns);
    worker_defer(worker_of(k), &k->start);
}

static void on_timer(struct timer *timer)
{
    struct kube_request *r = container_of(timer, struct kube_request, timer);
    switch (r->state) {
    case KUBE_RESTING: wait_for_turn(r); return;
    case KUBE_WAITING: fail(r, ENDING_DEADLINE, "its turn did not come in time (kubernetes.qps)"); return;
    case KUBE_ASKING: fail(r, ENDING_DEADLINE, "the API server did not answer in time"); return;
    case KUBE_IDLE:
    case KUBE_STATES: ASSERT(!"a state with a timer");
    }
}

void kube_request_init(struct kube_request *r)
{
    *r = (struct kube_request){0};
    list_init(&r->node);
    timer_init(&r->timer, on_timer);
}

void kube_request(struct kube *k, struct kube_request *r)
{
    ASSERT(r->state == KUBE_IDLE);
    r->kube = k;
    r->tries = 0;
    k->requests++;
    wait_for_turn(r);
}

/* -- one attempt is over
 * --------------------------------------------------------------------------------------
 */

const char *kube_status_text(const char *body, size_t len, const char *field, char *ret, size_t size)
{
    json_t *status = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(status, field));
    snprintf(ret, size, "%s", text ? text : "");
    for (char *at = ret; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    json_decref(status);
    return ret;
}

/* Said when the API server stops and begins to answer as it should, and in between now and then. */
static void note_health(struct kube *k, bool failing, const char *path, const struct kube_answer *a)
{
    struct worker *w = worker_of(k);
    if (!failing && k->failing)
        log_begin(w, LOG_INFO, "kube_api_answers"), log_str(w, "server", k->authority), log_end(w);
    bool due = k->warned_ns == 0 || w->now_ns - k->warned_ns >= KUBE_WARN_MS * 1000000ull;
    if (failing && !due)
        k->unwarned++;
    if (failing && due) {
        log_begin(w, LOG_WARN, "kube_api_failed");
        log_str(w, "server", k->authority);
        log_strn(w, "path", path, strcspn(path, "?"));
        log_u64(w, "status", a->status);
        log_str(w, "end", ending_name(a->ending));
        log_str(w, "detail", a->detail);
        log_u64(w, "more", k->unwarned);
        log_end(w);
        k->warned_ns = w->now_ns;
        k->unwarned = 0;
    }
    if (failing)
        counter_add(w, COUNTER_kube_failures, 1);
    k->failing = failing;
}

/* How long before it is tried again; 0: not at all. */
static uint64_t retry_ms(struct kube_request *r, const struct kube_call *c)
{
    uint64_t ms = c->retry_after_ms ? c->retry_after_ms : KUBE_RETRY_AFTER_MS;
    if (c->ending == ENDING_DONE && c->status == 401)
        ms = bearer_refused(&r->kube->bearer, worker_of(r->kube)) ? 1 : 0;
    else if (c->ending == ENDING_DONE && c->status != 429 && c->status < 500)
        ms = 0;
    else if (c->ending == ENDING_BAD_RESPONSE)
        ms = 0; /* it would be no better the next time */
    else if (c->ending != ENDING_DONE)
        ms = backoff_ms(r);
    return r->tries < KUBE_TRIES_MAX && time_is_left(r, ms) ? ms : 0;
}

void kube_call_done(struct kube_call *c)
{
    char text[200];
    struct kube_request *r = c->request;
    struct kube *k = c->kube;
    struct kube_answer a = {.ending = c->ending, .body = "", .detail = c->detail};
    bool refused = c->status == 401 || c->status == 403 || c->status == 429 || c->status >= 500;
    if (c->ending == ENDING_DONE) {
        a.status = c->status;
        a.body = c->body;
        a.len = c->len;
        if (c->status < 200 || c->status >= 300)
            snprintf(c->detail, sizeof(c->detail), "%u %s%s", c->status, c->len ? "" : "without a body",
                     kube_status_text(c->body, c->len, "message", text, sizeof(text)));
    } else if (!c->detail[0]) {
        a.detail = ending_text(c->ending);
    }
    r->call = NULL;
    c->request = NULL;
    note_health(k, c->ending != ENDING_DONE || refused, r->path, &a);
    uint64_t ms = retry_ms(r, c);
    if (ms > 0)
        rest(r, ms);
    else
        answer(r, &a);
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

static void set_budget(struct kube *k, const struct kube_options *o)
{
    ASSERT(o->qps > 0);
    ASSERT(o->burst > 0);
    k->interval_ns = 1000000000u / o->qps;
    k->tolerance_ns = k->interval_ns * (o->burst - 1);
}

void kube_adopt(struct kube *k, const struct kube_access *access, const struct pool_profile *profile)
{
    k->key.profile = profile;
    bearer_use(&k->bearer, access);
}

int kube_make(const struct kube_access *access, const struct pool_profile *profile,
              const struct kube_options *o, struct kube **ret)
{
    const struct kube_credentials *c = &access->credentials;
    struct kube *k = calloc(1, sizeof(*k));
    if (!k)
        return -ENOMEM;
    kube_adopt(k, access, profile);
    k->key.port = c->port;
    k->key.rules = BROKER_RULES_OPERATOR;
    snprintf(k->key.host, sizeof(k->key.host), "%s", c->host);
    snprintf(k->prefix, sizeof(k->prefix), "%s", c->prefix);
    bool v6 = strchr(c->host, ':') != NULL;
    snprintf(k->authority, sizeof(k->authority), "%s%s%s:%u", v6 ? "[" : "", c->host, v6 ? "]" : "", c->port);
    list_init(&k->urgent);
    list_init(&k->waiting);
    list_init(&k->calls_open);
    slab_init(&k->calls, "calls of the Kubernetes API", sizeof(struct kube_call), KUBE_CALLS_MAX);
    timer_init(&k->turn, on_turn);
    task_init(&k->start, on_start);
    set_budget(k, o);
    *ret = k;
    return 0;
}

int kube_new(struct broker *b, const struct kube_options *o, struct kube **ret, char *ret_detail,
             size_t detail_size)
{
    const struct credentials *c = b->states[0].credentials;
    struct kube *k = NULL;
    int rc = kube_make(c->kube, credentials_profile(c, credentials_kube_identity(c)), o, &k);
    if (rc < 0) {
        snprintf(ret_detail, detail_size, "out of memory");
        return rc;
    }
    k->home = &b->states[endpoint_key_hash(&k->key) % b->count];
    log_any_thread(LOG_INFO, "kube_api", "the API server is %s, by %s", k->authority,
                   o->kubeconfig_file ? o->kubeconfig_file : "the Pod's service account");
    *ret = k;
    return 0;
}

void kube_free(struct kube **kp)
{
    struct kube *k = *kp;
    *kp = NULL;
    if (!k)
        return;
    token_reviews_free(&k->reviews);
    leases_free(&k->leases);
    ASSERT(k->requests == 0);
    if (k->home)
        worker_disarm(worker_of(k), &k->turn);
    task_cancel(&k->start);
    slab_fini(&k->calls);
    bearer_fini(&k->bearer);
    free(k);
}

unsigned kube_home(const struct kube *k)
{
    return k->home->worker->number;
}

void kube_open(struct kube *k)
{
    if (k->leases)
        leases_open(k->leases);
}

void kube_drain(struct kube *k)
{
    if (k->reviews)
        token_reviews_drain(k->reviews);
    if (k->leases)
        leases_drain(k->leases);
}

void kube_abandon(struct kube *k)
{
    if (k->leases)
        leases_abandon(k->leases);
}

bool kube_is_idle(const struct kube *k)
{
    return k->requests == 0 && k->calls.used == 0;
}
