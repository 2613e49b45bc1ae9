/* test/support/kube_rig.c — see kube_rig.h. */
#include "test/support/kube_rig.h"

#include <stdio.h>
#include <string.h>

#include "broker/kube/access.h"
#include "broker/kube/token_review.h"

void kube_rig_start(struct kube_rig *rig, uint32_t qps, uint32_t burst, const char *token_file)
{
    struct kube_credentials c = {.host = "10.0.0.1", .port = 6443};
    char detail[200];
    rig->kube = NULL;
    rig->seen_count = 0;
    rig_start(&rig->http2);
    struct broker_worker *bw = &rig->http2.bw;
    bw->free_slots = rig->slots;
    for (uint32_t i = 0; i < KUBE_RIG_SLOTS; i++)
        rig->slots[bw->free_count++] = KUBE_RIG_SLOTS - 1 - i;
    token_asks_init(bw);
    if (token_file)
        c.token_file = strdup(token_file);
    else
        c.token = strdup("secret");
    const struct kube_options options = {.qps = qps, .burst = burst};
    ASSERT(kube_access_new(&c, &rig->access, detail, sizeof detail) == 0);
    ASSERT(kube_make(rig->access, &rig->http2.profile, &options, &rig->kube) == 0);
    rig->kube->home = bw;
    rig->http2.broker.kube = rig->kube;
    rig->http2.slots = KUBE_RIG_SLOTS;
}

void kube_rig_stop(struct kube_rig *rig)
{
    struct broker_worker *bw = &rig->http2.bw;
    kube_drain(rig->kube);
    rig_run(&rig->http2);
    rig_advance_ms(&rig->http2, 11000); /* two requests that nobody answers have their deadlines */
    ASSERT(kube_is_idle(rig->kube));
    ASSERT(bw->free_count == KUBE_RIG_SLOTS);
    slab_fini(&bw->token_asks);
    rig_stop(&rig->http2);
    kube_free(&rig->kube);
    kube_access_unref(&rig->access);
}

static bool was_seen(const struct kube_rig *rig, const struct rig_stream *st)
{
    for (unsigned i = 0; i < rig->seen_count; i++)
        if (rig->seen[i] == st)
            return true;
    return false;
}

struct rig_stream *kube_rig_next(struct kube_rig *rig)
{
    rig_run(&rig->http2);
    for (unsigned p = 0; p < rig->http2.peer_count; p++)
        for (unsigned i = 0; i < rig->http2.peers[p]->count; i++) {
            struct rig_stream *st = rig->http2.peers[p]->streams[i];
            if (!st->ended || st->closed || was_seen(rig, st))
                continue;
            ASSERT(rig->seen_count < KUBE_RIG_SEEN);
            rig->seen[rig->seen_count++] = st;
            return st;
        }
    return NULL;
}

void kube_rig_reply(struct kube_rig *rig, struct rig_stream *st, const char *head, const char *json)
{
    rig_respond(st, head, json, json ? strlen(json) : 0);
    rig_run(&rig->http2);
}

uint64_t kube_rig_now_s(const struct kube_rig *rig)
{
    return rig->http2.engine.now_ns / 1000000000;
}
