/* test/support/http2_peer.h — the destinations of an http2_rig.h, as the rig itself sees them: a session of
 * nghttp2 at the far end of each connection, or what is raw. */
#pragma once

#include "test/support/http2_rig.h"

void rig_peer_new(struct http2_rig *, struct script_stream *);
void rig_peer_free(struct rig_peer *);
struct rig_peer *rig_peer_of(struct http2_rig *, const struct script_stream *);
/* NULL: it is spoken to in HTTP/1. */
void rig_peer_tap(struct script_stream *, const uint8_t *data, uint32_t len);
/* What the broker said on it. */
bool rig_peer_speaks(struct rig_peer *);
/* What the peer has to say goes out, within the credit; false: it had nothing. */
