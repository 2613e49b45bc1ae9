/* broker/client.c — see client.h. */
#include "broker/client.h"

#include <stdio.h>
#include <string.h>

#include "broker/policy.h"
#include "io/net.h"
#include "io/tls/tls.h"

enum { ID_DIGITS_MAX = 10 };

struct client client_of(const struct net_peer *peer, const struct stream *tls)
{
    if (tls)
        return (struct client){.kind = CLIENT_CERTIFICATE, .tls = tls, .has_name = tls_peer_has_name};
    if (peer->has_credentials)
        return (struct client){.kind = CLIENT_PROCESS, .uid = peer->uid, .gid = peer->gid};
    return (struct client){.kind = CLIENT_UNKNOWN};
}

/* Decimal, no sign, no leading zero; 4294967295 is nobody's. */
static bool id_parse(const char *text, uint32_t *ret_id)
{
    uint64_t id = 0;
    size_t len = strlen(text);
    if (len == 0 || len > ID_DIGITS_MAX || (text[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        id = id * 10 + (uint64_t)(text[i] - '0');
    }
    if (id >= UINT32_MAX)
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

bool client_pattern_parse(const char *text, struct client_pattern *ret_pattern)
{
    struct client_pattern p = {.kind = CLIENT_BY_NAME, .name = text};
    bool uid = strncmp(text, "uid:", 4) == 0, gid = strncmp(text, "gid:", 4) == 0;
    if (uid || gid) {
        p.kind = uid ? CLIENT_BY_UID : CLIENT_BY_GID;
        if (!id_parse(text + 4, &p.id))
            return false;
    }
    *ret_pattern = p;
    return true;
}

struct first_name {
    char *text;
    size_t size;
};

static bool take_first(const char *name, void *arg)
{
    struct first_name *first = arg;
    snprintf(first->text, first->size, "%s", name);
    return true;
}

void client_name(const struct client *client, char *ret_name, size_t size)
{
    struct first_name first = {ret_name, size};
    ret_name[0] = '\0';
    if (client->kind == CLIENT_CERTIFICATE)
        (void)client->has_name(client->tls, take_first, &first);
}

static bool name_matches(const char *name, void *arg)
{
    const struct client_pattern *pattern = arg;
    return policy_client_name_matches(pattern->name, name);
}

bool client_matches(const struct client *client, const struct client_pattern *pattern)
{
    switch (pattern->kind) {
    case CLIENT_BY_NAME:
        return client->kind == CLIENT_CERTIFICATE &&
               client->has_name(client->tls, name_matches, (void *)(uintptr_t)pattern);
    case CLIENT_BY_UID: return client->kind == CLIENT_PROCESS && client->uid == pattern->id;
    case CLIENT_BY_GID: return client->kind == CLIENT_PROCESS && client->gid == pattern->id;
    }
    ASSERT(false && "a kind of pattern");
    return false;
}
