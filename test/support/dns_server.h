/* test/support/dns_server.h — a name server on loopback that answers, lies, mumbles or keeps silent.
 *
 * UDP only, one thread, a fixed zone: the name asked for says what happens (see dns_server.c).
 */
#pragma once

#include <stdint.h>

struct dns_server;

struct dns_server *dns_server_start(void);
void dns_server_stop(struct dns_server **);
const char *dns_server_address(const struct dns_server *);
/* "127.0.0.1:port" for resolver_options.servers. */
unsigned dns_server_questions(const struct dns_server *);
/* Datagrams received so far. Any thread. */
