/* broker/kube/lease_own.c — our Lease: made, renewed, deleted when the broker drains.
 *
 * The object is kept as the API server last gave it and written back with a new renewTime, so that what
 * others put into it stays; its resourceVersion makes two writers notice each other. Whatever goes wrong, the
 * next round begins by reading it anew. What is under way when the broker drains is waited for: a request
 * that overtakes its own deletion would leave a Lease behind, and agents would look for a server that is
 * gone. */
#include <stdlib.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/kube/lease_time.h"
#include "broker/kube/leases.h"
#include "io/worker.h"

#define B(s) (1u << LEASE_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[LEASE_OWN_STATES] = {
    [LEASE_RESTING] = {"resting",  B(READING) | B(RENEWING) | B(DELETING) | B(OVER)                         },
    [LEASE_READING] = {"reading",  B(RESTING) | B(READING) | B(MAKING) | B(RENEWING) | B(DELETING) | B(OVER)},
    [LEASE_MAKING] = {"making",   B(RESTING) | B(READING) | B(DELETING) | B(OVER)                          },
    [LEASE_RENEWING] = {"renewing", B(RESTING) | B(READING) | B(MAKING) | B(DELETING) | B(OVER)              },
    [LEASE_DELETING] = {"deleting", B(OVER)                                                                  },
    [LEASE_OVER] = {"over",     0                                                                        },
};
#undef B

static struct worker *worker_of(const struct leases *l)
{
    return l->kube->home->worker;
}

static void set_state(struct lease_own *o, enum lease_own_state next)
{
    ASSERT(states[o->state].next & (1u << next));
    o->state = next;
}

static void rest(struct leases *l, uint64_t ms)
{
    set_state(&l->own, LEASE_RESTING);
    worker_arm_ms(worker_of(l), &l->own.timer,
                  ms + worker_random(worker_of(l)) % (ms * LEASE_JITTER_PERCENT / 100));
}

static void say(const struct leases *l, enum log_level level, const char *event, const char *detail)
{
    struct worker *w = worker_of(l);
    log_begin(w, level, event);
    log_str(w, "lease", l->name);
    log_str(w, "state", states[l->own.state].name);
    if (detail)
        log_str(w, "detail", detail);
    log_end(w);
}

static void fail(struct leases *l, const char *detail)
{
    if (!l->own.failing)
        say(l, LOG_WARN, "lease_failed", detail);
    l->own.failing = true;
    json_decref(l->own.object);
    l->own.object = NULL;
    rest(l, LEASE_AGAIN_MS);
}

static void ask(struct leases *l, enum lease_own_state state, enum http_method method, const char *path)
{
    set_state(&l->own, state);
    lease_ask(l, &l->own.request, method, path, &l->own.body);
}

/* -- steps
 * ----------------------------------------------------------------------------------------------------
 */

static void read_it(struct leases *l)
{
    ask(l, LEASE_READING, HTTP_METHOD_GET, l->own.path);
}

static void delete_it(struct leases *l)
{
    ask(l, LEASE_DELETING, HTTP_METHOD_DELETE, l->own.path);
}

/* What is ours in the object; everything else stays as it is. */
static bool claim(const struct leases *l, json_t *object)
{
    char now[LEASE_TIME_BYTES];
    json_t *spec = json_object_get(object, "spec"), *metadata = json_object_get(object, "metadata");
    lease_time_format(leases_now_us(l), now);
    return json_object_set(metadata, "labels", l->labels) == 0 &&
           json_object_set_new(spec, "holderIdentity", json_string(l->holder)) == 0 &&
           json_object_set_new(spec, "leaseDurationSeconds", json_integer(LEASE_DURATION_S)) == 0 &&
           json_object_set_new(spec, "renewTime", json_string(now)) == 0;
}

static void write_it(struct leases *l, json_t *object, enum lease_own_state state, enum http_method method,
                     const char *path)
{
    l->own.body = object && claim(l, object) ? json_dumps(object, JSON_COMPACT) : NULL;
    if (!l->own.body) {
        fail(l, "out of memory");
        return;
    }
    l->own.asked = true;
    ask(l, state, method, path);
}

static void make_it(struct leases *l)
{
    json_t *object = json_pack("{s:s,s:s,s:{s:s},s:{}}", "apiVersion", "coordination.k8s.io/v1", "kind",
                               "Lease", "metadata", "name", l->name, "spec");
    write_it(l, object, LEASE_MAKING, HTTP_METHOD_POST, l->folder);
    json_decref(object);
}

static void renew_it(struct leases *l)
{
    write_it(l, l->own.object, LEASE_RENEWING, HTTP_METHOD_PUT, l->own.path);
}

/* -- answers
 * --------------------------------------------------------------------------------------------------
 */

/* Takes the object out of an answer. False: it is none. */
static bool take_object(struct leases *l, const struct kube_answer *a)
{
    json_t *object = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, NULL);
    const char *kind = json_string_value(json_object_get(object, "kind"));
    json_decref(l->own.object);
    l->own.object = NULL;
    if (kind && strcmp(kind, "Lease") == 0 && json_is_object(json_object_get(object, "metadata")) &&
        json_is_object(json_object_get(object, "spec")))
        l->own.object = object;
    else
        json_decref(object);
    return l->own.object != NULL;
}

static void on_conflict(struct leases *l)
{
    if (++l->own.conflicts > LEASE_CONFLICTS_MAX)
        fail(l, "others write it all the time: is agents.serverId that of one server alone?");
    else
        read_it(l);
}

static void on_held(struct leases *l, const struct kube_answer *a)
{
    bool first = !l->own.object && l->own.state == LEASE_MAKING;
    if (!take_object(l, a)) {
        fail(l, "the API server answered with what is no Lease");
        return;
    }
    if (l->own.failing || first)
        say(l, LOG_INFO, "lease_held", NULL);
    l->own.failing = false;
    rest(l, LEASE_RENEW_MS);
}

static void on_read(struct leases *l, const struct kube_answer *a)
{
    if (take_object(l, a))
        renew_it(l);
    else
        fail(l, "the API server answered with what is no Lease");
}

static void on_answered(struct kube_request *r, const struct kube_answer *a)
{
    struct leases *l = r->owner;
    struct lease_own *o = &l->own;
    bool good = a->ending == ENDING_DONE && a->status >= 200 && a->status < 300;
    free(o->body);
    o->body = NULL;
    if (o->state == LEASE_DELETING) {
        if (!good && a->status != 404)
            say(l, LOG_WARN, "lease_failed", a->detail);
        set_state(o, LEASE_OVER);
    } else if (l->draining) {
        delete_it(l);
    } else if (good && o->state == LEASE_READING) {
        on_read(l, a);
    } else if (good) {
        on_held(l, a);
    } else if (a->status == 409) {
        on_conflict(l);
    } else if (a->status == 404 && o->state != LEASE_MAKING) {
        make_it(l);
    } else {
        fail(l, a->detail);
    }
}

static void on_timer(struct timer *timer)
{
    struct lease_own *o = container_of(timer, struct lease_own, timer);
    struct leases *l = container_of(o, struct leases, own);
    o->conflicts = 0;
    if (o->object)
        renew_it(l);
    else
        read_it(l);
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

void lease_own_init(struct leases *l)
{
    kube_request_init(&l->own.request);
    timer_init(&l->own.timer, on_timer);
    l->own.request.answered = on_answered;
}

void lease_own_begin(struct leases *l)
{
    snprintf(l->own.path, sizeof(l->own.path), "%s/%s", l->folder, l->name);
    worker_arm_ms(worker_of(l), &l->own.timer, 0);
}

void lease_own_drain(struct leases *l)
{
    struct lease_own *o = &l->own;
    worker_disarm(worker_of(l), &o->timer);
    if (o->state == LEASE_RESTING && o->asked)
        delete_it(l);
    else if (o->state == LEASE_RESTING)
        set_state(o, LEASE_OVER);
}

void lease_own_abandon(struct leases *l)
{
    struct lease_own *o = &l->own;
    if (o->state == LEASE_OVER)
        return;
    say(l, LOG_WARN, "lease_failed", "the API server did not answer before the broker had to end");
    kube_cancel(&o->request);
    set_state(o, LEASE_OVER);
}

void lease_own_fini(struct leases *l)
{
    struct lease_own *o = &l->own;
    if (l->kube->home) {
        worker_disarm(worker_of(l), &o->timer);
        kube_cancel(&o->request);
    }
    json_decref(o->object);
    free(o->body);
}
