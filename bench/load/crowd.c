/* bench/load/crowd.c — the crowd: all tunnels are opened and used once, then all but a few stand still.
 *
 * The tunnels that are in use are spread evenly among the others. They exchange at the offered rate, each
 * time the next of them that is free, however late that is: latency runs from the intended time. A tunnel
 * that ends unasked is a failure, whether it was in use or not: that it stays is what is measured. */
#include "bench/load/crowd.h"

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

enum {
    OPENING_MAX = 64, /* at a time; well below every listener's backlog */
    EVENTS_MAX = 256,
};
#define TICK_NS UINT64_C(10000000)

struct crowd {
    const struct load_options *options;
    struct load_result *result;
    struct arrivals arrivals;
    struct link *links;
    int epoll_fd;
    uint32_t started, busy_count;
    uint32_t next_active; /* whose turn it is */
    double due_ns;
    bool behind; /* what is due waits for a tunnel and not for us */
    bool ending;
};

static void count_failure(struct crowd *c, enum load_failure failure, const char *note)
{
    c->result->failures[failure]++;
    histogram_add(&c->result->latency, c->options->deadline_ns);
    if (c->result->first_failure[0] == '\0')
        snprintf(c->result->first_failure, sizeof(c->result->first_failure), "%s", note);
}

static void count_answer(struct crowd *c, struct link *l)
{
    uint64_t now = net_clock_ns();
    const struct load_options *o = c->options;
    if (c->due_ns == 0) /* still opening */
        histogram_add(&c->result->setup, l->connected_ns - l->request.intended_ns);
    else
        histogram_add(&c->result->latency, now - l->request.intended_ns);
    histogram_add(&c->result->exchange, now - l->connected_ns);
    c->result->completed++;
    c->result->body_bytes_in += l->answer.body_bytes;
    c->result->body_bytes_out += o->upload_bytes;
}

static void on_verdict(struct crowd *c, struct link *l, enum link_verdict verdict)
{
    switch (verdict) {
    case LINK_PENDING: return;
    case LINK_ANSWERED: count_answer(c, l); break;
    case LINK_LAST: abort(); /* tunnels of a crowd are kept */
    case LINK_FAILED:
        count_failure(c, l->failure, l->failure_note);
        link_close(l);
        break;
    case LINK_VANISHED:
        count_failure(c, FAIL_RESET, "an idle tunnel was ended");
        link_close(l);
        return; /* it was not busy */
    }
    assert(c->busy_count > 0);
    c->busy_count--;
}

static void start(struct crowd *c, struct link *l, uint64_t intended_ns)
{
    struct request request = {intended_ns, (uint32_t)(l - c->links) % c->options->arrivals.endpoints_count};
    c->result->scheduled++;
    c->busy_count++;
    on_verdict(c, l, link_start(l, &request));
}

static void open_more(struct crowd *c)
{
    while (c->started < c->options->crowd && c->busy_count < OPENING_MAX) {
        struct link *l = &c->links[c->started++];
        int error = link_open(l);
        if (error == 0) {
            c->result->connections_opened++;
            start(c, l, net_clock_ns());
            continue;
        }
        char note[128];
        snprintf(note, sizeof(note), "connect: %s", strerror(-error));
        c->result->scheduled++;
        count_failure(c, FAIL_CONNECT, note);
    }
}

static struct link *active_link(struct crowd *c, uint32_t index)
{
    uint64_t place = (uint64_t)index * c->options->crowd / c->options->crowd_active;
    return &c->links[place];
}

/* False when all that are in use are busy. */
static bool use_one(struct crowd *c, uint64_t intended_ns)
{
    for (uint32_t tries = 0; tries < c->options->crowd_active; tries++) {
        struct link *l = active_link(c, c->next_active);
        c->next_active = (c->next_active + 1) % c->options->crowd_active;
        if (l->state == LINK_IDLE) {
            start(c, l, intended_ns);
            return true;
        }
    }
    return false;
}

static void use_due(struct crowd *c)
{
    uint64_t now = net_clock_ns();
    while (!c->ending && (uint64_t)c->due_ns <= now) {
        uint64_t intended_ns = (uint64_t)c->due_ns;
        if (!c->behind)
            histogram_add(&c->result->lag, now - intended_ns);
        c->behind = !use_one(c, intended_ns);
        if (c->behind)
            return;
        c->due_ns += arrivals_next_gap_ns(&c->arrivals);
        now = net_clock_ns();
    }
}

static void expire(struct crowd *c)
{
    uint64_t now = net_clock_ns();
    for (uint32_t i = 0; i < c->started; i++) {
        struct link *l = &c->links[i];
        if (l->state == LINK_CLOSED || l->state == LINK_IDLE ||
            now - l->request.intended_ns < c->options->deadline_ns)
            continue;
        l->failure = FAIL_DEADLINE;
        snprintf(l->failure_note, sizeof(l->failure_note), "tunnel %u: not answered in time", i);
        on_verdict(c, l, LINK_FAILED);
    }
}

static int wait_and_handle(struct crowd *c, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = net_clock_ns(), wait_ns = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int n = epoll_pwait2(c->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        struct link *l = events[i].data.ptr;
        if (!l)
            c->ending = true; /* nothing is ever written to our stdin: it can only have ended */
        else if (l->state != LINK_CLOSED)
            on_verdict(c, l, link_on_event(l, events[i].events));
    }
    return 0;
}

static int settle(struct crowd *c, bool opening)
{
    uint64_t tick_ns = 0;
    for (;;) {
        if (opening)
            open_more(c);
        if (c->busy_count == 0)
            return 0;
        uint64_t now = net_clock_ns();
        if (now >= tick_ns) {
            expire(c);
            tick_ns = now + TICK_NS;
        }
        int error = wait_and_handle(c, tick_ns);
        if (error < 0)
            return error;
    }
}

static int hold(struct crowd *c)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &ev) != 0)
        return -errno;
    uint64_t tick_ns = net_clock_ns();
    c->due_ns = (double)tick_ns + arrivals_next_gap_ns(&c->arrivals);
    while (!c->ending) {
        uint64_t now = net_clock_ns();
        if (now >= tick_ns) {
            expire(c);
            tick_ns = now + 100 * TICK_NS; /* each looks at all tunnels */
        }
        use_due(c);
        bool sooner = !c->behind && (uint64_t)c->due_ns < tick_ns;
        int error = wait_and_handle(c, sooner ? (uint64_t)c->due_ns : tick_ns);
        if (error < 0)
            return error;
    }
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL) != 0)
        return -errno;
    return settle(c, false);
}

static int run(struct crowd *c)
{
    uint64_t start_ns = net_clock_ns();
    int error = settle(c, true);
    if (error < 0)
        return error;
    uint32_t open = 0;
    for (uint32_t i = 0; i < c->options->crowd; i++)
        open += c->links[i].state == LINK_IDLE;
    printf("{\"open\": %u, \"opened_in_s\": %.3f}\n", open, (double)(net_clock_ns() - start_ns) / 1e9);
    fflush(stdout);
    start_ns = net_clock_ns();
    error = hold(c);
    c->result->elapsed_ns = net_clock_ns() - start_ns;
    return error;
}

int crowd_run(const struct load_options *options, struct load_result *ret_result)
{
    struct crowd c = {.options = options, .result = ret_result};
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us would be lag */
    int error = arrivals_init(&c.arrivals, &options->arrivals);
    if (error < 0)
        return error;
    c.links = calloc(options->crowd, sizeof(*c.links));
    c.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!c.links || c.epoll_fd < 0) {
        error = c.links ? -errno : -ENOMEM;
    } else {
        for (uint32_t i = 0; i < options->crowd; i++)
            c.links[i] = (struct link){
                .state = LINK_CLOSED, .fd = -1, .epoll_fd = c.epoll_fd, .options = options};
        error = run(&c);
        for (uint32_t i = 0; i < options->crowd; i++)
            link_close(&c.links[i]);
    }
    if (c.epoll_fd >= 0)
        close(c.epoll_fd);
    free(c.links);
    arrivals_fini(&c.arrivals);
    return error;
}
