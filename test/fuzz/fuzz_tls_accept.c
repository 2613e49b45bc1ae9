/* test/fuzz/fuzz_tls_accept.c — libFuzzer target: what a TLS server reads before it knows anybody, and what
 * it does with it: the hello, everything in it, and whatever else comes instead.
 *
 * The first octet of the input says how large the pieces are in which the rest arrives (0: as they come), the
 * second how many fours of octets a former owner of the stream had already read. Must hold: nobody is let in,
 * for a client certificate is demanded and no input can answer for one; the connection ends exactly once, and
 * as the client's doing; what is written stays small; every buffer comes home.
 */
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls.h"
#include "io/tls/tls_crypto.h"
#include "test/fuzz/fuzz.h"
#include "test/support/pipe_stream.h"
#include "test/support/pki.h"

enum { TURNS_MAX = 200, WRITTEN_MAX = 16 * 1024, EARLY_UNIT = 4 };

static struct tls_context *context;
static uint64_t random_state;

static struct {
    bool closed;
    enum ending reason;
} owner;

static void must(bool held)
{
    if (!held)
        abort();
}

static void on_open(struct stream *s)
{
    (void)s;
    must(false);
}

static void on_seg(struct stream *s, struct seg seg)
{
    (void)s, (void)seg;
    must(false);
}

static void on_closed(struct stream *s, enum ending reason)
{
    must(!owner.closed);
    owner.closed = true;
    owner.reason = reason;
    stream_free(s);
}

static const struct stream_events events = {on_open, on_seg, on_seg, on_open, on_closed};

static void draw(void *to, size_t len)
{
    for (uint8_t *p = to; len > 0; len--, p++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        *p = (uint8_t)(random_state >> 56);
    }
}

static void set_up(void)
{
    must(pki_make(NULL) == 0);
    context = pki_server_context(PKI_EC, true);
    certs_dir_remove(pki.dir);
    tls_crypto_set_random(draw);
}

static void give_early(struct world *w, struct stream *tls, const uint8_t *bytes, size_t len)
{
    struct buf *b = buf_get_bytes(&w->worker.bufs, (uint32_t)len);
    must(b != NULL);
    memcpy(b->mem, bytes, len);
    tls_accept_early(tls, (struct seg){.buf = b, .data = b->mem, .len = (uint32_t)len});
}

static void run(struct world *w, uint8_t piece, size_t early, const uint8_t *bytes, size_t len)
{
    struct pipe *p = pipe_new(w);
    struct stream *lower = &p->stream, *tls = tls_accept(&w->worker, &lower, context);
    size_t written = 0, n;
    uint8_t out[4096];
    must(tls != NULL);
    early = early < len ? early : len;
    if (early > 0)
        give_early(w, tls, bytes, early);
    stream_bind(tls, &events, NULL);
    stream_grant(tls, 1000);
    p->piece = piece;
    pipe_give(p, bytes + early, len - early);
    pipe_end(p);
    for (int i = 0; i < TURNS_MAX && !owner.closed; i++) {
        world_turn(w);
        while (!owner.closed && (n = pipe_take(p, out, sizeof(out))) > 0)
            written += n;
    }
    must(owner.closed && owner.reason != ENDING_DONE && owner.reason != ENDING_INTERNAL &&
         owner.reason != ENDING_LIMIT);
    must(written <= WRITTEN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    if (size < 2)
        return 0;
    if (!context)
        set_up();
    random_state = 1;
    memset(&owner, 0, sizeof(owner));
    world_init(&w, NULL);
    run(&w, data[0], (size_t)data[1] * EARLY_UNIT, data + 2, size - 2);
    world_fini(&w);
    return 0;
}
