/* io/tls/tls_crypto_test.c — see tls_crypto_test.h. Published vectors come first; then odd lengths and splits
 * are compared with wolfSSL's own code, because that is where a wrong buffer layout would show. Milliseconds
 * in all; it calls wolfSSL as a connection would, so the callback path itself is tested.
 */
#include "io/tls/tls_crypto_test.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/kdf.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_aead.h"
#include "io/tls/tls_crypto.h"

enum { DATA_BYTES = 4096 };

static void fill(uint8_t *data, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
}

/* ---- AES-GCM: test case 4 of the GCM specification (McGrew and Viega), then lengths ---- */

static bool gcm_vector(void)
{
    static const uint8_t key[16] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
                                    0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
    static const uint8_t iv[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
    static const uint8_t aad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                    0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
    static const uint8_t plain[60] = {0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5,
                                      0xaf, 0xf5, 0x26, 0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda,
                                      0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95,
                                      0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, 0x25,
                                      0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
    static const uint8_t tag[16] = {0x5b, 0xc9, 0x4f, 0xbc, 0x32, 0x21, 0xa5, 0xdb,
                                    0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47};
    Aes aes;
    uint8_t out[60], found[16];
    if (wc_AesInit(&aes, NULL, TLS_CRYPTO_DEVICE) != 0)
        return false;
    bool ok = wc_AesGcmSetKey(&aes, key, sizeof(key)) == 0 &&
              wc_AesGcmEncrypt(&aes, out, plain, sizeof(plain), iv, sizeof(iv), found, sizeof(found), aad,
                               sizeof(aad)) == 0 &&
              out[0] == 0x42 && out[59] == 0x91 && memcmp(found, tag, sizeof(tag)) == 0;
    wc_AesFree(&aes);
    return ok;
}

/* Encrypts with the device and with wolfSSL alone; opens, and refuses to open a changed one. */
static bool gcm_agrees(uint32_t key_len, uint32_t len, uint8_t *data)
{
    Aes fast, slow, opener;
    uint8_t key[32], iv[12], aad[13], tag[2][16];
    uint8_t *a = data + DATA_BYTES, *b = a + DATA_BYTES, *c = b + DATA_BYTES;
    fill(key, sizeof(key), len);
    fill(iv, sizeof(iv), len + 1);
    fill(aad, sizeof(aad), len + 2);
    if (wc_AesInit(&fast, NULL, TLS_CRYPTO_DEVICE) != 0 || wc_AesInit(&slow, NULL, INVALID_DEVID) != 0 ||
        wc_AesInit(&opener, NULL, TLS_CRYPTO_DEVICE) != 0)
        return false;
    bool ok = wc_AesGcmSetKey(&fast, key, key_len) == 0 && wc_AesGcmSetKey(&slow, key, key_len) == 0 &&
              wc_AesGcmSetKey(&opener, key, key_len) == 0 &&
              wc_AesGcmEncrypt(&fast, a, data, len, iv, sizeof(iv), tag[0], 16, aad, sizeof(aad)) == 0 &&
              wc_AesGcmEncrypt(&slow, b, data, len, iv, sizeof(iv), tag[1], 16, aad, sizeof(aad)) == 0 &&
              memcmp(a, b, len) == 0 && memcmp(tag[0], tag[1], 16) == 0 &&
              wc_AesGcmDecrypt(&opener, c, a, len, iv, sizeof(iv), tag[0], 16, aad, sizeof(aad)) == 0 &&
              memcmp(c, data, len) == 0;
    a[len / 2] ^= 1;
    ok = ok && wc_AesGcmDecrypt(&opener, c, a, len, iv, sizeof(iv), tag[0], 16, aad, sizeof(aad)) != 0;
    wc_AesFree(&fast);
    wc_AesFree(&slow);
    wc_AesFree(&opener);
    return ok;
}

static bool plain_gcm(const uint8_t *key, uint32_t key_len, const struct aead_data *d, uint8_t *to,
                      uint8_t *tag)
{
    Aes slow;
    if (wc_AesInit(&slow, NULL, INVALID_DEVID) != 0)
        return false;
    bool ok = wc_AesGcmSetKey(&slow, key, key_len) == 0 &&
              wc_AesGcmEncrypt(&slow, to, d->in->data, (word32)d->in->len, d->nonce, AEAD_NONCE_BYTES, tag,
                               AEAD_TAG_BYTES, d->aad, d->aad_len) == 0;
    wc_AesFree(&slow);
    return ok;
}

/* A record is sealed and opened where its pieces lie: that gives what one run gives, and what wolfSSL does.
 */
static bool pieces_agree(uint32_t key_len, uint32_t len, uint8_t *data)
{
    uint8_t key[32], iv[AEAD_NONCE_BYTES], aad[5], tag[2][AEAD_TAG_BYTES];
    uint8_t *a = data + DATA_BYTES, *b = a + DATA_BYTES, *c = b + DATA_BYTES, last = 0;
    fill(key, sizeof(key), len);
    fill(iv, sizeof(iv), len + 1);
    fill(aad, sizeof(aad), len + 2);
    uint32_t first = len / 3, second = len / 2 - first;
    struct bytes whole =
                     {
                         data, len
    },
                 plain[] = {{data, first},
                            {data + first, second},
                            {data + first + second, len - first - second}},
                 sealed[] = {{b, len / 2}, {b + len / 2, len - len / 2}};
    struct aead_data run = {iv, aad, sizeof(aad), &whole, 1, a, NULL},
                     cut = {iv, aad, sizeof(aad), plain, 3, b, NULL},
                     back = {iv, aad, sizeof(aad), sealed, 2, c, &last};
    struct aead_key *seal = aead_key_new(key, key_len, true), *open = aead_key_new(key, key_len, false);
    bool ok = seal && open && aead_seal(seal, &run, tag[0]) && plain_gcm(key, key_len, &run, c, tag[1]) &&
              memcmp(a, c, len) == 0 && memcmp(tag[0], tag[1], sizeof(tag[0])) == 0 &&
              aead_seal(seal, &cut, tag[1]) && memcmp(a, b, len) == 0 &&
              memcmp(tag[0], tag[1], sizeof(tag[0])) == 0 && aead_open(open, &back, tag[0]) &&
              memcmp(c, data, len - 1) == 0 && last == data[len - 1];
    b[len - 1] ^= 1;
    back.last = NULL;
    ok = ok && !aead_open(open, &back, tag[0]);
    if (seal)
        aead_key_free(&seal);
    if (open)
        aead_key_free(&open);
    return ok;
}

static const uint32_t lens[] = {1, 15, 16, 17, 63, 64, 129, 255, 256, 1000, 2047, DATA_BYTES};

static bool test_records(void)
{
    uint8_t *data = malloc(4 * DATA_BYTES);
    if (!data)
        return false;
    fill(data, DATA_BYTES, 2);
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_SIZE(lens); i++)
        ok = pieces_agree(16, lens[i], data) && pieces_agree(32, lens[i], data);
    free(data);
    return ok;
}

static bool test_aes(void)
{
    struct tls_keys keys;
    uint8_t *data = malloc(4 * DATA_BYTES);
    if (!data)
        return false;
    fill(data, DATA_BYTES, 1);
    tls_keys_init(&keys);
    tls_crypto_enter(&keys);
    bool ok = gcm_vector() && !list_empty(&keys.states); /* it went through the device */
    for (size_t i = 0; ok && i < ARRAY_SIZE(lens); i++)
        ok = gcm_agrees(16, lens[i], data) && gcm_agrees(32, lens[i], data);
    tls_crypto_leave();
    tls_keys_fini(&keys);
    free(data);
    return ok;
}

/* ---- SHA-256: "abc" of FIPS 180-2, then splits and copies ---- */

static bool sha_agrees(const uint8_t *data, uint32_t len, uint32_t split)
{
    wc_Sha256 fast, slow;
    uint8_t a[32], b[32], c[32];
    if (wc_InitSha256_ex(&fast, NULL, TLS_CRYPTO_DEVICE) != 0 ||
        wc_InitSha256_ex(&slow, NULL, INVALID_DEVID) != 0)
        return false;
    bool ok = wc_Sha256Update(&fast, data, split) == 0 && wc_Sha256GetHash(&fast, c) == 0 &&
              wc_Sha256Update(&fast, data + split, len - split) == 0 && wc_Sha256Final(&fast, a) == 0 &&
              wc_Sha256Update(&slow, data, len) == 0 && wc_Sha256Final(&slow, b) == 0 &&
              memcmp(a, b, sizeof(a)) == 0;
    /* And once more with the same object: it must be as new. */
    ok = ok && wc_Sha256Update(&fast, data, split) == 0 && wc_Sha256Final(&fast, a) == 0 &&
         memcmp(a, c, sizeof(a)) == 0;
    wc_Sha256Free(&fast);
    wc_Sha256Free(&slow);
    return ok;
}

static bool test_sha256(void)
{
    static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                    0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                    0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t data[300], digest[32];
    wc_Sha256 sha;
    if (wc_InitSha256_ex(&sha, NULL, TLS_CRYPTO_DEVICE) != 0)
        return false;
    bool ok = wc_Sha256Update(&sha, (const byte *)"abc", 3) == 0 && wc_Sha256Final(&sha, digest) == 0 &&
              memcmp(digest, abc, sizeof(abc)) == 0;
    wc_Sha256Free(&sha);
    fill(data, sizeof(data), 7);
    for (uint32_t len = 1; ok && len <= sizeof(data); len += 13)
        for (uint32_t split = 1; ok && split <= len; split += 17)
            ok = sha_agrees(data, len, split);
    return ok;
}

/* ---- HKDF against wolfSSL's ---- */

static bool test_hkdf(void)
{
    static const uint8_t protocol[] = "tls13 ", label[] = "c hs traffic";
    uint8_t salt[32], ikm[48], info[32], a[64], b[64];
    fill(salt, sizeof(salt), 2);
    fill(ikm, sizeof(ikm), 3);
    fill(info, sizeof(info), 4);
    bool ok = true;
    for (uint32_t len = 0; ok && len <= sizeof(ikm); len += 16) {
        uint8_t copy[2][48];
        memcpy(copy[0], ikm, sizeof(ikm));
        memcpy(copy[1], ikm, sizeof(ikm));
        ok = tls_crypto_hkdf_extract()(a, salt, sizeof(salt), copy[0], len, WC_SHA256, NULL) == 0 &&
             wc_Tls13_HKDF_Extract(b, salt, sizeof(salt), copy[1], (int)len, WC_SHA256) == 0 &&
             memcmp(a, b, 32) == 0;
    }
    for (uint32_t len = 12; ok && len <= sizeof(a); len += 4)
        ok = tls_crypto_hkdf_expand()(a, len, salt, 32, protocol, 6, label, 12, info, sizeof(info), WC_SHA256,
                                      0) == 0 &&
             wc_Tls13_HKDF_Expand_Label(b, len, salt, 32, protocol, 6, label, 12, info, sizeof(info),
                                        WC_SHA256) == 0 &&
             memcmp(a, b, len) == 0;
    return ok;
}

/* ---- P-256: both sides of a key agreement and of a signature, device and wolfSSL crosswise ---- */

static bool ecdsa_crosses(ecc_key *signer, ecc_key *verifier, WC_RNG *rng)
{
    uint8_t hash[32], sig[128];
    word32 len = sizeof(sig);
    int good = 0, bad = 0;
    fill(hash, sizeof(hash), 5);
    if (wc_ecc_sign_hash(hash, sizeof(hash), sig, &len, rng, signer) != 0 ||
        wc_ecc_verify_hash(sig, len, hash, sizeof(hash), &good, verifier) != 0)
        return false;
    hash[0] ^= 1;
    int err = wc_ecc_verify_hash(sig, len, hash, sizeof(hash), &bad, verifier);
    return good == 1 && (err != 0 || bad == 0);
}

static bool ec_crosses(ecc_key *fast, ecc_key *slow, WC_RNG *rng)
{
    uint8_t point[65], scalar[32], a[32], b[32];
    word32 n = sizeof(point), m = sizeof(scalar), la = sizeof(a), lb = sizeof(b);
    ecc_key other;
    /* fast: made by the device. slow: the same key in wolfSSL's hands. other: made by wolfSSL. */
    if (wc_ecc_make_key_ex(rng, 32, fast, ECC_SECP256R1) != 0 || wc_ecc_export_x963(fast, point, &n) != 0 ||
        wc_ecc_export_private_only(fast, scalar, &m) != 0 ||
        wc_ecc_import_private_key_ex(scalar, m, point, n, slow, ECC_SECP256R1) != 0 ||
        wc_ecc_init_ex(&other, NULL, INVALID_DEVID) != 0)
        return false;
    slow->devId = INVALID_DEVID;
    bool ok = wc_ecc_check_key(slow) == 0 && wc_ecc_make_key_ex(rng, 32, &other, ECC_SECP256R1) == 0;
    wc_ecc_set_rng(fast, rng);
    wc_ecc_set_rng(slow, rng);
    ok = ok && wc_ecc_shared_secret(fast, &other, a, &la) == 0 &&
         wc_ecc_shared_secret(slow, &other, b, &lb) == 0 && la == 32 && lb == 32 && memcmp(a, b, 32) == 0 &&
         ecdsa_crosses(fast, slow, rng) && ecdsa_crosses(slow, fast, rng);
    wc_ecc_free(&other);
    return ok;
}

static bool test_ec(void)
{
    ecc_key fast, slow;
    WC_RNG rng;
    if (wc_InitRng_ex(&rng, NULL, TLS_CRYPTO_DEVICE) != 0)
        return false;
    if (wc_ecc_init_ex(&fast, NULL, TLS_CRYPTO_DEVICE) != 0 ||
        wc_ecc_init_ex(&slow, NULL, INVALID_DEVID) != 0) {
        wc_FreeRng(&rng);
        return false;
    }
    bool ok = ec_crosses(&fast, &slow, &rng);
    wc_ecc_free(&fast);
    wc_ecc_free(&slow);
    wc_FreeRng(&rng);
#ifdef FP_ECC
    wc_ecc_fp_free(); /* tables of the curve points that wolfSSL's side made on this thread */
#endif
    return ok;
}

/* ---- RSA: the public operation over a made-up modulus. The private one checks its own result each time.
 * ---- */

static bool test_rsa(void)
{
    static const uint8_t e[3] = {1, 0, 1};
    uint8_t n[256], in[256], a[256], b[256];
    RsaKey fast, slow;
    word32 la = sizeof(a), lb = sizeof(b);
    fill(n, sizeof(n), 6);
    fill(in, sizeof(in), 8);
    n[0] |= 0x80;
    n[255] |= 1;
    in[0] = 0;
    if (wc_InitRsaKey_ex(&fast, NULL, TLS_CRYPTO_DEVICE) != 0 ||
        wc_InitRsaKey_ex(&slow, NULL, INVALID_DEVID) != 0)
        return false;
    bool ok = wc_RsaPublicKeyDecodeRaw(n, sizeof(n), e, sizeof(e), &fast) == 0 &&
              wc_RsaPublicKeyDecodeRaw(n, sizeof(n), e, sizeof(e), &slow) == 0 &&
              wc_RsaFunction(in, sizeof(in), a, &la, RSA_PUBLIC_DECRYPT, &fast, NULL) == 0 &&
              wc_RsaFunction(in, sizeof(in), b, &lb, RSA_PUBLIC_DECRYPT, &slow, NULL) == 0 && la == lb &&
              memcmp(a, b, la) == 0;
    wc_FreeRsaKey(&fast);
    wc_FreeRsaKey(&slow);
    return ok;
}

bool crypto_part_passes(enum crypto_part part)
{
    switch (part) {
    case CRYPTO_RECORDS: return test_records();
    case CRYPTO_AES: return test_aes();
    case CRYPTO_SHA256: return test_sha256();
    case CRYPTO_HKDF: return test_hkdf();
    case CRYPTO_EC: return test_ec();
    case CRYPTO_RSA: return test_rsa();
    case CRYPTO_PARTS: break;
    }
    return false;
}
