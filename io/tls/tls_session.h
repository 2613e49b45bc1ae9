/* io/tls/tls_session.h — sessions as blobs: 1.2 KiB instead of the library's live 37 KiB object, and nobody
 * shares anything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_record.h"

struct WOLFSSL;
struct WOLFSSL_SESSION;

void tls_session_save(struct WOLFSSL_SESSION *, struct tls_ticket *);
/* Replaces the ticket. Nothing happens when the session has
 * none, is too large, or memory is out. */
void tls_ticket_drop(struct tls_ticket *);
MUST_USE bool tls_session_offer(struct WOLFSSL *, const uint8_t *ticket, size_t len);
/* Before the handshake. False when the blob is not understood: the handshake will be a full one. */
