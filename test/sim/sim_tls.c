/* test/sim/sim_tls.c — see sim_tls.h. */
#include "sim_tls.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "io/attributes.h"
#include "io/tls/tls.h"
#include "test/support/certs.h"

static struct {
    const char *dir, *ca, *client, *client_key;
    struct tls_context *contexts[TRUST_COUNT];
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

static struct tls_context *make_server(const char *name, const struct cert *issuer, const char *san)
{
    char detail[256] = "", key_name[32];
    struct cert c = make((struct cert_spec){.cn = "system:node:sim", .org = "system:nodes", .san = san},
                         issuer);
    snprintf(key_name, sizeof(key_name), "%s-key", name);
    struct tls_context_options o = {.role = TLS_SERVER,
                                    .ca_file = tls.ca,
                                    .certificate_file = cert_write(tls.dir, name, &c, 1),
                                    .key_file = cert_write_key(tls.dir, key_name, &c)};
    struct tls_context *context = NULL;
    if (tls_context_new(&o, &context, detail, sizeof(detail)) < 0)
        fprintf(stderr, "%s\n", detail);
    ASSERT(context != NULL);
    cert_free(&c);
    return context;
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
    tls.contexts[TRUST_GOOD] = make_server("good", &ca, addresses);
    tls.contexts[TRUST_STRANGER] = make_server("stranger", &stranger, addresses);
    tls.contexts[TRUST_MISNAMED] = make_server("misnamed", &ca, "IP:10.9.9.9,DNS:10.0.0.1");
    cert_free(&ca);
    cert_free(&stranger);
    cert_free(&client);
}

void sim_tls_fini(void)
{
    for (int i = 0; i < TRUST_COUNT; i++)
        if (tls.contexts[i])
            tls_context_unref(&tls.contexts[i]);
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
