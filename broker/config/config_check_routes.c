/* broker/config/config_check_routes.c — what a route owes to profiles, listeners and its own fields. See
 * config_check.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/config/config_check.h"
#include "broker/config/config_nodes.h"
#include "broker/config/config_table.h"
#include "broker/policy.h"

/* TLS towards destinations is made for https, and for what a bridge finds in tunnels. */
static bool originates_tls(const struct config_route *r)
{
    return r->action == CONFIG_ALLOW && ((r->match.schemes & CONFIG_SCHEME_HTTPS) || r->bridge);
}

static bool check_bridge(struct config_check *check, const struct config_route *r, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    if (!r->bridge)
        return true;
    snprintf(path, sizeof(path), "routes[%u].bridge", index);
    if (r->action == CONFIG_REFUSE)
        return config_check_fail(check, path, "found it beside action: refuse, expected one of them");
    if (!(r->match.schemes & CONFIG_SCHEME_TUNNEL))
        return config_check_fail(check, path, "found it without match.schemes: [tunnel], expected both");
    return true;
}

static bool check_profile(struct config_check *check, struct config_route *r, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    bool tls = originates_tls(r);
    snprintf(path, sizeof(path), "routes[%u].tlsProfile", index);
    if (r->tls_profile) {
        r->profile = config_profile(check->config, r->tls_profile);
        if (!r->profile)
            return config_check_fail(check, path, "found \"%s\", expected the name of one of tlsProfiles",
                                     r->tls_profile);
    }
    if (tls && !r->profile)
        return config_check_fail(check, path, "found nothing, expected the name of one of tlsProfiles for %s",
                                 r->bridge ? "the bridge" : "https (or match.schemes: [http])");
    if (tls && !r->insecure && !r->profile->ca_file)
        return config_check_fail(check, path,
                                 "found \"%s\" without caFile, expected a profile that has it "
                                 "(or insecure: true on this route)",
                                 r->tls_profile);
    if (tls && r->insecure) {
        snprintf(path, sizeof(path), "routes[%u].insecure", index);
        config_check_warn(check, path, "found true: nobody is verified on route \"%s\"", r->name);
    }
    return true;
}

static bool check_listeners(struct config_check *check, const struct config_route *r, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    for (uint32_t i = 0; i < r->match.listener_count; i++) {
        uint32_t k = 0;
        while (k < check->config->listener_count &&
               strcmp(check->config->listeners[k].name, r->match.listeners[i]) != 0)
            k++;
        bool exists = k < check->config->listener_count;
        if (exists && check->config->listeners[k].serves == CONFIG_SERVES_REQUESTS)
            continue;
        snprintf(path, sizeof(path), "routes[%u].match.listeners[%u]", index, i);
        return config_check_fail(check, path, "found \"%s\"%s, expected the name of one of listeners",
                                 r->match.listeners[i], exists ? ", which serves agents" : "");
    }
    return true;
}

static bool takes_listener(const struct config_match *m, const struct config_listener *l)
{
    if (l->serves == CONFIG_SERVES_AGENTS)
        return false;
    for (uint32_t i = 0; i < m->listener_count; i++)
        if (strcmp(m->listeners[i], l->name) == 0)
            return true;
    return m->listener_count == 0;
}

static void check_clients(struct config_check *check, const struct config_route *r, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    const struct config *c = check->config;
    for (uint32_t i = 0; i < r->match.client_count; i++) {
        struct client_pattern pattern;
        ASSERT(client_pattern_parse(r->match.clients[i], &pattern)); /* its form was checked */
        uint32_t k = 0;
        while (k < c->listener_count &&
               !(takes_listener(&r->match, &c->listeners[k]) && policy_may_meet(&c->listeners[k], &pattern)))
            k++;
        if (k < c->listener_count)
            continue;
        snprintf(path, sizeof(path), "routes[%u].match.clients[%u]", index, i);
        config_check_warn(check, path, "found \"%.100s\", whom no listener of this route lets in as such",
                          r->match.clients[i]);
    }
}

static bool fail_nodes(struct config_check *check, uint32_t index, const struct config_nodes_finding *f)
{
    char path[CONFIG_PATH_MAX];
    struct config_report *report = check->report;
    struct config_report in_file = {.file = check->config->routes[index].node_name_file,
                                    .error = report->error,
                                    .failed = report->failed};
    snprintf(path, sizeof(path), "routes[%u].nodeNameFile", index);
    switch (f->place) {
    case NODES_INLINE:
        snprintf(path, sizeof(path), "routes[%u].nodeNames[%u].address", index, f->index);
        break;
    case NODES_FILE: break;
    case NODES_LINE:
        config_fail(&in_file, f->line, f->column, path, "found %s, expected %s", f->found, f->expected);
        report->failed = true;
        return false;
    }
    return config_check_fail(check, path, "found %s, expected %s", f->found, f->expected);
}

bool config_check_nodes(struct config_check *check, uint32_t index, bool with_file)
{
    struct config_route *r = &check->config->routes[index];
    struct config_nodes_finding finding;
    struct config_nodes *nodes = NULL;
    int rc = config_nodes_new(r, with_file, &nodes, &finding);
    if (rc == -ENOMEM)
        check->report->no_memory = true;
    if (rc < 0)
        return rc != -ENOMEM && fail_nodes(check, index, &finding);
    config_nodes_unref(&r->nodes);
    r->nodes = nodes;
    return true;
}

static void inherit(uint32_t *value, uint32_t from)
{
    if (*value == CONFIG_INHERIT)
        *value = from;
}

bool config_check_routes(struct config_check *check)
{
    struct config *c = check->config;
    if (!config_check_names(check, "routes", &c->routes->name, sizeof(*c->routes), c->route_count))
        return false;
    for (uint32_t i = 0; i < c->route_count; i++) {
        struct config_route *r = &c->routes[i];
        if (!check_bridge(check, r, i) || !check_profile(check, r, i) || !check_listeners(check, r, i) ||
            !config_check_ways(check, r, i) || !config_check_nodes(check, i, false))
            return false;
        check_clients(check, r, i);
        inherit(&r->timeouts.connect_ms, c->timeouts.connect_ms);
        inherit(&r->timeouts.tls_ms, c->timeouts.tls_ms);
        inherit(&r->timeouts.first_byte_ms, c->timeouts.first_byte_ms);
        inherit(&r->timeouts.queue_ms, c->pool.wait_timeout_ms);
    }
    return true;
}
