/* tools/kubelet-sim/worker.c — the loop.
 *
 * Each worker has its own listener on the wildcard address with SO_REUSEPORT: 15,000 addresses need no 15,000
 * sockets. A connection to an address that is nobody's is closed at once; where the fleet lives in 127/8 and
 * the kernel lets us, the listener is bound to the loopback device besides, so other interfaces do not even
 * see it. Connections die within a turn and are freed at its end. */
#include "tools/kubelet-sim/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/tls.h"

enum {
    EVENTS_PER_TURN = 256,
    ACCEPTS_PER_TURN = 64,
    BACKLOG = 8192,
    ACCEPT_PAUSE_MS = 100, /* out of descriptors: others must close first */
};

static struct worker *complain(struct worker *worker, const char *what)
{
    fprintf(stderr, "kubelet-sim: %s: %s\n", what, strerror(errno));
    worker_join_and_free(worker);
    return NULL;
}

static int listen_on(const struct sim *sim)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sim->options.port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (sim->fleet.base >> 24 == 127 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0)
        errno = 0; /* not permitted: the check of the local address has to do */
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool watch(struct worker *worker, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct worker *worker_new(struct sim *sim)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return NULL;
    worker->sim = sim;
    worker->listen_fd = worker->wake_fd = -1;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->epoll_fd < 0 || worker->wake_fd < 0 || !watch(worker, worker->wake_fd, &worker->wake_fd))
        return complain(worker, "cannot make an event loop");
    worker->listen_fd = listen_on(sim);
    if (worker->listen_fd < 0 || !watch(worker, worker->listen_fd, &worker->listen_fd))
        return complain(worker, "cannot listen");
    worker->tls = tls_context_new(sim);
    errno = ENOTSUP;
    return worker->tls ? worker : complain(worker, "cannot set TLS up");
}

static void accept_one(struct worker *worker, int fd)
{
    struct sockaddr_in local = {0};
    socklen_t n = sizeof(local);
    int on = 1;
    count(&worker->counters.connections);
    uint32_t node = getsockname(fd, (struct sockaddr *)&local, &n) == 0
                        ? fleet_index(&worker->sim->fleet, local.sin_addr)
                        : FLEET_OUTSIDE;
    if (node == FLEET_OUTSIDE) {
        count(&worker->counters.connections_outside);
        count(&worker->counters.connections_closed);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!conn_new(worker, fd, node)) {
        count(&worker->counters.accept_failures);
        count(&worker->counters.connections_closed);
    }
}

static void on_listener(struct worker *worker)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(worker, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            count(&worker->counters.accept_failures);
            epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->listen_fd, NULL);
            timers_arm(&worker->timers, &worker->listen_timer, worker->now_ns + ACCEPT_PAUSE_MS * 1000000ULL);
        }
        return;
    }
}

static void on_wake(struct worker *worker)
{
    uint64_t n;
    if (read(worker->wake_fd, &n, sizeof(n)) < 0)
        return;
    /* A rebooted node's connections are reset: its ticket floor has just moved (see ticket_forget). */
    for (struct conn *conn = worker->conns, *next; conn; conn = next) {
        next = conn->next;
        if (__atomic_load_n(&worker->sim->fleet.nodes[conn->node].reboot, __ATOMIC_ACQUIRE) > conn->boot)
            conn_end(conn, END_RESET);
    }
}

static void run_timers(struct worker *worker)
{
    for (struct timer *timer; (timer = timers_pop_due(&worker->timers, worker->now_ns));) {
        if (timer == &worker->listen_timer)
            watch(worker, worker->listen_fd, &worker->listen_fd);
        else
            conn_on_timer((struct conn *)((char *)timer - offsetof(struct conn, timer)));
    }
}

static void update_clock(struct worker *worker)
{
    worker->now_ns = clock_ns();
    uint64_t second = worker->now_ns / 1000000000;
    if (second == worker->date_s)
        return;
    worker->date_s = second;
    time_t now_s = time(NULL);
    struct tm tm;
    strftime(worker->date, sizeof(worker->date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now_s, &tm));
}

static int wait_ms(const struct worker *worker)
{
    uint64_t next_ns = timers_next_ns(&worker->timers);
    if (next_ns <= worker->now_ns)
        return 0;
    uint64_t ms = (next_ns - worker->now_ns + 999999) / 1000000;
    return ms > 1000 ? 1000 : (int)ms; /* bounded: the Date field */
}

static void reap(struct worker *worker)
{
    while (worker->dead) {
        struct conn *conn = worker->dead;
        worker->dead = conn->next;
        conn_free(conn);
    }
}

static void *run(void *arg)
{
    struct worker *worker = arg;
    struct epoll_event events[EVENTS_PER_TURN];
    update_clock(worker);
    while (!__atomic_load_n(&worker->sim->stopping, __ATOMIC_ACQUIRE)) {
        int n = epoll_wait(worker->epoll_fd, events, EVENTS_PER_TURN, wait_ms(worker));
        update_clock(worker);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &worker->listen_fd)
                on_listener(worker);
            else if (events[i].data.ptr == &worker->wake_fd)
                on_wake(worker);
            else
                conn_on_event(events[i].data.ptr, events[i].events);
        }
        run_timers(worker);
        reap(worker);
    }
    while (worker->conns)
        conn_end(worker->conns, END_RESET);
    reap(worker);
    return NULL;
}

bool worker_start(struct worker *worker)
{
    int error = pthread_create(&worker->thread, NULL, run, worker);
    worker->started = error == 0;
    if (error)
        fprintf(stderr, "kubelet-sim: cannot start a thread: %s\n", strerror(error));
    return error == 0;
}

void worker_poke(struct worker *worker)
{
    uint64_t one = 1;
    if (write(worker->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full, so a wake is pending */
}

void worker_join_and_free(struct worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    SSL_CTX_free(worker->tls);
    buffer_pool_fini(&worker->buffers);
    timers_fini(&worker->timers);
    const int fds[] = {worker->listen_fd, worker->wake_fd, worker->epoll_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(worker);
}
