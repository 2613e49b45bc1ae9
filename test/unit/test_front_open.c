/* test/unit/test_front_open.c — which limit a tunnel is counted against while it waits for its answer: our
 * own dials, or those of agents. The judge is scripted, and so is the other half: it answers when the test
 * says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/front.h"
#include "test/support/world.h"

enum { ASKED_MAX = 64, DIALS = 4, AGENT_DIALS = 8 };

struct asked {
    struct exchange *ex; /* NULL: it is over */
    unsigned status;     /* refused with it */
    bool connected;
    char text[400];
};

static struct {
    struct world world;
    struct config config;
    struct config_listener listener_config;
    struct front_listener listener;
    struct broker broker;
    struct broker_worker bw;
    struct credentials credentials;
    const struct pool_profile *profiles[IDENTITIES_OWN];
    struct front_conn clients[2];
    struct asked asked[ASKED_MAX];
    unsigned count;
} t;

static const struct pool_profile opaque = {.id = IDENTITY_OPAQUE, .single_use = true};
static const struct pool_path agent_only = {.id = 1, .way_count = 1, .ways = {POOL_WAY_AGENT}};
static const struct pool_path agent_first = {
    .id = 2, .way_count = 2, .ways = {POOL_WAY_AGENT, POOL_WAY_DIRECT}
};
static const struct pool_path direct_first = {
    .id = 3, .way_count = 2, .ways = {POOL_WAY_DIRECT, POOL_WAY_AGENT}
};
static struct config_route route_config;
static const struct broker_route routes[] = {
    {.name = "direct",         .config = &route_config},
    { .name = "agent-only", .config = &route_config,     .path = &agent_only},
    { .name = "agent-first", .config = &route_config,    .path = &agent_first},
    { .name = "direct-first", .config = &route_config,   .path = &direct_first},
};

enum { DIRECT, AGENT_ONLY, AGENT_FIRST, DIRECT_FIRST };

/* -- what is played -----------------------------------------------------------------------------------------
 */

enum ending __wrap_broker_judge(const struct broker *, const struct standing *, const struct head_view *,
                                const struct broker_route **, char *, size_t);
void __wrap_egress_deliver(struct worker *, struct msg *);

/* The port is the number of the route. */
enum ending __wrap_broker_judge(const struct broker *b, const struct standing *standing,
                                const struct head_view *view, const struct broker_route **ret_route,
                                char *detail, size_t detail_size)
{
    (void)b;
    (void)standing;
    (void)detail;
    (void)detail_size;
    *ret_route = &routes[view->authority.port];
    return ENDING_DONE;
}

void __wrap_egress_deliver(struct worker *w, struct msg *msg)
{
    if (msg->seg.buf)
        worker_release_seg(w, msg->seg);
}

static void on_refuse(void *asker, unsigned status, const char *text)
{
    struct asked *a = asker;
    a->status = status;
    snprintf(a->text, sizeof(a->text), "%s", text);
}

static void on_connected(void *asker)
{
    struct asked *a = asker;
    a->connected = true;
}

static void on_end(void *asker)
{
    struct asked *a = asker;
    struct exchange *ex = a->ex;
    a->ex = NULL;
    exchange_complete(ex);
}

static void on_cut(void *asker, enum ending reason)
{
    struct asked *a = asker;
    struct exchange *ex = a->ex;
    a->ex = NULL;
    exchange_client_gone(ex, reason);
}

static const struct asker_ops ops = {
    .protocol = "test", .refuse = on_refuse, .connected = on_connected, .cut = on_cut, .heard = on_end};

/* -- set up -------------------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    static const struct log_options quiet = {.fd = -1, .level = LOG_ERROR};
    const uint32_t limits[CALLER_USES] = {[CALLER_REQUEST] = 64,
                                          [CALLER_TUNNEL] = 64,
                                          [CALLER_DIAL] = DIALS,
                                          [CALLER_AGENT_DIAL] = AGENT_DIALS};
    (void)state;
    memset(&t, 0, sizeof(t));
    log_configure(&quiet);
    world_init(&t.world, NULL);
    t.profiles[IDENTITY_OPAQUE] = &opaque;
    t.credentials = (struct credentials){.profiles = t.profiles, .profile_count = IDENTITIES_OWN};
    t.broker.config = &t.config;
    t.broker.count = 1;
    assert_int_equal(callers_new(1, limits, &t.broker.callers), 0);
    t.bw.broker = &t.broker;
    t.bw.worker = &t.world.worker;
    t.bw.credentials = &t.credentials;
    t.world.worker.app = &t.bw;
    list_init(&t.bw.exchanges_open);
    slab_init(&t.bw.exchanges, "exchanges", sizeof(struct exchange), ASKED_MAX);
    slab_init(&t.bw.texts, "texts", ACCESS_TEXT_MAX, 2 * ASKED_MAX);
    t.bw.free_slots = calloc(ASKED_MAX, sizeof(*t.bw.free_slots));
    for (uint32_t i = 0; i < ASKED_MAX; i++)
        t.bw.free_slots[t.bw.free_count++] = i;
    t.listener.config = &t.listener_config;
    for (unsigned i = 0; i < ARRAY_SIZE(t.clients); i++) {
        struct caller_key key = {.listener = i};
        t.clients[i] = (struct front_conn){.bw = &t.bw, .listener = &t.listener};
        t.clients[i].standing.caller = caller_of(t.broker.callers, 0, &key);
    }
    return 0;
}

static void last_word(struct asked *a)
{
    struct msg msg = {.kind = EX_RESET, .value = ENDING_REFUSED, .to = a->ex};
    if (!a->ex)
        return;
    if (a->ex->progress == EXCHANGE_BEGUN)
        on_end(a);
    else
        exchange_deliver(&t.world.worker, &msg);
    assert_null(a->ex);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < t.count; i++)
        last_word(&t.asked[i]);
    world_turns(&t.world, 2);
    for (enum caller_use use = 0; use < CALLER_USES; use++)
        assert_int_equal(callers_held_any_thread(t.broker.callers, use), 0);
    assert_int_equal(t.bw.free_count, ASKED_MAX);
    slab_fini(&t.bw.exchanges);
    slab_fini(&t.bw.texts);
    free(t.bw.free_slots);
    callers_free(&t.broker.callers);
    world_fini(&t.world);
    return 0;
}

static struct asked *connect_to(unsigned client, uint16_t route)
{
    static const char host[] = "10.0.0.1";
    struct asked *a = &t.asked[t.count++];
    struct head_view view = {
        .kind = HEAD_REQUEST,
        .method = HTTP_METHOD_CONNECT,
        .method_text = SLICE_INIT("CONNECT"),
        .form = TARGET_AUTHORITY,
        .authority = {.host = slice_of_text(host), .kind = HOST_IPV4, .port = route}
    };
    assert_true(t.count <= ASKED_MAX);
    assert_true(exchange_begin(&t.clients[client], &ops, a, &a->ex, &view));
    world_turns(&t.world, 2);
    return a;
}

static void assert_under_way(const struct asked *a)
{
    assert_string_equal(a->text, "");
    assert_int_equal(a->ex->progress, EXCHANGE_OPENED);
}

static void assert_refused(const struct asked *a, const char *limit)
{
    assert_int_equal(a->status, 503);
    assert_non_null(strstr(a->text, limit));
    assert_int_equal(a->ex->progress, EXCHANGE_BEGUN);
}

/* -- tests --------------------------------------------------------------------------------------------------
 */

static void dials_of_agents_leave_ours_their_places(void **state)
{
    (void)state;
    for (int i = 0; i < AGENT_DIALS; i++)
        assert_under_way(connect_to(0, i % 2 ? AGENT_ONLY : AGENT_FIRST));
    assert_refused(connect_to(0, AGENT_ONLY), "agents.pendingDialsMax is reached");
    assert_refused(connect_to(0, AGENT_FIRST), "agents.pendingDialsMax is reached");
    for (int i = 0; i < DIALS; i++)
        assert_under_way(connect_to(0, i % 2 ? DIRECT : DIRECT_FIRST));
    assert_refused(connect_to(0, DIRECT), "pool.handshakesInFlightMax is reached");
    assert_refused(connect_to(0, DIRECT_FIRST), "pool.handshakesInFlightMax is reached");
}

static void dials_of_ours_leave_those_of_agents_their_places(void **state)
{
    (void)state;
    for (int i = 0; i < DIALS; i++)
        assert_under_way(connect_to(0, DIRECT));
    assert_refused(connect_to(0, DIRECT), "pool.handshakesInFlightMax is reached");
    assert_under_way(connect_to(0, AGENT_ONLY));
}

static void a_caller_whose_dials_hang_leaves_others_a_share(void **state)
{
    (void)state;
    assert_under_way(connect_to(1, AGENT_ONLY));
    for (int i = 0; i < AGENT_DIALS * 3 / 4 - 1; i++)
        assert_under_way(connect_to(0, AGENT_ONLY));
    assert_refused(connect_to(0, AGENT_ONLY), "or this caller's share of it");
    assert_under_way(connect_to(1, AGENT_ONLY));
    assert_under_way(connect_to(1, AGENT_ONLY));
    assert_refused(connect_to(1, AGENT_ONLY), "agents.pendingDialsMax is reached");
}

static void an_answer_makes_room_for_the_next(void **state)
{
    struct asked *first = connect_to(0, AGENT_ONLY);
    (void)state;
    for (int i = 1; i < AGENT_DIALS; i++)
        assert_under_way(connect_to(0, AGENT_ONLY));
    struct msg connected = {.kind = EX_CONNECTED, .to = first->ex};
    exchange_deliver(&t.world.worker, &connected);
    assert_true(first->connected);
    assert_under_way(connect_to(0, AGENT_ONLY));
    assert_refused(connect_to(0, AGENT_ONLY), "agents.pendingDialsMax");
    last_word(&t.asked[2]);
    assert_under_way(connect_to(0, AGENT_ONLY));
}

static void a_refusal_holds_no_tunnel_once_it_was_told(void **state)
{
    (void)state;
    for (int i = 0; i < DIALS; i++)
        assert_under_way(connect_to(0, DIRECT));
    struct asked *refused = connect_to(0, DIRECT);
    assert_refused(refused, "pool.handshakesInFlightMax");
    last_word(refused);
    assert_int_equal(callers_held_any_thread(t.broker.callers, CALLER_TUNNEL), DIALS);
    assert_int_equal(callers_held_any_thread(t.broker.callers, CALLER_DIAL), DIALS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(dials_of_agents_leave_ours_their_places),
        TEST(dials_of_ours_leave_those_of_agents_their_places),
        TEST(a_caller_whose_dials_hang_leaves_others_a_share),
        TEST(an_answer_makes_room_for_the_next),
        TEST(a_refusal_holds_no_tunnel_once_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
