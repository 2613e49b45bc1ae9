/* test/support/http2_asks.c — see http2_asks.h. */
#include "test/support/http2_asks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct http2_asks asks;

void asks_start(void)
{
    rig_start(&asks.rig);
    for (size_t i = 0; i < sizeof asks.bulk; i++)
        asks.bulk[i] = (char)(i * 7 + i / 1000);
}

void asks_stop(void)
{
    rig_stop(&asks.rig);
    for (unsigned i = 0; i < ARRAY_SIZE(asks.r); i++)
        rig_forget(&asks.r[i]);
}

uint64_t asks_count(enum counter c)
{
    return atomic_load_explicit(&asks.rig.engine.worker.counters.values[c], memory_order_relaxed);
}

void asks_get(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        rig_ask(&asks.rig, &asks.r[i], GET "\r\n", true);
    rig_run(&asks.rig);
}

void asks_assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

void asks_assert_reset(const struct rig_request *q, enum ending ending, const char *detail)
{
    assert_true(q->reset);
    assert_string_equal(ending_name(q->ending), ending_name(ending));
    asks_assert_has(q->detail, detail);
}

void asks_assert_answered(const struct rig_request *q, unsigned status, const char *body, size_t len)
{
    assert_true(q->ended);
    assert_true(q->heads > 0);
    assert_int_equal(q->statuses[q->heads - 1], status);
    assert_int_equal(q->body_len, len);
    if (len > 0)
        assert_memory_equal(q->body, body, len);
}
