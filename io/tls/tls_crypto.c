/* io/tls/tls_crypto.c — see tls_crypto.h: translates wolfSSL's requests into those of tls_aead, tls_pk,
 * tls_hash and tls_random. It decides nothing about TLS and keeps no state but the current connection's list
 * of keys; what it does not know it declines, and wolfSSL goes on with its own code.
 */
#include "io/tls/tls_crypto.h"

#include <wolfssl/options.h>

#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/cryptocb.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/kdf.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "io/tls/tls_aead.h"
#include "io/tls/tls_crypto_pk.h"
#include "io/tls/tls_crypto_test.h"
#include "io/tls/tls_hash.h"
#include "io/tls/tls_pk.h"
#include "io/tls/tls_random.h"

#ifdef WOLFSSL_AESNI
enum { WOLFSSL_HAS_AES = 1 }; /* a build with the instructions: its own code needs no copy of the keys */
#else
enum { WOLFSSL_HAS_AES = 0 };
#endif

/* The hash's running state is kept in wolfSSL's own fields; an unknown layout must not compile silently. */
_Static_assert(sizeof(((wc_Sha256 *)0)->digest) == SHA256_STATE_WORDS * sizeof(uint32_t), "wc_Sha256.digest");
_Static_assert(sizeof(((wc_Sha256 *)0)->buffer) == SHA256_BLOCK, "wc_Sha256.buffer");

static _Thread_local struct tls_keys *current_keys;
static bool offered[CRYPTO_PARTS]; /* read-only after tls_crypto_init() */
static char text[320];

void tls_crypto_enter(struct tls_keys *keys)
{
    ASSERT(!current_keys);
    current_keys = keys;
}

void tls_crypto_leave(void)
{
    current_keys = NULL;
}

void tls_keys_init(struct tls_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    list_init(&keys->states);
}

void tls_keys_fini(struct tls_keys *keys)
{
    struct list *node;
    while ((node = list_pop(&keys->states))) {
        struct aead_key *key = list_entry(node, struct aead_key, node);
        aead_key_free(&key);
    }
    OPENSSL_cleanse(keys->secrets, sizeof(keys->secrets));
}

bool tls_crypto_does_records(void)
{
    return offered[CRYPTO_RECORDS] && offered[CRYPTO_HKDF];
}

/* ---- AES-GCM ---- */

/* The state of a cipher object's present key. A state made for an earlier key of the same object is dropped:
 * else a peer that keeps updating its keys would fill our memory. */
static struct aead_key *key_of(Aes *aes, bool encrypts)
{
    if (aes->devCtx)
        return aes->devCtx;
    if (!current_keys)
        return NULL;
    struct aead_key *fresh = aead_key_new((const uint8_t *)aes->devKey, (uint32_t)aes->keylen, encrypts);
    if (!fresh)
        return NULL;
    list_each_safe(it, tmp, &current_keys->states)
    {
        struct aead_key *old = list_entry(it, struct aead_key, node);
        if (old->user == aes)
            aead_key_free(&old);
    }
    fresh->user = aes;
    list_add_tail(&current_keys->states, &fresh->node);
    aes->devCtx = fresh;
    return fresh;
}

static int on_cipher(wc_CryptoInfo *info)
{
    if (info->cipher.type != WC_CIPHER_AES_GCM || !offered[CRYPTO_AES])
        return CRYPTOCB_UNAVAILABLE;
    if (info->cipher.enc) {
        struct aead_key *key = key_of(info->cipher.aesgcm_enc.aes, true);
        if (!key || info->cipher.aesgcm_enc.ivSz != AEAD_NONCE_BYTES ||
            info->cipher.aesgcm_enc.authTagSz != AEAD_TAG_BYTES)
            return CRYPTOCB_UNAVAILABLE;
        struct aead_data d = {
            .nonce = info->cipher.aesgcm_enc.iv,
            .aad = info->cipher.aesgcm_enc.authIn,
            .aad_len = info->cipher.aesgcm_enc.authInSz,
            .in = &(struct bytes){info->cipher.aesgcm_enc.in, info->cipher.aesgcm_enc.sz},
            .in_count = 1,
            .out = info->cipher.aesgcm_enc.out,
        };
        return aead_seal(key, &d, info->cipher.aesgcm_enc.authTag) ? 0 : WC_HW_E;
    }
    struct aead_key *key = key_of(info->cipher.aesgcm_dec.aes, false);
    if (!key || info->cipher.aesgcm_dec.ivSz != AEAD_NONCE_BYTES ||
        info->cipher.aesgcm_dec.authTagSz != AEAD_TAG_BYTES)
        return CRYPTOCB_UNAVAILABLE;
    struct aead_data d = {
        .nonce = info->cipher.aesgcm_dec.iv,
        .aad = info->cipher.aesgcm_dec.authIn,
        .aad_len = info->cipher.aesgcm_dec.authInSz,
        .in = &(struct bytes){info->cipher.aesgcm_dec.in, info->cipher.aesgcm_dec.sz},
        .in_count = 1,
        .out = info->cipher.aesgcm_dec.out,
    };
    return aead_open(key, &d, info->cipher.aesgcm_dec.authTag) ? 0 : AES_GCM_AUTH_E;
}

/* ---- SHA-256 ---- */

static void sha256_update(wc_Sha256 *sha, const uint8_t *in, uint32_t len)
{
    uint8_t *buffer = (uint8_t *)sha->buffer;
    uint32_t before = sha->loLen;
    sha->loLen += len;
    sha->hiLen += sha->loLen < before;
    if (sha->buffLen > 0) {
        uint32_t n = SHA256_BLOCK - sha->buffLen;
        if (n > len)
            n = len;
        memcpy(buffer + sha->buffLen, in, n);
        sha->buffLen += n;
        in += n;
        len -= n;
        if (sha->buffLen < SHA256_BLOCK)
            return;
        sha256_blocks(sha->digest, buffer, 1);
        sha->buffLen = 0;
    }
    if (len >= SHA256_BLOCK)
        sha256_blocks(sha->digest, in, len / SHA256_BLOCK);
    uint32_t rest = len % SHA256_BLOCK;
    memcpy(buffer, in + (len - rest), rest);
    sha->buffLen = rest;
}

static void put_be32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 24);
    to[1] = (uint8_t)(v >> 16);
    to[2] = (uint8_t)(v >> 8);
    to[3] = (uint8_t)v;
}

static void sha256_final(wc_Sha256 *sha, uint8_t *ret_digest)
{
    static const uint32_t start[SHA256_STATE_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t *buffer = (uint8_t *)sha->buffer;
    buffer[sha->buffLen++] = 0x80;
    if (sha->buffLen > SHA256_BLOCK - 8) {
        memset(buffer + sha->buffLen, 0, SHA256_BLOCK - sha->buffLen);
        sha256_blocks(sha->digest, buffer, 1);
        sha->buffLen = 0;
    }
    memset(buffer + sha->buffLen, 0, SHA256_BLOCK - 8 - sha->buffLen);
    put_be32(buffer + SHA256_BLOCK - 8, sha->hiLen << 3 | sha->loLen >> 29);
    put_be32(buffer + SHA256_BLOCK - 4, sha->loLen << 3);
    sha256_blocks(sha->digest, buffer, 1);
    for (int i = 0; i < SHA256_STATE_WORDS; i++)
        put_be32(ret_digest + 4 * i, sha->digest[i]);
    /* As wolfSSL leaves it: ready for the next message. */
    memcpy(sha->digest, start, sizeof(start));
    sha->buffLen = sha->loLen = sha->hiLen = 0;
}

static int on_hash(wc_CryptoInfo *info)
{
    if (info->hash.type != WC_HASH_TYPE_SHA256 || !info->hash.sha256 || !offered[CRYPTO_SHA256])
        return CRYPTOCB_UNAVAILABLE;
    if (info->hash.in)
        sha256_update(info->hash.sha256, info->hash.in, info->hash.inSz);
    if (info->hash.digest)
        sha256_final(info->hash.sha256, info->hash.digest);
    return 0;
}

/* ---- elliptic curves and RSA: tls_crypto_pk.c ---- */

static int on_pk(wc_CryptoInfo *info)
{
    if (info->pk.type == WC_PK_TYPE_RSA)
        return offered[CRYPTO_RSA] ? tls_crypto_on_rsa(info) : CRYPTOCB_UNAVAILABLE;
    if (!offered[CRYPTO_EC])
        return CRYPTOCB_UNAVAILABLE;
    switch (info->pk.type) {
    case WC_PK_TYPE_EC_KEYGEN: return tls_crypto_on_ec_keygen(info);
    case WC_PK_TYPE_ECDH: return tls_crypto_on_ecdh(info);
    case WC_PK_TYPE_ECDSA_SIGN: return tls_crypto_on_ecdsa_sign(info);
    case WC_PK_TYPE_ECDSA_VERIFY: return tls_crypto_on_ecdsa_verify(info);
    default: return CRYPTOCB_UNAVAILABLE;
    }
}

static int on_request(int device, wc_CryptoInfo *info, void *arg)
{
    (void)device;
    (void)arg;
    switch (info->algo_type) {
    case WC_ALGO_TYPE_CIPHER: return on_cipher(info);
    case WC_ALGO_TYPE_HASH: return on_hash(info);
    case WC_ALGO_TYPE_PK: return on_pk(info);
    case WC_ALGO_TYPE_RNG: return tls_random_bytes(info->rng.out, info->rng.sz) ? 0 : RNG_FAILURE_E;
    case WC_ALGO_TYPE_SEED: return tls_random_bytes(info->seed.seed, info->seed.sz) ? 0 : RNG_FAILURE_E;
    default: return CRYPTOCB_UNAVAILABLE;
    }
}

/* ---- HKDF ---- */

static int on_hkdf_extract(uint8_t *prk, const uint8_t *salt, uint32_t salt_len, uint8_t *ikm,
                           uint32_t ikm_len, int digest, void *ctx)
{
    (void)ctx;
    if (digest != WC_SHA256)
        return wc_Tls13_HKDF_Extract(prk, salt, (int)salt_len, ikm, (int)ikm_len, digest);
    uint8_t zero[SHA256_BYTES] = {0};
    struct bytes key = ikm_len > 0 ? (struct bytes){ikm, ikm_len} : (struct bytes){zero, sizeof(zero)};
    hkdf_extract((struct bytes){salt, salt_len}, key, prk);
    return 0;
}

static void note_secret(const uint8_t *secret, uint32_t len)
{
    struct tls_secret *to = &current_keys->secrets[current_keys->secret_count++ % TLS_SECRETS_KEPT];
    memcpy(to->bytes, secret, len);
    to->len = len;
}

static int on_hkdf_expand(uint8_t *okm, uint32_t okm_len, const uint8_t *prk, uint32_t prk_len,
                          const uint8_t *protocol, uint32_t protocol_len, const uint8_t *label,
                          uint32_t label_len, const uint8_t *info, uint32_t info_len, int digest, int side)
{
    (void)side;
    uint8_t data[2 + 1 + 255 + 1 + 255];
    if (current_keys && prk_len <= TLS_SECRET_MAX && label_len == 3 && memcmp(label, "key", 3) == 0)
        note_secret(prk, prk_len);
    if (digest != WC_SHA256 || prk_len != SHA256_BYTES || protocol_len + label_len > 255 || info_len > 255 ||
        okm_len > 255 * SHA256_BYTES)
        return NOT_COMPILED_IN; /* wolfSSL's word for: do it yourself */
    size_t n = 0;
    data[n++] = (uint8_t)(okm_len >> 8);
    data[n++] = (uint8_t)okm_len;
    data[n++] = (uint8_t)(protocol_len + label_len);
    memcpy(data + n, protocol, protocol_len);
    n += protocol_len;
    memcpy(data + n, label, label_len);
    n += label_len;
    data[n++] = (uint8_t)info_len;
    if (info_len > 0)
        memcpy(data + n, info, info_len);
    n += info_len;
    hkdf_expand(prk, (struct bytes){data, n}, okm, okm_len);
    return 0;
}

tls_hkdf_extract_fn tls_crypto_hkdf_extract(void)
{
    return offered[CRYPTO_HKDF] ? on_hkdf_extract : NULL;
}

tls_hkdf_expand_fn tls_crypto_hkdf_expand(void)
{
    return offered[CRYPTO_HKDF] ? on_hkdf_expand : NULL;
}

/* ---- life ---- */

static const char *by(enum crypto_part part, const char *name)
{
    return offered[part] ? name : "wolfSSL (self-test of the provider failed)";
}

static void write_text(void)
{
    static const char libcrypto[] = "libcrypto";
    snprintf(text, sizeof(text),
             "wolfSSL %s; AES-GCM: %s; P-256: %s; RSA: %s; SHA-256: %s; HKDF: %s; random: %s",
             LIBWOLFSSL_VERSION_STRING,
             WOLFSSL_HAS_AES && !offered[CRYPTO_AES] ? "wolfSSL (AES-NI)" : by(CRYPTO_AES, aead_text()),
             by(CRYPTO_EC, libcrypto), by(CRYPTO_RSA, libcrypto), by(CRYPTO_SHA256, libcrypto),
             by(CRYPTO_HKDF, libcrypto), tls_random_is_real() ? libcrypto : "deterministic (simulation)");
}

/* The faster code, or else the other. A library that has the instructions is not given the cipher; our record
 * layer uses it all the same. */
static void choose_cipher(void)
{
    for (int faster = 1; faster >= 0; faster--) {
        aead_init(faster);
        offered[CRYPTO_RECORDS] = crypto_part_passes(CRYPTO_RECORDS);
        offered[CRYPTO_AES] = !WOLFSSL_HAS_AES;
        if (offered[CRYPTO_AES])
            offered[CRYPTO_AES] = crypto_part_passes(CRYPTO_AES);
        if (offered[CRYPTO_RECORDS] && (offered[CRYPTO_AES] || WOLFSSL_HAS_AES))
            return;
    }
}

int tls_crypto_init(void)
{
    int err = tls_random_init();
    if (err)
        return err;
    if (!pk_init())
        return -ENOSYS;
    if (wc_CryptoCb_RegisterDevice(TLS_CRYPTO_DEVICE, on_request, NULL) != 0)
        return -ENOMEM;
    choose_cipher();
    for (int p = CRYPTO_AES + 1; p < CRYPTO_PARTS; p++) {
        offered[p] = true; /* the tests go through the device */
        offered[p] = crypto_part_passes((enum crypto_part)p);
    }
    write_text();
    return 0;
}

void tls_crypto_fini(void)
{
    wc_CryptoCb_UnRegisterDevice(TLS_CRYPTO_DEVICE);
    aead_fini();
    pk_fini();
}

const char *tls_crypto_text(void)
{
    return text;
}

void tls_crypto_thread_fini(void)
{
    pk_thread_fini();
    tls_random_thread_fini();
}

void tls_crypto_set_random(void (*fn)(void *bytes, size_t len))
{
    tls_random_set(fn);
    write_text();
}
