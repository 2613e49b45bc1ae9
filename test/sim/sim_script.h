/* test/sim/sim_script.h — scripts for the ends of tunnels, by chance and by habits. Two that belong together
 * come to an end: at least one of them ends by itself, and at least one speaks without being spoken to.
 */
#pragma once

#include "sim_tunnel.h"

/* Chances are per thousand. */
struct sim_script_habits {
    uint32_t len_max;
    uint32_t full;                  /* of an end: says so much */
    uint32_t echoes, waits;         /* of far ends; of either */
    uint32_t pauses;                /* of a write */
    uint32_t breaks;                /* of an end: it resets in the middle */
    uint32_t stops, stops_for_good; /* of an end; of those that stop */
    uint64_t stop_max_ns;
    uint64_t life_ns; /* of a client's end, and of one that stops for good */
};

void sim_script_pair(struct sim_net *, const struct sim_script_habits *, struct sim_script *ret_near,
                     struct sim_script *ret_far);
void sim_script_near(struct sim_net *, const struct sim_script_habits *, struct sim_script *ret);
/* For a client whose other end is not known: it speaks and ends by itself. */
void sim_script_of_door(struct sim_net *, const struct sim_script_habits *, struct sim_script *ret);
/* For a far end that goes with any such client. */
