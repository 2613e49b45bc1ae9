/* broker/config/config_table.h — the table of settings: one row each, the only place where it is described.
 *
 * Checking, loading through libcyaml, defaults, freeing, dumping and docs/configuration.md walk these rows.
 * Constant data. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/config/config_form.h"

enum config_type {
    CONFIG_UINT,     /* uint32_t or uint64_t, by size */
    CONFIG_BOOL,     /* bool */
    CONFIG_STRING,   /* char * */
    CONFIG_ENUM,     /* uint32_t, one of words */
    CONFIG_SET,      /* uint32_t of bits; a sequence of words */
    CONFIG_MAPPING,  /* a struct inside its parent */
    CONFIG_OPTIONAL, /* a pointer to a struct, NULL when absent */
    CONFIG_SEQUENCE, /* a pointer to entries and a uint32_t count */
};

struct config_word {
    const char *text;
    uint32_t value;
};

struct config_row {
    const char *name;
    enum config_type type;
    enum config_type entry; /* of a sequence: UINT, STRING, ENUM or MAPPING */
    enum config_form form;  /* of a string, or of a sequence's strings */
    uint32_t offset, size;  /* of the member in its struct; size: of the value, struct or entry pointed to */
    uint32_t count_offset;
    uint64_t min, max, value; /* of a number, a text's length, a sequence's length; default of a number */
    const char *text;         /* default of a string; for others what the docs say instead of `value` */
    const struct config_word *words; /* ends with a NULL text */
    const struct config_row *rows;   /* of a mapping; ends with a NULL name */
    const char *unit, *help, *source;
    bool required;
    bool inherit; /* absent: CONFIG_INHERIT until config_load fills in the broader setting */
    bool restart; /* a change needs a new process */
};

#define CONFIG_INHERIT UINT32_MAX

extern const struct config_row config_rows[];
/* Of the whole document, that is of struct config. */
const char *config_word_text(const struct config_word *, uint32_t value);
/* Asserts that there is one. */
