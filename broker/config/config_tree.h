/* broker/config/config_tree.h — a YAML document as a tree that remembers where everything stood.
 *
 * libcyaml makes structs of a document but keeps no positions; this tree is what errors point into. It is
 * also the stricter reader: one document, no anchors, aliases or tags, no key twice, bounded depth and size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/config/config_report.h"
#include "io/attributes.h"

enum config_node_kind { NODE_SCALAR, NODE_MAPPING, NODE_SEQUENCE };

struct config_node {
    struct config_node *next, *first; /* sibling; first child */
    char *key;                        /* in a mapping */
    char *text;                       /* of a scalar */
    enum config_node_kind kind;
    bool quoted;
    uint32_t count;
    uint32_t line, column, key_line, key_column; /* from 1 */
};

bool config_tree_parse(struct config_report *, const void *bytes, size_t len, struct config_node **ret_root);
/* The root is a mapping. */
void config_tree_free(struct config_node **);
const struct config_node *config_tree_child(const struct config_node *mapping, const char *key);
const struct config_node *config_tree_find(const struct config_node *root, const char *path);
/* "routes[2].match.cidrs[0]"; the nearest node above it where there is none. */
