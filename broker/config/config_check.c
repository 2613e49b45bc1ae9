/* broker/config/config_check.c — what settings owe each other. See config_check.h. */
#include "broker/config/config_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/cidr.h"
#include "broker/config/config.h"
#include "broker/config/config_table.h"
#include "broker/policy.h"
#include "io/host.h"

enum { DETAIL_MAX = 640 };

bool config_check_fail(struct config_check *check, const char *path, const char *format, ...)
{
    char text[DETAIL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const struct config_node *node = config_tree_find(check->root, path);
    return config_fail(check->report, node->line, node->column, path, "%s", text);
}

void config_check_warn(struct config_check *check, const char *path, const char *format, ...)
{
    struct config *config = check->config;
    char detail[DETAIL_MAX], line[CONFIG_ERROR_MAX];
    if (config->warning_count == CONFIG_WARNINGS_MAX)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    const struct config_node *node = config_tree_find(check->root, path);
    snprintf(line, sizeof(line), "%.300s:%u:%u: %s: %s", check->report->file, node->line, node->column, path,
             detail);
    char *copy = strdup(line);
    check->report->no_memory |= !copy;
    if (copy)
        config->warnings[config->warning_count++] = copy;
}

bool config_check_names(struct config_check *check, const char *list, char *const *first, size_t stride,
                        uint32_t count)
{
    char path[CONFIG_PATH_MAX];
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = 0; k < i; k++) {
            const char *a = *(char *const *)((const char *)first + i * stride);
            if (strcmp(a, *(char *const *)((const char *)first + k * stride)) != 0)
                continue;
            snprintf(path, sizeof(path), "%s[%u].name", list, i);
            return config_check_fail(check, path, "found \"%s\", which %s[%u] has too, expected another name",
                                     a, list, k);
        }
    return true;
}

static bool listener_kind(struct config_check *check, const struct config_listener *l, const char *path)
{
    char below[CONFIG_PATH_MAX];
    if (l->socket && l->tcp)
        return config_check_fail(check, path, "found both unix and tcp, expected one of them");
    if (!l->socket && !l->tcp)
        return config_check_fail(check, path, "found neither unix nor tcp, expected one of them");
    if (l->socket && l->tls) {
        snprintf(below, sizeof(below), "%.200s.tls", path);
        return config_check_fail(check, below, "found tls on a Unix socket, expected it only with tcp");
    }
    if (l->socket && l->insecure) {
        snprintf(below, sizeof(below), "%.200s.insecure", path);
        return config_check_fail(check, below, "found insecure on a Unix socket, expected it only with tcp");
    }
    if (l->tcp && !l->tls && !l->insecure) {
        snprintf(below, sizeof(below), "%.200s.tls", path);
        return config_check_fail(check, below,
                                 "found nothing, expected certificateFile, keyFile, clientCaFile and "
                                 "allowedNames (or insecure: true on a loopback address)");
    }
    return true;
}

/* '*' is both kinds of every address; what is not said is IPv6's. */
static struct ip bind_ip(const char *address)
{
    struct ip ip = {.bytes = {0}};
    ASSERT(strcmp(address, "*") == 0 || ip_parse(address, &ip));
    return ip;
}

static bool check_listener(struct config_check *check, struct config_listener *l, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "listeners[%u]", index);
    if (!listener_kind(check, l, path) || !config_check_proof(check, l, index))
        return false;
    if (l->socket) {
        l->socket->mode_bits = (uint32_t)strtoul(l->socket->mode, NULL, 8);
        l->socket->owner_uid = l->socket->group_gid = CONFIG_ID_UNSET;
        if (l->socket->any_peer && l->socket->allowed_uid_count + l->socket->allowed_gid_count > 0) {
            snprintf(path, sizeof(path), "listeners[%u].unix.anyPeer", index);
            return config_check_fail(check, path,
                                     "found true beside allowedUids or allowedGids, expected one of them");
        }
        if (l->socket->mode_bits & 0007) {
            snprintf(path, sizeof(path), "listeners[%u].unix.mode", index);
            config_check_warn(
                check, path,
                l->socket->any_peer
                    ? "found \"%s\": every process of this machine may use the listener"
                    : "found \"%s\": everybody may connect, only allowedUids and allowedGids hold",
                l->socket->mode);
        }
    }
    if (l->insecure) {
        struct ip ip = bind_ip(l->tcp->address);
        snprintf(path, sizeof(path), "listeners[%u].insecure", index);
        if (l->tls)
            return config_check_fail(check, path, "found insecure and tls, expected one of them");
        if (policy_address_kind(&ip) != ADDRESS_LOOPBACK)
            return config_check_fail(check, path, "found true for %s, expected a loopback address or tls",
                                     l->tcp->address);
        config_check_warn(check, path, "found true: every process of this machine may use %s:%u",
                          l->tcp->address, l->tcp->port);
    }
    return true;
}

static bool same_tcp(const char *a, uint32_t a_port, const char *b, uint32_t b_port)
{
    struct ip x = bind_ip(a), y = bind_ip(b);
    static const struct ip any6, any4 = {
                                     .bytes = {[10] = 0xff, [11] = 0xff}
    };
    if (a_port != b_port)
        return false;
    bool any = memcmp(&x, &any6, sizeof(x)) == 0 || memcmp(&y, &any6, sizeof(y)) == 0;
    any |= ip_is_v4(&x) && ip_is_v4(&y) &&
           (memcmp(&x, &any4, sizeof(x)) == 0 || memcmp(&y, &any4, sizeof(y)) == 0);
    return any || memcmp(&x, &y, sizeof(x)) == 0;
}

static bool check_overlap(struct config_check *check, uint32_t i, uint32_t k)
{
    char path[CONFIG_PATH_MAX];
    const struct config_listener *a = &check->config->listeners[i], *b = &check->config->listeners[k];
    if (a->socket && b->socket && strcmp(a->socket->path, b->socket->path) == 0) {
        snprintf(path, sizeof(path), "listeners[%u].unix.path", i);
        return config_check_fail(check, path,
                                 "found \"%s\", which listeners[%u] has too, expected another path",
                                 a->socket->path, k);
    }
    if (a->tcp && b->tcp && same_tcp(a->tcp->address, a->tcp->port, b->tcp->address, b->tcp->port)) {
        snprintf(path, sizeof(path), "listeners[%u].tcp.port", i);
        return config_check_fail(check, path,
                                 "found %u on %s, which listeners[%u] has too, expected another port",
                                 a->tcp->port, a->tcp->address, k);
    }
    return true;
}

static bool check_listeners(struct config_check *check)
{
    struct config *c = check->config;
    if (!config_check_names(check, "listeners", &c->listeners->name, sizeof(*c->listeners),
                            c->listener_count))
        return false;
    for (uint32_t i = 0; i < c->listener_count; i++) {
        if (!check_listener(check, &c->listeners[i], i))
            return false;
        for (uint32_t k = 0; k < i; k++)
            if (!check_overlap(check, i, k))
                return false;
    }
    return true;
}

static bool check_profile(struct config_check *check, const struct config_tls_profile *p, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    if (!p->client_certificate_file != !p->client_key_file) {
        bool no_key = !p->client_key_file;
        snprintf(path, sizeof(path), "tlsProfiles[%u].%s", index,
                 no_key ? "clientKeyFile" : "clientCertificateFile");
        return config_check_fail(check, path, "found nothing, expected a file name beside %s",
                                 no_key ? "clientCertificateFile" : "clientKeyFile");
    }
    if (p->bearer_token_file && p->client_certificate_file) {
        snprintf(path, sizeof(path), "tlsProfiles[%u].bearerTokenFile", index);
        return config_check_fail(check, path, "found it beside clientCertificateFile, expected one of them");
    }
    return true;
}

static bool check_profiles(struct config_check *check)
{
    struct config *c = check->config;
    if (c->tls_profile_count == 0)
        return true;
    if (!config_check_names(check, "tlsProfiles", &c->tls_profiles->name, sizeof(*c->tls_profiles),
                            c->tls_profile_count))
        return false;
    for (uint32_t i = 0; i < c->tls_profile_count; i++)
        if (!check_profile(check, &c->tls_profiles[i], i))
            return false;
    return true;
}

static bool check_numbers(struct config_check *check)
{
    const struct config *c = check->config;
    const struct config_breaker *b = &c->pool.breaker;
    if (b->backoff_max_ms < b->backoff_min_ms)
        return config_check_fail(check, "pool.breaker.backoffMaxMs",
                                 "found %u, expected at least backoffMinMs, %u", b->backoff_max_ms,
                                 b->backoff_min_ms);
    if (c->pool.age_max_ms < c->pool.idle_timeout_ms)
        return config_check_fail(check, "pool.ageMaxMs", "found %u, expected at least idleTimeoutMs, %u",
                                 c->pool.age_max_ms, c->pool.idle_timeout_ms);
    if (c->limits.connect_head_bytes_max > c->limits.head_bytes_max)
        return config_check_fail(check, "limits.connectHeadBytesMax",
                                 "found %u, expected at most headBytesMax, %u",
                                 c->limits.connect_head_bytes_max, c->limits.head_bytes_max);
    if (c->limits.body_buffer_bytes <
        c->limits.head_bytes_max) /* a head is received within the same credit */
        return config_check_fail(check, "limits.bodyBufferBytes",
                                 "found %u, expected at least headBytesMax, %u", c->limits.body_buffer_bytes,
                                 c->limits.head_bytes_max);
    if (c->pool.idle_timeout_ms >= 90000)
        config_check_warn(check, "pool.idleTimeoutMs",
                          "found %u: a kubelet closes at 90000, so requests will meet "
                          "connections that are just going",
                          c->pool.idle_timeout_ms);
    return true;
}

/* Of admin or health. */
static bool check_pages(struct config_check *check, const char *name, const struct config_admin *pages)
{
    const struct config *c = check->config;
    char path[CONFIG_PATH_MAX];
    struct ip ip;
    if (pages->port == 0)
        return true;
    snprintf(path, sizeof(path), "%s.port", name);
    for (uint32_t i = 0; i < c->listener_count; i++) {
        const struct config_tcp *tcp = c->listeners[i].tcp;
        if (tcp && same_tcp(pages->address, pages->port, tcp->address, tcp->port))
            return config_check_fail(check, path,
                                     "found %u on %s, which listeners[%u] has too, expected another port",
                                     pages->port, pages->address, i);
    }
    if (pages != &c->admin && c->admin.port != 0 &&
        same_tcp(pages->address, pages->port, c->admin.address, c->admin.port))
        return config_check_fail(check, path, "found %u on %s, which admin has too, expected another port",
                                 pages->port, pages->address);
    ip = bind_ip(pages->address);
    snprintf(path, sizeof(path), "%s.address", name);
    if (pages == &c->admin && policy_address_kind(&ip) != ADDRESS_LOOPBACK)
        config_check_warn(check, path, "found %s: whoever reaches it sees health, metrics and endpoints",
                          pages->address);
    return true;
}

bool config_check(struct config_check *check)
{
    if (check->config->workers == 0) {
        uint32_t cpus = host_cpus();
        check->config->workers = cpus < CONFIG_WORKERS_MAX ? cpus : CONFIG_WORKERS_MAX;
    }
    return check_listeners(check) && check_profiles(check) && config_check_agents(check) &&
           config_check_routes(check) && check_numbers(check) &&
           check_pages(check, "admin", &check->config->admin) &&
           check_pages(check, "health", &check->config->health) && !check->report->no_memory;
}
