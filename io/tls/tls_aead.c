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
    aes_gcm_init_t begin[2]; /* in pieces */
    aes_gcm_enc_dec_update_t seal_more[2], open_more[2];
    aes_gcm_enc_dec_finalize_t seal_end[2], open_end[2];
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
        mb.begin[0] = mgr->gcm128_init;
        mb.begin[1] = mgr->gcm256_init;
        mb.seal_more[0] = mgr->gcm128_enc_update;
        mb.seal_more[1] = mgr->gcm256_enc_update;
        mb.open_more[0] = mgr->gcm128_dec_update;
        mb.open_more[1] = mgr->gcm256_dec_update;
        mb.seal_end[0] = mgr->gcm128_enc_finalize;
        mb.seal_end[1] = mgr->gcm256_enc_finalize;
        mb.open_end[0] = mgr->gcm128_dec_finalize;
        mb.open_end[1] = mgr->gcm256_dec_finalize;
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

/* The next run of bytes that go to one place: a piece, or what is left of the last one. */
struct run {
    const struct aead_data *data;
    uint32_t next;
    bool last; /* only the last byte is left */
    uint8_t *out;
};

static bool next_run(struct run *r, struct bytes *ret_in, uint8_t **ret_out)
{
    const struct aead_data *d = r->data;
    if (r->last) {
        const struct bytes *in = &d->in[d->in_count - 1];
        *ret_in = (struct bytes){in->data + in->len - 1, 1};
        *ret_out = d->last;
        r->last = false;
        return true;
    }
    if (r->next == d->in_count)
        return false;
    *ret_in = d->in[r->next++];
    *ret_out = r->out;
    if (d->last && r->next == d->in_count) {
        ret_in->len--;
        r->last = true;
    }
    r->out += ret_in->len;
    return true;
}

#if HAWSER_HAVE_IPSEC_MB
/* Seals or opens; both leave a tag. */
static void mb_run(struct key *k, const struct aead_data *d, uint8_t ret_tag[AEAD_TAG_BYTES])
{
    bool seals = k->base.encrypts;
    struct gcm_context_data context;
    if (d->in_count == 1 && !d->last) {
        (seals ? mb.seal : mb.open)[k->wide](&k->gcm, &context, d->out, d->in->data, d->in->len, d->nonce,
                                             d->aad, d->aad_len, ret_tag, AEAD_TAG_BYTES);
        return;
    }
    struct run run = {.data = d, .out = d->out};
    struct bytes in;
    uint8_t *out;
    mb.begin[k->wide](&k->gcm, &context, d->nonce, d->aad, d->aad_len);
    while (next_run(&run, &in, &out))
        if (in.len > 0)
            (seals ? mb.seal_more : mb.open_more)[k->wide](&k->gcm, &context, out, in.data, in.len);
    (seals ? mb.seal_end : mb.open_end)[k->wide](&k->gcm, &context, ret_tag, AEAD_TAG_BYTES);
}
#endif

static bool evp_run(struct key *k, const struct aead_data *d)
{
    int len = 0;
    struct run run = {.data = d, .out = d->out};
    struct bytes in;
    uint8_t none[1], *out;
    if (EVP_CipherInit_ex(k->evp, NULL, NULL, NULL, d->nonce, -1) != 1 ||
        (d->aad_len > 0 && EVP_CipherUpdate(k->evp, NULL, &len, d->aad, (int)d->aad_len) != 1))
        return false;
    while (next_run(&run, &in, &out))
        if (in.len > 0 && EVP_CipherUpdate(k->evp, out, &len, in.data, (int)in.len) != 1)
            return false;
    return !k->base.encrypts || EVP_CipherFinal_ex(k->evp, none, &len) == 1;
}

bool aead_seal(struct aead_key *key, const struct aead_data *d, uint8_t ret_tag[AEAD_TAG_BYTES])
{
    struct key *k = container_of(key, struct key, base);
    ASSERT(key->encrypts);
#if HAWSER_HAVE_IPSEC_MB
    if (!k->evp) {
        mb_run(k, d, ret_tag);
        return true;
    }
#endif
    return evp_run(k, d) && EVP_CIPHER_CTX_ctrl(k->evp, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, ret_tag) == 1;
}

bool aead_open(struct aead_key *key, const struct aead_data *d, const uint8_t tag[AEAD_TAG_BYTES])
{
    struct key *k = container_of(key, struct key, base);
    uint8_t found[AEAD_TAG_BYTES];
    ASSERT(!key->encrypts);
    memcpy(found, tag, sizeof(found)); /* it may lie behind `in` and be overwritten */
#if HAWSER_HAVE_IPSEC_MB
    if (!k->evp) {
        uint8_t expected[AEAD_TAG_BYTES];
        mb_run(k, d, expected);
        return CRYPTO_memcmp(expected, found, AEAD_TAG_BYTES) == 0;
    }
#endif
    uint8_t none[1];
    int len = 0;
    return evp_run(k, d) && EVP_CIPHER_CTX_ctrl(k->evp, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, found) == 1 &&
           EVP_CipherFinal_ex(k->evp, none, &len) == 1;
}
