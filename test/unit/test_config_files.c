/* test/unit/test_config_files.c — files that settings name: certificates, keys, CAs, tokens, node names. Made
 * here by libcrypto, in a directory that goes away; every complaint is compared whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "io/tls/tls_files.h"

enum { DAY = 86400, PATH_BYTES = 128, DOCUMENT_BYTES = 2048 };

static char dir[] = "/tmp/hawser-test-XXXXXX";

struct recipe {
    const char *name; /* of the files: name.crt, name.key */
    bool ca;
    const char *usage, *key_usage; /* the first one extended */
    int from_s, to_s;              /* seconds from now */
};

static const char *in_dir(const char *name)
{
    static char paths[8][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    return path;
}

static FILE *create(const char *name, mode_t mode)
{
    unlink(in_dir(name));
    FILE *file = fopen(in_dir(name), "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    return file;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *file = create(name, mode);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Self-signed: whether a chain builds is not judged here. */
static void make(const struct recipe *recipe)
{
    char file_name[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_non_null(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), recipe->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), recipe->to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)recipe->name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_basic_constraints, recipe->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (recipe->usage)
        add_extension(certificate, NID_ext_key_usage, recipe->usage);
    if (recipe->key_usage)
        add_extension(certificate, NID_key_usage, recipe->key_usage);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    snprintf(file_name, sizeof(file_name), "%s.crt", recipe->name);
    FILE *file = create(file_name, 0644);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    snprintf(file_name, sizeof(file_name), "%s.key", recipe->name);
    file = create(file_name, 0600);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    snprintf(file_name, sizeof(file_name), "%s-locked.key", recipe->name);
    file = create(file_name, 0600);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void copy(const char *from, const char *to, mode_t mode)
{
    char bytes[8192];
    FILE *in = fopen(in_dir(from), "r");
    assert_non_null(in);
    size_t len = fread(bytes, 1, sizeof(bytes) - 1, in);
    fclose(in);
    bytes[len] = '\0';
    put(to, bytes, mode);
}

static int set_up(void **state)
{
    static const struct recipe recipes[] = {
        {"ca",      true,  NULL,         NULL,                                -DAY,       365 * DAY},
        {"old-ca",  true,  NULL,         NULL,                                -365 * DAY, -DAY     },
        {"server",  false, "serverAuth", NULL,                                -DAY,       90 * DAY },
        {"soon-ca", true,  NULL,         NULL,                                -DAY,       3 * DAY  },
        {"client",  false, "clientAuth", NULL,                                -DAY,       90 * DAY },
        {"expired", false, NULL,         NULL,                                -90 * DAY,  -DAY     },
        {"future",  false, NULL,         NULL,                                DAY,        90 * DAY },
        {"soon",    false, NULL,         NULL,                                -DAY,       3 * DAY  },
        {"shy-ca",  true,  NULL,         "critical,digitalSignature,cRLSign", -DAY,       90 * DAY },
    };
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(recipes); i++)
        make(&recipes[i]);
    copy("server.key", "open.key", 0644);
    copy("server.key", "group.key", 0640);
    copy("ca.key", "open-ca.key", 0644);
    copy("ca.key", "group-ca.key", 0640);
    put("empty", "", 0600);
    put("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0600);
    put("token", "abc.def-ghi_jkl\n", 0600);
    put("open-token", "abc\n", 0604);
    put("two-tokens", "abc\ndef\n", 0600);
    return mkdir(in_dir("directory"), 0700);
}

static int tear_down(void **state)
{
    char command[PATH_BYTES];
    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

/* '@' in what is given and expected stands for the directory. */
static void expand(const char *text, char *ret_text, size_t size)
{
    size_t n = 0;
    for (; *text && n + sizeof(dir) < size; text++)
        if (*text == '@')
            n += (size_t)snprintf(ret_text + n, size - n, "%s", dir);
        else
            ret_text[n++] = *text;
    ret_text[n] = '\0';
}

static struct config *load(const char *document, struct config_error *error)
{
    char text[DOCUMENT_BYTES];
    struct config *config = NULL;
    expand(document, text, sizeof(text));
    int rc = config_load_buffer("f", text, strlen(text), CONFIG_DEFAULT, &config, error);
    assert_true(rc == CONFIG_OK || rc == CONFIG_INVALID);
    return config;
}

static const char *last_line(struct config **config, const struct config_error *error,
                             char text[CONFIG_ERROR_MAX])
{
    struct config *c = *config;
    snprintf(text, CONFIG_ERROR_MAX, "%s", !c ? error->text : c->warning_count ? c->warnings[0] : "good");
    config_free(config);
    return text;
}

static void expect_line(const char *document, const char *line)
{
    struct config_error error;
    char expected[CONFIG_ERROR_MAX], found[CONFIG_ERROR_MAX];
    struct config *config = load(document, &error);
    expand(line, expected, sizeof(expected));
    last_line(&config, &error, found);
    if (strncmp(found, expected, strlen(expected)) != 0)
        fail_msg("%s\n gave %s\n not  %s", document, found, expected);
}

/* Brackets instead of braces: clang-format would align the columns of unequal texts. */
#define PAIR(given, line)                                                                                    \
    {                                                                                                        \
        given, line                                                                                          \
    }

struct pair {
    const char *given, *line;
};

#define HEAD  "apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\n"
#define ROUTE "routes: [{name: r, match: {schemes: [http]}}]\n"
#define TLS(certificate, key, ca)                                                                            \
    HEAD ROUTE "listeners:\n- name: t\n  tcp: {address: 127.0.0.1, port: 80}\n  tls:\n    "                  \
               "certificateFile: " certificate "\n    keyFile: " key "\n    clientCaFile: " ca               \
               "\n    allowedNames: [x]\n"
#define PROFILE(fields)                                                                                      \
    HEAD ROUTE "listeners: [{name: u, unix: {path: /u}}]\ntlsProfiles:\n- name: k\n" fields

static void a_key_open_to_everybody_is_taken_where_that_is_asked_for(void **state)
{
    struct config_error error;
    struct config *c = load(TLS("@/server.crt", "@/open.key\n    keyWorldReadable: true", "@/ca.crt"),
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
        expect_line(cases[i].given, cases[i].line);
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
        expect_line(cases[i].given, cases[i].line);
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
        expect_line(cases[i].given, cases[i].line);
}

static void a_certificate_and_its_key_may_share_a_file(void **state)
{
    char both[16384];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *in = fopen(in_dir(i ? "client.key" : "client.crt"), "r");
        assert_non_null(in);
        len += fread(both + len, 1, sizeof(both) - 1 - len, in);
        fclose(in);
    }
    both[len] = '\0';
    put("both.pem", both, 0600);
    expect_line(PROFILE("  clientCertificateFile: @/both.pem\n  clientKeyFile: @/both.pem\n"), "good");
}

static void a_bundle_with_one_expired_authority_is_doubtful(void **state)
{
    char both[16384];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *in = fopen(in_dir(i ? "ca.crt" : "old-ca.crt"), "r");
        assert_non_null(in);
        len += fread(both + len, 1, sizeof(both) - 1 - len, in);
        fclose(in);
    }
    both[len] = '\0';
    put("bundle.crt", both, 0644);
    expect_line(PROFILE("  caFile: @/bundle.crt\n"),
                "f:7:11: tlsProfiles[0].caFile: found \"@/bundle.crt\" (1 of 2 CA certificates not valid "
                "now), expected "
                "a CA certificate that is valid now and for 7 more days");
}

#define NODES                                                                                                \
    HEAD "listeners: [{name: u, unix: {path: /u}}]\nroutes:\n- name: r\n  match: {schemes: [http]}\n"        \
         "  nodeNameFile: @/nodes\n"

static void node_names_are_read_line_by_line(void **state)
{
    struct config_error error;
    (void)state;
    put("nodes", "# nodes\n10.0.0.1 one\n\n  10.0.0.2\ttwo # the second\r\nfd00::3 three", 0644);
    struct config *c = load(NODES, &error);
    assert_non_null(c);
    assert_int_equal(config_nodes_count(c->routes[0].nodes), 3);
    assert_string_equal(config_nodes_find(c->routes[0].nodes, "10.0.0.2"), "two");
    assert_string_equal(config_nodes_find(c->routes[0].nodes, "fd00::3"), "three");
    assert_null(config_nodes_find(c->routes[0].nodes, "10.0.0.4"));
    config_free(&c);
}

static void a_bad_node_file_names_its_line(void **state)
{
    static const struct pair cases[] = {
        PAIR("10.0.0.1 one\n10.0.0.2\n",
             "@/nodes:2:9: routes[0].nodeNameFile: found nothing, expected a node's name after the address"),
        PAIR("10.0.0.300 one\n",
             "@/nodes:1:1: routes[0].nodeNameFile: found \"10.0.0.300\", expected a host name or an address"),
        PAIR("10.0.0.1 One\n", "@/nodes:1:10: routes[0].nodeNameFile: found \"One\", expected a node's name: "
                               "lower-case letters, digits, '-' and '.'"),
        PAIR("10.0.0.1 one two\n",
             "@/nodes:1:14: routes[0].nodeNameFile: found \"two\", expected the end of the line"),
        PAIR("10.0.0.1 one\n::ffff:10.0.0.1 two\n",
             "@/nodes:2:1: routes[0].nodeNameFile: found a second node for \"10.0.0.1\", expected one"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        put("nodes", cases[i].given, 0644);
        expect_line(NODES, cases[i].line);
    }
    unlink(in_dir("nodes"));
    expect_line(NODES, "f:7:17: routes[0].nodeNameFile: found \"@/nodes\" (no such file), expected a file "
                       "with lines ADDRESS NAME");
}

static void a_kubeconfig_must_be_there_and_should_be_private(void **state)
{
#define KUBECONFIG(file)                                                                                     \
    HEAD ROUTE "listeners: [{name: u, unix: {path: /u}}]\nkubernetes: {kubeconfigFile: " file "}\n"
    static const struct pair cases[] = {
        PAIR(KUBECONFIG("@/none"),
             "f:5:30: kubernetes.kubeconfigFile: found \"@/none\" (no such file), expected a kubeconfig"),
        PAIR(KUBECONFIG("@/directory"),
             "f:5:30: kubernetes.kubeconfigFile: found \"@/directory\" (a directory), expected a kubeconfig"),
        PAIR(
            KUBECONFIG("@/open.kubeconfig"),
            "f:5:30: kubernetes.kubeconfigFile: found \"@/open.kubeconfig\" readable for everybody, expected "
            "0600: it may hold a key"),
        PAIR(KUBECONFIG("@/kubeconfig"), "good"),
    };
    (void)state;
    put("kubeconfig", "apiVersion: v1\n", 0600);
    put("open.kubeconfig", "apiVersion: v1\n", 0644);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_line(cases[i].given, cases[i].line);
}

static void agents_may_come_without_a_client_ca(void **state)
{
    (void)state;
    expect_line(HEAD ROUTE "agents: {anonymous: true}\nlisteners:\n- name: t\n  serves: agents\n"
                           "  tcp: {address: 127.0.0.1, port: 80}\n"
                           "  tls: {certificateFile: @/server.crt, keyFile: @/server.key}\n",
                "f:4:21: agents.anonymous: found true: whoever reaches listener \"t\" may carry connections");
}

static void the_configuration_file_itself_may_be_missing_or_large(void **state)
{
    struct config *c = NULL;
    struct config_error error;
    char expected[CONFIG_ERROR_MAX];
    (void)state;
    assert_int_equal(config_load(in_dir("none.yaml"), 0, &c, &error), CONFIG_INVALID);
    expand("@/none.yaml:1:1: (document): found no such file, expected a readable file", expected,
           sizeof(expected));
    assert_string_equal(error.text, expected);
    put("large.yaml", "#", 0644);
    assert_int_equal(truncate(in_dir("large.yaml"), CONFIG_FILE_BYTES_MAX + 1), 0);
    assert_int_equal(config_load(in_dir("large.yaml"), 0, &c, &error), CONFIG_INVALID);
    expand("@/large.yaml:1:1: (document): found more than 1048576 bytes, expected at most that", expected,
           sizeof(expected));
    assert_string_equal(error.text, expected);
    assert_null(c);
}

static void the_first_end_of_a_certificate_is_told(void **state)
{
    struct tls_file_finding finding;
    (void)state;
    assert_int_equal(tls_file_check_certificate(in_dir("server.crt"), TLS_FILE_SERVER, &finding),
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
        cmocka_unit_test(node_names_are_read_line_by_line),
        cmocka_unit_test(a_bad_node_file_names_its_line),
        cmocka_unit_test(a_kubeconfig_must_be_there_and_should_be_private),
        cmocka_unit_test(agents_may_come_without_a_client_ca),
        cmocka_unit_test(the_configuration_file_itself_may_be_missing_or_large),
        cmocka_unit_test(the_first_end_of_a_certificate_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
