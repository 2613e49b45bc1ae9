/* bench/load/link.h — one connection to the proxy, and the request or the tunnel's exchange that it carries.
 * Owned by the run (load.c), which decides what it carries next. One thread. */
#pragma once

#include "bench/load/answer.h"
#include "bench/load/load.h"

#include <stdint.h>
#include <sys/queue.h>

enum link_state {
    LINK_CLOSED,
    LINK_IDLE,    /* open (or still connecting), nothing asked */
    LINK_ASKING,  /* for a tunnel; its 200 is not here */
    LINK_SENDING, /* some of the request is not sent yet; an early answer may come all the same */
    LINK_WAITING, /* all sent */
};

enum link_verdict {
    LINK_PENDING,
    LINK_ANSWERED, /* right answer, connection may be used again */
    LINK_LAST,     /* right answer, but the peer closes now */
    LINK_FAILED,   /* failure is set */
    LINK_VANISHED, /* an idle connection was closed by the peer: nobody's failure */
};

struct request {
    uint64_t intended_ns;
    uint32_t endpoint;
};

struct link {
    enum link_state state;
    int fd;
    int epoll_fd;
    uint32_t events;
    TAILQ_ENTRY(link) entry; /* in the run's list of idle or of closed links */
    const struct load_options *options;
    struct request request;
    char head[1024];
    size_t head_bytes;
    size_t head_sent;
    uint64_t body_left;
    bool tunnelled;        /* CONNECT was answered with 200 ... */
    uint64_t connected_ns; /* ... at this time; without a CONNECT the time of the order */
    enum load_failure failure;
    char failure_note[200];
    struct answer answer;
};

int link_open(struct link *);
/* CLOSED to IDLE, or -errno of the dial. The first send waits for the connect by itself. */
void link_close(struct link *);
enum link_verdict link_start(struct link *, const struct request *);
/* An idle one. A tunnel that is not one yet is asked for first. */
enum link_verdict link_on_event(struct link *, uint32_t events);
