/* test/unit/test_konnectivity_agent_dials.c — the home side of an agent: what is dialled, answered, given up
 * and bounded; near halves are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test/support/home_rig.h"

static int setup(void **state)
{
    (void)state;
    home_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    home_rig_stop();
    return 0;
}

/* -- dials --------------------------------------------------------------------------------------------------
 */

static void a_dial_names_its_destination(void **state)
{
    (void)state;
    struct near *n = near_dial("[2001:db8::1]:10250", 1000);
    assert_true(agent_heard(PACKET_DIAL_REQ));
    assert_string_equal(home.address, "[2001:db8::1]:10250");
    assert_int_equal(home.said.random, n->id);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = 1, .random = (int64_t)n->id});
    assert_true(n->opened);
    assert_false(n->closed);
}

static void what_go_says_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ending ending;
    } cases[] = {
        {"dial tcp 10.0.0.1:443: connect: connection refused",         ENDING_REFUSED        },
        {"dial tcp 10.0.0.1:443: i/o timeout",                         ENDING_CONNECT_TIMEOUT},
        {"dial tcp: lookup nowhere on 10.96.0.10:53: no such host",    ENDING_NAME_UNKNOWN   },
        {"dial tcp: lookup x on 10.96.0.10:53: read udp: i/o timeout", ENDING_CONNECT_TIMEOUT},
        {"dial tcp 10.0.0.1:443: connect: no route to host",           ENDING_UNREACHABLE    },
        {"dial tcp 10.0.0.1:443: connect: network is unreachable",     ENDING_UNREACHABLE    },
        {"dial tcp 10.0.0.1:443: socket: too many open files",         ENDING_DESCRIPTORS    },
        {"something else",                                             ENDING_UNREACHABLE    },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct near *n = near_dial("10.0.0.1:443", 0);
        assert_true(agent_heard(PACKET_DIAL_REQ));
        agent_put(&(struct packet){
            .type = PACKET_DIAL_RSP, .error = slice_of_text(cases[i].text), .random = (int64_t)n->id});
        agent_flush();
        assert_true(n->closed);
        assert_false(n->opened);
        assert_int_equal(n->reason, cases[i].ending);
        assert_string_equal(n->detail, cases[i].text);
    }
}

static void a_silent_agent_is_suspect_and_the_dial_is_answered_in_time(void **state)
{
    (void)state;
    struct near *n = near_dial("10.0.0.1:443", 0);
    assert_true(agent_heard(PACKET_DIAL_REQ));
    home_pass(5900);
    assert_int_equal(home.card->suspect_until_ns, 0);
    home_pass(200);
    assert_true(home.card->suspect_until_ns > rig.world.now_ns);
    assert_false(n->closed);
    home_pass(13800);
    assert_false(n->closed);
    home_pass(200); /* the dial's own deadline is sooner than agents.dialMs */
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_DEADLINE);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = 9, .random = (int64_t)n->id});
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 9);
    assert_int_equal(home.card->suspect_until_ns, 0);
}

static void dials_that_wait_are_bounded(void **state)
{
    (void)state;
    rig.config.agents.pending_dials_max = 6; /* half of them for one agent */
    for (unsigned i = 0; i < 3; i++)
        assert_false(near_dial("10.0.0.1:443", 0)->closed);
    struct near *n = near_dial("10.0.0.1:443", 0);
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_LIMIT);
    near_abort(&home.nears[0]); /* the agent still owes its answer */
    assert_true(near_dial("10.0.0.1:443", 0)->closed);
    assert_true(agent_heard(PACKET_DIAL_REQ));
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .error = SLICE("no"), .random = home.said.random});
    assert_false(near_dial("10.0.0.1:443", 0)->closed);
}

static void a_dial_that_is_given_up_is_closed_when_it_succeeds(void **state)
{
    (void)state;
    struct near *n = near_dial("10.0.0.1:443", 0);
    assert_true(agent_heard(PACKET_DIAL_REQ));
    near_abort(n);
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_CANCELLED);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = 4, .random = (int64_t)n->id});
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 4);
    agent_say_data(4, 5000); /* it may say so for a while */
    assert_true(agent_heard_nothing());
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 4});
    agent_say_data(4, 100); /* now there is none */
    assert_true(agent_heard(PACKET_CLOSE_REQ));
}

static void a_dial_is_known_on_its_stream_only(void **state)
{
    (void)state;
    struct near *n = near_dial("10.0.0.1:443", 0);
    assert_true(agent_heard(PACKET_DIAL_REQ));
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = 5, .random = (int64_t)n->id + 1});
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 5);
    assert_false(n->opened);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .error = SLICE("no"), .random = (int64_t)n->id + 1});
    assert_true(agent_heard_nothing());
}

static void a_connection_without_a_number_is_none(void **state)
{
    (void)state;
    struct near *n = near_dial("10.0.0.1:443", 0);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .random = (int64_t)n->id});
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_BAD_RESPONSE);
    assert_false(home.call->ended);
}

static void a_number_given_twice_ends_the_agent(void **state)
{
    (void)state;
    struct near *a = near_open(7, 0), *b = near_dial("10.0.0.1:443", 0);
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = 7, .random = (int64_t)b->id});
    assert_true(a->closed && b->closed);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
    assert_int_equal(b->reason, ENDING_AGENT_LOST);
    assert_non_null(strstr(home.call->trailers, "grpc-status=13;"));
    assert_int_equal(home_known(), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_dial_names_its_destination),
        T(what_go_says_is_understood),
        T(a_silent_agent_is_suspect_and_the_dial_is_answered_in_time),
        T(dials_that_wait_are_bounded),
        T(a_dial_that_is_given_up_is_closed_when_it_succeeds),
        T(a_dial_is_known_on_its_stream_only),
        T(a_connection_without_a_number_is_none),
        T(a_number_given_twice_ends_the_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
