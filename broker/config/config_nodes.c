/* broker/config/config_nodes.c — see config_nodes.h.
 *
 * The file has one "ADDRESS NAME" a line, as anybody can make it from `kubectl get nodes`; empty lines and
 * comments do not count. Of the 15,000 nodes that a route may have, one is found by bisection. */
#include "broker/config/config_nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/config_form.h"
#include "broker/config/config_report.h"
#include "broker/host_pattern.h"
#include "io/file.h"

#define BLANKS " \t\r"

struct entry {
    char *host; /* in the spelling of struct host */
    char *name;
    bool in_file;
    uint32_t index; /* among nodeNames; of the file, its line */
};

struct config_nodes {
    unsigned refs;
    uint32_t count, room;
    struct entry *all; /* sorted by host */
};

/* A file while it is read. */
struct lines {
    struct config_nodes *nodes;
    struct config_nodes_finding *finding;
    uint32_t line, names;
};

/* -- entries ------------------------------------------------------------------------------------------------
 */

static int add(struct config_nodes *n, const char *address, const char *name, bool in_file, uint32_t index)
{
    struct host host;
    if (n->count == n->room) {
        uint32_t room = n->room ? 2 * n->room : 64;
        struct entry *more = realloc(n->all, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        n->all = more;
        n->room = room;
    }
    ASSERT(host_parse(address, &host)); /* its form was checked */
    struct entry *e = &n->all[n->count++];
    *e = (struct entry){strdup(host.text), strdup(name), in_file, index};
    return e->host && e->name ? 0 : -ENOMEM;
}

/* Of those with the same host the one comes first that was there first. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->host, y->host);
    if (order == 0 && x->in_file != y->in_file)
        order = x->in_file ? 1 : -1;
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int sort(struct config_nodes *n, struct config_nodes_finding *finding)
{
    if (n->count > 0)
        qsort(n->all, n->count, sizeof(*n->all), compare);
    for (uint32_t i = 1; i < n->count; i++) {
        if (strcmp(n->all[i].host, n->all[i - 1].host) != 0)
            continue;
        finding->place = n->all[i].in_file ? NODES_LINE : NODES_INLINE;
        finding->index = finding->line = n->all[i].index;
        finding->column = 1;
        finding->expected = "one";
        snprintf(finding->found, sizeof(finding->found), "a second node for \"%s\"", n->all[i].host);
        return -EINVAL;
    }
    return 0;
}

/* -- the file -----------------------------------------------------------------------------------------------
 */

static int fail_line(struct lines *l, size_t column, const char *found, const char *expected)
{
    char quoted[CONFIG_QUOTE_MAX];
    struct config_nodes_finding *f = l->finding;
    f->place = NODES_LINE;
    f->line = l->line;
    f->column = (uint32_t)column + 1;
    f->expected = expected;
    snprintf(f->found, sizeof(f->found), "%s", found ? config_quote(found, quoted) : "nothing");
    return -EINVAL;
}

/* `line` ends with NUL and is cut up. */
static int read_line(struct lines *l, char *line)
{
    char *save, *start = line;
    line[strcspn(line, "#")] = '\0';
    const char *address = strtok_r(line, BLANKS, &save);
    if (!address)
        return 0;
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
    if (l->names == CONFIG_NODES_MAX)
        return fail_line(l, 0, address, "at most 20000 nodes");
    l->names++;
    return add(l->nodes, address, name, true, l->line);
}

static int fail_file(struct config_nodes_finding *f, const char *what, const char *path, const char *why)
{
    f->place = NODES_FILE;
    f->expected = "a file with lines ADDRESS NAME";
    snprintf(f->found, sizeof(f->found), "%s\"%.200s\"%s%s%s", what, path, *why ? " (" : "", why,
             *why ? ")" : "");
    return -EINVAL;
}

static int read_file(struct config_nodes *n, const char *path, struct config_nodes_finding *finding)
{
    struct lines l = {.nodes = n, .finding = finding};
    struct file file;
    int rc = file_read(path, CONFIG_NODE_FILE_BYTES_MAX, &file);
    if (rc < 0)
        return rc == -ENOMEM ? rc : fail_file(finding, "", path, file_error_text(rc));
    if (memchr(file.bytes, '\0', file.len))
        rc = fail_file(finding, "a NUL character in ", path, "");
    for (char *next = file.bytes; rc == 0 && next;) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        l.line++;
        rc = read_line(&l, line);
    }
    file_fini(&file);
    return rc;
}

/* -- the whole ----------------------------------------------------------------------------------------------
 */

int config_nodes_new(const struct config_route *route, bool with_file, struct config_nodes **ret,
                     struct config_nodes_finding *ret_finding)
{
    struct config_nodes *n = calloc(1, sizeof(*n));
    int rc = n ? 0 : -ENOMEM;
    if (!n)
        return rc;
    n->refs = 1;
    for (uint32_t i = 0; rc == 0 && i < route->node_name_count; i++)
        rc = add(n, route->node_names[i].address, route->node_names[i].name, false, i);
    if (rc == 0 && with_file && route->node_name_file)
        rc = read_file(n, route->node_name_file, ret_finding);
    if (rc == 0)
        rc = sort(n, ret_finding);
    if (rc < 0)
        config_nodes_unref(&n);
    else
        *ret = n;
    return rc;
}

struct config_nodes *config_nodes_ref(struct config_nodes *n)
{
    ASSERT(n->refs > 0);
    n->refs++;
    return n;
}

void config_nodes_unref(struct config_nodes **nodes)
{
    struct config_nodes *n = *nodes;
    *nodes = NULL;
    if (!n || --n->refs > 0)
        return;
    for (uint32_t i = 0; i < n->count; i++) {
        free(n->all[i].host);
        free(n->all[i].name);
    }
    free(n->all);
    free(n);
}

static int compare_host(const void *host, const void *entry)
{
    return strcmp(host, ((const struct entry *)entry)->host);
}

const char *config_nodes_find(const struct config_nodes *n, const char *host)
{
    const struct entry *e = n->count > 0 ? bsearch(host, n->all, n->count, sizeof(*n->all), compare_host)
                                         : NULL;
    return e ? e->name : NULL;
}

uint32_t config_nodes_count(const struct config_nodes *n)
{
    return n->count;
}
