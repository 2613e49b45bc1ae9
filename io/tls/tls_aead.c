/* io/tls/tls_aead.c — see tls_aead.h.
 *
 * ipsec-mb's direct GCM calls take no manager, only expanded keys: the function pointers of one manager are
 * copied at start and serve all threads. They only compute a tag when opening, so it is compared here, in
 * constant time.
 */
#include "io/tls/tls_aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#if HAWSER_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>

static struct {
    bool usable;
    aes_gcm_enc_dec_t seal[2], open[2]; /* [0] 128, [1] 256 bit */
    aes_gcm_pre_t expand[2];
    char text[48];
} mb;
#endif

struct key {
    struct aead_key base;
    bool wide; /* 256 bit */
    EVP_CIPHER_CTX *evp;
#if HAWSER_HAVE_IPSEC_MB
    struct gcm_key_data gcm;
#endif
};

#if HAWSER_HAVE_IPSEC_MB
static const char *arch_text(IMB_ARCH arch)
{
    switch (arch) {
    case IMB_ARCH_AVX512: return "libipsec-mb (AVX-512)";
    case IMB_ARCH_AVX2: return "libipsec-mb (AVX2)";
    case IMB_ARCH_AVX: return "libipsec-mb (AVX)";
    case IMB_ARCH_SSE: return "libipsec-mb (SSE)";
    default: return NULL; /* none, or AES emulated without instructions: slower than libcrypto */
    }
}

static void mb_init(void)
{
    IMB_MGR *mgr = alloc_mb_mgr(0);
    if (!mgr)
        return;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(mgr, &arch);
    const char *text = arch_text(arch);
    if (text && imb_get_errno(mgr) == 0 && (mgr->features & IMB_FEATURE_AESNI) &&
        (mgr->features & IMB_FEATURE_PCLMULQDQ)) {
        mb.seal[0] = mgr->gcm128_enc;
        mb.seal[1] = mgr->gcm256_enc;
        mb.open[0] = mgr->gcm128_dec;
        mb.open[1] = mgr->gcm256_dec;
        mb.expand[0] = mgr->gcm128_pre;
        mb.expand[1] = mgr->gcm256_pre;
        memcpy(mb.text, text, strlen(text) + 1);
        mb.usable = true;
    }
    free_mb_mgr(mgr);
}
#endif

void aead_init(bool allow_ipsec_mb)
{
#if HAWSER_HAVE_IPSEC_MB
    mb.usable = false;
    if (allow_ipsec_mb)
        mb_init();
#else
    (void)allow_ipsec_mb;
#endif
}

void aead_fini(void)
{
#if HAWSER_HAVE_IPSEC_MB
    mb.usable = false;
#endif
}

const char *aead_text(void)
{
#if HAWSER_HAVE_IPSEC_MB
    if (mb.usable)
        return mb.text;
#endif
    return "libcrypto";
}

static bool evp_key_init(struct key *k, const uint8_t *key)
{
    k->evp = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = k->wide ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    return k->evp && EVP_CipherInit_ex(k->evp, cipher, NULL, key, NULL, k->base.encrypts) == 1;
}

struct aead_key *aead_key_new(const uint8_t *key, uint32_t key_len, bool encrypts)
{
    if (key_len != 16 && key_len != 32)
        return NULL;
    struct key *k = aligned_alloc(64, (sizeof(*k) + 63) / 64 * 64);
    if (!k)
        return NULL;
    memset(k, 0, sizeof(*k));
    list_init(&k->base.node);
    k->base.encrypts = encrypts;
    k->wide = key_len == 32;
    struct aead_key *base = &k->base;
#if HAWSER_HAVE_IPSEC_MB
    if (mb.usable) {
        mb.expand[k->wide](key, &k->gcm);
        return base;
    }
#endif
    if (!evp_key_init(k, key))
        aead_key_free(&base);
    return base;
}

void aead_key_free(struct aead_key **key)
{
    struct key *k = container_of(*key, struct key, base);
    *key = NULL;
    list_remove(&k->base.node);
    EVP_CIPHER_CTX_free(k->evp);
    OPENSSL_cleanse(k, sizeof(*k));
    free(k);
}

static bool evp_run(struct key *k, const struct aead_data *d)
{
    int len = 0;
    uint8_t none[1];
    return EVP_CipherInit_ex(k->evp, NULL, NULL, NULL, d->nonce, -1) == 1 &&
           (d->aad_len == 0 || EVP_CipherUpdate(k->evp, NULL, &len, d->aad, (int)d->aad_len) == 1) &&
           (d->len == 0 || EVP_CipherUpdate(k->evp, d->out, &len, d->in, (int)d->len) == 1) &&
           (!k->base.encrypts || EVP_CipherFinal_ex(k->evp, none, &len) == 1);
}

bool aead_seal(struct aead_key *key, const struct aead_data *d, uint8_t ret_tag[AEAD_TAG_BYTES])
{
    struct key *k = container_of(key, struct key, base);
    ASSERT(key->encrypts);
#if HAWSER_HAVE_IPSEC_MB
    if (!k->evp) {
        struct gcm_context_data context;
        mb.seal[k->wide](&k->gcm, &context, d->out, d->in, d->len, d->nonce, d->aad, d->aad_len, ret_tag,
                         AEAD_TAG_BYTES);
        return true;
    }
#endif
    return evp_run(k, d) && EVP_CIPHER_CTX_ctrl(k->evp, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, ret_tag) == 1;
}

bool aead_open(struct aead_key *key, const struct aead_data *d, const uint8_t tag[AEAD_TAG_BYTES])
{
    struct key *k = container_of(key, struct key, base);
    ASSERT(!key->encrypts);
#if HAWSER_HAVE_IPSEC_MB
    if (!k->evp) {
        struct gcm_context_data context;
        uint8_t expected[AEAD_TAG_BYTES], found[AEAD_TAG_BYTES];
        memcpy(found, tag, sizeof(found)); /* it may lie behind `in` and be overwritten */
        mb.open[k->wide](&k->gcm, &context, d->out, d->in, d->len, d->nonce, d->aad, d->aad_len, expected,
                         AEAD_TAG_BYTES);
        return CRYPTO_memcmp(expected, found, AEAD_TAG_BYTES) == 0;
    }
#endif
    uint8_t found[AEAD_TAG_BYTES], none[1];
    int len = 0;
    memcpy(found, tag, sizeof(found));
    return evp_run(k, d) && EVP_CIPHER_CTX_ctrl(k->evp, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, found) == 1 &&
           EVP_CipherFinal_ex(k->evp, none, &len) == 1;
}
