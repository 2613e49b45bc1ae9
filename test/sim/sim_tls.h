/* test/sim/sim_tls.h — certificates for simulated backends, made once a process: good ones, and ones that
 * must not be believed.
 */
#pragma once

struct stream;
struct tls_context;

enum sim_trust {
    TRUST_PLAIN,    /* no TLS */
    TRUST_GOOD,     /* signed by the CA, names every backend's address */
    TRUST_STRANGER, /* signed by another CA */
    TRUST_MISNAMED, /* signed by the CA, names other addresses */
    TRUST_COUNT,
};

void sim_tls_init(void);
/* After tls_global_init(). */
void sim_tls_fini(void);
const char *sim_tls_ca_file(void);
const char *sim_tls_client_certificate_file(void);
const char *sim_tls_client_key_file(void);
struct stream *sim_tls_wrap(void *trust, struct stream *accepted);
/* trust: an enum sim_trust as a pointer. A server's TLS stream, as sim_backend_options.wrap wants it. */
const char *sim_tls_front_certificate_file(void);
const char *sim_tls_front_key_file(void);
/* Of a listener at 127.0.0.1. */
struct stream *sim_tls_to_broker(struct stream *dialled);
/* A client's TLS stream to that listener, with a certificate of sim_tls_ca_file(). */
