/* test/sim/sim_walk.h — what a walk through a broker's lists must find after every turn of a worker: the
 * gauges' numbers, the limits of the configuration, the budgets of every direction.
 */
#pragma once

struct broker;
struct sim_case;

void sim_walk(struct sim_case *, const struct broker *);

/* sim_walk_calls.c */
void sim_walk_calls(struct sim_case *, const struct broker *);
/* The part of sim_walk() about connections with many streams. */
void sim_walk_nothing_left(struct sim_case *, const struct broker *);
/* All have left, and the broker is drained. */
