/* bench/load/load.c — the run: when requests are due, which connection takes them, what is counted.
 *
 * Open loop: the schedule is fixed before the first answer. A request that finds all connections busy waits
 * in the backlog, and its latency runs from the time it was due (Gil Tene's "coordinated omission": a
 * generator that waits for a slow proxy before asking again measures only the proxy's good moments). A
 * request that fails, for whatever reason, stands in the histogram at the deadline: failing fast must not
 * look like speed. Lag is the generator's own lateness, from due to noticed; waiting for a free connection is
 * not lag but latency.
 *
 * Closed loop: each connection asks again when it has been answered; for capacity, bulk bodies and warming
 * up.
 *
 * A tunnel is a connection that is opened for one request and closed behind it. */
#include "bench/load/load.h"

#include "bench/load/link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS    UINT64_C(10000000) /* deadlines are looked at every 10 ms: they are seconds long */
#define EVENTS_MAX 256                /* per wait; a frank guess, rarely more than a few are ready */

TAILQ_HEAD(link_list, link);

struct run {
    const struct load_options *options;
    struct load_result *result;
    struct arrivals arrivals;
    struct link *links;
    struct link_list
        idle; /* longest idle first, so that all connections, and all workers behind them, are used */
    struct link_list closed;
    struct request *backlog; /* ring of requests that are due and have no connection */
    size_t backlog_cap, backlog_head, backlog_count;
    int epoll_fd;
    uint32_t busy_count;
    uint64_t start_ns;
    uint64_t last_answer_ns;
    double due_ns; /* the next request's intended time, kept as a fraction so that gaps do not drift */
};

static void count_failure(struct run *r, enum load_failure failure, const char *note)
{
    r->result->failures[failure]++;
    histogram_add(&r->result->latency, r->options->deadline_ns);
    if (options_tunnels(r->options))
        histogram_add(&r->result->setup, r->options->deadline_ns);
    if (r->result->first_failure[0] == '\0')
        snprintf(r->result->first_failure, sizeof(r->result->first_failure), "%s", note);
}

static void close_link(struct run *r, struct link *l)
{
    link_close(l);
    TAILQ_INSERT_TAIL(&r->closed, l, entry);
}

static void count_answer(struct run *r, struct link *l)
{
    uint64_t now = net_clock_ns();
    histogram_add(&r->result->latency, now - l->request.intended_ns);
    if (options_tunnels(r->options)) {
        histogram_add(&r->result->setup, l->connected_ns - l->request.intended_ns);
        histogram_add(&r->result->exchange, now - l->connected_ns);
    }
    r->result->completed++;
    r->result->body_bytes_in += l->answer.body_bytes;
    r->result->body_bytes_out += r->options->upload_bytes;
    r->last_answer_ns = now;
}

static void on_verdict(struct run *r, struct link *l, enum link_verdict verdict)
{
    switch (verdict) {
    case LINK_PENDING: return;
    case LINK_ANSWERED:
        count_answer(r, l);
        TAILQ_INSERT_TAIL(&r->idle, l, entry);
        break;
    case LINK_LAST:
        count_answer(r, l);
        close_link(r, l);
        break;
    case LINK_FAILED:
        count_failure(r, l->failure, l->failure_note);
        close_link(r, l);
        break;
    case LINK_VANISHED:
        TAILQ_REMOVE(&r->idle, l, entry);
        close_link(r, l);
        return; /* it carried nothing */
    }
    assert(r->busy_count > 0);
    r->busy_count--;
}

static bool open_link(struct run *r, struct link *l)
{
    int error = link_open(l);
    if (error < 0) {
        char note[128];
        snprintf(note, sizeof(note), "connect: %s", strerror(-error));
        count_failure(r, FAIL_CONNECT, note);
        return false;
    }
    r->result->connections_opened++;
    TAILQ_REMOVE(&r->closed, l, entry);
    TAILQ_INSERT_TAIL(&r->idle, l, entry);
    return true;
}

/* False when no connection is free. A refused connect has used the request up. */
static bool dispatch(struct run *r, const struct request *request)
{
    if (TAILQ_EMPTY(&r->idle)) {
        struct link *shut = TAILQ_FIRST(&r->closed);
        if (!shut)
            return false;
        if (!open_link(r, shut))
            return true;
    }
    struct link *l = TAILQ_FIRST(&r->idle);
    TAILQ_REMOVE(&r->idle, l, entry);
    r->busy_count++;
    on_verdict(r, l, link_start(l, request));
    return true;
}

static void backlog_push(struct run *r, const struct request *request)
{
    if (r->backlog_count == r->backlog_cap) {
        count_failure(r, FAIL_UNSENT, "backlog full");
        return;
    }
    r->backlog[(r->backlog_head + r->backlog_count++) % r->backlog_cap] = *request;
}

static void drain_backlog(struct run *r)
{
    while (r->backlog_count > 0 && dispatch(r, &r->backlog[r->backlog_head])) {
        r->backlog_head = (r->backlog_head + 1) % r->backlog_cap;
        r->backlog_count--;
    }
}

static bool schedule_open(const struct run *r, uint64_t at_ns)
{
    if (r->options->requests_max)
        return r->result->scheduled < r->options->requests_max;
    return at_ns < r->start_ns + r->options->duration_ns;
}

static void admit_due(struct run *r)
{
    uint64_t now = net_clock_ns();
    while (schedule_open(r, (uint64_t)r->due_ns) && (uint64_t)r->due_ns <= now) {
        struct request request = {(uint64_t)r->due_ns, arrivals_next_endpoint(&r->arrivals)};
        histogram_add(&r->result->lag, now - request.intended_ns);
        r->result->scheduled++;
        r->due_ns += arrivals_next_gap_ns(&r->arrivals);
        if (r->backlog_count > 0 || !dispatch(r, &request))
            backlog_push(r, &request);
        now = net_clock_ns();
    }
}

/* Closed loop: every idle connection asks at once. Closed ones are opened again only on a tick, so that a
 * proxy which is down is not hammered; but tunnels are opened as they are closed. */
static void admit_closed_loop(struct run *r, bool tick)
{
    bool may_open = tick || options_tunnels(r->options);
    while (schedule_open(r, net_clock_ns()) && (!TAILQ_EMPTY(&r->idle) || may_open)) {
        if (TAILQ_EMPTY(&r->idle) && TAILQ_EMPTY(&r->closed))
            return;
        struct request request = {net_clock_ns(), arrivals_next_endpoint(&r->arrivals)};
        uint64_t refused = r->result->failures[FAIL_CONNECT];
        r->result->scheduled++;
        dispatch(r, &request);
        if (r->result->failures[FAIL_CONNECT] != refused)
            return;
    }
}

static void expire(struct run *r)
{
    uint64_t now = net_clock_ns(), deadline = r->options->deadline_ns;
    for (uint32_t i = 0; i < r->options->connections_max; i++) {
        struct link *l = &r->links[i];
        if (l->state != LINK_CLOSED && l->state != LINK_IDLE && now - l->request.intended_ns >= deadline) {
            l->failure = FAIL_DEADLINE;
            snprintf(l->failure_note, sizeof(l->failure_note), "endpoint %u: not answered in time",
                     l->request.endpoint);
            on_verdict(r, l, LINK_FAILED);
        }
    }
    while (r->backlog_count > 0 && now - r->backlog[r->backlog_head].intended_ns >= deadline) {
        r->backlog_head = (r->backlog_head + 1) % r->backlog_cap;
        r->backlog_count--;
        count_failure(r, FAIL_UNSENT, "no free connection before the deadline");
    }
}

static int wait_and_handle(struct run *r, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = net_clock_ns(), wait_ns = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int n = epoll_pwait2(r->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        struct link *l = events[i].data.ptr;
        if (l->state != LINK_CLOSED)
            on_verdict(r, l, link_on_event(l, events[i].events));
    }
    return 0;
}

static int loop(struct run *r)
{
    bool closed_loop = r->options->arrivals.pacing == PACING_CLOSED;
    uint64_t tick_ns = net_clock_ns();
    for (;;) {
        uint64_t now = net_clock_ns();
        bool tick = now >= tick_ns;
        if (tick) {
            expire(r);
            tick_ns = now + TICK_NS;
        }
        if (closed_loop)
            admit_closed_loop(r, tick);
        else
            admit_due(r);
        drain_backlog(r);
        bool more = schedule_open(r, closed_loop ? now : (uint64_t)r->due_ns);
        if (!more && r->busy_count == 0 && r->backlog_count == 0)
            return 0;
        uint64_t until = tick_ns;
        if (more && !closed_loop && (uint64_t)r->due_ns < until)
            until = (uint64_t)r->due_ns;
        int error = wait_and_handle(r, until);
        if (error < 0)
            return error;
    }
}

static int run_init(struct run *r)
{
    const struct load_options *o = r->options;
    TAILQ_INIT(&r->idle);
    TAILQ_INIT(&r->closed);
    int error = arrivals_init(&r->arrivals, &o->arrivals);
    if (error < 0)
        return error;
    /* All that can be due within a deadline, with room for a Poisson bunch. */
    r->backlog_cap = 4096 + (size_t)(2 * o->arrivals.rate_per_s * (double)o->deadline_ns / 1e9);
    r->backlog = malloc(r->backlog_cap * sizeof(*r->backlog));
    r->links = calloc(o->connections_max, sizeof(*r->links));
    if (!r->backlog || !r->links)
        return -ENOMEM;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0)
        return -errno;
    for (uint32_t i = 0; i < o->connections_max; i++) {
        r->links[i] = (struct link){.state = LINK_CLOSED, .fd = -1, .epoll_fd = r->epoll_fd, .options = o};
        TAILQ_INSERT_TAIL(&r->closed, &r->links[i], entry);
    }
    return 0;
}

static void run_fini(struct run *r)
{
    for (uint32_t i = 0; r->links && i < r->options->connections_max; i++)
        link_close(&r->links[i]);
    if (r->epoll_fd >= 0)
        close(r->epoll_fd);
    free(r->links);
    free(r->backlog);
    arrivals_fini(&r->arrivals);
}

int load_run(const struct load_options *options, struct load_result *ret_result)
{
    struct run r = {.options = options, .result = ret_result, .epoll_fd = -1};
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us would be lag */
    int error = run_init(&r);
    if (error == 0) {
        while (!options_tunnels(options) && !TAILQ_EMPTY(&r.closed) && open_link(&r, TAILQ_FIRST(&r.closed)))
            ;
        r.start_ns = net_clock_ns();
        r.last_answer_ns = r.start_ns;
        r.due_ns = (double)r.start_ns + arrivals_next_gap_ns(&r.arrivals);
        error = loop(&r);
        ret_result->elapsed_ns = r.last_answer_ns - r.start_ns;
    }
    run_fini(&r);
    return error;
}
