/* test/unit/test_konnectivity_agent.c — the home side of an agent: its hello, keepalive, and what a hostile
 * one may do; near halves are played. Dials: test_konnectivity_agent_dials.c; what they carry, and its ends:
 * test_konnectivity_agent_data.c, test_konnectivity_agent_ends.c and test_konnectivity_agent_flow.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
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

/* -- hello --------------------------------------------------------------------------------------------------
 */

static void an_agent_is_told_who_we_are_at_once(void **state)
{
    (void)state;
    assert_int_equal(home.call->status, 200);
    assert_string_equal(home.call->fields, "content-type=application/grpc;serverid=server-1;servercount=3;");
    assert_false(home.call->ended);
    assert_string_equal(home.card->id, "agent-1");
    assert_int_equal(home.card->host_count, 2);
    assert_string_equal(home.card->hosts[0], "node-1");
    assert_string_equal(home.card->hosts[1], "10.0.0.7");
    assert_false(home.card->default_route);
    assert_int_equal(home_known(), 1);
}

/* Each on a connection of its own, since one has one agent. */
static struct h2_stream *anew(const char *metadata)
{
    home_rig_stop();
    home_rig_start();
    h2_client_say(home.call, "", 0, true);
    h2_client_turns(4);
    return home_connect(metadata);
}

static void identifiers_are_a_query(void **state)
{
    (void)state;
    struct h2_stream *s = anew(
        "agentid=a|agentidentifiers=host=a&&host=b%2Ec&ipv6=%3a%3A1&cidr=10.0.0.0/8&uid=7&"
        "x=y&host=with+blank&default-route=True&default-route=false&host=&ipv4");
    assert_int_equal(s->status, 200);
    assert_int_equal(home.card->host_count, 4);
    assert_string_equal(home.card->hosts[1], "b.c");
    assert_string_equal(home.card->hosts[2], "::1");
    assert_string_equal(home.card->hosts[3], "with blank");
    assert_true(home.card->default_route);
}

static void a_bad_hello_is_refused_in_words(void **state)
{
    (void)state;
    static char many[2048] = "agentid=a|agentidentifiers=", longer[512] = "agentid=a|agentidentifiers=host=";
    static char id[512] = "agentid=";
    for (int i = 0; i < 65; i++)
        strcat(many, "host=a&"); /* tidy: banned: bounded by the loop */
    memset(longer + strlen(longer), 'x', 254);
    memset(id + strlen(id), 'x', 254);
    const struct {
        const char *metadata, *words;
    } cases[] = {
        {"x=y",                                           "agentID: found none"                },
        {"agentid=a|agentid=a",                           "agentID: found several"             },
        {"agentid=",                                      "agentID: found an empty"            },
        {id,                                              "agentID: found an empty or too long"},
        {"agentid=a|agentidentifiers=host=a;host=b",      "semicolon"                          },
        {"agentid=a|agentidentifiers=host=%2",            "bad escape"                         },
        {"agentid=a|agentidentifiers=host=%zz",           "bad escape"                         },
        {"agentid=a|agentidentifiers=%=x",                "bad escape"                         },
        {"agentid=a|agentidentifiers=host=%00",           "bad escape"                         },
        {"agentid=a|agentidentifiers=host=a%0Ab",         "control characters"                 },
        {"agentid=a|agentidentifiers=|agentidentifiers=", "agentIdentifiers: found several"    },
        {many,                                            "more than 64 identifiers"           },
        {longer,                                          "more than 253 bytes"                },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct h2_stream *s = anew(cases[i].metadata);
        assert_int_equal(s->status, 200);
        assert_non_null(strstr(s->fields, "grpc-status=2;"));
        assert_non_null(strstr(s->fields, cases[i].words));
        assert_true(s->ended);
        assert_int_equal(home_known(), 0);
    }
}

static struct config_token_review review; /* that there is one is all that counts */

static struct h2_stream *with_token(const char *metadata)
{
    home_rig_stop();
    home_rig_start();
    h2_client_say(home.call, "", 0, true);
    h2_client_turns(4);
    rig.config.agents.token_review = &review;
    return home_connect(metadata);
}

static void a_token_is_reviewed_before_anything_is_said(void **state)
{
    (void)state;
    struct h2_stream *s = with_token("agentid=a|authorization=Bearer abc.def");
    assert_int_equal(s->status, 0);
    assert_int_equal(home_known(), 0);
    assert_string_equal(home.token, "abc.def");
    home_review(NULL);
    assert_int_equal(s->status, 200);
    assert_non_null(strstr(s->fields, "serverid=server-1"));
    assert_int_equal(home_known(), 1);
}

static void a_token_that_is_not_good_is_refused(void **state)
{
    (void)state;
    struct h2_stream *s = with_token("agentid=a|authorization=Bearer abc");
    home_review("it is another\taccount's");
    assert_int_equal(s->status, 200);
    assert_string_equal(s->fields, "content-type=application/grpc;grpc-status=2;"
                                   "grpc-message=authentication failed: it is another?account's;");
    assert_true(s->ended);
    assert_int_equal(home_known(), 0);
}

static void what_is_no_token_is_not_reviewed(void **state)
{
    (void)state;
    static const char *const cases[] = {"x=y", "authorization=Basic abc", "authorization=Bearer",
                                        "authorization=Bearer a|authorization=Bearer b"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char metadata[128];
        snprintf(metadata, sizeof(metadata), "agentid=a|%s", cases[i]);
        struct h2_stream *s = with_token(metadata);
        assert_non_null(strstr(s->fields, "grpc-status=2;grpc-message=authorization: found "));
        assert_int_equal(home.reviews, 0);
    }
}

static void an_agent_may_leave_while_its_token_is_reviewed(void **state)
{
    (void)state;
    struct h2_stream *s = with_token("agentid=a|authorization=Bearer abc");
    home.call = s;
    agent_say_bytes("\0\0\0\0\4\x08\x06\x42\0", 9); /* and may speak meanwhile */
    h2_client_reset(s, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_null(home.check);
    assert_int_equal(home_known(), 0);
}

static void a_connection_may_carry_several(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1000);
    struct h2_stream *first = home.call, *second = home_connect("agentid=b");
    struct agent_card *card = home.card;
    assert_int_equal(second->status, 200);
    assert_int_equal(home_known(), 2);
    home.call = second;
    agent_say_data(1, 100); /* of the other stream */
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    assert_int_equal(n->got.len, 0);
    h2_client_reset(second, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_int_equal(home_known(), 1);
    home.call = first;
    home.card = card;
    assert_false(n->closed);
}

static void nothing_else_is_served(void **state)
{
    (void)state;
    struct h2_stream *proxy = h2_client_upload("localhost", "/ProxyService/Proxy",
                                               "content-type=application/grpc");
    struct h2_stream *get = h2_client_ask("GET", "10.0.0.1:443", "/", NULL);
    struct h2_stream *tunnel = h2_client_ask("CONNECT", "10.0.0.1:443", NULL, NULL);
    h2_client_turns(4);
    assert_non_null(strstr(proxy->fields, "grpc-status=12;grpc-message=unknown method; this listener has "
                                          "/AgentService/Connect"));
    assert_int_equal(get->status, 403);
    assert_int_equal(tunnel->status, 403);
    assert_int_equal(rig.asked, 0);
}

static void http1_is_told_to_go(void **state)
{
    (void)state;
    char answer[512];
    home_rig_stop();
    front_rig_start_agents();
    pipe_give(rig.pipe, "CONNECT a:1 HTTP/1.1\r\n\r\n", 24);
    world_turns(&rig.world, 3);
    size_t len = pipe_take(rig.pipe, answer, sizeof(answer) - 1);
    answer[len] = '\0';
    assert_non_null(strstr(answer, "400 this listener serves agents"));
    assert_int_equal(rig.asked, 0);
    front_rig_stop();
    home_rig_start();
}

/* -- alive? -------------------------------------------------------------------------------------------------
 */

static void a_quiet_agent_is_asked(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    for (int i = 0; i < 6; i++)
        home_pass(10000);
    assert_false(n->closed);
    assert_non_null(front_rig_conn());
}

static void an_agent_that_does_not_answer_is_lost(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    h2_client.reads_nothing = true;
    home_pass(14000);
    assert_false(n->closed);
    home_pass(1500);
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_AGENT_LOST);
    assert_int_equal(home_known(), 0);
}

/* -- hostile ------------------------------------------------------------------------------------------------
 */

static void what_is_no_message_ends_the_agent(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    agent_say_bytes("\1\0\0\0\1x", 6);
    assert_true(n->closed);
    assert_non_null(strstr(home.call->trailers, "grpc-status=12;"));
}

static void nonsense_is_bounded(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    for (unsigned second = 0; second < 3; second++) {
        for (unsigned i = 0; i < 900; i++)
            agent_put(&(struct packet){.type = i % 2 ? PACKET_DIAL_RSP : PACKET_CLOSE_RSP,
                                       .connect_id = 1000 + i,
                                       .random = 1000 + i});
        agent_flush();
        while (agent_heard(PACKET_CLOSE_REQ)) {
        }
        home_pass(1100);
    }
    assert_false(home.call->ended);
    for (unsigned i = 0; i < 1100; i++)
        agent_put_data(50 + i, "x", 1);
    agent_flush();
    assert_true(home.call->ended);
    assert_non_null(strstr(home.call->trailers, "grpc-status=8;grpc-message=more than 1000 packets"));
    assert_int_equal(n->reason, ENDING_AGENT_LOST);
}

static void packets_of_a_server_are_nonsense(void **state)
{
    (void)state;
    near_open(1, 0);
    agent_put(&(struct packet){.type = PACKET_DIAL_REQ, .protocol = SLICE("tcp"), .address = SLICE("a:1")});
    agent_put(&(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = 1});
    agent_flush();
    assert_false(home.call->ended);
    assert_true(agent_heard_nothing());
    assert_int_equal(rig.asked, 0);
}

static void what_comes_late_from_a_near_half_goes_home(void **state)
{
    (void)state;
    struct near *n = near_open(1, 0);
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    assert_true(n->closed);
    near_say(n, "x", 1); /* it crossed CLOSED; the rig asserts that the buffer came home */
    near_credit(n, 10);
    near_fin(n);
    near_abort(n);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_agent_is_told_who_we_are_at_once),
        T(identifiers_are_a_query),
        T(a_bad_hello_is_refused_in_words),
        T(a_token_is_reviewed_before_anything_is_said),
        T(a_token_that_is_not_good_is_refused),
        T(what_is_no_token_is_not_reviewed),
        T(an_agent_may_leave_while_its_token_is_reviewed),
        T(a_connection_may_carry_several),
        T(nothing_else_is_served),
        T(http1_is_told_to_go),
        T(a_quiet_agent_is_asked),
        T(an_agent_that_does_not_answer_is_lost),
        T(what_is_no_message_ends_the_agent),
        T(nonsense_is_bounded),
        T(packets_of_a_server_are_nonsense),
        T(what_comes_late_from_a_near_half_goes_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
