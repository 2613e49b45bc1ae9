/* broker/config/config_suggest.c — see config_suggest.h. */
#include "broker/config/config_suggest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "broker/config/config_table.h"

enum { NAME_MAX_BYTES = 48, NEAR_MAX = 3 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Levenshtein distance without regard to case. Names too long for the table are far from everything. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t an = strlen(a), bn = strlen(b);
    if (an > NAME_MAX_BYTES || bn > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= bn; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= an; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= bn; j++) {
            unsigned above = row[j];
            row[j] = min3(row[j] + 1, row[j - 1] + 1, diagonal + (lower(a[i - 1]) != lower(b[j - 1])));
            diagonal = above;
        }
    }
    return row[bn];
}

static bool begins(const char *text, const char *prefix)
{
    return strlen(prefix) >= 4 && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static const char *nearest(const struct config_row *rows, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = NEAR_MAX + 1;
    for (const struct config_row *row = rows; row->name; row++) {
        unsigned d = distance(name, row->name);
        if (begins(row->name, name) || begins(name, row->name)) /* idleTimeout for idleTimeoutMs */
            d = 1;
        if (d < best_distance && d < strlen(row->name) / 2 + 1) {
            best_distance = d;
            best = row->name;
        }
    }
    return best;
}

/* Where in the table fields of this name stand: a right name in the wrong place. */
static void places_of(const struct config_row *rows, const char *name, const char *path, char *text,
                      size_t size)
{
    char below[120];
    for (const struct config_row *row = rows; row->name; row++) {
        size_t len = strlen(text);
        if (strcmp(row->name, name) == 0)
            snprintf(text + len, size - len, "%s%s", len ? " or " : "", path[0] ? path : "no other field");
        snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] ? "." : "", row->name,
                 row->type == CONFIG_SEQUENCE ? "[]" : "");
        if (row->rows)
            places_of(row->rows, name, below, text, size);
    }
}

void config_suggest(const struct config_row *rows, const char *name, char *ret_text, size_t size)
{
    char places[240] = "";
    const char *near = nearest(rows, name);
    if (near) {
        snprintf(ret_text, size, "%s (did you mean it?)", near);
        return;
    }
    places_of(config_rows, name, "", places, sizeof(places));
    if (places[0]) {
        snprintf(ret_text, size, "it only under %s", places);
        return;
    }
    size_t n = 0;
    for (const struct config_row *row = rows; row->name && n < size; row++)
        n += (size_t)snprintf(ret_text + n, size - n, "%s%s",
                              row == rows   ? ""
                              : row[1].name ? ", "
                                            : " or ",
                              row->name);
}
