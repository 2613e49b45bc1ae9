/* test/sim/sim_client.c — see sim_client.h. */
#include "sim_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_http.h"
#include "sim_request.h"

enum { PIPELINE_MAX = 8, CONNECTIONS_MAX = 40, PAUSE_MAX_NS = 400000000 };

struct sim_client {
    struct sim_net *net;
    struct sim_ledger *ledger;
    struct sim_habits habits;
    struct net_address to;
    struct sim_backend *const *backends;
    unsigned backend_count;
    struct sim_sock *sock; /* NULL between connections */
    struct sim_bytes out;
    uint64_t out_total; /* bytes written on this connection */
    struct http_reader reader;
    uint32_t queue[PIPELINE_MAX]; /* exchanges under way, oldest first */
    unsigned queued, started, connections;
    uint64_t last_end_ns; /* of an exchange */
    struct sim_event think, write_pause, read_pause, leave, patience;
    bool reading_stopped, stopped_for_good, half_close, done, thinking;
};

static void client_work(struct sim_client *c);

static uint64_t now(const struct sim_client *c)
{
    return sim_now_ns(c->net);
}

static void after(struct sim_client *c, struct sim_event *e, uint64_t most_ns)
{
    sim_event_at(c->net, e, now(c) + sim_between(c->net, 1, most_ns));
}

static struct sim_exchange *first(struct sim_client *c)
{
    return c->queued > 0 ? sim_ledger_find(c->ledger, c->queue[0]) : NULL;
}

/* -- requests -----------------------------------------------------------------------------------------------
 */

static void begin_exchange(struct sim_client *c)
{
    struct sim_backend *b = c->backends[sim_random(c->net) % c->backend_count];
    c->queue[c->queued++] = sim_request_make(c->net, c->ledger, &c->habits, b, c->out_total, &c->out);
    c->started++;
}

static void begin_exchanges(struct sim_client *c)
{
    unsigned depth = c->habits.pipeline < PIPELINE_MAX ? c->habits.pipeline : PIPELINE_MAX;
    while (!c->thinking && c->started < c->habits.exchanges && c->queued < depth) {
        begin_exchange(c);
        if (c->habits.think_max_ns > 0 && sim_chance(c->net, 500)) {
            c->thinking = true;
            after(c, &c->think, c->habits.think_max_ns);
        }
    }
}

static void write_requests(struct sim_client *c)
{
    while (c->sock && c->out.at < c->out.len && c->write_pause.index == 0) {
        size_t len = c->out.len - c->out.at;
        bool slow = sim_chance(c->net, c->habits.slow_writes);
        if (slow && len > 1)
            len = (size_t)sim_between(c->net, 1, len < 100 ? len : 100);
        ssize_t n = sim_send(c->sock, c->out.mem + c->out.at, len);
        if (n < 0)
            break; /* full: a poke follows; an error is found by reading */
        sim_bytes_take(&c->out, (size_t)n);
        c->out_total += (size_t)n;
        if (slow)
            after(c, &c->write_pause, PAUSE_MAX_NS / 20);
    }
    if (c->sock && c->half_close && c->started == c->habits.exchanges && c->out.at == c->out.len)
        sim_shutdown(c->sock);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void end_first(struct sim_client *c, enum sim_outcome outcome)
{
    struct sim_exchange *x = first(c);
    x->answer_at_client = c->reader.body;
    sim_trace(c->net, "outcome", x->id, (uint64_t)outcome, x->status);
    sim_ledger_end(c->ledger, x->id, outcome, now(c));
    c->last_end_ns = now(c);
    c->queued--;
    memmove(c->queue, c->queue + 1, c->queued * sizeof(c->queue[0]));
    http_reader_begin(&c->reader, true, false);
}

/* A reset that tells of a cut answer may overtake the end of the answer before it. */
static bool cut_follows(struct sim_client *c)
{
    for (unsigned i = 1; i < c->queued; i++) {
        enum sim_act act = sim_ledger_find(c->ledger, c->queue[i])->act;
        if (act >= ACT_CUT_BODY && act <= ACT_RESET_OPEN)
            return true;
    }
    return false;
}

static void connection_over(struct sim_client *c, enum sim_outcome begun, enum sim_outcome others)
{
    sim_event_cancel(c->net, &c->leave);
    sim_event_cancel(c->net, &c->write_pause);
    sim_event_cancel(c->net, &c->read_pause);
    sim_event_cancel(c->net, &c->patience);
    for (bool behind = false; c->queued > 0; behind = true) {
        struct sim_exchange *x = first(c);
        bool was_begun = !behind && c->reader.part != PART_HEAD;
        x->behind = behind;
        x->disturbed |= c->reading_stopped || cut_follows(c);
        end_first(c, was_begun || (!behind && !http_reader_is_fresh(&c->reader)) ? begun : others);
    }
    c->out.at = c->out.len = 0;
    c->out_total = 0;
    c->reading_stopped = false;
    http_reader_begin(&c->reader, true, false);
}

/* Lets go of the connection, which may or may not be there any more. */
static void drop(struct sim_client *c, bool reset, enum sim_outcome begun, enum sim_outcome others)
{
    if (reset)
        sim_reset(c->sock);
    else
        sim_close(c->sock);
    c->sock = NULL;
    connection_over(c, begun, others);
}

static void on_head(struct http_reader *r)
{
    struct sim_client *c = r->owner;
    struct sim_exchange *x = first(c);
    if (r->status < 200) {
        x->interims++;
        return;
    }
    x->status = r->status;
    if (r->has_id && r->id != x->id)
        sim_violation(c->ledger, x->id, "got the answer of exchange %u", r->id);
    else if (!r->has_id && (c->habits.transparent ? x->act != ACT_GARBAGE : r->status < 400))
        sim_violation(c->ledger, x->id, "got status %u from nowhere", r->status);
}

static void on_body(struct http_reader *r, const uint8_t *bytes, size_t len)
{
    struct sim_client *c = r->owner;
    struct sim_exchange *x = first(c);
    if (r->has_id && !sim_body_matches(x->id, SIDE_ANSWER, r->body, bytes, len))
        sim_violation(c->ledger, x->id, "its answer's body is another's from byte %" PRIu64, r->body);
    x->answer_at_client = r->body + len;
}

static void judge_complete(struct sim_client *c)
{
    const struct sim_exchange *x = first(c);
    uint64_t owed = x->method == METHOD_HEAD ? 0 : x->answer_len;
    if (c->reader.body != owed)
        sim_violation(c->ledger, x->id, "its answer ended after %" PRIu64 " bytes of %" PRIu64,
                      c->reader.body, owed);
    if (x->status != (x->act == ACT_NO_CONTENT ? 204u : 200u))
        sim_violation(c->ledger, x->id, "its status came as %u", x->status);
    if (x->act > ACT_EARLY_CLOSE)
        sim_violation(c->ledger, x->id, "a cut answer came complete");
    if (x->seen == 0)
        sim_violation(c->ledger, x->id, "was answered without being asked");
}

/* An answer is there; true when the connection goes on. */
static bool on_answer(struct sim_client *c)
{
    bool interim = c->reader.status < 200, close = c->reader.close, own = c->reader.has_id;
    enum sim_act act = first(c)->act;
    if (interim) {
        http_reader_begin(&c->reader, true, first(c)->method == METHOD_HEAD);
        return true;
    }
    if (own)
        judge_complete(c);
    if (own && close && c->habits.keep_alive_is_owed && act != ACT_EARLY && act != ACT_EARLY_CLOSE)
        sim_violation(c->ledger, first(c)->id, "took the connection with it for no reason");
    end_first(c, own ? OUTCOME_COMPLETE : OUTCOME_ERROR);
    if (close) {
        for (unsigned i = 0; i < c->queued; i++)
            sim_ledger_find(c->ledger, c->queue[i])->disturbed = true;
        drop(c, false, OUTCOME_LOST, OUTCOME_LOST);
    }
    return !close;
}

static void unasked(struct sim_client *c, const uint8_t *bytes, size_t len)
{
    /* Only a broker that gives up on us may speak first: a request timeout, and then it closes. */
    if (c->habits.transparent || len < 12 || memcmp(bytes, "HTTP/1.1 408", 12) != 0)
        sim_violation(c->ledger, 0, "%zu bytes came that nobody asked for: %.60s", len, (const char *)bytes);
    drop(c, true, OUTCOME_LOST, OUTCOME_LOST);
}

static void on_malformed(struct sim_client *c)
{
    struct sim_exchange *x = first(c);
    if (!(c->habits.transparent && x->act == ACT_GARBAGE))
        sim_violation(c->ledger, x->id, "malformed answer: %s", c->reader.complaint);
    drop(c, true, OUTCOME_LOST, OUTCOME_LOST);
}

static void on_input(struct sim_client *c, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len && c->sock;) {
        if (c->queued == 0) {
            unasked(c, bytes + at, len - at);
            return;
        }
        if (http_reader_is_fresh(&c->reader))
            http_reader_begin(&c->reader, true, first(c)->method == METHOD_HEAD);
        at += http_read(&c->reader, bytes + at, len - at);
        if (c->reader.part == PART_DONE && !on_answer(c))
            return;
        if (c->reader.part == PART_BAD) {
            on_malformed(c);
            return;
        }
    }
}

static void on_eof(struct sim_client *c)
{
    if (c->reader.part == PART_UNTIL_CLOSE && c->queued > 0) {
        c->reader.part = PART_DONE;
        c->reader.close = true;
        on_answer(c);
    } else {
        drop(c, false, OUTCOME_CUT, OUTCOME_LOST);
    }
}

static void maybe_stop_reading(struct sim_client *c)
{
    if (c->queued == 0 || !sim_chance(c->net, c->habits.stops_reading))
        return;
    c->reading_stopped = true;
    for (unsigned i = 0; i < c->queued; i++)
        sim_ledger_find(c->ledger, c->queue[i])->disturbed = true;
    sim_trace(c->net, "stops", c->queue[0], 0, 0);
    if (sim_chance(c->net, c->habits.stops_for_good))
        c->stopped_for_good = true;
    else
        after(c, &c->read_pause, PAUSE_MAX_NS);
}

static void read_answers(struct sim_client *c)
{
    uint8_t bytes[4096];
    while (c->sock && !c->reading_stopped) {
        ssize_t n = sim_recv(c->sock, bytes, (size_t)sim_between(c->net, 1, sizeof(bytes)));
        if (n == -EAGAIN)
            return;
        if (n > 0)
            on_input(c, bytes, (size_t)n);
        else if (n == 0)
            on_eof(c);
        else
            drop(c, false, OUTCOME_CUT, OUTCOME_LOST);
        if (n > 0)
            maybe_stop_reading(c);
    }
}

/* -- connections --------------------------------------------------------------------------------------------
 */

static void on_poke(struct sim_sock *s)
{
    client_work(s->owner);
}

static void connect_anew(struct sim_client *c)
{
    if (c->connections++ == CONNECTIONS_MAX) {
        c->done = true;
        return;
    }
    c->sock = sim_connect(c->net, &c->to, NULL);
    ASSERT(c->sock != NULL);
    c->sock->owner = c;
    c->sock->poke = on_poke;
    c->half_close = sim_chance(c->net, c->habits.half_closes);
    if (sim_chance(c->net, c->habits.leaves))
        after(c, &c->leave, 200000000);
}

static void watch_patience(struct sim_client *c)
{
    if (c->queued == 0) {
        sim_event_cancel(c->net, &c->patience);
        return;
    }
    /* One behind others has its time from when it is its turn. */
    uint64_t since = first(c)->begun_ns > c->last_end_ns ? first(c)->begun_ns : c->last_end_ns;
    sim_event_at(c->net, &c->patience, since + c->habits.patience_ns);
}

/* Goes on with whatever can be done. */
static void client_work(struct sim_client *c)
{
    if (c->done)
        return;
    read_answers(c);
    if (c->started == c->habits.exchanges && c->queued == 0) {
        if (c->sock)
            drop(c, sim_chance(c->net, 100), OUTCOME_LOST, OUTCOME_LOST);
        c->done = true;
        return;
    }
    if (!c->sock && !c->thinking) {
        connect_anew(c);
        if (c->done)
            return;
    }
    if (c->sock)
        begin_exchanges(c);
    if (c->sock)
        write_requests(c);
    watch_patience(c);
}

static void on_think(struct sim_event *e)
{
    struct sim_client *c = container_of(e, struct sim_client, think);
    c->thinking = false;
    client_work(c);
}

static void on_write_pause(struct sim_event *e)
{
    client_work(container_of(e, struct sim_client, write_pause));
}

static void on_read_pause(struct sim_event *e)
{
    struct sim_client *c = container_of(e, struct sim_client, read_pause);
    c->reading_stopped = false;
    client_work(c);
}

static void on_leave(struct sim_event *e)
{
    struct sim_client *c = container_of(e, struct sim_client, leave);
    sim_trace(c->net, "leaves", c->queued, 0, 0);
    if (c->sock)
        drop(c, sim_chance(c->net, 500), OUTCOME_ABANDONED, OUTCOME_ABANDONED);
    client_work(c);
}

static void on_patience(struct sim_event *e)
{
    struct sim_client *c = container_of(e, struct sim_client, patience);
    const struct sim_exchange *x = first(c);
    if (c->stopped_for_good) {
        drop(c, true, OUTCOME_ABANDONED, OUTCOME_ABANDONED);
        c->done = true; /* it made its point */
        return;
    }
    if (c->habits.answer_is_owed)
        sim_violation(c->ledger, x->id, "was neither answered nor failed in %" PRIu64 " s",
                      c->habits.patience_ns / 1000000000u);
    drop(c, true, OUTCOME_ABANDONED, OUTCOME_ABANDONED);
    client_work(c);
}

struct sim_client *sim_client_new(struct sim_net *n, struct sim_ledger *ledger,
                                  const struct sim_habits *habits, const struct net_address *to,
                                  struct sim_backend *const *backends, unsigned backend_count)
{
    struct sim_client *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL && backend_count > 0);
    c->net = n;
    c->ledger = ledger;
    c->habits = *habits;
    c->to = *to;
    c->backends = backends;
    c->backend_count = backend_count;
    c->reader.owner = c;
    c->reader.on_head = on_head;
    c->reader.on_body = on_body;
    c->think.fire = on_think;
    c->write_pause.fire = on_write_pause;
    c->read_pause.fire = on_read_pause;
    c->leave.fire = on_leave;
    c->patience.fire = on_patience;
    c->thinking = true; /* not all begin at once */
    http_reader_begin(&c->reader, true, false);
    after(c, &c->think, 50000000);
    return c;
}

void sim_client_check(struct sim_client *c, uint32_t held_max)
{
    const struct sim_exchange *x = first(c);
    bool excused = !x || !c->sock || x->act >= ACT_FIRST_BAD || x->untrusted || x->status != 0;
    uint64_t taken = excused ? 0 : sim_taken(c->sock);
    if (excused || taken < x->request_at)
        return;
    taken -= x->request_at;
    taken = taken < x->request_len ? taken : x->request_len;
    if (taken > x->request_at_backend + held_max)
        sim_violation(c->ledger, x->id, "%" PRIu64 " bytes of its request's body are under way",
                      taken - x->request_at_backend);
}

bool sim_client_is_done(const struct sim_client *c)
{
    return c->done || c->stopped_for_good;
}

void sim_client_free(struct sim_client **cp)
{
    struct sim_client *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    if (c->sock)
        drop(c, true, OUTCOME_ABANDONED, OUTCOME_ABANDONED);
    sim_event_cancel(c->net, &c->think);
    sim_event_cancel(c->net, &c->write_pause);
    sim_event_cancel(c->net, &c->read_pause);
    sim_event_cancel(c->net, &c->leave);
    sim_event_cancel(c->net, &c->patience);
    sim_bytes_fini(&c->out);
    free(c);
}
