/* test/unit/test_client.c — who a client is, and which patterns it fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/client.h"
#include "io/net.h"

static void ids_are_parsed_strictly(void **state)
{
    static const char *const bad[] = {"uid:",   "gid:",     "uid:-1",          "uid:+1",
                                      "uid:01", "uid: 1",   "uid:4294967295",  "uid:1a",
                                      "gid:1 ", "uid:root", "uid:99999999999", "gid:0x1"};
    static const struct {
        const char *text;
        enum client_pattern_kind kind;
        uint32_t id;
    } good[] = {
        {"uid:0",          CLIENT_BY_UID,  0         },
        {"gid:4294967294", CLIENT_BY_GID,  4294967294},
        {"uid",            CLIENT_BY_NAME, 0         },
        {"UID:7",          CLIENT_BY_NAME, 0         },
        {"*.cp",           CLIENT_BY_NAME, 0         },
    };
    struct client_pattern pattern;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (client_pattern_parse(bad[i], &pattern))
            fail_msg("accepted %s", bad[i]);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(client_pattern_parse(good[i].text, &pattern));
        assert_int_equal(pattern.kind, good[i].kind);
        assert_int_equal(pattern.id, good[i].id);
        assert_string_equal(pattern.name, good[i].text);
    }
}

static const char *const *peer_names;

static bool has_peer_name(const struct stream *tls, bool (*match)(const char *name, void *arg), void *arg)
{
    (void)tls;
    for (const char *const *name = peer_names; *name; name++)
        if (match(*name, arg))
            return true;
    return false;
}

static bool fits(const struct client *client, const char *text)
{
    struct client_pattern pattern;
    assert_true(client_pattern_parse(text, &pattern));
    return client_matches(client, &pattern);
}

static void a_pattern_asks_for_one_kind_of_proof(void **state)
{
    static const char *const names[] = {"uid:0", "kube-apiserver", "a.cp", NULL};
    const struct client process = {.kind = CLIENT_PROCESS, .uid = 0, .gid = 5};
    const struct client unknown = {.kind = CLIENT_UNKNOWN};
    const struct client certificate = {.kind = CLIENT_CERTIFICATE, .has_name = has_peer_name};
    (void)state;
    peer_names = names;
    assert_true(fits(&process, "uid:0"));
    assert_true(fits(&process, "gid:5"));
    assert_false(fits(&process, "gid:0"));
    assert_false(fits(&process, "uid:5"));
    assert_false(fits(&process, "kube-apiserver"));
    assert_false(fits(&certificate, "uid:0")); /* although it calls itself so */
    assert_false(fits(&certificate, "gid:0"));
    assert_true(fits(&certificate, "Kube-Apiserver"));
    assert_true(fits(&certificate, "*.cp"));
    assert_false(fits(&certificate, "*.a.cp"));
    assert_false(fits(&unknown, "uid:0")); /* its uid is 0 in memory, and nobody's word */
    assert_false(fits(&unknown, "gid:0"));
    assert_false(fits(&unknown, "*.cp"));
}

static void a_certificate_is_called_by_its_first_name(void **state)
{
    static const char *const names[] = {"kube-apiserver", "other", NULL}, *const none[] = {NULL};
    const struct client certificate = {.kind = CLIENT_CERTIFICATE, .has_name = has_peer_name};
    char name[8];
    (void)state;
    peer_names = names;
    client_name(&certificate, name, sizeof(name));
    assert_string_equal(name, "kube-ap");
    peer_names = none;
    client_name(&certificate, name, sizeof(name));
    assert_string_equal(name, "");
}

static void a_client_is_what_its_connection_proves(void **state)
{
    struct net_peer peer;
    (void)state;
    memset(&peer, 0, sizeof(peer));
    assert_int_equal(client_of(&peer, NULL).kind, CLIENT_UNKNOWN);
    peer.has_credentials = true;
    peer.uid = 7;
    peer.gid = 8;
    struct client process = client_of(&peer, NULL);
    assert_int_equal(process.kind, CLIENT_PROCESS);
    assert_int_equal(process.uid, 7);
    assert_int_equal(process.gid, 8);
    struct client certificate = client_of(&peer, (const struct stream *)(const void *)&peer);
    assert_int_equal(certificate.kind, CLIENT_CERTIFICATE);
    assert_ptr_equal(certificate.tls, &peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_parsed_strictly),
        cmocka_unit_test(a_pattern_asks_for_one_kind_of_proof),
        cmocka_unit_test(a_certificate_is_called_by_its_first_name),
        cmocka_unit_test(a_client_is_what_its_connection_proves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
