/* io/mailbox.h — messages between workers: one lock-free SPSC ring (ck_ring) for each ordered pair, itself
 * included.
 *
 * A message is 64 bytes, copied in and out; it names the function that receives it and carries handles that
 * are opaque to everybody but their own worker. Order holds per pair. post never blocks and never drops: what
 * does not fit is kept in the sender's overflow list and moved at the end of each turn. A consumer is woken
 * only if it said that it is about to sleep. With sender and receiver on one worker the same messages are
 * delivered in the same turn, after the caller has returned.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/buf.h"

struct worker;
struct mailboxes;

struct msg {
    void (*deliver)(struct worker *, struct msg *);
    /* runs on the receiving worker; may keep nothing of the message */
    void *to; /* the receiver's own object, or NULL where the receiver finds it by `extra` */
    struct seg seg;
    uint32_t kind;
    uint32_t value;
    uint64_t extra[2];
};
_Static_assert(sizeof(struct msg) == 64, "a message is one cache line");

MUST_USE int mailboxes_new(unsigned workers, uint32_t entries, struct mailboxes **ret);
/* Rings for all pairs. entries: power of two. 0 or -ENOMEM. Before threads start. */
void mailboxes_free(struct mailboxes **);
/* After threads have ended. Asserts nothing: messages still inside are dropped with their segments' chunks.
 */

void mailbox_post(struct worker *from, unsigned to, const struct msg *);
/* Owner worker of `from`. */
void mailbox_post_lazy(struct worker *from, unsigned to, const struct msg *);
/* As mailbox_post, but does not wake a sleeper: for what may wait until it wakes by itself (returned
 * buffers). */
unsigned mailbox_drain(struct worker *);
/* Delivers waiting messages, bounded per call and sender; returns how many. Owner worker only. */
bool mailbox_has_mail(const struct worker *);
/* Something waits for this worker. Owner worker only. */
bool mailbox_is_overflowing(const struct worker *);
/* Overflow of its own waits to be moved: it must turn again soon, but need not spin. Owner worker only. */
void mailbox_flush(struct worker *);
/* Moves overflow into rings, and asks the engine to wake those receivers that sleep. End of each turn. */
bool mailbox_prepare_sleep(struct worker *);
/* Announces sleep, after waking those who have mail from this worker. False when mail came in meanwhile: do
 * not sleep. Pair with mailbox_awake(). */
void mailbox_awake(struct worker *);
uint32_t mailbox_depth(const struct worker *);
/* Messages waiting for this worker now, for gauges. */
