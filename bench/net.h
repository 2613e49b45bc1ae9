/* bench/net.h — sockets for the benchmark's own programs, named `unix:PATH` or `tcp:IPV4:PORT`. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct net_address {
    struct sockaddr_storage sa;
    socklen_t length;
    bool is_unix;
};

bool net_parse(const char *text, struct net_address *ret_address);
int net_listen(const struct net_address *);
/* A listening, non-blocking descriptor (an old Unix socket of that name is removed first), or -errno. */
int net_dial(const struct net_address *);
/* A non-blocking descriptor, connected or connecting, or -errno. */
uint64_t net_clock_ns(void);
void net_raise_nofile(void);
/* As far as the process may; the caller meets EMFILE otherwise. */
