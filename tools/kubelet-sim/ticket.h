/* tools/kubelet-sim/ticket.h — session ticket keys, one succession per node. Any thread. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/must_use.h"

struct sim;

MUST_USE bool ticket_setup(SSL_CTX *);
/* The connection's SSL must carry its struct conn as app data. */
void ticket_rotate(struct sim *, uint32_t node);
/* Any thread. New tickets get a new key; old ones are still accepted. */
void ticket_forget(struct sim *, uint32_t node);
/* Any thread. As after a restart of the kubelet: nothing issued so far is accepted. */
