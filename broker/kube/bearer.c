/* broker/kube/bearer.c — see bearer.h. The file is small and in memory as a rule (tmpfs), so it is read where
 * it is needed, by the worker itself. */
#include "broker/kube/bearer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/kube/access.h"
#include "broker/kube/credentials.h"
#include "io/file.h"
#include "io/worker.h"

void bearer_wipe(char **field)
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

int bearer_read(const struct kube_credentials *c, char **ret_field, char *ret_detail, size_t detail_size)
{
    *ret_field = NULL;
    if (c->token_file)
        return read_file(c->token_file, ret_field, ret_detail, detail_size);
    if (!c->token || (*ret_field = field_of(c->token, strlen(c->token))))
        return 0;
    snprintf(ret_detail, detail_size, "out of memory");
    return -ENOMEM;
}

void bearer_use(struct bearer *b, const struct kube_access *access)
{
    bearer_fini(b);
    *b = (struct bearer){.access = access};
}

void bearer_fini(struct bearer *b)
{
    bearer_wipe(&b->own);
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

bool bearer_refused(struct bearer *b, struct worker *w)
{
    char detail[600], *field = NULL;
    const char *file = b->access->credentials.token_file;
    if (!file)
        return false;
    if (read_file(file, &field, detail, sizeof(detail)) < 0) {
        complain(b, w, detail);
        return false;
    }
    b->broken = false;
    bool changed = !slice_eq(slice_of_text(field), bearer_field(b));
    if (changed) {
        bearer_wipe(&b->own);
        b->own = field;
        field = NULL;
    }
    bearer_wipe(&field);
    return changed;
}

struct slice bearer_field(const struct bearer *b)
{
    const char *field = b->own ? b->own : b->access->bearer;
    return field ? slice_of_text(field) : SLICE("");
}
