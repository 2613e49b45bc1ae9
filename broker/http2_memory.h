/* broker/http2_memory.h — the memory of one nghttp2 session, counted and bounded.
 *
 * nghttp2 allocates for each stream and each frame that waits, which breaks the house's rule about memory on
 * the data path; what it needs depends on its peer, so it is at least bounded here: beyond the limit it is
 * refused, and its session fails. Embedded in its owner; owner worker only.
 */
#pragma once

#include <stddef.h>

#include <nghttp2/nghttp2.h>

struct http2_memory {
    size_t used, max;
    nghttp2_mem calls;
};

void http2_memory_init(struct http2_memory *, size_t max);
/* Then nghttp2_session_*_new3(..., &memory->calls). The object must stay where it is. */
