/* broker/front_open.c — the beginning of an exchange: judged by the route table before anything is sent
 * anywhere.
 *
 * No match is a refusal. What a request asks for decides its form: a tunnel (CONNECT), an upgrade, or a plain
 * request. Tunnels and upgrades take connections of their own, requests those of the pool.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/front.h"
#include "broker/front_bridge.h"
#include "broker/route.h"
#include "io/worker.h"

enum { LIMIT_TEXT_MAX = 96 };

static struct worker *worker_of(const struct exchange *ex)
{
    return ex->bw->worker;
}

/* -- birth --------------------------------------------------------------------------------------------------
 */

/* Kubernetes' streaming protocols (facts: kubelet's streaming server); any other upgrade is not passed on,
 * and the request is answered without it, as RFC 9110 section 7.8 allows. */
static bool is_streaming(struct slice protocol)
{
    return slice_eq_nocase(protocol, SLICE("SPDY/3.1")) || slice_eq_nocase(protocol, SLICE("websocket"));
}

static enum exchange_form form_of(const struct head_view *view)
{
    if (view->method == HTTP_METHOD_CONNECT)
        return EXCHANGE_CONNECT;
    const struct head_field_view *upgrade = view->upgrade ? head_view_find(view, HTTP_FIELD_UPGRADE) : NULL;
    return upgrade && is_streaming(upgrade->value) ? EXCHANGE_UPGRADE : EXCHANGE_REQUEST;
}

enum counter exchange_gauge(enum exchange_form form)
{
    return form == EXCHANGE_REQUEST ? COUNTER_requests_active : COUNTER_tunnels_active;
}

bool exchange_is_http_connect(const struct exchange *ex)
{
    return ex->form == EXCHANGE_CONNECT && strcmp(ex->access.protocol, "grpc") != 0;
}

enum caller_use exchange_use(enum exchange_form form)
{
    return form == EXCHANGE_REQUEST ? CALLER_REQUEST : CALLER_TUNNEL;
}

/* The path goes where there is room for it. */
static void begin_record(struct access_record *a, const char *protocol, uint64_t now_ns,
                         const struct head_view *view)
{
    a->protocol = protocol;
    a->started_ns = now_ns;
    slice_copy_text(view->method_text, a->method, sizeof(a->method));
    slice_copy_text(view->authority.host, a->host, sizeof(a->host));
    a->port = view->authority.port;
    if (!a->path)
        return;
    const char *query = view->path.len ? memchr(view->path.data, '?', view->path.len) : NULL;
    uint32_t path_len = query ? (uint32_t)(query - view->path.data) : view->path.len;
    slice_copy_text(slice_first(view->path, path_len), a->path, ACCESS_TEXT_MAX);
}

/* Counts it as its caller's. NULL, or the limit that is reached. */
static const char *admit(struct exchange *ex)
{
    struct callers *callers = ex->bw->broker->callers;
    const struct worker *w = worker_of(ex);
    enum caller_use use = exchange_use(ex->form);
    if (caller_admit(callers, w->number, ex->caller, use, w->now_ns))
        return NULL;
    return use == CALLER_TUNNEL ? "limits.tunnelsMax" : "limits.requestsInFlightMax";
}

/* NULL: a limit is reached, *ret_limit says which. */
static struct exchange *exchange_new(struct front_conn *c, enum exchange_form form, const char **ret_limit)
{
    struct broker_worker *bw = c->bw;
    struct exchange *ex = bw->free_count > 0 ? slab_take(&bw->exchanges) : NULL;
    *ret_limit = "memory for exchanges";
    if (!ex)
        return NULL;
    ex->bw = bw;
    ex->conn = c;
    ex->form = form;
    ex->caller = c->standing.caller;
    if (form != EXCHANGE_CONNECT)
        ex->access.path = slab_take(&bw->texts);
    if (form == EXCHANGE_CONNECT || ex->access.path)
        *ret_limit = admit(ex);
    if (*ret_limit) {
        if (ex->access.path)
            slab_give(&bw->texts, ex->access.path);
        slab_give(&bw->exchanges, ex);
        return NULL;
    }
    ex->slot = bw->free_slots[--bw->free_count];
    list_init(&ex->node);
    list_add_tail(&bw->exchanges_open, &ex->node);
    counter_add(bw->worker, form == EXCHANGE_REQUEST ? COUNTER_requests : COUNTER_tunnels, 1);
    counter_add(bw->worker, exchange_gauge(form), 1);
    return ex;
}

static void log_limit(struct front_conn *c, const char *limit, char text[LIMIT_TEXT_MAX])
{
    struct worker *w = c->bw->worker;
    log_begin(w, LOG_WARN, "request_refused");
    front_log_client(c);
    log_u64(w, "status", 503);
    snprintf(text, LIMIT_TEXT_MAX, "%s is reached, or this caller's share of it", limit);
    log_str(w, "reason", text);
    log_end(w);
}

static void refuse_for_limit(struct front_conn *c, const char *protocol, const struct head_view *view,
                             const char *limit)
{
    char text[LIMIT_TEXT_MAX];
    struct worker *w = c->bw->worker;
    char path[ACCESS_TEXT_MAX];
    struct access_record record = {.status = 503, .path = path, .detail = text};
    exchange_count_ending(w, ENDING_LIMIT);
    log_limit(c, limit, text);
    begin_record(&record, protocol, w->now_ns, view);
    front_audit_limit(c, &record);
}

/* -- judging ------------------------------------------------------------------------------------------------
 */

static uint32_t identity_for(const struct broker_route *route, enum exchange_form form,
                             enum http_scheme scheme)
{
    switch (form) {
    case EXCHANGE_CONNECT: return IDENTITY_OPAQUE;
    case EXCHANGE_UPGRADE: return scheme == HTTP_SCHEME_HTTPS ? route->upgrade_identity : IDENTITY_OPAQUE;
    case EXCHANGE_REQUEST: return scheme == HTTP_SCHEME_HTTPS ? route->identity : IDENTITY_PLAIN;
    }
    ASSERT(!"a form of an exchange");
    return IDENTITY_NONE;
}

static bool key_of(const struct broker_worker *bw, const struct broker_route *route,
                   const struct head_view *view, const struct pool_profile *profile, struct endpoint_key *key)
{
    memset(key, 0, sizeof(*key));
    struct slice host = view->authority.host;
    key->profile = profile;
    key->path = route->path;
    if (host.len == 0 || host.len >= sizeof(key->host) || !key->profile)
        return false;
    for (uint32_t i = 0; i < host.len; i++)
        key->host[i] = (char)tolower((unsigned char)host.data[i]);
    if (host.len > 1 && key->host[host.len - 1] == '.')
        key->host[host.len - 1] = '\0'; /* "a.b." and "a.b" are one name */
    key->port = view->authority.port;
    key->rules = view->authority.kind == HOST_NAME ? (uint32_t)(route - bw->broker->route_table) + 1
                                                   : BROKER_RULES_LITERAL;
    if (key->profile->tls)
        broker_node_name(bw, route, key->host, key->node_name, sizeof(key->node_name));
    return true;
}

/* -- opening ------------------------------------------------------------------------------------------------
 */

static const char *authorization_of(const struct broker_worker *bw, const struct broker_route *route)
{
    const struct config_tls_profile *profile = route->config->profile;
    return bw->credentials->authorizations[profile - bw->broker->config->tls_profiles].text;
}

/* Room for what OPEN carries, with the head packed where the form has one. NULL: refused already. */
static struct buf *make_open(struct exchange *ex, const struct head_view *view,
                             const struct broker_route *route, const struct endpoint_key *key,
                             uint32_t *ret_len)
{
    struct head_change changes[2] = {
        {HEAD_ADD, SLICE_INIT("Via"), ex->conn->http2 ? SLICE("2 hawser") : SLICE("1.1 hawser")}
    };
    struct head_edit edit = {
        .changes = changes, .changes_n = 1, .keep_upgrade = ex->form == EXCHANGE_UPGRADE};
    bool has_head = ex->form != EXCHANGE_CONNECT;
    const char *authorization = key->profile->tls ? authorization_of(ex->bw, route) : "";
    if (*authorization)
        changes[edit.changes_n++] = (struct head_change){HEAD_SET, SLICE_INIT("Authorization"),
                                                         slice_of_text(authorization)};
    size_t bound = sizeof(struct exchange_open) + (has_head ? head_pack_bound(view, &edit) : 0);
    struct buf *b = bound <= BUF_HUGE_BYTES ? buf_get_bytes(&worker_of(ex)->bufs, (uint32_t)bound) : NULL;
    if (!b) {
        exchange_refuse(ex, ENDING_LIMIT, "out of buffers");
        return NULL;
    }
    struct exchange_open *open = (struct exchange_open *)b->mem;
    struct head *head = NULL;
    if (has_head && head_pack(view, &edit, open->head, b->cap - sizeof(*open), &head) < 0) {
        buf_unref(b);
        exchange_refuse(ex, ENDING_INTERNAL, "the request head could not be packed");
        return NULL;
    }
    *ret_len = (uint32_t)sizeof(*open) + (head ? head->size : 0);
    return b;
}

/* Who asks for a tunnel gets a dial of his own, which hangs as long as the destination is silent. Counted as
 * what it begins with: the dials of agents bound themselves, and shall not stop those of ours. */
static bool admit_dial(struct exchange *ex, const struct endpoint_key *key)
{
    static const char *const limits[CALLER_USES] = {
        [CALLER_DIAL] = "pool.handshakesInFlightMax", [CALLER_AGENT_DIAL] = "agents.pendingDialsMax"};
    char text[LIMIT_TEXT_MAX];
    const struct worker *w = worker_of(ex);
    bool by_agent = key->path && key->path->ways[0] == POOL_WAY_AGENT;
    if (ex->form == EXCHANGE_REQUEST)
        return true;
    ex->dial_use = by_agent ? CALLER_AGENT_DIAL : CALLER_DIAL;
    ex->dialling = caller_admit(ex->bw->broker->callers, w->number, ex->caller, ex->dial_use, w->now_ns);
    if (ex->dialling)
        return true;
    log_limit(ex->conn, limits[ex->dial_use], text);
    exchange_refuse(ex, ENDING_LIMIT, text);
    return false;
}

static void send_open(struct exchange *ex, const struct head_view *view, const struct broker_route *route,
                      const struct endpoint_key *key)
{
    struct worker *w = worker_of(ex);
    uint32_t len;
    if (!admit_dial(ex, key))
        return;
    if (key->profile->insecure) {
        ex->access.insecure = true;
        counter_add(w, COUNTER_requests_insecure, 1);
    }
    struct buf *b = make_open(ex, view, route, key, &len);
    if (!b)
        return;
    struct exchange_open *open = (struct exchange_open *)b->mem;
    open->front = ex;
    open->deliver = exchange_deliver;
    open->key = *key;
    open->identity = key->profile->id;
    open->form = ex->form;
    open->lease_ms = ex->form == EXCHANGE_CONNECT ? ex->bw->broker->config->timeouts.tunnel_answer_ms
                                                  : route->lease_ms;
    open->first_byte_ms = route->first_byte_ms;
    open->inside = NULL;
    unsigned home = ex->form == EXCHANGE_REQUEST ? (unsigned)(endpoint_key_hash(key) % w->count) : w->number;
    bool bodiless = view->body == BODY_NONE || (view->body == BODY_LENGTH && view->length == 0);
    exchange_open_at(ex, home, (struct seg){b, b->mem, len, 0}, bodiless && ex->form != EXCHANGE_CONNECT);
}

/* The CONNECT was judged; a request inside goes where it went, whatever its own authority says. */
static void begin_inside_bridge(struct exchange *ex, const struct head_view *view)
{
    const struct front_bridge *bridge = ex->conn->bridge;
    struct endpoint_key key = bridge->key;
    snprintf(ex->access.host, sizeof(ex->access.host), "%s", key.host);
    ex->access.port = key.port;
    ex->access.route = bridge->route->name;
    if (ex->form == EXCHANGE_CONNECT || view->form == TARGET_ASTERISK) {
        exchange_refuse(ex, ENDING_BAD_REQUEST, "a request target that no kubelet serves; expected a path");
        return;
    }
    key.profile = credentials_profile(ex->bw->credentials,
                                      identity_for(bridge->route, ex->form, HTTP_SCHEME_HTTPS));
    send_open(ex, view, bridge->route, &key);
}

bool exchange_begin(struct front_conn *c, const struct asker_ops *ops, void *asker,
                    struct exchange **ret_slot, const struct head_view *view)
{
    enum exchange_form form = form_of(view);
    const char *limit;
    struct exchange *ex = exchange_new(c, form, &limit);
    if (!ex) {
        refuse_for_limit(c, ops->protocol, view, limit);
        return false;
    }
    ex->ops = ops;
    ex->asker = asker;
    *ret_slot = ex;
    begin_record(&ex->access, ops->protocol, worker_of(ex)->now_ns, view);
    if (exchange_is_http_connect(ex))
        stats_gauge_add(&ex->bw->stats, STATS_HTTP_CONNECTIONS, 1);
    if (c->bridge) {
        begin_inside_bridge(ex, view);
        return true;
    }
    if (form != EXCHANGE_CONNECT && view->form != TARGET_ABSOLUTE) {
        exchange_refuse(
            ex, ENDING_BAD_REQUEST,
            "the request target is not in absolute form; expected METHOD http(s)://host:port/path");
        return true;
    }
    const struct broker_route *route;
    char detail[160];
    enum ending verdict = broker_judge(c->bw->broker, &c->standing, view, &route, detail, sizeof(detail));
    if (verdict != ENDING_DONE) {
        exchange_refuse(ex, verdict, detail);
        return true;
    }
    ex->access.route = route->name;
    struct endpoint_key key;
    bool bridge = form == EXCHANGE_CONNECT && route->config->bridge;
    uint32_t identity = bridge ? route->identity : identity_for(route, form, view->scheme);
    if (!key_of(c->bw, route, view, credentials_profile(c->bw->credentials, identity), &key))
        exchange_refuse(ex, ENDING_NO_ROUTE, "the route has no TLS profile for https");
    else if (!bridge)
        send_open(ex, view, route, &key);
    else if (ex->ops->bridge)
        ex->ops->bridge(asker, route, &key);
    else
        front_bridge_tunnel(ex, route, &key);
    return true;
}
