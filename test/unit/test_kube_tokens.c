/* test/unit/test_kube_tokens.c — what is known of agents' tokens: what a TokenReview means, until when a
 * token holds, and the cache with its bounds. Checks: test_kube_tokens_checks.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/kube/jwt.h"
#include "broker/kube/kube.h"
#include "broker/kube/token_cache.h"
#include "test/unit/kube_token_texts.h"

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
        enum token_verdict verdict = token_review_judge(&kube_token_options, &a, why);
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

static int64_t expiry_of(const char *payload)
{
    char token[4096];
    int64_t s = -1;
    kube_token_jwt(payload, token, sizeof token);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_said_exactly_is_good),
        cmocka_unit_test(the_question_is_json_whatever_the_audience),
        cmocka_unit_test(a_jwt_says_when_it_expires),
        cmocka_unit_test(the_longest_unused_goes_first_and_rubbish_drives_nobody_out),
        cmocka_unit_test(so_many_are_asked_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
