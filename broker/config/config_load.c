/* broker/config/config_load.c — from bytes to a snapshot, in the order in which errors are told.
 *
 *   tree     YAML itself: syntax, one document, no key twice           config_tree.c
 *   verify   the table: names, types, bounds, forms                     config_verify.c
 *   struct   libcyaml makes the structs, defaults fill the gaps         config_struct.c
 *   check    what settings owe each other                               config_check.c
 *   files    certificates, keys, tokens, node names, users              config_check_files.c
 *
 * The first error ends it. Nothing is kept but the snapshot. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_check.h"
#include "broker/config/config_nodes.h"
#include "broker/config/config_struct.h"
#include "broker/config/config_table.h"
#include "broker/config/config_tree.h"
#include "broker/config/config_verify.h"
#include "io/file.h"

static int load_tree(struct config_report *report, const void *bytes, size_t len,
                     const struct config_node *root, unsigned flags, struct config **ret_config)
{
    struct config *config = NULL;
    if (!config_verify(report, root))
        return CONFIG_INVALID;
    int rc = config_struct_load(report, bytes, len, root, &config);
    if (rc != 0)
        return rc;
    struct config_check check = {.report = report, .root = root, .config = config, .flags = flags};
    config->file = strdup(report->file);
    report->no_memory |= !config->file;
    if (report->no_memory || !config_check(&check) ||
        (!(flags & CONFIG_SKIP_FILES) && !config_check_files(&check))) {
        config_free(&config);
        return CONFIG_INVALID;
    }
    *ret_config = config;
    return CONFIG_OK;
}

int config_load_buffer(const char *name, const void *bytes, size_t len, unsigned flags,
                       struct config **ret_config, struct config_error *ret_error)
{
    struct config_error error = {0};
    struct config_report report = {.file = name, .error = &error};
    struct config_node *root = NULL;
    int rc = CONFIG_INVALID;
    if (config_tree_parse(&report, bytes, len, &root))
        rc = load_tree(&report, bytes, len, root, flags, ret_config);
    config_tree_free(&root);
    if (rc != CONFIG_OK && report.no_memory)
        rc = -ENOMEM;
    if (rc == CONFIG_INVALID)
        *ret_error = error;
    return rc;
}

int config_load(const char *path, unsigned flags, struct config **ret_config, struct config_error *ret_error)
{
    struct file file;
    int rc = file_read(path, CONFIG_FILE_BYTES_MAX, &file);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        struct config_report report = {.file = path, .error = ret_error};
        if (rc == -EFBIG)
            config_fail(&report, 1, 1, "", "found more than %d bytes, expected at most that",
                        CONFIG_FILE_BYTES_MAX);
        else
            config_fail(&report, 1, 1, "", "found %s, expected a readable file", file_error_text(rc));
        return CONFIG_INVALID;
    }
    rc = config_load_buffer(path, file.bytes, file.len, flags, ret_config, ret_error);
    file_fini(&file);
    return rc;
}

void config_free(struct config **config)
{
    struct config *c = *config;
    *config = NULL;
    if (!c)
        return;
    for (uint32_t i = 0; i < c->route_count; i++)
        config_nodes_unref(&c->routes[i].nodes);
    config_struct_free(config_rows, c);
    for (uint32_t i = 0; i < c->warning_count; i++)
        free(c->warnings[i]);
    free(c->file);
    free(c);
}

const struct config_tls_profile *config_profile(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->tls_profile_count; i++)
        if (strcmp(config->tls_profiles[i].name, name) == 0)
            return &config->tls_profiles[i];
    return NULL;
}

bool config_route_goes_via(const struct config_route *route, enum config_via way)
{
    for (uint32_t i = 0; i < route->via_count; i++)
        if (route->via[i] == way)
            return true;
    return false;
}

bool config_asks_kubernetes(const struct config *config)
{
    return config->agents.token_review || config->agents.leases;
}

bool config_admits_anonymous_agents(const struct config *config, const struct config_listener *listener)
{
    return listener->serves == CONFIG_SERVES_AGENTS && !listener->tls->client_ca_file &&
           !config->agents.token_review;
}

const char *config_alpn_text(enum config_alpn alpn)
{
    switch (alpn) {
    case CONFIG_ALPN_HTTP1: return "http/1.1";
    case CONFIG_ALPN_H2: return "h2,http/1.1";
    case CONFIG_ALPN_NONE: return NULL;
    }
    ASSERT(false && "an ALPN choice");
    return NULL;
}
