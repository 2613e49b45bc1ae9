/* io/file.c — see file.h. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_whole(int fd, size_t bytes_max, struct file *file)
{
    size_t cap = file->len + 1;
    file->len = 0;
    file->bytes = malloc(cap + 1);
    if (!file->bytes)
        return -ENOMEM;
    for (;;) {
        if (file->len == cap) { /* it has grown since fstat() */
            char *more = realloc(file->bytes, 2 * cap + 1);
            if (!more)
                return -ENOMEM;
            file->bytes = more;
            cap *= 2;
        }
        ssize_t n = read(fd, file->bytes + file->len, cap - file->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        file->len += (size_t)n;
        if (file->len > bytes_max)
            return -EFBIG;
    }
    file->bytes[file->len] = '\0';
    return 0;
}

int file_read(const char *path, size_t bytes_max, struct file *ret_file)
{
    struct stat st;
    struct file file = {0};
    /* Without O_NONBLOCK a FIFO would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && S_ISDIR(st.st_mode))
        rc = -EISDIR;
    else if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    else if (rc == 0 && (uint64_t)st.st_size > bytes_max)
        rc = -EFBIG;
    if (rc == 0) {
        file.len = (size_t)st.st_size;
        file.mode = st.st_mode & 07777;
        rc = read_whole(fd, bytes_max, &file);
    }
    close(fd);
    if (rc == 0)
        *ret_file = file;
    else
        file_fini(&file);
    return rc;
}

void file_fini(struct file *file)
{
    if (file->bytes)
        explicit_bzero(file->bytes, file->len);
    free(file->bytes);
    *file = (struct file){0};
}

const char *file_error_text(int negative_errno)
{
    switch (-negative_errno) {
    case ENOENT: return "no such file";
    case EACCES:
    case EPERM: return "a file the broker may not read";
    case EISDIR: return "a directory";
    case EINVAL: return "something that is no regular file";
    case EFBIG: return "a file that is too large";
    case ENOTDIR: return "a path through something that is no directory";
    case ELOOP: return "too many symbolic links";
    case ENAMETOOLONG: return "a path that is too long";
    default: return "a file that can not be read";
    }
}

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

struct file_mark file_mark_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return (struct file_mark){.error = errno};
    return (struct file_mark){.device = st.st_dev,
                              .inode = st.st_ino,
                              .size = (uint64_t)st.st_size,
                              .modified_ns = ns_of(&st.st_mtim),
                              .changed_ns = ns_of(&st.st_ctim)};
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns && a->error == b->error;
}
