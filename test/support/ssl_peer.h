/* test/support/ssl_peer.h — the other end of a TLS connection, by an independent implementation (OpenSSL)
 * over memory, behind a pipe. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "test/support/certs.h"
#include "test/support/pipe_stream.h"

struct ssl_peer {
    SSL *ssl;
    struct pipe *pipe;          /* NULL once the stream is gone */
    struct bytes_fifo received; /* plaintext */
    struct bytes_fifo to_send;
    struct bytes_fifo wire; /* ciphertext held back, see hold */
    bool hold;              /* keeps its ciphertext for the test to alter */
    bool up, ended, failed, half_closed, closes;
    size_t wire_total;
};

SSL_CTX *ssl_peer_context(bool server, const struct cert *chain, int count, const struct cert *roots,
                          int version);
/* roots: a client's certificate is demanded by a server, or the server verified by a client. version: 0 any,
 * or TLS1_2_VERSION to force it. */
void ssl_peer_init(struct ssl_peer *, SSL_CTX *, bool server, struct pipe *);
void ssl_peer_fini(struct ssl_peer *);
void ssl_peer_pump(struct ssl_peer *);
/* Moves bytes both ways once. */
void ssl_peer_close(struct ssl_peer *);
/* close_notify and end of input after what is to be sent. */
