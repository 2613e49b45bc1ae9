/* io/tls/tls_record.c — see tls_record.h: what both record layers share, and the change from one to the
 * other. */
#include "io/tls/tls_record.h"

#include <openssl/crypto.h>

uint32_t tls_record_ready_bytes(const struct tls_queue *q, uint32_t enough)
{
    uint64_t ready = 0;
    uint8_t head[TLS_HEADER_BYTES];
    while (ready < enough && tls_queue_copy(q, ready, head, sizeof(head)) == sizeof(head)) {
        uint32_t len = TLS_HEADER_BYTES + ((uint32_t)head[3] << 8 | head[4]);
        /* Change cipher spec, alert, handshake, application data; version 3.x; no more than allowed. */
        bool plausible = head[0] >= 20 && head[0] <= 23 && head[1] == 3 && len <= TLS_CIPHERTEXT_MAX;
        if (!plausible)
            return (uint32_t)q->bytes;
        if (ready + len > q->bytes)
            break;
        ready += len;
    }
    return (uint32_t)ready;
}

uint32_t tls_record_body_bytes(const struct tls_queue *q)
{
    uint8_t head[TLS_HEADER_BYTES];
    if (tls_queue_copy(q, 0, head, sizeof(head)) < sizeof(head))
        return 0;
    return (uint32_t)head[3] << 8 | head[4];
}

bool tls_record_take_over(struct tls_record **record)
{
    struct tls_traffic read, write;
    struct tls_record *own = NULL;
    if (tls_record_wolfssl_traffic(*record, &read, &write))
        own = tls_record_gcm_new(*record, &read, &write);
    OPENSSL_cleanse(&read, sizeof(read));
    OPENSSL_cleanse(&write, sizeof(write));
    if (!own)
        return false;
    (*record)->ops->free(*record);
    *record = own;
    return true;
}
