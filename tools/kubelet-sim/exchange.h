/* tools/kubelet-sim/exchange.h — requests and responses on an established connection. Owner worker only. */
#pragma once

struct conn;

void exchange_run(struct conn *);
/* Does what can be done without waiting, within a budget: parses heads, moves bodies. States HEAD and
 * EXCHANGE. */
void exchange_release(struct conn *);
/* The delay is over: act on the other faults, or answer. */
