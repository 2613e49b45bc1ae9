/* test/fuzz/replay.c — stands in for libFuzzer where there is none: runs a target over a checked-in corpus.
 *
 *     fuzz_http1_request DIRECTORY...
 *
 * Every regular file of the directories is one input, given on a heap copy of its exact size so that a
 * sanitizer sees a read beyond it. Each input is also tried cut short at every length, which costs nothing
 * and finds what a corpus of whole messages does not. An empty or missing directory is a failure: a test that
 * ran nothing must not look like a success.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test/fuzz/fuzz.h"

enum { EVERY_PREFIX_MAX = 1000 }; /* longer inputs are run whole only */

static void run_prefix(const char *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, bytes, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static int run_file(const char *path, size_t size)
{
    char *bytes = malloc(size > 0 ? size : 1);
    FILE *file = fopen(path, "rb");
    if (bytes == NULL || file == NULL || fread(bytes, 1, size, file) != size) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    fclose(file);
    for (size_t len = size <= EVERY_PREFIX_MAX ? 0 : size; len <= size; len++)
        run_prefix(bytes, len);
    free(bytes);
    return 1;
}

static int run_directory(const char *directory)
{
    int files = 0;
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        fprintf(stderr, "%s: %s\n", directory, strerror(errno));
        exit(1);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_MAX];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            files += run_file(path, (size_t)st.st_size);
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++)
        files += run_directory(argv[i]);
    printf("%d inputs\n", files);
    return files > 0 ? 0 : 1;
}
