/* test/sim/sim_script.c — see sim_script.h. */
#include "sim_script.h"

#include "io/sim_net.h"

static const uint64_t delay_max_ns = 50000000, pause_max_ns = 20000000;

/* Nothing rather often, and small, medium and large lengths alike. */
static uint32_t some_length(struct sim_net *n, uint32_t most)
{
    uint64_t scale = 1ull << sim_between(n, 0, 31);
    uint64_t len = sim_between(n, 0, scale < most ? scale : most);
    return len < SIM_PREAMBLE ? (len % 2 ? SIM_PREAMBLE : 0) : (uint32_t)len;
}

static void some_script(struct sim_net *n, const struct sim_script_habits *h, struct sim_script *s)
{
    *s = (struct sim_script){.len = some_length(n, h->len_max),
                             .ends_last = sim_chance(n, 500),
                             .piece_max = 1u << sim_between(n, 0, 12),
                             .breaks_at = UINT32_MAX,
                             .life_ns = UINT64_MAX};
    if (h->full > 0 && sim_chance(n, h->full))
        s->len = h->len_max;
    if (h->len_max > 4096 && s->piece_max < 64)
        s->piece_max = 4096; /* byte by byte would prove nothing but patience */
    if (sim_chance(n, 500))
        s->delay_ns = sim_between(n, 0, delay_max_ns);
    if (sim_chance(n, h->pauses)) {
        s->pauses = (uint32_t)sim_between(n, 1, 300);
        s->pause_max_ns = h->len_max > 100000 ? pause_max_ns / 20 : pause_max_ns;
    }
    if (sim_chance(n, h->breaks))
        s->breaks_at = (uint32_t)sim_between(n, 0, h->len_max / 2);
    if (sim_chance(n, h->stops)) {
        s->stops_at = (uint32_t)sim_between(n, 0, h->len_max / 2);
        s->stop_ns = sim_chance(n, h->stops_for_good) ? UINT64_MAX : sim_between(n, 1, h->stop_max_ns);
    }
}

static void make_echo(struct sim_script *s)
{
    s->echo = s->ends_last = true;
    s->len = 0;
}

void sim_script_near(struct sim_net *n, const struct sim_script_habits *h, struct sim_script *ret)
{
    some_script(n, h, ret);
    ret->ends_last = false;
    ret->life_ns = h->life_ns;
}

void sim_script_of_door(struct sim_net *n, const struct sim_script_habits *h, struct sim_script *ret)
{
    some_script(n, h, ret);
    if (ret->stop_ns ==
        UINT64_MAX) /* what was said and ended may lie unread, and nobody has to wait for it */
        ret->life_ns = h->life_ns;
    if (sim_chance(n, h->echoes))
        make_echo(ret);
    else
        ret->waits = sim_chance(n, h->waits);
}

void sim_script_pair(struct sim_net *n, const struct sim_script_habits *h, struct sim_script *ret_near,
                     struct sim_script *ret_far)
{
    sim_script_of_door(n, h, ret_far);
    some_script(n, h, ret_near);
    ret_near->life_ns = h->life_ns;
    if (ret_far->ends_last || (ret_far->waits && ret_near->len == 0))
        ret_near->ends_last = false;
    if (ret_far->len > 0 && !ret_far->waits)
        ret_near->waits = sim_chance(n, h->waits);
}
