/* test/unit/test_kube_leases.c — Leases: ours made, renewed, won back and deleted; the others' counted and
 * deleted when they are over. Times, names and labels in them: test_kube_leases_text.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/kube/lease_time.h"
#include "broker/kube/leases.h"
#include "test/support/kube_rig.h"

/* -- against an API server
 * ------------------------------------------------------------------------------------
 */

#define FOLDER "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
#define OWN    FOLDER "/konnectivity-proxy-server-s1"
#define OBJECT(version)                                                                                      \
    "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"name\":"                  \
    "\"konnectivity-proxy-server-s1\",\"resourceVersion\":\"" version                                        \
    "\",\"annotations\":{\"theirs\":\"kept\"}},\"spec\":{\"leaseTransitions\":3}}"
#define LIST(items) "{\"kind\":\"LeaseList\",\"apiVersion\":\"coordination.k8s.io/v1\",\"items\":[" items "]}"

static struct kube_rig rig;
static const struct lease_options options = {"kube-system", "k8s-app=konnectivity-server", "s1"};

static int setup(void **state)
{
    char detail[300];
    (void)state;
    kube_rig_start(&rig, 1000, 1000, NULL);
    rig.http2.engine.now_ns += 1000000000000ull; /* so that what was a minute ago was after 1970 */
    rig_run(&rig.http2);
    assert_int_equal(leases_new(rig.kube, &options, &rig.kube->leases, detail, sizeof detail), 0);
    leases_open(rig.kube->leases);
    rig_advance_ms(&rig.http2, 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kube_rig_stop(&rig);
    return 0;
}

/* The next request must be this one. */
static struct rig_stream *expect(const char *method, const char *path)
{
    char line[700];
    struct rig_stream *st = kube_rig_next(&rig);
    if (!st)
        fail_msg("nothing was asked, expected %s %s", method, path);
    snprintf(line, sizeof line, ":method: %s\n", method);
    if (!strstr(st->fields, line))
        fail_msg("expected %s %s, got\n%s", method, path, st->fields);
    snprintf(line, sizeof line, ":path: %s\n", path);
    if (!strstr(st->fields, line))
        fail_msg("expected %s %s, got\n%s", method, path, st->fields);
    return st;
}

static void answer(const char *method, const char *path, const char *head, const char *json)
{
    kube_rig_reply(&rig, expect(method, path), head, json);
}

static const char *list_path = FOLDER "?labelSelector=k8s-app%3Dkonnectivity-server";

static json_t *body_of(const struct rig_stream *st)
{
    json_t *root = json_loads(st->body_text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static const json_t *at(const json_t *root, const char *part, const char *key)
{
    return json_object_get(json_object_get(root, part), key);
}

static void make_ours(void)
{
    answer("GET", OWN, "404", "{\"kind\":\"Status\",\"reason\":\"NotFound\"}");
    answer("GET", list_path, "200", LIST(""));
    answer("POST", FOLDER, "201", OBJECT("1"));
}

static void ours_is_made_where_there_is_none(void **state)
{
    (void)state;
    answer("GET", OWN, "404", "{}");
    answer("GET", list_path, "200", LIST(""));
    struct rig_stream *st = expect("POST", FOLDER);
    json_t *root = body_of(st);
    int64_t when;
    assert_string_equal(json_string_value(json_object_get(root, "kind")), "Lease");
    assert_string_equal(json_string_value(at(root, "metadata", "name")), "konnectivity-proxy-server-s1");
    assert_string_equal(json_string_value(json_object_get(at(root, "metadata", "labels"), "k8s-app")),
                        "konnectivity-server");
    assert_string_equal(json_string_value(at(root, "spec", "holderIdentity")), "s1");
    assert_int_equal(json_integer_value(at(root, "spec", "leaseDurationSeconds")), 30);
    assert_true(lease_time_parse(json_string_value(at(root, "spec", "renewTime")), &when));
    assert_in_range(when / 1000000, kube_rig_now_s(&rig) - 1, kube_rig_now_s(&rig));
    json_decref(root);
    kube_rig_reply(&rig, st, "201", OBJECT("1"));
    assert_null(kube_rig_next(&rig));
}

static void it_is_renewed_in_time_and_what_is_theirs_stays(void **state)
{
    (void)state;
    make_ours();
    rig_advance_ms(&rig.http2, 14900);
    assert_null(kube_rig_next(&rig));
    rig_advance_ms(&rig.http2, 800); /* 4 % of chance */
    struct rig_stream *st = kube_rig_next(&rig);
    assert_non_null(st);
    if (strstr(st->fields, "labelSelector")) {
        kube_rig_reply(&rig, st, "200", LIST(""));
        st = kube_rig_next(&rig);
        assert_non_null(st);
    }
    assert_non_null(strstr(st->fields, ":method: PUT\n"));
    json_t *root = body_of(st);
    assert_string_equal(json_string_value(at(root, "metadata", "resourceVersion")), "1");
    assert_string_equal(json_string_value(json_object_get(at(root, "metadata", "annotations"), "theirs")),
                        "kept");
    assert_int_equal(json_integer_value(at(root, "spec", "leaseTransitions")), 3);
    assert_string_equal(json_string_value(at(root, "spec", "holderIdentity")), "s1");
    json_decref(root);
    kube_rig_reply(&rig, st, "200", OBJECT("2"));
}

static void one_that_is_there_is_taken_over(void **state)
{
    (void)state;
    answer("GET", OWN, "200", OBJECT("7"));
    answer("GET", list_path, "200", LIST(""));
    struct rig_stream *st = expect("PUT", OWN);
    json_t *root = body_of(st);
    assert_string_equal(json_string_value(at(root, "metadata", "resourceVersion")), "7");
    json_decref(root);
    kube_rig_reply(&rig, st, "200", OBJECT("8"));
    assert_null(kube_rig_next(&rig));
}

static void after_a_conflict_it_is_read_anew_but_not_for_ever(void **state)
{
    (void)state;
    answer("GET", OWN, "200", OBJECT("7"));
    answer("GET", list_path, "200", LIST(""));
    for (unsigned i = 0; i < LEASE_CONFLICTS_MAX; i++) {
        answer("PUT", OWN, "409", "{\"reason\":\"Conflict\"}");
        answer("GET", OWN, "200", OBJECT("9"));
    }
    answer("PUT", OWN, "409", "{}");
    assert_null(kube_rig_next(&rig));
    rig_advance_ms(&rig.http2, 2200);
    answer("GET", OWN, "200", OBJECT("10"));
    answer("PUT", OWN, "200", OBJECT("11"));
    assert_null(kube_rig_next(&rig));
}

static void a_lost_race_to_make_it_is_a_conflict(void **state)
{
    (void)state;
    answer("GET", OWN, "404", "{}");
    answer("GET", list_path, "200", LIST(""));
    answer("POST", FOLDER, "409", "{\"reason\":\"AlreadyExists\"}");
    answer("GET", OWN, "200", OBJECT("1"));
    answer("PUT", OWN, "404", "{}"); /* deleted in between */
    answer("POST", FOLDER, "201", OBJECT("2"));
    assert_null(kube_rig_next(&rig));
}

static void rubbish_is_no_lease(void **state)
{
    (void)state;
    answer("GET", OWN, "200", "{\"kind\":\"Lease\",\"metadata\":[],\"spec\":{}}");
    answer("GET", list_path, "200", LIST(""));
    assert_null(kube_rig_next(&rig));
    rig_advance_ms(&rig.http2, 2200);
    answer("GET", OWN, "404", "{}");
    answer("POST", FOLDER, "201", "{}");
    rig_advance_ms(&rig.http2, 2200);
    answer("GET", OWN, "403", "{}");
    rig_advance_ms(&rig.http2, 2200);
    answer("GET", OWN, "200", OBJECT("1"));
    answer("PUT", OWN, "200", OBJECT("2"));
}

static void draining_deletes_ours_at_once(void **state)
{
    (void)state;
    make_ours();
    kube_drain(rig.kube);
    answer("DELETE", OWN, "200", "{}");
    assert_true(kube_is_idle(rig.kube));
    rig_advance_ms(&rig.http2, 60000);
    assert_null(kube_rig_next(&rig));
}

static void draining_waits_for_what_is_under_way(void **state)
{
    (void)state;
    answer("GET", OWN, "404", "{}");
    answer("GET", list_path, "200", LIST(""));
    struct rig_stream *st = expect("POST", FOLDER);
    kube_drain(rig.kube);
    assert_null(kube_rig_next(&rig));
    kube_rig_reply(&rig, st, "201", OBJECT("1"));
    answer("DELETE", OWN, "404", "{}");
    assert_true(kube_is_idle(rig.kube));
}

static void a_broker_that_must_end_does_not_wait(void **state)
{
    (void)state;
    make_ours();
    kube_drain(rig.kube);
    expect("DELETE", OWN);
    assert_false(kube_is_idle(rig.kube));
    kube_abandon(rig.kube);
    rig_run(&rig.http2);
    assert_true(kube_is_idle(rig.kube));
    kube_abandon(rig.kube);
}

static void what_was_never_made_is_not_deleted(void **state)
{
    (void)state;
    answer("GET", OWN, "403", "{}");
    kube_drain(rig.kube);
    assert_null(kube_rig_next(&rig));
    assert_true(kube_is_idle(rig.kube));
}

/* Of another server, renewed so many seconds ago. */
static const char *item(char *to, size_t size, const char *name, int ago_s)
{
    char when[LEASE_TIME_BYTES];
    lease_time_format(((int64_t)kube_rig_now_s(&rig) - ago_s) * 1000000, when);
    snprintf(to, size,
             "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"v-%s\"},"
             "\"spec\":{\"leaseDurationSeconds\":30,\"renewTime\":\"%s\"}}",
             name, name, when);
    return to;
}

static void those_that_are_over_are_deleted_one_by_one(void **state)
{
    char text[8][300], list[3000];
    const struct konnectivity_stats *stats = &rig.http2.bw.stats;
    (void)state;
    assert_int_equal(rig.kube->leases->valid, -1);
    answer("GET", OWN, "404", "{}");
    item(text[0], sizeof text[0], "valid-1", 5);
    item(text[1], sizeof text[1], "over-1", 31);
    item(text[2], sizeof text[2], "../../pods/x", 99);
    item(text[3], sizeof text[3], "konnectivity-proxy-server-s1", 99);
    item(text[4], sizeof text[4], "over-2", 99);
    item(text[5], sizeof text[5], "valid-2", 29);
    item(text[6], sizeof text[6], "over-3", 99);
    snprintf(list, sizeof list, LIST("%s,%s,%s,%s,%s,%s,%s,7"), text[0], text[1], text[2], text[3], text[4],
             text[5], text[6]);
    struct rig_stream *st = kube_rig_next(&rig), *own = kube_rig_next(&rig);
    if (!strstr(st->fields, "labelSelector")) {
        struct rig_stream *swap = st;
        st = own;
        own = swap;
    }
    kube_rig_reply(&rig, st, "200", list);
    assert_int_equal(rig.kube->leases->valid, 2);
    st = expect("DELETE", FOLDER "/over-1");
    json_t *root = body_of(st);
    assert_string_equal(json_string_value(json_object_get(root, "kind")), "DeleteOptions");
    assert_string_equal(json_string_value(at(root, "preconditions", "resourceVersion")), "v-over-1");
    json_decref(root);
    kube_rig_reply(&rig, st, "200", "{}");
    answer("DELETE", FOLDER "/over-2", "409", "{\"reason\":\"Conflict\"}"); /* renewed meanwhile */
    answer("DELETE", FOLDER "/over-3", "404", "{\"reason\":\"NotFound\"}");
    assert_null(kube_rig_next(&rig));
    assert_int_equal(stats->culled_leases, 1);
    assert_int_equal(stats->leases[STATS_LEASE_LIST][0].code, 200);
    assert_int_equal(stats->leases[STATS_LEASE_LIST][0].count, 1);
    assert_int_equal(stats->lease_rows[STATS_LEASE_DELETE], 3);
    assert_string_equal(stats->leases[STATS_LEASE_DELETE][1].reason, "Conflict");
    assert_string_equal(stats->leases[STATS_LEASE_DELETE][2].reason, "NotFound");
    assert_int_equal(stats->leases[STATS_LEASE_DELETE][2].code, 404);
}

static void a_list_that_fails_is_asked_for_again(void **state)
{
    const struct konnectivity_stats *stats = &rig.http2.bw.stats;
    (void)state;
    answer("GET", OWN, "403", "{}");
    answer("GET", list_path, "403", "{\"reason\":\"Forbidden\"}");
    assert_int_equal(stats->leases[STATS_LEASE_LIST][0].code, 403);
    assert_string_equal(stats->leases[STATS_LEASE_LIST][0].reason, "Forbidden");
    kube_drain(rig.kube);
}

static void what_cannot_be_a_name_is_said_at_start(void **state)
{
    static const struct {
        struct lease_options options;
        const char *text;
    } cases[] = {
        {{"kube-system", "a=b", "Server"}, "agents.serverId: found \"Server\", expected lower-case"           },
        {{"kube-system", "a=b", "a/../b"}, "agents.serverId: found \"a/../b\""                                },
        {{"kube/system", "a=b", "s1"},     "agents.leases.namespace: found \"kube/system\", expected the name"},
        {{"kube.system", "a=b", "s1"},     "agents.leases.namespace"                                          },
        {{"kube-system", "a b=c", "s1"},   "agents.leases.label: found \"a b=c\", expected name=value"        },
        {{"kube-system", "", "s1"},        "agents.leases.label"                                              },
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct leases *l = NULL;
        char detail[400];
        assert_int_equal(leases_new(rig.kube, &cases[i].options, &l, detail, sizeof detail), -EINVAL);
        assert_null(l);
        if (!strstr(detail, cases[i].text))
            fail_msg("'%s' is not in '%s'", cases[i].text, detail);
    }
    answer("GET", OWN, "403", "{}");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(ours_is_made_where_there_is_none),
        T(it_is_renewed_in_time_and_what_is_theirs_stays),
        T(one_that_is_there_is_taken_over),
        T(after_a_conflict_it_is_read_anew_but_not_for_ever),
        T(a_lost_race_to_make_it_is_a_conflict),
        T(rubbish_is_no_lease),
        T(draining_deletes_ours_at_once),
        T(draining_waits_for_what_is_under_way),
        T(a_broker_that_must_end_does_not_wait),
        T(what_was_never_made_is_not_deleted),
        T(those_that_are_over_are_deleted_one_by_one),
        T(a_list_that_fails_is_asked_for_again),
        T(what_cannot_be_a_name_is_said_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
