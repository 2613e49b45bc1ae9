/* broker/kube/kube_call.h — one attempt of a request to the API server: the front half of an exchange that
 * has no client. It lives until the egress half has said its last word, also when nobody waits for it any
 * more. Owner worker only; internal to broker/kube/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/ending.h"
#include "io/list.h"
#include "io/mailbox.h"

struct kube;
struct kube_request;

struct kube_call {
    struct list node; /* kube.calls_open */
    struct kube *kube;
    struct kube_request *request; /* NULL: given up */
    uint32_t slot;
    uint16_t status;
    uint32_t retry_after_ms; /* 0: not said */
    enum ending ending;
    char detail[200];
    char *body; /* of the answer, always with room for a NUL */
    size_t len, cap;
};

MUST_USE bool kube_call_begin(struct kube *, struct kube_request *);
/* kube_call_done() follows, as an event. False: a limit of the broker, nothing was begun. */
void kube_call_give_up(struct kube_call *);
/* Its request has left. */
void kube_deliver(struct worker *, struct msg *);
/* Message function of the home. to: struct kube_call. */

void kube_call_done(struct kube_call *);
/* kube.c: the last word was heard, for a request that still waits. The call is freed afterwards. */
