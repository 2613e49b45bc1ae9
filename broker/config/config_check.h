/* broker/config/config_check.h — what the rows can not say: what settings owe each other, and files. */
#pragma once

#include <stdbool.h>

#include "broker/config/config_tree.h"

struct config;
struct config_listener;
struct config_route;

struct config_check {
    struct config_report *report;
    const struct config_node *root;
    struct config *config;
    unsigned flags; /* of enum config_flags */
};

bool config_check(struct config_check *);
/* Resolves references and inherited values in the configuration on the way; opens no socket. */
bool config_check_routes(struct config_check *);
/* The part of it about routes: after listeners and profiles. */
bool config_check_proof(struct config_check *, const struct config_listener *, uint32_t index);
/* How those who come in by this listener prove who they are. */
bool config_check_agents(struct config_check *);
/* Agents, and the Kubernetes API: before routes. */
bool config_check_ways(struct config_check *, struct config_route *, uint32_t index);
/* The ways of a route, and how its agents are chosen. */
bool config_check_nodes(struct config_check *, uint32_t route, bool with_file);
/* Every line of nodeNameFile is good, and no destination has two names. */
bool config_check_files(struct config_check *);
/* Certificates, keys, tokens, node names; users and groups. */

bool config_check_names(struct config_check *, const char *list, char *const *first, size_t stride,
                        uint32_t count);
/* Of listeners, profiles and routes: no two alike. `first` is the name in the first struct. */
PRINTF(3, 4) bool config_check_fail(struct config_check *, const char *path, const char *format, ...);
/* "found X, expected Y" about the value at `path`. Always false. */
PRINTF(3, 4) void config_check_warn(struct config_check *, const char *path, const char *format, ...);
