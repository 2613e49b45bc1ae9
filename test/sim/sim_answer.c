/* test/sim/sim_answer.c — what a scripted backend answers, and how it fails to. */
#include <inttypes.h>
#include <string.h>

#include "sim_backend_conn.h"

static void put_body(struct backend_conn *c, uint32_t id, uint32_t at, uint32_t len)
{
    uint8_t piece[1024];
    while (len > 0) {
        uint32_t n = len < sizeof(piece) ? len : (uint32_t)sizeof(piece);
        sim_body_fill(id, SIDE_ANSWER, at, piece, n);
        sim_bytes_put(&c->out, piece, n);
        at += n;
        len -= n;
    }
}

static void put_chunks(struct backend_conn *c, const struct sim_exchange *x)
{
    for (uint32_t at = 0; at < x->answer_len;) {
        uint32_t n = (uint32_t)sim_between(c->backend->net, 1, x->answer_len - at);
        sim_bytes_print(&c->out, at % 2 ? "%x\r\n" : "%X;name=value\r\n", n);
        put_body(c, x->id, at, n);
        sim_bytes_print(&c->out, "\r\n");
        at += n;
    }
    sim_bytes_print(&c->out, sim_chance(c->backend->net, 300) ? "0\r\nX-Trailer: yes\r\n\r\n" : "0\r\n\r\n");
}

static void put_interim(struct backend_conn *c, const struct sim_exchange *x)
{
    for (uint64_t n = sim_between(c->backend->net, 1, 3); n > 0; n--)
        sim_bytes_print(&c->out, "HTTP/1.1 103 Early Hints\r\nX-Id: %" PRIu32 "\r\nLink: </a>\r\n\r\n",
                        x->id);
}

void backend_put_length(struct backend_conn *c, uint32_t id, unsigned status, uint32_t len, const char *more)
{
    sim_bytes_print(&c->out,
                    "HTTP/1.1 %u Whatever\r\nX-Id: %" PRIu32 "\r\nContent-Length: %" PRIu32 "\r\n%s\r\n",
                    status, id, len, more);
    if (strcmp(c->reader.method, "HEAD") != 0)
        put_body(c, id, 0, len);
}

void backend_cut(struct backend_conn *c, uint64_t lowest, uint64_t highest)
{
    uint64_t most = c->out.len - c->out.at - 1;
    highest = highest < most ? highest : most;
    lowest = lowest < highest ? lowest : highest;
    c->out.len = c->out.at + (size_t)sim_between(c->backend->net, lowest, highest);
    c->close_after = true;
}

void backend_put_until_close(struct backend_conn *c, uint32_t id, unsigned status, uint32_t len)
{
    sim_bytes_print(&c->out, "HTTP/1.1 %u Whatever\r\nX-Id: %" PRIu32 "\r\nConnection: close\r\n\r\n", status,
                    id);
    if (strcmp(c->reader.method, "HEAD") != 0)
        put_body(c, id, 0, len);
    c->close_after = true;
}

static void put_chunked(struct backend_conn *c, const struct sim_exchange *x)
{
    sim_bytes_print(&c->out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-Id: %" PRIu32 "\r\n\r\n",
                    x->id);
    if (x->method != METHOD_HEAD)
        put_chunks(c, x);
}

static void put_garbage(struct backend_conn *c)
{
    static const char *const kinds[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "\x16\x03\x01\x02",
        "HTTP/1.1 200 OK\r\n folded: yes\r\n\r\n",
    };
    sim_bytes_print(&c->out, "%s", kinds[sim_random(c->backend->net) % ARRAY_SIZE(kinds)]);
    c->close_after = true;
}

void backend_answer(struct backend_conn *c)
{
    const struct sim_exchange *x = sim_ledger_find(c->backend->ledger, c->id);
    switch (x->act) {
    case ACT_INTERIM: put_interim(c, x); /* fall through */
    case ACT_LENGTH:
    case ACT_EARLY: backend_put_length(c, x->id, 200, x->answer_len, ""); break;
    case ACT_CHUNKED: put_chunked(c, x); break;
    case ACT_UNTIL_CLOSE: backend_put_until_close(c, x->id, 200, x->answer_len); break;
    case ACT_NO_CONTENT:
        sim_bytes_print(&c->out, "HTTP/1.1 204 No Content\r\nX-Id: %" PRIu32 "\r\n\r\n", x->id);
        break;
    case ACT_LAST:
    case ACT_EARLY_CLOSE:
        backend_put_length(c, x->id, 200, x->answer_len, "Connection: close\r\n");
        c->close_after = true;
        break;
    case ACT_SILENT: c->close_after = true; break;
    case ACT_CUT_HEAD:
        backend_put_length(c, x->id, 200, x->answer_len, "");
        backend_cut(c, 1, 30);
        break;
    case ACT_CUT_BODY:
    case ACT_RESET_BODY:
        backend_put_length(c, x->id, 200, x->answer_len, "");
        backend_cut(c, x->method == METHOD_HEAD ? 1 : 60, UINT64_MAX);
        c->reset_after = x->act == ACT_RESET_BODY;
        break;
    case ACT_RESET_OPEN:
        backend_put_until_close(c, x->id, 200, x->answer_len);
        backend_cut(c, x->method == METHOD_HEAD ? 1 : 60, UINT64_MAX);
        c->reset_after = true;
        break;
    case ACT_GARBAGE: put_garbage(c); break;
    case ACT_NEVER: c->never = true; break;
    case ACT_COUNT: ASSERT(!"not an act");
    }
}
