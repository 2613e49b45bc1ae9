/* test/unit/test_reload_kube.c — a kubeconfig and the files that it names change below a broker that asks the
 * Kubernetes API: what it is known by, and what it shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/broker_worker.h"
#include "broker/credentials.h"
#include "broker/kube/kube.h"
#include "broker/reload.h"
#include "test/support/renewal_rig.h"

static const struct pool_profile *api(void)
{
    const struct kube *kube = renewal.broker->kube;
    assert_ptr_equal(
        kube->key.profile,
        credentials_profile(kube->home->credentials, credentials_kube_identity(kube->home->credentials)));
    return kube->key.profile;
}

static const char *api_token(void)
{
    return bearer_field(&renewal.broker->kube->bearer).data;
}

static void the_api_is_known_by_new_files(void **state)
{
    (void)state;
    renewal_start(2);
    assert_int_equal(api()->generation, 1);
    assert_string_equal(api_token(), "Bearer first");
    renewal_assert_metric(
        "hawser_certificate_not_after_seconds{kubernetes=\"api\",file=\"certificate-authority\"} ");
    renewal_write_ca("api-ca", "another");
    renewal_settle();
    assert_int_equal(renewal_lines("event=reloaded message=\"kubernetes api: certificate-authority (until "),
                     1);
    assert_int_equal(api()->generation, 2);
    renewal_write_identity("api", "renewed", CERTIFICATE);
    renewal_settle();
    assert_int_equal(renewal_lines("event=reload_failed message=\"kubernetes api: "), 1);
    assert_int_equal(api()->generation, 2);
    renewal_write_identity("api", "renewed", KEY);
    renewal_settle();
    assert_int_equal(renewal_lines("event=reloaded message=\"kubernetes api: client-certificate (until "), 1);
    assert_int_equal(api()->generation, 3);
    assert_int_equal(renewal_profile(0, 0)->generation, 1);
    renewal_assert_metric("hawser_reloads_refused 0\n");
    (void)renewal_look_after(RELOAD_RETRY_MS);
    assert_int_equal(reload_identities_left(renewal.broker->reload), 0);
    renewal_stop();
}

static void the_apis_token_leaves_its_connections_alone(void **state)
{
    char path[128];
    (void)state;
    renewal_start(2);
    renewal_write_kubeconfig(RENEWAL_API, "tokenFile: token"); /* another file, and another list of them */
    renewal_settle();
    const struct pool_profile *before = api();
    assert_string_equal(api_token(), "Bearer first");
    assert_int_equal(before->generation, 2); /* what it said of certificates may have changed */
    renewal_write_token("second");
    renewal_settle();
    assert_string_equal(api_token(), "Bearer second");
    assert_ptr_equal(api(), before);
    assert_int_equal(renewal_lines("kubernetes api: tokenFile\""), 1);
    snprintf(path, sizeof(path), "%s/token", renewal.dir);
    assert_int_equal(unlink(path), 0);
    renewal_settle();
    assert_int_equal(renewal_lines("reload_failed message=\"kubernetes api: tokenFile: found "), 1);
    assert_string_equal(api_token(), "Bearer second");
    assert_int_equal(renewal_lines("Bearer"), 0);
    renewal_stop();
}

static void a_kubeconfig_is_taken_as_a_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *server, *user, *said;
    } cases[] = {
        {RENEWAL_API,               "exec: {command: x}",                                  "users[0].user.exec: found a setting that is not supported"     },
        {RENEWAL_API,               "client-certificate: none.crt, client-key: api.key",
         "users[0].user.client-certificate: found"                                                                                                         },
        {RENEWAL_API,               "client-certificate: server.crt, client-key: api.key",
         "kubernetes api: client-key: found"                                                                                                               },
        {RENEWAL_API,               "token: 'two words'",                                  "users[0].user.token: found characters that no bearer token has"},
        {"https://10.0.0.2:6443/p", RENEWAL_USER,
         "kubeconfigFile: found the server 10.0.0.2 port 6443/p, expected 10.0.0.1 port 6443 until a "
         "restart"                                                                                                                                         },
    };
    (void)state;
    renewal_start(1);
    const struct pool_profile *before = api();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        renewal_write_kubeconfig(cases[i].server, cases[i].user);
        renewal_settle();
        assert_int_equal(renewal_lines("reload_failed message=\"kubernetes api: "), i + 1);
        if (renewal_lines(cases[i].said) != 1)
            fail_msg("nobody said: %s", cases[i].said);
        assert_ptr_equal(api(), before);
        assert_string_equal(api_token(), "Bearer first");
        renewal_assert_metric("hawser_reloads_refused 1\n");
    }
    renewal_write_kubeconfig(RENEWAL_API, RENEWAL_USER);
    renewal_settle();
    assert_ptr_equal(api(), before);
    renewal_assert_metric("hawser_reloads_refused 0\n");
    renewal_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_api_is_known_by_new_files),
        cmocka_unit_test(the_apis_token_leaves_its_connections_alone),
        cmocka_unit_test(a_kubeconfig_is_taken_as_a_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, renewal_global_init, renewal_global_fini);
}
