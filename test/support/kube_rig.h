/* test/support/kube_rig.h — the client of the Kubernetes API on a scripted engine, with http2_rig's
 * destination as the API server. One worker, which is the API's home and asks itself. Link as http2_rig.h
 * says. */
#pragma once

#include "broker/kube/kube.h"
#include "test/support/http2_rig.h"

enum { KUBE_RIG_SLOTS = 64, KUBE_RIG_SEEN = 4000 };

struct kube_rig {
    struct http2_rig http2;
    struct kube *kube;
    struct kube_access *access;
    uint32_t slots[KUBE_RIG_SLOTS];
    struct rig_stream *seen[KUBE_RIG_SEEN]; /* requests that were handed out */
    unsigned seen_count;
};

void kube_rig_start(struct kube_rig *, uint32_t qps, uint32_t burst, const char *token_file);
/* token_file NULL: the token is "secret". */
void kube_rig_stop(struct kube_rig *);
/* Drains, and asserts that nothing is left. */
struct rig_stream *kube_rig_next(struct kube_rig *);
/* The next request that the API server has seen whole, oldest first; NULL: there is none. */
void kube_rig_reply(struct kube_rig *, struct rig_stream *, const char *head, const char *json);
/* head: "status|name=value"; runs. The json is lent until it has gone. */
uint64_t kube_rig_now_s(const struct kube_rig *);
/* The time of day. */
