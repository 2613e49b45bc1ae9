/* test/support/resolve_rig.c — see resolve_rig.h. */
#include "test/support/resolve_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "test/support/poll_engine.h"

struct resolve_rig resolve_rig;

uint64_t resolve_rig_in_ms(uint64_t ms)
{
    return resolve_rig.worker.now_ns + ms * 1000000u;
}

void question_done(struct resolve *r, enum ending ending, const struct net_address *addresses, unsigned count)
{
    struct question *q = (struct question *)r;
    assert_false(resolve_is_pending(r));
    q->answers++;
    q->ending = ending;
    q->count = count;
    assert_true(count <= RESOLVE_ADDRESSES_MAX);
    assert_int_equal(count > 0, ending == ENDING_DONE);
    for (unsigned i = 0; i < count; i++)
        q->addresses[i] = addresses[i];
    if (q->cancels)
        resolve_cancel(&q->cancels->resolve);
    if (q->again) {
        q->again = false;
        resolve_start(resolve_rig.resolver, r, q->name, 443, resolve_rig_in_ms(2000));
        assert_int_equal(q->answers, 1); /* never from inside the call */
    }
    free(q->frees); /* may be q itself */
}

void question_ask(struct question *q, const char *name, uint64_t within_ms)
{
    if (q->answers == 0)
        resolve_init(&q->resolve, question_done);
    unsigned before = q->answers;
    q->name = name;
    resolve_start(resolve_rig.resolver, &q->resolve, name, 10250, resolve_rig_in_ms(within_ms));
    assert_int_equal(q->answers, before);
    resolver_check(resolve_rig.resolver);
}

void resolve_rig_turn(void)
{
    worker_turn(&resolve_rig.worker, resolve_rig_in_ms(50));
    resolver_check(resolve_rig.resolver);
}

void resolve_rig_turn_until(const struct question *q, unsigned answers)
{
    uint64_t limit = resolve_rig_in_ms(10000);
    while (q->answers < answers && resolve_rig.worker.now_ns < limit)
        resolve_rig_turn();
    assert_int_equal(q->answers, answers);
}

enum ending question_now(struct question *q, const char *name)
{
    *q = (struct question){0};
    question_ask(q, name, 3000);
    resolve_rig_turn_until(q, 1);
    return q->ending;
}

void resolve_rig_assert_address(const struct net_address *a, const char *text)
{
    char buf[NET_TEXT_MAX];
    assert_string_equal(net_address_text(a, buf), text);
}

void resolve_rig_resolver(struct resolver_options o)
{
    if (!o.servers)
        o.servers = dns_server_address(resolve_rig.server);
    o.no_hosts_file = true;
    if (!o.try_ms)
        o.try_ms = 250;
    assert_int_equal(resolver_new(&resolve_rig.worker, &o, &resolve_rig.resolver), 0);
}

void resolve_rig_start(void)
{
    resolve_rig.server = dns_server_start();
    assert_int_equal(mailboxes_new(1, 64, &resolve_rig.mail), 0);
    static const struct buf_limits limits = {
        {8, 8, 1}
    };
    assert_int_equal(worker_init(&resolve_rig.worker, 0, 1, resolve_rig.mail, &limits), 0);
    resolve_rig.peers[0] = &resolve_rig.worker;
    resolve_rig.worker.peers = resolve_rig.peers;
    assert_int_equal(poll_engine_new(&resolve_rig.worker, &resolve_rig.worker.engine), 0);
    worker_start_clock(&resolve_rig.worker);
    resolve_rig_resolver((struct resolver_options){0});
}

void resolve_rig_stop(void)
{
    resolver_free(&resolve_rig.resolver);
    worker_fini(&resolve_rig.worker);
    mailboxes_free(&resolve_rig.mail);
    dns_server_stop(&resolve_rig.server);
}
