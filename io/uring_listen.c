/* io/uring_listen.c — listening sockets with multishot accept, and readiness watches for foreign descriptors.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/engine_uring.h"
#include "io/worker.h"

enum { ACCEPT_PAUSE_MS = 100 }; /* after EMFILE and the like: a frank guess */

struct uring_listener {
    struct uring_object object;
    struct listener *listener; /* NULL once the owner has let go */
    struct list paused;
    uint64_t retry_at_ns;
    struct net_address address;
    int fd;
};

static void arm_accept(struct uring_listener *l)
{
    struct io_uring_sqe *sqe = uring_sqe(l->object.uring, &l->object, OP_ACCEPT);
    sqe->opcode = IORING_OP_ACCEPT;
    sqe->fd = l->fd;
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_CLOEXEC;
}

static void describe_peer(const struct uring_listener *l, int fd, struct net_peer *peer)
{
    memset(peer, 0, sizeof(*peer));
    if (l->address.sa.sa_family == AF_UNIX) {
        struct ucred cred;
        socklen_t len = sizeof(cred);
        peer->address.un.sun_family = AF_UNIX;
        peer->address.len = sizeof(sa_family_t);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
            peer->has_credentials = true;
            peer->uid = cred.uid;
            peer->gid = cred.gid;
            peer->pid = cred.pid;
        }
        return;
    }
    peer->address.len = sizeof(peer->address.in6);
    if (getpeername(fd, &peer->address.sa, &peer->address.len) < 0)
        peer->address.sa.sa_family = l->address.sa.sa_family; /* already gone: the first read will tell */
    net_address_unmap(&peer->address);
}

static void listener_settle(struct uring_listener *l)
{
    if (l->listener || l->object.ops_out > 0)
        return;
    list_remove(&l->paused);
    uring_slot_give(l->object.uring, &l->object);
    free(l);
}

static void listener_complete(struct uring_object *o, enum uring_op op, int res, uint32_t flags,
                              struct buf *b)
{
    (void)b;
    struct uring_listener *l = container_of(o, struct uring_listener, object);
    struct uring *u = o->uring;
    if (op == OP_ACCEPT && res >= 0) {
        struct net_peer peer;
        if (l->listener) {
            describe_peer(l, res, &peer);
            l->listener->accepted(l->listener, res, &peer);
        } else {
            close(res);
        }
    }
    if (op == OP_ACCEPT && !(flags & IORING_CQE_F_MORE) && l->listener) {
        if (res >= 0 || res == -ECONNABORTED) {
            arm_accept(l);
        } else {
            l->retry_at_ns = u->engine.worker->now_ns + ACCEPT_PAUSE_MS * 1000000ull;
            if (list_empty(&l->paused))
                list_add_tail(&u->listeners, &l->paused);
        }
    }
    listener_settle(l);
}

void uring_listeners_rearm(struct uring *u)
{
    if (LIKELY(list_empty(&u->listeners)))
        return;
    list_each_safe(node, tmp, &u->listeners)
    {
        struct uring_listener *l = list_entry(node, struct uring_listener, paused);
        if (u->engine.worker->now_ns < l->retry_at_ns)
            continue;
        list_remove(node);
        arm_accept(l);
    }
}

/* A socket file that nobody answers on is left over from a process that died; one that answers is in use. */
static int clear_stale_unix(const struct net_address *a)
{
    struct stat st;
    if (lstat(a->un.sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, &a->sa, a->len);
    int err = errno;
    close(fd);
    if (rc == 0 || err == EAGAIN)
        return -EADDRINUSE;
    return unlink(a->un.sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_listener(const struct listen_options *o, const struct socket_options *sockets)
{
    bool is_unix = o->address.sa.sa_family == AF_UNIX;
    int rc = is_unix ? clear_stale_unix(&o->address) : 0;
    if (rc < 0)
        return rc;
    int fd = socket(o->address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1, v6_only = !o->both_kinds;
    if (!is_unix)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!is_unix && o->share_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (o->address.sa.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
    if (!is_unix)
        uring_listener_options(fd, sockets);
    bool ok = bind(fd, &o->address.sa, o->address.len) == 0;
    /* Between bind and listen nobody can connect, so the mode is in force before the first client. */
    if (ok && is_unix)
        ok = chmod(o->address.un.sun_path, o->unix_mode) == 0 &&
             ((o->unix_owner == (uid_t)-1 && o->unix_group == (gid_t)-1) ||
              chown(o->address.un.sun_path, o->unix_owner, o->unix_group) == 0);
    if (ok)
        ok = listen(fd, o->backlog) == 0;
    if (!ok) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int open_some_listener(const struct listen_options *o, const struct socket_options *sockets)
{
    int fd = open_listener(o, sockets);
    if (!o->both_kinds || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL))
        return fd;
    struct listen_options v4 = *o;
    bool parsed = net_address_parse("0.0.0.0", 7, net_address_port(&o->address), &v4.address);
    ASSERT(parsed);
    v4.both_kinds = false;
    return open_listener(&v4, sockets);
}

int uring_listen(struct engine *e, struct listener *listener, const struct listen_options *options)
{
    struct uring *u = container_of(e, struct uring, engine);
    struct uring_listener *l = calloc(1, sizeof(*l));
    if (!l || !uring_slot_take(u, &l->object)) {
        free(l);
        return -ENOMEM;
    }
    l->object.complete = listener_complete;
    l->listener = listener;
    l->address = options->address;
    list_init(&l->paused);
    l->fd = open_some_listener(options, &e->sockets);
    if (l->fd < 0) {
        int rc = l->fd;
        uring_slot_give(u, &l->object);
        free(l);
        return rc;
    }
    listener->engine = e;
    listener->impl = l;
    arm_accept(l);
    return 0;
}

void uring_unlisten(struct listener *listener)
{
    struct uring_listener *l = listener->impl;
    listener->impl = NULL;
    l->listener = NULL;
    list_remove(&l->paused);
    if (l->address.sa.sa_family == AF_UNIX)
        unlink(l->address.un.sun_path);
    shutdown(l->fd, SHUT_RDWR);
    if (l->object.ops_out > 0)
        uring_cancel(l->object.uring, &l->object, OP_ACCEPT);
    close(l->fd); /* the accept holds the file until its last completion */
    listener_settle(l);
}

void uring_refuse(struct engine *e, int fd)
{
    (void)e;
    close(fd);
}

/* -- watches ------------------------------------------------------------------------------------------------
 */

struct uring_watch {
    struct uring_object object;
    struct watch *watch; /* NULL once let go */
};

static void watch_complete(struct uring_object *o, enum uring_op op, int res, uint32_t flags, struct buf *b)
{
    (void)flags;
    (void)b;
    struct uring_watch *w = container_of(o, struct uring_watch, object);
    struct watch *watch = w->watch;
    if (op == OP_POLL && watch) {
        watch->impl = NULL;
        w->watch = NULL;
    }
    if (!w->watch && o->ops_out == 0) {
        uring_slot_give(o->uring, o);
        free(w);
    }
    if (op == OP_POLL && watch) {
        bool failed = res < 0 || (res & (POLLERR | POLLHUP));
        watch->ready(watch, failed || (res & POLLIN), failed || (res & POLLOUT));
    }
}

int uring_watch(struct engine *e, struct watch *watch, int fd, bool readable, bool writable)
{
    struct uring *u = container_of(e, struct uring, engine);
    struct uring_watch *w = calloc(1, sizeof(*w));
    if (!w || !uring_slot_take(u, &w->object)) {
        free(w);
        return -ENOMEM;
    }
    w->object.complete = watch_complete;
    w->watch = watch;
    watch->engine = e;
    watch->impl = w;
    struct io_uring_sqe *sqe = uring_sqe(u, &w->object, OP_POLL);
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = fd;
    sqe->poll32_events = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);
    return 0;
}

void uring_unwatch(struct watch *watch)
{
    struct uring_watch *w = watch->impl;
    if (!w)
        return;
    watch->impl = NULL;
    w->watch = NULL;
    uring_cancel(w->object.uring, &w->object, OP_POLL);
}
