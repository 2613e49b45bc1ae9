/* bench/responder.c — hawser-responder: answers every plain HTTP/1.1 GET with the same bytes, as cheaply as
 * can be.
 *
 *   hawser-responder ADDRESS BODY_BYTES
 *
 * It stands behind the bare relay, where a kubelet stands behind a proxy: the relay speaks no TLS. It looks
 * for the empty line and reads nothing else, so it must only ever be shown to hawser-load. One thread,
 * level-triggered epoll; a connection is its descriptor and no state, for hawser-load never splits a request.
 */
#include "bench/net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BODY_MAX (64u << 10) /* small answers only: a whole one must fit a socket buffer at once */

static char answer[BODY_MAX + 256];
static size_t answer_bytes;

static bool serve(int fd)
{
    char in[4096];
    ssize_t n = recv(fd, in, sizeof(in), 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n < 4 || memcmp(in + n - 4, "\r\n\r\n", 4) != 0)
        return false;
    return send(fd, answer, answer_bytes, MSG_NOSIGNAL) == (ssize_t)answer_bytes;
}

static int run(int listen_fd, int epoll_fd)
{
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listen_fd) {
                if (!serve(fd))
                    close(fd);
                continue;
            }
            int peer = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            struct epoll_event ev = {.events = EPOLLIN, .data.fd = peer};
            if (peer >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, peer, &ev) != 0)
                close(peer);
        }
    }
}

int main(int argc, char **argv)
{
    struct net_address address;
    unsigned long body = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc != 3 || !net_parse(argv[1], &address) || body == 0 || body > BODY_MAX) {
        fprintf(stderr, "usage: hawser-responder unix:PATH|tcp:IPV4:PORT BODY_BYTES\n");
        return 2;
    }
    net_raise_nofile();
    int head = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", body);
    answer_bytes = (size_t)head + body;
    int listen_fd = net_listen(&address);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listen_fd};
    if (listen_fd < 0 || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) != 0) {
        fprintf(stderr, "hawser-responder: %s: %s\n", argv[1], strerror(listen_fd < 0 ? -listen_fd : errno));
        return 1;
    }
    int error = run(listen_fd, epoll_fd);
    fprintf(stderr, "hawser-responder: %s\n", strerror(-error));
    return 1;
}
