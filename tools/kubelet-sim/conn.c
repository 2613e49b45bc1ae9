/* tools/kubelet-sim/conn.c — a connection's life and its bytes.
 *
 * One table says for each state which states may follow, what epoll is asked for, and how long it may last;
 * one function writes the state. Bytes move only in conn_fill and conn_flush, one TLS record a call. epoll is
 * level-triggered: after a record we do not try again until the kernel says so, unless OpenSSL itself still
 * holds bytes, so a request on a warm connection costs one epoll_wait, one read and one write. A connection
 * is freed at the end of the turn only. */
#include "tools/kubelet-sim/conn.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/kubelet-sim/exchange.h"
#include "tools/kubelet-sim/tls.h"
#include "tools/kubelet-sim/worker.h"

enum {
    FIRST_REQUEST_MS = 4 * 3600 *
                       1000, /* a kubelet's ReadTimeout is all that bounds a silent new connection */
    LINGER_MS = 500,         /* Go's rstAvoidanceDelay */
    FUSE_MS = 20,            /* so that the peer has read what came before the reset; a frank guess */
    DRIP_TICK_MS = 50,
    HEAD_BYTES_MAX = 1 << 20, /* Go's MaxHeaderBytes as the kubelet leaves it */
};

#define B(state) (1u << (state))
#define ANY_END  (B(CONN_LINGER) | B(CONN_DEAD))
static const struct {
    uint32_t next, interest;
    uint64_t timeout_ms; /* 0: the caller arms, or nothing does */
} states[] = {
    [CONN_HANDSHAKE] = {B(CONN_HEAD) | B(CONN_DEAD),                              EPOLLIN,              FIRST_REQUEST_MS},
    [CONN_HEAD] = {B(CONN_WAIT) | B(CONN_EXCHANGE) | B(CONN_HOLD) | ANY_END, EPOLLIN,              0               },
    [CONN_WAIT] = {B(CONN_EXCHANGE) | B(CONN_FUSE) | ANY_END,                EPOLLRDHUP,           0               },
    [CONN_EXCHANGE] = {B(CONN_HEAD) | B(CONN_FUSE) | ANY_END,                    EPOLLIN | EPOLLRDHUP, 0               },
    [CONN_FUSE] = {ANY_END,                                                  EPOLLRDHUP,           FUSE_MS         },
    [CONN_HOLD] = {B(CONN_DEAD),                                             EPOLLRDHUP,           0               },
    [CONN_LINGER] = {B(CONN_DEAD),                                             EPOLLIN,              LINGER_MS       },
    [CONN_DEAD] = {0,                                                        0,                    0               },
};

void conn_arm_ms(struct conn *conn, uint64_t ms)
{
    timers_arm(&conn->worker->timers, &conn->timer, conn->worker->now_ns + ms * 1000000);
}

void conn_set_state(struct conn *conn, enum conn_state state)
{
    assert(states[conn->state].next & B(state));
    conn->state = state;
    if (states[state].timeout_ms)
        conn_arm_ms(conn, states[state].timeout_ms);
    else if (state == CONN_HEAD)
        conn_arm_ms(conn, conn->requests ? conn->worker->sim->options.idle_timeout_ms : FIRST_REQUEST_MS);
    else if (conn->timer.at &&
             state != CONN_EXCHANGE) /* in an exchange the idle deadline is ignored: see on_timer */
        timers_disarm(&conn->worker->timers, &conn->timer);
}

static void set_interest(struct conn *conn, uint32_t interest)
{
    if (interest == conn->interest || conn->state == CONN_DEAD)
        return;
    struct epoll_event event = {.events = interest, .data.ptr = conn};
    if (epoll_ctl(conn->worker->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == 0)
        conn->interest = interest;
}

static void watch(struct conn *conn)
{
    uint32_t interest = states[conn->state].interest;
    if (conn->state == CONN_HANDSHAKE && SSL_want_write(conn->ssl))
        interest = EPOLLOUT;
    if (conn->state == CONN_EXCHANGE) {
        /* An unfinished turn asks for "writable", which is true at once, to be called again next turn. While
         * the client must read first, its further bytes wait in the kernel. */
        bool paced = conn->timer.due_ns > conn->worker->now_ns && fault_on(&conn->plan, FAULT_DRIP);
        if (buffer_filled(conn->out) || conn->unfinished)
            interest = paced ? EPOLLRDHUP : EPOLLOUT | EPOLLRDHUP;
        else if (conn->body.ended && conn->reply.kind != REPLY_TUNNEL)
            interest = EPOLLRDHUP;
    } else if (conn->unfinished) {
        interest |= EPOLLOUT;
    }
    set_interest(conn, interest);
}

static void bury(struct conn *conn)
{
    struct worker *worker = conn->worker;
    conn_set_state(conn, CONN_DEAD);
    timers_disarm(&worker->timers, &conn->timer);
    close(conn->fd);
    conn->fd = -1;
    if (conn->next)
        conn->next->previous = conn->previous;
    *(conn->previous ? &conn->previous->next : &worker->conns) = conn->next;
    conn->next = worker->dead;
    worker->dead = conn;
    count(&worker->counters.connections_closed);
}

void conn_end(struct conn *conn, enum conn_end how)
{
    if (conn->state == CONN_DEAD)
        return;
    if (how == END_RESET) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        bury(conn);
        return;
    }
    if (conn->state == CONN_LINGER || conn->state == CONN_HANDSHAKE || conn->state == CONN_HOLD) {
        bury(conn);
        return;
    }
    ERR_clear_error();
    if (how == END_CLEAN)
        SSL_shutdown(conn->ssl);
    shutdown(conn->fd, SHUT_WR);
    conn_set_state(conn, CONN_LINGER);
}

void conn_free(struct conn *conn)
{
    assert(conn->state == CONN_DEAD);
    buffer_give(&conn->worker->buffers, &conn->in);
    buffer_give(&conn->worker->buffers, &conn->out);
    reply_fini(&conn->reply);
    SSL_free(conn->ssl);
    free(conn);
}

struct conn *conn_new(struct worker *worker, int fd, uint32_t node)
{
    struct sim *sim = worker->sim;
    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return NULL;
    }
    *conn = (struct conn){
        .worker = worker, .fd = fd, .node = node, .authenticated = -1, .state = CONN_HANDSHAKE};
    conn->boot = __atomic_load_n(&sim->fleet.nodes[node].reboot, __ATOMIC_ACQUIRE);
    conn->ordinal = __atomic_fetch_add(&sim->fleet.nodes[node].connections, 1, __ATOMIC_RELAXED);
    if (fault_draw(sim_faults(sim), node, MOMENT_ACCEPT, conn->ordinal, &conn->plan))
        count(&worker->counters.faults);
    if (fault_on(&conn->plan, FAULT_BLACKHOLE)) {
        conn->state = CONN_HOLD;
    } else if (!(conn->ssl = tls_new(conn))) {
        close(fd);
        free(conn);
        return NULL;
    }
    struct epoll_event event = {.events = states[conn->state].interest, .data.ptr = conn};
    conn->interest = event.events;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        SSL_free(conn->ssl);
        close(fd);
        free(conn);
        return NULL;
    }
    if (conn->state == CONN_HANDSHAKE)
        conn_arm_ms(conn, FIRST_REQUEST_MS);
    conn->next = worker->conns;
    if (conn->next)
        conn->next->previous = conn;
    worker->conns = conn;
    return conn;
}

static void handshake(struct conn *conn)
{
    struct counters *counters = &conn->worker->counters;
    struct node *node = &conn->worker->sim->fleet.nodes[conn->node];
    ERR_clear_error();
    int r = SSL_do_handshake(conn->ssl);
    if (r != 1) {
        int error = SSL_get_error(conn->ssl, r);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
            return;
        count(&counters->handshakes_failed);
        __atomic_fetch_add(&node->handshakes_failed, 1, __ATOMIC_RELAXED);
        conn_end(conn, END_SILENT);
        return;
    }
    conn->resumed = SSL_session_reused(conn->ssl);
    count(conn->resumed ? &counters->handshakes_resumed : &counters->handshakes_full);
    __atomic_fetch_add(conn->resumed ? &node->handshakes_resumed : &node->handshakes_full, 1,
                       __ATOMIC_RELAXED);
    count(SSL_version(conn->ssl) == TLS1_3_VERSION ? &counters->handshakes_tls13
                                                   : &counters->handshakes_tls12);
    conn->readable = SSL_has_pending(conn->ssl);
    conn_set_state(conn, CONN_HEAD);
}

enum fill conn_fill(struct conn *conn)
{
    if (!conn->readable && !SSL_has_pending(conn->ssl))
        return FILL_LATER;
    struct buffer_pool *pool = &conn->worker->buffers;
    if (!conn->in)
        conn->in = buffer_take(pool);
    if (conn->in->start == conn->in->end)
        conn->in->start = conn->in->end = 0;
    if (buffer_room(conn->in) < conn->in->cap / 2 && conn->in->start > 0)
        buffer_compact(conn->in);
    if (buffer_room(conn->in) == 0) {
        if (conn->in->cap >= HEAD_BYTES_MAX) {
            conn_end(conn, END_CLEAN);
            return FILL_GONE;
        }
        conn->in = buffer_grow(pool, &conn->in);
    }
    size_t room = buffer_room(conn->in);
    ERR_clear_error();
    int n = SSL_read(conn->ssl, conn->in->at + conn->in->end, (int)room);
    conn->readable = n >= BUFFER_BYTES / 2; /* a big record seldom comes alone; else wait for epoll's word */
    if (n > 0) {
        conn->in->end += (size_t)n;
        return FILL_DATA;
    }
    int error = SSL_get_error(conn->ssl, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return FILL_LATER;
    conn_end(conn, error == SSL_ERROR_ZERO_RETURN ? END_CLEAN : END_SILENT);
    return FILL_GONE;
}

/* How many bytes of n may go now; 0: the timer is armed for the next ones. */
static size_t drip_allows(struct conn *conn, size_t n)
{
    uint64_t rate = (uint64_t)conn->plan.value[FAULT_DRIP];
    uint64_t piece = rate * DRIP_TICK_MS / 1000, tick_ms = DRIP_TICK_MS;
    if (piece == 0) {
        piece = 1;
        tick_ms = 1000 / rate;
    }
    if (conn->worker->now_ns < conn->drip_next_ns) {
        timers_arm(&conn->worker->timers, &conn->timer, conn->drip_next_ns);
        return 0;
    }
    conn->drip_next_ns = conn->worker->now_ns + tick_ms * 1000000;
    return n < piece ? n : (size_t)piece;
}

enum flush conn_flush(struct conn *conn)
{
    struct buffer *out = conn->out;
    while (buffer_filled(out)) {
        size_t n = buffer_filled(out);
        if (fault_on(&conn->plan, FAULT_DRIP) && (n = drip_allows(conn, n)) == 0)
            return FLUSH_LATER;
        if (conn->fuse_set && n > conn->fuse_left)
            n = (size_t)conn->fuse_left;
        ERR_clear_error();
        int written = n > 0 ? SSL_write(conn->ssl, out->at + out->start, (int)n) : 0;
        if (n > 0 && written <= 0) {
            int error = SSL_get_error(conn->ssl, written);
            if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
                return FLUSH_LATER;
            conn_end(conn, END_SILENT);
            return FLUSH_GONE;
        }
        out->start += (size_t)written;
        count_n(&conn->worker->counters.bytes_out, (uint64_t)written);
        if (conn->fuse_set && (conn->fuse_left -= (uint64_t)written) == 0) {
            conn_set_state(conn, CONN_FUSE);
            return FLUSH_GONE;
        }
    }
    out->start = out->end = 0;
    return FLUSH_DONE;
}

/* Nothing is wanted of the peer: only notice that it has left. */
static void on_quiet_event(struct conn *conn, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn_end(conn, END_RESET);
}

static void on_linger_event(struct conn *conn, uint32_t events)
{
    char waste[4096];
    ssize_t n = events & EPOLLERR ? 0 : recv(conn->fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_end(conn, END_SILENT);
}

void conn_on_event(struct conn *conn, uint32_t events)
{
    conn->unfinished = false;
    switch (conn->state) {
    case CONN_HANDSHAKE:
        handshake(conn);
        if (conn->state == CONN_HEAD && conn->readable)
            exchange_run(conn);
        break;
    case CONN_EXCHANGE:
        if (events & (EPOLLHUP | EPOLLERR) || (events & EPOLLRDHUP && !(conn->interest & EPOLLIN))) {
            conn_end(conn, END_RESET); /* the client has left in the middle of the answer */
            break;
        }
        conn->readable = conn->readable || events & EPOLLIN;
        exchange_run(conn);
        break;
    case CONN_HEAD:
        conn->readable = true;
        exchange_run(conn);
        break;
    case CONN_WAIT:
    case CONN_FUSE:
    case CONN_HOLD: on_quiet_event(conn, events); break;
    case CONN_LINGER: on_linger_event(conn, events); break;
    case CONN_DEAD: return;
    }
    if (conn->state != CONN_DEAD)
        watch(conn);
}

void conn_on_timer(struct conn *conn)
{
    switch (conn->state) {
    case CONN_HANDSHAKE: conn_end(conn, END_SILENT); break;
    case CONN_HEAD:
        count(&conn->worker->counters.idle_closes);
        conn_end(conn, fault_on(&conn->plan, FAULT_IDLE_RESET) ? END_RESET : END_CLEAN);
        break;
    case CONN_WAIT: exchange_release(conn); break;
    case CONN_EXCHANGE:
        exchange_run(conn);
        break; /* a drip, a log's next line, or an idle deadline to be ignored */
    case CONN_FUSE:
        conn_end(conn, fault_on(&conn->plan, FAULT_TRUNCATE) ? END_CLEAN
                       : fault_on(&conn->plan, FAULT_CUT)    ? END_SILENT
                                                             : END_RESET);
        break;
    case CONN_LINGER: conn_end(conn, END_SILENT); break;
    case CONN_HOLD:
    case CONN_DEAD: break;
    }
    if (conn->state != CONN_DEAD)
        watch(conn);
}
