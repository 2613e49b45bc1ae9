/* io/tls/tls_record_wolfssl.c — the record layer and the handshake by wolfSSL, see tls_record.h.
 *
 * The library calls back for input and output; both always move whole requests from a queue or into a span
 * that was made large enough beforehand, because its answer to a second refusal within one flight is wrong
 * (5.5.4 reports error 0). Each call into it is bracketed by tls_crypto_enter/leave, so that the cipher keys
 * it makes are found again and freed with the connection. Its codes become endings here and nowhere else.
 */
#include "io/tls/tls_record.h"

#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_alert.h"
#include "io/tls/tls_context.h"
#include "io/tls/tls_crypto.h"
#include "io/tls/tls_session.h"
#include "io/tls/tls_verify.h"
#include "io/worker.h"

struct record {
    struct tls_record base;
    WOLFSSL *ssl;
    struct tls_keys keys;
    const struct tls_context *context;
    uint32_t body_left;                 /* of a record whose head was read */
    bool established, protocol_refused; /* ALPN: the client offers nothing of ours */
};

/* The answers of an ALPN callback, as in RFC 7301 and OpenSSL's interface, which wolfSSL takes over. */
enum { ALPN_CHOSEN = 0, ALPN_REFUSED = 2 };

static struct record *record_of(const struct tls_record *r)
{
    return container_of(r, struct record, base);
}

/* ---- callbacks ---- */

/* Whole records only, so that nothing of the next one lies within the library when its work is done. It asks
 * for a head, then for the body. */
static int on_receive(WOLFSSL *ssl, char *buf, int size, void *arg)
{
    (void)ssl;
    struct record *r = arg;
    struct tls_queue *in = r->base.in;
    bool at_head = r->body_left == 0;
    if (in->bytes == 0 || r->base.out->cap - r->base.out->used < TLS_CONTROL_ROOM ||
        (at_head && tls_record_ready_bytes(in, 1) == 0))
        return WOLFSSL_CBIO_ERR_WANT_READ;
    uint32_t n = in->bytes < (uint64_t)size ? (uint32_t)in->bytes : (uint32_t)size;
    if (at_head && n == TLS_HEADER_BYTES)
        r->body_left = tls_record_body_bytes(in);
    else
        r->body_left -= n < r->body_left ? n : r->body_left;
    tls_queue_read(in, r->base.worker, (uint8_t *)buf, n);
    return (int)n;
}

static int on_send(WOLFSSL *ssl, char *buf, int size, void *arg)
{
    (void)ssl;
    struct record *r = arg;
    struct tls_span *out = r->base.out;
    if (r->protocol_refused)
        return WOLFSSL_CBIO_ERR_GENERAL; /* the handshake ends here, whatever the library goes on with */
    if (out->cap - out->used < (uint32_t)size)
        return WOLFSSL_CBIO_ERR_GENERAL; /* larger than the span was promised to be: the connection ends */
    memcpy(out->to + out->used, buf, (size_t)size);
    out->used += (uint32_t)size;
    return size;
}

/* TLS 1.2: within the handshake, before the peer is verified; so the ticket waits to be taken. The last wins.
 */
static int on_new_session(WOLFSSL *ssl, WOLFSSL_SESSION *session)
{
    struct record *r = wolfSSL_GetIOReadCtx(ssl);
    if (r)
        tls_session_save(session, &r->base.ticket);
    return 0; /* the library keeps its reference */
}

/* Our preference decides. A client that offers nothing of ours is refused, as RFC 7301 section 3.2 asks: the
 * library (5.5.4) does not do it, it goes on as if nothing had been offered. */
static int on_alpn(WOLFSSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    struct record *r = wolfSSL_GetIOReadCtx(ssl);
    const struct tls_context *c = arg;
    for (const char *p = c->alpn; *p;) {
        size_t len = strcspn(p, ",");
        for (unsigned i = 0; i < in_len && i + 1 + in[i] <= in_len; i += 1u + in[i]) {
            if (in[i] == len && memcmp(in + i + 1, p, len) == 0) {
                *out = in + i + 1;
                *out_len = in[i];
                return ALPN_CHOSEN;
            }
        }
        p += len + (p[len] == ',');
    }
    r->protocol_refused = true;
    return ALPN_REFUSED;
}

void tls_record_wolfssl_set_callbacks(WOLFSSL_CTX *ctx, struct tls_context *c)
{
    wolfSSL_CTX_SetIORecv(ctx, on_receive);
    wolfSSL_CTX_SetIOSend(ctx, on_send);
    wolfSSL_CTX_sess_set_new_cb(ctx, on_new_session);
    if (c->role == TLS_SERVER && c->alpn)
        wolfSSL_CTX_set_alpn_select_cb(ctx, on_alpn, c);
}

/* ---- codes ---- */

static enum ending ending_of(int code)
{
    switch (code) {
    case ASN_NO_SIGNER_E:
    case ASN_SELF_SIGNED_E:
    case ASN_SIG_CONFIRM_E:
    case ASN_SIG_OID_E:
    case ASN_SIG_HASH_E:
    case ASN_SIG_KEY_E:
    case ASN_PATHLEN_SIZE_E:
    case ASN_PATHLEN_INV_E:
    case ASN_NAME_INVALID_E:
    case NOT_CA_ERROR:
    case EXTKEYUSE_AUTH_E:
    case KEYUSE_SIGNATURE_E:
    case KEYUSE_ENCIPHER_E:
    case VERIFY_CERT_ERROR:
    case NO_PEER_CERT:
    case NO_PEER_VERIFY:
    case MAX_CHAIN_ERROR:
    case RSA_KEY_SIZE_E:
    case ECC_KEY_SIZE_E:
    case CRL_CERT_REVOKED:
    case CRL_MISSING: return ENDING_TLS_UNTRUSTED;
    case ASN_BEFORE_DATE_E:
    case ASN_AFTER_DATE_E: return ENDING_TLS_EXPIRED;
    case MEMORY_E:
    case MEMORY_ERROR: return ENDING_LIMIT;
    case SOCKET_ERROR_E: return ENDING_INTERNAL;
    default: return ENDING_TLS_PROTOCOL;
    }
}

static void explain(struct record *r, int code)
{
    char *to = r->base.info->detail;
    size_t size = sizeof(r->base.info->detail);
    const char *reason = wolfSSL_ERR_reason_error_string((unsigned long)code);
    char chain[120];
    tls_verify_describe_chain(r->ssl, chain, sizeof(chain));
    if (code == ASN_NO_SIGNER_E)
        snprintf(to, size, "no trust root signs the certificate; %s", chain);
    else if (r->base.failure == ENDING_TLS_UNTRUSTED || r->base.failure == ENDING_TLS_EXPIRED)
        snprintf(to, size, "%.100s (%d); %s", reason, code, chain);
    else
        snprintf(to, size, "%.100s (%d)", reason, code);
}

static enum tls_record_result failed(struct record *r, int code)
{
    WOLFSSL_ALERT_HISTORY alerts;
    memset(&alerts, 0, sizeof(alerts));
    wolfSSL_get_alert_history(r->ssl, &alerts);
    /* A peer's fatal alert explains more than what the library made of it. */
    if (code == FATAL_ERROR || (alerts.last_rx.level == alert_fatal && alerts.last_rx.code != close_notify)) {
        bool no_certificate = alerts.last_rx.code == internal_error && r->context->role == TLS_CLIENT &&
                              !r->established;
        r->base.failure = tls_alert_received(r->base.info, alerts.last_rx.code,
                                             no_certificate ? ": kubelet has no serving certificate yet"
                                                            : "");
        return TLS_RECORD_FAILED;
    }
    r->base.failure = ending_of(code);
    if (code == OUT_OF_ORDER_E && r->context->role == TLS_CLIENT && !r->established &&
        r->base.info->ticket_offered) {
        /* A TLS 1.2 server that no longer knows the ticket and goes on with a full handshake: the library
         * takes its first message for one out of order (before 5.7.6). */
        r->base.info->ticket_refused = true;
        snprintf(r->base.info->detail, sizeof(r->base.info->detail),
                 "the peer no longer takes the session ticket (TLS 1.2); without it a handshake may succeed");
        return TLS_RECORD_FAILED;
    }
    explain(r, code);
    return TLS_RECORD_FAILED;
}

/* What the library's last call came to. Its queue of errors is per thread and would grow. */
static enum tls_record_result result_of(struct record *r, int returned)
{
    int code = wolfSSL_get_error(r->ssl, returned);
    wolfSSL_ERR_clear_error();
    switch (code) {
    case WOLFSSL_ERROR_WANT_READ:
    case WANT_READ: return TLS_RECORD_WANT_INPUT;
    case WOLFSSL_ERROR_ZERO_RETURN:
    case ZERO_RETURN: return TLS_RECORD_ENDED;
    default: return failed(r, code);
    }
}

/* Nothing but a ClientHello was read, so the alert goes in the clear, in place of what the library wrote. */
static enum tls_record_result refuse_protocol(struct record *r, uint32_t written_before)
{
    static const uint8_t no_application_protocol[] = {21, 3, 3, 0, 2, 2, 120};
    struct tls_span *out = r->base.out;
    out->used = written_before;
    if (out->cap - out->used >= sizeof(no_application_protocol)) {
        memcpy(out->to + out->used, no_application_protocol, sizeof(no_application_protocol));
        out->used += (uint32_t)sizeof(no_application_protocol);
    }
    r->base.failure = ENDING_TLS_PROTOCOL;
    snprintf(r->base.info->detail, sizeof(r->base.info->detail),
             "the client offers none of our protocols (ALPN %.60s)", r->context->alpn);
    return TLS_RECORD_FAILED;
}

/* ---- operations ---- */

static enum tls_record_result handshake(struct tls_record *base)
{
    struct record *r = record_of(base);
    uint32_t written_before = base->out->used;
    tls_crypto_enter(&r->keys);
    int n = r->context->role == TLS_CLIENT ? wolfSSL_connect(r->ssl) : wolfSSL_accept(r->ssl);
    enum tls_record_result result = n == WOLFSSL_SUCCESS ? TLS_RECORD_OK : result_of(r, n);
    tls_crypto_leave();
    if (r->protocol_refused)
        return refuse_protocol(r, written_before);
    if (result == TLS_RECORD_OK)
        r->established = true;
    if (result != TLS_RECORD_ENDED)
        return result;
    base->failure = ENDING_TLS_ALERT;
    snprintf(base->info->detail, sizeof(base->info->detail),
             "the peer ended the connection in the handshake");
    return TLS_RECORD_FAILED;
}

/* The library wants one run: small segments are gathered, so that a frame header and its payload share a
 * record. */
static enum tls_record_result encrypt(struct tls_record *base, const struct tls_queue *queue, uint32_t most,
                                      uint32_t *ret_len)
{
    static _Thread_local uint8_t gathered[TLS_PLAINTEXT_MAX];
    struct record *r = record_of(base);
    struct bytes piece = {0};
    uint32_t count;
    ASSERT(most > 0 && most <= TLS_PLAINTEXT_MAX &&
           base->out->cap - base->out->used >= most + TLS_OVERHEAD_MAX);
    uint32_t len = tls_queue_pieces(queue, 0, most, &piece, 1, &count);
    const uint8_t *plain = piece.data;
    if (len < TLS_GATHER_BYTES && len < most && queue->bytes > len) {
        len = tls_queue_copy(queue, 0, gathered, most);
        plain = gathered;
    }
    *ret_len = len;
    tls_crypto_enter(&r->keys);
    int n = wolfSSL_write(r->ssl, plain, (int)len);
    enum tls_record_result result = n == (int)len ? TLS_RECORD_OK : result_of(r, n);
    tls_crypto_leave();
    if (result == TLS_RECORD_OK || result == TLS_RECORD_FAILED)
        return result;
    base->failure = ENDING_INTERNAL;
    snprintf(base->info->detail, sizeof(base->info->detail), "a record could not be written (%d)", n);
    return TLS_RECORD_FAILED;
}

static enum tls_record_result decrypt(struct tls_record *base, uint8_t *to, uint32_t room, uint32_t *ret_len)
{
    struct record *r = record_of(base);
    *ret_len = 0;
    tls_crypto_enter(&r->keys);
    int n = wolfSSL_read(r->ssl, to, (int)room);
    enum tls_record_result result = n > 0 ? TLS_RECORD_OK : result_of(r, n);
    tls_crypto_leave();
    if (n > 0)
        *ret_len = (uint32_t)n;
    return result;
}

static uint32_t pending(const struct tls_record *base)
{
    int n = wolfSSL_pending(record_of(base)->ssl);
    return n > 0 ? (uint32_t)n : 0;
}

static void close_notify_(struct tls_record *base)
{
    struct record *r = record_of(base);
    tls_crypto_enter(&r->keys);
    (void)wolfSSL_shutdown(r->ssl); /* 0: sent, the peer's is not waited for */
    tls_crypto_leave();
    wolfSSL_ERR_clear_error();
}

static void record_free(struct tls_record *base)
{
    struct record *r = record_of(base);
    tls_crypto_enter(&r->keys);
    wolfSSL_free(r->ssl);
    tls_crypto_leave();
    tls_keys_fini(&r->keys);
    tls_ticket_drop(&base->ticket);
    free(r);
}

static const struct tls_record_ops ops = {
    .kind = "wolfssl",
    .handshake = handshake,
    .encrypt = encrypt,
    .decrypt = decrypt,
    .pending = pending,
    .close_notify = close_notify_,
    .free = record_free,
};

static bool offer_alpn(WOLFSSL *ssl, const struct tls_context *c)
{
    if (c->role != TLS_CLIENT || !c->alpn)
        return true;
    char list[TLS_NAME_MAX]; /* the library cuts the list in place */
    size_t len = strlen(c->alpn);
    if (len >= sizeof(list))
        return false;
    memcpy(list, c->alpn, len + 1);
    /* A server that chooses nothing is taken, one that chooses what was not offered is refused. */
    return wolfSSL_UseALPN(ssl, list, (unsigned)len, WOLFSSL_ALPN_FAILED_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

struct tls_record *tls_record_wolfssl_new(struct worker *w, struct tls_context *c, struct tls_info *info)
{
    struct record *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->base = (struct tls_record){.ops = &ops, .worker = w, .info = info};
    r->context = c;
    tls_keys_init(&r->keys);
    tls_crypto_enter(&r->keys);
    r->ssl = wolfSSL_new(c->wolfssl);
    tls_crypto_leave();
    if (!r->ssl || !offer_alpn(r->ssl, c)) {
        record_free(&r->base);
        return NULL;
    }
    wolfSSL_SetIOReadCtx(r->ssl, r);
    wolfSSL_SetIOWriteCtx(r->ssl, r);
    return &r->base;
}

/* The secret that gave this key. */
static bool find_secret(const struct tls_keys *keys, struct tls_traffic *t)
{
    uint8_t key[sizeof(t->key)];
    bool found = false;
    for (uint32_t i = 0; i < TLS_SECRETS_KEPT && !found; i++) {
        const struct tls_secret *s = &keys->secrets[i];
        found = (s->len == 32 || s->len == 48) &&
                hkdf_expand_label((struct bytes){s->bytes, s->len}, "key", key, t->key_len) &&
                memcmp(key, t->key, t->key_len) == 0;
        if (found)
            t->secret = *s;
    }
    explicit_bzero(key, sizeof(key));
    return found;
}

static bool get_traffic(struct record *r, bool of_client, struct tls_traffic *t)
{
    const uint8_t *key = of_client ? wolfSSL_GetClientWriteKey(r->ssl) : wolfSSL_GetServerWriteKey(r->ssl);
    const uint8_t *iv = of_client ? wolfSSL_GetClientWriteIV(r->ssl) : wolfSSL_GetServerWriteIV(r->ssl);
    int key_len = wolfSSL_GetKeySize(r->ssl);
    word64 sequence = 0;
    if (!key || !iv || (key_len != 16 && key_len != 32))
        return false;
    /* What these two return is no error code (5.5.4). */
    if (of_client == (r->context->role == TLS_CLIENT))
        (void)wolfSSL_GetSequenceNumber(r->ssl, &sequence);
    else
        (void)wolfSSL_GetPeerSequenceNumber(r->ssl, &sequence);
    memset(t, 0, sizeof(*t));
    t->key_len = (uint32_t)key_len;
    t->sequence = sequence;
    memcpy(t->key, key, t->key_len);
    memcpy(t->iv, iv, sizeof(t->iv));
    return find_secret(&r->keys, t);
}

bool tls_record_wolfssl_traffic(struct tls_record *base, struct tls_traffic *ret_read,
                                struct tls_traffic *ret_write)
{
    struct record *r = record_of(base);
    bool is_client = r->context->role == TLS_CLIENT;
    ASSERT(base->ops == &ops && r->established);
    if (!tls_crypto_does_records() || wolfSSL_version(r->ssl) != TLS1_3_VERSION ||
        wolfSSL_GetBulkCipher(r->ssl) != wolfssl_aes_gcm || pending(base) > 0)
        return false;
    return get_traffic(r, !is_client, ret_read) && get_traffic(r, is_client, ret_write);
}

struct WOLFSSL *tls_record_wolfssl(struct tls_record *base)
{
    ASSERT(base->ops == &ops);
    return record_of(base)->ssl;
}

void tls_record_wolfssl_established(struct tls_record *base)
{
    wolfSSL_FreeArrays(tls_record_wolfssl(base)); /* 5.5 KB */
}
