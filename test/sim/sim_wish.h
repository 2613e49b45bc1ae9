/* test/sim/sim_wish.h — what a tunneller asks for, by chance and by its habits, and how it says so. */
#pragma once

#include "sim_http.h"
#include "sim_tunneller.h"

uint32_t sim_wish_make(const struct sim_tunneller_options *);
/* A tunnel's number. */
void sim_wish_without_half_close(const struct sim_tunneller_options *, uint32_t tunnel);
/* The first end is the end of both: most clients wait for that until they have heard all. */
void sim_wish_put(const struct sim_tunneller_options *, const struct sim_tunnel *, struct sim_bytes *out);
/* The CONNECT, or the request for an upgrade with its body. */
uint32_t sim_wish_ordinary(const struct sim_tunneller_options *, unsigned backend, struct sim_bytes *out);
/* Asks for something ordinary: the number of the exchange. */
struct sim_channel *sim_wish_connect(const struct sim_tunneller_options *);
/* A new connection to the broker. */
