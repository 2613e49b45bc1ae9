/* test/unit/test_policy.c — who may use a listener; which addresses are out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/config/config.h"
#include "broker/host_pattern.h"
#include "broker/policy.h"

static void client_names_match_whole_or_one_label(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"kube-apiserver",  "kube-apiserver",       true },
        {"kube-apiserver",  "KUBE-APISERVER",       true },
        {"kube-apiserver",  "kube-apiserver2",      false},
        {"kube-apiserver",  "kube-apiserve",        false},
        {"kube-apiserver",  "",                     false},
        {"*.control-plane", "a.control-plane",      true },
        {"*.control-plane", "A.Control-Plane",      true },
        {"*.control-plane", "b.a.control-plane",    false},
        {"*.control-plane", ".control-plane",       false},
        {"*.control-plane", "control-plane",        false},
        {"*.control-plane", "*.control-plane",      false},
        {"*.control-plane", "a.control-plane.evil", false},
        {"system:node:a",   "system:node:a",        true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (policy_client_name_matches(cases[i].pattern, cases[i].name) != cases[i].matches)
            fail_msg("%s against %s", cases[i].pattern, cases[i].name);
}

static void any_of_the_allowed_names_suffices(void **state)
{
    char exact[] = "a", below[] = "*.b", *names[] = {exact, below};
    (void)state;
    assert_true(policy_client_allowed(names, 2, "a"));
    assert_true(policy_client_allowed(names, 2, "x.b"));
    assert_false(policy_client_allowed(names, 2, "b"));
    assert_false(policy_client_allowed(names, 0, "a"));
    char any[] = "*", *all[] = {any};
    assert_true(policy_client_allowed(all, 1, "whatever they call it"));
}

static void peers_are_root_and_self_unless_listed(void **state)
{
    uint32_t uids[] = {5}, gids[] = {7};
    struct config_unix socket = {0};
    (void)state;
    assert_true(policy_peer_allowed(&socket, 0, 0, 1000));
    assert_true(policy_peer_allowed(&socket, 1000, 9, 1000));
    assert_false(policy_peer_allowed(&socket, 1001, 0, 1000));
    socket.allowed_uids = uids;
    socket.allowed_uid_count = 1;
    assert_true(policy_peer_allowed(&socket, 5, 9, 1000));
    assert_false(policy_peer_allowed(&socket, 0, 0, 1000));
    assert_false(policy_peer_allowed(&socket, 1000, 7, 1000));
    assert_true(policy_peer_allowed(&(struct config_unix){.any_peer = true}, 1001, 7, 1000));
    socket.allowed_gids = gids;
    socket.allowed_gid_count = 1;
    assert_true(policy_peer_allowed(&socket, 1000, 7, 1000));
    assert_false(policy_peer_allowed(&socket, 1000, 8, 1000));
}

static void special_addresses_are_known_in_every_disguise(void **state)
{
    static const struct {
        const char *address;
        enum address_kind kind;
    } cases[] = {
        {"10.0.0.1",                 ADDRESS_ORDINARY   },
        {"2001:db8::1",              ADDRESS_ORDINARY   },
        {"128.0.0.1",                ADDRESS_ORDINARY   },
        {"100.100.100.201",          ADDRESS_ORDINARY   },
        {"127.0.0.1",                ADDRESS_LOOPBACK   },
        {"127.255.255.255",          ADDRESS_LOOPBACK   },
        {"0.0.0.0",                  ADDRESS_UNSPECIFIED},
        {"0.1.2.3",                  ADDRESS_UNSPECIFIED},
        {"::",                       ADDRESS_UNSPECIFIED},
        {"::1",                      ADDRESS_LOOPBACK   },
        {"::ffff:127.0.0.1",         ADDRESS_LOOPBACK   },
        {"64:ff9b::127.0.0.1",       ADDRESS_LOOPBACK   },
        {"2002:7f00:1::",            ADDRESS_LOOPBACK   },
        {"169.254.1.1",              ADDRESS_LINK_LOCAL },
        {"fe80::1",                  ADDRESS_LINK_LOCAL },
        {"febf::1",                  ADDRESS_LINK_LOCAL },
        {"fec0::1",                  ADDRESS_ORDINARY   },
        {"169.254.169.254",          ADDRESS_METADATA   },
        {"::ffff:169.254.169.254",   ADDRESS_METADATA   },
        {"64:ff9b::169.254.169.254", ADDRESS_METADATA   },
        {"fd00:ec2::254",            ADDRESS_METADATA   },
        {"fd00:ec2::23",             ADDRESS_METADATA   },
        {"fd20:ce::254",             ADDRESS_METADATA   },
        {"169.254.170.2",            ADDRESS_METADATA   },
        {"169.254.170.23",           ADDRESS_METADATA   },
        {"168.63.129.16",            ADDRESS_METADATA   },
        {"192.0.0.192",              ADDRESS_METADATA   },
        {"192.0.0.193",              ADDRESS_ORDINARY   },
        {"100.100.100.200",          ADDRESS_METADATA   },
        {"224.0.0.1",                ADDRESS_MULTICAST  },
        {"255.255.255.255",          ADDRESS_MULTICAST  },
        {"ff02::1",                  ADDRESS_MULTICAST  },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip ip;
        assert_true(ip_parse(cases[i].address, &ip));
        if (policy_address_kind(&ip) != cases[i].kind)
            fail_msg("%s is %s", cases[i].address, policy_address_kind_text(policy_address_kind(&ip)));
    }
}

static void a_block_has_what_shares_its_first_bits(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 128; bits++) {
        for (unsigned flipped = 0; flipped <= 128; flipped++) { /* 128: none is */
            struct cidr block = {
                .base.bytes = {0x20, 0x01, 0x0d, 0xb8, [7] = 0xa5, 0x5a, [15] = 0x81},
                  .bits = (uint8_t)bits
            };
            struct ip ip = block.base;
            if (flipped < 128)
                ip.bytes[flipped / 8] ^= (uint8_t)(0x80 >> flipped % 8);
            if (cidr_has(&block, &ip) != (flipped >= bits))
                fail_msg("/%u, bit %u", bits, flipped);
        }
    }
}

static void a_literal_is_written_in_its_shortest_spelling(void **state)
{
    static const char *const cases[][2] = {
        {"10.0.0.1",        "10.0.0.1"   },
        {"::FFFF:10.0.0.1", "10.0.0.1"   },
        {"2001:DB8:0:0::1", "2001:db8::1"}
    };
    struct host host;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(host_parse(cases[i][0], &host) && host.literal);
        assert_string_equal(host.text, cases[i][1]);
    }
    assert_false(host_parse("10.0.0.01", &host)); /* of IPv4 there is one */
}

static void a_block_names_special_addresses_only_from_inside(void **state)
{
    static const struct {
        const char *block, *address;
        bool names;
    } cases[] = {
        {"10.0.0.0/8",         "10.9.9.9",          true },
        {"0.0.0.0/0",          "10.9.9.9",          true },
        {"::/0",               "10.9.9.9",          false},
        {"::/0",               "2001:db8::1",       true },
        {"0.0.0.0/0",          "127.0.0.1",         false},
        {"126.0.0.0/7",        "127.0.0.1",         false},
        {"127.0.0.0/8",        "127.0.0.1",         true },
        {"127.16.0.0/12",      "127.16.0.1",        true },
        {"127.16.0.0/12",      "127.0.0.1",         false},
        {"127.16.0.0/12",      "::ffff:127.16.0.1", true },
        {"127.0.0.1",          "127.0.0.1",         true },
        {"::/0",               "::1",               false},
        {"::1/128",            "::1",               true },
        {"169.254.0.0/16",     "169.254.1.1",       true },
        {"169.254.0.0/16",     "169.254.169.254",   false},
        {"169.254.169.254/32", "169.254.169.254",   true },
        {"100.64.0.0/10",      "100.100.100.200",   false},
        {"100.64.0.0/10",      "100.100.100.1",     true },
        {"fe80::/10",          "fe80::1",           true },
        {"fd00::/8",           "fd00:ec2::254",     false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cidr cidr;
        struct ip ip;
        assert_true(cidr_parse(cases[i].block, &cidr));
        assert_true(ip_parse(cases[i].address, &ip));
        if (policy_block_names(&cidr, &ip) != cases[i].names)
            fail_msg("%s and %s", cases[i].block, cases[i].address);
    }
}

static void names_that_mean_the_resolvers_machine_are_special(void **state)
{
    static const char *const special[] = {"localhost",
                                          "a.localhost",
                                          "a.b.localhost",
                                          "ip6-loopback",
                                          "localhost.localdomain",
                                          "metadata.google.internal",
                                          "ip6-localhost",
                                          "metadata"};
    static const char *const others[] = {"localhost.example", "xlocalhost", "metadata.example", "local",
                                         ".localhost",        "",           "10.0.0.1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(special); i++)
        if (!policy_name_is_special(special[i]))
            fail_msg("%s is not", special[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (policy_name_is_special(others[i]))
            fail_msg("%s is", others[i]);
}

static void blocks_and_ports_are_parsed_strictly(void **state)
{
    static const char *const bad_blocks[] = {
        "",           "/8",           "10.0.0.0/",   "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.1/8", "10.0.0/8",     "10.0.0.0/08", "10.0.0.0/8 ", "::/129",
        "fe80::1/64", "fe80::1%eth0", "010.0.0.0/8", "10.0.0.0/8/8"};
    static const char *const bad_ports[] = {"",    "0",   "65536",       "-1", "1-", "-",
                                            "8-7", "080", "8000-8999-9", "a",  "1 "};
    struct cidr cidr;
    struct port_range range;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_blocks); i++)
        if (cidr_parse(bad_blocks[i], &cidr))
            fail_msg("accepted block %s", bad_blocks[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad_ports); i++)
        if (port_range_parse(bad_ports[i], &range))
            fail_msg("accepted ports %s", bad_ports[i]);
    assert_true(port_range_parse("1-65535", &range));
    assert_int_equal(range.first, 1);
    assert_int_equal(range.last, 65535);
}

static void numeric_hosts_that_resolvers_read_as_addresses_are_no_names(void **state)
{
    static const char *const bad[] = {"",       ".",          "a..b",       "-a",        "a-",    "a b",
                                      "127.1",  "2130706433", "0x7f000001", "1.2.3.4.5", "a.0x1", "[::1]",
                                      "::1%lo", "a/b",        "*",          "a*"};
    static const char *const good[] = {"a", "node-7", "a.b.", "1a", "127.0.0.1", "::1", "a_b.c", "1.2.3.4a"};
    struct host host;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (host_parse(bad[i], &host))
            fail_msg("accepted %s", bad[i]);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (!host_parse(good[i], &host))
            fail_msg("refused %s", good[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_names_match_whole_or_one_label),
        cmocka_unit_test(any_of_the_allowed_names_suffices),
        cmocka_unit_test(peers_are_root_and_self_unless_listed),
        cmocka_unit_test(special_addresses_are_known_in_every_disguise),
        cmocka_unit_test(a_block_has_what_shares_its_first_bits),
        cmocka_unit_test(a_literal_is_written_in_its_shortest_spelling),
        cmocka_unit_test(a_block_names_special_addresses_only_from_inside),
        cmocka_unit_test(names_that_mean_the_resolvers_machine_are_special),
        cmocka_unit_test(blocks_and_ports_are_parsed_strictly),
        cmocka_unit_test(numeric_hosts_that_resolvers_read_as_addresses_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
