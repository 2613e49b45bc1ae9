/* bench/target.c — hawser-target: the far end of tunnels: takes bytes, gives bytes, holds many connections
 * cheaply.
 *
 *   hawser-target ADDRESS
 *
 * It stands behind proxies that pass bytes on without reading them, where a kubelet's TLS would stand. See
 * target.h for what it is told. Bytes go from and to static memory and are counted, not kept; an idle
 * connection is its descriptor and a hundred bytes. One thread, level-triggered epoll. A connection that
 * orders nonsense is closed at once.
 */
#include "bench/target.h"

#include "bench/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CHUNK (256u << 10) /* per receive and send, as in hawser-load */

enum caller_state {
    CALLER_ORDERS, /* an order has come in part or not at all */
    CALLER_SENDS,  /* up_left bytes are to come */
    CALLER_TAKES,  /* down_left bytes are to go */
};

struct caller {
    int fd;
    enum caller_state state;
    uint32_t ipv4, exchanges;
    uint32_t order_bytes, events;
    uint64_t up_left, down_left, received;
    struct target_order order;
    struct target_answer answer;
};

static char chunk_in[CHUNK];
static const char chunk_out[CHUNK];

static bool want(int epoll_fd, struct caller *c, uint32_t events)
{
    if (c->events == events)
        return true;
    struct epoll_event ev = {.events = events, .data.ptr = c};
    bool done = epoll_ctl(epoll_fd, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) == 0;
    c->events = events;
    return done;
}

/* The answer's head and then zeros; false when the connection broke. */
static bool give(int epoll_fd, struct caller *c)
{
    while (c->down_left > 0) {
        uint64_t done = c->order.down_bytes - c->down_left;
        struct iovec parts[2] = {
            {(char *)&c->answer + done, done < sizeof(c->answer) ? sizeof(c->answer) - (size_t)done : 0},
        };
        uint64_t rest = c->down_left - parts[0].iov_len;
        parts[1] = (struct iovec){(char *)chunk_out, rest < CHUNK ? (size_t)rest : CHUNK};
        size_t first = parts[0].iov_len ? 0 : 1;
        struct msghdr message = {.msg_iov = parts + first, .msg_iovlen = 2 - first};
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n < 0)
            return (errno == EAGAIN || errno == EINTR) && want(epoll_fd, c, EPOLLOUT);
        c->down_left -= (uint64_t)n;
    }
    c->state = CALLER_ORDERS;
    c->order_bytes = 0;
    return want(epoll_fd, c, EPOLLIN);
}

static bool answer(int epoll_fd, struct caller *c)
{
    if (c->ipv4 == 0) {
        struct sockaddr_in local = {0};
        socklen_t length = sizeof(local);
        if (getsockname(c->fd, (struct sockaddr *)&local, &length) != 0)
            return false;
        c->ipv4 = ntohl(local.sin_addr.s_addr);
    }
    c->answer = (struct target_answer){c->ipv4, ++c->exchanges, c->received};
    c->down_left = c->order.down_bytes;
    c->state = CALLER_TAKES;
    return give(epoll_fd, c);
}

/* Returns how many of the bytes belong to the order; *ret_sane is false when the order is not one. */
static size_t take_order(struct caller *c, const char *bytes, size_t count, bool *ret_sane)
{
    size_t missing = sizeof(c->order) - c->order_bytes;
    size_t taken = count < missing ? count : missing;
    memcpy((char *)&c->order + c->order_bytes, bytes, taken);
    c->order_bytes += (uint32_t)taken;
    *ret_sane = true;
    if (c->order_bytes == sizeof(c->order)) {
        *ret_sane = c->order.magic == TARGET_MAGIC && c->order.down_bytes >= sizeof(c->answer);
        c->up_left = c->order.up_bytes;
        c->received = 0;
        c->state = CALLER_SENDS;
    }
    return taken;
}

/* One receive; false when the connection is over. */
static bool take(int epoll_fd, struct caller *c)
{
    ssize_t n = recv(c->fd, chunk_in, sizeof(chunk_in), 0);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    size_t count = (size_t)n, used = 0;
    if (c->state == CALLER_ORDERS) {
        bool sane;
        used = take_order(c, chunk_in, count, &sane);
        if (!sane)
            return false;
    }
    if (c->state != CALLER_SENDS)
        return used ==
               count; /* of a part of an order; or bytes behind what was announced, which is nonsense */
    if (count - used > c->up_left)
        return false;
    c->received += count - used;
    c->up_left -= count - used;
    return c->up_left > 0 || answer(epoll_fd, c);
}

static void accept_all(int listen_fd, int epoll_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN)
                fprintf(stderr, "hawser-target: accept: %s\n", strerror(errno));
            return;
        }
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct caller *c = calloc(1, sizeof(*c));
        if (!c)
            abort(); /* a benchmark that runs out of memory has no result */
        c->fd = fd;
        if (!want(epoll_fd, c, EPOLLIN))
            abort();
    }
}

static int run(int listen_fd, int epoll_fd)
{
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            struct caller *c = events[i].data.ptr;
            if (!c) {
                accept_all(listen_fd, epoll_fd);
            } else if (!(events[i].events & EPOLLOUT ? give(epoll_fd, c) : take(epoll_fd, c))) {
                close(c->fd);
                free(c);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct net_address address;
    if (argc != 2 || !net_parse(argv[1], &address)) {
        fprintf(stderr, "usage: hawser-target tcp:IPV4:PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    net_raise_nofile();
    int listen_fd = net_listen(&address);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (listen_fd < 0 || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) != 0) {
        fprintf(stderr, "hawser-target: %s: %s\n", argv[1], strerror(listen_fd < 0 ? -listen_fd : errno));
        return 1;
    }
    int error = run(listen_fd, epoll_fd);
    fprintf(stderr, "hawser-target: %s\n", strerror(-error));
    return 1;
}
