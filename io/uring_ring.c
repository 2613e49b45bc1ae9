/* io/uring_ring.c — the ring itself: probing, set-up, SQEs, slots. See engine_uring.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/engine_uring.h"
#include "io/worker.h"

enum {
    SOCKETS_MAX = 1 << 20,
    SEG_NODES_MAX = 1 << 20,
    FIRST_SLOTS = 1024,
    GENERATION_MASK = 0xffffff,
};

/* -- probing ------------------------------------------------------------------------------------------------
 */

static int read_number(const char *path)
{
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? (int)strtol(text, NULL, 10) : -1;
}

static bool seccomp_filter_active(void)
{
    char line[128];
    int mode = 0;
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "Seccomp: %d", &mode) == 1)
            break;
    fclose(f);
    return mode == 2;
}

static void explain_setup_error(int err, struct engine_probe *p)
{
    int disabled = read_number("/proc/sys/kernel/io_uring_disabled");
    switch (err) {
    case EPERM:
        snprintf(p->detail, sizeof(p->detail),
                 "io_uring is not permitted (EPERM): kernel.io_uring_disabled=%d, seccomp filter %s; set the "
                 "sysctl to 0 "
                 "or allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp "
                 "profile",
                 disabled, seccomp_filter_active() ? "active" : "not active");
        break;
    case ENOSYS:
        snprintf(p->detail, sizeof(p->detail),
                 "this kernel has no io_uring (ENOSYS), or a sandbox hides it; seccomp filter %s; Linux 6.1 "
                 "or newer is needed",
                 seccomp_filter_active() ? "active" : "not active");
        break;
    case ENOMEM:
        snprintf(p->detail, sizeof(p->detail),
                 "io_uring set-up is out of locked memory (ENOMEM): raise RLIMIT_MEMLOCK (LimitMEMLOCK=64M)");
        break;
    default: snprintf(p->detail, sizeof(p->detail), "io_uring set-up failed: %s", strerror(err)); break;
    }
}

static int try_ring(struct io_uring *ring, unsigned entries, unsigned flags)
{
    struct io_uring_params params = {.flags = flags};
    return io_uring_queue_init_params(entries, ring, &params);
}

/* Arms a capped multishot receive on a socketpair: kernels before 6.17 refuse the field. */
static bool probe_byte_cap(struct io_uring *ring, struct io_uring_buf_ring *br, void *mem)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return false;
    io_uring_buf_ring_add(br, mem, 64, 0, io_uring_buf_ring_mask(2), 0);
    io_uring_buf_ring_add(br, (char *)mem + 64, 64, 1, io_uring_buf_ring_mask(2), 1);
    io_uring_buf_ring_advance(br, 2);
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_recv_multishot(sqe, fds[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->file_index = 4; /* the total byte cap shares this field */
    bool capped = false;
    if (write(fds[1], "12345678", 8) == 8) {
        struct __kernel_timespec limit = {.tv_nsec = 100000000};
        struct io_uring_cqe *cqe;
        if (io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL) >= 0 && cqe) {
            /* The receive that reaches the cap is the last; it may exceed it by what its buffer holds. */
            capped = cqe->res > 0 && !(cqe->flags & IORING_CQE_F_MORE);
            io_uring_cqe_seen(ring, cqe);
        }
    }
    close(fds[0]);
    close(fds[1]);
    return capped;
}

void engine_uring_probe(struct engine_probe *p)
{
    memset(p, 0, sizeof(*p));
    struct io_uring ring;
    unsigned best = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
    int rc = try_ring(&ring, 8, best);
    p->defer_taskrun = rc == 0;
    if (rc == -EINVAL)
        rc = try_ring(&ring, 8, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL);
    if (rc == -EINVAL)
        rc = try_ring(&ring, 8, 0);
    if (rc < 0) {
        explain_setup_error(-rc, p);
        return;
    }
    struct io_uring_probe *ops = io_uring_get_probe_ring(&ring);
    p->msg_ring = ops && io_uring_opcode_supported(ops, IORING_OP_MSG_RING);
    bool socket_ops = ops && io_uring_opcode_supported(ops, IORING_OP_SOCKET);
    if (ops)
        io_uring_free_probe(ops);
    void *mem = NULL;
    if (posix_memalign(&mem, 4096, 8192) == 0) {
        struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)mem, .ring_entries = 2, .bgid = 0};
        io_uring_buf_ring_init(mem);
        p->buffer_rings = io_uring_register_buf_ring(&ring, &reg, 0) == 0;
        if (p->buffer_rings)
            p->byte_cap = probe_byte_cap(&ring, mem, (char *)mem + 4096);
    }
    io_uring_queue_exit(&ring);
    free(mem);
    p->usable = p->msg_ring && p->buffer_rings && socket_ops;
    if (p->usable)
        snprintf(p->detail, sizeof(p->detail), "io_uring with%s deferred task work,%s receive byte cap",
                 p->defer_taskrun ? "" : "out", p->byte_cap ? "" : " no");
    else
        snprintf(p->detail, sizeof(p->detail),
                 "this kernel's io_uring is too old: message between rings %s, provided buffer rings %s; "
                 "Linux 6.1 or newer is needed",
                 p->msg_ring ? "present" : "missing", p->buffer_rings ? "present" : "missing");
}

/* -- slots and SQEs -----------------------------------------------------------------------------------------
 */

uint64_t uring_name(const struct uring *u, const struct uring_object *o, enum uring_op op)
{
    return (uint64_t)op << 56 | (uint64_t)(u->slots[o->slot].generation & GENERATION_MASK) << 32 | o->slot;
}

bool uring_slot_take(struct uring *u, struct uring_object *o)
{
    if (u->slot_free == UINT32_MAX) {
        uint32_t count = u->slot_count ? u->slot_count * 2 : FIRST_SLOTS;
        struct uring_slot *slots = realloc(u->slots, count * sizeof(*slots));
        if (!slots)
            return false;
        for (uint32_t i = u->slot_count; i < count; i++)
            slots[i] = (struct uring_slot){.next_free = i + 1 < count ? i + 1 : UINT32_MAX};
        u->slot_free = u->slot_count;
        u->slots = slots;
        u->slot_count = count;
    }
    o->slot = u->slot_free;
    o->uring = u;
    u->slot_free = u->slots[o->slot].next_free;
    u->slots[o->slot].object = o;
    u->slots_used++;
    return true;
}

void uring_slot_give(struct uring *u, struct uring_object *o)
{
    ASSERT(o->ops_out == 0);
    struct uring_slot *slot = &u->slots[o->slot];
    ASSERT(slot->object == o);
    slot->object = NULL;
    u->slots_used--;
    slot->generation++;
    slot->next_free = u->slot_free;
    u->slot_free = o->slot;
}

void uring_submit(struct uring *u)
{
    io_uring_submit(&u->ring);
    u->iovs_used = u->msgs_used = u->addrs_used = 0;
}

struct io_uring_sqe *uring_sqe(struct uring *u, struct uring_object *o, enum uring_op op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (UNLIKELY(!sqe)) {
        uring_submit(u);
        sqe = io_uring_get_sqe(&u->ring);
        ASSERT(sqe != NULL); /* submission consumes the whole queue: SUBMIT_ALL */
    }
    memset(sqe, 0, sizeof(*sqe));
    if (o) {
        sqe->user_data = uring_name(u, o, op);
        o->ops_out++;
    }
    return sqe;
}

void uring_cancel(struct uring *u, struct uring_object *o, enum uring_op op)
{
    struct io_uring_sqe *sqe = uring_sqe(u, o, OP_CANCEL);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = uring_name(u, o, op);
}

/* -- engine -------------------------------------------------------------------------------------------------
 */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t uring_now(struct engine *e)
{
    (void)e;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t uring_wall(struct engine *e)
{
    (void)e;
    return clock_ns(CLOCK_REALTIME);
}

static void uring_random(struct engine *e, void *bytes, size_t len)
{
    (void)e;
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom((char *)bytes + done, len - done, 0);
        if (n > 0)
            done += (size_t)n;
    }
}

static void uring_wake(struct engine *e, unsigned worker)
{
    struct uring *u = container_of(e, struct uring, engine);
    struct uring *target = container_of(e->worker->peers[worker]->engine, struct uring, engine);
    struct io_uring_sqe *sqe = uring_sqe(u, NULL, OP_WAKE);
    sqe->opcode = IORING_OP_MSG_RING;
    sqe->fd = target->ring.ring_fd;
    sqe->off = (uint64_t)OP_WAKE << 56; /* the user_data that arrives there */
    sqe->user_data = (uint64_t)OP_WAKE << 56;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    u->wakes_somebody = true;
}

static void uring_free(struct engine *e)
{
    struct uring *u = container_of(e, struct uring, engine);
    /* Cancelled accepts and polls still owe their last completion. */
    for (int i = 0; u->enabled && u->slots_used > 0 && i < 100; i++)
        uring_turn(e, clock_ns(CLOCK_MONOTONIC) + 10000000u);
    io_uring_queue_exit(&u->ring);
    uring_groups_fini(u);
    slab_fini(&u->sockets);
    slab_fini(&u->seg_nodes);
    free(u->slots);
    free(u->iovs);
    free(u->msgs);
    free(u->addrs);
    free(u);
}

static const struct engine_ops uring_ops = {
    .name = "uring",
    .listen = uring_listen,
    .unlisten = uring_unlisten,
    .adopt = uring_adopt,
    .refuse = uring_refuse,
    .dial = uring_dial,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .wake = uring_wake,
    .turn = uring_turn,
    .now_ns = uring_now,
    .wall_ns = uring_wall,
    .random = uring_random,
    .free = uring_free,
};

static int ring_setup(struct uring *u, const struct engine_probe *probe)
{
    unsigned flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
    flags |= probe->defer_taskrun ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
                                  : IORING_SETUP_COOP_TASKRUN;
    unsigned sq = URING_SQ_ENTRIES, cq = URING_CQ_ENTRIES;
    for (int attempt = 0;; attempt++) {
        struct io_uring_params params = {.flags = flags, .cq_entries = cq};
        int rc = io_uring_queue_init_params(sq, &u->ring, &params);
        if (rc != -ENOMEM || attempt == 1)
            return rc;
        sq /= 2; /* locked memory is short: once smaller, then give up with a clear reason */
        cq /= 2;
    }
}

int engine_uring_new(struct worker *w, const struct engine_probe *probe, struct engine **ret)
{
    struct uring *u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    u->engine = (struct engine){.ops = &uring_ops, .worker = w};
    u->byte_cap = probe->byte_cap;
    u->slot_free = UINT32_MAX;
    list_init(&u->dirty);
    list_init(&u->ready);
    list_init(&u->starved);
    list_init(&u->sweep);
    list_init(&u->listeners);
    slab_init(&u->sockets, "sockets", sizeof(struct uring_socket), SOCKETS_MAX);
    slab_init(&u->seg_nodes, "segments", sizeof(struct segq_node), SEG_NODES_MAX);
    u->iovs = calloc(URING_IOVS, sizeof(*u->iovs));
    u->msgs = calloc(URING_SQ_ENTRIES, sizeof(*u->msgs));
    u->addrs = calloc(URING_SQ_ENTRIES, sizeof(*u->addrs));
    int rc = u->iovs && u->msgs && u->addrs ? ring_setup(u, probe) : -ENOMEM;
    if (rc == 0) {
        rc = uring_groups_init(u);
        if (rc < 0)
            io_uring_queue_exit(&u->ring);
    }
    if (rc < 0) {
        free(u->iovs);
        free(u->msgs);
        free(u->addrs);
        free(u);
        return rc;
    }
    *ret = &u->engine;
    return 0;
}
