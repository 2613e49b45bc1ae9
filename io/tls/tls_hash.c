/* io/tls/tls_hash.c — see tls_hash.h. libcrypto's low-level SHA-256 is deprecated in name, but it is the one
 * public call that runs the block function on a state held by the caller. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "io/tls/tls_hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "io/attributes.h"

void sha256_blocks(uint32_t state[SHA256_STATE_WORDS], const uint8_t *data, size_t blocks)
{
    SHA256_CTX c;
    memset(&c, 0, sizeof(c));
    memcpy(c.h, state, sizeof(c.h));
    c.md_len = SHA256_BYTES;
    SHA256_Update(&c, data, blocks * SHA256_BLOCK); /* nothing is left over, so nothing is buffered */
    memcpy(state, c.h, sizeof(c.h));
}

void sha256_once(struct bytes data, uint8_t ret_digest[SHA256_BYTES])
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, data.data, data.len);
    SHA256_Final(ret_digest, &c);
}

struct hmac {
    SHA256_CTX inner, outer;
};

static void hmac_init(struct hmac *h, struct bytes key)
{
    uint8_t block[SHA256_BLOCK] = {0};
    if (key.len > sizeof(block))
        sha256_once(key, block);
    else if (key.len > 0)
        memcpy(block, key.data, key.len);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    SHA256_Init(&h->inner);
    SHA256_Update(&h->inner, block, sizeof(block));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&h->outer);
    SHA256_Update(&h->outer, block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
}

static void hmac_final(struct hmac *h, uint8_t ret[SHA256_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    SHA256_Final(digest, &h->inner);
    SHA256_Update(&h->outer, digest, sizeof(digest));
    SHA256_Final(ret, &h->outer);
}

void hkdf_extract(struct bytes salt, struct bytes key, uint8_t ret_prk[SHA256_BYTES])
{
    struct hmac h;
    hmac_init(&h, salt);
    SHA256_Update(&h.inner, key.data, key.len);
    hmac_final(&h, ret_prk);
    OPENSSL_cleanse(&h, sizeof(h));
}

void hkdf_expand(const uint8_t prk[SHA256_BYTES], struct bytes info, uint8_t *ret, size_t len)
{
    ASSERT(len <= 255 * SHA256_BYTES);
    struct hmac keyed, h;
    uint8_t block[SHA256_BYTES];
    hmac_init(&keyed, (struct bytes){prk, SHA256_BYTES});
    for (uint8_t i = 1; len > 0; i++) {
        h = keyed;
        if (i > 1)
            SHA256_Update(&h.inner, block, sizeof(block));
        SHA256_Update(&h.inner, info.data, info.len);
        SHA256_Update(&h.inner, &i, 1);
        hmac_final(&h, block);
        size_t n = len < sizeof(block) ? len : sizeof(block);
        memcpy(ret, block, n);
        ret += n;
        len -= n;
    }
    OPENSSL_cleanse(&keyed, sizeof(keyed));
    OPENSSL_cleanse(&h, sizeof(h));
    OPENSSL_cleanse(block, sizeof(block));
}

bool hkdf_expand_label(struct bytes secret, const char *label, uint8_t *ret, size_t len)
{
    static const char prefix[] = "tls13 ";
    size_t label_len = strlen(label), n = 0;
    uint8_t info[2 + 1 + sizeof(prefix) + HKDF_LABEL_MAX + 2], block[EVP_MAX_MD_SIZE];
    ASSERT(label_len <= HKDF_LABEL_MAX && len <= secret.len);
    info[n++] = 0;
    info[n++] = (uint8_t)len;
    info[n++] = (uint8_t)(sizeof(prefix) - 1 + label_len);
    memcpy(info + n, prefix, sizeof(prefix) - 1);
    n += sizeof(prefix) - 1;
    memcpy(info + n, label, label_len);
    n += label_len;
    info[n++] = 0; /* context */
    info[n++] = 1; /* the first and only block of RFC 5869's output */
    const EVP_MD *md = secret.len == SHA256_BYTES ? EVP_sha256() : EVP_sha384();
    if (!HMAC(md, secret.data, (int)secret.len, info, n, block, NULL))
        return false;
    memcpy(ret, block, len);
    OPENSSL_cleanse(block, sizeof(block));
    return true;
}
