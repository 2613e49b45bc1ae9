/* bench/target.h — what hawser-load and hawser-target say to each other, over whatever lies between them.
 *
 * The client orders: an order, then `up_bytes` bytes. When all have come the target answers with `down_bytes`
 * bytes, which begin with a struct target_answer; then the next order may follow. The target speaks nothing
 * unasked. Both ends run on one machine: fields are in its own byte order.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define TARGET_MAGIC UINT64_C(0x7467742d72777368) /* "hswr-tgt": not the start of any protocol's greeting */

struct target_order {
    uint64_t magic;
    uint64_t up_bytes;
    uint64_t down_bytes; /* at least sizeof(struct target_answer) */
};

struct target_answer {
    uint32_t ipv4;     /* host order: the address that was dialled, so that crossed tunnels show */
    uint32_t exchange; /* of this connection, from 1 */
    uint64_t
        received; /* bytes that came since the order, which are up_bytes only if the target counted right */
};
static_assert(sizeof(struct target_order) == 24 && sizeof(struct target_answer) == 16, "no padding");
