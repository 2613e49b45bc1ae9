/* io/host.c — see host.h. */
#include "io/host.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACCOUNT_BYTES = 64 * 1024 }; /* a group's members stand in it; glibc suggests 1 KiB and doubles */

uint32_t host_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more than 1024 CPUs */
    return n > 0 ? (uint32_t)n : 1;
}

uint32_t host_uid(void)
{
    return geteuid();
}

static bool id_of_number(const char *text, uint32_t *ret_id)
{
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return false;
    errno = 0;
    unsigned long long id = strtoull(text, NULL, 10);
    if (errno != 0 || id >= UINT32_MAX) /* the last one means "leave it" to chown() */
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

int host_user_id(const char *name, uint32_t *ret_uid)
{
    struct passwd entry, *found = NULL;
    if (id_of_number(name, ret_uid))
        return 0;
    char *buffer = malloc(ACCOUNT_BYTES);
    if (buffer && getpwnam_r(name, &entry, buffer, ACCOUNT_BYTES, &found) == 0 && found)
        *ret_uid = entry.pw_uid;
    free(buffer);
    return found ? 0 : -ENOENT;
}

int host_group_id(const char *name, uint32_t *ret_gid)
{
    struct group entry, *found = NULL;
    if (id_of_number(name, ret_gid))
        return 0;
    char *buffer = malloc(ACCOUNT_BYTES);
    if (buffer && getgrnam_r(name, &entry, buffer, ACCOUNT_BYTES, &found) == 0 && found)
        *ret_gid = entry.gr_gid;
    free(buffer);
    return found ? 0 : -ENOENT;
}
