/* test/unit/test_config_certificates.c — certificates, keys, CAs and tokens in the files that settings name.
 * Every complaint is compared whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tls/tls_files.h"
#include "test/support/config_folder.h"

static void a_key_open_to_everybody_is_taken_where_that_is_asked_for(void **state)
{
    struct config_error error;
    struct config *c = folder_load(TLS("@/server.crt", "@/open.key\n    keyWorldReadable: true", "@/ca.crt"),
                                   &error);
    (void)state;
    assert_non_null(c);
    assert_int_equal(c->warning_count, 1);
    assert_non_null(strstr(c->warnings[0], "(open to everybody)"));
    config_free(&c);
}

static void listener_certificates_are_judged(void **state)
{
    static const struct pair cases[] = {
        PAIR(TLS("@/server.crt", "@/server.key", "@/ca.crt"), "good"),
        PAIR(TLS("@/none.crt", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/none.crt\" (no such file), expected a PEM "
             "file with a certificate"),
        PAIR(TLS("@/directory", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/directory\" (a directory), expected a PEM "
             "file with a certificate"),
        PAIR(TLS("/dev/null", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"/dev/null\" (something that is no regular "
             "file), expected a PEM file with a certificate"),
        PAIR(TLS("@/empty", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/empty\" (no certificate in it), expected a "
             "PEM file with a certificate"),
        PAIR(TLS("@/garbage", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/garbage\" (no certificate in it), expected "
             "a PEM file with a certificate"),
        PAIR(TLS("@/server.key", "@/server.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/server.key\" (no certificate in it), "
             "expected a PEM file with a certificate"),
        PAIR(TLS("@/expired.crt", "@/expired.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/expired.crt\" (expired 20"),
        PAIR(TLS("@/future.crt", "@/future.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/future.crt\" (valid from 20"),
        PAIR(TLS("@/soon.crt", "@/soon.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/soon.crt\" (expires 20"),
        PAIR(TLS("@/client.crt", "@/client.key", "@/ca.crt"),
             "f:8:22: listeners[0].tls.certificateFile: found \"@/client.crt\" (a certificate for other "
             "uses), expected one made for server authentication (extended key usage)"),
        PAIR(TLS("@/server.crt", "@/none.key", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found \"@/none.key\" (no such file), expected a PEM file "
             "with a private key"),
        PAIR(TLS("@/server.crt", "@/client.key", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found \"@/client.key\" (not the key of \"@/server.crt\"), "
             "expected the private key of that certificate"),
        PAIR(TLS("@/server.crt", "@/server-locked.key", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found \"@/server-locked.key\" (an encrypted key), expected a "
             "private key without passphrase"),
        PAIR(TLS("@/server.crt", "@/open.key", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found mode 0644 on \"@/open.key\" (open to everybody), "
             "expected 0600 or 0640"),
        PAIR(TLS("@/server.crt", "@/group.key", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found mode 0640 on \"@/group.key\" (open to its group), "
             "expected 0600, or keyGroupReadable: true"),
        PAIR(TLS("@/server.crt", "@/group.key\n    keyGroupReadable: true", "@/ca.crt"), "good"),
        PAIR(TLS("@/server.crt", "@/empty", "@/ca.crt"),
             "f:9:14: listeners[0].tls.keyFile: found \"@/empty\" (no private key in it), expected a PEM "
             "file with a private key"),
        PAIR(TLS("@/server.crt", "@/server.key", "@/none.crt"),
             "f:10:19: listeners[0].tls.clientCaFile: found \"@/none.crt\" (no such file), expected a PEM "
             "file with CA certificates"),
        PAIR(TLS("@/server.crt", "@/server.key", "@/client.crt"),
             "f:10:19: listeners[0].tls.clientCaFile: found \"@/client.crt\" (1 certificates in it, none of "
             "a CA), expected a PEM file with CA certificates"),
        PAIR(TLS("@/server.crt", "@/server.key", "@/old-ca.crt"),
             "f:10:19: listeners[0].tls.clientCaFile: found \"@/old-ca.crt\" (1 CA certificates in it, none "
             "valid now), expected a CA certificate that is valid now and for 7 more days"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        folder_expect_line(cases[i].given, cases[i].line);
}

static void bridge_files_are_judged(void **state)
{
#define BRIDGE(certificate, key, ca)                                                                         \
    HEAD "listeners: [{name: u, unix: {path: /u}}]\ntlsProfiles: [{name: k, caFile: @/ca.crt}]\nroutes:\n"   \
         "- name: r\n  match: {schemes: [tunnel]}\n  tlsProfile: k\n  bridge:\n    "                         \
         "issuerCertificateFile: " certificate "\n    issuerKeyFile: " key "\n    clientCaFile: " ca         \
         "\n    allowedNames: [x]\n"
    static const struct pair cases[] = {
        PAIR(BRIDGE("@/ca.crt", "@/ca.key", "@/ca.crt"), "good"),
        PAIR(BRIDGE("@/none.crt", "@/ca.key", "@/ca.crt"),
             "f:10:28: routes[0].bridge.issuerCertificateFile: found \"@/none.crt\" (no such file), expected "
             "a PEM file with a certificate"),
        PAIR(
            BRIDGE("@/server.crt", "@/server.key", "@/ca.crt"),
            "f:10:28: routes[0].bridge.issuerCertificateFile: found \"@/server.crt\" (a certificate that may "
            "not sign others), expected one of a CA (basicConstraints CA:TRUE, keyUsage keyCertSign)"),
        PAIR(
            BRIDGE("@/shy-ca.crt", "@/shy-ca.key", "@/ca.crt"),
            "f:10:28: routes[0].bridge.issuerCertificateFile: found \"@/shy-ca.crt\" (a certificate that may "
            "not sign others), expected one of a CA (basicConstraints CA:TRUE, keyUsage keyCertSign)"),
        PAIR(BRIDGE("@/old-ca.crt", "@/old-ca.key", "@/ca.crt"),
             "f:10:28: routes[0].bridge.issuerCertificateFile: found \"@/old-ca.crt\" (expired 20"),
        PAIR(BRIDGE("@/soon-ca.crt", "@/soon-ca.key", "@/ca.crt"),
             "f:10:28: routes[0].bridge.issuerCertificateFile: found \"@/soon-ca.crt\" (expires 20"),
        PAIR(BRIDGE("@/ca.crt", "@/none.key", "@/ca.crt"),
             "f:11:20: routes[0].bridge.issuerKeyFile: found \"@/none.key\" (no such file), expected a PEM "
             "file with a private key"),
        PAIR(BRIDGE("@/ca.crt", "@/server.key", "@/ca.crt"),
             "f:11:20: routes[0].bridge.issuerKeyFile: found \"@/server.key\" (not the key of "
             "\"@/ca.crt\"), expected the private key of that certificate"),
        PAIR(BRIDGE("@/ca.crt", "@/open-ca.key", "@/ca.crt"),
             "f:11:20: routes[0].bridge.issuerKeyFile: found mode 0644 on \"@/open-ca.key\" (open to "
             "everybody), expected 0600 or 0640"),
        PAIR(BRIDGE("@/ca.crt", "@/group-ca.key", "@/ca.crt"),
             "f:11:20: routes[0].bridge.issuerKeyFile: found mode 0640 on \"@/group-ca.key\" (open to its "
             "group), expected 0600, or keyGroupReadable: true"),
        PAIR(BRIDGE("@/ca.crt", "@/group-ca.key\n    keyGroupReadable: true", "@/ca.crt"), "good"),
        PAIR(BRIDGE("@/ca.crt", "@/ca.key", "@/none.crt"),
             "f:12:19: routes[0].bridge.clientCaFile: found \"@/none.crt\" (no such file), expected a PEM "
             "file with CA certificates"),
        PAIR(BRIDGE("@/ca.crt", "@/ca.key", "@/client.crt"),
             "f:12:19: routes[0].bridge.clientCaFile: found \"@/client.crt\" (1 certificates in it, none of "
             "a CA), expected a PEM file with CA certificates"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        folder_expect_line(cases[i].given, cases[i].line);
#undef BRIDGE
}

static void profile_files_are_judged(void **state)
{
    static const struct pair cases[] = {
        PAIR(
            PROFILE(
                "  caFile: @/ca.crt\n  clientCertificateFile: @/client.crt\n  clientKeyFile: @/client.key\n"),
            "good"),
        PAIR(PROFILE("  bearerTokenFile: @/token\n"), "good"),
        PAIR(PROFILE("  caFile: @/empty\n"),
             "f:7:11: tlsProfiles[0].caFile: found \"@/empty\" (0 certificates in it, none of a CA), "
             "expected a PEM file with CA certificates"),
        PAIR(PROFILE("  clientCertificateFile: @/client.crt\n  clientKeyFile: @/server.key\n"),
             "f:8:18: tlsProfiles[0].clientKeyFile: found \"@/server.key\" (not the key of "
             "\"@/client.crt\"), expected the private key of that certificate"),
        PAIR(PROFILE("  clientCertificateFile: @/expired.crt\n  clientKeyFile: @/server.key\n"),
             "f:7:26: tlsProfiles[0].clientCertificateFile: found \"@/expired.crt\" (expired 20"),
        PAIR(PROFILE("  bearerTokenFile: @/none\n"),
             "f:7:20: tlsProfiles[0].bearerTokenFile: found \"@/none\" (no such file), expected a file with "
             "a bearer token"),
        PAIR(PROFILE("  bearerTokenFile: @/empty\n"),
             "f:7:20: tlsProfiles[0].bearerTokenFile: found \"@/empty\" (no bearer token in it), expected "
             "one line of letters, digits and -._~+/="),
        PAIR(PROFILE("  bearerTokenFile: @/two-tokens\n"),
             "f:7:20: tlsProfiles[0].bearerTokenFile: found \"@/two-tokens\" (no bearer token in it), "
             "expected one line of letters, digits and -._~+/="),
        PAIR(PROFILE("  bearerTokenFile: @/open-token\n"),
             "f:7:20: tlsProfiles[0].bearerTokenFile: found mode 0604 on \"@/open-token\" (open to "
             "everybody), expected 0600 or 0640"),
        PAIR(HEAD ROUTE "listeners: [{name: u, unix: {path: /u, owner: no-such-user}}]\n",
             "f:4:47: listeners[0].unix.owner: found \"no-such-user\", expected a user of this machine"),
        PAIR(HEAD ROUTE "listeners: [{name: u, unix: {path: /u, group: no-such-group}}]\n",
             "f:4:47: listeners[0].unix.group: found \"no-such-group\", expected a group of this machine"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        folder_expect_line(cases[i].given, cases[i].line);
}

static void a_certificate_and_its_key_may_share_a_file(void **state)
{
    char both[16384];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *in = fopen(folder_path(i ? "client.key" : "client.crt"), "r");
        assert_non_null(in);
        len += fread(both + len, 1, sizeof(both) - 1 - len, in);
        fclose(in);
    }
    both[len] = '\0';
    folder_put("both.pem", both, 0600);
    folder_expect_line(PROFILE("  clientCertificateFile: @/both.pem\n  clientKeyFile: @/both.pem\n"), "good");
}

static void a_bundle_with_one_expired_authority_is_doubtful(void **state)
{
    char both[16384];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *in = fopen(folder_path(i ? "ca.crt" : "old-ca.crt"), "r");
        assert_non_null(in);
        len += fread(both + len, 1, sizeof(both) - 1 - len, in);
        fclose(in);
    }
    both[len] = '\0';
    folder_put("bundle.crt", both, 0644);
    folder_expect_line(
        PROFILE("  caFile: @/bundle.crt\n"),
        "f:7:11: tlsProfiles[0].caFile: found \"@/bundle.crt\" (1 of 2 CA certificates not valid "
        "now), expected "
        "a CA certificate that is valid now and for 7 more days");
}

static void the_first_end_of_a_certificate_is_told(void **state)
{
    struct tls_file_finding finding;
    (void)state;
    assert_int_equal(tls_file_check_certificate(folder_path("server.crt"), TLS_FILE_SERVER, &finding),
                     TLS_FILE_GOOD);
    assert_in_range(finding.not_after, time(NULL) + 89 * DAY, time(NULL) + 90 * DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_open_to_everybody_is_taken_where_that_is_asked_for),
        cmocka_unit_test(listener_certificates_are_judged),
        cmocka_unit_test(bridge_files_are_judged),
        cmocka_unit_test(profile_files_are_judged),
        cmocka_unit_test(a_certificate_and_its_key_may_share_a_file),
        cmocka_unit_test(a_bundle_with_one_expired_authority_is_doubtful),
        cmocka_unit_test(the_first_end_of_a_certificate_is_told),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
