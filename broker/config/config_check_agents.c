/* broker/config/config_check_agents.c — what is owed by those who let agents in and by routes that need them.
 * See config_check.h. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/config/config.h"
#include "broker/config/config_check.h"

/* -- who comes in -------------------------------------------------------------------------------------------
 */

static bool missing(struct config_check *check, uint32_t index, const char *field, const char *expected)
{
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "listeners[%u].tls.%s", index, field);
    return config_check_fail(check, path, "found nothing, expected %s", expected);
}

static bool check_agents_proof(struct config_check *check, const struct config_listener *l, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    const struct config *c = check->config;
    snprintf(path, sizeof(path), "listeners[%u].serves", index);
    if (!l->tls)
        return config_check_fail(check, path, "found agents %s, expected requests (agents need tcp with tls)",
                                 l->socket ? "on a Unix socket" : "without tls");
    if (!l->tls->client_ca_file && !c->agents.token_review && !c->agents.anonymous)
        return missing(check, index, "clientCaFile",
                       "a file name, or agents.tokenReview (or agents.anonymous: true)");
    if (!l->tls->client_ca_file && l->tls->allowed_name_count > 0)
        return missing(check, index, "clientCaFile", "a file name beside allowedNames");
    if (l->tls->client_ca_file && l->tls->allowed_name_count == 0)
        return missing(check, index, "allowedNames", "a list beside clientCaFile (such as [\"*\"])");
    if (config_admits_anonymous_agents(c, l))
        config_check_warn(check, "agents.anonymous",
                          "found true: whoever reaches listener \"%s\" may carry connections", l->name);
    return true;
}

bool config_check_proof(struct config_check *check, const struct config_listener *l, uint32_t index)
{
    if (l->serves == CONFIG_SERVES_AGENTS)
        return check_agents_proof(check, l, index);
    if (l->tls && !l->tls->client_ca_file)
        return missing(check, index, "clientCaFile", "a file name");
    if (l->tls && l->tls->allowed_name_count == 0)
        return missing(check, index, "allowedNames", "a list");
    return true;
}

/* -- lists of words -----------------------------------------------------------------------------------------
 */

/* False: out of memory. */
static bool fill_strategies(struct config_check *check, enum config_strategy **list, uint32_t *count,
                            const enum config_strategy *from, uint32_t from_count)
{
    *list = malloc(from_count * sizeof(**list));
    check->report->no_memory |= !*list;
    for (uint32_t i = 0; *list && i < from_count; i++)
        (*list)[i] = from[i];
    *count = *list ? from_count : 0;
    return *list != NULL;
}

static bool fill_via(struct config_check *check, struct config_route *r)
{
    r->via = malloc(sizeof(*r->via));
    check->report->no_memory |= !r->via;
    if (!r->via)
        return false;
    r->via[0] = CONFIG_VIA_DIRECT;
    r->via_count = 1;
    return true;
}

/* -- agents, and the routes that need them ------------------------------------------------------------------
 */

bool config_check_agents(struct config_check *check)
{
    static const enum config_strategy usual[] = {CONFIG_STRATEGY_DEFAULT};
    struct config *c = check->config;
    struct config_agents *a = &c->agents;
    if (a->connection_bytes_max < c->limits.body_buffer_bytes)
        return config_check_fail(check, "agents.connectionBytesMax",
                                 "found %u, expected at least limits.bodyBufferBytes, %u",
                                 a->connection_bytes_max, c->limits.body_buffer_bytes);
    if (a->anonymous && a->token_review)
        return config_check_fail(check, "agents.anonymous",
                                 "found true beside tokenReview, expected one of them");
    return a->strategy_count > 0 || fill_strategies(check, &a->strategies, &a->strategy_count, usual, 1);
}

static bool has_agents(const struct config *c)
{
    for (uint32_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].serves == CONFIG_SERVES_AGENTS)
            return true;
    return false;
}

bool config_check_ways(struct config_check *check, struct config_route *r, uint32_t index)
{
    char path[CONFIG_PATH_MAX];
    const struct config_agents *a = &check->config->agents;
    if (r->via_count == 0 && !fill_via(check, r))
        return false;
    if (!config_route_goes_via(r, CONFIG_VIA_AGENT)) {
        snprintf(path, sizeof(path), "routes[%u].strategies", index);
        return r->strategy_count == 0 ||
               config_check_fail(check, path, "found them without agent in via, expected both");
    }
    snprintf(path, sizeof(path), "routes[%u].via", index);
    if (!has_agents(check->config))
        return config_check_fail(check, path, "found agent, expected a listener with serves: agents for it");
    return r->strategy_count > 0 ||
           fill_strategies(check, &r->strategies, &r->strategy_count, a->strategies, a->strategy_count);
}
