/* io/tls/tls_roots.c — see tls_roots.h. Inside is the library's certificate store, which contexts share by
 * its count of references. It is filled through a context that lives only for that: the functions that load
 * and judge roots exist for contexts alone.
 */
#include "io/tls/tls_roots.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "io/tls/tls_context.h"
#include "io/tls/tls_pem.h"

struct tls_roots {
    _Atomic unsigned refs;
    WOLFSSL_X509_STORE *store;
};

static const char *take_root(void *arg, const uint8_t *der, size_t len)
{
    int code = wolfSSL_CTX_load_verify_buffer(arg, der, (long)len, WOLFSSL_FILETYPE_ASN1);
    return code == WOLFSSL_SUCCESS ? NULL : tls_library_text(code);
}

/* wolfSSL_CTX_set_cert_store() takes one reference. It also stores in the shared part where the store is: the
 * same value each time, so that contexts of several threads may do it at once. */
bool tls_roots_give(struct tls_roots *r, struct WOLFSSL_CTX *w)
{
    if (wolfSSL_X509_STORE_up_ref(r->store) != WOLFSSL_SUCCESS)
        return false;
    wolfSSL_CTX_set_cert_store(w, r->store);
    return wolfSSL_CTX_get_cert_store(w) == r->store;
}

static int roots_fill(struct tls_roots *r, const struct tls_pem *file, struct tls_detail d)
{
    int err;
    WOLFSSL_CTX *loader = wolfSSL_CTX_new(wolfTLS_server_method());
    if (!loader || !tls_roots_give(r, loader) ||
        wolfSSL_CTX_SetMinRsaKey_Sz(loader, TLS_RSA_BITS_MIN) != WOLFSSL_SUCCESS) {
        tls_detail_set(d, "out of memory");
        err = -ENOMEM;
    } else {
        err = tls_pem_take_roots(file, &(struct tls_roots_taker){take_root, loader}, d);
    }
    wolfSSL_CTX_free(loader);
    return err;
}

int tls_roots_new(const char *ca_file, struct tls_roots **ret, char *ret_detail, size_t detail_size)
{
    struct tls_pem file;
    int err = tls_pem_read(ca_file, &file, (struct tls_detail){ret_detail, detail_size});
    if (err)
        return err;
    err = tls_roots_of_pem(&file, ret, ret_detail, detail_size);
    tls_pem_free(&file);
    return err;
}

int tls_roots_of_pem(const struct tls_pem *file, struct tls_roots **ret, char *ret_detail, size_t detail_size)
{
    struct tls_detail d = {ret_detail, detail_size};
    struct tls_roots *r = calloc(1, sizeof(*r));
    if (r)
        r->store = wolfSSL_X509_STORE_new();
    if (!r || !r->store) {
        tls_detail_set(d, "out of memory");
        free(r);
        return -ENOMEM;
    }
    atomic_init(&r->refs, 1);
    int err = roots_fill(r, file, d);
    if (err)
        tls_roots_unref(&r);
    else
        *ret = r;
    return err;
}

struct tls_roots *tls_roots_ref(struct tls_roots *r)
{
    unsigned before = atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return r;
}

void tls_roots_unref(struct tls_roots **roots)
{
    struct tls_roots *r = *roots;
    *roots = NULL;
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    wolfSSL_X509_STORE_free(r->store);
    free(r);
}
