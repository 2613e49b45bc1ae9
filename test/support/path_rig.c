/* test/support/path_rig.c — see path_rig.h. */
#include "test/support/path_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct path_rig path_rig;

const struct pool_path path_agent_only = {.id = 1, .way_count = 1, .ways = {POOL_WAY_AGENT}, .agents = "a"};
const struct pool_path path_agent_first = {
    .id = 2, .way_count = 2, .ways = {POOL_WAY_AGENT, POOL_WAY_DIRECT}
};
const struct pool_path path_direct_first = {
    .id = 3, .way_count = 2, .ways = {POOL_WAY_DIRECT, POOL_WAY_AGENT}
};

/* -- scripted agents ----------------------------------------------------------------------------------------
 */

static struct dial *agents_dial(struct transport *t, const struct dial_request *request)
{
    assert_ptr_equal(t, &path_rig.agents.transport);
    path_rig.agents.asked++;
    if (path_rig.agents.refuses)
        return NULL;
    struct path_dial *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    list_init(&d->node);
    d->request = *request;
    list_add_tail(&path_rig.agents.dials, &d->node);
    return (struct dial *)d;
}

static void agents_cancel(struct transport *t, struct dial **dial)
{
    struct path_dial *d = (struct path_dial *)*dial;
    assert_ptr_equal(t, &path_rig.agents.transport);
    *dial = NULL;
    path_rig.agents.cancelled++;
    list_remove(&d->node);
    free(d);
}

static bool agents_are_idle(const struct transport *t)
{
    assert_ptr_equal(t, &path_rig.agents.transport);
    return list_empty(&path_rig.agents.dials) && !path_rig.agents.busy;
}

static void agents_free(struct transport **t)
{
    assert_true(agents_are_idle(*t));
    *t = NULL;
    path_rig.agents.freed++;
}

static const struct transport_ops agents_ops = {"agents", agents_dial, agents_cancel, agents_are_idle,
                                                agents_free};

struct path_dial *path_agent_asked(void)
{
    assert_false(list_empty(&path_rig.agents.dials));
    return list_entry(path_rig.agents.dials.next, struct path_dial, node);
}

void path_agent_answers(const struct dial_answer *answer)
{
    struct path_dial *d = path_agent_asked();
    struct dial_request request = d->request;
    list_remove(&d->node);
    free(d);
    request.answered(request.owner, answer);
    fixture_settle(&path_rig.pool);
}

void path_agent_fails(enum ending ending)
{
    char detail[POOL_DETAIL_MAX];
    snprintf(detail, sizeof(detail), "agent-7: %s", ending_text(ending));
    path_agent_answers(&(struct dial_answer){.ending = ending, .address = "", .detail = detail});
}

static void quiet(struct stream *s)
{
    (void)s;
}

void path_agent_opens(void)
{
    static const struct stream_events none = {.open = quiet};
    struct net_address a;
    assert_true(net_address_parse("192.0.2.7", strlen("192.0.2.7"), 1, &a));
    struct stream *s = path_rig.pool.engine.engine.ops->dial(&path_rig.pool.engine.engine, &a);
    stream_bind(s, &none, NULL);
    script_open(script_last(&path_rig.pool.engine));
    script_run(&path_rig.pool.engine);
    path_agent_answers(&(struct dial_answer){.stream = s, .address = "agent-7", .detail = ""});
}

/* -- set up -------------------------------------------------------------------------------------------------
 */

void path_rig_start(bool with_agents, uint32_t connect_ms)
{
    struct pool_options options = fixture_options();
    memset(&path_rig.agents, 0, sizeof(path_rig.agents));
    path_rig.agents.transport.ops = &agents_ops;
    list_init(&path_rig.agents.dials);
    path_rig.has_agents = with_agents;
    options.agents = with_agents ? &path_rig.agents.transport : NULL;
    options.limits.connect_ms = connect_ms;
    options.limits.dial_ms = 8000;
    options.limits.warm_spares = 1;
    fixture_start(&path_rig.pool, &options);
    path_rig.key = fixture_key(&path_rig.pool.plain, "10.0.0.1");
}

void path_ask(struct client *c, const struct pool_path *path)
{
    path_rig.key.path = path;
    client_ask(c, &path_rig.pool, &path_rig.key, 20000);
    fixture_settle(&path_rig.pool);
}

void path_assert_told(const struct client *c, enum ending ending, const char *detail)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
    assert_string_equal(c->detail, detail);
}

void path_fail_direct(enum ending ending)
{
    script_close(script_dialling(&path_rig.pool.engine), ending);
    fixture_settle(&path_rig.pool);
}

void path_rig_stop(void)
{
    fixture_stop(&path_rig.pool);
    assert_int_equal(path_rig.agents.freed, path_rig.has_agents ? 1 : 0);
}
