/* test/unit/test_konnectivity_agent.c — the home side of an agent: its hello, dials, data and ends from
 * either side, keepalive, and what a hostile one may do; near halves are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

static bool took_card(const struct agent_card *card, void *arg)
{
    (void)card;
    ++*(unsigned *)arg;
    return true;
}

static unsigned known(void)
{
    unsigned count = 0;
    agents_each(rig.bw.agents, took_card, &count);
    return count;
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
    assert_int_equal(known(), 1);
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
        assert_int_equal(known(), 0);
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
    assert_int_equal(known(), 0);
    assert_string_equal(home.token, "abc.def");
    home_review(NULL);
    assert_int_equal(s->status, 200);
    assert_non_null(strstr(s->fields, "serverid=server-1"));
    assert_int_equal(known(), 1);
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
    assert_int_equal(known(), 0);
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
    assert_int_equal(known(), 0);
}

static void a_connection_may_carry_several(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1000);
    struct h2_stream *first = home.call, *second = home_connect("agentid=b");
    struct agent_card *card = home.card;
    assert_int_equal(second->status, 200);
    assert_int_equal(known(), 2);
    home.call = second;
    agent_say_data(1, 100); /* of the other stream */
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    assert_int_equal(n->got.len, 0);
    h2_client_reset(second, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_int_equal(known(), 1);
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
    assert_int_equal(known(), 0);
}

/* -- data ---------------------------------------------------------------------------------------------------
 */

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    struct near *n = near_open(1, 100000);
    near_say(n, "hello", 5);
    assert_true(agent_heard(PACKET_DATA));
    assert_int_equal(home.said.connect_id, 1);
    assert_int_equal(home.data.len, 5);
    assert_memory_equal(home.data.bytes, "hello", 5);
    assert_int_equal(n->returned, 5);
    agent_put_data(1, "wor", 3);
    agent_put_data(1, "ld", 2);
    agent_flush();
    assert_int_equal(n->got.len, 5);
    assert_memory_equal(n->got.bytes, "world", 5);
    assert_int_equal(n->pieces, 1); /* put together */
}

static void nothing_comes_beyond_the_credit(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1000);
    agent_say_data(1, 20000);
    assert_int_equal(n->got.len, 1000);
    near_credit(n, 5000);
    assert_int_equal(n->got.len, 6000);
    near_credit(n, 50000);
    assert_int_equal(n->got.len, 20000);
}

static void large_data_goes_in_pieces_that_take_turns(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct near *a = near_open(1, 0), *b = near_open(2, 0);
    rig.pipe->stalled = true;
    near_say(a, bytes, sizeof(bytes));
    near_say(a, bytes, sizeof(bytes));
    near_say(b, bytes, sizeof(bytes));
    near_say(b, bytes, 10);
    struct near *c = near_dial("10.0.0.1:443", 0);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    int64_t order[16];
    uint64_t sums[3] = {0, 0, 0};
    unsigned count = 0, dial_at = 16;
    while (!agent_heard_nothing()) {
        assert_true(count < 16);
        if (agent_heard(PACKET_DIAL_REQ)) {
            dial_at = count;
            continue;
        }
        assert_int_equal(home.said.type, PACKET_DATA);
        assert_true(home.said.data.len <= 32768);
        sums[home.said.connect_id] += home.said.data.len;
        order[count++] = home.said.connect_id;
    }
    assert_int_equal(sums[1], 131072);
    assert_int_equal(sums[2], 65546);
    unsigned turns = 0;
    for (unsigned i = 1; i < count; i++)
        turns += order[i] != order[i - 1];
    assert_true(turns >= 3);
    assert_true(dial_at < count); /* it overtook data */
    assert_int_equal(a->returned, 131072);
    assert_int_equal(b->returned, 65546);
    assert_int_equal(a->untaken + b->untaken + c->untaken, 0);
}

static void an_abort_in_the_middle_of_a_packet_leaves_the_packet_whole(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct near *a = near_open(1, 0), *b = near_open(2, 0);
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        near_say(a, bytes, sizeof(bytes)); /* more than the connection takes */
    near_say(b, "after", 5);
    near_abort(a);
    assert_true(a->closed);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    bool close_heard = false, data_heard = false;
    while (!agent_heard_nothing()) {
        bool closes = agent_heard(PACKET_CLOSE_REQ);
        close_heard |= closes && home.said.connect_id == 1;
        assert_true(!close_heard || closes || home.said.connect_id != 1); /* nothing of it after that */
        data_heard |= home.said.type == PACKET_DATA && home.said.connect_id == 2;
    }
    assert_true(close_heard && data_heard);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void the_destinations_end_comes_behind_its_bytes(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    agent_put_data(1, "0123456789abcdef", 16);
    agent_put(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_flush();
    assert_int_equal(n->got.len, 10);
    assert_false(n->ended);
    near_credit(n, 100);
    assert_int_equal(n->got.len, 16);
    assert_true(n->ended && n->closed);
    assert_int_equal(n->reason, ENDING_DONE);
    assert_true(agent_heard_nothing());
}

static void a_close_with_words_is_no_end(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    agent_say(
        &(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1, .error = SLICE("Unknown connectID")});
    assert_true(n->closed && !n->ended);
    assert_int_equal(n->reason, ENDING_PEER_RESET);
    assert_string_equal(n->detail, "Unknown connectID");
}

static void an_abort_closes_at_once(void **state)
{
    (void)state;
    struct near *n = near_open(1, 10);
    near_abort(n);
    assert_true(n->closed);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    assert_int_equal(home.said.connect_id, 1);
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_say(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1}); /* twice is normal */
    assert_true(agent_heard_nothing());
    assert_false(home.call->ended);
}

static void a_fin_waits_for_silence(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1 << 20);
    near_say(n, "last words", 10);
    assert_true(agent_heard(PACKET_DATA));
    near_fin(n);
    for (int i = 0; i < 5; i++) {
        home_pass(150);
        assert_true(agent_heard_nothing());
        agent_say_data(1, 100);
    }
    home_pass(150);
    assert_true(agent_heard_nothing());
    home_pass(100);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    agent_put_data(1, "x", 1); /* under way */
    agent_put(&(struct packet){.type = PACKET_CLOSE_RSP, .connect_id = 1});
    agent_flush();
    assert_int_equal(n->got.len, 501);
    assert_true(n->ended && n->closed);
    assert_int_equal(n->reason, ENDING_DONE);
}

static void fins_of_one_moment_go_together(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    struct near *nears[COUNT];
    unsigned heard = 0, moments = 0;
    for (int i = 0; i < COUNT; i++)
        nears[i] = near_open(i + 1, 1 << 20);
    uint64_t first_ns = rig.world.now_ns;
    for (int i = 0; i < COUNT; i++) {
        near_fin(nears[i]);
        home_pass(1);
    }
    uint64_t last_ns = rig.world.now_ns;
    assert_in_range(last_ns - first_ns, COUNT * 1000000u, 25000000u);
    while (heard < COUNT && rig.world.now_ns < last_ns + 250000000u) {
        unsigned before = heard;
        home_pass(1);
        while (agent_heard(PACKET_CLOSE_REQ))
            heard++;
        moments += heard > before;
        assert_true(heard == 0 || rig.world.now_ns - first_ns >= 200000000u);
    }
    assert_int_equal(heard, COUNT);
    assert_in_range(moments, 1, 2);
}

static void closes_and_dials_share_a_frame(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static uint8_t bytes[65536];
    struct near *nears[COUNT];
    for (int i = 0; i < COUNT; i++)
        nears[i] = near_open(i + 1, 1 << 20);
    unsigned frames = home.call->data_frames;
    rig.pipe->stalled = true;
    for (int i = 0; i < 4; i++)
        near_say(nears[0], bytes, sizeof(bytes)); /* more than the connection takes */
    for (int i = 1; i < COUNT; i++)
        near_abort(nears[i]);
    near_dial("10.0.0.1:443", 0);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    unsigned closes = 0, dials = 0;
    while (!agent_heard_nothing()) {
        closes += agent_heard(PACKET_CLOSE_REQ);
        dials += home.said.type == PACKET_DIAL_REQ;
    }
    assert_int_equal(closes, COUNT - 1);
    assert_int_equal(dials, 1);
    assert_true(home.call->data_frames - frames < COUNT); /* those of the data included */
}

static void a_fin_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct near *n = near_open(1, 1 << 20);
    near_fin(n);
    for (int i = 0; i < 44; i++) {
        home_pass(100);
        agent_say_data(1, 10);
        assert_true(agent_heard_nothing());
    }
    home_pass(600);
    assert_true(agent_heard(PACKET_CLOSE_REQ));
    home_pass(10100);
    assert_true(n->closed);
    assert_int_equal(n->reason, ENDING_DEADLINE);
}

static void a_fin_goes_behind_what_was_sent(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    struct near *n = near_open(1, 0);
    rig.pipe->stalled = true;
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_say(n, bytes, 60000);
    near_fin(n);
    home_pass(1000);
    rig.pipe->stalled = false;
    h2_client_turns(20);
    home_pass(250);
    uint64_t sum = 0;
    while (agent_heard(PACKET_DATA))
        sum += home.said.data.len;
    assert_int_equal(sum, 240000);
    assert_int_equal(home.said.type, PACKET_CLOSE_REQ);
    near_abort(n);
    h2_client_turns(3);
    assert_true(agent_heard_nothing()); /* CLOSE_REQ is said once */
}

static void an_agents_end_is_heard_by_all_at_once(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0), *c = near_open(3, 0), *b = near_dial("10.0.0.1:443", 0);
    agent_say_data(3, 4000); /* which cannot be told */
    near_say(a, "x", 1);
    h2_client_say(home.call, "", 0, true);
    h2_client_turns(4);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
    assert_int_equal(b->reason, ENDING_AGENT_LOST);
    assert_int_equal(c->reason, ENDING_AGENT_LOST);
    assert_string_equal(home.call->trailers, "grpc-status=0;");
    assert_true(home.call->ended);
    assert_int_equal(known(), 0);
}

static void a_lost_connection_is_an_end(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0), *b = near_dial("10.0.0.1:443", 0);
    pipe_reset(rig.pipe);
    world_turns(&rig.world, 2);
    assert_true(a->closed && b->closed);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
    assert_int_equal(known(), 0);
}

static void a_reset_stream_is_an_end(void **state)
{
    (void)state;
    struct near *a = near_open(1, 0);
    h2_client_reset(home.call, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_true(a->closed);
    assert_int_equal(a->reason, ENDING_AGENT_LOST);
}

static void a_drain_ends_the_stream_in_peace(void **state)
{
    (void)state;
    front_drain(front_rig_conn());
    h2_client_turns(4);
    assert_string_equal(home.call->trailers, "grpc-status=0;");
    assert_int_equal(known(), 0);
    home_pass(8000);
    assert_null(front_rig_conn()); /* whether the agent leaves or not */
}

static void drain_marks_the_card(void **state)
{
    (void)state;
    assert_false(home.card->draining);
    agent_say_bytes("\0\0\0\0\4\x08\x06\x42\0", 9);
    assert_true(home.card->draining);
    near_open(1, 0); /* and nothing else */
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
    assert_int_equal(known(), 0);
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
        T(a_dial_names_its_destination),
        T(what_go_says_is_understood),
        T(a_silent_agent_is_suspect_and_the_dial_is_answered_in_time),
        T(dials_that_wait_are_bounded),
        T(a_dial_that_is_given_up_is_closed_when_it_succeeds),
        T(a_dial_is_known_on_its_stream_only),
        T(a_connection_without_a_number_is_none),
        T(a_number_given_twice_ends_the_agent),
        T(bytes_pass_both_ways),
        T(nothing_comes_beyond_the_credit),
        T(large_data_goes_in_pieces_that_take_turns),
        T(an_abort_in_the_middle_of_a_packet_leaves_the_packet_whole),
        T(the_destinations_end_comes_behind_its_bytes),
        T(a_close_with_words_is_no_end),
        T(an_abort_closes_at_once),
        T(a_fin_waits_for_silence),
        T(fins_of_one_moment_go_together),
        T(closes_and_dials_share_a_frame),
        T(a_fin_does_not_wait_for_ever),
        T(a_fin_goes_behind_what_was_sent),
        T(an_agents_end_is_heard_by_all_at_once),
        T(a_lost_connection_is_an_end),
        T(a_reset_stream_is_an_end),
        T(a_drain_ends_the_stream_in_peace),
        T(drain_marks_the_card),
        T(a_quiet_agent_is_asked),
        T(an_agent_that_does_not_answer_is_lost),
        T(what_is_no_message_ends_the_agent),
        T(nonsense_is_bounded),
        T(packets_of_a_server_are_nonsense),
        T(what_comes_late_from_a_near_half_goes_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
