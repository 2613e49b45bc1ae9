/* broker/config/config_nodes.h — which node answers at which destination, inline and from a file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config_check;

enum {
    CONFIG_NODE_FILE_BYTES_MAX = 8 * 1024 * 1024, /* 20,000 lines of 300 bytes and some air */
    CONFIG_NODES_MAX = 20000,
};

bool config_nodes_read(struct config_check *, uint32_t route);
/* Reads nodeNameFile into the route. Errors in it name that file and its line. */
bool config_nodes_check(struct config_check *, uint32_t route);
/* No destination has two names. */
