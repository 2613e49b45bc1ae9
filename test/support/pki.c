/* test/support/pki.c — see pki.h. */
#include "test/support/pki.h"

#include <stdio.h>

#include "test/support/tls_rig.h"

struct pki pki;

int pki_make(void **state)
{
    (void)state;
    static const char *const names[] = {"ec", "rsa"};
    char name[64];
    pki.dir = certs_dir_new();
    pki.root = cert_make(&(struct cert_spec){.cn = "test-root", .ca = true}, NULL);
    pki.root_file = cert_write(pki.dir, "root.pem", &pki.root, 1);
    for (int i = 0; i < PKI_KINDS; i++) {
        pki.leaf[i] = cert_make(&(struct cert_spec){.cn = "system:node:n1",
                                                    .org = "system:nodes",
                                                    .rsa = i == PKI_RSA,
                                                    .san = "IP:10.1.2.3,DNS:n1.example,IP:fd00::5"},
                                &pki.root);
        pki.client[i] = cert_make(&(struct cert_spec){.cn = "apiserver",
                                                      .org = "system:masters",
                                                      .rsa = i == PKI_RSA,
                                                      .san = "DNS:alpha,DNS:beta",
                                                      .client_only = true},
                                  &pki.root);
        snprintf(name, sizeof(name), "leaf-%s.pem", names[i]);
        pki.leaf_file[i] = cert_write(pki.dir, name, &pki.leaf[i], 1);
        snprintf(name, sizeof(name), "leaf-%s.key", names[i]);
        pki.leaf_key[i] = cert_write_key(pki.dir, name, &pki.leaf[i]);
        snprintf(name, sizeof(name), "client-%s.pem", names[i]);
        pki.client_file[i] = cert_write(pki.dir, name, &pki.client[i], 1);
        snprintf(name, sizeof(name), "client-%s.key", names[i]);
        pki.client_key[i] = cert_write_key(pki.dir, name, &pki.client[i]);
    }
    return tls_global_init();
}

int pki_drop(void **state)
{
    (void)state;
    cert_free(&pki.root);
    for (int i = 0; i < PKI_KINDS; i++) {
        cert_free(&pki.leaf[i]);
        cert_free(&pki.client[i]);
    }
    certs_dir_remove(pki.dir);
    tls_global_fini();
    return 0;
}

struct tls_context *pki_client_context(int identity)
{
    return rig_context(&(struct tls_context_options){
        .role = TLS_CLIENT,
        .ca_file = pki.root_file,
        .allow_tls12 = true,
        .resumption = true,
        .certificate_file = identity >= 0 ? pki.client_file[identity] : NULL,
        .key_file = identity >= 0 ? pki.client_key[identity] : NULL,
        .alpn = "h2,http/1.1",
    });
}

struct tls_context *pki_server_context(int identity, bool mutual)
{
    return rig_context(&(struct tls_context_options){
        .role = TLS_SERVER,
        .ca_file = mutual ? pki.root_file : NULL,
        .allow_tls12 = true,
        .certificate_file = pki.leaf_file[identity],
        .key_file = pki.leaf_key[identity],
        .alpn = "h2,http/1.1",
    });
}
