/* bench/net.c — addresses, listeners and dials of the benchmark's own programs (generator, relay, responder).
 * They stand outside the floors and must not share code with what they measure, so they do not use io/. */
#include "bench/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static bool parse_unix(const char *path, struct net_address *ret_address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(un.sun_path))
        return false;
    memcpy(un.sun_path, path, length);
    *ret_address = (struct net_address){.length = sizeof(un), .is_unix = true};
    memcpy(&ret_address->sa, &un, sizeof(un));
    return true;
}

static bool parse_tcp(const char *text, struct net_address *ret_address)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (colon[1] == '\0' || *end != '\0' || port == 0 || port > 65535 ||
        inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    *ret_address = (struct net_address){.length = sizeof(in)};
    memcpy(&ret_address->sa, &in, sizeof(in));
    return true;
}

bool net_parse(const char *text, struct net_address *ret_address)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret_address);
    if (strncmp(text, "tcp:", 4) == 0)
        return parse_tcp(text + 4, ret_address);
    return false;
}

static int open_socket(const struct net_address *address)
{
    int one = 1;
    int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (!address->is_unix)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

int net_listen(const struct net_address *address)
{
    int one = 1;
    int fd = open_socket(address);
    if (fd < 0)
        return fd;
    if (address->is_unix)
        (void)unlink(((const struct sockaddr_un *)&address->sa)->sun_path);
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&address->sa, address->length) == 0 && listen(fd, 4096) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int net_dial(const struct net_address *address)
{
    int fd = open_socket(address);
    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&address->sa, address->length) == 0 || errno == EINPROGRESS)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

uint64_t net_clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

void net_raise_nofile(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fprintf(stderr, "bench: the limit of open files stays low: %s\n", strerror(errno));
}
