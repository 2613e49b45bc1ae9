/* io/sim_net.c — see sim_net.h.
 *
 * Time, chance and history first; then sockets, which are the ends of connections. A connection is two pipes
 * (sim_pipe.c). A blackholed one delivers nothing more in either direction until both ends give up, as
 * TCP_USER_TIMEOUT makes them.
 */
#include "io/sim_net.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim_pipe.h"

static const uint64_t give_up_ns = 30000000000u;        /* TCP_USER_TIMEOUT of the real engine */
static const uint64_t connect_hangs_ns = 127000000000u; /* Linux: six SYN retries */

struct sim_net {
    uint64_t now_ns, orders;
    uint64_t random, trace_hash;
    struct sim_faults faults;
    struct sim_event **heap; /* from 1 */
    uint32_t heap_count, heap_cap;
    struct list listeners, conns;
    struct sim_sock **socks;
    uint32_t sock_cap, sock_count;
    FILE *trace;
};

/* -- chance, time, history ----------------------------------------------------------------------------------
 */

/* splitmix64, by Sebastiano Vigna (public domain). */
uint64_t sim_random(struct sim_net *n)
{
    uint64_t z = n->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_between(struct sim_net *n, uint64_t lowest, uint64_t highest)
{
    return highest <= lowest ? lowest : lowest + sim_random(n) % (highest - lowest + 1);
}

bool sim_chance(struct sim_net *n, uint32_t per_thousand)
{
    return per_thousand > 0 && sim_random(n) % 1000 < per_thousand;
}

uint64_t sim_hash_bytes(const void *bytes, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return h;
}

void sim_trace(struct sim_net *n, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t parts[] = {n->trace_hash, n->now_ns, sim_hash_bytes(what, strlen(what)), a, b, c};
    n->trace_hash = sim_hash_bytes(parts, sizeof(parts));
    if (n->trace)
        fprintf(n->trace, "%12.6f %-10s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (double)n->now_ns / 1e9, what,
                a, b, c);
}

void sim_trace_to(struct sim_net *n, FILE *f)
{
    n->trace = f;
}

uint64_t sim_trace_hash(const struct sim_net *n)
{
    return n->trace_hash;
}

uint64_t sim_now_ns(const struct sim_net *n)
{
    return n->now_ns;
}

void sim_pass(struct sim_net *n, uint64_t until_ns)
{
    if (until_ns > n->now_ns)
        n->now_ns = until_ns;
}

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_put(struct sim_net *n, uint32_t i, struct sim_event *e)
{
    n->heap[i] = e;
    e->index = i;
}

static void heap_settle(struct sim_net *n, uint32_t i)
{
    struct sim_event *e = n->heap[i];
    for (; i > 1 && event_before(e, n->heap[i / 2]); i /= 2)
        heap_put(n, i, n->heap[i / 2]);
    for (uint32_t child; (child = 2 * i) <= n->heap_count; i = child) {
        if (child < n->heap_count && event_before(n->heap[child + 1], n->heap[child]))
            child++;
        if (!event_before(n->heap[child], e))
            break;
        heap_put(n, i, n->heap[child]);
    }
    heap_put(n, i, e);
}

void sim_event_cancel(struct sim_net *n, struct sim_event *e)
{
    uint32_t i = e->index;
    if (i == 0)
        return;
    e->index = 0;
    struct sim_event *last = n->heap[n->heap_count--];
    if (last == e)
        return;
    heap_put(n, i, last);
    heap_settle(n, i);
}

void sim_event_at(struct sim_net *n, struct sim_event *e, uint64_t at_ns)
{
    sim_event_cancel(n, e);
    if (n->heap_count + 2 > n->heap_cap) {
        n->heap_cap = n->heap_cap ? n->heap_cap * 2 : 256;
        n->heap = realloc(n->heap, n->heap_cap * sizeof(*n->heap));
        ASSERT(n->heap != NULL);
    }
    e->at_ns = at_ns < n->now_ns ? n->now_ns : at_ns;
    e->order = ++n->orders;
    heap_put(n, ++n->heap_count, e);
    heap_settle(n, n->heap_count);
}

uint64_t sim_next_event_ns(const struct sim_net *n)
{
    return n->heap_count ? n->heap[1]->at_ns : UINT64_MAX;
}

void sim_net_fire(struct sim_net *n)
{
    while (n->heap_count > 0 && n->heap[1]->at_ns <= n->now_ns) {
        struct sim_event *e = n->heap[1];
        sim_event_cancel(n, e);
        e->fire(e);
    }
}

/* -- the network --------------------------------------------------------------------------------------------
 */

int sim_net_new(uint64_t seed, const struct sim_faults *faults, struct sim_net **ret)
{
    struct sim_net *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->random = seed * 0x2545f4914f6cdd1du + 1;
    n->now_ns = 1000000000u; /* zero has a meaning in many a deadline */
    if (faults)
        n->faults = *faults;
    list_init(&n->listeners);
    list_init(&n->conns);
    *ret = n;
    return 0;
}

void sim_net_free(struct sim_net **np)
{
    struct sim_net *n = *np;
    *np = NULL;
    if (!n)
        return;
    ASSERT(n->sock_count == 0);
    ASSERT(list_empty(&n->listeners));
    ASSERT(list_empty(&n->conns));
    free(n->heap);
    free(n->socks);
    free(n);
}

struct sim_faults *sim_net_faults(struct sim_net *n)
{
    return &n->faults;
}

uint32_t sim_sockets(const struct sim_net *n)
{
    return n->sock_count;
}

uint32_t sim_dialled_to(const struct sim_net *n, const struct net_address *a)
{
    uint32_t count = 0;
    list_each_safe(node, tmp, (struct list *)&n->conns)
    {
        const struct sim_conn *c = list_entry(node, struct sim_conn, node);
        count += c->sides[0] && net_address_equal(&c->to, a);
    }
    return count;
}

void sim_poke(struct sim_sock *s)
{
    if (!s)
        return;
    if (s->poke)
        s->poke(s);
    else
        s->poke_missed = true;
}

void sim_sock_fail(struct sim_sock *s, int error)
{
    if (s->error == 0)
        s->error = error == ECONNRESET && s->fin_arrived ? EPIPE : error;
}

static struct sim_sock *sock_new(struct sim_conn *c, int side)
{
    struct sim_net *n = c->net;
    uint32_t number = 0;
    while (number < n->sock_cap && n->socks[number])
        number++; /* the lowest free one, as a kernel gives it: reuse is where mistakes hide */
    if (number == n->sock_cap) {
        n->sock_cap = n->sock_cap ? n->sock_cap * 2 : 64;
        n->socks = realloc(n->socks, n->sock_cap * sizeof(*n->socks));
        ASSERT(n->socks != NULL);
        for (uint32_t i = number; i < n->sock_cap; i++)
            n->socks[i] = NULL;
    }
    struct sim_sock *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL);
    *s = (struct sim_sock){.net = n, .conn = c, .side = side, .number = (int)number};
    n->socks[number] = s;
    n->sock_count++;
    c->sides[side] = s;
    return s;
}

struct sim_sock *sim_sock_of(struct sim_net *n, int number)
{
    ASSERT(number >= 0 && (uint32_t)number < n->sock_cap && n->socks[number] != NULL);
    return n->socks[number];
}

static void conn_settle(struct sim_conn *c)
{
    if (c->sides[0] || c->sides[1])
        return;
    for (int i = 0; i < 2; i++)
        sim_pipe_fini(&c->pipes[i]);
    sim_event_cancel(c->net, &c->connect);
    sim_event_cancel(c->net, &c->fault);
    list_remove(&c->node);
    free(c);
}

static void conn_fail(struct sim_conn *c, int error)
{
    for (int i = 0; i < 2; i++) {
        sim_pipe_purge(&c->pipes[i]);
        if (c->sides[i])
            sim_sock_fail(c->sides[i], error);
    }
    /* A poke may close its own side; the connection lives while the other is there. */
    struct sim_sock *first = c->sides[0], *second = c->sides[1];
    sim_poke(first);
    sim_poke(second);
}

/* Strikes once (a reset, or silence) and after silence a second time (both ends give up). */
static void on_fault(struct sim_event *e)
{
    struct sim_conn *c = container_of(e, struct sim_conn, fault);
    struct sim_net *n = c->net;
    uint32_t resets = n->faults.conn_reset, holes = n->faults.conn_blackhole;
    if (c->blackholed) {
        sim_trace(n, "give-up", c->sides[0] ? 1 : 0, c->sides[1] ? 1 : 0, 0);
        conn_fail(c, ETIMEDOUT);
    } else if (holes == 0 || sim_random(n) % (resets + holes) < resets) {
        sim_trace(n, "reset", c->sides[0] ? 1 : 0, c->sides[1] ? 1 : 0, 0);
        conn_fail(c, ECONNRESET);
    } else {
        sim_trace(n, "blackhole", c->sides[0] ? 1 : 0, c->sides[1] ? 1 : 0, 0);
        c->blackholed = true;
        for (int i = 0; i < 2; i++)
            sim_event_cancel(n, &c->pipes[i].arrival);
        sim_event_at(n, &c->fault, n->now_ns + give_up_ns);
    }
}

/* -- listening and connecting -------------------------------------------------------------------------------
 */

void sim_listen(struct sim_net *n, struct sim_listener *l, const struct net_address *address)
{
    l->net = n;
    l->address = *address;
    list_init(&l->node);
    list_add_tail(&n->listeners, &l->node);
}

void sim_unlisten(struct sim_listener *l)
{
    list_remove(&l->node);
}

static struct sim_listener *find_listener(const struct sim_net *n, const struct net_address *a, uint32_t nth)
{
    list_each_safe(node, tmp, (struct list *)&n->listeners)
    {
        struct sim_listener *l = list_entry(node, struct sim_listener, node);
        if (net_address_equal(&l->address, a) && nth-- == 0)
            return l;
    }
    return NULL;
}

bool sim_is_listening(const struct sim_net *n, const struct net_address *a)
{
    return find_listener(n, a, 0) != NULL;
}

static int dial_outcome(struct sim_net *n)
{
    if (sim_chance(n, n->faults.dial_refused))
        return ECONNREFUSED;
    if (sim_chance(n, n->faults.dial_unreachable))
        return EHOSTUNREACH;
    return 0;
}

static void on_hung(struct sim_event *e)
{
    struct sim_conn *c = container_of(e, struct sim_conn, connect);
    c->sides[0]->error = ETIMEDOUT;
    sim_poke(c->sides[0]);
}

static void hang(struct sim_conn *c)
{
    c->connect.fire = on_hung;
    sim_event_at(c->net, &c->connect, c->net->now_ns + connect_hangs_ns);
}

static void on_connect(struct sim_event *e)
{
    struct sim_conn *c = container_of(e, struct sim_conn, connect);
    struct sim_net *n = c->net;
    struct sim_sock *s = c->sides[0];
    const struct sim_listener *first = find_listener(n, &c->to, 0);
    uint32_t sharing = 0;
    while (find_listener(n, &c->to, sharing))
        sharing++;
    if (first && first->refusal == SIM_SILENT) {
        hang(c);
        return;
    }
    s->error = !first ? ECONNREFUSED : first->refusal ? first->refusal : dial_outcome(n);
    sim_trace(n, "connect", (uint64_t)s->number, net_address_port(&c->to), (uint64_t)s->error);
    if (s->error != 0) {
        sim_poke(s);
        return;
    }
    s->connected = true;
    struct sim_sock *other = sock_new(c, 1);
    other->connected = true;
    if (sim_chance(n, n->faults.conn_reset + n->faults.conn_blackhole))
        sim_event_at(n, &c->fault, n->now_ns + sim_between(n, 0, n->faults.fault_within_ns));
    struct sim_listener *l = find_listener(n, &c->to, (uint32_t)sim_between(n, 0, sharing - 1));
    struct net_peer peer;
    memset(&peer, 0, sizeof(peer));
    peer.address = c->from;
    if (c->to.sa.sa_family == AF_UNIX) {
        peer.address = (struct net_address){.len = sizeof(sa_family_t)};
        peer.address.sa.sa_family = AF_UNIX;
        peer.has_credentials = true;
    }
    /* Either callback may close its side: the sockets, not the connection, are what is safe to look at. */
    l->incoming(l, other, &peer);
    sim_poke(s);
}

struct sim_sock *sim_connect(struct sim_net *n, const struct net_address *to, const struct net_address *from)
{
    struct sim_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->net = n;
    list_init(&c->node);
    list_add_tail(&n->conns, &c->node);
    c->to = *to;
    if (from)
        c->from = *from;
    else
        ASSERT(net_address_parse("127.0.0.1", 9, 40000, &c->from));
    sim_pipe_init(c, 0);
    sim_pipe_init(c, 1);
    c->connect.fire = on_connect;
    c->fault.fire = on_fault;
    if (sim_chance(n, n->faults.dial_hangs))
        hang(c);
    else
        sim_event_at(n, &c->connect, n->now_ns + sim_between(n, 0, n->faults.dial_delay_max_ns));
    return sock_new(c, 0);
}

int sim_connect_result(const struct sim_sock *s)
{
    return s->connected ? 0 : s->error != 0 ? -s->error : -EINPROGRESS;
}

/* -- reading and writing ------------------------------------------------------------------------------------
 */

uint32_t sim_readable(const struct sim_sock *s)
{
    return s->conn->pipes[s->side].arrived;
}

ssize_t sim_recv(struct sim_sock *s, void *bytes, size_t len)
{
    struct sim_pipe *p = &s->conn->pipes[s->side];
    if (!s->connected)
        return s->error != 0 ? -s->error : -EAGAIN;
    if (p->arrived == 0)
        return s->fin_arrived ? 0 : s->error != 0 ? -s->error : -EAGAIN;
    return (ssize_t)sim_pipe_read(p, bytes, len);
}

ssize_t sim_send(struct sim_sock *s, const void *bytes, size_t len)
{
    struct sim_pipe *p = &s->conn->pipes[1 - s->side];
    if (s->error != 0)
        return -s->error;
    if (s->write_shut)
        return -EPIPE;
    if (!s->connected || p->used == p->cap) {
        s->blocked = true;
        return -EAGAIN;
    }
    return (ssize_t)sim_pipe_write(p, bytes, len);
}

void sim_shutdown(struct sim_sock *s)
{
    if (s->write_shut || s->error != 0 || !s->connected)
        return;
    s->write_shut = true;
    sim_pipe_push(&s->conn->pipes[1 - s->side], SIM_CHUNK_FIN, 0);
}

static void sock_free(struct sim_sock *s)
{
    struct sim_conn *c = s->conn;
    struct sim_net *n = s->net;
    sim_pipe_discard(&c->pipes[s->side]);
    c->sides[s->side] = NULL;
    n->socks[s->number] = NULL;
    n->sock_count--;
    free(s);
    conn_settle(c);
}

void sim_reset(struct sim_sock *s)
{
    if (s->connected && s->error == 0)
        sim_pipe_reset(&s->conn->pipes[1 - s->side]);
    sock_free(s);
}

void sim_close(struct sim_sock *s)
{
    if (sim_readable(s) > 0) {
        sim_reset(s);
        return;
    }
    sim_shutdown(s);
    sock_free(s);
}
