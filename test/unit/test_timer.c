/* test/unit/test_timer.c — the timing wheel against an oracle that looks at every timer each time. */
#include "io/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TIMERS = 200 };

static const uint64_t tick_ns = (uint64_t)1 << TIMER_TICK_SHIFT;
static const uint64_t hour_ns = 3600u * 1000000000ull;

struct probe {
    struct timer timer;
    bool armed;
    uint64_t asked_tick;
    uint64_t due_tick; /* the first tick at which it may fire */
    unsigned fired;
};

static struct timer_wheel wheel;
static struct probe probes[TIMERS];
static uint64_t now_ns, random_state;
static bool callbacks_act;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 20) % n;
}

static uint64_t round_up(uint64_t ns)
{
    return ns / tick_ns + (ns % tick_ns != 0);
}

static void probe_arm(struct probe *p, uint64_t at_ns)
{
    timer_arm_at(&wheel, &p->timer, at_ns);
    if (!p->armed || p->asked_tick != round_up(at_ns))
        p->due_tick = round_up(at_ns) < wheel.now_tick ? wheel.now_tick : round_up(at_ns);
    p->asked_tick = round_up(at_ns);
    p->armed = true;
    assert_true(timer_is_armed(&p->timer));
}

static void probe_disarm(struct probe *p)
{
    timer_disarm(&wheel, &p->timer);
    p->armed = false;
    assert_false(timer_is_armed(&p->timer));
}

/* From nanoseconds to beyond the wheel's horizon, each magnitude alike often; sometimes in the past. */
static uint64_t random_time(void)
{
    if (random_below(16) == 0)
        return now_ns - random_below(now_ns < hour_ns ? now_ns : hour_ns);
    return now_ns + random_below((uint64_t)1 << (1 + random_below(49)));
}

static void act_at_random(void)
{
    struct probe *p = &probes[random_below(TIMERS)];
    if (random_below(3) == 0)
        probe_disarm(p);
    else
        probe_arm(p, random_time());
}

static void on_fire(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    assert_false(timer_is_armed(t));
    assert_true(p->armed);
    assert_true(p->due_tick << TIMER_TICK_SHIFT <= now_ns); /* never early */
    for (int i = 0; i < TIMERS; i++)
        assert_false(probes[i].armed && probes[i].due_tick < p->due_tick); /* in order */
    p->armed = false;
    p->fired++;
    if (callbacks_act)
        for (uint64_t n = random_below(3); n > 0; n--)
            act_at_random();
    if (callbacks_act && random_below(8) == 0)
        probe_arm(p, random_time());
}

static void check_wheel(void)
{
    uint32_t armed = 0;
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(probes[i].armed, timer_is_armed(&probes[i].timer));
        armed += probes[i].armed;
        if (probes[i].armed && probes[i].due_tick < first)
            first = probes[i].due_tick;
    }
    assert_int_equal(wheel.armed, armed);
    uint64_t next = timer_next_ns(&wheel);
    if (!armed) {
        assert_true(next == UINT64_MAX);
        return;
    }
    assert_true(next > now_ns); /* or the loop would spin */
    assert_true(next <= first << TIMER_TICK_SHIFT);
}

static void advance_to(uint64_t ns)
{
    now_ns = ns;
    timer_advance(&wheel, ns);
    for (int i = 0; i < TIMERS; i++)
        assert_false(probes[i].armed && probes[i].due_tick << TIMER_TICK_SHIFT <= ns); /* none left behind */
    check_wheel();
}

static void start_at(uint64_t ns)
{
    now_ns = ns;
    callbacks_act = false;
    timer_wheel_init(&wheel, ns);
    for (int i = 0; i < TIMERS; i++) {
        probes[i] = (struct probe){0};
        timer_init(&probes[i].timer, on_fire);
    }
    timer_advance(&wheel, ns);
}

static void stop(void)
{
    for (int i = 0; i < TIMERS; i++)
        probe_disarm(&probes[i]);
    check_wheel();
}

static void an_empty_wheel_waits_for_nothing(void **state)
{
    (void)state;
    start_at(12345);
    check_wheel();
    advance_to(now_ns + 100 * hour_ns);
    probe_disarm(&probes[0]); /* harmless */
    check_wheel();
}

static void a_timer_fires_once_at_its_tick(void **state)
{
    (void)state;
    for (uint64_t delay = 1; delay < 200 * hour_ns; delay = delay * 7 / 3 + 1) {
        start_at(777777777777u);
        probe_arm(&probes[0], now_ns + delay);
        uint64_t due = probes[0].due_tick << TIMER_TICK_SHIFT;
        advance_to(due - 1);
        assert_int_equal(probes[0].fired, 0);
        advance_to(due);
        assert_int_equal(probes[0].fired, 1);
        advance_to(due + hour_ns);
        assert_int_equal(probes[0].fired, 1);
    }
}

static void following_next_reaches_a_timer_in_few_steps(void **state)
{
    (void)state;
    start_at(5 * hour_ns);
    probe_arm(&probes[0], now_ns + 20 * hour_ns);
    unsigned steps = 0;
    while (!probes[0].fired) {
        advance_to(timer_next_ns(&wheel));
        steps++;
    }
    assert_true(steps <= 2 * TIMER_LEVELS);
}

static void a_time_without_end_never_fires(void **state)
{
    (void)state;
    start_at(5 * hour_ns);
    timer_arm_at(&wheel, &probes[0].timer, UINT64_MAX);
    timer_arm_at(&wheel, &probes[1].timer, UINT64_MAX - 1);
    for (int i = 0; i < 100; i++) {
        now_ns += 3 * hour_ns;
        timer_advance(&wheel, now_ns);
    }
    assert_int_equal(probes[0].fired + probes[1].fired, 0);
    probe_disarm(&probes[0]);
    probe_disarm(&probes[1]);
}

static void a_past_time_fires_on_the_next_advance(void **state)
{
    (void)state;
    start_at(5 * hour_ns);
    probe_arm(&probes[0], 0);
    probe_arm(&probes[1], now_ns);
    advance_to(now_ns + tick_ns);
    assert_int_equal(probes[0].fired, 1);
    assert_int_equal(probes[1].fired, 1);
}

static void moving_leaves_the_old_time_behind(void **state)
{
    (void)state;
    start_at(5 * hour_ns);
    probe_arm(&probes[0], now_ns + 10 * tick_ns);
    probe_arm(&probes[0], now_ns + 1000 * tick_ns);
    advance_to(now_ns + 500 * tick_ns);
    assert_int_equal(probes[0].fired, 0);
    probe_arm(&probes[0], now_ns + tick_ns);
    advance_to(now_ns + 2 * tick_ns);
    assert_int_equal(probes[0].fired, 1);
}

static void disarm_neighbour(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    p->armed = false;
    p->fired++;
    probe_disarm(&probes[1]);
    probe_arm(&probes[2], now_ns + 70 * tick_ns);
}

static void a_callback_may_disarm_and_move_others_due_in_the_same_tick(void **state)
{
    (void)state;
    start_at(5 * hour_ns);
    probes[0].timer.fire = disarm_neighbour;
    for (int i = 0; i < 4; i++)
        probe_arm(&probes[i], now_ns + 3 * tick_ns);
    advance_to(now_ns + 5 * tick_ns);
    assert_int_equal(probes[0].fired, 1);
    assert_int_equal(probes[1].fired, 0);
    assert_int_equal(probes[2].fired, 0);
    assert_int_equal(probes[3].fired, 1);
    advance_to(now_ns + 100 * tick_ns);
    assert_int_equal(probes[2].fired, 1);
}

static void random_actions_agree_with_the_oracle(uint64_t seed, uint64_t start_ns, bool acting)
{
    random_state = seed;
    start_at(start_ns);
    callbacks_act = acting;
    for (int step = 0; step < 600; step++) {
        for (uint64_t n = random_below(20); n > 0; n--)
            act_at_random();
        check_wheel();
        uint64_t next = timer_next_ns(&wheel);
        if (random_below(2) && next != UINT64_MAX)
            advance_to(next);
        else
            advance_to(now_ns + random_below((uint64_t)1 << (1 + random_below(43))));
    }
    stop();
}

static void random_arming_moving_and_disarming(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_actions_agree_with_the_oracle(seed, seed * hour_ns, false);
        random_actions_agree_with_the_oracle(seed, seed * 40 * hour_ns, true);
    }
}

static void random_actions_around_the_turn_of_the_top_level(void **state)
{
    (void)state;
    uint64_t turn_ns = ((uint64_t)1 << 24) * tick_ns;
    for (uint64_t seed = 100; seed <= 110; seed++)
        random_actions_agree_with_the_oracle(seed, seed % 7 * turn_ns + turn_ns - hour_ns, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_waits_for_nothing),
        cmocka_unit_test(a_timer_fires_once_at_its_tick),
        cmocka_unit_test(following_next_reaches_a_timer_in_few_steps),
        cmocka_unit_test(a_time_without_end_never_fires),
        cmocka_unit_test(a_past_time_fires_on_the_next_advance),
        cmocka_unit_test(moving_leaves_the_old_time_behind),
        cmocka_unit_test(a_callback_may_disarm_and_move_others_due_in_the_same_tick),
        cmocka_unit_test(random_arming_moving_and_disarming),
        cmocka_unit_test(random_actions_around_the_turn_of_the_top_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
