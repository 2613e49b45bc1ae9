/* test/unit/test_kube_credentials.c — credentials for the Kubernetes API: kubeconfigs as kubectl writes them,
 * what is refused and in which words, and what a Pod has. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "broker/kube/access.h"
#include "broker/kube/base64.h"
#include "broker/kube/bearer.h"
#include "broker/kube/credentials.h"
#include "io/tls/tls.h"
#include "io/worker.h"
#include "test/support/pki.h"

static char path[300], detail[600];

/* -- base64
 * ---------------------------------------------------------------------------------------------------
 */

static ssize_t decode(enum base64_alphabet alphabet, const char *text, char *ret, size_t cap)
{
    ssize_t n = base64_decode(alphabet, text, strlen(text), (uint8_t *)ret, cap);
    if (n >= 0)
        ret[n] = '\0';
    return n;
}

static void base64_is_read_in_one_way_only(void **state)
{
    static const struct {
        enum base64_alphabet alphabet;
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {BASE64,     "",            ""            },
        {BASE64,     "Zg==",        "f"           },
        {BASE64,     "Zm8=",        "fo"          },
        {BASE64,     "Zm9v",        "foo"         },
        {BASE64,     "Zm9v\nYmFy ", "foobar"      },
        {BASE64,     "Z m 8 =\n",   "fo"          },
        {BASE64,     "+/+/",        "\xfb\xff\xbf"},
        {BASE64,     "Zg=",         NULL          },
        {BASE64,     "Zg",          NULL          },
        {BASE64,     "Zg===",       NULL          },
        {BASE64,     "Z",           NULL          },
        {BASE64,     "Zh==",        NULL          }, /* bits left over */
        {BASE64,     "Zm9=",        NULL          },
        {BASE64,     "Zg==Zg==",    NULL          },
        {BASE64,     "-_-_",        NULL          },
        {BASE64,     "Zm9v!",       NULL          },
        {BASE64_URL, "Zg",          "f"           },
        {BASE64_URL, "Zm8",         "fo"          },
        {BASE64_URL, "-_-_",        "\xfb\xff\xbf"},
        {BASE64_URL, "Zg==",        NULL          },
        {BASE64_URL, "Zm9v\n",      NULL          },
        {BASE64_URL, "Z",           NULL          },
        {BASE64_URL, "+/+/",        NULL          },
    };
    char bytes[32];
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        ssize_t n = decode(cases[i].alphabet, cases[i].text, bytes, sizeof bytes - 1);
        if (n >= 0 ? !cases[i].bytes || strcmp(bytes, cases[i].bytes) != 0 : cases[i].bytes != NULL)
            fail_msg("'%s': %zd", cases[i].text, n);
    }
    assert_int_equal(decode(BASE64, "Zm9vYmFy", bytes, 5), -1); /* no room */
}

/* -- kubeconfigs
 * ----------------------------------------------------------------------------------------------
 */

static void write_file(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", pki.dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int load(const char *text, struct kube_credentials *c)
{
    detail[0] = '\0';
    write_file("kubeconfig", text);
    return kube_credentials_load(path, c, detail, sizeof detail);
}

/* The parts that a case changes. */
#define HEAD "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: here\n"
#define CONTEXT                                                                                              \
    "contexts:\n- context: {cluster: other, user: nobody}\n  name: there\n- context:\n    cluster: mine\n  " \
    "  user: me\n  name: here\n"
#define CLUSTER(fields)                                                                                      \
    "clusters:\n- cluster: {server: 'http://x'}\n  name: other\n- name: mine\n  cluster:\n" fields
#define USER(fields) "users:\n- name: me\n  user:\n" fields
#define SERVER       "    server: https://10.0.0.1:6443\n"
#define CA           "    certificate-authority: ca.pem\n"
#define TOKEN        "    token: abc.def-ghi\n"
#define WHOLE        HEAD CONTEXT CLUSTER(SERVER CA) USER(TOKEN)

/* Beside it, as a relative path has it. */
static void write_ca(void)
{
    char text[8192];
    FILE *f = fopen(pki.root_file, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    write_file("ca.pem", text);
}

static void the_current_context_decides(void **state)
{
    struct kube_credentials c;
    (void)state;
    write_ca();
    if (load(WHOLE, &c) != 0)
        fail_msg("%s", detail);
    assert_string_equal(c.host, "10.0.0.1");
    assert_int_equal(c.port, 6443);
    assert_string_equal(c.prefix, "");
    assert_string_equal(c.server_name, "");
    assert_string_equal(c.token, "abc.def-ghi");
    assert_null(c.token_file);
    assert_non_null(c.ca.bytes);
    assert_null(c.certificate.bytes);
    kube_credentials_fini(&c);
}

static void a_server_is_taken_apart(void **state)
{
    static const struct {
        const char *url, *host, *prefix;
        unsigned port;
    } cases[] = {
        {"https://api.example.com",                 "api.example.com", "",                443 },
        {"HTTPS://API.Example.com:6443/",           "api.example.com", "",                6443},
        {"https://[fd00::1]:6443",                  "fd00::1",         "",                6443},
        {"https://rancher.example/k8s/clusters/c/", "rancher.example", "/k8s/clusters/c", 443 },
    };
    static const struct {
        const char *url, *wrong;
    } bad[] = {
        {"http://10.0.0.1:8080",       "plain http"         },
        {"10.0.0.1:6443",              "no https URL"       },
        {"unix:///run/api",            "no https URL"       },
        {"https://",                   "no host"            },
        {"https://10.0.0.1:0",         "a port that is not" },
        {"https://user@10.0.0.1",      "user information"   },
        {"https://10.0.0.1?x",         "characters no host" },
        {"https://10.0.0.1/a?b",       "a query"            },
        {"https://10.0.0.1/a b",       "a query, a fragment"},
        {"https://10.0.0.1/a\r\nX: y", "characters"         },
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct kube_credentials c = {.port = 0};
        assert_null(kube_credentials_set_server(&c, cases[i].url));
        assert_string_equal(c.host, cases[i].host);
        assert_string_equal(c.prefix, cases[i].prefix);
        assert_int_equal(c.port, cases[i].port);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct kube_credentials c = {.port = 0};
        const char *wrong = kube_credentials_set_server(&c, bad[i].url);
        if (!wrong || !strstr(wrong, bad[i].wrong))
            fail_msg("%s: %s", bad[i].url, wrong ? wrong : "taken");
    }
}

/* Base64 of a file, as `base64 -w0` writes it. */
static char *base64_of(const char *file)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t in[8192];
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t len = fread(in, 1, sizeof in - 3, f), n = 0;
    fclose(f);
    char *out = malloc(len / 3 * 4 + 8);
    assert_non_null(out);
    memset(in + len, 0, 3);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        for (unsigned k = 0; k < 4; k++)
            out[n++] = i + k > len ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    out[n] = '\0';
    return out;
}

static void data_in_the_file_is_as_good_as_files(void **state)
{
    static char text[32768];
    struct kube_credentials c;
    struct tls_context *context = NULL;
    (void)state;
    char *ca = base64_of(pki.root_file), *certificate = base64_of(pki.client_file[PKI_EC]),
         *key = base64_of(pki.client_key[PKI_EC]);
    snprintf(text, sizeof text,
             HEAD CONTEXT CLUSTER(
                 SERVER "    tls-server-name: api.internal\n    certificate-authority: /nowhere\n    "
                        "certificate-authority-data: %s\n")
                 USER("    client-certificate-data: %s\n    client-key-data: %s\n"),
             ca, certificate, key);
    if (load(text, &c) != 0)
        fail_msg("%s", detail);
    assert_string_equal(c.server_name, "api.internal");
    assert_null(c.token);
    struct tls_context_options o = {
        .role = TLS_CLIENT, .ca_pem = &c.ca, .certificate_pem = &c.certificate, .key_pem = &c.key};
    if (tls_context_new(&o, &context, detail, sizeof detail) != 0)
        fail_msg("%s", detail);
    tls_context_unref(&context);
    o.key_pem = &c.ca; /* what is wrong is told by where it stands */
    assert_int_not_equal(tls_context_new(&o, &context, detail, sizeof detail), 0);
    assert_non_null(
        strstr(detail, "/kubeconfig: clusters[1].cluster.certificate-authority-data: no readable"));
    o.key_pem = NULL;
    assert_int_not_equal(tls_context_new(&o, &context, detail, sizeof detail), 0);
    assert_non_null(strstr(detail, "is given alone"));
    kube_credentials_fini(&c);
    free(ca);
    free(certificate);
    free(key);
}

static void a_token_in_a_file_stays_there(void **state)
{
    static struct worker w;
    struct kube_credentials c;
    struct kube_access *access = NULL, *renewed = NULL;
    struct bearer b = {0};
    (void)state;
    write_ca();
    write_file("token", "first\n");
    static const char text[] = HEAD CONTEXT CLUSTER(SERVER CA) USER("    token: old\n    tokenFile: token\n");
    assert_int_equal(load(text, &c), 0);
    assert_null(c.token);
    assert_int_equal(kube_access_new(&c, &access, detail, sizeof detail), 0);
    assert_null(access->credentials.ca.bytes);
    bearer_use(&b, access);
    assert_true(slice_eq(bearer_field(&b), SLICE("Bearer first")));
    assert_false(bearer_refused(&b, &w)); /* the same */
    write_file("token", "second");
    assert_true(slice_eq(bearer_field(&b), SLICE("Bearer first")));
    assert_true(bearer_refused(&b, &w));
    assert_true(slice_eq(bearer_field(&b), SLICE("Bearer second")));
    assert_false(bearer_refused(&b, &w));
    write_file("token", "third");
    assert_int_equal(load(text, &c), 0);
    assert_int_equal(kube_access_new(&c, &renewed, detail, sizeof detail), 0);
    bearer_use(&b, renewed);
    kube_access_unref(&access);
    assert_true(slice_eq(bearer_field(&b), SLICE("Bearer third")));
    bearer_fini(&b);
    kube_access_unref(&renewed);
    assert_int_equal(load(HEAD CONTEXT CLUSTER(SERVER CA) USER("    tokenFile: nowhere\n"), &c), 0);
    assert_int_equal(kube_access_new(&c, &access, detail, sizeof detail), -ENOENT);
    assert_null(access);
    assert_non_null(strstr(detail, "/nowhere: found "));
    assert_non_null(strstr(detail, "expected a file with a bearer token"));
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"",                                                                                 "kubeconfig:1:1: (document): found nothing, expected a document"},
        {"a: [",                                                                             "found a mistake in the syntax"                                 },
        {"apiVersion: v1\nkind: Config\n",
         ":1:1: current-context: found nothing, expected the name of a context"                                                                              },
        {"current-context: [a]\n",                                                           ":1:18: current-context: found a list, expected text"           },
        {"current-context: here\n",                                                          "contexts: found nothing, expected a list"                      },
        {"current-context: nowhere\n" CONTEXT,
         ":3:1: contexts: found none named \"nowhere\", expected the one"                                                                                    },
        {HEAD "contexts: [{name: here}]\n",                                                  "context: found nothing, expected a mapping"                    },
        {HEAD "contexts: [{name: here, context: {cluster: mine}}]\n",
         "contexts[0].context.user: found nothing, expected"                                                                                                 },
        {HEAD CONTEXT USER(TOKEN),                                                           "clusters: found nothing, expected a list"                      },
        {HEAD CONTEXT CLUSTER(CA) USER(TOKEN),
         "clusters[1].cluster.server: found nothing, expected https://host:port"                                                                             },
        {HEAD CONTEXT CLUSTER("    server: http://10.0.0.1\n" CA) USER(TOKEN),
         ":17:13: clusters[1].cluster.server: found plain http"                                                                                              },
        {HEAD CONTEXT CLUSTER(SERVER) USER(TOKEN),
         "clusters[1].cluster.certificate-authority: found nothing, expected the CA"                                                                         },
        {HEAD CONTEXT CLUSTER(SERVER "    certificate-authority: nowhere\n") USER(TOKEN),
         "certificate-authority: found "                                                                                                                     },
        {HEAD CONTEXT CLUSTER(SERVER "    certificate-authority-data: '***'\n") USER(TOKEN),
         "certificate-authority-data: found what is no base64, expected a PEM file in base64"                                                                },
        {HEAD CONTEXT CLUSTER(SERVER CA "    insecure-skip-tls-verify: true\n") USER(TOKEN),
         "clusters[1].cluster.insecure-skip-tls-verify: found a setting that is not supported"                                                               },
        {HEAD CONTEXT CLUSTER(SERVER CA "    proxy-url: http://proxy\n") USER(TOKEN),
         "cluster.proxy-url: found a setting"                                                                                                                },
        {HEAD CONTEXT CLUSTER(SERVER CA),                                                    "users: found nothing, expected a list"                         },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    {}\n"),
         "users[0].user: found no credentials, expected token, tokenFile"                                                                                    },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    token: 'top secret'\n"),
         "users[0].user.token: found characters that no bearer token has"                                                                                    },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    exec: {command: aws}\n"),
         "users[0].user.exec: found a setting that is not supported, expected token, tokenFile or "
         "client-certificate"                                                                                                                                },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    auth-provider: {name: gcp}\n"),
         "users[0].user.auth-provider: found"                                                                                                                },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    username: a\n    password: b\n"),
         "users[0].user.username: found"                                                                                                                     },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER(TOKEN "    as: admin\n"),                      "users[0].user.as: found"                                       },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER(TOKEN "    as-groups: [x]\n"),
         "users[0].user.as-groups: found"                                                                                                                    },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    client-certificate: ca.pem\n"),
         "users[0].user.client-key: found nothing, expected a certificate and its key"                                                                       },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    client-key: ca.pem\n"),
         "users[0].user.client-certificate: found nothing"                                                                                                   },
        {HEAD CONTEXT CLUSTER(SERVER CA) USER("    token: a\n    token: b\n"),
         "found field \"token\" a second time"                                                                                                               },
    };
    (void)state;
    write_ca();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct kube_credentials c;
        assert_int_equal(load(cases[i].text, &c), -EINVAL);
        if (!strstr(detail, cases[i].detail) || !strstr(detail, path) || strstr(detail, "top secret") ||
            strchr(detail, '\n'))
            fail_msg("row %u: '%s'", i, detail);
    }
    struct kube_credentials c;
    assert_int_equal(kube_credentials_load("/nowhere/config", &c, detail, sizeof detail), -ENOENT);
    assert_non_null(strstr(detail, "kubernetes.kubeconfigFile: found \"/nowhere/config\" ("));
}

static void what_is_off_or_unknown_does_no_harm(void **state)
{
    struct kube_credentials c;
    (void)state;
    write_ca();
    if (load(HEAD "extensions: []\n" CONTEXT CLUSTER(
                 SERVER CA
                 "    insecure-skip-tls-verify: false\n    proxy-url: ''\n    disable-compression: true\n")
                 USER(TOKEN "    exec: null\n    as-groups: []\n    as-user-extra: {}\n    extensions: "
                            "[{name: x}]\n"),
             &c) != 0)
        fail_msg("%s", detail);
    kube_credentials_fini(&c);
    write_file("kubeconfig.json", "");
    if (load("{\"current-context\":\"here\",\"contexts\":[{\"name\":\"here\",\"context\":{\"cluster\":\"c\","
             "\"user\":"
             "\"u\"}}],\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://"
             "a\",\"certificate-authority\":"
             "\"ca.pem\"}}],\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}",
             &c) != 0)
        fail_msg("%s", detail);
    kube_credentials_fini(&c);
}

/* -- in a Pod
 * -------------------------------------------------------------------------------------------------
 */

static void a_pod_has_what_it_needs(void **state)
{
    struct kube_credentials c = {.port = 0};
    char folder[300], text[8192];
    (void)state;
    snprintf(folder, sizeof folder, "%s/serviceaccount", pki.dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_int_equal(in_cluster_read(folder, &c, detail, sizeof detail), -EINVAL);
    assert_non_null(strstr(detail, "kubernetes.kubeconfigFile: found none, and no KUBERNETES_SERVICE_HOST"));
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    assert_int_equal(in_cluster_read(folder, &c, detail, sizeof detail), -ENOENT);
    assert_non_null(strstr(detail, "/serviceaccount/ca.crt: cannot be opened"));
    kube_credentials_fini(&c);
    FILE *f = fopen(pki.root_file, "r");
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    write_file("serviceaccount/ca.crt", text);
    write_file("serviceaccount/token", "pod\n");
    assert_int_equal(in_cluster_read(folder, &c, detail, sizeof detail), 0);
    assert_string_equal(c.host, "fd00::1");
    assert_int_equal(c.port, 443);
    assert_non_null(strstr(c.token_file, "/serviceaccount/token"));
    kube_credentials_fini(&c);
    setenv("KUBERNETES_SERVICE_PORT", "x", 1);
    assert_int_equal(in_cluster_read(folder, &c, detail, sizeof detail), -EINVAL);
    assert_non_null(strstr(detail, "a port that is not a decimal number"));
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    kube_credentials_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_read_in_one_way_only),
        cmocka_unit_test(the_current_context_decides),
        cmocka_unit_test(a_server_is_taken_apart),
        cmocka_unit_test(data_in_the_file_is_as_good_as_files),
        cmocka_unit_test(a_token_in_a_file_stays_there),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(what_is_off_or_unknown_does_no_harm),
        cmocka_unit_test(a_pod_has_what_it_needs),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
