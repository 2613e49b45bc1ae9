/* test/support/dial_rig.c — see dial_rig.h. */
#include "test/support/dial_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct agent_wish any = {{CONFIG_STRATEGY_DEFAULT}, 1};
static const struct agent_wish by_host = {{CONFIG_STRATEGY_DEST_HOST}, 1};
const struct pool_path dial_rig_path = {1, 1, {POOL_WAY_AGENT}, &any};
const struct pool_path dial_rig_host_path = {2, 1, {POOL_WAY_AGENT}, &by_host};

struct dial_rig dial_rig;

void dial_rig_start(void)
{
    agent_rig_start(3);
    memset(dial_rig.cards, 0, sizeof(dial_rig.cards));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(agent_transport_new(&agent_rig.workers[i].bw, &dial_rig.transports[i]), 0);
}

void dial_rig_stop(void)
{
    for (unsigned i = 0; i < DIAL_RIG_CARDS; i++)
        if (dial_rig.cards[i]) {
            assert_int_equal(dial_rig.cards[i]->load, 0);
            agent_rig_withdraw(dial_rig.cards[i]);
        }
    agent_rig_settle();
    for (unsigned i = 0; i < 3; i++) {
        assert_true(dial_rig.transports[i]->ops->is_idle(dial_rig.transports[i]));
        dial_rig.transports[i]->ops->free(&dial_rig.transports[i]);
    }
    agent_rig_stop();
}

void dial_rig_announce(unsigned i, unsigned home, const char *id, const char *hosts)
{
    dial_rig.cards[i] = agent_rig_announce(home, id, hosts, false);
    agent_rig_settle();
}

void dial_rig_announce_in_order(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        dial_rig_announce(i, 1, (const char *[]){"a", "b", "c", "d"}[i], "");
        dial_rig.cards[i]->load = i * 10;
    }
}

void dial_rig_forget_order(void)
{
    for (unsigned i = 0; i < DIAL_RIG_CARDS; i++)
        if (dial_rig.cards[i])
            dial_rig.cards[i]->load -= i * 10;
}

static void on_open(struct stream *s)
{
    (void)s;
    fail_msg("it is open already");
}

static void on_seg(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void on_end(struct stream *s)
{
    (void)s;
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct dialler *di = s->owner;
    (void)reason;
    di->closed++;
    di->stream = NULL;
    stream_free(s);
}

static const struct stream_events events = {on_open, on_seg, on_seg, on_end, on_closed};

void dialler_answered(void *owner, const struct dial_answer *answer)
{
    struct dialler *di = owner;
    assert_false(di->in_call);
    di->answers++;
    di->dial = NULL;
    di->stream = answer->stream;
    di->ending = answer->ending;
    snprintf(di->address, sizeof(di->address), "%s", answer->address);
    snprintf(di->detail, sizeof(di->detail), "%s", answer->detail);
    if (di->stream)
        stream_bind(di->stream, &events, di);
}

void dialler_dial(struct dialler *di, unsigned worker, const struct pool_path *by, const char *host,
                  uint64_t deadline_ms)
{
    struct dial_request r = {.host = host,
                             .port = 443,
                             .path = by,
                             .deadline_ns = agent_rig.now_ns + deadline_ms * 1000000,
                             .answered = dialler_answered,
                             .owner = di};
    r.wanted_ns = r.deadline_ns;
    *di = (struct dialler){.worker = worker, .in_call = true};
    di->dial = dial_rig.transports[worker]->ops->dial(dial_rig.transports[worker], &r);
    assert_non_null(di->dial);
    di->in_call = false;
}

void dial_rig_dial(void)
{
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "10.0.0.1", 8000);
}

void dialler_cancel(struct dialler *di)
{
    dial_rig.transports[di->worker]->ops->cancel(dial_rig.transports[di->worker], &di->dial);
    assert_null(di->dial);
}

void dial_rig_assert_answer(enum ending ending, const char *detail)
{
    agent_rig_settle();
    assert_int_equal(dial_rig.d.answers, 1);
    assert_null(dial_rig.d.stream);
    assert_int_equal(dial_rig.d.ending, ending);
    assert_string_equal(dial_rig.d.detail, detail);
}

void dialler_hang_up(struct dialler *di)
{
    stream_abort(di->stream, ENDING_CANCELLED);
    agent_rig_settle();
    assert_int_equal(di->closed, 1);
}
