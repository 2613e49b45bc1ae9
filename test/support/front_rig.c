/* test/support/front_rig.c — see front_rig.h. The wrapped calls keep the contracts of broker/front.h and
 * assert the asker's. */
#include "test/support/front_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/http/http1_parse.h"
#include "broker/konnectivity/agent_call.h"
#include "broker/konnectivity/agents.h"
#include "broker/konnectivity/proxy.h"

struct front_rig rig;
static struct played all_played[PLAYED_MAX]; /* zero beyond what was asked */

bool __wrap_exchange_begin(struct front_conn *, const struct asker_ops *, void *, struct exchange **,
                           const struct head_view *);
void __wrap_exchange_body(struct exchange *, struct seg, bool);
void __wrap_exchange_request_end(struct exchange *, const struct head_view *);
void __wrap_exchange_release(struct exchange *);
void __wrap_exchange_credit(struct exchange *, struct outbox_credit);
void __wrap_exchange_client_gone(struct exchange *, enum ending);
void __wrap_exchange_client_done(struct exchange *);
void __wrap_exchange_client_closed(struct exchange *);
void __wrap_exchange_complete(struct exchange *);
void __wrap_broker_standing(struct broker_worker *, const struct config_listener *, const struct net_peer *,
                            const struct stream *, struct standing *);

static struct played *played_of(struct exchange *ex)
{
    return container_of(ex, struct played, ex);
}

static void copy(char *to, size_t size, struct slice from)
{
    snprintf(to, size, "%.*s", (int)from.len, from.data);
}

/* -- the asker's calls --------------------------------------------------------------------------------------
 */

bool __wrap_exchange_begin(struct front_conn *c, const struct asker_ops *ops, void *asker,
                           struct exchange **ret_slot, const struct head_view *view)
{
    if (rig.refuse_from && rig.asked + 1 >= rig.refuse_from)
        return false;
    ASSERT(rig.asked < PLAYED_MAX);
    struct played *p = &rig.played[rig.asked++];
    p->ex = (struct exchange){.bw = &rig.bw, .conn = c, .ops = ops, .asker = asker};
    p->ex.form = view->method == HTTP_METHOD_CONNECT ? EXCHANGE_CONNECT : EXCHANGE_REQUEST;
    p->ex.progress = EXCHANGE_OPENED;
    p->form = view->form;
    copy(p->method, sizeof(p->method), view->method_text);
    copy(p->host, sizeof(p->host), view->authority.host);
    copy(p->path, sizeof(p->path), view->path);
    p->port = view->authority.port;
    p->expects = view->expect_continue;
    const struct head_field_view *cookie = head_view_find(view, HTTP_FIELD_COOKIE);
    if (cookie)
        copy(p->cookie, sizeof(p->cookie), cookie->value);
    bool bodiless = view->body == BODY_NONE || (view->body == BODY_LENGTH && view->length == 0);
    p->ended_at_once = p->ended = bodiless && p->ex.form == EXCHANGE_REQUEST;
    p->ex.request_ended = p->ended;
    *ret_slot = &p->ex;
    return true;
}

void __wrap_exchange_body(struct exchange *ex, struct seg seg, bool ended)
{
    struct played *p = played_of(ex);
    ASSERT(p->end == PLAYED_RUNS);
    if (ex->last_heard) {
        uint32_t len = seg.len;
        worker_release_seg(&rig.world.worker, seg);
        if (ex->progress == EXCHANGE_TUNNEL)
            ex->ops->cut(ex->asker, ENDING_PEER_RESET);
        else
            ex->ops->grant(ex->asker, len);
        return;
    }
    ASSERT(!p->ended);
    ASSERT(seg.len > 0);
    fifo_put(&p->body, seg.data, seg.len);
    p->received += seg.len;
    ASSERT(p->received - p->granted <= EXCHANGE_BUDGET);
    p->pieces++;
    p->ended = ex->request_ended = ended;
    worker_release_seg(&rig.world.worker, seg);
}

void __wrap_exchange_request_end(struct exchange *ex, const struct head_view *trailers)
{
    struct played *p = played_of(ex);
    size_t at = 0;
    ASSERT(p->end == PLAYED_RUNS);
    ASSERT(!p->ended || ex->last_heard);
    p->ended = ex->request_ended = true;
    for (uint32_t i = 0; trailers && i < trailers->fields_n; i++)
        at += (size_t)snprintf(p->trailers + at, sizeof(p->trailers) - at, "%.*s=%.*s;",
                               (int)trailers->fields[i].name.len, trailers->fields[i].name.data,
                               (int)trailers->fields[i].value.len, trailers->fields[i].value.data);
}

void __wrap_exchange_release(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    played_of(ex)->released = true;
}

void __wrap_exchange_credit(struct exchange *ex, struct outbox_credit credit)
{
    struct played *p = played_of(ex);
    ASSERT(p->end == PLAYED_RUNS);
    p->credited += credit.bytes;
    if (credit.seg.buf)
        worker_release_seg(&rig.world.worker, credit.seg);
}

static void settle(struct exchange *ex, enum played_end end)
{
    struct played *p = played_of(ex);
    ASSERT(p->end == PLAYED_RUNS);
    ASSERT(ex->asker != NULL);
    p->end = end;
    ex->conn = NULL;
    ex->asker = NULL;
}

void __wrap_exchange_client_gone(struct exchange *ex, enum ending reason)
{
    settle(ex, PLAYED_GONE);
    played_of(ex)->reason = reason;
}

void __wrap_exchange_client_done(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    settle(ex, PLAYED_DONE);
}

void __wrap_exchange_client_closed(struct exchange *ex)
{
    ASSERT(ex->progress == EXCHANGE_TUNNEL);
    ASSERT(!ex->request_ended);
    settle(ex, PLAYED_CLOSED);
}

void __wrap_exchange_complete(struct exchange *ex)
{
    ASSERT(ex->last_heard || ex->progress == EXCHANGE_BEGUN);
    settle(ex, PLAYED_COMPLETE);
}

void __wrap_broker_standing(struct broker_worker *bw, const struct config_listener *config,
                            const struct net_peer *peer, const struct stream *tls, struct standing *ret)
{
    (void)bw;
    (void)config;
    (void)peer;
    (void)tls;
    memset(ret, 0, sizeof(*ret));
}

/* -- the other half's words ---------------------------------------------------------------------------------
 */

static bool is_heard(const struct played *p)
{
    return p->end == PLAYED_RUNS;
}

static void say_last(struct played *p)
{
    p->ex.last_heard = true;
    if (!is_heard(p))
        return;
    uint32_t owed = (uint32_t)(p->received - p->granted);
    p->granted += owed;
    if (owed > 0)
        p->ex.ops->grant(p->ex.asker, owed);
    p->ex.ops->heard(p->ex.asker);
}

static struct head *pack(struct buf *b, const struct head_view *view)
{
    struct head *head;
    ASSERT(head_pack(view, NULL, b->mem, b->cap, &head) == 0);
    return head;
}

void play_head(struct played *p, const char *text)
{
    struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct http1_limits limits = HTTP1_RESPONSE_LIMITS;
    struct slice of_method = slice_of_text(p->method);
    ssize_t n = http1_parse_response(&limits, http_method_of(of_method), slice_of_text(text), &scan, &view,
                                     &error);
    ASSERT(n == (ssize_t)strlen(text));
    if (!is_heard(p))
        return;
    struct buf *b = buf_get(&rig.world.worker.bufs, BUF_HUGE);
    ASSERT(b != NULL);
    if (view.status >= 200)
        p->ex.progress = EXCHANGE_HEAD;
    p->ex.ops->head(p->ex.asker, pack(b, &view));
    buf_unref(b);
}

void play_data(struct played *p, const void *bytes, size_t len, bool last)
{
    const uint8_t *from = bytes;
    while (len > 0 && is_heard(p)) {
        uint32_t n = len < BUF_BIG_BYTES ? (uint32_t)len : BUF_BIG_BYTES;
        struct buf *b = buf_get_bytes(&rig.world.worker.bufs, n);
        ASSERT(b != NULL);
        memcpy(b->mem, from, n);
        p->ex.ops->data(p->ex.asker, (struct seg){.buf = b, .data = b->mem, .len = n});
        from += n;
        len -= n;
    }
    if (last)
        say_last(p);
}

void play_end(struct played *p, const char *trailers)
{
    struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct http1_limits limits = HTTP1_TRAILER_LIMITS;
    struct buf *b = trailers ? buf_get(&rig.world.worker.bufs, BUF_BIG) : NULL;
    if (trailers)
        ASSERT(http1_parse_trailers(&limits, slice_of_text(trailers), &scan, &view, &error) > 0);
    if (is_heard(p))
        p->ex.ops->end(p->ex.asker, b ? pack(b, &view) : NULL);
    if (b)
        buf_unref(b);
    say_last(p);
}

void play_connected(struct played *p)
{
    p->ex.progress = EXCHANGE_TUNNEL;
    p->ex.request_ended = p->ended = false;
    if (is_heard(p))
        p->ex.ops->connected(p->ex.asker);
}

void play_fin(struct played *p)
{
    if (is_heard(p))
        p->ex.ops->fin(p->ex.asker);
}

void play_reset(struct played *p, enum ending reason)
{
    if (!is_heard(p))
        return;
    p->ex.ending = reason;
    if (p->ex.progress >= EXCHANGE_HEAD) {
        p->ex.last_heard = true;
        p->ex.ops->cut(p->ex.asker, reason);
        ASSERT(!is_heard(p));
        return;
    }
    int status = ending_status(reason);
    p->ex.ops->refuse(p->ex.asker, status ? (unsigned)status : 502, ending_text(reason));
    say_last(p);
}

void play_grant(struct played *p, uint32_t bytes)
{
    p->granted += bytes;
    ASSERT(p->granted <= p->received);
    if (is_heard(p))
        p->ex.ops->grant(p->ex.asker, bytes);
}

/* -- beginning and end --------------------------------------------------------------------------------------
 */

struct front_conn *front_rig_conn(void)
{
    struct list *fronts = list_empty(&rig.bw.fronts) ? &rig.bw.agent_fronts : &rig.bw.fronts;
    return list_empty(fronts) ? NULL : list_entry(fronts->next, struct front_conn, node);
}

static void start(enum config_serves serves)
{
    memset(&rig, 0, sizeof(rig));
    world_init(&rig.world, NULL);
    rig.played = all_played;
    rig.config.http2.streams_max = 100;
    rig.broker.config = &rig.config;
    rig.broker.times = (struct broker_times){.client_tls_ms = 5000,
                                             .client_idle_ms = 60000,
                                             .head_ms = 5000,
                                             .linger_ms = 2000,
                                             .half_closed_ms = 10000};
    rig.broker.request_limits = HTTP1_REQUEST_LIMITS;
    rig.broker.connect_limits = HTTP1_CONNECT_LIMITS;
    rig.broker.response_limits = HTTP1_RESPONSE_LIMITS;
    rig.bw.broker = &rig.broker;
    rig.bw.budget = EXCHANGE_BUDGET;
    rig.bw.worker = &rig.world.worker;
    rig.world.worker.app = &rig.bw;
    list_init(&rig.bw.fronts);
    list_init(&rig.bw.agent_fronts);
    slab_init(&rig.bw.conns, "clients", sizeof(struct front_conn), 4);
    slab_init(&rig.bw.http2_fronts, "HTTP/2 clients", sizeof(struct front_http2), 4);
    slab_init(&rig.bw.http2_streams, "HTTP/2 streams", sizeof(struct http2_stream), PLAYED_MAX);
    slab_init(&rig.bw.proxy_streams, "Konnectivity streams", sizeof(struct proxy_stream), 64);
    slab_init(&rig.bw.proxy_tunnels, "Konnectivity tunnels", sizeof(struct proxy_tunnel), PLAYED_MAX);
    slab_init(&rig.bw.seg_nodes, "segments", sizeof(struct segq_node), 1u << 16);
    rig.listener_config.serves = serves;
    rig.listener = (struct front_listener){.bw = &rig.bw, .config = &rig.listener_config};
    if (serves == CONFIG_SERVES_AGENTS) {
        rig.bw.agent_home = agent_home_new(&rig.bw, PLAYED_MAX);
        ASSERT(rig.bw.agent_home != NULL);
        ASSERT(agents_new(&rig.bw, &rig.bw.agents) == 0);
    }
    rig.pipe = pipe_new(&rig.world);
    struct net_peer peer = {.has_credentials = true};
    ASSERT(front_conn_new(&rig.bw, &rig.listener, &rig.pipe->stream, &peer) != NULL);
}

void front_rig_start(void)
{
    start(CONFIG_SERVES_REQUESTS);
}

void front_rig_start_agents(void)
{
    start(CONFIG_SERVES_AGENTS);
}

void front_rig_stop(void)
{
    if (front_rig_conn())
        pipe_reset(rig.pipe);
    world_turns(&rig.world, 3);
    ASSERT(list_empty(&rig.bw.fronts) && list_empty(&rig.bw.agent_fronts));
    agent_home_free(&rig.bw.agent_home);
    agents_free(&rig.bw.agents);
    for (unsigned i = 0; i < rig.asked; i++) {
        ASSERT(rig.played[i].end != PLAYED_RUNS);
        fifo_free(&rig.played[i].body);
    }
    memset(all_played, 0, rig.asked * sizeof(all_played[0]));
    slab_fini(&rig.bw.conns);
    slab_fini(&rig.bw.http2_fronts);
    slab_fini(&rig.bw.http2_streams);
    slab_fini(&rig.bw.proxy_streams);
    slab_fini(&rig.bw.proxy_tunnels);
    slab_fini(&rig.bw.seg_nodes);
    ASSERT(world_buffers_used(&rig.world) == 0);
    world_fini(&rig.world);
}
