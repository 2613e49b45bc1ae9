/* broker/config/config_rows.h — how rows of the table of settings are written, for the files that hold them.
 * Constant data. */
#pragma once

#include "broker/config/config.h"
#include "broker/config/config_table.h"

#define SIZE_OF(s, m)   sizeof(((struct s *)NULL)->m)
#define TARGET_OF(s, m) sizeof(*((struct s *)NULL)->m)
/* Rows in a macro's brackets: clang-format 14 crashes on arrays of uneven braces. */
#define ROW(...)                                                                                             \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define END ROW(.name = NULL)

#define UINT(s, m, key)                                                                                      \
    .name = key, .type = CONFIG_UINT, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m)
#define BOOL(s, m, key)                                                                                      \
    .name = key, .type = CONFIG_BOOL, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .max = 1
#define STRING(s, m, key)                                                                                    \
    .name = key, .type = CONFIG_STRING, .offset = offsetof(struct s, m), .size = 1, .min = 1, .max = 4096
#define ENUM(s, m, key, list)                                                                                \
    .name = key, .type = CONFIG_ENUM, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .words = list
#define SET(s, m, key, list)                                                                                 \
    .name = key, .type = CONFIG_SET, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .words = list
#define MAPPING(s, m, key, fields)                                                                           \
    .name = key, .type = CONFIG_MAPPING, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m),             \
    .rows = fields
#define OPTIONAL(s, m, key, fields)                                                                          \
    .name = key, .type = CONFIG_OPTIONAL, .offset = offsetof(struct s, m), .size = TARGET_OF(s, m),          \
    .rows = fields
#define SEQUENCE(s, m, n, key, of)                                                                           \
    .name = key, .type = CONFIG_SEQUENCE, .entry = of, .offset = offsetof(struct s, m),                      \
    .size = TARGET_OF(s, m), .count_offset = offsetof(struct s, n)

extern const struct config_row config_listener_rows[], config_tls_profile_rows[], config_route_rows[];
/* config_table_routes.c */
extern const struct config_row config_agents_rows[], config_kubernetes_rows[];
extern const struct config_word config_strategy_words[];
/* config_table_agents.c */
