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

static uint64_t next_look_ns(const struct uring_socket *s)
{
    uint32_t timeout_ms = s->object.uring->engine.sockets.user_timeout_ms;
    uint32_t look_ms = timeout_ms < LOOK_MS * LOOKS ? timeout_ms / LOOKS : LOOK_MS;
    return s->stream.worker->now_ns + look_ms * 1000000ull;
}

void uring_window_sent(struct uring_socket *s)
{
    if (s->window_at_ns != 0 || s->object.uring->engine.sockets.user_timeout_ms == 0)
        return;
    s->window_at_ns = next_look_ns(s);
    uring_sweep_look(s);
}

bool uring_window_tend(struct uring_socket *s)
{
    if (s->window_at_ns == 0 || s->state != SOCK_OPEN)
        return false;
    if (s->stream.worker->now_ns < s->window_at_ns || s->options_at_ns != 0)
        return true;
    uint32_t timeout_ms = s->object.uring->engine.sockets.user_timeout_ms;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    bool tcp = getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
    bool shut = tcp && is_shut(&info);
    if (shut != s->window_shut)
        set_user_timeout(s, shut ? 0 : timeout_ms);
    s->window_shut = shut;
    bool under_way = tcp && (info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0);
    s->window_at_ns = under_way ? next_look_ns(s) : 0;
    if (shut && is_lost(&info, timeout_ms))
        uring_socket_close(s, ENDING_PEER_LOST);
    return under_way && s->state == SOCK_OPEN;
}
