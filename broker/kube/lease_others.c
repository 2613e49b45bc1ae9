/* broker/kube/lease_others.c — all Leases with the label: those that are valid are counted, those that are
 * over are deleted, one at a time. A deletion names the version that was seen, so that one which was renewed
 * meanwhile stays. What the API server says in a list goes into paths only where it is the name of an object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/kube/lease_name.h"
#include "broker/kube/leases.h"
#include "io/worker.h"

#define B(s) (1u << OTHERS_##s)
static const struct {
    const char *name;
    uint32_t next;
} states[OTHERS_STATES] = {
    [OTHERS_RESTING] = {"resting",  B(LISTING) | B(OVER)              },
    [OTHERS_LISTING] = {"listing",  B(RESTING) | B(DELETING) | B(OVER)},
    [OTHERS_DELETING] = {"deleting", B(RESTING) | B(DELETING) | B(OVER)},
    [OTHERS_OVER] = {"over",     0                                 },
};
#undef B

static struct worker *worker_of(const struct leases *l)
{
    return l->kube->home->worker;
}

static void set_state(struct lease_others *o, enum lease_others_state next)
{
    ASSERT(states[o->state].next & (1u << next));
    o->state = next;
}

static void drop_list(struct lease_others *o)
{
    json_decref(o->list);
    o->list = NULL;
}

static void rest(struct leases *l)
{
    drop_list(&l->others);
    set_state(&l->others, OTHERS_RESTING);
    worker_arm_ms(worker_of(l), &l->others.timer, LEASE_LIST_MS);
}

static void ask(struct leases *l, enum lease_others_state state, enum http_method method, const char *path)
{
    struct lease_others *o = &l->others;
    set_state(o, state);
    o->asked_ns = worker_of(l)->now_ns;
    lease_ask(l, &o->request, method, path, &o->body);
}

/* -- deleting
 * -------------------------------------------------------------------------------------------------
 */

static const char *text_of(const json_t *lease, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(lease, "metadata"), key));
    return text ? text : "";
}

/* False: it is not for us to delete. */
static bool delete_it(struct leases *l, const json_t *lease)
{
    struct lease_others *o = &l->others;
    const char *name = text_of(lease, "name"), *version = text_of(lease, "resourceVersion");
    if (!lease_name_is_valid(name) || !version[0] || strcmp(name, l->name) == 0)
        return false;
    json_t *options = json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                                "preconditions", "resourceVersion", version);
    o->body = options ? json_dumps(options, JSON_COMPACT) : NULL;
    json_decref(options);
    if (!o->body)
        return false;
    snprintf(o->path, sizeof(o->path), "%s/%s", l->folder, name);
    ask(l, OTHERS_DELETING, HTTP_METHOD_DELETE, o->path);
    return true;
}

static void delete_next(struct leases *l)
{
    struct lease_others *o = &l->others;
    const json_t *lease;
    while ((lease = json_array_get(json_object_get(o->list, "items"), o->next))) {
        o->next++;
        if (!lease_is_valid(lease, leases_now_us(l)) && delete_it(l, lease))
            return;
    }
    rest(l);
}

/* -- answers
 * --------------------------------------------------------------------------------------------------
 */

/* Only what the API server has answered is counted, as by the proxy-server. */
static void note(struct leases *l, enum stats_lease_call call, const struct kube_answer *a, bool good)
{
    char reason[STATS_LEASE_REASON] = "";
    if (a->ending != ENDING_DONE)
        return;
    if (!good)
        kube_status_text(a->body, a->len, "reason", reason, sizeof(reason));
    stats_lease_call(&l->kube->home->stats, call, good ? 200 : a->status, reason,
                     worker_of(l)->now_ns - l->others.asked_ns);
}

static void on_list(struct leases *l, const struct kube_answer *a)
{
    struct lease_others *o = &l->others;
    o->list = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *items = json_object_get(o->list, "items");
    size_t count = json_array_size(items);
    int32_t valid = 0;
    if (!json_is_array(items) || count > LEASES_MAX) {
        rest(l);
        return;
    }
    for (size_t i = 0; i < count; i++)
        valid += lease_is_valid(json_array_get(items, i), leases_now_us(l));
    atomic_store_explicit(&l->valid, valid, memory_order_relaxed);
    o->next = 0;
    delete_next(l);
}

static void on_deleted(struct leases *l, bool good)
{
    struct worker *w = worker_of(l);
    if (good) {
        stats_lease_culled(&l->kube->home->stats);
        log_begin(w, LOG_INFO, "lease_culled");
        log_str(w, "lease", l->others.path + strlen(l->folder) + 1);
        log_end(w);
    }
    delete_next(l);
}

static void on_answered(struct kube_request *r, const struct kube_answer *a)
{
    struct leases *l = r->owner;
    struct lease_others *o = &l->others;
    bool good = a->ending == ENDING_DONE && a->status >= 200 && a->status < 300;
    bool listing = o->state == OTHERS_LISTING;
    free(o->body);
    o->body = NULL;
    note(l, listing ? STATS_LEASE_LIST : STATS_LEASE_DELETE, a, good);
    if (!listing)
        on_deleted(l, good);
    else if (good)
        on_list(l, a);
    else
        rest(l);
}

static void on_timer(struct timer *timer)
{
    struct lease_others *o = container_of(timer, struct lease_others, timer);
    struct leases *l = container_of(o, struct leases, others);
    ask(l, OTHERS_LISTING, HTTP_METHOD_GET, o->list_path);
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

void lease_others_init(struct leases *l, const char *label)
{
    struct lease_others *o = &l->others;
    char selector[LEASE_PATH_MAX];
    kube_request_init(&o->request);
    timer_init(&o->timer, on_timer);
    o->request.answered = on_answered;
    lease_query_encode(label, selector, sizeof(selector));
    snprintf(o->list_path, sizeof(o->list_path), "%s?labelSelector=%s", l->folder, selector);
}

void lease_others_begin(struct leases *l)
{
    worker_arm_ms(worker_of(l), &l->others.timer, 0);
}

void lease_others_drain(struct leases *l)
{
    struct lease_others *o = &l->others;
    worker_disarm(worker_of(l), &o->timer);
    kube_cancel(&o->request);
    drop_list(o);
    free(o->body);
    o->body = NULL;
    set_state(o, OTHERS_OVER);
}

void lease_others_fini(struct leases *l)
{
    struct lease_others *o = &l->others;
    if (l->kube->home) {
        worker_disarm(worker_of(l), &o->timer);
        kube_cancel(&o->request);
    }
    drop_list(o);
    free(o->body);
}
