/* io/process.c — see process.h. */
#include "io/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/file.h"

enum { PROC_BYTES_MAX = 16 * 1024, STARTED_FIELD = 22 /* of /proc/self/stat, which counts from 1 */ };

static double seconds(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The program's name, in brackets, may hold anything: fields are counted from its end. */
static double start_time(void)
{
    struct file file;
    double ticks = 0;
    if (file_read("/proc/self/stat", PROC_BYTES_MAX, &file) != 0)
        return 0;
    char *at = strrchr(file.bytes, ')');
    for (int field = 2; at && field < STARTED_FIELD; field++)
        at = strchr(at + 1, ' ');
    if (at)
        ticks = strtod(at + 1, NULL);
    file_fini(&file);
    return seconds(CLOCK_REALTIME) - seconds(CLOCK_BOOTTIME) + ticks / (double)sysconf(_SC_CLK_TCK);
}

static void read_memory(struct process_usage *u)
{
    struct file file;
    unsigned long long total = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (file_read("/proc/self/statm", PROC_BYTES_MAX, &file) != 0)
        return;
    if (sscanf(file.bytes, "%llu %llu", &total, &resident) == 2) {
        u->virtual_bytes = total * page;
        u->resident_bytes = resident * page;
    }
    file_fini(&file);
}

static uint64_t count_fds(void)
{
    struct stat st;
    uint64_t n = 0;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

void process_usage(struct process_usage *ret_usage)
{
    struct rlimit limit = {0};
    struct process_usage u = {.cpu_seconds = seconds(CLOCK_PROCESS_CPUTIME_ID),
                              .start_time = start_time(),
                              .open_fds = count_fds()};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        u.max_fds = limit.rlim_cur;
    if (getrlimit(RLIMIT_AS, &limit) == 0)
        u.virtual_max_bytes = limit.rlim_cur; /* RLIM_INFINITY is the largest there is */
    read_memory(&u);
    *ret_usage = u;
}
