/* tools/kubelet-sim/ticket.c — tickets as a Go kubelet issues them.
 *
 * A node's keys are not stored: they are hashed from a secret of the process, the node and an epoch that only
 * grows. A ticket names its node and epoch in the clear, and another node's ticket is not even looked at, as
 * it would not be on another machine. Old epochs stay good (OpenSSL bounds a session's age by its timeout of
 * 7 days) unless forgotten.
 *
 * Go puts the client's whole chain into the ticket; OpenSSL keeps only the leaf. The rest of the chain
 * travels as application data of the ticket, so a resumed connection can be judged as the first one was. For
 * TLS 1.2 Go sends the lifetime hint 0, which some clients mistake for "expired"; so do we, and put the real
 * timeout back on decryption. */
#include "tools/kubelet-sim/sim.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/worker.h"

enum { WEEK_S = 604800, TICKET_NAME_BYTES = 16, KEY_BYTES = 16 };

static unsigned char secret[32];
static EVP_CIPHER *cipher;
static EVP_MD *digest;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void prepare(void)
{
    cipher = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    ready = cipher && digest && RAND_bytes(secret, sizeof(secret)) == 1;
}

static uint32_t epoch_now(struct sim *sim, uint32_t node, uint64_t now_ns)
{
    const struct node *n = &sim->fleet.nodes[node];
    uint32_t epoch = __atomic_load_n(&n->epochs_added, __ATOMIC_RELAXED);
    if (sim->options.rotate_ms)
        epoch += (uint32_t)((now_ns - sim->started_ns) / 1000000 / sim->options.rotate_ms);
    if (sim->options.rotate_handshakes)
        epoch += (uint32_t)((__atomic_load_n(&n->handshakes_full, __ATOMIC_RELAXED) +
                             __atomic_load_n(&n->handshakes_resumed, __ATOMIC_RELAXED)) /
                            sim->options.rotate_handshakes);
    return epoch;
}

void ticket_rotate(struct sim *sim, uint32_t node)
{
    __atomic_fetch_add(&sim->fleet.nodes[node].epochs_added, 1, __ATOMIC_RELAXED);
}

void ticket_forget(struct sim *sim, uint32_t node)
{
    ticket_rotate(sim, node);
    __atomic_store_n(&sim->fleet.nodes[node].epoch_floor, epoch_now(sim, node, clock_ns()), __ATOMIC_RELAXED);
}

static bool derive(uint32_t node, uint32_t epoch, char purpose, unsigned char ret_out[static 32])
{
    unsigned char in[sizeof(secret) + 9];
    memcpy(in, secret, sizeof(secret));
    memcpy(in + sizeof(secret), &node, 4);
    memcpy(in + sizeof(secret) + 4, &epoch, 4);
    in[sizeof(secret) + 8] = (unsigned char)purpose;
    return EVP_Digest(in, sizeof(in), ret_out, NULL, digest, NULL) == 1;
}

/* The name in the clear: node, epoch and 8 bytes that only this process can make. */
static bool make_name(uint32_t node, uint32_t epoch, unsigned char ret_name[static TICKET_NAME_BYTES])
{
    unsigned char tag[32];
    memcpy(ret_name, &node, 4);
    memcpy(ret_name + 4, &epoch, 4);
    bool ok = derive(node, epoch, 'n', tag);
    memcpy(ret_name + 8, tag, 8);
    return ok;
}

static bool load_keys(uint32_t node, uint32_t epoch, const unsigned char *iv, EVP_CIPHER_CTX *c,
                      EVP_MAC_CTX *mac, int encrypt)
{
    unsigned char keys[32];
    char hash[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, keys + KEY_BYTES, KEY_BYTES),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                           OSSL_PARAM_construct_end()};
    return derive(node, epoch, 'k', keys) && EVP_CipherInit_ex(c, cipher, NULL, keys, iv, encrypt) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 use, 2 use and renew, 0 no ticket of ours, -1 trouble. */
static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac,
                  int encrypt)
{
    struct conn *conn = SSL_get_app_data(ssl);
    struct sim *sim = conn->worker->sim;
    uint32_t now = epoch_now(sim, conn->node, conn->worker->now_ns), epoch = 0;
    if (encrypt) {
        count(&conn->worker->counters.tickets_issued);
        /* The session inside the ticket is encoded by now; what is changed here is only the hint beside it.
         */
        if (SSL_version(ssl) == TLS1_2_VERSION)
            SSL_SESSION_set_timeout(SSL_get_session(ssl), 0);
        return make_name(conn->node, now, name) && RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) == 1 &&
                       load_keys(conn->node, now, iv, c, mac, 1)
                   ? 1
                   : -1;
    }
    unsigned char expected[TICKET_NAME_BYTES];
    memcpy(&epoch, name + 4, 4);
    uint32_t floor = sim->options.forget_tickets
                         ? now
                         : __atomic_load_n(&sim->fleet.nodes[conn->node].epoch_floor, __ATOMIC_RELAXED);
    if (epoch > now || epoch < floor || !make_name(conn->node, epoch, expected) ||
        CRYPTO_memcmp(expected, name, sizeof(expected)) != 0) {
        count(&conn->worker->counters.tickets_refused);
        return 0;
    }
    if (!load_keys(conn->node, epoch, iv, c, mac, 0))
        return -1;
    count(&conn->worker->counters.tickets_accepted);
    return epoch == now ? 1 : 2;
}

/* A ticket is about to be made of the session. */
static int on_generate(SSL *ssl, void *arg)
{
    (void)arg;
    SSL_SESSION *session = SSL_get_session(ssl);
    SSL_SESSION_set_timeout(session, WEEK_S);
    if (SSL_session_reused(ssl))
        return 1; /* the data of the first ticket is in the session already */
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    unsigned char *data = NULL;
    size_t n = 0;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int len = i2d_X509(sk_X509_value(chain, i), NULL);
        unsigned char *grown = len > 0 ? OPENSSL_realloc(data, n + (size_t)len) : NULL;
        if (!grown)
            break;
        data = grown;
        unsigned char *at = data + n;
        n += (size_t)i2d_X509(sk_X509_value(chain, i), &at);
    }
    int ok = SSL_SESSION_set1_ticket_appdata(session, data, n);
    OPENSSL_free(data);
    return ok;
}

/* A ticket was (or was not) made a session again. */
static SSL_TICKET_RETURN on_decrypt(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                    size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    (void)name, (void)name_len, (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (leaf && X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW; /* Go does not resume for a client certificate that has ended
                                                */
    /* A Go server sends a new ticket on every TLS 1.3 handshake, on TLS 1.2 only when the old one's key is
     * old. */
    bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

bool ticket_setup(SSL_CTX *ctx)
{
    pthread_once(&once, prepare);
    SSL_CTX_set_timeout(ctx, WEEK_S);
    return ready && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key) == 1 &&
           SSL_CTX_set_session_ticket_cb(ctx, on_generate, on_decrypt, NULL) == 1 &&
           SSL_CTX_set_num_tickets(ctx, 1) == 1;
}
