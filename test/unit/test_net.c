/* test/unit/test_net.c — addresses as text and back. */
#include "io/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void literals_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *host, *text, *canonical;
    } rows[] = {
        {"1.2.3.4",                                       "1.2.3.4:443",                                   "1.2.3.4"        },
        {"0.0.0.0",                                       "0.0.0.0:443",                                   "0.0.0.0"        },
        {"255.255.255.255",                               "255.255.255.255:443",                           "255.255.255.255"},
        {"::",                                            "[::]:443",                                      "::"             },
        {"::1",                                           "[::1]:443",                                     "::1"            },
        {"2001:DB8:0::0A",                                "[2001:db8::a]:443",                             "2001:db8::a"    },
        {"::ffff:10.0.0.1",                               "[::ffff:10.0.0.1]:443",                         "::ffff:10.0.0.1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:443",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"                                                                          },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct net_address a, b;
        char text[NET_TEXT_MAX];
        assert_true(net_address_parse(rows[i].host, strlen(rows[i].host), 443, &a));
        assert_string_equal(net_address_text(&a, text), rows[i].text);
        assert_string_equal(net_address_host(&a, text), rows[i].canonical);
        assert_true(net_address_parse(text, strlen(text), 443, &b));
        assert_true(net_address_equal(&a, &b));
        assert_int_equal(net_address_port(&a), 443);
        net_address_set_port(&b, 444);
        assert_int_equal(net_address_port(&b), 444);
        assert_false(net_address_equal(&a, &b));
    }
}

static void a_host_and_its_port_are_cut_where_they_do_not_fit(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *text;
    } rows[] = {
        {"a.test",      0,     "a.test:0"         },
        {"a.test",      65535, "a.test:65535"     },
        {"2001:db8::1", 443,   "[2001:db8::1]:443"}
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t size = 1; size < 32; size++) {
            char text[32];
            size_t len = strlen(rows[i].text) < size ? strlen(rows[i].text) : size - 1;
            memset(text, '!', sizeof(text));
            assert_int_equal(net_host_text(rows[i].host, rows[i].port, text, size), len);
            assert_memory_equal(text, rows[i].text, len);
            assert_int_equal(text[len], '\0');
            assert_int_equal(text[len + 1 < sizeof(text) ? len + 1 : len],
                             len + 1 < sizeof(text) ? '!' : '\0');
        }
    }
}

static void an_ipv4_address_in_ipv6_s_clothes_is_undressed(void **state)
{
    static const char *const rows[][2] = {
        {"::ffff:10.0.0.1", "10.0.0.1:443"        },
        {"10.0.0.1",        "10.0.0.1:443"        },
        {"::1",             "[::1]:443"           },
        {"64:ff9b::a00:1",  "[64:ff9b::a00:1]:443"}
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct net_address a;
        char text[NET_TEXT_MAX];
        assert_true(net_address_parse(rows[i][0], strlen(rows[i][0]), 443, &a));
        net_address_unmap(&a);
        assert_string_equal(net_address_text(&a, text), rows[i][1]);
    }
}

static void what_is_no_literal_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3",
        "0x7f.1",
        "2130706433",
        "[::1]",
        ":::",
        "1::2::3",
        "fe80::1%lo",
        "::1/64",
        "localhost",
        "1.2.3.4:80",
        "::g",
        "1,2.3.4",
        "\xef\xbc\x91.2.3.4",
        "11111111111111111111111111111111111111111111111111111111",
    };
    struct net_address before, a;
    memset(&before, 0x5a, sizeof(before));
    a = before;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(net_address_parse(bad[i], strlen(bad[i]), 1, &a));
        assert_memory_equal(&a, &before, sizeof(a));
    }
    assert_false(net_address_parse("1.2.3.4\0.evil", 13, 1, &a)); /* nothing hides behind a NUL */
    assert_true(net_address_parse("1.2.3.45", 7, 1, &a));         /* only host_len bytes are read */
    char text[NET_TEXT_MAX];
    assert_string_equal(net_address_host(&a, text), "1.2.3.4");
}

static void unix_paths_are_bounded(void **state)
{
    (void)state;
    struct net_address a, b;
    char path[200], text[NET_TEXT_MAX];
    assert_false(net_address_unix("", &a));
    memset(path, 'x', sizeof(path));
    path[108] = '\0';
    assert_false(net_address_unix(path, &a));
    path[107] = '\0';
    assert_true(net_address_unix(path, &a));
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 108);
    net_address_text(&a, text);
    assert_int_equal(strlen(text), 5 + 107);
    assert_true(net_address_unix("/run/hawser.sock", &b));
    assert_string_equal(net_address_text(&b, text), "unix:/run/hawser.sock");
    assert_int_equal(net_address_port(&b), 0);
    assert_false(net_address_equal(&a, &b));
    assert_true(net_address_equal(&b, &b));
}

static void families_differ(void **state)
{
    (void)state;
    struct net_address v4, v6, other;
    assert_true(net_address_parse("1.2.3.4", 7, 1, &v4));
    assert_true(net_address_parse("::1.2.3.4", 9, 1, &v6));
    assert_false(net_address_equal(&v4, &v6));
    assert_true(net_address_parse("::1", 3, 1, &other));
    assert_false(net_address_equal(&v6, &other));
    v6.in6.sin6_scope_id = 2;
    other = v6;
    other.in6.sin6_scope_id = 3;
    assert_false(net_address_equal(&v6, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_round_trip),
        cmocka_unit_test(a_host_and_its_port_are_cut_where_they_do_not_fit),
        cmocka_unit_test(an_ipv4_address_in_ipv6_s_clothes_is_undressed),
        cmocka_unit_test(what_is_no_literal_is_refused_and_changes_nothing),
        cmocka_unit_test(unix_paths_are_bounded),
        cmocka_unit_test(families_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
