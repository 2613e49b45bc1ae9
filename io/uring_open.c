/* io/uring_open.c — how sockets come about: accepted, dialled; and their options.
 *
 * System calls are counted here, because a broker of short tunnels makes two sockets for each. An accepted
 * one inherits everything from its listening socket. A dialled one gets TCP_NODELAY at once; what matters
 * only to a connection that lasts (keepalive, TCP_USER_TIMEOUT) it gets when it has lasted, by uring_sweep.c.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "io/engine_uring.h"
#include "io/worker.h"

enum { KEEPALIVE_PROBES = 3, LASTING_MS = 1000 }; /* long against a short tunnel, short against a timeout */

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

void uring_lasting_options(int fd, const struct socket_options *o)
{
    if (o->keepalive_ms > 0) {
        int idle_s = (int)((o->keepalive_ms + 999) / 1000);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle_s < 3 ? 1 : idle_s / 3);
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES); /* TCP_USER_TIMEOUT goes before it */
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
    if (o->user_timeout_ms > 0)
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)o->user_timeout_ms);
}

void uring_listener_options(int fd, const struct socket_options *o)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    uring_lasting_options(fd, o);
}

struct stream *uring_adopt(struct engine *e, int fd, const struct net_peer *peer)
{
    (void)peer;
    struct uring_socket *s = uring_socket_new(container_of(e, struct uring, engine), fd, SOCK_OPEN);
    return s ? &s->stream : NULL;
}

static void connect_to(struct uring_socket *s, const struct net_address *to)
{
    struct uring *u = s->object.uring;
    if (u->addrs_used == URING_SQ_ENTRIES)
        uring_submit(u);
    struct net_address *addr = &u->addrs[u->addrs_used++];
    *addr = *to;
    struct io_uring_sqe *sqe = uring_sqe(u, &s->object, OP_CONNECT);
    sqe->opcode = IORING_OP_CONNECT;
    sqe->fd = s->fd;
    sqe->addr = (uintptr_t)&addr->sa;
    sqe->off = addr->len;
}

struct stream *uring_dial(struct engine *e, const struct net_address *to)
{
    struct uring *u = container_of(e, struct uring, engine);
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : 0;
    struct uring_socket *s = uring_socket_new(u, fd, SOCK_CONNECTING);
    if (!s)
        return NULL;
    if (error != 0) {
        uring_socket_close(s, ending_from_errno(error, true));
        return &s->stream;
    }
    if (to->sa.sa_family != AF_UNIX) {
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        s->options_at_ns = e->worker->now_ns + LASTING_MS * 1000000ull;
    }
    connect_to(s, to);
    return &s->stream;
}
