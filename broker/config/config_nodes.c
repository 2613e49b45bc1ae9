/* broker/config/config_nodes.c — see config_nodes.h.
 *
 * The file has one "ADDRESS NAME" a line, as anybody can make it from `kubectl get nodes`; empty lines and
 * comments do not count. */
#include "broker/config/config_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_check.h"
#include "broker/config/config_form.h"
#include "broker/host_pattern.h"
#include "io/file.h"

#define BLANKS " \t\r"

struct lines {
    struct config_check *check;
    struct config_route *route;
    uint32_t index; /* of the route */
    uint32_t line;
    uint32_t room;
};

static bool fail_line(struct lines *l, size_t column, const char *found, const char *expected)
{
    struct config_report *report = l->check->report;
    char path[CONFIG_PATH_MAX], quoted[CONFIG_QUOTE_MAX];
    struct config_report in_file = {
        .file = l->route->node_name_file, .error = report->error, .failed = report->failed};
    snprintf(path, sizeof(path), "routes[%u].nodeNameFile", l->index);
    config_fail(&in_file, l->line, (uint32_t)column + 1, path, "found %s, expected %s",
                found ? config_quote(found, quoted) : "nothing", expected);
    report->failed = true;
    return false;
}

static bool add(struct lines *l, const char *address, const char *name)
{
    struct config_route *r = l->route;
    if (r->file_node_name_count == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        struct config_node_name *more = realloc(r->file_node_names, l->room * sizeof(*more));
        if (!more) {
            l->check->report->no_memory = true;
            return false;
        }
        r->file_node_names = more;
    }
    struct config_node_name *node = &r->file_node_names[r->file_node_name_count++];
    *node = (struct config_node_name){.address = strdup(address), .name = strdup(name)};
    l->check->report->no_memory |= !node->address || !node->name;
    return !l->check->report->no_memory;
}

/* `line` ends with NUL and is cut up. */
static bool read_line(struct lines *l, char *line)
{
    char *save, *start = line;
    line[strcspn(line, "#")] = '\0';
    const char *address = strtok_r(line, BLANKS, &save);
    if (!address)
        return true;
    const char *name = strtok_r(NULL, BLANKS, &save);
    const char *rest = strtok_r(NULL, BLANKS, &save);
    if (!config_form_matches(FORM_HOST, address))
        return fail_line(l, (size_t)(address - start), address, config_form_text(FORM_HOST));
    if (!name)
        return fail_line(l, strlen(address), NULL, "a node's name after the address");
    if (!config_form_matches(FORM_NODE_NAME, name))
        return fail_line(l, (size_t)(name - start), name, config_form_text(FORM_NODE_NAME));
    if (rest)
        return fail_line(l, (size_t)(rest - start), rest, "the end of the line");
    if (l->route->file_node_name_count == CONFIG_NODES_MAX)
        return fail_line(l, 0, address, "at most 20000 nodes");
    return add(l, address, name);
}

static bool read_lines(struct lines *l, char *bytes, size_t len)
{
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "routes[%u].nodeNameFile", l->index);
    if (memchr(bytes, '\0', len))
        return config_check_fail(l->check, path,
                                 "found a NUL character in \"%s\", expected lines ADDRESS NAME",
                                 l->route->node_name_file);
    for (char *next = bytes; next;) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        l->line++;
        if (!read_line(l, line))
            return false;
    }
    return true;
}

bool config_nodes_read(struct config_check *check, uint32_t index)
{
    struct config_route *route = &check->config->routes[index];
    struct lines l = {.check = check, .route = route, .index = index};
    struct file file;
    char path[CONFIG_PATH_MAX];
    if (!route->node_name_file)
        return true;
    int rc = file_read(route->node_name_file, CONFIG_NODE_FILE_BYTES_MAX, &file);
    snprintf(path, sizeof(path), "routes[%u].nodeNameFile", index);
    if (rc < 0)
        return config_check_fail(check, path, "found \"%s\" (%s), expected a file with lines ADDRESS NAME",
                                 route->node_name_file, file_error_text(rc));
    bool ok = read_lines(&l, file.bytes, file.len);
    file_fini(&file);
    return ok && config_nodes_check(check, index);
}

struct entry {
    struct host host;
    bool in_file;
    uint32_t index;
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->host.text, y->host.text);
    if (order == 0 && x->in_file != y->in_file)
        order = x->in_file ? 1 : -1;
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static void add_entries(struct entry **next, const struct config_node_name *names, uint32_t count,
                        bool in_file)
{
    for (uint32_t i = 0; i < count; i++, (*next)++) {
        ASSERT(host_parse(names[i].address, &(*next)->host));
        (*next)->in_file = in_file;
        (*next)->index = i;
    }
}

bool config_nodes_check(struct config_check *check, uint32_t index)
{
    const struct config_route *r = &check->config->routes[index];
    size_t count = (size_t)r->node_name_count + r->file_node_name_count;
    char path[CONFIG_PATH_MAX];
    if (count < 2)
        return true;
    struct entry *entries = calloc(count, sizeof(*entries)), *next = entries;
    if (!entries) {
        check->report->no_memory = true;
        return false;
    }
    add_entries(&next, r->node_names, r->node_name_count, false);
    add_entries(&next, r->file_node_names, r->file_node_name_count, true);
    qsort(entries, count, sizeof(*entries), compare);
    bool ok = true;
    for (size_t i = 1; ok && i < count; i++) {
        if (strcmp(entries[i].host.text, entries[i - 1].host.text) != 0)
            continue;
        if (entries[i].in_file)
            snprintf(path, sizeof(path), "routes[%u].nodeNameFile", index);
        else
            snprintf(path, sizeof(path), "routes[%u].nodeNames[%u].address", index, entries[i].index);
        ok = config_check_fail(check, path, "found a second node for \"%s\", expected one",
                               entries[i].host.text);
    }
    free(entries);
    return ok;
}
