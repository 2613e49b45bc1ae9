/* test/unit/test_head.c — packing a head: what a proxy forgets, what it carries elsewhere, what an edit may
 * do; and the names and authorities that heads are made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "broker/http/http1_parse.h"

static _Alignas(uint64_t) char block[16384];

#define START "GET /p HTTP/1.1\r\nHost: node-1:10250\r\n"

static void parse(const char *text, struct head_view *view)
{
    const struct http1_limits limits = HTTP1_REQUEST_LIMITS;
    struct http1_scan scan = {0};
    struct http1_error error;
    assert_int_equal(http1_parse_request(&limits, slice_of_text(text), &scan, view, &error), strlen(text));
}

static struct head *pack(const char *text, const struct head_edit *edit)
{
    static struct head_view view;
    struct head *head = NULL;
    parse(text, &view);
    assert_true(head_pack_bound(&view, edit) <= sizeof block);
    assert_int_equal(head_pack(&view, edit, block, sizeof block, &head), 0);
    assert_true(head_check(head, sizeof block));
    return head;
}

/* The fields as "name=value;" in order. */
static void assert_fields(const struct head *head, const char *expected)
{
    char found[1024] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < head->fields_n; i++) {
        struct slice name = head_field_name_at(head, i), value = head_field_value_at(head, i);
        at += (size_t)snprintf(found + at, sizeof found - at, "%.*s=%.*s;", (int)name.len, name.data,
                               (int)value.len, value.data);
    }
    assert_string_equal(found, expected);
}

static void assert_text(struct slice found, const char *expected)
{
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.data, expected, found.len);
}

static void hop_by_hop_fields_are_left_out(void **state)
{
    (void)state;
    struct head *head = pack(START
                             "Connection: close, X-Named, cookie\r\nx-NAMED: 1\r\nCookie: 2\r\nX-Kept: 3\r\n"
                             "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
                             "Proxy-Authorization: Basic x\r\nProxy-Authenticate: Basic\r\nTrailer: X-Sum\r\n"
                             "Upgrade: h2c\r\nHTTP2-Settings: x\r\nTransfer-Encoding: chunked\r\n"
                             "Accept: */*\r\n\r\n",
                             NULL);
    assert_fields(head, "X-Kept=3;Trailer=X-Sum;Accept=*/*;");
    assert_int_equal(head->body, BODY_CHUNKED);
    assert_true(head->close);
    assert_false(head->upgrade);
}

static void host_length_and_expect_are_carried(void **state)
{
    (void)state;
    struct head *head = pack(START "Content-Length: 7\r\nExpect: 100-continue\r\nA: b\r\n\r\n", NULL);
    assert_fields(head, "A=b;");
    assert_text(head_host(head), "node-1");
    assert_text(head_path(head), "/p");
    assert_text(head_method_text(head), "GET");
    assert_int_equal(head->port, 10250);
    assert_true(head->has_port);
    assert_int_equal(head->body, BODY_LENGTH);
    assert_int_equal(head->length, 7);
    assert_true(head->expect_continue);
}

static void upgrade_is_kept_only_when_asked_and_meant(void **state)
{
    (void)state;
    const struct head_edit keep = {.keep_upgrade = true};
    const char *meant = START "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4\r\n"
                              "X-Stream-Protocol-Version: v3\r\n\r\n";
    struct head *head = pack(meant, &keep);
    assert_fields(head, "Upgrade=SPDY/3.1;X-Stream-Protocol-Version=v4;X-Stream-Protocol-Version=v3;");
    assert_true(head->upgrade);
    head = pack(meant, NULL);
    assert_fields(head, "X-Stream-Protocol-Version=v4;X-Stream-Protocol-Version=v3;");
    assert_false(head->upgrade);
    head = pack(START "Upgrade: SPDY/3.1\r\n\r\n", &keep);
    assert_fields(head, "");
    assert_false(head->upgrade);
}

static void edits_add_set_and_drop(void **state)
{
    (void)state;
    const struct head_change changes[] = {
        {HEAD_ADD,  SLICE("Via"),           SLICE("1.1 hawser")},
        {HEAD_SET,  SLICE("authorization"), SLICE("Bearer t")  },
        {HEAD_DROP, SLICE("X-Secret"),      SLICE("")          },
        {HEAD_SET,  SLICE("X-Empty"),       SLICE("")          },
    };
    const struct head_edit edit = {changes, ARRAY_SIZE(changes), false};
    struct head *head = pack(
        START "Via: 1.0 a\r\nAuthorization: x\r\nx-secret: 1\r\nX-secret: 2\r\nZ: z\r\n\r\n", &edit);
    assert_fields(head, "Via=1.0 a;Z=z;Via=1.1 hawser;authorization=Bearer t;X-Empty=;");
    assert_int_equal(head_find(head, HTTP_FIELD_AUTHORIZATION, 0), 3);
    assert_int_equal(head_find(head, HTTP_FIELD_VIA, 1), 2);
    assert_int_equal(head_find(head, HTTP_FIELD_HOST, 0), head->fields_n);
    assert_int_equal(head_find_name(head, SLICE("x-EMPTY"), 0), 4);
    assert_int_equal(head_find_name(head, SLICE("VIA"), 0), 0);
    assert_int_equal(head_find_name(head, SLICE("nothing"), 0), head->fields_n);
}

static void an_edit_cannot_smuggle(void **state)
{
    (void)state;
    static const struct head_change bad[] = {
        {HEAD_ADD,  SLICE_INIT("X"),                 SLICE_INIT("a\r\nContent-Length: 5")},
        {HEAD_ADD,  SLICE_INIT("X"),                 SLICE_INIT("secret\n")              },
        {HEAD_ADD,  SLICE_INIT("X"),                 SLICE_INIT(" a")                    },
        {HEAD_ADD,  SLICE_INIT("X"),                 SLICE_INIT("a\0")                   },
        {HEAD_ADD,  SLICE_INIT("X Y"),               SLICE_INIT("a")                     },
        {HEAD_ADD,  SLICE_INIT(""),                  SLICE_INIT("a")                     },
        {HEAD_SET,  SLICE_INIT("X:"),                SLICE_INIT("a")                     },
        {HEAD_DROP, SLICE_INIT("X\r\n"),             SLICE_INIT("")                      },
        {HEAD_SET,  SLICE_INIT("Content-length"),    SLICE_INIT("5")                     },
        {HEAD_ADD,  SLICE_INIT("transfer-encoding"), SLICE_INIT("chunked")               },
        {HEAD_ADD,  SLICE_INIT("Host"),              SLICE_INIT("b")                     },
        {HEAD_ADD,  SLICE_INIT("Connection"),        SLICE_INIT("close")                 },
    };
    static struct head_view view;
    struct head *head = NULL;
    parse(START "\r\n", &view);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const struct head_edit edit = {&bad[i], 1, false};
        assert_int_equal(head_pack(&view, &edit, block, sizeof block, &head), -EINVAL);
        assert_null(head);
    }
}

static void paths_are_made_complete(void **state)
{
    (void)state;
    assert_text(head_path(pack("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "/");
    assert_text(head_path(pack("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "/?q");
    assert_text(head_path(pack("GET http://a/x?q HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "/x?q");
    assert_text(head_path(pack("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "*");
    assert_text(head_path(pack("OPTIONS http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "/?q");
    assert_text(head_path(pack("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "*");
    assert_text(head_path(pack("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", NULL)), "");
}

static void every_too_small_block_is_refused(void **state)
{
    (void)state;
    static struct head_view view;
    parse(START "A: b\r\nCookie: c\r\n\r\n", &view);
    struct head *head = NULL;
    assert_int_equal(head_pack(&view, NULL, block, sizeof block, &head), 0);
    uint32_t size = head->size;
    for (size_t cap = 0; cap < size; cap++) {
        void *tight = malloc(cap > 0 ? cap : 1);
        head = NULL;
        assert_int_equal(head_pack(&view, NULL, tight, cap, &head), -ENOSPC);
        assert_null(head);
        free(tight);
    }
    void *exact = malloc(size);
    assert_int_equal(head_pack(&view, NULL, exact, size, &head), 0);
    free(exact);
}

/* The whole point of a head: its bytes may go anywhere. */
static void a_copied_head_reads_the_same(void **state)
{
    (void)state;
    struct head *head = pack(START "A: b\r\n\r\n", NULL);
    struct head *copy = malloc(head->size);
    memcpy(copy, head, head->size);
    memset(block, 0xa5, sizeof block);
    assert_true(head_check(copy, copy->size));
    assert_fields(copy, "A=b;");
    assert_text(head_host(copy), "node-1");
    free(copy);
}

static void a_head_with_a_span_outside_fails_its_check(void **state)
{
    (void)state;
    struct head *head = pack(START "A: b\r\n\r\n", NULL), good;
    memcpy(&good, head, sizeof good);
    assert_false(head_check(head, head->size - 1));
    head->host.at = head->size;
    assert_false(head_check(head, sizeof block));
    memcpy(head, &good, sizeof good);
    head->path.len = UINT32_MAX;
    assert_false(head_check(head, sizeof block));
    memcpy(head, &good, sizeof good);
    head->fields_n = UINT32_MAX;
    assert_false(head_check(head, sizeof block));
    memcpy(head, &good, sizeof good);
    head->fields[0].value.at = UINT32_MAX;
    assert_false(head_check(head, sizeof block));
}

static void every_known_name_resolves_to_its_row(void **state)
{
    (void)state;
    for (int f = HTTP_FIELD_OTHER + 1; f < HTTP_FIELD_COUNT; f++) {
        char upper[64];
        const char *name = http_field_name((enum http_field)f);
        size_t len = strlen(name);
        for (size_t i = 0; i <= len; i++)
            upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32) : name[i];
        assert_int_equal(http_field_of(slice_of_text(name)), f);
        assert_int_equal(http_field_of(slice_of(upper, len)), f);
        assert_int_equal(http_field_of(slice_of(name, len - 1)), HTTP_FIELD_OTHER);
        upper[len] = 'x';
        assert_int_equal(http_field_of(slice_of(upper, len + 1)), HTTP_FIELD_OTHER);
    }
    assert_int_equal(http_field_of(SLICE("")), HTTP_FIELD_OTHER);
}

static void methods_are_case_sensitive(void **state)
{
    (void)state;
    for (int m = 0; m < HTTP_METHOD_OTHER; m++)
        assert_int_equal(http_method_of(slice_of_text(http_method_name((enum http_method)m))), m);
    assert_int_equal(http_method_of(SLICE("get")), HTTP_METHOD_OTHER);
    assert_int_equal(http_method_of(SLICE("GETS")), HTTP_METHOD_OTHER);
    assert_true(http_method_is_idempotent(HTTP_METHOD_PUT));
    assert_false(http_method_is_idempotent(HTTP_METHOD_POST));
    assert_false(http_method_is_idempotent(HTTP_METHOD_OTHER));
}

static void assert_authority(const char *text, enum authority_result result, enum host_kind kind,
                             const char *host, int port)
{
    struct authority a = {.port = 4711};
    enum authority_result found = authority_parse(slice_of_text(text), &a);
    if (found != result)
        print_error("%s: %s\n", text, authority_result_text(found));
    assert_int_equal(found, result);
    if (found != AUTHORITY_OK) {
        assert_int_equal(a.port, 4711); /* untouched */
        return;
    }
    assert_int_equal(a.kind, kind);
    assert_text(a.host, host);
    assert_int_equal(a.has_port, port >= 0);
    assert_int_equal(a.port, port >= 0 ? port : 0);
}

static void authorities(void **state)
{
    (void)state;
    char longest[AUTHORITY_HOST_MAX + 2];
    assert_authority("a", AUTHORITY_OK, HOST_NAME, "a", -1);
    assert_authority("svc.ns.svc.cluster.local.:443", AUTHORITY_OK, HOST_NAME, "svc.ns.svc.cluster.local.",
                     443);
    assert_authority("node_1:65535", AUTHORITY_OK, HOST_NAME, "node_1", 65535);
    assert_authority("3com:1", AUTHORITY_OK, HOST_NAME, "3com", 1);
    assert_authority("1.2.3.4:1", AUTHORITY_OK, HOST_IPV4, "1.2.3.4", 1);
    assert_authority("1.2.3.4.example", AUTHORITY_OK, HOST_NAME, "1.2.3.4.example", -1);
    assert_authority("[::]", AUTHORITY_OK, HOST_IPV6, "::", -1);
    assert_authority("[::ffff:1.2.3.4]:22", AUTHORITY_OK, HOST_IPV6, "::ffff:1.2.3.4", 22);
    assert_authority("", AUTHORITY_EMPTY, HOST_NONE, "", 0);
    assert_authority(":80", AUTHORITY_EMPTY, HOST_NONE, "", 0);
    assert_authority("u@a", AUTHORITY_USERINFO, HOST_NONE, "", 0);
    assert_authority("u:p@[::1]:80", AUTHORITY_USERINFO, HOST_NONE, "", 0);
    assert_authority("a:", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a:0", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a:65536", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a:100000", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a:08", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a: 80", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("a:80:80", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("[::1]80", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("[::1]:", AUTHORITY_BAD_PORT, HOST_NONE, "", 0);
    assert_authority("[]", AUTHORITY_BAD_IPV6, HOST_NONE, "", 0);
    assert_authority("[::1", AUTHORITY_BAD_IPV6, HOST_NONE, "", 0);
    assert_authority("[v1.x]", AUTHORITY_BAD_IPV6, HOST_NONE, "", 0);
    assert_authority("[fe80::1%eth0]", AUTHORITY_BAD_IPV6, HOST_NONE, "", 0);
    assert_authority("[1:2:3:4:5:6:7:8:9]", AUTHORITY_BAD_IPV6, HOST_NONE, "", 0);
    assert_authority("1.2.3", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("256.1.1.1", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("01.2.3.4", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("1.2.3.4.", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("0x7f000001", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("a.0x", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("a.1", AUTHORITY_BAD_IPV4, HOST_NONE, "", 0);
    assert_authority("a..b", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    assert_authority(".a", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    assert_authority("a..", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    assert_authority("a%2e", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    assert_authority("a*", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    assert_authority("\xc3\xa9", AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
    memset(longest, 'a', sizeof longest);
    longest[AUTHORITY_HOST_MAX] = '\0';
    assert_authority(longest, AUTHORITY_OK, HOST_NAME, longest, -1);
    longest[AUTHORITY_HOST_MAX] = 'a';
    longest[AUTHORITY_HOST_MAX + 1] = '\0';
    assert_authority(longest, AUTHORITY_BAD_HOST, HOST_NONE, "", 0);
}

static void elements_of_a_list(void **state)
{
    (void)state;
    struct slice rest = SLICE(" a ,,b\t,"), element;
    const char *expected[] = {"a", "", "b", ""};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_true(slice_next_element(&rest, &element));
        assert_text(element, expected[i]);
    }
    assert_false(slice_next_element(&rest, &element));
}

static void a_slice_becomes_a_string_as_far_as_there_is_room(void **state)
{
    (void)state;
    char to[4] = "xyz";
    slice_copy_text(SLICE("ab"), to, sizeof(to));
    assert_string_equal(to, "ab");
    slice_copy_text(SLICE("abcd"), to, sizeof(to));
    assert_string_equal(to, "abc");
    slice_copy_text((struct slice){NULL, 0}, to, sizeof(to));
    assert_string_equal(to, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hop_by_hop_fields_are_left_out),
        cmocka_unit_test(host_length_and_expect_are_carried),
        cmocka_unit_test(upgrade_is_kept_only_when_asked_and_meant),
        cmocka_unit_test(edits_add_set_and_drop),
        cmocka_unit_test(an_edit_cannot_smuggle),
        cmocka_unit_test(paths_are_made_complete),
        cmocka_unit_test(every_too_small_block_is_refused),
        cmocka_unit_test(a_copied_head_reads_the_same),
        cmocka_unit_test(a_head_with_a_span_outside_fails_its_check),
        cmocka_unit_test(every_known_name_resolves_to_its_row),
        cmocka_unit_test(methods_are_case_sensitive),
        cmocka_unit_test(authorities),
        cmocka_unit_test(elements_of_a_list),
        cmocka_unit_test(a_slice_becomes_a_string_as_far_as_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
