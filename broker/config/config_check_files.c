/* broker/config/config_check_files.c — files that settings name. See config_check.h.
 *
 * In the order of the file format: listeners, profiles, routes, kubernetes. Nothing is kept of what is read
 * but node names; keys and tokens are wiped by whoever read them. */
#include <stdarg.h>
#include <stdio.h>

#include "broker/config/config.h"
#include "broker/config/config_check.h"
#include "io/file.h"
#include "io/host.h"
#include "io/tls/tls_files.h"

struct place {
    char text[CONFIG_PATH_MAX];
};

PRINTF(1, 2)
static struct place at(const char *format, ...)
{
    struct place place;
    va_list args;
    va_start(args, format);
    vsnprintf(place.text, sizeof(place.text), format, args);
    va_end(args);
    return place;
}

static bool judge(struct config_check *check, struct place place, enum tls_file_verdict verdict,
                  const struct tls_file_finding *finding)
{
    switch (verdict) {
    case TLS_FILE_GOOD: return true;
    case TLS_FILE_DOUBTFUL:
        config_check_warn(check, place.text, "found %s, expected %s", finding->found, finding->expected);
        return true;
    case TLS_FILE_BAD:
        return config_check_fail(check, place.text, "found %s, expected %s", finding->found,
                                 finding->expected);
    }
    ASSERT(false && "a verdict");
    return false;
}

static bool check_ca(struct config_check *check, struct place place, const char *path)
{
    struct tls_file_finding finding;
    return judge(check, place, tls_file_check_ca(path, &finding), &finding);
}

static bool check_certificate(struct config_check *check, struct place place, const char *path,
                              enum tls_file_use use)
{
    struct tls_file_finding finding;
    return judge(check, place, tls_file_check_certificate(path, use, &finding), &finding);
}

static bool check_key(struct config_check *check, struct place place, const char *path,
                      const char *certificate, enum tls_file_readers readers)
{
    struct tls_file_finding finding;
    return judge(check, place, tls_file_check_key(path, certificate, readers, &finding), &finding);
}

static enum tls_file_readers readers_of(bool group, bool world)
{
    return world ? TLS_FILE_WORLD : group ? TLS_FILE_GROUP : TLS_FILE_OWNER;
}

static bool check_owner(struct config_check *check, struct config_unix *s, uint32_t i)
{
    if (s->owner && host_user_id(s->owner, &s->owner_uid) < 0)
        return config_check_fail(check, at("listeners[%u].unix.owner", i).text,
                                 "found \"%s\", expected a user of this machine", s->owner);
    if (s->group && host_group_id(s->group, &s->group_gid) < 0)
        return config_check_fail(check, at("listeners[%u].unix.group", i).text,
                                 "found \"%s\", expected a group of this machine", s->group);
    return true;
}

static bool check_listener(struct config_check *check, struct config_listener *l, uint32_t i)
{
    const struct config_listener_tls *tls = l->tls;
    if (l->socket && !check_owner(check, l->socket, i))
        return false;
    if (!tls)
        return true;
    return check_certificate(check, at("listeners[%u].tls.certificateFile", i), tls->certificate_file,
                             TLS_FILE_SERVER) &&
           check_key(check, at("listeners[%u].tls.keyFile", i), tls->key_file, tls->certificate_file,
                     readers_of(tls->key_group_readable, tls->key_world_readable)) &&
           (!tls->client_ca_file ||
            check_ca(check, at("listeners[%u].tls.clientCaFile", i), tls->client_ca_file));
}

static bool check_profile(struct config_check *check, const struct config_tls_profile *p, uint32_t i)
{
    struct tls_file_finding finding;
    if (p->ca_file && !check_ca(check, at("tlsProfiles[%u].caFile", i), p->ca_file))
        return false;
    if (p->client_certificate_file &&
        (!check_certificate(check, at("tlsProfiles[%u].clientCertificateFile", i), p->client_certificate_file,
                            TLS_FILE_CLIENT) ||
         !check_key(check, at("tlsProfiles[%u].clientKeyFile", i), p->client_key_file,
                    p->client_certificate_file, readers_of(p->key_group_readable, false))))
        return false;
    return !p->bearer_token_file ||
           judge(
               check, at("tlsProfiles[%u].bearerTokenFile", i),
               tls_file_check_token(p->bearer_token_file, readers_of(p->key_group_readable, false), &finding),
               &finding);
}

static bool check_bridge(struct config_check *check, const struct config_bridge *b, uint32_t i)
{
    return check_certificate(check, at("routes[%u].bridge.issuerCertificateFile", i),
                             b->issuer_certificate_file, TLS_FILE_ISSUER) &&
           check_key(check, at("routes[%u].bridge.issuerKeyFile", i), b->issuer_key_file,
                     b->issuer_certificate_file, readers_of(b->key_group_readable, false)) &&
           check_ca(check, at("routes[%u].bridge.clientCaFile", i), b->client_ca_file);
}

/* That it is there; what it says is for whoever reaches the API with it. */
static bool check_kubeconfig(struct config_check *check, const char *path)
{
    struct file file;
    int rc = file_read(path, CONFIG_FILE_BYTES_MAX, &file);
    if (rc < 0)
        return config_check_fail(check, "kubernetes.kubeconfigFile",
                                 "found \"%s\" (%s), expected a kubeconfig", path, file_error_text(rc));
    if (file.mode & 0004)
        config_check_warn(check, "kubernetes.kubeconfigFile",
                          "found \"%s\" readable for everybody, expected 0600: it may hold a key", path);
    file_fini(&file);
    return true;
}

bool config_check_files(struct config_check *check)
{
    struct config *c = check->config;
    const char *kubeconfig = c->kubernetes.kubeconfig_file;
    for (uint32_t i = 0; i < c->listener_count; i++)
        if (!check_listener(check, &c->listeners[i], i))
            return false;
    for (uint32_t i = 0; i < c->tls_profile_count; i++)
        if (!check_profile(check, &c->tls_profiles[i], i))
            return false;
    for (uint32_t i = 0; i < c->route_count; i++) {
        const struct config_route *r = &c->routes[i];
        if ((r->bridge && !check_bridge(check, r->bridge, i)) ||
            (r->node_name_file && !config_check_nodes(check, i, true)))
            return false;
    }
    if (kubeconfig && !check_kubeconfig(check, kubeconfig))
        return false;
    return !check->report->no_memory;
}
