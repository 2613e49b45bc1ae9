/* bench/load/link.c — sends a request, counts its answer, judges it.
 *
 * Level-triggered epoll, EPOLLOUT asked for only while a send is short: a small request costs one send, one
 * wait and one receive, so the generator takes little of the processor it shares with the backends. Bodies go
 * from and to static memory and are never looked at. */
#include "bench/load/link.h"

#include "bench/load/tunnel.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LINK_CHUNK                                                                                           \
    (256u << 10) /* per receive and per send of a body; larger gained nothing when tried on loopback */

static char chunk_in[LINK_CHUNK];
static const char
    chunk_out[LINK_CHUNK]; /* zeros: TLS makes noise of them, and no proxy here compresses requests */

static enum link_verdict fail(struct link *l, enum load_failure failure, const char *note)
{
    l->failure = failure;
    snprintf(l->failure_note, sizeof(l->failure_note), "%s", note);
    return LINK_FAILED;
}

static enum link_verdict fail_errno(struct link *l, const char *what)
{
    char note[128];
    snprintf(note, sizeof(note), "%s: %s", what, strerror(errno));
    return fail(l, FAIL_RESET, note);
}

static int want(struct link *l, uint32_t events)
{
    if (l->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = l};
    if (epoll_ctl(l->epoll_fd, l->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, l->fd, &ev) != 0)
        return -errno;
    l->events = events;
    return 0;
}

int link_open(struct link *l)
{
    assert(l->state == LINK_CLOSED);
    int fd = net_dial(&l->options->proxy);
    if (fd < 0)
        return fd;
    l->fd = fd;
    l->events = 0;
    int error = want(l, EPOLLIN);
    if (error < 0) {
        close(fd);
        return error;
    }
    l->state = LINK_IDLE;
    return 0;
}

void link_close(struct link *l)
{
    if (l->state == LINK_CLOSED)
        return;
    close(l->fd);
    l->fd = -1;
    l->tunnelled = false;
    l->state = LINK_CLOSED;
}

static void write_head(struct link *l)
{
    const struct load_options *o = l->options;
    struct in_addr in = {.s_addr = htonl(o->base_ipv4 + l->request.endpoint)};
    char ip[INET_ADDRSTRLEN], target[80] = "", extra[80] = "", framing[48] = "";
    inet_ntop(AF_INET, &in, ip, sizeof(ip));
    switch (o->target) {
    case TARGET_ABSOLUTE: snprintf(target, sizeof(target), "https://%s:%u", ip, o->port); break;
    case TARGET_HOST_HEADER: break;
    case TARGET_HEADER: snprintf(extra, sizeof(extra), "X-Target: %s\r\n", ip); break;
    case TARGET_PATH: snprintf(target, sizeof(target), "/%s", ip); break;
    case TARGET_CONNECT:
    case TARGET_BARE: abort(); /* tunnel.c's */
    }
    if (o->upload_bytes)
        snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n", o->upload_bytes);
    int n = snprintf(l->head, sizeof(l->head), "%s %s%s HTTP/1.1\r\nHost: %s:%u\r\n%s%s\r\n",
                     o->upload_bytes ? "POST" : "GET", target, o->path, ip, o->port, extra, framing);
    assert(n > 0 && (size_t)n < sizeof(l->head));
    l->head_bytes = (size_t)n;
    l->head_sent = 0;
    l->body_left = o->upload_bytes;
}

/* One send; > 0 bytes taken, 0 when the socket is full (or still connecting), < 0 when it broke. */
static ssize_t send_some(struct link *l)
{
    const char *from = l->head + l->head_sent;
    size_t count = l->head_bytes - l->head_sent;
    if (count == 0) {
        from = chunk_out;
        count = l->body_left < sizeof(chunk_out) ? (size_t)l->body_left : sizeof(chunk_out);
    }
    ssize_t n = send(l->fd, from, count, MSG_NOSIGNAL | (from != chunk_out && l->body_left ? MSG_MORE : 0));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? 0 : -1;
    if (from == chunk_out)
        l->body_left -= (uint64_t)n;
    else
        l->head_sent += (size_t)n;
    return n;
}

static enum link_verdict send_request(struct link *l)
{
    while (l->head_sent < l->head_bytes || l->body_left > 0) {
        ssize_t n = send_some(l);
        if (n < 0)
            return fail_errno(l, "send");
        if (n == 0)
            return want(l, EPOLLIN | EPOLLOUT) < 0 ? fail_errno(l, "epoll") : LINK_PENDING;
    }
    if (l->state == LINK_SENDING)
        l->state = LINK_WAITING;
    return want(l, EPOLLIN) < 0 ? fail_errno(l, "epoll") : LINK_PENDING;
}

static enum link_verdict start_exchange(struct link *l)
{
    l->connected_ns = net_clock_ns();
    answer_expect_bytes(&l->answer, l->options->expected_bytes);
    tunnel_write_order(l);
    l->state = LINK_SENDING;
    return send_request(l);
}

enum link_verdict link_start(struct link *l, const struct request *request)
{
    assert(l->state == LINK_IDLE);
    l->request = *request;
    l->answer.to_connect = l->options->target == TARGET_CONNECT;
    if (l->options->target == TARGET_BARE || l->tunnelled)
        return start_exchange(l);
    answer_reset(&l->answer);
    if (l->options->target == TARGET_CONNECT)
        tunnel_write_connect(l);
    else
        write_head(l);
    l->state = l->options->target == TARGET_CONNECT ? LINK_ASKING : LINK_SENDING;
    return send_request(l);
}

/* The first number in the answer to an upload: {"length":N,… or just N. */
static uint64_t counted_in(const char *body_start)
{
    return strtoull(body_start + strcspn(body_start, "0123456789"), NULL, 10);
}

static enum link_verdict fail_status(struct link *l)
{
    char note[160];
    const char *line_end = strstr(l->answer.head, "\r\n");
    snprintf(note, sizeof(note), "endpoint %u: %.*s", l->request.endpoint, (int)(line_end - l->answer.head),
             l->answer.head);
    return fail(l, FAIL_STATUS, note);
}

static enum link_verdict judge_exchange(struct link *l)
{
    char note[160];
    if (l->state == LINK_SENDING)
        return fail(l, FAIL_GARBLED, "answered before the body was sent");
    if (!tunnel_judge(l, note, sizeof(note)))
        return fail(l, FAIL_LENGTH, note);
    l->state = LINK_IDLE;
    return l->options->crowd ? LINK_ANSWERED : LINK_LAST;
}

static enum link_verdict judge(struct link *l)
{
    const struct answer *a = &l->answer;
    char note[160];
    if (a->status != 200)
        return fail_status(l);
    if (l->options->expect_count && counted_in(a->body_start) != l->options->upload_bytes) {
        snprintf(note, sizeof(note), "endpoint %u: counted %s bytes of the upload", l->request.endpoint,
                 a->body_start);
        return fail(l, FAIL_LENGTH, note);
    }
    if (!l->options->expect_count && a->length != l->options->expected_bytes) {
        snprintf(note, sizeof(note), "endpoint %u: %" PRIu64 " bytes", l->request.endpoint, a->length);
        return fail(l, FAIL_LENGTH, note);
    }
    if (l->state == LINK_SENDING)
        return fail(l, FAIL_GARBLED, "answered before the body was sent");
    l->state = LINK_IDLE;
    return a->close_after ? LINK_LAST : LINK_ANSWERED;
}

/* The target speaks nothing unasked, so nothing may stand behind the 200. */
static enum link_verdict judge_connect(struct link *l, enum answer_result r)
{
    if (l->answer.in_body && l->answer.status != 200)
        return fail_status(l);
    if (r != ANSWER_DONE)
        return fail(l, FAIL_GARBLED, answer_result_text(r));
    l->tunnelled = true;
    return start_exchange(l);
}

static enum link_verdict receive(struct link *l)
{
    ssize_t n = recv(l->fd, chunk_in, sizeof(chunk_in), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return LINK_PENDING;
    if (l->state == LINK_IDLE)
        return LINK_VANISHED;
    if (n < 0)
        return fail_errno(l, "receive");
    if (n == 0)
        return fail(l, l->answer.in_body ? FAIL_LENGTH : FAIL_RESET, "closed before the answer was complete");
    enum answer_result r = answer_feed(&l->answer, chunk_in, (size_t)n);
    if (l->state == LINK_ASKING)
        return r == ANSWER_MORE ? LINK_PENDING : judge_connect(l, r);
    switch (r) {
    case ANSWER_MORE: return LINK_PENDING;
    case ANSWER_DONE: return options_tunnels(l->options) ? judge_exchange(l) : judge(l);
    case ANSWER_BAD_HEAD:
    case ANSWER_BAD_FRAMING:
    case ANSWER_SURPLUS: return fail(l, FAIL_GARBLED, answer_result_text(r));
    }
    return fail(l, FAIL_GARBLED, "unknown");
}

enum link_verdict link_on_event(struct link *l, uint32_t events)
{
    if ((l->state == LINK_SENDING || l->state == LINK_ASKING) && (events & EPOLLOUT)) {
        enum link_verdict verdict = send_request(l);
        if (verdict != LINK_PENDING)
            return verdict;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        return receive(l);
    return LINK_PENDING;
}
