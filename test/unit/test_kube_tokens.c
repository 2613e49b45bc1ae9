/* test/unit/test_kube_tokens.c — checks of agents' tokens: what a TokenReview means, until when it holds, one
 * flight for a token, every bound, and every end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/kube/jwt.h"
#include "broker/kube/token_cache.h"
#include "broker/kube/token_review.h"
#include "broker/kube/token_verdict.h"
#include "test/support/kube_rig.h"

enum { COUNT = 1200 };

static const struct token_review_options options = {"system:konnectivity-server", "kube-system",
                                                    "konnectivity-agent"};
#define STATUS(inner)                                                                                        \
    "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\",\"status\":{" inner "}}"
#define USER(name) "\"user\":{\"username\":\"" name "\"}"
#define AGENT      "system:serviceaccount:kube-system:konnectivity-agent"
#define GOOD       STATUS("\"authenticated\":true," USER(AGENT) ",\"audiences\":[\"system:konnectivity-server\"]")
#define BAD        STATUS("\"user\":{},\"error\":\"[invalid bearer token]\"")

/* -- what an answer means
 * -------------------------------------------------------------------------------------
 */

static const struct {
    enum ending ending;
    unsigned status;
    const char *body;
    enum token_verdict verdict;
    const char *why; /* part of it */
} answers[] = {
    {ENDING_DONE,    201, GOOD,                                                                          TOKEN_IS_GOOD,    ""                                                     },
    {ENDING_DONE,    200, GOOD,                                                                          TOKEN_IS_GOOD,    ""                                                     },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true," USER(AGENT)),                                 TOKEN_IS_GOOD,    ""                                                     },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true,\"audiences\":[]," USER(AGENT)),                TOKEN_IS_GOOD,    ""                                                     },
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true,\"audiences\":[\"a\",\"system:konnectivity-server\"]," USER(AGENT)),
     TOKEN_IS_GOOD,                                                                                                        ""                                                     },
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true,\"audiences\":[\"https://kubernetes.default.svc\"]," USER(AGENT)),
     TOKEN_IS_REFUSED,                                                                                                     "not meant for the audience system:konnectivity-server"},
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true,\"audiences\":\"system:konnectivity-server\"," USER(AGENT)),
     TOKEN_IS_REFUSED,                                                                                                     "audience"                                             },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true,\"audiences\":[1,null]," USER(AGENT)),          TOKEN_IS_REFUSED,
     "audience"                                                                                                                                                                   },
    {ENDING_DONE,    201, BAD,                                                                           TOKEN_IS_REFUSED, "does not accept the token: [invalid bearer token]"    },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true,\"error\":\"half\\u0007way\"," USER(AGENT)),
     TOKEN_IS_REFUSED,                                                                                                     "half?way"                                             },
    {ENDING_DONE,    201, STATUS("\"authenticated\":false," USER(AGENT)),                                TOKEN_IS_REFUSED,
     "does not accept the token"                                                                                                                                                  },
    {ENDING_DONE,    201, STATUS("\"authenticated\":\"true\"," USER(AGENT)),                             TOKEN_IS_REFUSED,
     "does not accept"                                                                                                                                                            },
    {ENDING_DONE,    201, STATUS("\"authenticated\":1," USER(AGENT)),                                    TOKEN_IS_REFUSED, "does not accept"                                      },
    {ENDING_DONE,    201, STATUS(USER(AGENT)),                                                           TOKEN_IS_REFUSED, "does not accept"                                      },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true"),                                              TOKEN_IS_REFUSED, "somebody else: nobody"                                },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true," USER("kubernetes-admin")),                    TOKEN_IS_REFUSED,
     "somebody else: kubernetes-admin"                                                                                                                                            },
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true," USER("system:serviceaccount:default:konnectivity-agent")),
     TOKEN_IS_REFUSED,                                                                                                     "somebody else"                                        },
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true," USER("system:serviceaccount:kube-system:konnectivity-agent2")),
     TOKEN_IS_REFUSED,                                                                                                     "somebody else"                                        },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true," USER(AGENT ":more")),                         TOKEN_IS_REFUSED,
     "somebody else"                                                                                                                                                              },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true," USER("system:serviceaccount:kube-system:")),
     TOKEN_IS_REFUSED,                                                                                                     "somebody else"                                        },
    {ENDING_DONE,    201,
     STATUS("\"authenticated\":true," USER("xsystem:serviceaccount:kube-system:konnectivity-agent")),
     TOKEN_IS_REFUSED,                                                                                                     "somebody else"                                        },
    {ENDING_DONE,    201, STATUS("\"authenticated\":true,\"user\":\"" AGENT "\""),                       TOKEN_IS_REFUSED,
     "somebody else"                                                                                                                                                              },
    {ENDING_DONE,    201, "{\"kind\":\"TokenReview\"}",                                                  TOKEN_IS_UNKNOWN, "no TokenReview"                                       },
    {ENDING_DONE,    201, "{\"kind\":\"Status\",\"status\":{\"authenticated\":true}}",                   TOKEN_IS_UNKNOWN,
     "no TokenReview"                                                                                                                                                             },
    {ENDING_DONE,    201, STATUS("\"authenticated\":false,\"authenticated\":true," USER(AGENT)),
     TOKEN_IS_UNKNOWN,                                                                                                     "no TokenReview"                                       },
    {ENDING_DONE,    201, "[]",                                                                          TOKEN_IS_UNKNOWN, "no TokenReview"                                       },
    {ENDING_DONE,    201, "<html>",                                                                      TOKEN_IS_UNKNOWN, "no TokenReview"                                       },
    {ENDING_DONE,    201, "",                                                                            TOKEN_IS_UNKNOWN, "no TokenReview"                                       },
    {ENDING_DONE,    202, GOOD,                                                                          TOKEN_IS_UNKNOWN, "did not review"                                       },
    {ENDING_DONE,    403, "{}",                                                                          TOKEN_IS_UNKNOWN, "did not review the token: detail"                     },
    {ENDING_REFUSED, 0,   "",                                                                            TOKEN_IS_UNKNOWN, "could not be asked: detail"                           },
};

static void only_what_is_said_exactly_is_good(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        char why[TOKEN_WHY_MAX];
        struct kube_answer a = {.ending = answers[i].ending,
                                .status = (uint16_t)answers[i].status,
                                .body = answers[i].body,
                                .len = strlen(answers[i].body),
                                .detail = "detail"};
        enum token_verdict verdict = token_review_judge(&options, &a, why);
        if (verdict != answers[i].verdict || !strstr(why, answers[i].why) ||
            !why[0] != (verdict == TOKEN_IS_GOOD))
            fail_msg("row %u: verdict %d, '%s'", i, (int)verdict, why);
    }
}

static void the_question_is_json_whatever_the_audience(void **state)
{
    (void)state;
    const struct token_review_options odd = {"a\"b\\c\n\xc3\xa4", "n", "s"};
    struct slice token;
    size_t len;
    char *body = token_review_body(&odd, SLICE("abc.d-e_f.g=="), &len, &token);
    assert_int_equal(len, strlen(body));
    assert_true(slice_eq(token, SLICE("abc.d-e_f.g==")));
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const json_t *spec = json_object_get(root, "spec");
    assert_string_equal(json_string_value(json_object_get(spec, "token")), "abc.d-e_f.g==");
    assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "audiences"), 0)),
                        odd.audience);
    json_decref(root);
    free(body);
}

/* -- expiry
 * ---------------------------------------------------------------------------------------------------
 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* A token with this payload: "h.PAYLOAD.s". */
static const char *jwt_of(const char *payload, char *ret, size_t size)
{
    size_t len = strlen(payload), n = 0;
    n += (size_t)snprintf(ret, size, "h.");
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < len ? (uint8_t)payload[i + k] : 0u);
        for (size_t k = 0; k < 4 && i + k <= len; k++)
            ret[n++] = digits[bits >> (18 - 6 * k) & 63];
    }
    snprintf(ret + n, size - n, ".s");
    return ret;
}

static int64_t expiry_of(const char *payload)
{
    char token[4096];
    int64_t s = -1;
    jwt_of(payload, token, sizeof token);
    return jwt_expiry(slice_of_text(token), &s) ? s : -1;
}

static void a_jwt_says_when_it_expires(void **state)
{
    (void)state;
    assert_int_equal(expiry_of("{\"exp\":1893456000}"), 1893456000);
    assert_int_equal(expiry_of("{\"exp\":1893456000.75,\"iss\":\"x\"}"), 1893456000);
    assert_int_equal(expiry_of("{\"exp\":0}"), 0);
    assert_int_equal(expiry_of("{\"exp\":1.0e9}"), 1000000000);
    static const char *const none[] = {"{}",
                                       "{\"exp\":\"1893456000\"}",
                                       "{\"exp\":null}",
                                       "{\"exp\":-1}",
                                       "{\"exp\":1e300}",
                                       "{\"exp\":1,\"exp\":2}",
                                       "[1]",
                                       "x",
                                       "",
                                       "{\"aud\":{\"exp\":1}}"};
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
        assert_int_equal(expiry_of(none[i]), -1);
    static const char *const no_jwt[] = {"",         ".",      "..",       "a.b",    "h.e30.s.t.u",
                                         "h.e30=.s", "h.e3.s", "h.e30!.s", "h e30 s"};
    for (unsigned i = 0; i < ARRAY_SIZE(no_jwt); i++) {
        int64_t s;
        assert_false(jwt_expiry(slice_of_text(no_jwt[i]), &s));
    }
}

/* -- the cache
 * ------------------------------------------------------------------------------------------------
 */

static void hash_of(unsigned n, uint8_t hash[TOKEN_HASH_BYTES])
{
    memset(hash, 0, TOKEN_HASH_BYTES);
    memcpy(hash, &n, sizeof n);
}

static struct token_entry *know(struct token_cache *c, unsigned n, bool good, uint64_t until)
{
    uint8_t hash[TOKEN_HASH_BYTES];
    hash_of(n, hash);
    struct token_entry *e = token_cache_add(c, hash);
    assert_non_null(e);
    token_cache_ask(c, e);
    token_cache_know(c, e, good, until);
    return e;
}

static const struct token_entry *find(struct token_cache *c, unsigned n, uint64_t now)
{
    uint8_t hash[TOKEN_HASH_BYTES];
    hash_of(n, hash);
    return token_cache_find(c, hash, now);
}

static void the_longest_unused_goes_first_and_rubbish_drives_nobody_out(void **state)
{
    (void)state;
    struct token_cache c;
    assert_int_equal(token_cache_init(&c, 4, 3, 2), 0);
    for (unsigned n = 0; n < 3; n++)
        know(&c, n, true, 100);
    assert_non_null(find(&c, 0, 1)); /* used */
    know(&c, 3, true, 100);
    assert_null(find(&c, 1, 1));
    assert_non_null(find(&c, 0, 1));
    for (unsigned n = 10; n < 100; n++)
        know(&c, n, false, 100);
    assert_null(find(&c, 97, 1));
    assert_int_equal(find(&c, 98, 1)->state, TOKEN_REFUSED);
    assert_int_equal(find(&c, 99, 1)->state, TOKEN_REFUSED);
    assert_int_equal(find(&c, 0, 1)->state, TOKEN_GOOD);
    assert_int_equal(find(&c, 2, 1)->state, TOKEN_GOOD);
    assert_int_equal(find(&c, 3, 1)->state, TOKEN_GOOD);
    assert_null(find(&c, 99, 100)); /* refused no longer */
    const struct token_entry *e = find(&c, 3, 100);
    assert_int_equal(e->state, TOKEN_NEW);
    assert_true(e->was_good);
    token_cache_fini(&c);
}

static void so_many_are_asked_at_a_time(void **state)
{
    (void)state;
    struct token_cache c;
    uint8_t hash[TOKEN_HASH_BYTES];
    struct token_entry *e = NULL;
    assert_int_equal(token_cache_init(&c, 4, 3, 2), 0);
    for (unsigned n = 0; n < 4; n++) {
        hash_of(n, hash);
        e = token_cache_add(&c, hash);
        token_cache_ask(&c, e);
    }
    hash_of(4, hash);
    assert_null(token_cache_add(&c, hash));
    token_cache_forget(&c, e);
    assert_null(find(&c, 3, 0)); /* it was never good */
    assert_non_null(token_cache_add(&c, hash));
    token_cache_fini(&c);
}

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
    assert_int_equal(token_reviews_new(rig.kube, &options, &rig.kube->reviews), 0);
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
    jwt_of(payload, token, sizeof token);
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
        cmocka_unit_test(only_what_is_said_exactly_is_good),
        cmocka_unit_test(the_question_is_json_whatever_the_audience),
        cmocka_unit_test(a_jwt_says_when_it_expires),
        cmocka_unit_test(the_longest_unused_goes_first_and_rubbish_drives_nobody_out),
        cmocka_unit_test(so_many_are_asked_at_a_time),
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
