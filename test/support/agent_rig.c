/* test/support/agent_rig.c — see agent_rig.h. */
#include "test/support/agent_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mailbox.h"
#include "io/worker.h"

struct agent_rig agent_rig;

void __wrap_agent_far_deliver(struct worker *, struct msg *);

/* -- workers ------------------------------------------------------------------------------------------------
 */

static void engine_turn(struct engine *e, uint64_t until)
{
    (void)until;
    e->worker->now_ns = agent_rig.now_ns;
}

static uint64_t engine_now(struct engine *e)
{
    (void)e;
    return agent_rig.now_ns;
}

static void engine_random(struct engine *e, void *bytes, size_t len)
{
    (void)e;
    for (size_t i = 0; i < len; i++) {
        agent_rig.seed = agent_rig.seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(agent_rig.seed >> 56);
    }
}

static void engine_wake(struct engine *e, unsigned worker)
{
    (void)e;
    (void)worker;
}

static void engine_free(struct engine *e)
{
    (void)e;
}

static const struct engine_ops ops = {
    .name = "test",
    .wake = engine_wake,
    .turn = engine_turn,
    .now_ns = engine_now,
    .wall_ns = engine_now,
    .random = engine_random,
    .free = engine_free,
};

static void start_worker(unsigned number)
{
    static const struct buf_limits limits = {
        {8192, 256, 8}
    };
    struct rig_worker *r = &agent_rig.workers[number];
    r->engine = (struct engine){.ops = &ops, .worker = &r->worker};
    ASSERT(worker_init(&r->worker, number, agent_rig.count, agent_rig.mail, &limits) == 0);
    r->worker.engine = &r->engine;
    agent_rig.peers[number] = &r->worker;
    r->worker.peers = agent_rig.peers;
    worker_start_clock(&r->worker);
    r->worker.app = &r->bw;
    r->bw = (struct broker_worker){.broker = &agent_rig.broker, .worker = &r->worker, .budget = 65536};
    slab_init(&r->bw.seg_nodes, "segments", sizeof(struct segq_node), 1u << 20);
    slab_init(&r->bw.agent_nears, "near halves", sizeof(struct agent_near), 1u << 16);
    ASSERT(agents_new(&r->bw, &r->bw.agents) == 0);
}

void agent_rig_start(unsigned workers)
{
    ASSERT(workers <= RIG_WORKERS_MAX);
    memset(&agent_rig, 0, sizeof(agent_rig));
    agent_rig.now_ns = 1000000000;
    agent_rig.seed = 42;
    agent_rig.count = workers;
    agent_rig.broker.config = &agent_rig.config;
    agent_rig.config.limits.tunnels_max = 1024;
    ASSERT(mailboxes_new(workers, 64, &agent_rig.mail) == 0);
    for (unsigned i = 0; i < workers; i++)
        start_worker(i);
}

static bool has_work(const struct worker *w)
{
    return mailbox_has_mail(w) || mailbox_is_overflowing(w) || !list_empty(&w->tasks);
}

void agent_rig_turn(unsigned worker)
{
    worker_turn(&agent_rig.workers[worker].worker, 0);
}

void agent_rig_settle(void)
{
    bool busy = true;
    for (unsigned round = 0; busy; round++) {
        ASSERT(round < 100000);
        busy = false;
        for (unsigned i = 0; i < agent_rig.count; i++)
            agent_rig_turn(i);
        for (unsigned i = 0; i < agent_rig.count; i++)
            busy |= has_work(&agent_rig.workers[i].worker);
    }
}

void agent_rig_advance_ms(uint64_t ms)
{
    agent_rig.now_ns += ms * 1000000u;
    agent_rig_settle();
}

void agent_rig_stop(void)
{
    agent_rig_settle();
    for (unsigned i = 0; i < agent_rig.far_count; i++) {
        ASSERT(agent_rig.fars[i]->near == NULL);
        free(agent_rig.fars[i]);
    }
    for (unsigned i = 0; i < agent_rig.count; i++) {
        struct broker_worker *bw = &agent_rig.workers[i].bw;
        agents_free(&bw->agents);
        slab_fini(&bw->agent_nears);
        slab_fini(&bw->seg_nodes);
        worker_fini(bw->worker);
    }
    mailboxes_free(&agent_rig.mail);
}

/* -- agents -------------------------------------------------------------------------------------------------
 */

struct agent_card *agent_rig_announce(unsigned home, const char *id, const char *hosts, bool default_route)
{
    struct agent_card *card = agent_card_new(AGENT_HOSTS_MAX);
    ASSERT(card);
    card->home = home;
    card->serial = ++agent_rig.serial;
    card->since_ns = agent_rig.now_ns;
    card->default_route = default_route;
    card->call = (struct agent_call *)card;
    snprintf(card->id, sizeof(card->id), "%s", id);
    int taken = 0;
    while (sscanf(hosts, "%253s%n", card->hosts[card->host_count], &taken) == 1) {
        card->host_count++;
        hosts += taken;
    }
    agents_announce(&agent_rig.workers[home].bw, card);
    return card;
}

void agent_rig_withdraw(struct agent_card *card)
{
    for (unsigned i = 0; i < agent_rig.far_count; i++)
        if (agent_rig.fars[i]->near && agent_rig.fars[i]->card == card)
            far_close(agent_rig.fars[i], ENDING_AGENT_LOST, NULL);
    card->call = NULL;
    agents_withdraw(&agent_rig.workers[card->home].bw, &card);
}

/* -- the far side -------------------------------------------------------------------------------------------
 */

static uint8_t pattern(uint64_t at, bool up)
{
    return (uint8_t)((at * 167 + (at >> 8) * 59 + (at >> 16)) ^ (up ? 0x5a : 0));
}

static struct worker *home_of(const struct far *f)
{
    return &agent_rig.workers[f->card->home].worker;
}

static void say(struct far *f, enum agent_message kind, struct seg seg, uint32_t value)
{
    struct msg msg = {.deliver = agent_near_deliver, .to = f->near, .seg = seg, .kind = kind, .value = value};
    ASSERT(f->near != NULL);
    mailbox_post(home_of(f), f->dialler, &msg);
}

static void say_lost(struct worker *home, const struct agent_dial *d, unsigned dialler)
{
    struct msg msg = {
        .deliver = agent_near_deliver, .to = d->near, .kind = AGENT_CLOSED, .value = ENDING_AGENT_LOST};
    mailbox_post(home, dialler, &msg);
}

static void hear_dial(struct worker *w, struct agent_card *card, const struct msg *msg)
{
    const struct agent_dial *d = (const struct agent_dial *)msg->seg.data;
    struct far *f = calloc(1, sizeof(*f));
    ASSERT(f && agent_rig.far_count < RIG_FARS_MAX);
    ASSERT(msg->seg.len == sizeof(*d));
    f->near = d->near;
    f->card = card;
    f->id = msg->extra[0];
    f->dialler = (unsigned)msg->extra[1];
    f->deadline_ns = d->deadline_ns;
    f->credit = d->credit;
    snprintf(f->address, sizeof(f->address), "%s", d->address);
    ASSERT(w->number == card->home);
    ASSERT(f->id >> 63 == 0 && f->id >> 57 == f->dialler);
    for (unsigned i = 0; i < agent_rig.far_count; i++)
        ASSERT(agent_rig.fars[i]->id != f->id);
    agent_rig.fars[agent_rig.far_count++] = f;
}

static struct far *far_find(uint64_t id)
{
    for (unsigned i = agent_rig.far_count; i-- > 0;)
        if (agent_rig.fars[i]->id == id && agent_rig.fars[i]->near)
            return agent_rig.fars[i];
    return NULL;
}

static void hear_data(struct far *f, struct seg seg)
{
    ASSERT(!f->fin);
    ASSERT(f->opened);
    ASSERT(f->held_count < ARRAY_SIZE(f->held));
    for (uint32_t i = 0; i < seg.len; i++)
        ASSERT(seg.data[i] == pattern(f->heard + i, true));
    f->heard += seg.len;
    ASSERT(f->held_bytes == 0 || f->held_bytes + seg.len <= agent_rig.workers[f->dialler].bw.budget);
    f->held[f->held_count++] = seg;
    f->held_bytes += seg.len;
}

void __wrap_agent_far_deliver(struct worker *w, struct msg *msg)
{
    struct agent_card *card = msg->to;
    struct far *f = far_find(msg->extra[0]);
    ASSERT(card->home == w->number); /* it lives, too: sanitizers look */
    switch ((enum agent_message)msg->kind) {
    case AGENT_DIAL:
        ASSERT(!f);
        if (!card->call) /* withdrawn, and not forgotten by all */
            say_lost(w, (const struct agent_dial *)msg->seg.data, (unsigned)msg->extra[1]);
        else
            hear_dial(w, card, msg);
        worker_release_seg(w, msg->seg);
        return;
    case AGENT_DATA:
        if (f)
            hear_data(f, msg->seg);
        else
            worker_release_seg(w, msg->seg);
        break;
    case AGENT_CREDIT:
        if (!f)
            break;
        ASSERT(msg->value > 0);
        f->credit += msg->value;
        f->credits++;
        break;
    case AGENT_FIN:
        if (!f)
            break;
        ASSERT(!f->fin);
        f->fin = true;
        break;
    case AGENT_ABORT:
        if (!f)
            break;
        ASSERT(!f->aborted);
        f->aborted = true;
        f->abort_reason = (enum ending)msg->value;
        if (!agent_rig.holds_aborts)
            far_close(f, f->abort_reason, NULL);
        break;
    case AGENT_OPENED:
    case AGENT_TAKEN:
    case AGENT_END:
    case AGENT_CLOSED: ASSERT(!"not a message to a far half");
    }
    if (!f)
        agent_rig.strangers++;
}

void far_open(struct far *f)
{
    ASSERT(!f->opened);
    f->opened = true;
    say(f, AGENT_OPENED, (struct seg){0}, 0);
}

void far_data(struct far *f, uint32_t len)
{
    struct buf *b = buf_get_bytes(&home_of(f)->bufs, len);
    ASSERT(b && len <= f->credit && f->opened && !f->ended);
    for (uint32_t i = 0; i < len; i++)
        b->mem[i] = pattern(f->said + i, false);
    f->said += len;
    f->credit -= len;
    say(f, AGENT_DATA, (struct seg){b, b->mem, len, 0}, 0);
}

void far_take(struct far *f, uint32_t count)
{
    ASSERT(count <= f->held_count);
    for (uint32_t i = 0; i < count; i++) {
        f->held_bytes -= f->held[i].len;
        say(f, AGENT_TAKEN, f->held[i], 0);
    }
    f->held_count -= count;
    memmove(f->held, f->held + count, f->held_count * sizeof(f->held[0]));
}

void far_end(struct far *f)
{
    ASSERT(f->opened && !f->ended);
    f->ended = true;
    say(f, AGENT_END, (struct seg){0}, 0);
}

void far_close(struct far *f, enum ending reason, const char *detail)
{
    struct worker *home = home_of(f);
    struct seg seg = {0};
    for (uint32_t i = 0; i < f->held_count; i++)
        worker_release_seg(home, f->held[i]);
    f->held_count = f->held_bytes = 0;
    if (detail) {
        struct buf *b = buf_get(&home->bufs, BUF_SMALL);
        ASSERT(b);
        memcpy(b->mem, detail, strlen(detail));
        seg = (struct seg){b, b->mem, (uint32_t)strlen(detail), 0};
    }
    say(f, AGENT_CLOSED, seg, reason);
    f->near = NULL;
}

/* -- owners -------------------------------------------------------------------------------------------------
 */

static void on_open(struct stream *s)
{
    struct owner *o = s->owner;
    ASSERT(!o->in_call && !o->opened && !o->aborted);
    o->opened = true;
}

static void on_data(struct stream *s, struct seg seg)
{
    struct owner *o = s->owner;
    ASSERT(!o->in_call && o->opened && !o->ended && !o->aborted && !o->closed);
    ASSERT(seg.buf->home == &s->worker->bufs); /* owners may count it, and write to it */
    ASSERT(o->received + seg.len <= o->granted);
    for (uint32_t i = 0; i < seg.len; i++)
        ASSERT(seg.data[i] == pattern(o->received + i, false));
    o->received += seg.len;
    uint32_t len = seg.len;
    worker_release_seg(s->worker, seg);
    if (o->grants_back)
        owner_grant(o, len);
    if (o->on_data)
        o->on_data(o);
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct owner *o = s->owner;
    ASSERT(!o->in_call && !o->aborted && !o->closed);
    ASSERT(seg.tag == o->segments_returned); /* unchanged, and in order */
    o->segments_returned++;
    o->returned += seg.len;
    worker_release_seg(s->worker, seg);
}

static void on_end(struct stream *s)
{
    struct owner *o = s->owner;
    ASSERT(!o->in_call && !o->ended && !o->aborted && !o->closed);
    ASSERT(o->received < o->granted); /* behind credit, as a socket's */
    o->ended = true;
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct owner *o = s->owner;
    ASSERT(!o->in_call && o->closed == 0);
    o->closed++;
    o->reason = reason;
    if (!agent_near_detail(o->near, o->detail, sizeof(o->detail)))
        o->detail[0] = '\0';
    o->near = NULL;
    stream_free(s);
}

static const struct stream_events owner_events = {on_open, on_data, on_sent, on_end, on_closed};

void owner_dial(struct owner *o, unsigned worker, struct agent_seen **agent)
{
    struct broker_worker *bw = &agent_rig.workers[worker].bw;
    static uint64_t ids;
    *o = (struct owner){.bw = bw};
    struct agent_near_dial dial = {(uint64_t)worker << 57 | ++ids, agent_rig.now_ns + 1000000000,
                                   "10.0.0.1:443"};
    o->near = agent_near_new(bw, agent, &dial);
    ASSERT(o->near && *agent == NULL);
    stream_bind(&o->near->stream, &owner_events, o);
}

void owner_grant(struct owner *o, uint32_t bytes)
{
    bool was = o->in_call;
    o->granted += bytes;
    o->in_call = true;
    stream_grant(&o->near->stream, bytes);
    o->in_call = was;
}

void owner_send_of(struct owner *o, unsigned lender, uint32_t len)
{
    struct buf *b = buf_get_bytes(&agent_rig.workers[lender].worker.bufs, len);
    ASSERT(b);
    for (uint32_t i = 0; i < len; i++)
        b->mem[i] = pattern(o->sent + i, true);
    o->sent += len;
    bool was = o->in_call;
    o->in_call = true;
    stream_send(&o->near->stream, (struct seg){b, b->mem, len, o->segments++});
    o->in_call = was;
}

void owner_send(struct owner *o, uint32_t len)
{
    owner_send_of(o, o->bw->worker->number, len);
}

void owner_finish(struct owner *o)
{
    bool was = o->in_call;
    o->finished = true;
    o->in_call = true;
    stream_finish(&o->near->stream);
    o->in_call = was;
}

void owner_abort(struct owner *o, enum ending reason)
{
    bool was = o->in_call;
    o->aborted = true;
    o->in_call = true;
    stream_abort(&o->near->stream, reason);
    o->in_call = was;
}
