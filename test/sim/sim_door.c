/* test/sim/sim_door.c — see sim_door.h. */
#include "sim_door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim_net.h"
#include "sim_peer.h"
#include "sim_script.h"

enum { OWN_PORTS = 20000, OWN_PORTS_MAX = 40000, SHARED_PORT = 10255 };

struct door {
    struct list node;
    struct sim_listener listener;
    struct sim_doors *doors;
    uint32_t tunnel; /* 0: of all */
};

struct sim_doors {
    struct sim_tunnels *book;
    const struct sim_script_habits *habits;
    struct list doors, guests;
    uint64_t accepted;
    uint32_t guest_count;
    bool spares;
};

/* -- guests -------------------------------------------------------------------------------------------------
 */

static void on_over(struct sim_peer *p)
{
    ((struct sim_doors *)p->owner)->guest_count--;
    sim_peer_free(&p);
}

static void on_incoming(struct sim_listener *l, struct sim_sock *sock, const struct net_peer *peer)
{
    struct door *door = l->owner;
    struct sim_doors *d = door->doors;
    struct sim_tunnel *x = sim_tunnel_find(d->book, door->tunnel);
    (void)peer;
    d->accepted++;
    bool again = x && ++x->seen > 1 && !d->spares;
    if (again && (!x->by_agent || d->book->calm)) /* another agent may be asked */
        sim_tunnel_violation(d->book, x->id, "was dialled %u times", x->seen);
    struct sim_script script = {0};
    if (x)
        script = x->far;
    else
        sim_script_of_door(d->book->net, d->habits, &script);
    bool unknown = d->spares || (x && x->by_agent && !d->book->calm); /* which of several it will be */
    struct sim_end *e = sim_end_add(d->book, SIDE_ANSWER, unknown ? 0 : door->tunnel);
    e->script = script;
    sim_trace(d->book->net, "door", e->id, door->tunnel, script.len);
    struct sim_peer *p = sim_peer_new(&(struct sim_peer_options){
        .book = d->book, .channel = sim_channel_raw(sock), .end = e->id, .owner = d, .over = on_over});
    list_add_tail(&d->guests, &p->node);
    d->guest_count++;
}

/* -- doors --------------------------------------------------------------------------------------------------
 */

void sim_door_address(const struct sim_doors *d, const struct sim_tunnel *x, struct net_address *ret)
{
    char host[32];
    (void)d;
    bool own = x->destination != DESTINATION_SHARED;
    uint16_t port = (uint16_t)(own ? OWN_PORTS + x->id % OWN_PORTS_MAX : SHARED_PORT);
    snprintf(host, sizeof(host), "%s.0.%u", x->destination == DESTINATION_FORBIDDEN ? "192.0" : "10.0",
             x->backend + 1);
    ASSERT(net_address_parse(host, strlen(host), port, ret));
}

static void add_door(struct sim_doors *d, const struct sim_tunnel *x, uint32_t tunnel)
{
    struct door *door = calloc(1, sizeof(*door));
    struct net_address address;
    ASSERT(door != NULL);
    *door = (struct door){
        .doors = d, .tunnel = tunnel, .listener = {.owner = door, .incoming = on_incoming}
    };
    list_init(&door->node);
    list_add_tail(&d->doors, &door->node);
    door->listener.refusal = x->destination == DESTINATION_UNREACHABLE ? EHOSTUNREACH
                             : x->destination == DESTINATION_SILENT    ? SIM_SILENT
                                                                       : 0;
    sim_door_address(d, x, &address);
    sim_listen(d->book->net, &door->listener, &address);
}

static void remove_door(struct door *door)
{
    sim_unlisten(&door->listener);
    list_remove(&door->node);
    free(door);
}

struct sim_doors *sim_doors_new(struct sim_tunnels *book, unsigned backends,
                                const struct sim_script_habits *habits, bool spares)
{
    struct sim_doors *d = calloc(1, sizeof(*d));
    ASSERT(d != NULL);
    *d = (struct sim_doors){.book = book, .habits = habits, .spares = spares};
    list_init(&d->doors);
    list_init(&d->guests);
    for (unsigned i = 0; i < backends; i++)
        add_door(d, &(struct sim_tunnel){.destination = DESTINATION_SHARED, .backend = i}, 0);
    return d;
}

void sim_door_open(struct sim_doors *d, uint32_t tunnel)
{
    const struct sim_tunnel *x = sim_tunnel_find(d->book, tunnel);
    bool own = x->destination == DESTINATION_OPEN || x->destination == DESTINATION_UNREACHABLE ||
               x->destination == DESTINATION_SILENT;
    if (own)
        add_door(d, x, tunnel);
}

void sim_door_shut(struct sim_doors *d, uint32_t tunnel)
{
    list_each_safe(node, tmp, &d->doors)
    {
        struct door *door = list_entry(node, struct door, node);
        if (door->tunnel == tunnel)
            remove_door(door);
    }
}

uint32_t sim_door_dials(const struct sim_doors *d, const struct sim_tunnel *x)
{
    struct net_address address;
    sim_door_address(d, x, &address);
    return x->destination == DESTINATION_SHARED || d->spares ? 0 : sim_dialled_to(d->book->net, &address);
}

void sim_doors_close(struct sim_doors *d)
{
    while (!list_empty(&d->doors))
        remove_door(list_entry(d->doors.next, struct door, node));
    while (!list_empty(&d->guests))
        sim_peer_break(list_entry(d->guests.next, struct sim_peer, node));
}

void sim_doors_free(struct sim_doors **dp)
{
    struct sim_doors *d = *dp;
    *dp = NULL;
    ASSERT(list_empty(&d->doors) && list_empty(&d->guests));
    free(d);
}

void sim_doors_check(const struct sim_doors *d, uint64_t told_ns)
{
    list_each_safe(node, tmp, (struct list *)&d->guests)
        sim_peer_check_told(list_entry(node, struct sim_peer, node), told_ns);
}

uint32_t sim_doors_guests(const struct sim_doors *d)
{
    return d->guest_count;
}

uint64_t sim_doors_accepted(const struct sim_doors *d)
{
    return d->accepted;
}
