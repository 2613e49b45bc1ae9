/* test/sim/sim_door.h — what a CONNECT leads to: addresses of the simulated network behind which the far ends
 * of tunnels stand. Most doors are made for one tunnel; one at each backend's address serves all who come, by
 * scripts of its own.
 */
#pragma once

#include "io/net.h"
#include "sim_tunnel.h"

struct sim_doors;
struct sim_script_habits;

struct sim_doors *sim_doors_new(struct sim_tunnels *, unsigned backends, const struct sim_script_habits *,
                                bool spares);
/* spares: connections may come before anybody asks for them, or for more. */
void sim_door_open(struct sim_doors *, uint32_t tunnel);
/* Its destination must be one for CONNECT; tells its backend. */
void sim_door_shut(struct sim_doors *, uint32_t tunnel);
/* Nobody else comes in; who is in stays. */
void sim_door_address(const struct sim_doors *, const struct sim_tunnel *, struct net_address *ret);
uint32_t sim_door_dials(const struct sim_doors *, const struct sim_tunnel *);
/* Sockets that dialled its own address and are not closed by their owner; 0 where that tells nothing. */
void sim_doors_close(struct sim_doors *);
/* No doors any more; who is in breaks off. */
void sim_doors_free(struct sim_doors **);
void sim_doors_check(const struct sim_doors *, uint64_t told_ns);
/* sim_peer_check_told() for all that are in. */
uint32_t sim_doors_guests(const struct sim_doors *);
uint64_t sim_doors_accepted(const struct sim_doors *);
