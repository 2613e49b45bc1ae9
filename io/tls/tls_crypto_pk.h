/* io/tls/tls_crypto_pk.h — the part of the device that does elliptic curves and RSA, see tls_crypto.h. Each
 * answers wolfSSL's request: 0, wolfSSL's error, or CRYPTOCB_UNAVAILABLE for what it leaves to wolfSSL. */
#pragma once

struct wc_CryptoInfo;

int tls_crypto_on_ec_keygen(struct wc_CryptoInfo *);
int tls_crypto_on_ecdh(struct wc_CryptoInfo *);
int tls_crypto_on_ecdsa_sign(struct wc_CryptoInfo *);
int tls_crypto_on_ecdsa_verify(struct wc_CryptoInfo *);
int tls_crypto_on_rsa(struct wc_CryptoInfo *);
