/* io/tls/tls_verify.h — our own strict judgement of the peer, after every handshake, full or resumed.
 *
 * The library's chain verification has run on full handshakes only; its name checks accept too much (a DNS
 * name that spells an address, wildcards over addresses, a common name) and are not run on resumed ones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/ending.h"
#include "io/tls/tls.h"

struct WOLFSSL;

/* A copy of struct tls_expect that outlives the caller's. */
struct tls_identity {
    uint8_t ip[16];
    uint8_t ip_len; /* 0, 4 or 16 */
    char dns_name[TLS_NAME_MAX];
    char node_name[TLS_NAME_MAX];
};

MUST_USE bool tls_identity_set(struct tls_identity *, const struct tls_expect *);
/* False when a name is too long or nothing is expected. */
MUST_USE enum ending tls_verify_server(struct WOLFSSL *, const struct tls_identity *, uint64_t now_s,
                                       struct tls_info *, bool *ret_resumable);
/* ENDING_DONE, or the reason with info->detail. Fills the peer's names. ret_resumable: whether a ticket is
 * worth taking. The library drops certificates above 2 KiB from what it keeps of a session, and the next one
 * in the chain takes its place; a connection resumed from that could not be verified. */
MUST_USE enum ending tls_verify_client(struct WOLFSSL *, bool required, uint64_t now_s, struct tls_info *,
                                       char **ret_names);
/* ret_names: CN and DNS SANs, each ended by NUL, the last by two; the caller frees it. */
void tls_verify_show_peer(struct WOLFSSL *, struct tls_info *);
/* Only fills the names: for connections whose verification is off. */
void tls_verify_describe_chain(struct WOLFSSL *, char *text, size_t size);
/* What the peer presented, after the library has refused it. */

/* For tests. */
bool tls_dns_name_matches(const char *pattern, size_t pattern_len, const char *name);
/* RFC 6125: equal without regard to case, or "*." in place of exactly one leftmost label. */
