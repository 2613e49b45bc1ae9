/* io/tls/tls.h — TLS as a stream over a stream, client and server side.
 *
 * A context is an immutable configuration (roots, own certificate, versions, ALPN), shared by reference; a
 * TLS stream takes the stream below and is a stream itself (io/stream.h): `open` comes after the handshake
 * AND our own strict verification, on full and on resumed handshakes alike, so nothing can be sent to an
 * unverified peer. Whatever is sent before `open` waits. Plaintext given to stream_send() is encrypted at the
 * end of the turn, many records into one segment below, bounded by TLS_OUT_MAX bytes of ciphertext not yet
 * taken by the kernel.
 *
 * Contexts: any thread. Streams: owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/net.h"
#include "io/stream.h"

struct tls_context;
struct tls_pem;
struct tls_roots;
struct worker;

enum {
    TLS_OUT_MAX = 256 * 1024, /* ciphertext outstanding per stream; a flight of handshake always fits */
    TLS_TICKET_BYTES_MAX =
        8192, /* serialised session; 1.2 KiB with a Go peer (measured), more with long chains */
    TLS_NAME_MAX = 256,
};

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* Row: symbol, the library's name, IANA's. The suites of TLS 1.2; those of TLS 1.3 are not chosen. */
#define TLS_SUITES(X)                                                                                        \
    X(ECDSA_128, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")                 \
    X(RSA_128, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")                       \
    X(ECDSA_256, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")                 \
    X(RSA_256, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")

enum tls_suite { /* bits of a set */
                 TLS_SUITE_ECDSA_128 = 1,
                 TLS_SUITE_RSA_128 = 2,
                 TLS_SUITE_ECDSA_256 = 4,
                 TLS_SUITE_RSA_256 = 8,
                 TLS_SUITES_ALL = 15,
};

/* Certificates and the key of the first as DER. Only lent. That they belong together is the caller's promise:
 * to find out would cost several times what the context does; a handshake fails otherwise. */
struct tls_own_identity {
    const uint8_t *chain; /* one certificate behind the other, leaf first */
    size_t chain_len;
    const uint8_t *key; /* RSA or EC, PKCS#8 or the traditional form */
    size_t key_len;
};

struct tls_context_options {
    enum tls_role role;
    const char *ca_file; /* client: roots; server: roots for client certificates, NULL: none is asked for */
    struct tls_roots *roots;      /* in place of ca_file: read before, and shared with other contexts */
    const char *certificate_file; /* own chain, leaf first; with key_file or neither */
    const char *key_file;
    /* In place of the files: read before, or from elsewhere; path stands in messages. Lent for the call. */
    const struct tls_pem *ca_pem, *certificate_pem, *key_pem;
    const struct tls_own_identity *own; /* in place of both files, whose names then only stand in messages */
    /* Comma separated, in order of preference; NULL: no ALPN. A server takes a client that offers none, and
     * refuses one that offers nothing of these. */
    const char *alpn;
    bool allow_tls12;
    uint32_t suites; /* set of enum tls_suite; 0: all */
    bool insecure;   /* client: accept any certificate. The caller logs and counts it. */
    bool resumption; /* client: take and offer tickets. A server issues none. */
};

MUST_USE int tls_global_init(void);
/* Once, before threads: library, crypto provider, self-test of the provider. 0 or -errno. */
void tls_global_fini(void);
const char *tls_provider_text(void);
/* Which code does AES-GCM, public-key work, hashing and randomness; for `hawser version` and the start log.
 */
void tls_thread_fini(void);
/* Gives back what the libraries keep per thread. */

MUST_USE int tls_context_new(const struct tls_context_options *, struct tls_context **ret, char *ret_detail,
                             size_t detail_size);
/* 0; or -EINVAL / -ENOENT / -ENOMEM with one line of what was found and expected, naming the file. */
struct tls_context *tls_context_ref(struct tls_context *);
void tls_context_unref(struct tls_context **);

#define TLS_ANY_NODE "*" /* as node_name: whichever node of the cluster */

/* What the server at the other end must prove. Exactly one of ip and dns_name is set, unless the context is
 * insecure. */
struct tls_expect {
    const struct net_address *ip; /* an iPAddress SAN equal to this */
    const char *dns_name;         /* a dNSName SAN; wildcard in the leftmost label only; also sent as SNI */
    const char *node_name; /* kubelets: subject CN system:node:<name> and O system:nodes; NULL: not asked */
};

/* What was found in a handshake; valid until the stream is freed. */
struct tls_info {
    bool resumed;
    bool ticket_offered;
    bool ticket_refused; /* of a failure: it may not happen again without the ticket (TLS 1.2, wolfSSL
                            < 5.7.6) */
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    char alpn[16];                 /* negotiated; "": nothing was, which counts as http/1.1 */
    char peer_cn[TLS_NAME_MAX];    /* "" when the peer showed no certificate */
    char peer_names[TLS_NAME_MAX]; /* subject O and SANs as text, for logs; cut when long */
    char detail[TLS_NAME_MAX];     /* of a failure: which check, what was presented, what was expected */
};

/* `lower` is taken: its events belong to the TLS stream from now on. NULL when out of memory (lower is then
 * aborted and freed). ticket: a blob that on_ticket gave for the same identity and context, or NULL.
 * on_ticket: called for every ticket received (TLS 1.3: after the first data was read); the bytes are only
 * lent. */
struct stream *tls_connect(struct worker *, struct stream **lower, struct tls_context *,
                           const struct tls_expect *, const uint8_t *ticket, size_t ticket_len,
                           void (*on_ticket)(struct stream *, const uint8_t *ticket, size_t len));
struct stream *tls_accept(struct worker *, struct stream **lower, struct tls_context *);
/* Over a stream that had another owner: what that owner was given and has to pass on. Both directly after
 * tls_accept(), before the turn ends. What it sent and was not yet told of as `sent` is released here. A
 * stream whose end was told already cannot be taken over. */
void tls_accept_early(struct stream *, struct seg);
/* Takes the segment: bytes that came before, in order. */
void tls_accept_credit(struct stream *, uint32_t bytes);
/* Credit that was granted below and not used: so much less is granted now. */
const struct tls_info *tls_stream_info(const struct stream *);

bool tls_peer_has_name(const struct stream *, bool (*match)(const char *name, void *arg), void *arg);
/* Server side: calls match for the client certificate's CN and every DNS SAN until one is true. False without
 * one. */
