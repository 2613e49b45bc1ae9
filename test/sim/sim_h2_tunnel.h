/* test/sim/sim_h2_tunnel.h — a stream of HTTP/2 whose CONNECT was answered, as the channel of a tunnel's end.
 */
#pragma once

#include "sim_channel.h"
#include "sim_h2.h"

struct sim_channel *sim_h2_tunnel(struct sim_h2_stream *);
/* Takes the stream. Bind owner and events before returning to the world. */
