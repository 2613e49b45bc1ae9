/* broker/config/config_nodes.h — which node answers at which destination: what a route's nodeNames and its
 * nodeNameFile say together.
 *
 * Immutable once it was made: any thread may look in it. References are taken and left by one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

struct config_nodes;
struct config_route;

enum {
    CONFIG_NODE_FILE_BYTES_MAX = 8 * 1024 * 1024, /* 20,000 lines of 300 bytes and some air */
    CONFIG_NODES_MAX = 20000,                     /* in a file */
};

/* Where something is wrong: with nodeNames[index].address, with the file, or in a line of it. */
enum config_nodes_place { NODES_INLINE, NODES_FILE, NODES_LINE };

struct config_nodes_finding {
    enum config_nodes_place place;
    uint32_t index, line, column; /* the latter from 1 */
    char found[400];              /* one line of people's text, as the next */
    const char *expected;
};

MUST_USE int config_nodes_new(const struct config_route *, bool with_file, struct config_nodes **ret,
                              struct config_nodes_finding *ret_finding);
/* The whole file is good, and no destination has two names. 0; -EINVAL with a finding, or -ENOMEM. */
struct config_nodes *config_nodes_ref(struct config_nodes *);
void config_nodes_unref(struct config_nodes **);
/* Nulls it. NULL is welcome. */
const char *config_nodes_find(const struct config_nodes *, const char *host);
/* The node's name, or NULL. host: in the spelling of struct host. */
uint32_t config_nodes_count(const struct config_nodes *);
