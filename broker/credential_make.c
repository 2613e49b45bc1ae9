/* broker/credential_make.c — see credential_make.h. */
#include "broker/credential_make.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_build.h"
#include "broker/config/config.h"
#include "broker/config/config_nodes.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_roots.h"

/* -- making -------------------------------------------------------------------------------------------------
 */

/* What the makers say names the file; it lacks the name of the set. */
static int fail(struct reading *r, int rc, const char *detail)
{
    snprintf(r->report->text, sizeof(r->report->text), "%s %s: %s", credential_kind_text(r->set->kind),
             r->set->name, rc == -ENOMEM ? "out of memory" : detail);
    return rc;
}

static int make_listener(struct reading *r, struct made *m)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_listener *l = &r->config->listeners[r->set->index];
    const struct config_listener_tls *t = l->tls;
    struct tls_context_options options = {.role = TLS_SERVER,
                                          .ca_file = t->client_ca_file,
                                          .certificate_file = t->certificate_file,
                                          .key_file = t->key_file,
                                          .alpn = l->serves == CONFIG_SERVES_AGENTS ? AGENT_ALPN
                                                                                    : SERVER_ALPN,
                                          .allow_tls12 = t->min_version == CONFIG_TLS_1_2,
                                          .suites = t->cipher_suites};
    int rc = tls_context_new(&options, &m->context, detail, sizeof(detail));
    return rc < 0 ? fail(r, rc, detail) : 0;
}

static int make_identity(struct reading *r, uint32_t number, unsigned variant, uint32_t generation,
                         struct identity **ret)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_tls_profile *p = &r->config->tls_profiles[r->set->index];
    struct identity *identity = identity_new(r->config->workers);
    if (!identity)
        return fail(r, -ENOMEM, NULL);
    bool single_use = variant & IDENTITY_SINGLE_USE, insecure = variant & IDENTITY_INSECURE;
    struct tls_context_options options = {.role = TLS_CLIENT,
                                          .ca_file = p->ca_file,
                                          .certificate_file = p->client_certificate_file,
                                          .key_file = p->client_key_file,
                                          .alpn = single_use && p->alpn != CONFIG_ALPN_NONE
                                                      ? "http/1.1" /* only it can be upgraded */
                                                      : config_alpn_text(p->alpn),
                                          .allow_tls12 = p->min_version == CONFIG_TLS_1_2,
                                          .insecure = insecure,
                                          .resumption = p->resumption};
    struct pool_profile *profile = &identity->profile;
    *profile = (struct pool_profile){.id = number,
                                     .generation = generation,
                                     .tls = true,
                                     .insecure = insecure,
                                     .resumption = p->resumption,
                                     .shared = p->alpn == CONFIG_ALPN_H2 && !single_use,
                                     .single_use = single_use};
    if (p->server_name)
        snprintf(profile->server_name, sizeof(profile->server_name), "%s", p->server_name);
    int rc = tls_context_new(&options, &profile->context, detail, sizeof(detail));
    if (rc < 0) {
        identity_free(&identity);
        return fail(r, rc, detail);
    }
    *ret = identity;
    return 0;
}

/* Routes with the same profile and the same will to verify share one identity, and so one pool. Upgrades have
 * an identity beside it, whose connections carry one of them each. */
static bool is_used(const struct config *c, uint32_t number)
{
    for (uint32_t i = 0; i < c->route_count; i++) {
        const struct config_route *r = &c->routes[i];
        unsigned variant = r->insecure ? IDENTITY_INSECURE : 0;
        if (r->action == CONFIG_ALLOW && r->profile &&
            (identity_number(c, r, variant) == number ||
             identity_number(c, r, variant | IDENTITY_SINGLE_USE) == number))
            return true;
    }
    return false;
}

static uint32_t first_number(const struct credential_set *s)
{
    return IDENTITIES_OWN + s->index * (uint32_t)IDENTITY_VARIANTS;
}

static int make_identities(struct reading *r, const struct credentials *from, struct made *m)
{
    int rc = 0;
    for (unsigned variant = 0; rc == 0 && variant < IDENTITY_VARIANTS; variant++) {
        uint32_t number = first_number(r->set) + variant;
        const struct pool_profile *before = from->profiles[number];
        if (is_used(r->config, number))
            rc = make_identity(r, number, variant, before ? before->generation + 1 : 1,
                               &m->identities[variant]);
    }
    return rc;
}

static int make_authorization(struct reading *r, const char *path, struct made *m)
{
    struct file file;
    char found[300];
    int rc = file_read(path, CREDENTIAL_FILE_BYTES_MAX, &file);
    if (rc < 0)
        return fail(r, rc, file_error_text(rc));
    size_t len = strcspn(file.bytes, "\r\n"); /* one line, as was judged */
    size_t len_max = sizeof(m->authorization.text) - sizeof("Bearer ");
    if (len <= len_max) {
        snprintf(m->authorization.text, sizeof(m->authorization.text), "Bearer %.*s", (int)len, file.bytes);
    } else {
        snprintf(found, sizeof(found), "%.200s: found a token of %zu bytes, expected at most %zu", path, len,
                 len_max);
        rc = fail(r, -EINVAL, found);
    }
    file_fini(&file);
    return rc;
}

static int make_profile(struct reading *r, const struct credentials *from, struct made *m)
{
    const struct credential_set *s = r->set;
    bool identity_changed = !s->loaded;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < s->file_count; i++) {
        if (s->files[i].part == PART_TOKEN)
            rc = make_authorization(r, s->files[i].path, m);
        else
            identity_changed |= r->files[i].changed;
    }
    return rc == 0 && identity_changed ? make_identities(r, from, m) : rc;
}

static int make_bridge(struct reading *r, struct made *m)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    const struct config_bridge *b = r->config->routes[r->set->index].bridge;
    int rc = tls_issuer_new(b->issuer_certificate_file, b->issuer_key_file, &m->issuing.issuer, detail,
                            sizeof(detail));
    if (rc == 0)
        rc = tls_roots_new(b->client_ca_file, &m->issuing.client_roots, detail, sizeof(detail));
    return rc < 0 ? fail(r, rc, detail) : 0;
}

static int make_nodes(struct reading *r, struct made *m)
{
    const struct config_route *route = &r->config->routes[r->set->index];
    struct config_nodes_finding f = {0};
    char place[300] = "", detail[CREDENTIAL_TEXT_MAX - 100];
    int rc = config_nodes_new(route, true, &m->nodes, &f);
    if (f.place == NODES_LINE)
        snprintf(place, sizeof(place), "%.250s:%u:%u: ", route->node_name_file, f.line, f.column);
    snprintf(detail, sizeof(detail), "%snodeNameFile: found %s, expected %s", place, f.found,
             f.expected ? f.expected : "");
    return rc < 0 ? fail(r, rc, detail) : 0;
}

const char *credential_kube_path(const struct kube_credentials *c, enum credential_part part)
{
    switch (part) {
    case PART_CA: return c->in_file[KUBE_CA] ? c->names[KUBE_CA] : NULL;
    case PART_CERTIFICATE: return c->in_file[KUBE_CERTIFICATE] ? c->names[KUBE_CERTIFICATE] : NULL;
    case PART_KEY: return c->in_file[KUBE_KEY] ? c->names[KUBE_KEY] : NULL;
    case PART_BEARER: return c->token_file;
    case PART_TOKEN:
    case PART_NODES:
    case PART_KUBECONFIG: break;
    }
    ASSERT(!"a file that a kubeconfig names");
    return NULL;
}

/* What the API server is known by, and we to it; but for the token, which connections survive. */
static int make_kube_identity(struct reading *r, const struct credentials *from,
                              const struct kube_credentials *c, struct made *m)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    uint32_t number = credentials_kube_identity(from);
    const struct pool_profile *before = from->profiles[number];
    struct identity *identity = m->identities[0] = identity_new(r->config->workers);
    if (!identity)
        return fail(r, -ENOMEM, NULL);
    identity->profile = (struct pool_profile){.id = number,
                                              .generation = before ? before->generation + 1 : 1,
                                              .tls = true,
                                              .resumption = true,
                                              .shared = true};
    snprintf(identity->profile.server_name, sizeof(identity->profile.server_name), "%s", c->server_name);
    int rc = kube_access_context(c, &identity->profile.context, detail, sizeof(detail));
    return rc < 0 ? fail(r, rc, detail) : 0;
}

static bool is_same_server(struct reading *r, const struct kube_access *now,
                           const struct kube_credentials *next)
{
    char detail[CREDENTIAL_TEXT_MAX - 100];
    if (!now || kube_access_same_server(&now->credentials, next))
        return true;
    snprintf(detail, sizeof(detail),
             "kubeconfigFile: found the server %s port %u%s, expected %s port %u%s until a restart",
             next->host, next->port, next->prefix, now->credentials.host, now->credentials.port,
             now->credentials.prefix);
    fail(r, -EINVAL, detail);
    return false;
}

static int make_kube(struct reading *r, const struct credentials *from, struct made *m)
{
    const struct credential_set *s = r->set;
    char detail[CREDENTIAL_TEXT_MAX - 100];
    struct kube_credentials c;
    bool identity_changed = !s->loaded;
    for (unsigned i = 0; i < s->file_count; i++)
        identity_changed |= s->files[i].part != PART_BEARER && r->files[i].changed;
    int rc = kube_credentials_load(r->config->kubernetes.kubeconfig_file, &c, detail, sizeof(detail));
    if (rc < 0)
        return fail(r, rc, detail);
    if (!is_same_server(r, from->kube, &c))
        rc = -EINVAL;
    if (rc == 0 && identity_changed)
        rc = make_kube_identity(r, from, &c, m);
    if (rc == 0 && (rc = kube_access_new(&c, &m->kube, detail, sizeof(detail))) < 0)
        rc = fail(r, rc, detail);
    kube_credentials_fini(&c);
    return rc;
}

int credential_make(struct reading *r, const struct credentials *from, struct made *m)
{
    switch (r->set->kind) {
    case CREDENTIAL_LISTENER: return make_listener(r, m);
    case CREDENTIAL_PROFILE: return make_profile(r, from, m);
    case CREDENTIAL_BRIDGE: return make_bridge(r, m);
    case CREDENTIAL_NODES: return make_nodes(r, m);
    case CREDENTIAL_KUBE: return make_kube(r, from, m);
    }
    ASSERT(!"a kind of credentials");
    return -EINVAL;
}

void credential_made_fini(struct made *m)
{
    tls_context_unref(&m->context);
    for (unsigned i = 0; i < IDENTITY_VARIANTS; i++)
        identity_free(&m->identities[i]);
    tls_issuer_unref(&m->issuing.issuer);
    tls_roots_unref(&m->issuing.client_roots);
    config_nodes_unref(&m->nodes);
    kube_access_unref(&m->kube);
    explicit_bzero(&m->authorization, sizeof(m->authorization));
}

/* -- taking into force --------------------------------------------------------------------------------------
 */

void credential_take(struct credentials *into, const struct credential_set *s, struct made *m)
{
    switch (s->kind) {
    case CREDENTIAL_LISTENER:
        tls_context_unref(&into->listeners[s->index]);
        into->listeners[s->index] = m->context;
        m->context = NULL;
        break;
    case CREDENTIAL_PROFILE:
        for (unsigned i = 0; i < IDENTITY_VARIANTS; i++)
            if (m->identities[i])
                into->profiles[first_number(s) + i] = &m->identities[i]->profile;
        memset(m->identities, 0, sizeof(m->identities));
        into->authorizations[s->index] = m->authorization;
        break;
    case CREDENTIAL_BRIDGE:
        tls_issuer_unref(&into->issuing[s->index].issuer);
        tls_roots_unref(&into->issuing[s->index].client_roots);
        into->issuing[s->index] = m->issuing;
        m->issuing = (struct issuing){0};
        break;
    case CREDENTIAL_NODES:
        config_nodes_unref(&into->nodes[s->index]);
        into->nodes[s->index] = m->nodes;
        m->nodes = NULL;
        break;
    case CREDENTIAL_KUBE:
        if (m->identities[0])
            into->profiles[credentials_kube_identity(into)] = &m->identities[0]->profile;
        m->identities[0] = NULL;
        kube_access_unref(&into->kube);
        into->kube = m->kube;
        m->kube = NULL;
        break;
    }
}
