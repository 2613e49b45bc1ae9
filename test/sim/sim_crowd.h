/* test/sim/sim_crowd.h — the clients of a case that do many things at a time on one connection: those that
 * speak HTTP/2, and Konnectivity's frontends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_case;
struct sim_crowd;

struct sim_crowd *sim_crowd_new(struct sim_case *);
/* After its doors and backends. They start by themselves. */
void sim_crowd_check(struct sim_crowd *);
/* At every step. */
bool sim_crowd_is_done(const struct sim_crowd *);
void sim_crowd_leave(struct sim_crowd *);
/* Breaks off what is left; done soon after. */
void sim_crowd_free(struct sim_crowd **);
