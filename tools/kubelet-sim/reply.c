/* tools/kubelet-sim/reply.c — response bodies, a piece at a time.
 *
 * Text and pattern fill the buffer behind the head, so a small answer is one record and one write. A log
 * gives one line per call into an empty buffer, hence one chunk and one TLS record per line, as the kubelet's
 * flush after each line does it. Echo and tunnel give back what was read and read no further until that has
 * left. */
#include "tools/kubelet-sim/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/worker.h"

enum {
    PATTERN_PERIOD = 64,
    CHUNK_OVERHEAD = 24, /* "fffffffffffff\r\n" and "\r\n" and "0\r\n\r\n" with something to spare */
};

static char pattern[BUFFER_BYTES + PATTERN_PERIOD];

void reply_tables_init(void)
{
    static const char period[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    static_assert(sizeof(period) - 1 == PATTERN_PERIOD, "a body repeats itself every 64 bytes");
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = period[i % PATTERN_PERIOD];
}

void reply_fini(struct reply *reply)
{
    free(reply->text);
    EVP_MD_CTX_free(reply->sha256);
    *reply = (struct reply){0};
}

static void put(struct buffer *out, const char *bytes, size_t n)
{
    assert(n <= buffer_room(out));
    memcpy(out->at + out->end, bytes, n);
    out->end += n;
}

/* A piece of body, as a chunk where the response is chunked. */
static void put_piece(struct conn *conn, const char *bytes, size_t n)
{
    char head[20];
    if (conn->reply.chunked)
        put(conn->out, head, (size_t)snprintf(head, sizeof(head), "%zx\r\n", n));
    put(conn->out, bytes, n);
    if (conn->reply.chunked)
        put(conn->out, "\r\n", 2);
}

static void put_end(struct conn *conn)
{
    if (conn->reply.chunked)
        put(conn->out, "0\r\n\r\n", 5);
    conn->reply.kind = REPLY_NONE;
}

static enum pump pump_stock(struct conn *conn, const char *from)
{
    struct reply *r = &conn->reply;
    size_t overhead = r->chunked ? CHUNK_OVERHEAD : 0, room = buffer_room(conn->out);
    if (room <= overhead)
        return PUMP_MORE;
    size_t n = r->left < room - overhead ? (size_t)r->left : room - overhead;
    if (n > 0)
        put_piece(conn, from, n);
    r->at += n;
    r->left -= n;
    if (r->left == 0)
        put_end(conn);
    return PUMP_MORE;
}

/* Some 90 bytes, as a container runtime's log would hold; the time is made up so that a line is always the
 * same. */
static size_t format_line(char *line, size_t cap, uint32_t node, uint64_t number)
{
    return (size_t)snprintf(
        line, cap, "%02u:%02u:%02u.%06u I request served node=node-%05u line=%llu status=200 took=%ums\n",
        (unsigned)(number / 3600 % 24), (unsigned)(number / 60 % 60), (unsigned)(number % 60),
        (unsigned)(number * 7919 % 1000000), node + 1, (unsigned long long)number,
        (unsigned)(number * 31 % 250));
}

static enum pump pump_log(struct conn *conn)
{
    struct reply *r = &conn->reply;
    char line[160];
    if (buffer_filled(conn->out))
        return PUMP_MORE; /* the head goes first, in its own record, as a kubelet flushes it */
    if (r->limit_left == 0 || (r->left == 0 && !r->follow)) {
        put_end(conn);
        return buffer_filled(conn->out) ? PUMP_MORE : PUMP_END;
    }
    if (r->left == 0) {
        if (conn->timer.due_ns > conn->worker->now_ns && r->text)
            return PUMP_LATER;
        /* The text pointer is unused by logs; here it only says that the first wait has begun. */
        if (!r->text) {
            r->text = calloc(1, 1);
            conn_arm_ms(conn, conn->worker->sim->options.log_interval_ms);
            return PUMP_LATER;
        }
        conn_arm_ms(conn, conn->worker->sim->options.log_interval_ms);
    } else {
        r->left--;
    }
    size_t n = format_line(line, sizeof(line), conn->node, r->at++);
    n = n < r->limit_left ? n : (size_t)r->limit_left;
    r->limit_left -= n;
    put_piece(conn, line, n);
    return PUMP_MORE;
}

/* The next piece of the request's body, at most max bytes of it. PUMP_MORE: there is one. */
static enum pump next_input(struct conn *conn, size_t max, struct slice *ret_piece)
{
    while (!conn->body.ended && buffer_filled(conn->in)) {
        size_t n = buffer_filled(conn->in);
        long used = http_body_next(&conn->body, conn->in->at + conn->in->start, n < max ? n : max, ret_piece);
        if (used < 0) {
            count(&conn->worker->counters.bad_requests);
            conn_end(conn, END_CLEAN);
            return PUMP_GONE;
        }
        conn->in->start += (size_t)used;
        count_n(&conn->worker->counters.body_bytes_in, ret_piece->n);
        if (ret_piece->n > 0)
            return PUMP_MORE;
    }
    return conn->body.ended ? PUMP_END : PUMP_INPUT;
}

static enum pump pump_echo(struct conn *conn)
{
    struct slice piece;
    if (buffer_filled(conn->out))
        return PUMP_MORE;
    enum pump got = next_input(conn, buffer_room(conn->out) - CHUNK_OVERHEAD, &piece);
    if (got == PUMP_MORE)
        put_piece(conn, piece.at, piece.n);
    if (got != PUMP_END)
        return got;
    put_end(conn);
    return buffer_filled(conn->out) ? PUMP_MORE : PUMP_END;
}

static enum pump pump_sink(struct conn *conn)
{
    struct reply *r = &conn->reply;
    struct slice piece;
    if (buffer_filled(conn->out))
        return PUMP_MORE; /* a 100 Continue */
    enum pump got;
    while ((got = next_input(conn, SIZE_MAX, &piece)) == PUMP_MORE) {
        EVP_DigestUpdate(r->sha256, piece.at, piece.n);
        r->at += piece.n;
    }
    if (got != PUMP_END)
        return got;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct text json = {0};
    EVP_DigestFinal_ex(r->sha256, digest, &n);
    text_addf(&json, "{\"length\":%llu,\"sha256\":\"", (unsigned long long)r->at);
    for (unsigned i = 0; i < n; i++)
        text_addf(&json, "%02x", digest[i]);
    text_addf(&json, "\"}\n");
    reply_fini(r);
    struct buffer *out = conn->out;
    out->end += (size_t)snprintf(
        out->at + out->end, buffer_room(out),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %zu\r\n"
        "%s\r\n%s",
        conn->worker->date, json.n, conn->close_after ? "Connection: close\r\n" : "", json.at);
    text_fini(&json);
    return PUMP_MORE;
}

static enum pump pump_tunnel(struct conn *conn)
{
    if (buffer_filled(conn->out))
        return PUMP_MORE;
    size_t n = buffer_filled(conn->in);
    if (n == 0)
        return PUMP_INPUT;
    n = n < buffer_room(conn->out) ? n : buffer_room(conn->out);
    put(conn->out, conn->in->at + conn->in->start, n);
    conn->in->start += n;
    return PUMP_MORE;
}

enum pump reply_pump(struct conn *conn)
{
    switch (conn->reply.kind) {
    case REPLY_NONE: return PUMP_END;
    case REPLY_TEXT: return pump_stock(conn, conn->reply.text + conn->reply.at);
    case REPLY_PATTERN: return pump_stock(conn, pattern + conn->reply.at % PATTERN_PERIOD);
    case REPLY_LOG: return pump_log(conn);
    case REPLY_ECHO: return pump_echo(conn);
    case REPLY_SINK: return pump_sink(conn);
    case REPLY_TUNNEL: return pump_tunnel(conn);
    }
    abort();
}
