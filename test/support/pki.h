/* test/support/pki.h — one root, and good certificates of both kinds for both sides: a group's setup. */
#pragma once

#include "io/tls/tls.h"
#include "test/support/certs.h"

enum { PKI_EC, PKI_RSA, PKI_KINDS };

struct pki {
    const char *dir;
    struct cert root, leaf[PKI_KINDS], client[PKI_KINDS];
    const char *root_file, *leaf_file[PKI_KINDS], *leaf_key[PKI_KINDS];
    const char *client_file[PKI_KINDS], *client_key[PKI_KINDS];
};

extern struct pki pki;

int pki_make(void **state);
/* Also tls_global_init(). */
int pki_drop(void **state);
struct tls_context *pki_client_context(int identity);
/* identity: PKI_EC, PKI_RSA, or -1 for none. */
struct tls_context *pki_server_context(int identity, bool mutual);
