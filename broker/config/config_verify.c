/* broker/config/config_verify.c — see config_verify.h.
 *
 * libcyaml is lenient where Kubernetes is strict: it takes "80x" for 80, any word for true, "-1" for a large
 * number, an octal for a decimal. So the tree is judged here first, by the same rows, and libcyaml only ever
 * sees what can be read in one way. */
#include "broker/config/config_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config_suggest.h"
#include "broker/config/config_table.h"
#include "broker/config/config_tree.h"

enum scalar { SCALAR_NULL, SCALAR_BOOL, SCALAR_INTEGER, SCALAR_FLOAT, SCALAR_TEXT };

struct verify {
    struct config_report *report;
    char path[CONFIG_PATH_MAX];
};

static bool one_of(const char *text, const char *const *words)
{
    while (*words && strcmp(text, *words) != 0)
        words++;
    return *words != NULL;
}

/* How YAML readers take a plain scalar; of the numbers also those spellings that we refuse, to name them. */
static enum scalar scalar_kind(const struct config_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "false", "True", "False", "TRUE", "FALSE", NULL};
    const char *text = node->text;
    if (node->quoted)
        return SCALAR_TEXT;
    if (one_of(text, nulls))
        return SCALAR_NULL;
    if (one_of(text, bools))
        return SCALAR_BOOL;
    text += *text == '-' || *text == '+';
    if (strncmp(text, "0x", 2) == 0 || strncmp(text, "0o", 2) == 0)
        return SCALAR_INTEGER;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == '\0')
        return SCALAR_INTEGER;
    char *end;
    if (strspn(text, "0123456789.eE+-") == strlen(text) && (strtod(text, &end), end != text && *end == '\0'))
        return SCALAR_FLOAT;
    return SCALAR_TEXT;
}

static const char *found_text(const struct config_node *node, char text[CONFIG_QUOTE_MAX + 16])
{
    static const char *const kinds[] = {[SCALAR_NULL] = "",
                                        [SCALAR_BOOL] = "boolean ",
                                        [SCALAR_INTEGER] = "number ",
                                        [SCALAR_FLOAT] = "number ",
                                        [SCALAR_TEXT] = "text "};
    char quoted[CONFIG_QUOTE_MAX];
    if (node->kind == NODE_MAPPING)
        return "a mapping";
    if (node->kind == NODE_SEQUENCE)
        return "a list";
    enum scalar kind = scalar_kind(node);
    if (kind == SCALAR_NULL)
        return "nothing";
    config_quote(node->text, quoted);
    int len = (int)strlen(quoted);
    if (kind == SCALAR_TEXT)
        snprintf(text, CONFIG_QUOTE_MAX + 16, "%s%s", kinds[kind], quoted);
    else
        snprintf(text, CONFIG_QUOTE_MAX + 16, "%s%.*s", kinds[kind], len - 2, quoted + 1);
    return text;
}

static bool fail_value(struct verify *v, const struct config_node *node, const char *expected)
{
    char found[CONFIG_QUOTE_MAX + 16];
    return config_fail(v->report, node->line, node->column, v->path, "found %s, expected %s",
                       found_text(node, found), expected);
}

static void words_list(const struct config_word *words, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (const struct config_word *w = words; w->text && n < size; w++)
        n += (size_t)snprintf(text + n, size - n, "%s%s",
                              w == words  ? ""
                              : w[1].text ? ", "
                                          : " or ",
                              w->text);
}

static bool verify_uint(struct verify *v, const struct config_row *row, const struct config_node *node)
{
    char expected[120];
    snprintf(expected, sizeof(expected), "a number from %" PRIu64 " to %" PRIu64 "%s%s%s", row->min, row->max,
             row->unit ? " (" : "", row->unit ? row->unit : "", row->unit ? ")" : "");
    if (node->kind != NODE_SCALAR || scalar_kind(node) != SCALAR_INTEGER)
        return fail_value(v, node, expected);
    if (node->text[strspn(node->text, "0123456789")] != '\0' ||
        (node->text[0] == '0' && node->text[1] != '\0')) {
        size_t len = strlen(expected);
        if (node->text[0] != '-')
            snprintf(expected + len, sizeof(expected) - len, ", decimal, no sign or leading zero");
        return fail_value(v, node, expected);
    }
    errno = 0;
    unsigned long long value = strtoull(node->text, NULL, 10);
    if (errno != 0 || value < row->min || value > row->max)
        return fail_value(v, node, expected);
    return true;
}

static bool verify_bool(struct verify *v, const struct config_node *node)
{
    if (node->kind != NODE_SCALAR || node->quoted ||
        (strcmp(node->text, "true") && strcmp(node->text, "false")))
        return fail_value(v, node, "true or false");
    return true;
}

/* A port range may be written as a number. */
static bool verify_string(struct verify *v, enum config_form form, const struct config_node *node)
{
    char expected[200];
    const char *text = config_form_text(form);
    if (node->kind != NODE_SCALAR)
        return fail_value(v, node, text);
    enum scalar kind = scalar_kind(node);
    bool fits = kind == SCALAR_TEXT || (kind == SCALAR_INTEGER && form == FORM_PORTS);
    if (!fits && kind != SCALAR_NULL && config_form_matches(form, node->text)) {
        snprintf(expected, sizeof(expected), "%s, in quotes", text);
        return fail_value(v, node, strstr(text, "in quotes") ? text : expected);
    }
    if (!fits || node->text[0] == '\0' || !config_form_matches(form, node->text))
        return fail_value(v, node, text);
    return true;
}

static bool verify_word(struct verify *v, const struct config_row *row, const struct config_node *node)
{
    char expected[200];
    if (node->kind == NODE_SCALAR)
        for (const struct config_word *w = row->words; w->text; w++)
            if (strcmp(w->text, node->text) == 0)
                return true;
    words_list(row->words, expected, sizeof(expected));
    return fail_value(v, node, expected);
}

static bool verify_value(struct verify *v, const struct config_row *row, const struct config_node *node);
static bool verify_mapping(struct verify *v, const struct config_row *rows, const struct config_node *node);

static bool verify_entry(struct verify *v, const struct config_row *row, const struct config_node *node)
{
    if (row->type == CONFIG_SET)
        return verify_word(v, row, node);
    switch (row->entry) {
    case CONFIG_ENUM: return verify_word(v, row, node);
    case CONFIG_STRING: return verify_string(v, row->form, node);
    case CONFIG_MAPPING: return verify_mapping(v, row->rows, node);
    case CONFIG_UINT: {
        static const struct config_row id = {.type = CONFIG_UINT, .max = UINT32_MAX - 1, .unit = NULL};
        return verify_uint(v, &id, node);
    }
    case CONFIG_BOOL:
    case CONFIG_SET:
    case CONFIG_OPTIONAL:
    case CONFIG_SEQUENCE: break;
    }
    ASSERT(false && "an entry type of the table");
    return false;
}

/* Where words stand in an order, one of them has one place. */
static bool verify_once(struct verify *v, const struct config_node *list, const struct config_node *node)
{
    uint32_t i = 0;
    for (const struct config_node *n = list->first; n != node; n = n->next, i++)
        if (strcmp(n->text, node->text) == 0)
            return config_fail(v->report, node->line, node->column, v->path,
                               "found %s a second time, expected it once (first as [%u])", node->text, i);
    return true;
}

static bool verify_sequence(struct verify *v, const struct config_row *row, const struct config_node *node)
{
    size_t base = strlen(v->path);
    uint64_t min = row->type == CONFIG_SET ? 1 : row->min;
    if (node->kind != NODE_SEQUENCE)
        return fail_value(v, node, "a list");
    if (node->count < min || node->count > row->max)
        return config_fail(v->report, node->line, node->column, v->path,
                           "found a list of %u, expected %" PRIu64 " to %" PRIu64 " entries", node->count,
                           min, row->max);
    uint32_t i = 0;
    for (const struct config_node *n = node->first; n; n = n->next, i++) {
        snprintf(v->path + base, sizeof(v->path) - base, "[%u]", i);
        if (!verify_entry(v, row, n) || (row->entry == CONFIG_ENUM && !verify_once(v, node, n)))
            return false;
    }
    v->path[base] = '\0';
    return true;
}

static bool verify_value(struct verify *v, const struct config_row *row, const struct config_node *node)
{
    switch (row->type) {
    case CONFIG_UINT: return verify_uint(v, row, node);
    case CONFIG_BOOL: return verify_bool(v, node);
    case CONFIG_STRING: return verify_string(v, row->form, node);
    case CONFIG_ENUM: return verify_word(v, row, node);
    case CONFIG_MAPPING:
    case CONFIG_OPTIONAL: return verify_mapping(v, row->rows, node);
    case CONFIG_SET:
    case CONFIG_SEQUENCE: return verify_sequence(v, row, node);
    }
    ASSERT(false && "a type of the table");
    return false;
}

static const struct config_row *row_named(const struct config_row *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    return rows->name ? rows : NULL;
}

static const char *type_text(const struct config_row *row, char *text, size_t size)
{
    switch (row->type) {
    case CONFIG_STRING: return config_form_text(row->form);
    case CONFIG_ENUM: words_list(row->words, text, size); return text;
    case CONFIG_UINT:
        snprintf(text, size, "a number from %" PRIu64 " to %" PRIu64, row->min, row->max);
        return text;
    case CONFIG_BOOL: return "true or false";
    case CONFIG_MAPPING:
    case CONFIG_OPTIONAL: return "a mapping";
    case CONFIG_SET:
    case CONFIG_SEQUENCE: return "a list";
    }
    return "a value";
}

static bool verify_field(struct verify *v, const struct config_row *rows, const struct config_node *node,
                         size_t base)
{
    const struct config_row *row = row_named(rows, node->key);
    char quoted[CONFIG_QUOTE_MAX], expected[480];
    config_quote(node->key, quoted);
    int len = (int)strlen(quoted) - 2;
    snprintf(v->path + base, sizeof(v->path) - base, "%s%.*s", base ? "." : "", len, quoted + 1);
    if (!row) {
        config_suggest(rows, node->key, expected, sizeof(expected));
        return config_fail(v->report, node->key_line, node->key_column, v->path,
                           "found unknown field %s, expected %s", quoted, expected);
    }
    if (!verify_value(v, row, node))
        return false;
    v->path[base] = '\0';
    return true;
}

static bool verify_mapping(struct verify *v, const struct config_row *rows, const struct config_node *node)
{
    size_t base = strlen(v->path);
    if (node->kind != NODE_MAPPING)
        return fail_value(v, node, "a mapping");
    for (const struct config_node *n = node->first; n; n = n->next)
        if (!verify_field(v, rows, n, base))
            return false;
    for (const struct config_row *row = rows; row->name; row++) {
        char text[200];
        if (!row->required || config_tree_child(node, row->name))
            continue;
        snprintf(v->path + base, sizeof(v->path) - base, "%s%s", base ? "." : "", row->name);
        return config_fail(v->report, node->line, node->column, v->path, "found nothing, expected %s",
                           type_text(row, text, sizeof(text)));
    }
    return true;
}

/* Whoever opens the wrong file shall hear that, not that its first field is unknown. */
static bool verify_head(struct verify *v, const struct config_node *root)
{
    for (const struct config_row *row = config_rows; row->name; row++) {
        const struct config_node *node = config_tree_child(root, row->name);
        if (row->type != CONFIG_ENUM || !row->required || !node)
            continue;
        snprintf(v->path, sizeof(v->path), "%s", row->name);
        if (!verify_word(v, row, node))
            return false;
    }
    v->path[0] = '\0';
    return true;
}

bool config_verify(struct config_report *report, const struct config_node *root)
{
    struct verify v = {.report = report};
    return verify_head(&v, root) && verify_mapping(&v, config_rows, root);
}
