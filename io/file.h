/* io/file.h — small files read whole, at start and at reload; never on the data path. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

struct file {
    char *bytes; /* with a NUL after the last one, which is not counted */
    size_t len;
    uint32_t mode; /* permission bits */
};

MUST_USE int file_read(const char *path, size_t bytes_max, struct file *ret_file);
/* 0 or -errno: -EFBIG when longer than bytes_max, -EINVAL when it is no regular file. Follows links. */
void file_fini(struct file *);
/* Wipes the bytes before they go: they may have been a key. */
const char *file_error_text(int negative_errno);
/* One phrase for people, of what file_read() gave. */

/* Which contents stand under a name, links followed, without reading them: while the mark stays the same, so
 * do they, but for a file that is written twice within a tick of the file system's clock. */
struct file_mark {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
    int error; /* of stat(); the rest is 0 then */
};

struct file_mark file_mark_of(const char *path);
bool file_mark_equal(const struct file_mark *, const struct file_mark *);
