/* broker/kube/bearer.c — see bearer.h. The file is small and in memory as a rule (tmpfs), so it is read where
 * it is needed, by the worker itself. */
#include "broker/kube/bearer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/kube/credentials.h"
#include "io/file.h"
#include "io/worker.h"

static void drop(char **field)
{
    if (*field)
        explicit_bzero(*field, strlen(*field));
    free(*field);
    *field = NULL;
}

static char *field_of(const char *token, size_t len)
{
    size_t size = sizeof("Bearer ") + len;
    char *field = malloc(size);
    if (field)
        snprintf(field, size, "Bearer %.*s", (int)len, token);
    return field;
}

static int read_file(const char *path, char **ret_field, char *detail, size_t size)
{
    struct file file;
    int rc = file_read(path, KUBE_TOKEN_MAX + 2, &file);
    if (rc < 0) {
        snprintf(detail, size, "%s: found %s, expected a file with a bearer token", path,
                 file_error_text(rc));
        return rc;
    }
    size_t len = file.len;
    while (len > 0 && strchr(" \t\r\n", file.bytes[len - 1]) && file.bytes[len - 1])
        len--;
    if (kube_token_is_valid(file.bytes, len)) {
        *ret_field = field_of(file.bytes, len);
        rc = *ret_field ? 0 : -ENOMEM;
    } else {
        snprintf(detail, size, "%s: found %s, expected a bearer token on one line", path,
                 len == 0 ? "nothing" : "characters that no token has, or too many");
        rc = -EINVAL;
    }
    file_fini(&file);
    return rc;
}

int bearer_init(struct bearer *b, struct kube_credentials *c, char *ret_detail, size_t detail_size)
{
    int rc = 0;
    *b = (struct bearer){.file = c->token_file};
    c->token_file = NULL;
    snprintf(ret_detail, detail_size, "out of memory");
    if (b->file)
        rc = read_file(b->file, &b->field, ret_detail, detail_size);
    else if (c->token && !(b->field = field_of(c->token, strlen(c->token))))
        rc = -ENOMEM;
    return rc;
}

void bearer_fini(struct bearer *b)
{
    drop(&b->field);
    free(b->file);
    b->file = NULL;
}

static void complain(struct bearer *b, struct worker *w, const char *detail)
{
    if (!b->broken) {
        log_begin(w, LOG_WARN, "kube_token");
        log_str(w, "problem", detail);
        log_str(w, "instead", "the token from before is used");
        log_end(w);
    }
    b->broken = true;
}

bool bearer_look(struct bearer *b, struct worker *w, bool at_once)
{
    char detail[600], *field = NULL;
    if (!b->file || (!at_once && w->now_ns - b->looked_ns < BEARER_LOOK_MS * 1000000ull))
        return false;
    b->looked_ns = w->now_ns;
    if (read_file(b->file, &field, detail, sizeof(detail)) < 0) {
        complain(b, w, detail);
        return false;
    }
    b->broken = false;
    bool changed = strcmp(field, b->field) != 0;
    if (changed) {
        char *before = b->field;
        b->field = field;
        field = before;
    }
    drop(&field);
    return changed;
}

struct slice bearer_field(const struct bearer *b)
{
    return b->field ? slice_of_text(b->field) : SLICE("");
}
