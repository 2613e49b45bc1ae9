/* io/limits.c — see limits.h. */
#include "io/limits.h"

#include <sys/resource.h>

static uint64_t number(rlim_t n)
{
    return n == RLIM_INFINITY ? UINT64_MAX : (uint64_t)n;
}

void limits_raise(uint64_t descriptors_wanted, struct process_limits *ret)
{
    struct rlimit now = {0, 0};
    getrlimit(RLIMIT_NOFILE, &now);
    struct rlimit want = now;
    if (number(want.rlim_max) < descriptors_wanted)
        want.rlim_max = descriptors_wanted;
    want.rlim_cur = want.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &want) < 0) { /* raising the hard limit needs CAP_SYS_RESOURCE */
        want = now;
        want.rlim_cur = want.rlim_max;
        setrlimit(RLIMIT_NOFILE, &want);
    }
    getrlimit(RLIMIT_NOFILE, &now);
    ret->descriptors = number(now.rlim_cur);
    ret->descriptors_wanted = descriptors_wanted;

    getrlimit(RLIMIT_MEMLOCK, &now);
    now.rlim_cur = now.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &now);
    getrlimit(RLIMIT_MEMLOCK, &now);
    ret->locked_bytes = number(now.rlim_cur);
}
