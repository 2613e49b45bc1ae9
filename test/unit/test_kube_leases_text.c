/* test/unit/test_kube_leases_text.c — what stands in Leases: times, names and labels as the API has them, and
 * until when one holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/kube/lease_name.h"
#include "broker/kube/lease_time.h"
#include "broker/kube/leases.h"

/* -- times, names, labels
 * -------------------------------------------------------------------------------------
 */

static void times_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z",             0                   },
        {"1970-01-01T00:00:00.000001Z",      1                   },
        {"2026-11-28T04:15:10.123456Z",      1795839310123456    },
        {"2026-11-28T04:15:10.1Z",           1795839310100000    },
        {"2026-11-28T04:15:10.123456789Z",   1795839310123456    },
        {"2026-11-28T05:15:10.123456+01:00", 1795839310123456    },
        {"2026-11-27T22:45:10.123456-05:30", 1795839310123456    },
        {"2024-02-29T23:59:59Z",             1709251199000000    },
        {"9999-12-31T23:59:59.999999Z",      253402300799999999ll},
        {"0000-01-01T00:00:00Z",             -62167219200000000ll},
    };
    static const char *const bad[] = {"",
                                      "now",
                                      "2026-11-28",
                                      "2026-11-28T04:15:10",
                                      "2026-11-28 04:15:10Z",
                                      "2026-11-28t04:15:10Z",
                                      "2026-11-28T04:15:10z",
                                      "2026-11-28T04:15:10.Z",
                                      "2026-11-28T04:15:10,1Z",
                                      "2026-11-28T04:15:10ZZ",
                                      "2026-11-28T04:15:10Z ",
                                      "2026-11-28T24:15:10Z",
                                      "2026-11-28T04:60:10Z",
                                      "2026-11-28T04:15:60Z",
                                      "2026-11-31T04:15:10Z",
                                      "2025-02-29T04:15:10Z",
                                      "1900-02-29T04:15:10Z",
                                      "2026-00-10T04:15:10Z",
                                      "2026-13-10T04:15:10Z",
                                      "2026-11-00T04:15:10Z",
                                      "+026-11-28T04:15:10Z",
                                      "2026-11-28T04:15:10+1:00",
                                      "2026-11-28T04:15:10+24:00",
                                      "2026-11-28T04:15:10+00:60",
                                      "2026-11-28T04:15:10+0000",
                                      "12026-11-28T04:15:10Z"};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        int64_t us;
        if (!lease_time_parse(good[i].text, &us) || us != good[i].us)
            fail_msg("%s: %lld", good[i].text, (long long)us);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t us = 7;
        if (lease_time_parse(bad[i], &us) || us != 7)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void times_are_written_as_they_are_read(void **state)
{
    char text[LEASE_TIME_BYTES];
    int64_t us;
    (void)state;
    assert_string_equal(lease_time_format(1795839310000123, text), "2026-11-28T04:15:10.000123Z");
    assert_true(lease_time_parse(text, &us));
    assert_int_equal(us, 1795839310000123);
}

static void names_that_may_stand_in_paths(void **state)
{
    static const char *const good[] = {"a", "0", "konnectivity-proxy-server-1", "a.b-c.d", "a--b"};
    static const char *const bad[] = {"",     "A",   "a_b",  "-a",    "a-",  ".a",  "a.",      "a..b",
                                      "a.-b", "a/b", "../x", "a%2fb", "a b", "a?b", "\xc3\xa4"};
    char longest[256];
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(lease_name_is_valid(good[i]));
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        if (lease_name_is_valid(bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    memset(longest, 'a', sizeof longest);
    longest[253] = '\0';
    assert_true(lease_name_is_valid(longest));
    longest[253] = 'a';
    longest[254] = '\0';
    assert_false(lease_name_is_valid(longest));
}

static void labels_are_pairs(void **state)
{
    static const char *const bad[] = {"",      "a",     "=b",    "a=b,", ",a=b", "a=b,c",
                                      "a=b=c", "a b=c", "a=b c", "-a=b", "a=-b"};
    char text[64];
    (void)state;
    json_t *labels = lease_labels("k8s-app=konnectivity-server,example.com/x=,b=C_1.2");
    assert_int_equal(json_object_size(labels), 3);
    assert_string_equal(json_string_value(json_object_get(labels, "k8s-app")), "konnectivity-server");
    assert_string_equal(json_string_value(json_object_get(labels, "example.com/x")), "");
    assert_string_equal(json_string_value(json_object_get(labels, "b")), "C_1.2");
    json_decref(labels);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        labels = lease_labels(bad[i]);
        if (labels)
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_int_equal(lease_query_encode("a=b,c/d e%&", text, sizeof text), 23);
    assert_string_equal(text, "a%3Db%2Cc%2Fd%20e%25%26");
    assert_int_equal(lease_query_encode("abcdef", text, 4), 6);
    assert_string_equal(text, "abc");
}

static void a_lease_holds_for_its_duration(void **state)
{
    static const struct {
        const char *spec;
        bool valid; /* at 100 s */
    } cases[] = {
        {"{'renewTime':'1970-01-01T00:01:20Z','leaseDurationSeconds':30}",                    true },
        {"{'renewTime':'1970-01-01T00:01:10.000001Z','leaseDurationSeconds':30}",             true },
        {"{'renewTime':'1970-01-01T00:01:10Z','leaseDurationSeconds':30}",                    false},
        {"{'acquireTime':'1970-01-01T00:01:20Z','leaseDurationSeconds':30}",                  true },
        {"{'acquireTime':'1970-01-01T00:01:20Z','renewTime':'1970-01-01T00:00:01Z','leaseDurationSeconds':"
         "30}",                                                                      false},
        {"{'renewTime':null,'acquireTime':'1970-01-01T00:01:20Z','leaseDurationSeconds':30}", true },
        {"{'renewTime':'1970-01-01T00:01:20Z'}",                                              false},
        {"{'renewTime':'1970-01-01T00:01:20Z','leaseDurationSeconds':-1}",                    false},
        {"{'renewTime':'1970-01-01T00:01:20Z','leaseDurationSeconds':9223372036854775807}",   false},
        {"{'renewTime':'soon','leaseDurationSeconds':30}",                                    false},
        {"{'renewTime':7,'leaseDurationSeconds':30}",                                         false},
        {"{}",                                                                                false},
        {"[]",                                                                                false},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[300];
        snprintf(text, sizeof text, "{'spec':%s}", cases[i].spec);
        for (char *at = text; *at; at++)
            *at = *at == '\'' ? '"' : *at;
        json_t *lease = json_loads(text, 0, NULL);
        assert_non_null(lease);
        if (lease_is_valid(lease, 100 * 1000000) != cases[i].valid)
            fail_msg("row %u", i);
        json_decref(lease);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_go_reads_them),
        cmocka_unit_test(times_are_written_as_they_are_read),
        cmocka_unit_test(names_that_may_stand_in_paths),
        cmocka_unit_test(labels_are_pairs),
        cmocka_unit_test(a_lease_holds_for_its_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
