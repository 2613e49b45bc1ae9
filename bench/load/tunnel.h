/* bench/load/tunnel.h — what a link says when it is a tunnel: CONNECT, and then an order to hawser-target.
 * Writes into the link and judges what came; link.c moves the bytes. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct link;

void tunnel_write_connect(struct link *);
void tunnel_write_order(struct link *);
bool tunnel_judge(const struct link *, char *note, size_t note_bytes);
/* Of a whole answer: did the right target answer, and count the bytes that were sent? If not, `note` says it.
 */
