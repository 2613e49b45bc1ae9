/* test/unit/test_kube_requests.c — requests to the Kubernetes API: what the API server is told, what is
 * repeated and when, the budget, and every end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/kube/access.h"
#include "test/support/certs.h"
#include "test/support/kube_rig.h"

enum { COUNT = 200 };

struct asked {
    struct kube_request request;
    unsigned answers;
    enum ending ending;
    unsigned status;
    char body[256], detail[256];
    size_t len;
    uint64_t at_ns;
};

static struct kube_rig rig;
static struct asked a[COUNT];
static char order[COUNT + 1]; /* of answers, by the request's letter */

static void on_answered(struct kube_request *r, const struct kube_answer *answer)
{
    struct asked *own = r->owner;
    own->answers++;
    own->ending = answer->ending;
    own->status = answer->status;
    own->len = answer->len;
    own->at_ns = rig.http2.engine.now_ns;
    snprintf(own->body, sizeof own->body, "%.200s", answer->body);
    snprintf(own->detail, sizeof own->detail, "%s", answer->detail);
    assert_int_equal(answer->body[answer->len], '\0');
    size_t n = strlen(order);
    order[n] = (char)('a' + (own - a) % 26);
    order[n + 1] = '\0';
}

static int setup_with(uint32_t qps, uint32_t burst, const char *token_file)
{
    memset(a, 0, sizeof a);
    order[0] = '\0';
    for (unsigned i = 0; i < COUNT; i++) {
        kube_request_init(&a[i].request);
        a[i].request.answered = on_answered;
        a[i].request.owner = &a[i];
        a[i].request.method = HTTP_METHOD_GET;
        a[i].request.path = "/version";
    }
    kube_rig_start(&rig, qps, burst, token_file);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(1000, 1000, NULL);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        kube_cancel(&a[i].request);
    kube_rig_stop(&rig);
    return 0;
}

static void ask(unsigned i, uint64_t ms)
{
    a[i].request.deadline_ns = rig.http2.engine.now_ns + ms * 1000000;
    kube_request(rig.kube, &a[i].request);
    assert_int_equal(a[i].answers, 0); /* never from inside */
    rig_run(&rig.http2);
}

static struct rig_stream *next(void)
{
    struct rig_stream *st = kube_rig_next(&rig);
    assert_non_null(st);
    return st;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static void assert_answered(unsigned i, unsigned status, const char *body)
{
    assert_int_equal(a[i].answers, 1);
    assert_string_equal(ending_name(a[i].ending), "done");
    assert_int_equal(a[i].status, status);
    assert_string_equal(a[i].body, body);
}

static void assert_ended(unsigned i, enum ending ending, const char *detail)
{
    assert_int_equal(a[i].answers, 1);
    assert_string_equal(ending_name(a[i].ending), ending_name(ending));
    assert_has(a[i].detail, detail);
}

static void the_server_is_told_what_it_needs(void **state)
{
    (void)state;
    a[0].request.method = HTTP_METHOD_POST;
    a[0].request.path = "/apis/x?y=z";
    a[0].request.body = "{\"a\":1}";
    a[0].request.len = 7;
    ask(0, 5000);
    struct rig_stream *st = next();
    assert_has(st->fields, ":method: POST\n");
    assert_has(st->fields, ":path: /apis/x?y=z\n");
    assert_has(st->fields, ":authority: 10.0.0.1:6443\n");
    assert_has(st->fields, "authorization: Bearer secret\n");
    assert_has(st->fields, "content-type: application/json\n");
    assert_has(st->fields, "accept: application/json\n");
    assert_has(st->fields, "content-length: 7\n");
    assert_string_equal(st->body_text, "{\"a\":1}");
    kube_rig_reply(&rig, st, "201", "{\"b\":2}");
    assert_answered(0, 201, "{\"b\":2}");
    assert_string_equal(a[0].detail, "");
}

static void requests_share_a_connection(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        ask(i, 5000);
    for (unsigned i = 0; i < 10; i++)
        kube_rig_reply(&rig, next(), "200", "{}");
    for (unsigned i = 0; i < 10; i++)
        assert_answered(i, 200, "{}");
    assert_int_equal(rig.http2.peer_count, 1);
}

static void an_empty_answer_is_an_answer(void **state)
{
    (void)state;
    ask(0, 5000);
    kube_rig_reply(&rig, next(), "200", NULL);
    assert_answered(0, 200, "");
}

static void a_refusal_is_told_in_the_servers_words(void **state)
{
    (void)state;
    ask(0, 5000);
    kube_rig_reply(&rig, next(), "403",
                   "{\"kind\":\"Status\",\"message\":\"you may not\\nreally\",\"reason\":\"Forbidden\"}");
    assert_int_equal(a[0].answers, 1);
    assert_int_equal(a[0].status, 403);
    assert_string_equal(a[0].detail, "403 you may not?really");
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    ask(0, 5000);
    kube_rig_reply(&rig, next(), "307|location=https://10.9.9.9/", "{}");
    assert_answered(0, 307, "{}");
    assert_null(kube_rig_next(&rig));
}

static void an_overloaded_server_is_asked_again_when_it_says(void **state)
{
    (void)state;
    ask(0, 9000);
    kube_rig_reply(&rig, next(), "429|retry-after=2", "{}");
    rig_advance_ms(&rig.http2, 1900);
    assert_null(kube_rig_next(&rig));
    rig_advance_ms(&rig.http2, 200);
    kube_rig_reply(&rig, next(), "200", "{}");
    assert_answered(0, 200, "{}");
}

static void a_server_that_fails_is_asked_again_but_not_for_ever(void **state)
{
    (void)state;
    ask(0, 60000);
    for (unsigned i = 0; i < KUBE_TRIES_MAX; i++) {
        kube_rig_reply(&rig, next(), "503", "{\"message\":\"down\"}");
        rig_advance_ms(&rig.http2, 1100);
    }
    assert_null(kube_rig_next(&rig));
    assert_answered(0, 503, "{\"message\":\"down\"}");
    assert_string_equal(a[0].detail, "503 down");
}

static void what_would_come_too_late_is_not_waited_for(void **state)
{
    (void)state;
    ask(0, 3000);
    kube_rig_reply(&rig, next(), "429|retry-after=3600", "{}");
    assert_answered(0, 429, "{}");
}

static void a_silent_server_costs_the_deadline(void **state)
{
    (void)state;
    ask(0, 3000);
    struct rig_stream *st = next();
    rig_advance_ms(&rig.http2, 2900);
    assert_int_equal(a[0].answers, 0);
    rig_advance_ms(&rig.http2, 200);
    assert_ended(0, ENDING_DEADLINE, "did not answer in time");
    assert_true(st->closed); /* it was told */
}

static void a_server_that_cannot_be_reached_is_tried_again(void **state)
{
    (void)state;
    a[0].request.deadline_ns = rig.http2.engine.now_ns + 9000 * 1000000ull;
    kube_request(rig.kube, &a[0].request);
    script_run(&rig.http2.engine);
    script_close(script_dialling(&rig.http2.engine), ENDING_REFUSED);
    script_run(&rig.http2.engine);
    assert_int_equal(a[0].answers, 0);
    rig_advance_ms(&rig.http2, 500);
    kube_rig_reply(&rig, next(), "200", "{}");
    assert_answered(0, 200, "{}");
}

static void a_lost_connection_is_replaced(void **state)
{
    (void)state;
    ask(0, 9000);
    next();
    script_close(rig.http2.peers[0]->stream, ENDING_PEER_RESET);
    rig_run(&rig.http2);
    rig_advance_ms(&rig.http2, 1500);
    kube_rig_reply(&rig, next(), "200", "{}");
    assert_answered(0, 200, "{}");
}

static void an_answer_without_end_is_cut(void **state)
{
    (void)state;
    char *bulk = malloc(2 * KUBE_ANSWER_MAX + 1);
    assert_non_null(bulk);
    memset(bulk, 'x', 2 * KUBE_ANSWER_MAX);
    bulk[2 * KUBE_ANSWER_MAX] = '\0';
    ask(0, 900);
    kube_rig_reply(&rig, next(), "200", bulk);
    rig_advance_ms(&rig.http2, 1000);
    assert_ended(0, ENDING_BAD_RESPONSE, "longer than 1 MiB");
    bulk[KUBE_ANSWER_MAX] = '\0'; /* as much is taken */
    ask(1, 900);
    kube_rig_reply(&rig, next(), "200", bulk);
    assert_int_equal(a[1].answers, 1);
    assert_int_equal(a[1].len, KUBE_ANSWER_MAX);
    free(bulk);
}

static void who_has_left_hears_nothing(void **state)
{
    (void)state;
    ask(0, 5000);
    struct rig_stream *st = next();
    kube_cancel(&a[0].request);
    kube_cancel(&a[0].request); /* harmless */
    rig_run(&rig.http2);
    assert_true(st->closed);
    ask(1, 5000);
    kube_rig_reply(&rig, next(), "200", "{}");
    assert_int_equal(a[0].answers, 0);
    assert_answered(1, 200, "{}");
}

static int setup_budget(void **state)
{
    (void)state;
    return setup_with(10, 5, NULL);
}

static unsigned seen_now(void)
{
    unsigned n = 0;
    for (struct rig_stream *st; (st = kube_rig_next(&rig)); n++)
        kube_rig_reply(&rig, st, "200", "{}");
    return n;
}

static void the_budget_holds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++)
        ask(i, 60000);
    assert_int_equal(seen_now(), 5);
    rig_advance_ms(&rig.http2, 1000);
    unsigned n = seen_now();
    assert_in_range(n, 9, 11);
    rig_advance_ms(&rig.http2, 1500);
    assert_int_equal(n + seen_now(), 25);
    rig_advance_ms(&rig.http2, 10000); /* a burst is saved again, and no more than that */
    for (unsigned i = 30; i < 50; i++)
        ask(i, 60000);
    assert_int_equal(seen_now(), 5);
}

static void urgent_ones_go_first_and_the_late_are_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        a[i].request.urgent = i == 11;
        ask(i, 450);
    }
    assert_int_equal(seen_now(), 5);
    rig_advance_ms(&rig.http2, 110);
    assert_int_equal(seen_now(), 1);
    assert_string_equal(order, "abcdel");
    for (unsigned i = 0; i < 10; i++) {
        rig_advance_ms(&rig.http2, 50);
        seen_now();
    }
    unsigned late = 0;
    for (unsigned i = 5; i < 11; i++) {
        assert_int_equal(a[i].answers, 1);
        if (a[i].ending == ENDING_DEADLINE) {
            late++;
            assert_has(a[i].detail, "kubernetes.qps");
        }
    }
    assert_in_range(late, 2, 5);
}

static void so_many_are_under_way_at_a_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        ask(i, 60000);
    struct rig_stream *st[100];
    unsigned n = 0;
    while ((st[n] = kube_rig_next(&rig)))
        n++;
    assert_int_equal(n, KUBE_CALLS_MAX);
    kube_rig_reply(&rig, st[0], "200", "{}");
    assert_non_null(kube_rig_next(&rig));
    assert_null(kube_rig_next(&rig));
}

/* -- the token
 * ------------------------------------------------------------------------------------------------
 */

static const char *dir;
static char token_file[300];

static void write_token(const char *text)
{
    FILE *f = fopen(token_file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup_token(void **state)
{
    (void)state;
    dir = certs_dir_new();
    snprintf(token_file, sizeof token_file, "%s/token", dir);
    write_token("first\n");
    return setup_with(1000, 1000, token_file);
}

static int teardown_token(void **state)
{
    teardown(state);
    certs_dir_remove(dir);
    return 0;
}

static void what_is_adopted_is_used_from_then_on(void **state)
{
    struct kube_credentials c = {.host = "10.0.0.1", .port = 6443, .token = strdup("adopted")};
    struct kube_access *before = rig.access;
    char detail[200];
    (void)state;
    ask(0, 5000);
    struct rig_stream *st = next();
    assert_has(st->fields, "authorization: Bearer first\n");
    kube_rig_reply(&rig, st, "200", "{}");
    assert_int_equal(kube_access_new(&c, &rig.access, detail, sizeof detail), 0);
    kube_adopt(rig.kube, rig.access, rig.kube->key.profile);
    kube_access_unref(&before);
    ask(1, 5000);
    st = next();
    assert_has(st->fields, "authorization: Bearer adopted\n");
    kube_rig_reply(&rig, st, "401", "{}"); /* and there is no file any more */
    assert_answered(1, 401, "{}");
}

static void after_a_401_the_file_is_looked_at(void **state)
{
    (void)state;
    ask(0, 5000);
    struct rig_stream *st = next();
    write_token("second");
    kube_rig_reply(&rig, st, "401", "{}");
    rig_advance_ms(&rig.http2, 50);
    st = next();
    assert_has(st->fields, "authorization: Bearer second\n");
    kube_rig_reply(&rig, st, "401", "{}"); /* the same again: that is the answer */
    assert_answered(0, 401, "{}");
}

static void a_token_that_is_gone_is_replaced_by_the_one_before(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            write_token("two words");
        else
            unlink(token_file);
        ask(i, 5000);
        struct rig_stream *st = next();
        assert_has(st->fields, "authorization: Bearer first\n");
        kube_rig_reply(&rig, st, "401", "{}");
        assert_answered(i, 401, "{}");
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_server_is_told_what_it_needs),
        T(requests_share_a_connection),
        T(an_empty_answer_is_an_answer),
        T(a_refusal_is_told_in_the_servers_words),
        T(redirects_are_not_followed),
        T(an_overloaded_server_is_asked_again_when_it_says),
        T(a_server_that_fails_is_asked_again_but_not_for_ever),
        T(what_would_come_too_late_is_not_waited_for),
        T(a_silent_server_costs_the_deadline),
        T(a_server_that_cannot_be_reached_is_tried_again),
        T(a_lost_connection_is_replaced),
        T(an_answer_without_end_is_cut),
        T(who_has_left_hears_nothing),
        T(so_many_are_under_way_at_a_time),
        cmocka_unit_test_setup_teardown(the_budget_holds, setup_budget, teardown),
        cmocka_unit_test_setup_teardown(urgent_ones_go_first_and_the_late_are_told, setup_budget, teardown),
        cmocka_unit_test_setup_teardown(what_is_adopted_is_used_from_then_on, setup_token, teardown_token),
        cmocka_unit_test_setup_teardown(after_a_401_the_file_is_looked_at, setup_token, teardown_token),
        cmocka_unit_test_setup_teardown(a_token_that_is_gone_is_replaced_by_the_one_before, setup_token,
                                        teardown_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
