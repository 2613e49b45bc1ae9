/* bench/relay.c — hawser-relay: the floor under every proxy.
 *
 *   hawser-relay LISTEN_ADDRESS TO_ADDRESS
 *
 * Joins each accepted connection with one dialled connection and moves bytes, reading nothing in them: no
 * HTTP, no TLS, no pool, no choice. What it costs per request is what the kernel asks for the same socket
 * calls, and what a proxy costs above it is the proxy. Level-triggered epoll: one wait, one recv and one send
 * per direction. One thread. Its sibling on Hawser's own rings is ring_relay.c. */
#include "bench/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RELAY_BUFFER                                                                                         \
    (64u << 10) /* a small answer in one piece; what the proxies use lies between 16 and 64 KiB */

/* One direction: bytes [done, filled) wait to be written to the other side. */
struct half {
    int fd;
    struct half *other;
    struct pair *pair;
    size_t done, filled;
    char bytes[RELAY_BUFFER]; /* read from fd, to be written to other->fd */
};

struct pair {
    struct half front, back;
};

static struct net_address to_address;

static struct pair *pair_new(int front_fd)
{
    int back_fd = net_dial(&to_address);
    if (back_fd < 0) {
        fprintf(stderr, "hawser-relay: dial: %s\n", strerror(-back_fd));
        close(front_fd);
        return NULL;
    }
    struct pair *p = calloc(1, sizeof(*p));
    if (!p)
        abort(); /* a benchmark that runs out of memory has no result */
    p->front = (struct half){.fd = front_fd, .other = &p->back, .pair = p};
    p->back = (struct half){.fd = back_fd, .other = &p->front, .pair = p};
    return p;
}

static void pair_free(struct pair *p)
{
    close(p->front.fd);
    close(p->back.fd);
    free(p);
}

/* A half with bytes that did not fit waits for room on the other side and reads nothing meanwhile. */
static void epoll_want(int epoll_fd, struct half *h, int op)
{
    struct epoll_event ev = {.data.ptr = h};
    ev.events = (h->filled == h->done ? EPOLLIN : 0u) | (h->other->filled > h->other->done ? EPOLLOUT : 0u);
    if (epoll_ctl(epoll_fd, op, h->fd, &ev) != 0)
        abort();
}

static bool half_write(struct half *h)
{
    ssize_t n = send(h->other->fd, h->bytes + h->done, h->filled - h->done, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == ENOTCONN;
    h->done += (size_t)n;
    return true;
}

static bool half_pump(int epoll_fd, struct half *h)
{
    ssize_t n = recv(h->fd, h->bytes, sizeof(h->bytes), 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    h->done = 0;
    h->filled = (size_t)n;
    if (!half_write(h))
        return false;
    if (h->done < h->filled) {
        epoll_want(epoll_fd, h, EPOLL_CTL_MOD);
        epoll_want(epoll_fd, h->other, EPOLL_CTL_MOD);
    }
    return true;
}

static bool epoll_on_half(int epoll_fd, struct half *h, uint32_t events)
{
    struct half *stuck = h->other;
    if ((events & EPOLLOUT) && stuck->done < stuck->filled) {
        if (!half_write(stuck))
            return false;
        if (stuck->done == stuck->filled) {
            epoll_want(epoll_fd, h, EPOLL_CTL_MOD);
            epoll_want(epoll_fd, stuck, EPOLL_CTL_MOD);
        }
    }
    if (events & (EPOLLHUP | EPOLLERR))
        return false;
    return !(events & EPOLLIN) || half_pump(epoll_fd, h);
}

static void epoll_accept(int epoll_fd, int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *p = fd >= 0 ? pair_new(fd) : NULL;
    if (!p)
        return;
    epoll_want(epoll_fd, &p->front, EPOLL_CTL_ADD);
    epoll_want(epoll_fd, &p->back, EPOLL_CTL_ADD);
}

/* Ends one pair per wait at most and forgets the rest of that batch: a later event in it may name the freed
 * pair. */
static int epoll_run(int listen_fd)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) != 0)
        return -errno;
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            struct half *h = events[i].data.ptr;
            if (!h) {
                epoll_accept(epoll_fd, listen_fd);
            } else if (!epoll_on_half(epoll_fd, h, events[i].events)) {
                pair_free(h->pair);
                break;
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct net_address listen_address;
    if (argc != 3 || !net_parse(argv[1], &listen_address) || !net_parse(argv[2], &to_address)) {
        fprintf(stderr, "usage: hawser-relay LISTEN_ADDRESS TO_ADDRESS\n");
        return 2;
    }
    net_raise_nofile();
    int listen_fd = net_listen(&listen_address);
    if (listen_fd < 0) {
        fprintf(stderr, "hawser-relay: %s: %s\n", argv[1], strerror(-listen_fd));
        return 1;
    }
    int error = epoll_run(listen_fd);
    fprintf(stderr, "hawser-relay: %s\n", strerror(-error));
    return 1;
}
