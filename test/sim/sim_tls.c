/* test/sim/sim_tls.c — see sim_tls.h. */
#include "sim_tls.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "io/attributes.h"
#include "io/tls/tls.h"
#include "test/support/certs.h"

static struct {
    const char *dir, *ca, *client, *client_key, *front, *front_key;
    struct tls_context *contexts[TRUST_COUNT];
    struct tls_context *to_broker;
} tls;

/* Valid now, when files are loaded, and when the simulated world begins. */
static struct cert make(struct cert_spec spec, const struct cert *issuer)
{
    static const long world_begins_s = 1767225600, day_s = 86400;
    long ahead_s = world_begins_s - (long)time(NULL);
    spec.from_s = (ahead_s < 0 ? ahead_s : 0) - day_s;
    spec.until_s = (ahead_s > 0 ? ahead_s : 0) + 30 * day_s;
    return cert_make(&spec, issuer);
}

static struct tls_context *make_context(enum tls_role role, const char *certificate, const char *key)
{
    char detail[256] = "";
    struct tls_context_options o = {
        .role = role, .ca_file = tls.ca, .certificate_file = certificate, .key_file = key};
    struct tls_context *context = NULL;
    if (tls_context_new(&o, &context, detail, sizeof(detail)) < 0)
        fprintf(stderr, "%s\n", detail);
    ASSERT(context != NULL);
    return context;
}

static void make_server(const char *name, const struct cert *issuer, const char *san,
                        const char **ret_certificate, const char **ret_key)
{
    char key_name[32];
    struct cert c = make((struct cert_spec){.cn = "system:node:sim", .org = "system:nodes", .san = san},
                         issuer);
    snprintf(key_name, sizeof(key_name), "%s-key", name);
    *ret_certificate = cert_write(tls.dir, name, &c, 1);
    *ret_key = cert_write_key(tls.dir, key_name, &c);
    cert_free(&c);
}

static struct tls_context *make_backend(const char *name, const struct cert *issuer, const char *san)
{
    const char *certificate, *key;
    make_server(name, issuer, san, &certificate, &key);
    return make_context(TLS_SERVER, certificate, key);
}

void sim_tls_init(void)
{
    static const char addresses[] = "IP:10.0.0.1,IP:10.0.0.2,IP:10.0.0.3,IP:10.0.0.4,"
                                    "IP:10.0.0.5,IP:10.0.0.6,IP:10.0.0.7,IP:10.0.0.8";
    struct cert ca = make((struct cert_spec){.cn = "sim ca", .ca = true}, NULL);
    struct cert stranger = make((struct cert_spec){.cn = "another ca", .ca = true}, NULL);
    struct cert client = make((struct cert_spec){.cn = "hawser", .client_only = true}, &ca);
    tls.dir = certs_dir_new();
    tls.ca = cert_write(tls.dir, "ca", &ca, 1);
    tls.client = cert_write(tls.dir, "client", &client, 1);
    tls.client_key = cert_write_key(tls.dir, "client-key", &client);
    tls.contexts[TRUST_GOOD] = make_backend("good", &ca, addresses);
    tls.contexts[TRUST_STRANGER] = make_backend("stranger", &stranger, addresses);
    tls.contexts[TRUST_MISNAMED] = make_backend("misnamed", &ca, "IP:10.9.9.9,DNS:10.0.0.1");
    make_server("front", &ca, "IP:127.0.0.1", &tls.front, &tls.front_key);
    tls.to_broker = make_context(TLS_CLIENT, tls.client, tls.client_key);
    cert_free(&ca);
    cert_free(&stranger);
    cert_free(&client);
}

void sim_tls_fini(void)
{
    for (int i = 0; i < TRUST_COUNT; i++)
        if (tls.contexts[i])
            tls_context_unref(&tls.contexts[i]);
    tls_context_unref(&tls.to_broker);
    certs_dir_remove(tls.dir);
}

const char *sim_tls_ca_file(void)
{
    return tls.ca;
}

const char *sim_tls_client_certificate_file(void)
{
    return tls.client;
}

const char *sim_tls_client_key_file(void)
{
    return tls.client_key;
}

struct stream *sim_tls_wrap(void *trust, struct stream *accepted)
{
    return tls_accept(accepted->worker, &accepted, tls.contexts[(uintptr_t)trust]);
}

const char *sim_tls_front_certificate_file(void)
{
    return tls.front;
}

const char *sim_tls_front_key_file(void)
{
    return tls.front_key;
}

struct stream *sim_tls_to_broker(struct stream *dialled)
{
    struct net_address broker;
    ASSERT(net_address_parse("127.0.0.1", 9, 0, &broker));
    struct tls_expect expect = {.ip = &broker};
    struct stream *s = tls_connect(dialled->worker, &dialled, tls.to_broker, &expect, NULL, 0, NULL);
    ASSERT(s != NULL);
    return s;
}
