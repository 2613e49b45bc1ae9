/* io/uring_window.c — a peer that takes nothing for a while is not a peer that is lost.
 *
 * A reader may stop for as long as it likes (RFC 1122 4.2.2.17): its window is closed, and it answers every
 * probe. TCP_USER_TIMEOUT counts that as silence and cuts the connection all the same (tcp(7)), so a
 * followed log would not outlive a minute of its reader's. The option is therefore taken from a socket
 * that waits for nothing but its peer's window, and given back when bytes move. Meanwhile it is here that a
 * lost peer is noticed: by probes that stay without an answer, which takes up to some minutes because the
 * kernel sends them ever more rarely. The sweep looks as long as bytes are on their way.
 */
#include <linux/tcp.h> /* netinet's tcp_info ends before what is needed here */
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/engine_uring.h"
#include "io/worker.h"

enum {
    LOOK_MS = 1000, /* between two looks at a socket; a small part of any sensible TCP_USER_TIMEOUT ... */
    LOOKS = 4,      /* ... and this part of a smaller one */
    UNANSWERED = 3  /* probes: the last one may be on its way, and one may get lost */
};

static void set_user_timeout(struct uring_socket *s, uint32_t ms)
{
    setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* Nothing is in flight although something is to be sent, or what was in flight was refused for want of room.
 */
static bool is_shut(const struct tcp_info *i)
{
    return (i->tcpi_unacked == 0 && i->tcpi_notsent_bytes > 0) ||
           (i->tcpi_unacked > 0 && i->tcpi_snd_wnd == 0);
}

static bool is_lost(const struct tcp_info *i, uint32_t timeout_ms)
{
    return i->tcpi_last_ack_recv >= timeout_ms &&
           (i->tcpi_probes >= UNANSWERED || i->tcpi_retransmits >= UNANSWERED);
}

bool uring_window_tend(struct uring_socket *s)
{
    uint32_t timeout_ms = s->object.uring->engine.sockets.user_timeout_ms;
    uint64_t now = s->stream.worker->now_ns;
    if (timeout_ms == 0 || s->state != SOCK_OPEN || s->options_at_ns != 0)
        return false;
    if (now < s->window_at_ns)
        return true;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false; /* a Unix socket */
    bool shut = is_shut(&info);
    if (shut != s->window_shut)
        set_user_timeout(s, shut ? 0 : timeout_ms);
    s->window_shut = shut;
    s->window_at_ns = now + (timeout_ms < LOOK_MS * LOOKS ? timeout_ms / LOOKS : LOOK_MS) * 1000000ull;
    if (shut && is_lost(&info, timeout_ms))
        uring_socket_close(s, ENDING_PEER_LOST);
    return s->state == SOCK_OPEN && (info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0);
}
