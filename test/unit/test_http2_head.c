/* test/unit/test_http2_head.c — HTTP/2 field blocks judged and written: every rule of RFC 9113 section 8 that
 * a request can break, and what a good one becomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "broker/field_block.h"
#include "broker/http/http1_write.h"
#include "broker/http/http2_head.h"
#include "test/support/world.h"

static struct world world;
static struct head_view view;
static struct field_block block;
static const struct http1_limits limits = {64 * 1024, HEAD_FIELDS_MAX, 16 * 1024};

static int setup(void **state)
{
    (void)state;
    world_init(&world, NULL);
    block = (struct field_block){.refusal = HTTP2_NONE};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    field_block_reset(&block);
    world_fini(&world);
    return 0;
}

static void add(const char *name, const char *value)
{
    field_block_add(&block, &world.worker.bufs, &limits, slice_of_text(name), slice_of_text(value));
}

/* "name=value|name=value": gathered anew. */
static void gather(const char *text)
{
    field_block_reset(&block);
    while (*text) {
        size_t name_len = strcspn(text, "="), len = strcspn(text, "|");
        assert_true(name_len < len);
        field_block_add(&block, &world.worker.bufs, &limits, slice_of(text, name_len),
                        slice_of(text + name_len + 1, len - name_len - 1));
        text += len + (text[len] == '|');
    }
}

static enum http2_refusal read_text(const char *text, bool ended)
{
    gather(text);
    return block.refusal ? block.refusal
                         : http2_read_request(&limits, field_block_records(&block), ended, &view);
}

static void assert_text(struct slice found, const char *expected)
{
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.data, expected, found.len);
}

#define GET  ":method=GET|:scheme=http|:authority=node-1:10250|:path=/p?q"
#define POST ":method=POST|:scheme=https|:authority=node-1|:path=/p"

/* -- good requests ------------------------------------------------------------------------------------------
 */

static void a_get_comes_out_in_absolute_form(void **state)
{
    (void)state;
    assert_int_equal(read_text(GET "|accept=*/*|x-a=", true), HTTP2_NONE);
    assert_int_equal(view.kind, HEAD_REQUEST);
    assert_int_equal(view.method, HTTP_METHOD_GET);
    assert_int_equal(view.form, TARGET_ABSOLUTE);
    assert_int_equal(view.scheme, HTTP_SCHEME_HTTP);
    assert_text(view.method_text, "GET");
    assert_text(view.authority.host, "node-1");
    assert_int_equal(view.authority.port, 10250);
    assert_text(view.path, "/p?q");
    assert_int_equal(view.body, BODY_NONE);
    assert_int_equal(view.fields_n, 2);
    assert_int_equal(view.fields[0].id, HTTP_FIELD_ACCEPT);
    assert_text(view.fields[1].value, "");
    assert_true(view.keep_alive);
}

static void a_body_has_the_length_that_was_said_or_none(void **state)
{
    (void)state;
    assert_int_equal(read_text(POST "|content-length=5", false), HTTP2_NONE);
    assert_int_equal(view.body, BODY_LENGTH);
    assert_int_equal(view.length, 5);
    assert_int_equal(view.authority.port, 443);
    assert_int_equal(read_text(POST, false), HTTP2_NONE);
    assert_int_equal(view.body, BODY_CHUNKED);
    assert_int_equal(read_text(POST "|content-length=0", true), HTTP2_NONE);
    assert_int_equal(view.body, BODY_LENGTH);
    assert_int_equal(view.length, 0);
}

static void a_connect_has_a_host_and_a_port_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(read_text(":method=CONNECT|:authority=[fd00::1]:10250", false), HTTP2_NONE);
    assert_int_equal(view.form, TARGET_AUTHORITY);
    assert_int_equal(view.method, HTTP_METHOD_CONNECT);
    assert_text(view.authority.host, "fd00::1");
    assert_int_equal(view.authority.port, 10250);
    assert_int_equal(view.body, BODY_NONE);
    assert_int_equal(read_text(":method=CONNECT|:authority=a:1|content-length=0", false), HTTP2_NONE);
    assert_false(view.has_length);
}

static void options_of_the_whole_server(void **state)
{
    (void)state;
    static _Alignas(uint64_t) char memory[1024];
    struct head *head;
    assert_int_equal(read_text(":method=OPTIONS|:scheme=http|:authority=a|:path=*", true), HTTP2_NONE);
    assert_int_equal(head_pack(&view, NULL, memory, sizeof memory, &head), 0);
    assert_text(head_path(head), "*");
}

static void host_may_stand_for_authority(void **state)
{
    (void)state;
    assert_int_equal(read_text(":method=GET|:scheme=http|:path=/|host=node-1:80", true), HTTP2_NONE);
    assert_text(view.authority.host, "node-1");
    assert_int_equal(read_text(":method=GET|:scheme=http|:authority=NODE-1|:path=/|host=node-1:80", true),
                     HTTP2_NONE);
}

/* gRPC makes its authority of the name of a socket, and some versions do not even encode it. */
static void to_a_service_of_our_own_any_authority_will_do(void **state)
{
    (void)state;
    static const char *const good[] = {
        ":method=POST|:scheme=http|:authority=/run/a.sock|:path=/S/M|te=trailers",
        ":method=POST|:scheme=http|:authority=%2Frun%2Fa.sock|:path=/S/M|te=trailers",
        ":method=POST|:scheme=http|:path=/S/M|te=trailers"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        gather(good[i]);
        assert_int_equal(http2_read_own_request(&limits, field_block_records(&block), false, &view),
                         HTTP2_NONE);
        assert_int_equal(view.form, TARGET_ORIGIN);
        assert_true(slice_eq(view.path, SLICE("/S/M")));
        assert_true(slice_eq(http2_find_pseudo(field_block_records(&block), SLICE(":path")), SLICE("/S/M")));
    }
    static const struct {
        const char *text;
        enum http2_refusal refusal;
    } bad[] = {
        {":method=POST|:scheme=http|:authority=a|:authority=b|:path=/S/M", HTTP2_PSEUDO_REPEATED },
        {":method=POST|:scheme=http|:path=/S/M|connection=close",          HTTP2_CONNECTION_FIELD},
        {":method=POST|:scheme=http|:path=S",                              HTTP2_PATH_FORM       },
        {":method=CONNECT|:authority=a:1",                                 HTTP2_CONNECT_FORM    }
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        gather(bad[i].text);
        assert_int_equal(http2_read_own_request(&limits, field_block_records(&block), false, &view),
                         bad[i].refusal);
    }
    gather("a=b|:path=/S/M"); /* too late to be one */
    assert_null(http2_find_pseudo(field_block_records(&block), SLICE(":path")).data);
}

static void an_expectation_is_known(void **state)
{
    (void)state;
    assert_int_equal(read_text(POST "|expect=100-continue", false), HTTP2_NONE);
    assert_true(view.expect_continue);
}

static void te_may_ask_for_trailers(void **state)
{
    (void)state;
    assert_int_equal(read_text(GET "|te=trailers", true), HTTP2_NONE);
    assert_int_equal(read_text(GET "|te=Trailers", true), HTTP2_NONE);
}

static void what_http1_would_write_is_the_same_request(void **state)
{
    (void)state;
    static _Alignas(uint64_t) char memory[4096];
    char out[4096];
    size_t len;
    struct head *head;
    struct http1_write_options options = {.form = TARGET_ORIGIN};
    assert_int_equal(read_text(POST "|host=node-1|te=trailers|x-a=b|cookie=c=1|x-c=d|cookie=e=2", false),
                     HTTP2_NONE);
    assert_int_equal(head_pack(&view, NULL, memory, sizeof memory, &head), 0);
    assert_int_equal(http1_write_request(head, &options, out, sizeof out, &len), 0);
    out[len] = '\0';
    assert_string_equal(out, "POST /p HTTP/1.1\r\nHost: node-1\r\nx-a: b\r\nx-c: d\r\ncookie: c=1; e=2\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n");
}

/* -- refusals -----------------------------------------------------------------------------------------------
 */

struct row {
    const char *text;
    bool open; /* the block does not end the stream */
    enum http2_refusal refusal;
};

static const struct row rows[] = {
    {":scheme=http|:authority=a|:path=/",                                     false, HTTP2_METHOD_MISSING   },
    {":method=|:scheme=http|:authority=a|:path=/",                            false, HTTP2_METHOD_SYNTAX    },
    {":method=GE T|:scheme=http|:authority=a|:path=/",                        false, HTTP2_METHOD_SYNTAX    },
    {":method=GET|:authority=a|:path=/",                                      false, HTTP2_SCHEME_MISSING   },
    {":method=GET|:scheme=ftp|:authority=a|:path=/",                          false, HTTP2_SCHEME           },
    {":method=GET|:scheme=|:authority=a|:path=/",                             false, HTTP2_SCHEME           },
    {":method=GET|:scheme=http|:authority=a",                                 false, HTTP2_PATH_MISSING     },
    {":method=GET|:scheme=http|:authority=a|:path=",                          false, HTTP2_PATH_FORM        },
    {":method=GET|:scheme=http|:authority=a|:path=p",                         false, HTTP2_PATH_FORM        },
    {":method=GET|:scheme=http|:authority=a|:path=http://b/",                 false, HTTP2_PATH_FORM        },
    {":method=GET|:scheme=http|:authority=a|:path=*",                         false, HTTP2_PATH_ASTERISK    },
    {":method=GET|:scheme=http|:authority=a|:path=/a b",                      false, HTTP2_PATH_CHAR        },
    {":method=GET|:scheme=http|:authority=a|:path=/a\\b",                     false, HTTP2_PATH_CHAR        },
    {":method=GET|:scheme=http|:authority=a|:path=/\xe9",                     false, HTTP2_PATH_CHAR        },
    {":method=GET|:scheme=http|:authority=a|:path=/a#b",                      false, HTTP2_PATH_FRAGMENT    },
    {":method=GET|:scheme=http|:path=/",                                      false, HTTP2_AUTHORITY_MISSING},
    {":method=GET|:scheme=http|:authority=|:path=/",                          false, HTTP2_AUTHORITY_SYNTAX },
    {":method=GET|:scheme=http|:authority=a/b|:path=/",                       false, HTTP2_AUTHORITY_SYNTAX },
    {":method=GET|:scheme=http|:authority=a:0|:path=/",                       false, HTTP2_AUTHORITY_SYNTAX },
    {":method=GET|:scheme=http|:authority=127.1|:path=/",                     false, HTTP2_AUTHORITY_SYNTAX },
    {":method=GET|:scheme=http|:authority=u:p@a|:path=/",                     false, HTTP2_USERINFO         },
    {GET "|host=a",                                                           false, HTTP2_HOST_CONFLICT    },
    {GET "|host=node-1",                                                      false, HTTP2_HOST_CONFLICT    },
    {GET "|host=node-1:10250|host=node-1:10250",                              false, HTTP2_HOST_REPEATED    },
    {GET "|host=",                                                            false, HTTP2_HOST_SYNTAX      },
    {":method=GET|:scheme=http|:path=/|host=a b",                             false, HTTP2_HOST_SYNTAX      },
    {GET "|:method=GET",                                                      false, HTTP2_PSEUDO_REPEATED  },
    {GET "|:path=/q",                                                         false, HTTP2_PSEUDO_REPEATED  },
    {GET "|:authority=b",                                                     false, HTTP2_PSEUDO_REPEATED  },
    {GET "|:status=200",                                                      false, HTTP2_PSEUDO_UNKNOWN   },
    {GET "|:protocol=websocket",                                              false, HTTP2_PSEUDO_UNKNOWN   },
    {GET "|:Method=GET",                                                      false, HTTP2_PSEUDO_UNKNOWN   },
    {GET "|:=x",                                                              false, HTTP2_PSEUDO_UNKNOWN   },
    {":method=GET|:scheme=http|x-a=b|:authority=a|:path=/",                   false, HTTP2_PSEUDO_LATE      },
    {":method=CONNECT|:scheme=http|:authority=a:1",                           true,  HTTP2_CONNECT_FORM     },
    {":method=CONNECT|:authority=a:1|:path=/",                                true,  HTTP2_CONNECT_FORM     },
    {":method=CONNECT",                                                       true,  HTTP2_AUTHORITY_MISSING},
    {":method=CONNECT|host=a:1",                                              true,  HTTP2_AUTHORITY_MISSING},
    {":method=CONNECT|:authority=a",                                          true,  HTTP2_CONNECT_TARGET   },
    {":method=CONNECT|:authority=a:1/",                                       true,  HTTP2_CONNECT_TARGET   },
    {":method=CONNECT|:authority=a:1|host=b:1",                               true,  HTTP2_HOST_CONFLICT    },
    {":method=CONNECT|:authority=a:1|content-length=5",                       true,  HTTP2_CONNECT_BODY     },
    {":method=CONNECT|:protocol=websocket|:scheme=http|:authority=a|:path=/", true,  HTTP2_PSEUDO_UNKNOWN   },
    {GET "|X-a=b",                                                            false, HTTP2_NAME_CAPITAL     },
    {GET "|x a=b",                                                            false, HTTP2_NAME_CHAR        },
    {GET "|x-\xe9=b",                                                         false, HTTP2_NAME_CHAR        },
    {GET "|x:a=b",                                                            false, HTTP2_NAME_CHAR        },
    {GET "|=b",                                                               false, HTTP2_NAME_EMPTY       },
    {GET "|x-a=b\r\nx-b: c",                                                  false, HTTP2_VALUE_CONTROL    },
    {GET "|x-a=\x7f",                                                         false, HTTP2_VALUE_CONTROL    },
    {GET "|x-a= b",                                                           false, HTTP2_VALUE_SPACE      },
    {GET "|x-a=b\t",                                                          false, HTTP2_VALUE_SPACE      },
    {GET "|cookie=a|cookie=b ",                                               false, HTTP2_VALUE_SPACE      },
    {":method=GET|:scheme=http|:authority=a|:path=/ ",                        false, HTTP2_VALUE_SPACE      },
    {GET "|connection=close",                                                 false, HTTP2_CONNECTION_FIELD },
    {GET "|keep-alive=5",                                                     false, HTTP2_CONNECTION_FIELD },
    {GET "|proxy-connection=keep-alive",                                      false, HTTP2_CONNECTION_FIELD },
    {GET "|transfer-encoding=chunked",                                        false, HTTP2_CONNECTION_FIELD },
    {GET "|upgrade=websocket",                                                false, HTTP2_CONNECTION_FIELD },
    {GET "|te=gzip",                                                          false, HTTP2_TE               },
    {GET "|te=trailers, gzip",                                                false, HTTP2_TE               },
    {POST "|content-length=5|content-length=5",                               true,  HTTP2_LENGTH_REPEATED  },
    {POST "|content-length=+5",                                               true,  HTTP2_LENGTH_SYNTAX    },
    {POST "|content-length=5, 5",                                             true,  HTTP2_LENGTH_SYNTAX    },
    {POST "|content-length=",                                                 true,  HTTP2_LENGTH_SYNTAX    },
    {POST "|content-length=9223372036854775808",                              true,  HTTP2_LENGTH_OVERFLOW  },
    {POST "|content-length=5",                                                false, HTTP2_LENGTH_MISMATCH  },
    {POST "|expect=something",                                                true,  HTTP2_EXPECTATION      },
    {POST "|expect=100-continue|expect=100-continue",                         true,  HTTP2_EXPECTATION      },
};

static void what_is_not_a_request_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum http2_refusal found = read_text(rows[i].text, !rows[i].open);
        if (found != rows[i].refusal)
            fail_msg("%s: expected %s, found %s", rows[i].text, http2_refusal_name(rows[i].refusal),
                     http2_refusal_name(found));
        assert_true(http2_refusal_status(found) >= 400);
    }
}

static void a_nul_is_a_control_character(void **state)
{
    (void)state;
    gather(GET);
    field_block_add(&block, &world.worker.bufs, &limits, SLICE("x-a"), SLICE("b\0c"));
    assert_int_equal(http2_read_request(&limits, field_block_records(&block), true, &view),
                     HTTP2_VALUE_CONTROL);
}

static void a_long_path_is_refused_as_such(void **state)
{
    (void)state;
    static char path[16 * 1024 + 2];
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    gather(":method=GET|:scheme=http|:authority=a");
    add(":path", path);
    assert_int_equal(http2_read_request(&limits, field_block_records(&block), true, &view),
                     HTTP2_PATH_TOO_LONG);
    assert_int_equal(http2_refusal_status(HTTP2_PATH_TOO_LONG), 414);
}

/* -- trailers -----------------------------------------------------------------------------------------------
 */

static enum http2_refusal read_trailers(const char *text, bool ended)
{
    gather(text);
    return http2_read_trailers(field_block_records(&block), ended, &view);
}

static void trailers_are_fields_that_may_come_late(void **state)
{
    (void)state;
    assert_int_equal(read_trailers("x-sum=5|grpc-status=0", true), HTTP2_NONE);
    assert_int_equal(view.kind, HEAD_TRAILERS);
    assert_int_equal(view.fields_n, 2);
    assert_int_equal(read_trailers("", true), HTTP2_NONE);
    assert_int_equal(read_trailers("x-sum=5", false), HTTP2_TRAILERS_OPEN);
    assert_int_equal(read_trailers(":status=200", true), HTTP2_PSEUDO_LATE);
    assert_int_equal(read_trailers("x-sum=5|:path=/", true), HTTP2_PSEUDO_LATE);
    assert_int_equal(read_trailers("content-length=5", true), HTTP2_TRAILER_FORBIDDEN);
    assert_int_equal(read_trailers("host=a", true), HTTP2_TRAILER_FORBIDDEN);
    assert_int_equal(read_trailers("transfer-encoding=chunked", true), HTTP2_CONNECTION_FIELD);
    assert_int_equal(read_trailers("X-Sum=5", true), HTTP2_NAME_CAPITAL);
}

/* -- gathering ----------------------------------------------------------------------------------------------
 */

static void what_a_block_becomes_is_bounded(void **state)
{
    (void)state;
    static char value[4001];
    memset(value, 'v', sizeof value - 1);
    gather(GET);
    for (int i = 0; i < 10000; i++)
        add("x-a", value);
    assert_int_equal(block.refusal, HTTP2_HEAD_TOO_LARGE);
    assert_null(block.buf);
    assert_int_equal(world_buffers_used(&world), 0);
    assert_true(block.list_bytes > 10000u * 4000u);
    gather(GET);
    for (int i = 0; i < HEAD_FIELDS_MAX; i++)
        add("a", "");
    assert_int_equal(http2_read_request(&limits, field_block_records(&block), true, &view), HTTP2_NONE);
    assert_int_equal(view.fields_n, HEAD_FIELDS_MAX);
    add("a", "");
    assert_int_equal(block.refusal, HTTP2_TOO_MANY_FIELDS);
}

static void without_buffers_a_block_is_refused(void **state)
{
    (void)state;
    struct buf *held[5000];
    size_t n = 0;
    while (n < ARRAY_SIZE(held) && (held[n] = buf_get(&world.worker.bufs, BUF_SMALL)) != NULL)
        n++;
    add(":method", "GET");
    assert_int_equal(block.refusal, HTTP2_NO_BUFFERS);
    while (n-- > 0)
        buf_unref(held[n]);
}

/* Every order of crumbs among other fields gives the one Cookie, and leaves the others as they were. */
static void crumbs_of_a_cookie_are_put_together(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 256; order++) {
        char crumb[16], expected[128] = "";
        unsigned crumbs = 0, others = 0;
        gather(GET);
        for (unsigned i = 0; i < 8; i++) {
            if (order & 1u << i) {
                snprintf(crumb, sizeof crumb, "c%u=%u", i, i);
                add("cookie", crumb);
                size_t at = strlen(expected);
                snprintf(expected + at, sizeof expected - at, "%s%s", crumbs++ ? "; " : "", crumb);
            } else {
                snprintf(crumb, sizeof crumb, "x-%u", i);
                add(crumb, "other");
                others++;
            }
        }
        assert_int_equal(http2_read_request(&limits, field_block_records(&block), true, &view), HTTP2_NONE);
        assert_int_equal(view.fields_n, others + (crumbs > 0));
        const struct head_field_view *cookie = head_view_find(&view, HTTP_FIELD_COOKIE);
        assert_int_equal(cookie != NULL, crumbs > 0);
        if (cookie)
            assert_text(cookie->value, expected);
        for (unsigned i = 0, next = 0; i < view.fields_n; i++)
            if (&view.fields[i] != cookie) {
                while (order & 1u << next)
                    next++;
                snprintf(crumb, sizeof crumb, "x-%u", next++);
                assert_text(view.fields[i].name, crumb);
                assert_text(view.fields[i].value, "other");
            }
    }
}

/* -- writing ------------------------------------------------------------------------------------------------
 */

static const struct head *response(const char *text, enum http_method of_request)
{
    static _Alignas(uint64_t) char memory[4096];
    struct http1_limits response_limits = HTTP1_RESPONSE_LIMITS;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct head *head;
    assert_int_equal(
        http1_parse_response(&response_limits, of_request, slice_of_text(text), &scan, &view, &error),
        strlen(text));
    assert_int_equal(head_pack(&view, NULL, memory, sizeof memory, &head), 0);
    return head;
}

static void assert_fields(const struct http2_fields *fields, const char *expected)
{
    char found[1024] = "";
    size_t at = 0;
    for (size_t i = 0; i < fields->n; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%.*s=%.*s", i ? "|" : "",
                               (int)fields->nv[i].namelen, (const char *)fields->nv[i].name,
                               (int)fields->nv[i].valuelen, (const char *)fields->nv[i].value);
    assert_string_equal(found, expected);
}

static void a_response_of_http1_loses_what_was_its_connections(void **state)
{
    (void)state;
    struct http2_fields fields;
    http2_write_response(response("HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-A: b\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n",
                                  HTTP_METHOD_GET),
                         &fields);
    assert_fields(&fields, ":status=200|X-A=b");
    http2_write_response(
        response("HTTP/1.1 404 No\r\nContent-Length: 120\r\nKeep-Alive: 5\r\n\r\n", HTTP_METHOD_GET),
        &fields);
    assert_fields(&fields, ":status=404|content-length=120");
    http2_write_response(response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HTTP_METHOD_HEAD), &fields);
    assert_fields(&fields, ":status=200|content-length=9");
    http2_write_response(response("HTTP/1.1 204 No\r\nSet-Cookie: a\r\n\r\n", HTTP_METHOD_GET), &fields);
    assert_fields(&fields, ":status=204|Set-Cookie=a");
    assert_int_equal(fields.nv[1].flags, NGHTTP2_NV_FLAG_NO_INDEX);
    assert_int_equal(fields.nv[0].flags, NGHTTP2_NV_FLAG_NONE);
    http2_write_response(response("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", HTTP_METHOD_GET), &fields);
    assert_fields(&fields, ":status=103|Link=x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(to_a_service_of_our_own_any_authority_will_do, setup, teardown),
        cmocka_unit_test_setup_teardown(a_get_comes_out_in_absolute_form, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_has_the_length_that_was_said_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connect_has_a_host_and_a_port_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(options_of_the_whole_server, setup, teardown),
        cmocka_unit_test_setup_teardown(host_may_stand_for_authority, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expectation_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(te_may_ask_for_trailers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_http1_would_write_is_the_same_request, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_a_request_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_nul_is_a_control_character, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_path_is_refused_as_such, setup, teardown),
        cmocka_unit_test_setup_teardown(trailers_are_fields_that_may_come_late, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_block_becomes_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(without_buffers_a_block_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(crumbs_of_a_cookie_are_put_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_response_of_http1_loses_what_was_its_connections, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
