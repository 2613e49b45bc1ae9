/* broker/kube/leases.c — what our Lease and the others' have in common: names, labels, requests, validity. */
#include "broker/kube/leases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/kube/lease_name.h"
#include "broker/kube/lease_time.h"
#include "io/engine.h"

int64_t leases_now_us(const struct leases *l)
{
    struct engine *engine = l->kube->home->worker->engine;
    return (int64_t)(engine->ops->wall_ns(engine) / 1000);
}

/* -- requests -----------------------------------------------------------------------------------------------
 */

void lease_ask(struct leases *l, struct kube_request *r, enum http_method method, const char *path,
               char **body)
{
    r->method = method;
    r->path = path;
    r->body = *body;
    r->len = *body ? strlen(*body) : 0;
    r->deadline_ns = l->kube->home->worker->now_ns + LEASE_REQUEST_MS * 1000000ull;
    r->urgent = true; /* few and regular: they never keep a TokenReview waiting */
    r->owner = l;
    kube_request(l->kube, r);
}

/* -- validity -----------------------------------------------------------------------------------------------
 */

bool lease_is_valid(const json_t *lease, int64_t now_us)
{
    const json_t *spec = json_object_get(lease, "spec");
    const char *when = json_string_value(json_object_get(spec, "renewTime"));
    json_int_t duration_s = json_integer_value(json_object_get(spec, "leaseDurationSeconds"));
    int64_t from_us;
    if (!when)
        when = json_string_value(json_object_get(spec, "acquireTime"));
    if (!when || !lease_time_parse(when, &from_us) || duration_s <= 0 || duration_s > INT32_MAX)
        return false;
    return from_us + duration_s * 1000000 > now_us;
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

static int refuse(char *detail, size_t size, const char *field, const char *found, const char *expected)
{
    snprintf(detail, size, "%s: found \"%.200s\", expected %s", field, found, expected);
    return -EINVAL;
}

static int set_names(struct leases *l, const struct lease_options *o, char *detail, size_t size)
{
    int n = snprintf(l->name, sizeof(l->name), "konnectivity-proxy-server-%s", o->server_id);
    if (n < 0 || (size_t)n >= sizeof(l->name) || !lease_name_is_valid(l->name))
        return refuse(detail, size, "agents.serverId", o->server_id,
                      "lower-case letters, digits, '-' and '.', because the name of a Lease is made of it");
    snprintf(l->holder, sizeof(l->holder), "%s", o->server_id);
    if (strlen(o->namespace) > LEASE_SPACE_MAX || strchr(o->namespace, '.') ||
        !lease_name_is_valid(o->namespace))
        return refuse(detail, size, "agents.leases.namespace", o->namespace, "the name of a namespace");
    snprintf(l->folder, sizeof(l->folder), "/apis/coordination.k8s.io/v1/namespaces/%s/leases", o->namespace);
    l->labels = strlen(o->label) <= LEASE_LABEL_MAX ? lease_labels(o->label) : NULL;
    if (!l->labels)
        return refuse(detail, size, "agents.leases.label", o->label,
                      "name=value, or several with commas between");
    return 0;
}

int leases_new(struct kube *k, const struct lease_options *o, struct leases **ret, char *ret_detail,
               size_t detail_size)
{
    struct leases *l = calloc(1, sizeof(*l));
    if (!l) {
        snprintf(ret_detail, detail_size, "out of memory");
        return -ENOMEM;
    }
    l->kube = k;
    atomic_init(&l->valid, -1);
    lease_own_init(l);
    int rc = set_names(l, o, ret_detail, detail_size);
    lease_others_init(l, o->label);
    if (rc < 0)
        leases_free(&l);
    else
        *ret = l;
    return rc;
}

void leases_open(struct leases *l)
{
    lease_own_begin(l);
    lease_others_begin(l);
}

void leases_drain(struct leases *l)
{
    if (l->draining)
        return;
    l->draining = true;
    lease_others_drain(l);
    lease_own_drain(l);
}

void leases_abandon(struct leases *l)
{
    lease_own_abandon(l);
}

void leases_free(struct leases **lp)
{
    struct leases *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    lease_own_fini(l);
    lease_others_fini(l);
    json_decref(l->labels);
    free(l);
}
