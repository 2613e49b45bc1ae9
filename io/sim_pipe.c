/* io/sim_pipe.c — see sim_pipe.h.
 *
 * A pipe is a bounded ring of bytes with a queue of chunks over it: so many bytes, or a FIN, or a RST, each
 * with its time of arrival, in order. What has arrived may be read; reading makes room, of which the sender
 * hears a little later. So the window is real: a reader that stops, stops its sender. Bytes that arrive where
 * the socket was closed answer with a RST, as TCP does.
 */
#include "io/sim_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_DEFAULT = 65536, WINDOW_LEAST = 16, CHUNKS_FIRST = 16 };

static uint64_t some_delay(struct sim_net *n)
{
    return sim_between(n, 0, sim_net_faults(n)->delay_max_ns);
}

void sim_pipe_push(struct sim_pipe *p, enum sim_chunk_kind kind, uint32_t len)
{
    struct sim_net *n = p->conn->net;
    if (p->chunk_count == p->chunk_cap) {
        uint32_t cap = p->chunk_cap ? p->chunk_cap * 2 : CHUNKS_FIRST;
        struct sim_chunk *chunks = calloc(cap, sizeof(*chunks));
        ASSERT(chunks != NULL);
        for (uint32_t i = 0; i < p->chunk_count; i++)
            chunks[i] = p->chunks[(p->chunk_head + i) % p->chunk_cap];
        free(p->chunks);
        p->chunks = chunks;
        p->chunk_cap = cap;
        p->chunk_head = 0;
    }
    uint64_t at = sim_now_ns(n) + some_delay(n);
    if (p->chunk_count > 0) {
        const struct sim_chunk *last = &p->chunks[(p->chunk_head + p->chunk_count - 1) % p->chunk_cap];
        at = at < last->at_ns ? last->at_ns : at;
    }
    p->chunks[(p->chunk_head + p->chunk_count++) % p->chunk_cap] = (struct sim_chunk){at, len, kind};
    if (p->chunk_count == 1 && !p->conn->blackholed)
        sim_event_at(n, &p->arrival, at);
}

void sim_pipe_purge(struct sim_pipe *p)
{
    p->chunk_count = 0;
    p->used = p->arrived;
    sim_event_cancel(p->conn->net, &p->arrival);
}

void sim_pipe_reset(struct sim_pipe *p)
{
    struct sim_net *n = p->conn->net;
    if (sim_chance(n, 500))
        sim_pipe_purge(p);
    sim_pipe_push(p, SIM_CHUNK_RST, 0);
}

static void on_chunk(struct sim_pipe *p, struct sim_sock *s, const struct sim_chunk *chunk)
{
    switch (chunk->kind) {
    case SIM_CHUNK_DATA:
        if (s) {
            p->arrived += chunk->len;
        } else { /* nobody there: TCP answers with a reset */
            p->head = (p->head + chunk->len) % p->cap;
            p->used -= chunk->len;
            sim_pipe_reset(&p->conn->pipes[1 - p->to]);
        }
        break;
    case SIM_CHUNK_FIN:
        if (s)
            s->fin_arrived = true;
        break;
    case SIM_CHUNK_RST:
        sim_pipe_purge(p);
        if (s)
            sim_sock_fail(s, ECONNRESET);
        break;
    }
}

static void on_arrival(struct sim_event *e)
{
    struct sim_pipe *p = container_of(e, struct sim_pipe, arrival);
    struct sim_net *n = p->conn->net;
    struct sim_sock *s = p->conn->sides[p->to];
    while (p->chunk_count > 0 && p->chunks[p->chunk_head].at_ns <= sim_now_ns(n)) {
        struct sim_chunk chunk = p->chunks[p->chunk_head];
        p->chunk_head = (p->chunk_head + 1) % p->chunk_cap;
        p->chunk_count--;
        on_chunk(p, s, &chunk);
    }
    if (p->chunk_count > 0)
        sim_event_at(n, &p->arrival, p->chunks[p->chunk_head].at_ns);
    sim_poke(s); /* may close and free: nothing of the connection is touched after it */
}

static void on_room(struct sim_event *e)
{
    struct sim_pipe *p = container_of(e, struct sim_pipe, room);
    sim_poke(p->conn->sides[1 - p->to]);
}

void sim_pipe_init(struct sim_conn *c, int to)
{
    struct sim_net *n = c->net;
    struct sim_pipe *p = &c->pipes[to];
    uint32_t cap = sim_net_faults(n)->window_max ? (uint32_t)sim_between(n, sim_net_faults(n)->window_min,
                                                                         sim_net_faults(n)->window_max)
                                                 : WINDOW_DEFAULT;
    p->conn = c;
    p->to = to;
    p->cap = cap < WINDOW_LEAST ? WINDOW_LEAST : cap;
    p->bytes = malloc(p->cap);
    ASSERT(p->bytes != NULL);
    p->arrival.fire = on_arrival;
    p->room.fire = on_room;
}

void sim_pipe_fini(struct sim_pipe *p)
{
    sim_event_cancel(p->conn->net, &p->arrival);
    sim_event_cancel(p->conn->net, &p->room);
    free(p->bytes);
    free(p->chunks);
}

static uint32_t some_of(struct sim_net *n, uint32_t len, uint32_t chance)
{
    return len > 1 && sim_chance(n, chance) ? (uint32_t)sim_between(n, 1, len) : len;
}

static void ring_copy(const struct sim_pipe *p, uint32_t at, void *bytes, uint32_t len, bool out)
{
    uint32_t first = p->cap - at < len ? p->cap - at : len;
    uint8_t *mine = bytes;
    memcpy(out ? mine : p->bytes + at, out ? p->bytes + at : mine, first);
    memcpy(out ? mine + first : p->bytes, out ? p->bytes : mine + first, len - first);
}

uint32_t sim_pipe_read(struct sim_pipe *p, void *bytes, size_t len)
{
    struct sim_net *n = p->conn->net;
    uint32_t most = len < p->arrived ? (uint32_t)len : p->arrived;
    uint32_t take = some_of(n, most, sim_net_faults(n)->short_read);
    ring_copy(p, p->head, bytes, take, true);
    p->head = (p->head + take) % p->cap;
    p->used -= take;
    p->arrived -= take;
    p->taken += take;
    struct sim_sock *writer = p->conn->sides[1 - p->to];
    if (writer && writer->blocked && !p->conn->blackholed) {
        writer->blocked = false;
        sim_event_at(n, &p->room, sim_now_ns(n) + some_delay(n));
    }
    return take;
}

void sim_pipe_discard(struct sim_pipe *p)
{
    p->head = (p->head + p->arrived) % p->cap;
    p->used -= p->arrived;
    p->arrived = 0;
}

uint32_t sim_pipe_write(struct sim_pipe *p, const void *bytes, size_t len)
{
    struct sim_net *n = p->conn->net;
    uint32_t room = p->cap - p->used;
    uint32_t take = some_of(n, len < room ? (uint32_t)len : room, sim_net_faults(n)->short_write);
    ring_copy(p, (p->head + p->used) % p->cap, (void *)bytes, take, false);
    p->used += take;
    p->offered += take;
    sim_pipe_push(p, SIM_CHUNK_DATA, take);
    return take;
}

uint64_t sim_taken(const struct sim_sock *s)
{
    return s->conn->pipes[1 - s->side].taken;
}

uint64_t sim_under_way(const struct sim_sock *s)
{
    const struct sim_pipe *p = &s->conn->pipes[!s->side];
    return p->used - p->arrived;
}

uint64_t sim_offered(const struct sim_sock *s)
{
    return s->conn->pipes[s->side].offered;
}

bool sim_is_silenced(const struct sim_sock *s)
{
    return s->conn->blackholed;
}
