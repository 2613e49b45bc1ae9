/* broker/config/config_report.h — the one line that says what is wrong with a configuration.
 *
 * FILE:LINE:COLUMN: FIELD.PATH[INDEX].NAME: found X, expected Y. What came from the file is quoted, shortened
 * and made printable, so that the line stays a line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

struct config_error;

enum { CONFIG_PATH_MAX = 256, CONFIG_QUOTE_MAX = 96 };

/* Where errors go: the first decides, later ones are dropped. */
struct config_report {
    const char *file;
    struct config_error *error;
    bool failed;
    bool no_memory; /* not the file's fault */
};

PRINTF(5, 6)
bool config_fail(struct config_report *, uint32_t line, uint32_t column, const char *path, const char *format,
                 ...);
/* The format gives "found X, expected Y". Always false, so that a check can return it. */
const char *config_quote(const char *text, char quoted[CONFIG_QUOTE_MAX]);
/* In quotes, shortened, with control characters made visible: safe in a line. Returns quoted. */
