/* broker/config/config_struct.c — see config_struct.h.
 *
 * The table becomes a libcyaml schema, built for one load and dropped after it: no globals, and no second
 * description of a setting. libcyaml allocates with malloc() (cyaml_mem), so defaults may be strdup()ed and
 * all is freed alike. */
#include "broker/config/config_struct.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_table.h"
#include "broker/config/config_tree.h"

/* Everything of one schema stands in three arrays, counted before and never moved. */
struct schema {
    cyaml_schema_field_t *fields;
    cyaml_schema_value_t *values;
    cyaml_strval_t *words;
    size_t field_count, value_count, word_count;
};

static void count_rows(const struct config_row *rows, struct schema *s)
{
    for (const struct config_row *row = rows; row->name; row++) {
        s->field_count++;
        s->value_count += row->type == CONFIG_SEQUENCE;
        for (const struct config_word *w = row->words; w && w->text; w++)
            s->word_count++;
        if (row->rows)
            count_rows(row->rows, s);
    }
    s->field_count++; /* the end */
}

static const cyaml_schema_field_t *build_fields(struct schema *s, const struct config_row *rows);

static void build_words(struct schema *s, const struct config_row *row, cyaml_schema_value_t *value)
{
    cyaml_strval_t *first = &s->words[s->word_count];
    for (const struct config_word *w = row->words; w->text; w++)
        s->words[s->word_count++] = (cyaml_strval_t){.str = w->text, .val = w->value};
    value->enumeration.strings = first;
    value->enumeration.count = (uint32_t)(&s->words[s->word_count] - first);
}

static const cyaml_schema_value_t *build_entry(struct schema *s, const struct config_row *row)
{
    cyaml_schema_value_t *value = &s->values[s->value_count++];
    value->data_size = row->size;
    if (row->entry == CONFIG_STRING) {
        value->type = CYAML_STRING;
        value->flags = CYAML_FLAG_POINTER;
        value->data_size = 1;
        value->string.max = CYAML_UNLIMITED;
    } else if (row->entry == CONFIG_UINT) {
        value->type = CYAML_UINT;
    } else if (row->entry == CONFIG_ENUM) {
        value->type = CYAML_ENUM;
        value->flags = CYAML_FLAG_STRICT;
        build_words(s, row, value);
    } else {
        ASSERT(row->entry == CONFIG_MAPPING);
        value->type = CYAML_MAPPING;
        value->mapping.fields = build_fields(s, row->rows);
    }
    return value;
}

static void build_field(struct schema *s, const struct config_row *row, cyaml_schema_field_t *field)
{
    cyaml_schema_value_t *value = &field->value;
    field->key = row->name;
    field->data_offset = row->offset;
    value->data_size = row->size;
    value->flags = row->required ? CYAML_FLAG_DEFAULT : CYAML_FLAG_OPTIONAL;
    switch (row->type) {
    case CONFIG_UINT: value->type = CYAML_UINT; break;
    case CONFIG_BOOL: value->type = CYAML_BOOL; break;
    case CONFIG_STRING:
        value->type = CYAML_STRING;
        value->flags |= CYAML_FLAG_POINTER;
        value->string.max = CYAML_UNLIMITED;
        break;
    case CONFIG_ENUM:
    case CONFIG_SET:
        value->type = row->type == CONFIG_ENUM ? CYAML_ENUM : CYAML_FLAGS;
        value->flags |= CYAML_FLAG_STRICT;
        build_words(s, row, value);
        break;
    case CONFIG_MAPPING:
    case CONFIG_OPTIONAL:
        value->type = CYAML_MAPPING;
        value->flags |= row->type == CONFIG_OPTIONAL ? CYAML_FLAG_POINTER : 0;
        value->mapping.fields = build_fields(s, row->rows);
        break;
    case CONFIG_SEQUENCE:
        value->type = CYAML_SEQUENCE;
        value->flags |= CYAML_FLAG_POINTER;
        value->sequence.entry = build_entry(s, row);
        value->sequence.min = (uint32_t)row->min;
        value->sequence.max = (uint32_t)row->max;
        field->count_offset = row->count_offset;
        field->count_size = sizeof(uint32_t);
        break;
    }
}

static const cyaml_schema_field_t *build_fields(struct schema *s, const struct config_row *rows)
{
    size_t n = 0;
    while (rows[n].name)
        n++;
    cyaml_schema_field_t *fields = &s->fields[s->field_count];
    s->field_count += n + 1; /* zeroed memory ends the list */
    for (size_t i = 0; i < n; i++)
        build_field(s, &rows[i], &fields[i]);
    return fields;
}

static void schema_fini(struct schema *s)
{
    free(s->fields);
    free(s->values);
    free(s->words);
}

static int schema_init(struct schema *s, cyaml_schema_value_t *ret_top)
{
    *s = (struct schema){0};
    count_rows(config_rows, s);
    s->fields = calloc(s->field_count, sizeof(*s->fields));
    s->values = calloc(s->value_count, sizeof(*s->values));
    s->words = calloc(s->word_count, sizeof(*s->words));
    if (!s->fields || !s->values || !s->words) {
        schema_fini(s);
        return -ENOMEM;
    }
    s->field_count = s->value_count = s->word_count = 0;
    ret_top->type = CYAML_MAPPING;
    ret_top->flags = CYAML_FLAG_POINTER;
    ret_top->data_size = sizeof(struct config);
    ret_top->mapping.fields = build_fields(s, config_rows);
    return 0;
}

/* libcyaml complains first about the cause, then lists where it was. */
struct complaint {
    char text[200];
};

PRINTF(3, 0)
static void take_complaint(cyaml_log_t level, void *arg, const char *format, va_list args)
{
    struct complaint *c = arg;
    if (level != CYAML_LOG_ERROR || c->text[0] != '\0')
        return;
    vsnprintf(c->text, sizeof(c->text), format, args);
    for (char *p = c->text; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
}

static bool default_text(char **member, const struct config_row *row)
{
    if (!row->text)
        return true;
    *member = strdup(row->text);
    return *member != NULL;
}

static bool apply_rows(const struct config_row *rows, const struct config_node *node, char *data);

/* For a value the document has: go on below it. */
static bool apply_below(const struct config_row *row, const struct config_node *node, char *member)
{
    if (row->type == CONFIG_MAPPING)
        return apply_rows(row->rows, node, member);
    if (row->type == CONFIG_OPTIONAL)
        return apply_rows(row->rows, node, *(char **)member);
    if (row->type != CONFIG_SEQUENCE || row->entry != CONFIG_MAPPING)
        return true;
    char *entry = *(char **)member;
    for (const struct config_node *n = node->first; n; n = n->next, entry += row->size)
        if (!apply_rows(row->rows, n, entry))
            return false;
    return true;
}

static bool apply_default(const struct config_row *row, char *member)
{
    switch (row->type) {
    case CONFIG_UINT:
        if (row->size == sizeof(uint64_t))
            *(uint64_t *)member = row->value;
        else
            *(uint32_t *)member = row->inherit ? CONFIG_INHERIT : (uint32_t)row->value;
        return true;
    case CONFIG_BOOL: *(bool *)member = row->value != 0; return true;
    case CONFIG_ENUM:
    case CONFIG_SET: *(uint32_t *)member = (uint32_t)row->value; return true;
    case CONFIG_STRING: return default_text((char **)member, row);
    case CONFIG_MAPPING: return apply_rows(row->rows, NULL, member);
    case CONFIG_OPTIONAL:
    case CONFIG_SEQUENCE: return true; /* zero already: absent, empty */
    }
    return true;
}

/* node NULL: the mapping itself is absent. False when out of memory. */
static bool apply_rows(const struct config_row *rows, const struct config_node *node, char *data)
{
    for (const struct config_row *row = rows; row->name; row++) {
        const struct config_node *value = node ? config_tree_child(node, row->name) : NULL;
        char *member = data + row->offset;
        if (value ? !apply_below(row, value, member) : !apply_default(row, member))
            return false;
    }
    return true;
}

int config_struct_load(struct config_report *report, const void *bytes, size_t len,
                       const struct config_node *root, struct config **ret_config)
{
    struct schema schema;
    cyaml_schema_value_t top = {0};
    struct complaint complaint = {0};
    cyaml_config_t setup = {.log_fn = take_complaint,
                            .log_ctx = &complaint,
                            .log_level = CYAML_LOG_ERROR,
                            .mem_fn = cyaml_mem,
                            .flags = CYAML_CFG_NO_ALIAS};
    void *data = NULL;
    int rc = schema_init(&schema, &top);
    if (rc < 0)
        return rc;
    cyaml_err_t err = cyaml_load_data(bytes, len, &setup, &top, &data, NULL);
    schema_fini(&schema);
    /* The tree came from the same libyaml and the same bytes: that parser now only fails for want of memory.
     */
    if (err == CYAML_ERR_OOM || err == CYAML_ERR_LIBYAML_PARSER || err == CYAML_ERR_LIBYAML_PARSER_INIT)
        return -ENOMEM;
    if (err != CYAML_OK || !data) { /* the table let something pass that libcyaml does not take: say so */
        config_fail(report, root->line, root->column, "",
                    "found what libcyaml refuses (%s; %s), expected a document as %s", cyaml_strerror(err),
                    complaint.text, "docs/configuration.md describes it");
        return 1;
    }
    struct config *config = data;
    if (!apply_rows(config_rows, root, data)) {
        config_free(&config);
        return -ENOMEM;
    }
    *ret_config = config;
    return 0;
}

static void free_sequence(const struct config_row *row, char *member, uint32_t count)
{
    char *entries = *(char **)member;
    for (uint32_t i = 0; entries && i < count; i++) {
        if (row->entry == CONFIG_STRING)
            free(((char **)(void *)entries)[i]);
        else if (row->entry == CONFIG_MAPPING)
            config_struct_free(row->rows, entries + (size_t)i * row->size);
    }
    free(entries);
}

void config_struct_free(const struct config_row *rows, void *data)
{
    for (const struct config_row *row = rows; row->name; row++) {
        char *member = (char *)data + row->offset;
        switch (row->type) {
        case CONFIG_UINT:
        case CONFIG_BOOL:
        case CONFIG_ENUM:
        case CONFIG_SET: break;
        case CONFIG_STRING: free(*(char **)member); break;
        case CONFIG_MAPPING: config_struct_free(row->rows, member); break;
        case CONFIG_OPTIONAL:
            if (*(void **)member)
                config_struct_free(row->rows, *(void **)member);
            free(*(void **)member);
            break;
        case CONFIG_SEQUENCE:
            free_sequence(row, member, *(uint32_t *)((char *)data + row->count_offset));
            break;
        }
    }
}
