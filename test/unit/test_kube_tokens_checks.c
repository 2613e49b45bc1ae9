/* test/unit/test_kube_tokens_checks.c — checks of agents' tokens against an API server: one flight for a
 * token, every bound, and every end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/kube/token_review.h"
#include "test/support/kube_rig.h"
#include "test/unit/kube_token_texts.h"

enum { COUNT = 1200 };

/* -- checks
 * ---------------------------------------------------------------------------------------------------
 */

struct checked {
    struct token_check check;
    unsigned answers;
    bool good;
    char why[256];
};

static struct kube_rig rig;
static struct checked t[COUNT];

static void on_answered(struct token_check *check, bool good, const char *why)
{
    struct checked *own = check->owner;
    own->answers++;
    own->good = good;
    assert_int_equal(good, why == NULL);
    snprintf(own->why, sizeof own->why, "%s", why ? why : "");
}

static int setup_with(uint32_t qps, uint32_t burst)
{
    memset(t, 0, sizeof t);
    for (unsigned i = 0; i < COUNT; i++) {
        t[i].check.answered = on_answered;
        t[i].check.owner = &t[i];
    }
    kube_rig_start(&rig, qps, burst, NULL);
    assert_int_equal(token_reviews_new(rig.kube, &kube_token_options, &rig.kube->reviews), 0);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(10000, 10000);
}

static int setup_slow(void **state)
{
    (void)state;
    return setup_with(10, 4);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        token_review_cancel(&t[i].check);
    kube_rig_stop(&rig);
    return 0;
}

static uint64_t count(enum counter c)
{
    return atomic_load_explicit(&rig.http2.engine.worker.counters.values[c], memory_order_relaxed);
}

static void check(unsigned i, const char *token)
{
    unsigned before = t[i].answers;
    token_review_check(&rig.http2.bw, &t[i].check, slice_of_text(token));
    assert_int_equal(t[i].answers, before); /* never from inside */
    rig_run(&rig.http2);
}

static void assert_good(unsigned i)
{
    assert_int_equal(t[i].answers, 1);
    if (!t[i].good)
        fail_msg("%u: %s", i, t[i].why);
}

static void assert_refused(unsigned i, const char *why)
{
    assert_int_equal(t[i].answers, 1);
    assert_false(t[i].good);
    if (!strstr(t[i].why, why))
        fail_msg("'%s' is not in '%s'", why, t[i].why);
}

static void reply(const char *head, const char *json)
{
    struct rig_stream *st = kube_rig_next(&rig);
    assert_non_null(st);
    assert_non_null(strstr(st->fields, ":path: /apis/authentication.k8s.io/v1/tokenreviews\n"));
    kube_rig_reply(&rig, st, head, json);
}

static void one_flight_answers_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        check(i, "same");
    check(50, "other");
    reply("201", GOOD);
    for (unsigned i = 0; i < 50; i++)
        assert_good(i);
    assert_int_equal(t[50].answers, 0);
    reply("201", BAD);
    assert_refused(50, "invalid bearer token");
    assert_null(kube_rig_next(&rig));
    assert_int_equal(count(COUNTER_token_checks), 51);
    assert_int_equal(count(COUNTER_token_reviews_good), 1);
    assert_int_equal(count(COUNTER_token_reviews_refused), 1);
}

static void answers_are_kept_for_a_while(void **state)
{
    (void)state;
    check(0, "good");
    reply("201", GOOD);
    check(1, "bad");
    reply("201", BAD);
    rig_advance_ms(&rig.http2, TOKEN_REFUSED_MS - 1000);
    check(2, "good");
    assert_good(2);
    check(3, "bad");
    assert_refused(3, "invalid bearer token");
    assert_int_equal(count(COUNTER_token_checks_kept), 2);
    rig_advance_ms(&rig.http2, 2000);
    check(4, "bad"); /* asked again */
    reply("201", BAD);
    assert_refused(4, "invalid");
    rig_advance_ms(&rig.http2, TOKEN_GOOD_MS - TOKEN_REFUSED_MS - 2000);
    check(5, "good");
    assert_good(5);
    rig_advance_ms(&rig.http2, 2000);
    check(6, "good"); /* asked again, and deleted meanwhile */
    reply("201", BAD);
    assert_refused(6, "invalid");
    check(7, "good");
    assert_refused(7, "invalid");
    assert_null(kube_rig_next(&rig));
}

static void a_token_is_not_taken_beyond_its_own_time(void **state)
{
    (void)state;
    char payload[64], token[256];
    snprintf(payload, sizeof payload, "{\"exp\":%llu}", (unsigned long long)kube_rig_now_s(&rig) + 20);
    kube_token_jwt(payload, token, sizeof token);
    check(0, token);
    reply("201", GOOD);
    rig_advance_ms(&rig.http2, 18000);
    check(1, token);
    assert_good(1);
    rig_advance_ms(&rig.http2, 3000);
    check(2, token);
    assert_int_equal(t[2].answers, 0); /* the API server decides */
    reply("201", GOOD);                /* it may be lenient for a moment; nothing is kept */
    assert_good(2);
    check(3, token);
    reply("201", BAD);
    assert_refused(3, "invalid");
}

static void failures_are_not_kept(void **state)
{
    (void)state;
    check(0, "token");
    reply("403", "{\"message\":\"no\"}");
    assert_refused(0, "did not review the token: 403 no");
    check(1, "token");
    reply("201", "rubbish");
    assert_refused(1, "no TokenReview");
    check(2, "token");
    reply("201", GOOD);
    assert_good(2);
    assert_int_equal(count(COUNTER_token_reviews_failed), 2);
}

static void everybody_is_answered_in_time(void **state)
{
    (void)state;
    check(0, "token");
    assert_non_null(kube_rig_next(&rig));
    rig_advance_ms(&rig.http2, 5000);
    check(1, "token");
    rig_advance_ms(&rig.http2, TOKEN_ANSWER_MS - 5000);
    assert_refused(0, "could not be asked: the API server did not answer in time");
    assert_refused(1, "could not be asked");
}

static void what_is_no_token_is_not_asked_for(void **state)
{
    (void)state;
    static char huge[TOKEN_BYTES_MAX + 2];
    memset(huge, 'a', TOKEN_BYTES_MAX + 1);
    check(0, "");
    check(1, "two words");
    check(2, "quote\"");
    check(3, "line\n");
    check(4, "===");
    check(5, huge);
    for (unsigned i = 0; i < 6; i++)
        assert_refused(i, "no bearer token has");
    assert_null(kube_rig_next(&rig));
    huge[TOKEN_BYTES_MAX] = '\0';
    check(6, huge);
    reply("201", GOOD);
    assert_good(6);
}

static void who_has_left_hears_nothing(void **state)
{
    (void)state;
    check(0, "token");
    check(1, "token");
    token_review_cancel(&t[0].check);
    token_review_cancel(&t[0].check);
    reply("201", GOOD);
    assert_int_equal(t[0].answers, 0);
    assert_good(1);
    token_review_check(&rig.http2.bw, &t[2].check, SLICE("no token"));
    token_review_cancel(&t[2].check);
    rig_run(&rig.http2);
    assert_int_equal(t[2].answers, 0);
    check(0, "token"); /* it may ask again */
    assert_good(0);
}

static void bounds_hold(void **state)
{
    (void)state;
    char token[32];
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(token, sizeof token, "token-%u", i);
        check(i, token);
    }
    unsigned refused = 0;
    for (unsigned i = 0; i < COUNT; i++)
        refused += t[i].answers;
    assert_int_equal(refused, COUNT - TOKEN_PENDING_MAX);
    assert_refused(COUNT - 1, "too many tokens are being checked");
    rig_advance_ms(&rig.http2, TOKEN_ANSWER_MS);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(t[i].answers, 1);
}

static void those_who_were_good_go_first(void **state)
{
    (void)state;
    char token[32];
    check(0, "agent");
    reply("201", GOOD);
    rig_advance_ms(&rig.http2, TOKEN_GOOD_MS + 1000);
    for (unsigned i = 1; i < 200; i++) { /* more than there is time for */
        snprintf(token, sizeof token, "rubbish-%u", i);
        check(i, token);
    }
    t[0].answers = 0;
    check(0, "agent");
    for (unsigned i = 0; i < 20 && t[0].answers == 0; i++) {
        rig_advance_ms(&rig.http2, 50);
        for (struct rig_stream *st; (st = kube_rig_next(&rig));)
            kube_rig_reply(&rig, st, "201", strstr(st->body_text, "\"agent\"") ? GOOD : BAD);
    }
    assert_good(0);
    assert_int_equal(t[100].answers, 0);
}

static void draining_answers_all(void **state)
{
    (void)state;
    check(0, "token");
    assert_non_null(kube_rig_next(&rig));
    kube_drain(rig.kube);
    rig_run(&rig.http2);
    assert_refused(0, "shutting down");
    check(1, "token");
    assert_refused(1, "shutting down");
    assert_true(kube_is_idle(rig.kube));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_flight_answers_all),
        T(answers_are_kept_for_a_while),
        T(a_token_is_not_taken_beyond_its_own_time),
        T(failures_are_not_kept),
        T(everybody_is_answered_in_time),
        T(what_is_no_token_is_not_asked_for),
        T(who_has_left_hears_nothing),
        T(bounds_hold),
        cmocka_unit_test_setup_teardown(those_who_were_good_go_first, setup_slow, teardown),
        T(draining_answers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
