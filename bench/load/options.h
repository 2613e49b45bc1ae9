/* bench/load/options.h — the command line of hawser-load. Read once at start. */
#pragma once

#include "bench/load/arrivals.h"
#include "bench/net.h"

#include <stdbool.h>
#include <stdint.h>

/* How a request names its kubelet: each proxy is told in the way that is cheapest for it. */
enum target_style {
    TARGET_ABSOLUTE,    /* GET https://IP:PORT/path */
    TARGET_HOST_HEADER, /* GET /path, Host: IP:PORT */
    TARGET_HEADER,      /* the same, and X-Target: IP */
    TARGET_PATH,        /* GET /IP/path */
    TARGET_CONNECT,     /* CONNECT IP:PORT, then an exchange with hawser-target: a tunnel each */
    TARGET_BARE,        /* the exchange alone, through a relay that dials by itself */
};

struct load_options {
    struct net_address proxy;
    struct arrivals_options arrivals;
    enum target_style target;
    uint32_t base_ipv4; /* host order */
    uint16_t port;
    const char *path;
    uint32_t connections_max;
    uint64_t duration_ns;
    uint64_t requests_max; /* 0: until the duration is over */
    uint64_t deadline_ns;
    uint64_t upload_bytes;   /* 0: GET; of a tunnel: behind the order */
    uint64_t expected_bytes; /* of each answer's body */
    bool expect_count;       /* uploads: the answer's body is the number of bytes that arrived */
    uint32_t crowd;          /* tunnels to hold open; 0: a run of requests */
    uint32_t crowd_active;   /* of these, how many carry exchanges */
    bool buckets;
    bool self_check;
};

bool options_parse(int argc, char **argv, struct load_options *ret_options);
/* On false the reason has been printed to stderr. */

static inline bool options_tunnels(const struct load_options *o)
{
    return o->target == TARGET_CONNECT || o->target == TARGET_BARE;
}
