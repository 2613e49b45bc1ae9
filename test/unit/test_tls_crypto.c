/* test/unit/test_tls_crypto.c — the crypto provider: which code is used, that both ciphers work, and that
 * simulation can be repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tls/tls_aead.h"
#include "io/tls/tls_crypto.h"
#include "io/tls/tls_crypto_test.h"
#include "io/tls/tls_pk.h"
#include "io/tls/tls_random.h"
#include "test/support/pki.h"
#include "test/support/tls_rig.h"

static void every_primitive_passes_its_self_test(void **state)
{
    (void)state;
    assert_null(strstr(tls_provider_text(), "failed"));
    assert_non_null(strstr(tls_provider_text(), "wolfSSL"));
    for (int p = 0; p < CRYPTO_PARTS; p++)
        assert_true(crypto_part_passes((enum crypto_part)p));
}

static void the_portable_cipher_passes_too(void **state)
{
    (void)state;
    aead_init(false);
    assert_string_equal(aead_text(), "libcrypto");
    assert_true(crypto_part_passes(CRYPTO_AES));
    assert_true(crypto_part_passes(CRYPTO_RECORDS));
    aead_init(true);
}

static void ciphers_refuse_a_changed_tag(void **state)
{
    (void)state;
    for (int mb = 0; mb < 2; mb++)
        for (uint32_t key_len = 16; key_len <= 32; key_len += 16) {
            aead_init(mb);
            uint8_t key[32] = {1}, nonce[12] = {2}, aad[5] = {3}, data[40] = "plaintext", tag[16];
            struct aead_key *seal = aead_key_new(key, key_len, true),
                            *open = aead_key_new(key, key_len, false);
            struct bytes in = {data, sizeof(data)};
            struct aead_data d = {nonce, aad, sizeof(aad), &in, 1, data, NULL};
            assert_true(aead_seal(seal, &d, tag));
            assert_memory_not_equal(data, "plaintext", 9);
            uint8_t copy[40];
            memcpy(copy, data, sizeof(copy));
            for (int bit = 0; bit < 128; bit += 5) {
                tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_false(aead_open(open, &d, tag));
                tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
                memcpy(data, copy, sizeof(data));
            }
            assert_true(aead_open(open, &d, tag));
            assert_memory_equal(data, "plaintext", 9);
            aead_key_free(&seal);
            aead_key_free(&open);
        }
    assert_null(aead_key_new((const uint8_t *)"0123456789abcdef01234567", 24, true));
}

static void points_off_the_curve_are_refused(void **state)
{
    (void)state;
    uint8_t scalar[PK_SCALAR_MAX], point[PK_POINT_MAX], x[PK_SCALAR_MAX];
    for (int c = 0; c < PK_CURVES; c++) {
        size_t n = 1 + 2 * pk_scalar_bytes((enum pk_curve)c);
        assert_true(pk_ec_keygen((enum pk_curve)c, scalar, point));
        assert_true(pk_ecdh((enum pk_curve)c, scalar, (struct bytes){point, n}, x));
        point[n - 1] ^= 1;
        assert_false(pk_ecdh((enum pk_curve)c, scalar, (struct bytes){point, n}, x));
        assert_false(pk_ecdh((enum pk_curve)c, scalar, (struct bytes){point, n - 1}, x));
        memset(point, 0, sizeof(point));
        assert_false(pk_ecdh((enum pk_curve)c, scalar, (struct bytes){point, 1}, x));
    }
}

static void a_fork_does_not_repeat_random_bytes(void **state)
{
    (void)state;
    uint8_t parent[16], child[16];
    int fd[2];
    assert_true(tls_random_bytes(parent, sizeof(parent)));
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = tls_random_bytes(child, sizeof(child)) &&
                  write(fd[1], child, sizeof(child)) == sizeof(child);
        _exit(ok ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_true(tls_random_bytes(parent, sizeof(parent)));
    assert_int_equal(read(fd[0], child, sizeof(child)), sizeof(child));
    assert_memory_not_equal(parent, child, sizeof(parent));
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    close(fd[0]);
    close(fd[1]);
}

static uint64_t simulated;
static void simulated_random(void *to, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        simulated = simulated * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)to)[i] = (uint8_t)(simulated >> 56);
    }
}

static size_t first_flight(uint64_t seed, uint8_t *to, size_t room)
{
    struct tls_rig r;
    struct tls_context *c = pki_client_context(PKI_EC);
    SSL_CTX *peer = ssl_peer_context(true, pki.leaf, 1, &pki.root, 0);
    simulated = seed;
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    world_turns(&r.world, 3);
    size_t n = pipe_take(r.pipe, to, room);
    rig_disconnect(&r);

    /* The whole handshake works with it, our signature included. */
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    r.owner.credit = 10;
    stream_grant(r.owner.stream, 10);
    fifo_put(&r.peer.to_send, "!", 1);
    rig_settle(&r, 8);
    assert_int_equal(r.owner.received.len, 1);
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
    return n;
}

static void a_seed_repeats_a_handshake(void **state)
{
    (void)state;
    uint8_t a[2048], b[2048], c[2048];
    tls_crypto_set_random(simulated_random);
    assert_non_null(strstr(tls_provider_text(), "deterministic"));
    size_t n = first_flight(1, a, sizeof(a));
    assert_true(n > 100);
    assert_int_equal(first_flight(1, b, sizeof(b)), n);
    assert_memory_equal(a, b, n);
    assert_int_equal(first_flight(2, c, sizeof(c)), n);
    assert_memory_not_equal(a, c, n);
    tls_crypto_set_random(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_primitive_passes_its_self_test),
        cmocka_unit_test(the_portable_cipher_passes_too),
        cmocka_unit_test(ciphers_refuse_a_changed_tag),
        cmocka_unit_test(points_off_the_curve_are_refused),
        cmocka_unit_test(a_fork_does_not_repeat_random_bytes),
        cmocka_unit_test(a_seed_repeats_a_handshake),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
