/* test/sim/sim_walk.h — what a walk through a broker's lists must find after every turn of a worker: the
 * gauges' numbers, the limits of the configuration, the budgets of every direction.
 */
#pragma once

struct broker;
struct sim_case;

void sim_walk(struct sim_case *, const struct broker *);
