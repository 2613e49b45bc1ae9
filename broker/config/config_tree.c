/* broker/config/config_tree.c — see config_tree.h.
 *
 * Walks libyaml's events. Recursion is bounded by TREE_DEPTH_MAX, memory by TREE_NODES_MAX and the size of
 * the file (checked by the caller), the search for repeated keys by TREE_KEYS_MAX. */
#include "broker/config/config_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "broker/config/config.h"

enum {
    TREE_DEPTH_MAX = 16,     /* the deepest setting stands at 6 */
    TREE_KEYS_MAX = 128,     /* the largest mapping of the table has 12 */
    TREE_NODES_MAX = 200000, /* 20,000 node names of three values, and a lot of air */
};

struct tree {
    struct config_report *report;
    yaml_parser_t parser;
    const uint8_t *bytes;
    size_t len;
    uint32_t nodes;
    char path[CONFIG_PATH_MAX];
};

static uint32_t mark_line(const yaml_mark_t *mark)
{
    return (uint32_t)mark->line + 1;
}

static uint32_t mark_column(const yaml_mark_t *mark)
{
    return (uint32_t)mark->column + 1;
}

/* libyaml counts characters, not bytes. */
static uint8_t byte_at(const struct tree *t, const yaml_mark_t *mark)
{
    size_t i = 0;
    for (size_t line = 0; line < mark->line && i < t->len; i++)
        line += t->bytes[i] == '\n';
    for (size_t column = 0; column < mark->column && i < t->len; column++) {
        i++;
        while (i < t->len && (t->bytes[i] & 0xc0) == 0x80)
            i++;
    }
    return i < t->len ? t->bytes[i] : 0;
}

static bool fail_syntax(struct tree *t)
{
    const yaml_parser_t *p = &t->parser;
    const yaml_mark_t *mark = &p->problem_mark;
    switch (p->error) {
    case YAML_MEMORY_ERROR: t->report->no_memory = true; return false;
    case YAML_READER_ERROR: {
        uint32_t line = 1, column = 1;
        for (size_t i = 0; i < p->problem_offset && i < t->len; i++) {
            column = t->bytes[i] == '\n' ? 1 : column + ((t->bytes[i] & 0xc0) != 0x80);
            line += t->bytes[i] == '\n';
        }
        return config_fail(t->report, line, column, "", "found bytes that are no text (%s), expected UTF-8",
                           p->problem ? p->problem : "unreadable");
    }
    case YAML_SCANNER_ERROR:
        if (byte_at(t, mark) == '\t')
            return config_fail(t->report, mark_line(mark), mark_column(mark), t->path,
                               "found a tab, expected spaces");
        break;
    case YAML_NO_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
    case YAML_WRITER_ERROR:
    case YAML_EMITTER_ERROR: break;
    }
    return config_fail(t->report, mark_line(mark), mark_column(mark), t->path,
                       "found a mistake in the syntax (%s%s%s), expected YAML",
                       p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                       p->context ? p->context : "");
}

static bool next_event(struct tree *t, yaml_event_t *event)
{
    return yaml_parser_parse(&t->parser, event) || fail_syntax(t);
}

static bool fail_event(struct tree *t, const yaml_event_t *event, const char *found, const char *expected)
{
    return config_fail(t->report, mark_line(&event->start_mark), mark_column(&event->start_mark), t->path,
                       "found %s, expected %s", found, expected);
}

static bool check_properties(struct tree *t, const yaml_event_t *event)
{
    const void *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
    else if (event->type == YAML_MAPPING_START_EVENT)
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
    else if (event->type == YAML_ALIAS_EVENT)
        return fail_event(t, event, "an alias", "the value itself");
    if (anchor)
        return fail_event(t, event, "an anchor", "a value without one");
    if (tag)
        return fail_event(t, event, "a tag", "a value without one");
    return true;
}

static struct config_node *node_new(struct tree *t, const yaml_event_t *event, enum config_node_kind kind)
{
    if (t->nodes++ >= TREE_NODES_MAX) {
        config_fail(t->report, mark_line(&event->start_mark), mark_column(&event->start_mark), "",
                    "found more than %d values, expected fewer", TREE_NODES_MAX);
        return NULL;
    }
    struct config_node *node = calloc(1, sizeof(*node));
    if (!node) {
        t->report->no_memory = true;
        return NULL;
    }
    node->kind = kind;
    node->line = mark_line(&event->start_mark);
    node->column = mark_column(&event->start_mark);
    return node;
}

static bool take_text(struct tree *t, const yaml_event_t *event, char **ret_text)
{
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return fail_event(t, event, "a NUL character", "text");
    *ret_text = strdup((const char *)event->data.scalar.value);
    t->report->no_memory |= !*ret_text;
    return *ret_text != NULL;
}

static bool read_node(struct tree *t, const yaml_event_t *event, unsigned depth,
                      struct config_node **ret_node);

static bool read_sequence(struct tree *t, struct config_node *node, unsigned depth)
{
    struct config_node **last = &node->first;
    size_t base = strlen(t->path);
    for (;;) {
        yaml_event_t event;
        if (!next_event(t, &event))
            return false;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        snprintf(t->path + base, sizeof(t->path) - base, "[%u]", node->count);
        bool ok = end || read_node(t, &event, depth, last);
        yaml_event_delete(&event);
        if (end || !ok) {
            t->path[base] = '\0';
            return ok;
        }
        last = &(*last)->next;
        node->count++;
    }
}

/* Paths are for people: keys in them are shortened and made printable. */
static void path_append_key(struct tree *t, const char *key)
{
    char quoted[CONFIG_QUOTE_MAX];
    size_t base = strlen(t->path);
    config_quote(key, quoted);
    snprintf(t->path + base, sizeof(t->path) - base, "%s%.*s", base ? "." : "", (int)strlen(quoted) - 2,
             quoted + 1);
}

/* The path gets the key, too. */
static bool take_key(struct tree *t, const struct config_node *mapping, const yaml_event_t *event,
                     char **ret_key)
{
    char quoted[CONFIG_QUOTE_MAX], *key = NULL;
    if (event->type != YAML_SCALAR_EVENT)
        return fail_event(t, event, "a key that is no text", "a field's name");
    if (mapping->count >= TREE_KEYS_MAX)
        return fail_event(t, event, "too many fields", "the documented ones");
    if (!take_text(t, event, &key))
        return false;
    path_append_key(t, key);
    const struct config_node *before = config_tree_child(mapping, key);
    if (before) {
        config_fail(t->report, mark_line(&event->start_mark), mark_column(&event->start_mark), t->path,
                    "found field %s a second time, expected it once (first in line %u)",
                    config_quote(key, quoted), before->key_line);
        free(key);
        return false;
    }
    *ret_key = key;
    return true;
}

static bool read_entry(struct tree *t, struct config_node *mapping, const yaml_event_t *key, unsigned depth,
                       struct config_node **last)
{
    char *text = NULL;
    size_t base = strlen(t->path);
    if (!check_properties(t, key) || !take_key(t, mapping, key, &text))
        return false;
    yaml_event_t value;
    if (!next_event(t, &value)) {
        free(text);
        return false;
    }
    bool ok = read_node(t, &value, depth, last);
    yaml_event_delete(&value);
    if (!*last) {
        free(text);
        return false;
    }
    (*last)->key = text;
    (*last)->key_line = mark_line(&key->start_mark);
    (*last)->key_column = mark_column(&key->start_mark);
    mapping->count++;
    t->path[base] = '\0';
    return ok;
}

static bool read_mapping(struct tree *t, struct config_node *node, unsigned depth)
{
    struct config_node **last = &node->first;
    for (;;) {
        yaml_event_t key;
        if (!next_event(t, &key))
            return false;
        bool end = key.type == YAML_MAPPING_END_EVENT;
        bool ok = end || read_entry(t, node, &key, depth, last);
        yaml_event_delete(&key);
        if (end || !ok)
            return ok;
        last = &(*last)->next;
    }
}

/* Fills *ret_node even when it fails half-way, so that one config_tree_free() of the root frees all. */
static bool read_node(struct tree *t, const yaml_event_t *event, unsigned depth,
                      struct config_node **ret_node)
{
    if (!check_properties(t, event))
        return false;
    if (depth >= TREE_DEPTH_MAX)
        return fail_event(t, event, "values nested too deep", "the documented fields");
    enum config_node_kind kind = event->type == YAML_MAPPING_START_EVENT    ? NODE_MAPPING
                                 : event->type == YAML_SEQUENCE_START_EVENT ? NODE_SEQUENCE
                                                                            : NODE_SCALAR;
    struct config_node *node = *ret_node = node_new(t, event, kind);
    if (!node)
        return false;
    switch (kind) {
    case NODE_MAPPING: return read_mapping(t, node, depth + 1);
    case NODE_SEQUENCE: return read_sequence(t, node, depth + 1);
    case NODE_SCALAR:
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return take_text(t, event, &node->text);
    }
    return false;
}

static bool read_root(struct tree *t, const yaml_event_t *event, struct config_node **ret_root)
{
    static const char expected[] = "a mapping with apiVersion and kind";
    if (event->type == YAML_MAPPING_START_EVENT)
        return read_node(t, event, 0, ret_root);
    if (event->type == YAML_SCALAR_EVENT)
        return fail_event(t, event, "a single value", expected);
    return fail_event(t, event, event->type == YAML_ALIAS_EVENT ? "an alias" : "a list", expected);
}

/* Stream start, document start, root, document end, stream end: anything else is one document too many. */
static bool read_stream(struct tree *t, struct config_node **ret_root)
{
    yaml_event_t event;
    bool started = false, ok = true, end = false;
    while (ok && !end) {
        if (!next_event(t, &event))
            return false;
        switch (event.type) {
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT: break;
        case YAML_DOCUMENT_START_EVENT:
            ok = !started || fail_event(t, &event, "a second document", "one document in the file");
            started = true;
            break;
        case YAML_STREAM_END_EVENT:
            ok = started || config_fail(t->report, 1, 1, "", "found nothing, expected a document");
            end = true;
            break;
        case YAML_ALIAS_EVENT:
        case YAML_SCALAR_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_START_EVENT:
        case YAML_MAPPING_END_EVENT: ok = read_root(t, &event, ret_root); break;
        }
        yaml_event_delete(&event);
    }
    return ok;
}

bool config_tree_parse(struct config_report *report, const void *bytes, size_t len,
                       struct config_node **ret_root)
{
    struct tree t = {.report = report, .bytes = bytes, .len = len};
    if (len > CONFIG_FILE_BYTES_MAX)
        return config_fail(report, 1, 1, "", "found more than %d bytes, expected at most that",
                           CONFIG_FILE_BYTES_MAX);
    if (!yaml_parser_initialize(&t.parser)) {
        report->no_memory = true;
        return false;
    }
    struct config_node *root = NULL;
    yaml_parser_set_encoding(&t.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&t.parser, bytes, len);
    bool ok = read_stream(&t, &root);
    yaml_parser_delete(&t.parser);
    if (ok)
        *ret_root = root;
    else
        config_tree_free(&root);
    return ok;
}

void config_tree_free(struct config_node **node)
{
    struct config_node *n = *node;
    *node = NULL;
    while (n) {
        struct config_node *next = n->next;
        config_tree_free(&n->first);
        free(n->key);
        free(n->text);
        free(n);
        n = next;
    }
}

const struct config_node *config_tree_child(const struct config_node *mapping, const char *key)
{
    for (const struct config_node *n = mapping->first; n; n = n->next)
        if (n->key && strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

static const struct config_node *step(const struct config_node *node, const char **path)
{
    if (**path == '[') {
        unsigned long index = strtoul(*path + 1, NULL, 10);
        const struct config_node *n = node->first;
        while (n && index-- > 0)
            n = n->next;
        *path = strchr(*path, ']') + 1;
        return node->kind == NODE_SEQUENCE ? n : NULL;
    }
    char key[CONFIG_PATH_MAX];
    *path += **path == '.';
    size_t len = strcspn(*path, ".[");
    ASSERT(len > 0 && len < sizeof(key));
    memcpy(key, *path, len);
    key[len] = '\0';
    *path += len;
    return node->kind == NODE_MAPPING ? config_tree_child(node, key) : NULL;
}

const struct config_node *config_tree_find(const struct config_node *root, const char *path)
{
    const struct config_node *node = root;
    while (*path) {
        const struct config_node *below = step(node, &path);
        if (!below)
            return node;
        node = below;
    }
    return node;
}
