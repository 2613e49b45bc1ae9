/* io/tls/tls_random.h — random bytes for keys, drawn from libcrypto's generator through a buffer per thread.
 *
 * wolfSSL asks for eight bytes here and thirty-two there, in TLS 1.2 for every record written; a call of
 * RAND_bytes each time costs more than the encryption. Bytes are wiped as they are handed out and the buffer
 * is dropped after a fork. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

MUST_USE int tls_random_init(void);
/* Once, before threads. 0 or -errno. */
MUST_USE bool tls_random_bytes(void *to, size_t len);
/* False when the system gives no randomness; `to` is then undefined. */
void tls_random_set(void (*fn)(void *to, size_t len));
/* Replaces the generator by a deterministic one, for simulation only; NULL undoes it. Before threads. */
bool tls_random_is_real(void);
void tls_random_thread_fini(void);
