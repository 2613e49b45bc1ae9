/* io/tls/tls_random.c — see tls_random.h. A fork copies the buffer; the child would hand out its parent's
 * bytes again, so a fork handler advances a generation and a buffer of an older one is not used. */
#include "io/tls/tls_random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { RANDOM_BUFFER_BYTES = 2048 }; /* one refill for about 200 TLS 1.2 records; a frank guess */

static _Thread_local struct {
    uint8_t bytes[RANDOM_BUFFER_BYTES];
    size_t left;
    unsigned generation;
} stock;

static _Atomic unsigned fork_generation = 1;
static void (*replacement)(void *to, size_t len);

static void on_fork_child(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

int tls_random_init(void)
{
    static bool registered;
    if (registered)
        return 0;
    registered = true;
    return -pthread_atfork(NULL, NULL, on_fork_child);
}

bool tls_random_bytes(void *to, size_t len)
{
    if (UNLIKELY(replacement)) {
        replacement(to, len);
        return true;
    }
    if (len > RANDOM_BUFFER_BYTES / 4)
        return RAND_bytes(to, (int)len) == 1;
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (stock.generation != generation || stock.left < len) {
        stock.left = 0;
        if (RAND_bytes(stock.bytes, sizeof(stock.bytes)) != 1)
            return false;
        stock.left = sizeof(stock.bytes);
        stock.generation = generation;
    }
    stock.left -= len;
    memcpy(to, stock.bytes + stock.left, len);
    OPENSSL_cleanse(stock.bytes + stock.left, len);
    return true;
}

void tls_random_set(void (*fn)(void *to, size_t len))
{
    replacement = fn;
}

bool tls_random_is_real(void)
{
    return !replacement;
}

void tls_random_thread_fini(void)
{
    OPENSSL_cleanse(&stock, sizeof(stock));
}
