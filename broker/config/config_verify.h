/* broker/config/config_verify.h — does a tree fit the table of settings: names, types, bounds, forms. */
#pragma once

#include <stdbool.h>

struct config_node;
struct config_report;

bool config_verify(struct config_report *, const struct config_node *root);
/* The first mismatch in the order of the file is reported. What passes, libcyaml reads the same way. */
