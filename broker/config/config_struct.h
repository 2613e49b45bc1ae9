/* broker/config/config_struct.h — struct config out of a document that fits the table, and its end. */
#pragma once

#include "io/attributes.h"

struct config;
struct config_node;
struct config_report;
struct config_row;

MUST_USE int config_struct_load(struct config_report *, const void *bytes, size_t len,
                                const struct config_node *root, struct config **ret_config);
/* Reads by libcyaml, then writes defaults where the tree has no value. 0, -ENOMEM, or > 0 with the report
 * filled when libcyaml refuses what the table allowed. */
void config_struct_free(const struct config_row *rows, void *data);
/* Frees what the rows own inside a struct, not the struct itself. */
