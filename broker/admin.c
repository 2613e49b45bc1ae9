/* broker/admin.c — the admin pages: /livez, /readyz, /metrics, /statusz; and the health listener's, which are
 * those of Konnectivity's proxy-server: /healthz, /readyz, /ready, /metrics.
 *
 * Counters of all workers are read as they stand (single writer each). What only a worker itself may walk,
 * its endpoints, is asked for by message: each worker adds its part to the job and sends it on to the next,
 * the last one home. This is not the data path: it allocates, within bounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "broker/reload.h"
#include "io/engine.h"
#include "io/process.h"
#include "io/tls/tls.h"
#include "io/version.h"
#include "io/worker.h"

enum { STATUS_ENDPOINTS_MAX = 1000 };

static uint64_t total(const struct broker *b, enum counter c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->count; i++)
        sum += atomic_load_explicit(&b->workers[i].counters.values[c], memory_order_relaxed);
    return sum;
}

/* -- /metrics -----------------------------------------------------------------------------------------------
 */

static void print_counters(FILE *out, const struct broker *b)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
#define X(symbol, name, type, help) {name, #type, help},
        COUNTERS(X)
#undef X
    };
    const char *family = "";
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        int len = (int)strcspn(rows[i].name, "{");
        if (strncmp(family, rows[i].name, (size_t)len) != 0 || (family[len] != '{' && family[len] != '\0'))
            fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, rows[i].name, rows[i].help, len,
                    rows[i].name, rows[i].type);
        family = rows[i].name;
        fprintf(out, "%s %llu\n", rows[i].name, (unsigned long long)total(b, (enum counter)i));
    }
}

static void print_phase(FILE *out, const struct broker *b, unsigned phase, const char *name)
{
    uint64_t cumulated = 0, sum = 0;
    for (unsigned bucket = 0; bucket < PHASE_BUCKETS; bucket++) {
        for (unsigned i = 0; i < b->count; i++)
            cumulated += atomic_load_explicit(&b->workers[i].counters.phases[phase].buckets[bucket],
                                              memory_order_relaxed);
        uint64_t bound = phase_bucket_bound_ns(bucket);
        if (bound == UINT64_MAX)
            fprintf(out, "hawser_phase_seconds_bucket{phase=\"%s\",le=\"+Inf\"} %llu\n", name,
                    (unsigned long long)cumulated);
        else
            fprintf(out, "hawser_phase_seconds_bucket{phase=\"%s\",le=\"%.7g\"} %llu\n", name,
                    (double)bound / 1e9, (unsigned long long)cumulated);
    }
    for (unsigned i = 0; i < b->count; i++)
        sum += atomic_load_explicit(&b->workers[i].counters.phases[phase].sum_ns, memory_order_relaxed);
    fprintf(out,
            "hawser_phase_seconds_sum{phase=\"%s\"} %.6f\nhawser_phase_seconds_count{phase=\"%s\"} %llu\n",
            name, (double)sum / 1e9, name, (unsigned long long)cumulated);
}

/* As every client library of Prometheus has them. */
static void print_process(FILE *out)
{
    struct process_usage u;
    process_usage(&u);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"cpu_seconds_total",        "counter", "Total user and system CPU time spent in seconds.",       u.cpu_seconds           },
        {"max_fds",                  "gauge",   "Maximum number of open file descriptors.",               (double)u.max_fds       },
        {"open_fds",                 "gauge",   "Number of open file descriptors.",                       (double)u.open_fds      },
        {"resident_memory_bytes",    "gauge",   "Resident memory size in bytes.",                         (double)u.resident_bytes},
        {"start_time_seconds",       "gauge",   "Start time of the process since unix epoch in seconds.",
         u.start_time                                                                                                             },
        {"virtual_memory_bytes",     "gauge",   "Virtual memory size in bytes.",                          (double)u.virtual_bytes },
        {"virtual_memory_max_bytes", "gauge",   "Maximum amount of virtual memory available in bytes.",
         (double)u.virtual_max_bytes                                                                                              },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        fprintf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", rows[i].name,
                rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
}

static void print_metrics(FILE *out, const struct broker *b, const struct broker_worker *page)
{
    static const char *const phases[PHASE_COUNT] = {
        [PHASE_queue] = "queue",           [PHASE_dial] = "dial",
        [PHASE_tls_full] = "tls_full",     [PHASE_tls_resumed] = "tls_resumed",
        [PHASE_first_byte] = "first_byte", [PHASE_total] = "total"};
    fprintf(out,
            "# HELP hawser_build_info version and engine\n# TYPE hawser_build_info gauge\n"
            "hawser_build_info{version=\"%s\",engine=\"%s\"} 1\n",
            hawser_version(), b->workers[0].engine->ops->name);
    fprintf(out,
            "# HELP hawser_workers workers of this process\n# TYPE hawser_workers gauge\nhawser_workers %u\n",
            b->count);
    print_counters(out, b);
    reload_print_metrics(b->reload, out);
    fprintf(
        out,
        "# HELP hawser_exchanges_total exchanges by how they ended\n# TYPE hawser_exchanges_total counter\n");
    for (unsigned e = 0; e < ENDING_COUNT; e++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < b->count; i++)
            sum += atomic_load_explicit(&b->workers[i].counters.endings[e], memory_order_relaxed);
        fprintf(out, "hawser_exchanges_total{end=\"%s\"} %llu\n", ending_name((enum ending)e),
                (unsigned long long)sum);
    }
    fprintf(out, "# HELP hawser_phase_seconds duration of the phases of a request\n# TYPE "
                 "hawser_phase_seconds histogram\n");
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        print_phase(out, b, p, phases[p]);
    stats_print(out, b, page);
    print_process(out);
}

static void answer_metrics(struct front_conn *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        front_http1_error(c, 503, "out of memory", false);
        return;
    }
    print_metrics(out, c->bw->broker, c->bw);
    fclose(out);
    front_http1_text(c, 200, "text/plain; version=0.0.4", text, len);
    free(text);
}

/* -- /statusz -----------------------------------------------------------------------------------------------
 */

/* Travels from worker to worker; exactly one holds it. */
struct status_job {
    struct broker_worker *home;
    struct front_conn *conn;
    uint64_t conn_number; /* of accepted connections: tells whether conn is still the one that asked */
    unsigned next;
    json_t *root, *workers, *endpoints;
    unsigned endpoints_left;
    uint64_t endpoints_seen;
};

static json_t *ways_of(const struct pool_path *path)
{
    json_t *ways = json_array();
    for (unsigned i = 0; i < path->way_count; i++)
        json_array_append_new(ways, json_string(pool_way_name(path->ways[i])));
    return ways;
}

static bool add_endpoint(const struct endpoint_status *s, void *arg)
{
    struct status_job *job = arg;
    job->endpoints_seen++;
    if (job->endpoints_left == 0)
        return true;
    job->endpoints_left--;
    json_t *o = json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:I, s:I, s:I, s:I}",
                          "host", s->key->host, "port", (int)s->key->port, "node", s->key->node_name, "idle",
                          (int)s->idle, "leased", (int)s->leased, "shared", (int)s->shared, "sharedLeases",
                          (int)s->shares, "dialling", (int)s->dialling, "waiters", (int)s->waiters, "tickets",
                          (int)s->tickets, "breakerOpen", (int)s->breaker_open, "tlsFull",
                          (json_int_t)s->full, "tlsResumed", (json_int_t)s->resumed, "tlsFailed",
                          (json_int_t)s->failed, "requests", (json_int_t)s->requests);
    if (o && s->key->path)
        json_object_set_new(o, "via", ways_of(s->key->path));
    if (o && s->last_failure != ENDING_DONE) {
        json_object_set_new(o, "lastFailure", json_string(ending_name(s->last_failure)));
        json_object_set_new(o, "lastDetail", json_string(s->last_detail));
    }
    json_array_append_new(job->endpoints, o);
    return true;
}

static void add_worker(struct status_job *job, struct broker_worker *bw)
{
    struct worker *w = bw->worker;
    json_t *o = json_pack("{s:i, s:i, s:I, s:I, s:I, s:i, s:i, s:i}", "number", (int)w->number, "cpu", w->cpu,
                          "clients", (json_int_t)w->counters.values[COUNTER_front_connections],
                          "requestsInFlight", (json_int_t)w->counters.values[COUNTER_requests_active],
                          "turns", (json_int_t)w->counters.values[COUNTER_turns], "mailboxDepth",
                          (int)mailbox_depth(w), "buffersSmallInUse", (int)w->bufs.classes[BUF_SMALL].used,
                          "buffersBigInUse", (int)w->bufs.classes[BUF_BIG].used);
    json_array_append_new(job->workers, o);
    pool_each_endpoint(bw->pool, add_endpoint, job);
}

static struct front_conn *asker(const struct status_job *job)
{
    list_each_safe(node, tmp, &job->home->fronts)
    {
        struct front_conn *c = list_entry(node, struct front_conn, node);
        if (c == job->conn && c->number == job->conn_number && c->state == FRONT_EXCHANGE)
            return c;
    }
    return NULL;
}

static void status_finish(struct status_job *job)
{
    struct front_conn *c = asker(job);
    json_object_set_new(job->root, "endpointsKnown", json_integer((json_int_t)job->endpoints_seen));
    char *text = c ? json_dumps(job->root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    if (text)
        front_http1_text(c, 200, "application/json", text, strlen(text));
    else if (c)
        front_http1_error(c, 503, "out of memory", false);
    free(text);
    json_decref(job->root);
    free(job);
}

static void deliver_status(struct worker *w, struct msg *msg)
{
    struct status_job *job = msg->to;
    if (job->next == w->count) {
        status_finish(job);
        return;
    }
    add_worker(job, broker_worker_of(w));
    job->next++;
    struct msg on = {.deliver = deliver_status, .to = job};
    mailbox_post(w, job->next < w->count ? job->next : job->home->worker->number, &on);
}

static void answer_statusz(struct front_conn *c)
{
    const struct broker *b = c->bw->broker;
    struct worker *w = c->bw->worker;
    struct status_job *job = calloc(1, sizeof(*job));
    json_t *root = json_pack("{s:s, s:s, s:s, s:b, s:[], s:[]}", "version", hawser_version(), "engine",
                             b->engine_text, "crypto", tls_provider_text(), "draining", (int)b->draining,
                             "workers", "endpoints");
    if (!job || !root) {
        free(job);
        json_decref(root);
        front_http1_error(c, 503, "out of memory", false);
        return;
    }
    *job = (struct status_job){.home = c->bw,
                               .conn = c,
                               .conn_number = c->number,
                               .root = root,
                               .workers = json_object_get(root, "workers"),
                               .endpoints = json_object_get(root, "endpoints"),
                               .endpoints_left = STATUS_ENDPOINTS_MAX};
    struct msg msg = {.deliver = deliver_status, .to = job};
    mailbox_post(w, 0, &msg);
}

/* -- entry --------------------------------------------------------------------------------------------------
 */

static bool path_is(struct slice path, const char *name)
{
    size_t len = strlen(name);
    return path.len >= len && memcmp(path.data, name, len) == 0 && (path.len == len || path.data[len] == '?');
}

/* Which pages of which listener. */
enum { ON_ADMIN = 1 << PAGES_ADMIN, ON_HEALTH = 1 << PAGES_HEALTH, ON_BOTH = ON_ADMIN | ON_HEALTH };

/* Bodies are those of the proxy-server, on the listener that takes its place. */
static void answer_live(struct front_conn *c)
{
    front_http1_text(c, 200, "text/plain", "ok\n", c->listener->pages == PAGES_HEALTH ? 2 : 3);
}

static const struct {
    const char *name;
    enum stats_strategy stats;
} strategies[CONFIG_STRATEGIES] = {
    [CONFIG_STRATEGY_DEFAULT] = {"default",      STATS_DEFAULT      },
    [CONFIG_STRATEGY_DEST_HOST] = {"destHost",     STATS_DEST_HOST    },
    [CONFIG_STRATEGY_DEFAULT_ROUTE] = {"defaultRoute", STATS_DEFAULT_ROUTE},
};

static bool serves_agents(const struct config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].serves == CONFIG_SERVES_AGENTS)
            return true;
    return false;
}

/* As the proxy-server: it is the first strategy that counts. */
static bool has_agents(const struct broker_worker *bw)
{
    const struct config *config = bw->broker->config;
    return !serves_agents(config) ||
           stats_backends(&bw->stats, strategies[config->agents.strategies[0]].stats) > 0;
}

static void say_no_agents(struct front_conn *c)
{
    const struct config_agents *agents = &c->bw->broker->config->agents;
    char text[160];
    size_t n = (size_t)snprintf(text, sizeof(text), "no connection to any proxy agent");
    for (uint32_t i = 0; i < agents->strategy_count; i++)
        n += (size_t)snprintf(
            text + n, sizeof(text) - n, "\n%s: %llu", strategies[agents->strategies[i]].name,
            (unsigned long long)stats_backends(&c->bw->stats, strategies[agents->strategies[i]].stats));
    front_http1_text(c, 500, "text/plain", text, n);
}

static void answer_ready(struct front_conn *c)
{
    if (c->bw->broker->draining)
        front_http1_error(c, 503, "draining", false);
    else if (!has_agents(c->bw))
        say_no_agents(c);
    else
        answer_live(c);
}

static void answer_profiles(struct front_conn *c)
{
    front_http1_error(c, 501, "Go's profiles do not exist here; see /statusz", false);
}

static const struct {
    const char *path, *below; /* below: what begins so, too */
    unsigned on;
    void (*answer)(struct front_conn *);
} pages[] = {
    {"/livez",       NULL,            ON_BOTH,   answer_live    },
    {"/healthz",     NULL,            ON_BOTH,   answer_live    },
    {"/readyz",      NULL,            ON_BOTH,   answer_ready   },
    {"/ready",       NULL,            ON_HEALTH, answer_ready   },
    {"/metrics",     NULL,            ON_BOTH,   answer_metrics },
    {"/statusz",     NULL,            ON_ADMIN,  answer_statusz },
    {"/debug/pprof", "/debug/pprof/", ON_ADMIN,  answer_profiles},
};

void admin_request(struct front_conn *c, const struct head_view *view)
{
    static const char *const expected[PAGES_COUNT] = {
        [PAGES_ADMIN] = "expected /livez, /readyz, /metrics or /statusz",
        [PAGES_HEALTH] = "expected /healthz, /readyz, /ready or /metrics"};
    if (view->method != HTTP_METHOD_GET && view->method != HTTP_METHOD_HEAD) {
        front_http1_error(c, 405, "the admin pages are read-only; expected GET or HEAD", false);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        bool below = pages[i].below && view->path.len >= strlen(pages[i].below) &&
                     memcmp(view->path.data, pages[i].below, strlen(pages[i].below)) == 0;
        if ((pages[i].on & 1u << c->listener->pages) && (below || path_is(view->path, pages[i].path))) {
            pages[i].answer(c);
            return;
        }
    }
    front_http1_error(c, 404, expected[c->listener->pages], false);
}
