/* test/support/renewal_rig.c — see renewal_rig.h. */
#include "test/support/renewal_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/reload.h"
#include "io/engine.h"
#include "io/log.h"
#include "io/tls/tls.h"
#include "test/support/poll_engine.h"

struct renewal renewal;

int __real_tls_context_new(const struct tls_context_options *, struct tls_context **, char *, size_t);
int __wrap_tls_context_new(const struct tls_context_options *, struct tls_context **, char *, size_t);

int __wrap_tls_context_new(const struct tls_context_options *o, struct tls_context **ret, char *detail,
                           size_t size)
{
    void (*meanwhile)(void) = renewal.while_loading;
    renewal.while_loading = NULL;
    if (meanwhile)
        meanwhile();
    return __real_tls_context_new(o, ret, detail, size);
}

int __wrap_sem_clockwait(sem_t *, clockid_t, const struct timespec *);
int __wrap_sem_wait(sem_t *);

int __wrap_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
    (void)sem;
    (void)clock;
    (void)until;
    renewal.waits_for_time++;
    errno = ETIMEDOUT;
    return -1;
}

int __wrap_sem_wait(sem_t *sem)
{
    (void)sem;
    renewal.waits++;
    return 0;
}

/* -- files --------------------------------------------------------------------------------------------------
 */

/* By rename, as whoever renews certificates with care does it. */
void renewal_write_token(const char *token)
{
    char path[128], next[128];
    snprintf(path, sizeof(path), "%s/token", renewal.dir);
    snprintf(next, sizeof(next), "%s/token.next", renewal.dir);
    FILE *out = fopen(next, "w");
    assert_non_null(out);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    fprintf(out, "%s\n", token);
    fclose(out);
    assert_int_equal(rename(next, path), 0);
}

void renewal_write_nodes(const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/nodes", renewal.dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

void renewal_write_kubeconfig(const char *server, const char *user)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/kubeconfig", renewal.dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    fprintf(out,
            "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
            "clusters: [{name: k, cluster: {server: '%s', certificate-authority: api-ca.crt}}]\n"
            "users: [{name: u, user: {%s}}]\n",
            server, user);
    fclose(out);
}

void renewal_write_identity(const char *name, const char *cn, unsigned which)
{
    static struct cert c;
    char file[64];
    if (which & CERTIFICATE) { /* the key that is written alone belongs to the certificate before */
        cert_free(&c);
        c = cert_make(&(struct cert_spec){.cn = cn, .san = "IP:127.0.0.1"}, &renewal.ca);
        snprintf(file, sizeof(file), "%s.crt", name);
        (void)cert_write(renewal.dir, file, &c, 1);
    }
    snprintf(file, sizeof(file), "%s.key", name);
    if (which & KEY)
        (void)cert_write_key(renewal.dir, file, &c);
}

void renewal_write_ca(const char *name, const char *cn)
{
    char file[64];
    struct cert ca = cert_make(&(struct cert_spec){.cn = cn, .ca = true}, NULL);
    snprintf(file, sizeof(file), "%s.crt", name);
    (void)cert_write(renewal.dir, file, &ca, 1);
    snprintf(file, sizeof(file), "%s.key", name);
    (void)cert_write_key(renewal.dir, file, &ca);
    cert_free(&ca);
}

/* -- a broker -----------------------------------------------------------------------------------------------
 */

static struct config *config_of(unsigned workers)
{
    static const char format[] =
        "apiVersion: hawser.dev/v1alpha1\n"
        "kind: BrokerConfiguration\n"
        "workers: %1$u\n"
        "reloadMs: %2$d\n"
        "admin: {port: 0}\n"
        "listeners:\n"
        "  - name: mtls\n"
        "    tcp: {address: 127.0.0.1, port: 1}\n"
        "    tls: {certificateFile: %3$s/server.crt, keyFile: %3$s/server.key, clientCaFile: %3$s/ca.crt, "
        "allowedNames: [a]}\n"
        "tlsProfiles:\n"
        "  - {name: k, caFile: %3$s/ca.crt, clientCertificateFile: %3$s/client.crt, clientKeyFile: "
        "%3$s/client.key}\n"
        "  - {name: t, caFile: %3$s/ca.crt, bearerTokenFile: %3$s/token, verifyKubeletName: true}\n"
        "routes:\n"
        "  - {name: k, tlsProfile: k, match: {cidrs: [10.0.0.0/8]}}\n"
        "  - {name: t, tlsProfile: t, match: {cidrs: [11.0.0.0/8]}, nodeNameFile: %3$s/nodes,\n"
        "     nodeNames: [{address: 11.0.0.9, name: nine}]}\n"
        "  - name: b\n"
        "    tlsProfile: k\n"
        "    match: {cidrs: [10.0.0.0/8], schemes: [tunnel]}\n"
        "    bridge: {issuerCertificateFile: %3$s/issuer.crt, issuerKeyFile: %3$s/issuer.key, clientCaFile: "
        "%3$s/ca.crt, allowedNames: [a]}\n"
        "agents: {tokenReview: {audience: a, namespace: n, serviceAccount: s}}\n"
        "kubernetes: {kubeconfigFile: %3$s/kubeconfig}\n";
    char text[2048];
    struct config *config = NULL;
    struct config_error error;
    int len = snprintf(text, sizeof(text), format, workers, RENEWAL_INTERVAL_MS, renewal.dir);
    if (config_load_buffer("f", text, (size_t)len, CONFIG_DEFAULT, &config, &error) != CONFIG_OK)
        fail_msg("%s", error.text);
    return config;
}

static int engine_of_poll(struct worker *w, void *arg, struct engine **ret)
{
    (void)arg;
    return poll_engine_new(w, ret);
}

void renewal_start(unsigned workers)
{
    char detail[1000];
    renewal.dir = certs_dir_new();
    renewal.ca = cert_make(&(struct cert_spec){.cn = "ca", .ca = true}, NULL);
    (void)cert_write(renewal.dir, "ca.crt", &renewal.ca, 1);
    renewal_write_identity("server", "server", PAIR);
    renewal_write_identity("client", "client", PAIR);
    renewal_write_ca("issuer", "issuer");
    renewal_write_token("first");
    renewal_write_ca("api-ca", "api-ca");
    renewal_write_identity("api", "api", PAIR);
    renewal_write_kubeconfig(RENEWAL_API, RENEWAL_USER);
    renewal_write_nodes("11.0.0.1 one\n11.0.0.2 two\n");
    renewal.now_ms = 1000000;
    renewal.log_fd = memfd_create("log", 0);
    log_configure(&(struct log_options){.fd = renewal.log_fd, .level = LOG_INFO});
    struct broker_options options = {.config = config_of(workers), .engine_new = engine_of_poll};
    if (broker_new(&options, &renewal.broker, detail, sizeof(detail)) < 0)
        fail_msg("%s", detail);
}

void renewal_turn_all(void)
{
    for (unsigned i = 0; i < renewal.broker->count; i++)
        broker_turn(renewal.broker, i, 0);
}

void renewal_stop(void)
{
    broker_drain_any_thread(renewal.broker);
    while (!broker_is_drained_any_thread(renewal.broker))
        renewal_turn_all();
    broker_free(&renewal.broker);
    close(renewal.log_fd);
    cert_free(&renewal.ca);
    certs_dir_remove(renewal.dir);
}

/* Looks after so many milliseconds; when the next look is due. */
uint64_t renewal_look_after(uint64_t ms)
{
    renewal.now_ms += ms;
    uint64_t next = reload_look(renewal.broker->reload, renewal.now_ms, false);
    assert_true(next > renewal.now_ms);
    return next - renewal.now_ms;
}

/* A change is seen, has settled, is read, adopted and told. */
void renewal_settle(void)
{
    (void)renewal_look_after(RENEWAL_INTERVAL_MS);
    (void)renewal_look_after(RELOAD_SETTLE_MS);
    renewal_turn_all();
    (void)renewal_look_after(100);
}

const struct pool_profile *renewal_profile(unsigned worker, unsigned route)
{
    const struct credentials *c = renewal.broker->states[worker].credentials;
    return credentials_profile(c, renewal.broker->route_table[route].identity);
}

const char *renewal_token(unsigned worker)
{
    return renewal.broker->states[worker].credentials->authorizations[1].text;
}

/* Which node must answer. */
const char *renewal_node(unsigned worker, const char *host)
{
    static char name[POOL_NAME_MAX];
    broker_node_name(&renewal.broker->states[worker], &renewal.broker->route_table[1], host, name,
                     sizeof(name));
    return name;
}

unsigned renewal_lines(const char *with)
{
    static char text[256 * 1024];
    unsigned n = 0;
    ssize_t len = pread(renewal.log_fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    for (char *at = text; (at = strstr(at, with)) != NULL; at += strlen(with))
        n++;
    return n;
}

static const char *metrics(void)
{
    static char text[8192];
    memset(text, 0, sizeof(text));
    FILE *out = fmemopen(text, sizeof(text) - 1, "w");
    reload_print_metrics(renewal.broker->reload, out);
    fclose(out);
    return text;
}

void renewal_assert_metric(const char *line)
{
    if (!strstr(metrics(), line))
        fail_msg("no \"%s\" in\n%s", line, metrics());
}

int renewal_global_init(void **state)
{
    (void)state;
    return tls_global_init();
}

int renewal_global_fini(void **state)
{
    (void)state;
    tls_global_fini();
    return 0;
}
