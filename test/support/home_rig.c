/* test/support/home_rig.c — see home_rig.h. */
#include "test/support/home_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000ull

struct home_rig home;

void __wrap_agent_near_deliver(struct worker *, struct msg *);
void __wrap_token_review_check(struct broker_worker *, struct token_check *, struct slice);
void __wrap_token_review_cancel(struct token_check *);

/* -- tokens -------------------------------------------------------------------------------------------------
 */

void __wrap_token_review_check(struct broker_worker *bw, struct token_check *check, struct slice token)
{
    ASSERT(bw == &rig.bw);
    ASSERT(home.check == NULL);
    home.check = check;
    home.reviews++;
    snprintf(home.token, sizeof(home.token), "%.*s", (int)token.len, token.data);
}

void __wrap_token_review_cancel(struct token_check *check)
{
    if (home.check == check)
        home.check = NULL;
}

void home_review(const char *why)
{
    struct token_check *check = home.check;
    ASSERT(check != NULL);
    home.check = NULL;
    check->answered(check, why == NULL, why);
    h2_client_turns(3);
}

/* -- near halves --------------------------------------------------------------------------------------------
 */

void __wrap_agent_near_deliver(struct worker *w, struct msg *msg)
{
    struct near *n = msg->to;
    ASSERT(!n->closed);
    ASSERT(msg->extra[0] == n->id);
    switch ((enum agent_message)msg->kind) {
    case AGENT_OPENED:
        ASSERT(!n->opened);
        n->opened = true;
        return;
    case AGENT_DATA:
        ASSERT(n->opened && !n->ended && msg->seg.len > 0 && msg->seg.len <= n->credit);
        n->credit -= msg->seg.len;
        n->pieces++;
        fifo_put(&n->got, msg->seg.data, msg->seg.len);
        worker_release_seg(w, msg->seg);
        return;
    case AGENT_TAKEN:
        ASSERT(n->untaken >= msg->seg.len);
        ASSERT(msg->seg.data == msg->seg.buf->mem && msg->seg.tag == 7);
        n->untaken -= msg->seg.len;
        n->returned += msg->seg.len;
        worker_release_seg(w, msg->seg);
        return;
    case AGENT_END:
        ASSERT(n->opened && !n->ended);
        n->ended = true;
        return;
    case AGENT_CLOSED:
        n->closed = true;
        n->reason = (enum ending)msg->value;
        ASSERT(n->reason != ENDING_DONE || n->ended);
        if (!msg->seg.buf)
            return;
        snprintf(n->detail, sizeof(n->detail), "%.*s", (int)msg->seg.len, (const char *)msg->seg.data);
        worker_release_seg(w, msg->seg);
        return;
    case AGENT_DIAL:
    case AGENT_CREDIT:
    case AGENT_FIN:
    case AGENT_ABORT: break;
    }
    ASSERT(!"not a message to a near half");
}

static void post(struct near *n, enum agent_message kind, struct seg seg, uint32_t value)
{
    struct msg msg = {
        .deliver = agent_far_deliver,
        .to = home.card,
        .seg = seg,
        .kind = kind,
        .value = value,
        .extra = {n->id, rig.world.worker.number}
    };
    mailbox_post(&rig.world.worker, 0, &msg);
}

struct near *near_dial(const char *address, uint32_t credit)
{
    ASSERT(home.near_count < NEARS_MAX);
    struct near *n = &home.nears[home.near_count++];
    struct buf *b = buf_get(&rig.world.worker.bufs, BUF_SMALL);
    ASSERT(b != NULL);
    struct agent_dial *dial = (struct agent_dial *)b->mem;
    memset(dial, 0, sizeof(*dial));
    n->id = home.near_count;
    n->credit = credit;
    dial->near = (struct agent_near *)n;
    dial->credit = credit;
    dial->deadline_ns = rig.world.worker.now_ns + 20000 * MILLION;
    snprintf(dial->address, sizeof(dial->address), "%s", address);
    post(n, AGENT_DIAL, (struct seg){b, b->mem, sizeof(*dial), 0}, 0);
    h2_client_turns(2);
    return n;
}

struct near *near_open(int64_t id, uint32_t credit)
{
    struct near *n = near_dial("10.0.0.1:443", credit);
    ASSERT(agent_heard(PACKET_DIAL_REQ));
    agent_say(&(struct packet){.type = PACKET_DIAL_RSP, .connect_id = id, .random = home.said.random});
    ASSERT(n->opened);
    return n;
}

void near_say(struct near *n, const void *bytes, uint32_t len)
{
    struct buf *b = buf_get_bytes(&rig.world.worker.bufs, len);
    ASSERT(b != NULL);
    ASSERT(n->untaken + len <= rig.bw.budget);
    memcpy(b->mem, bytes, len);
    n->untaken += len;
    post(n, AGENT_DATA, (struct seg){b, b->mem, len, 7}, 0);
    h2_client_turns(3);
}

void near_credit(struct near *n, uint32_t bytes)
{
    n->credit += bytes;
    post(n, AGENT_CREDIT, (struct seg){0}, bytes);
    h2_client_turns(2);
}

void near_fin(struct near *n)
{
    post(n, AGENT_FIN, (struct seg){0}, 0);
    h2_client_turns(2);
}

void near_abort(struct near *n)
{
    post(n, AGENT_ABORT, (struct seg){0}, ENDING_CANCELLED);
    h2_client_turns(2);
}

/* -- what the agent says ------------------------------------------------------------------------------------
 */

static uint8_t *room(size_t len)
{
    ASSERT(home.upload_len + len <= sizeof(home.upload));
    return home.upload + home.upload_len;
}

void agent_put(const struct packet *p)
{
    uint8_t bytes[PACKET_BYTES_MAX];
    uint32_t len = packet_encode(p, bytes);
    memcpy(room(len), bytes, len);
    home.upload_len += len;
}

void agent_put_data(int64_t id, const void *bytes, uint32_t len)
{
    uint8_t head[PACKET_BYTES_MAX];
    uint32_t head_len = packet_write_data_head(head, id, len);
    uint8_t *to = room(head_len + len);
    memcpy(to, head, head_len);
    memcpy(to + head_len, bytes, len);
    home.upload_len += head_len + len;
}

void agent_flush(void)
{
    h2_client_say(home.call, home.upload, home.upload_len, false);
    home.upload_len = 0;
    h2_client_turns(4);
}

void agent_say(const struct packet *p)
{
    agent_put(p);
    agent_flush();
}

void agent_say_data(int64_t id, uint32_t len)
{
    static uint8_t bytes[1 << 20];
    ASSERT(len <= sizeof(bytes));
    for (uint32_t at = 0; at < len; at += 4096) /* as agents read */
        agent_put_data(id, bytes, len - at < 4096 ? len - at : 4096);
    agent_flush();
}

void agent_say_bytes(const char *bytes, size_t len)
{
    memcpy(room(len), bytes, len);
    home.upload_len += len;
    agent_flush();
}

/* -- what it hears ------------------------------------------------------------------------------------------
 */

static void keep_texts(void)
{
    snprintf(home.address, sizeof(home.address), "%.*s", (int)home.said.address.len,
             home.said.address.data ? home.said.address.data : "");
    home.said.address = home.said.error = home.said.protocol = SLICE("");
}

bool agent_heard(uint32_t type)
{
    struct bytes_fifo *body = &home.call->body;
    struct slice left = slice_of((const char *)body->bytes + body->from, body->len);
    struct reader_failure failure;
    uint32_t data = 0;
    for (;;) {
        enum reader_result result = reader_read(&home.reader, &rig.world.worker.bufs, &left, &home.said,
                                                &failure);
        ASSERT(result != READ_FAILED);
        if (result == READ_MORE)
            break;
        if (result == READ_BYTES)
            fifo_put(&home.data, (const uint8_t *)home.said.data.data, home.said.data.len);
        data += result == READ_BYTES ? home.said.data.len : 0;
        if (home.reader.state == READER_PREFIX)
            break;
    }
    size_t used = body->len - left.len;
    body->from += used;
    body->len -= used;
    if (used == 0)
        return false;
    keep_texts();
    home.said.data.len = data;
    reader_reset(&home.reader);
    return home.said.type == type;
}

bool agent_heard_nothing(void)
{
    return home.call->body.len == 0;
}

/* -- beginning and end --------------------------------------------------------------------------------------
 */

void home_pass(uint64_t ms)
{
    uint64_t until_ns = rig.world.now_ns + ms * MILLION;
    while (rig.world.now_ns < until_ns) {
        uint64_t left_ms = (until_ns - rig.world.now_ns) / MILLION;
        rig.world.now_ns += (left_ms < 10 ? left_ms : 10) * MILLION;
        h2_client_turns(1);
    }
    h2_client_turns(2);
}

static bool count_card(const struct agent_card *card, void *arg)
{
    (void)card;
    ++*(unsigned *)arg;
    return true;
}

unsigned home_known(void)
{
    unsigned count = 0;
    agents_each(rig.bw.agents, count_card, &count);
    return count;
}

static bool take_card(const struct agent_card *card, void *arg)
{
    (void)arg;
    home.card = (struct agent_card *)(uintptr_t)card;
    return false;
}

struct h2_stream *home_connect(const char *metadata)
{
    char fields[4096];
    snprintf(fields, sizeof(fields), "content-type=application/grpc|te=trailers%s%s", metadata[0] ? "|" : "",
             metadata);
    struct h2_stream *s = h2_client_upload("127.0.0.1:8091", "/AgentService/Connect", fields);
    h2_client_turns(4);
    agents_each(rig.bw.agents, take_card, NULL);
    return s;
}

void home_rig_start(void)
{
    memset(&home, 0, sizeof(home));
    front_rig_start_agents();
    snprintf(rig.broker.server_id, sizeof(rig.broker.server_id), "server-1");
    rig.config.agents = (struct config_agents){.server_count = 3,
                                               .dial_ms = 30000,
                                               .pending_dials_max = 100,
                                               .connection_bytes_max = 16 << 20,
                                               .patience_ms = 10000,
                                               .keepalive_ms = 10000,
                                               .keepalive_timeout_ms = 5000};
    h2_client_start(false);
    home.call = home_connect("agentid=agent-1|agentidentifiers=host=node-1&ipv4=10.0.0.7");
    ASSERT(home.card != NULL);
}

void home_rig_stop(void)
{
    reader_reset(&home.reader);
    h2_client_stop();
    front_rig_stop();
    for (unsigned i = 0; i < home.near_count; i++) {
        ASSERT(home.nears[i].closed);
        fifo_free(&home.nears[i].got);
    }
    fifo_free(&home.data);
}
