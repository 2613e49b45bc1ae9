/* broker/kube/token_ask.c — the asking worker's side of token_review.h. */
#include "broker/kube/token_ask.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/kube/credentials.h"
#include "broker/kube/kube.h"
#include "broker/kube/token_review.h"

struct token_ask {
    struct broker_worker *bw;
    struct token_check *check; /* NULL: it has left */
};

_Static_assert((int)TOKEN_BYTES_MAX == (int)KUBE_TOKEN_MAX, "one bound on tokens");

void token_asks_init(struct broker_worker *bw)
{
    slab_init(&bw->token_asks, "checks of tokens", sizeof(struct token_ask), TOKEN_ASKS_MAX);
}

static void on_refusal(struct task *task)
{
    struct token_check *check = container_of(task, struct token_check, refusal);
    const char *text = check->refusal_text;
    check->refusal_text = NULL;
    check->answered(check, false, text);
}

static void refuse(struct broker_worker *bw, struct token_check *check, const char *text)
{
    check->refusal_text = text;
    task_init(&check->refusal, on_refusal);
    worker_defer(bw->worker, &check->refusal);
}

void token_review_check(struct broker_worker *bw, struct token_check *check, struct slice token)
{
    struct kube *k = bw->broker->kube;
    struct worker *w = bw->worker;
    ASSERT(k && k->reviews);
    ASSERT(!check->ask && !check->refusal_text);
    counter_add(w, COUNTER_token_checks, 1);
    if (!kube_token_is_valid(token.data, token.len)) {
        refuse(bw, check, "the token is empty, too long, or has characters that no bearer token has");
        return;
    }
    struct token_ask *ask = slab_take(&bw->token_asks);
    struct buf *b = ask ? buf_get_bytes(&w->bufs, token.len) : NULL;
    if (!b) {
        if (ask)
            slab_give(&bw->token_asks, ask);
        refuse(bw, check, "too many tokens are being checked");
        return;
    }
    *ask = (struct token_ask){bw, check};
    check->ask = ask;
    memcpy(b->mem, token.data, token.len);
    struct msg msg = {
        .deliver = token_ask_deliver,
        .to = k->reviews,
        .seg = {b,  b->mem, token.len, 0},
        .extra = {(uint64_t)(uintptr_t)ask, w->number      }
    };
    mailbox_post(w, kube_home(k), &msg);
}

void token_review_cancel(struct token_check *check)
{
    if (check->refusal_text)
        task_cancel(&check->refusal);
    check->refusal_text = NULL;
    if (check->ask)
        check->ask->check = NULL;
    check->ask = NULL;
}

static void on_answer(struct worker *w, struct msg *msg)
{
    struct token_ask *ask = msg->to;
    struct token_check *check = ask->check;
    char why[256] = "the token was not accepted";
    if (msg->seg.buf) {
        snprintf(why, sizeof(why), "%.*s", (int)msg->seg.len, (const char *)msg->seg.data);
        worker_release_seg(w, msg->seg);
    }
    slab_give(&ask->bw->token_asks, ask);
    if (!check)
        return;
    check->ask = NULL;
    check->answered(check, msg->value, msg->value ? NULL : why);
}

void token_ask_answer(struct worker *home, unsigned asker, struct token_ask *ask, bool good, const char *why)
{
    struct msg msg = {.deliver = on_answer, .to = ask, .value = good};
    struct buf *b = good ? NULL : buf_get(&home->bufs, BUF_SMALL);
    if (b) {
        size_t len = strnlen(why, 255);
        memcpy(b->mem, why, len);
        msg.seg = (struct seg){b, b->mem, (uint32_t)len, 0};
    }
    mailbox_post(home, asker, &msg);
}
