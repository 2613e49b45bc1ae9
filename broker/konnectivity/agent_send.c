/* broker/konnectivity/agent_send.c — what goes to an agent, and in which order.
 *
 * Packets are made when the HTTP/2 stream asks for bytes: the dials and closes that are due, and one of data
 * behind them, so that nothing waits behind more than one and the small ones share a frame. Dials and closes
 * go first: they may overtake the data of other connections, but for their own they are the last to be due.
 * Data takes turns among the connections. It is copied out of the segments that near halves lent, which go
 * back as soon as they are used up: a near half has no more on its way than the broker's budget.
 */
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

static struct slab *nodes_of(const struct agent_call *a)
{
    return &a->home->bw->seg_nodes;
}

/* -- whose turn it is ---------------------------------------------------------------------------------------
 */

static struct list *place_of(struct agent_conn *c)
{
    struct agent_call *a = c->agent;
    switch (c->state) {
    case AGENT_CONN_ASKED: return &a->controls;
    case AGENT_CONN_OPEN:
    case AGENT_CONN_FINISHING: return segq_empty(&c->out.segs) || a->sending == c ? NULL : &a->ready;
    case AGENT_CONN_CLOSING:
    case AGENT_CONN_LEFT: return c->close_said ? NULL : &a->controls;
    case AGENT_CONN_DIALLING:
    case AGENT_CONN_ENDED:
    case AGENT_CONN_LATE: return NULL;
    case AGENT_CONN_STATES: ASSERT(!"a state of a far half");
    }
    return NULL;
}

void agent_send_due(struct agent_conn *c)
{
    struct agent_call *a = c->agent;
    struct list *place = place_of(c);
    bool keeps_its_turn = place == &a->ready && !list_empty(&c->due);
    if (keeps_its_turn)
        return;
    list_remove(&c->due);
    if (!place)
        return;
    list_add_tail(place, &c->due);
    http2_reply_wake(a->call.http2);
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

static void add_packet(struct agent_call *a, const struct packet *packet)
{
    stats_packet(&a->home->bw->stats, STATS_TO_AGENT, packet->type);
    a->excuses += packet->type == PACKET_CLOSE_REQ;
    a->head_len += packet_encode(packet, a->head + a->head_len);
}

static void say_stranger(struct agent_call *a)
{
    add_packet(a, &(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = a->strangers[--a->strangers_n]});
}

static void say_control(struct agent_conn *c)
{
    if (c->state == AGENT_CONN_ASKED) {
        add_packet(c->agent, &(struct packet){.type = PACKET_DIAL_REQ,
                                              .protocol = SLICE("tcp"),
                                              .address = slice_of_text(c->address),
                                              .random = (int64_t)c->dial});
        agent_conn_set_state(c, AGENT_CONN_DIALLING);
        return;
    }
    add_packet(c->agent, &(struct packet){.type = PACKET_CLOSE_REQ, .connect_id = c->id});
    c->close_said = true;
    agent_send_due(c);
}

/* As many whole segments as fit, or a part of the first. */
static uint32_t data_of(const struct agent_queue *q)
{
    uint32_t len = q->segs.head->seg.len - q->at;
    for (const struct segq_node *n = q->segs.head->next; n && len + n->seg.len <= AGENT_DATA_MAX; n = n->next)
        len += n->seg.len;
    return len < AGENT_DATA_MAX ? len : AGENT_DATA_MAX;
}

static void say_data(struct agent_conn *c)
{
    struct agent_call *a = c->agent;
    stats_packet(&a->home->bw->stats, STATS_TO_AGENT, PACKET_DATA);
    a->data_left = data_of(&c->out);
    a->head_len += packet_write_data_head(a->head + a->head_len, c->id, a->data_left);
    a->sending = c;
    agent_send_due(c);
}

/* Its turn comes again behind the others, if it has more. */
static void finish_data(struct agent_call *a)
{
    struct agent_conn *c = a->sending;
    a->sending = NULL;
    agent_queue_drop(&a->orphan, a->home);
    if (!c)
        return;
    agent_send_due(c);
    agent_conn_taken(c);
}

static void make_packets(struct agent_call *a)
{
    a->head_len = a->head_sent = 0;
    while (!a->call.over && a->data_left == 0 && a->head_len + PACKET_BYTES_MAX <= sizeof(a->head)) {
        if (a->strangers_n > 0)
            say_stranger(a);
        else if (!list_empty(&a->controls))
            say_control(list_entry(a->controls.next, struct agent_conn, due));
        else if (!list_empty(&a->ready))
            say_data(list_entry(a->ready.next, struct agent_conn, due));
        else
            return;
    }
}

uint32_t agent_send_ready(struct http2_call *call)
{
    struct agent_call *a = container_of(call, struct agent_call, call);
    if (a->head_sent == a->head_len && a->data_left == 0)
        make_packets(a);
    return a->head_len - a->head_sent + a->data_left;
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

static void let_go(struct agent_call *a, struct seg seg)
{
    if (a->sending)
        agent_conn_post(a->sending, AGENT_TAKEN, seg, 0);
    else
        worker_release_seg(agent_worker(a), seg);
}

static void take_data(struct agent_call *a, uint8_t *to, uint32_t len)
{
    struct agent_queue *q = a->sending ? &a->sending->out : &a->orphan;
    a->data_left -= len;
    a->bytes_out += len;
    while (len > 0) {
        const struct seg *seg = &q->segs.head->seg;
        uint32_t left = seg->len - q->at, n = len < left ? len : left;
        memcpy(to, seg->data + q->at, n);
        to += n;
        len -= n;
        q->at += n;
        if (q->at < seg->len)
            break;
        q->at = 0;
        let_go(a, segq_pop(&q->segs, nodes_of(a)));
    }
    if (a->data_left == 0)
        finish_data(a);
}

void agent_send_take(struct http2_call *call, uint8_t *to, uint32_t len)
{
    struct agent_call *a = container_of(call, struct agent_call, call);
    uint32_t head_left = a->head_len - a->head_sent, n = len < head_left ? len : head_left;
    memcpy(to, a->head + a->head_sent, n);
    a->head_sent += n;
    if (len > n)
        take_data(a, to + n, len - n);
}

void agent_send_orphan(struct agent_conn *c)
{
    struct agent_call *a = c->agent;
    if (a->sending != c)
        return;
    a->sending = NULL;
    ASSERT(segq_empty(&a->orphan.segs));
    a->orphan = c->out;
    c->out = (struct agent_queue){.at = 0};
}
