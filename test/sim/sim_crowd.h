/* test/sim/sim_crowd.h — the clients of a case that do many things at a time on one connection: those that
 * speak HTTP/2, and Konnectivity's frontends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_case;
struct sim_crowd;

struct sim_crowd *sim_crowd_new(struct sim_case *);
/* Agents alone. They start by themselves. */
bool sim_crowd_is_served(const struct sim_crowd *);
/* By every agent. */
void sim_crowd_start(struct sim_crowd *);
/* The others, after the case's doors and backends. */
void sim_crowd_check(struct sim_crowd *);
/* At every step. */
bool sim_crowd_is_done(const struct sim_crowd *);
/* The clients; agents stay. */
void sim_crowd_leave(struct sim_crowd *);
/* Breaks off what is left; done soon after. */
void sim_crowd_rest(struct sim_crowd *);
/* Agents stay only as long as the broker lets them. */
bool sim_crowd_is_gone(const struct sim_crowd *);
/* All of them, agents too. */
void sim_crowd_free(struct sim_crowd **);
