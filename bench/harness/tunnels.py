"""The workloads of tunnels: CONNECT to hawser-target, which stands where a kubelet's TLS would."""
import dataclasses
import resource

from harness.trial import settle
from harness.turns import trials

BASE = "127.64.0.1"
UP_BYTES = 232  # and the order's 24: 256 bytes there
DOWN_BYTES = 1024
AT_A_TIME = 200  # tunnels; below every proxy's limit of dials under way. More than that wait in the generator, and count
DESCRIPTORS_SPARE = 400  # of a proxy that holds a crowd: listeners, rings, logs, libraries


def variants(context, setup, transport, floors):
    peers = context.tunnellers + (floors if floors else [])
    setup = dataclasses.replace(setup, transport=transport)
    return [(peer, setup, peer.name) for peer in peers if transport in peer.transports]


def w3(context):
    """Tunnel churn: open loop; each tunnel is opened, used for one small exchange and closed by the client."""
    scale = context.scale
    context.start_target()
    setup = context.setup(scale.tunnel_targets, base=BASE, tunnels=True)
    small = {"upload": UP_BYTES, "expect": DOWN_BYTES}

    def body(trial, seed):
        trial.warm(**small, pacing="closed", order="sweep", requests=2 * scale.tunnel_targets, connections=16, seed=seed)
        trial.warm(**small, rate=scale.w3_rate, duration=scale.w3_settle, connections=AT_A_TIME, seed=seed + 1000)
        row = trial.measure(**small, rest=0.5, rate=scale.w3_rate, duration=scale.w3_seconds, connections=AT_A_TIME,
                            seed=seed, buckets=True)
        row["figure"] = row["cpu_s"] * 1e6 / max(1, row["load"]["completed"])
        if trial.companions:
            each = row["alone_cpu_s"] * 1e6 / max(1, row["load"]["completed"])
            row["remarks"].append(f"of this its first program alone: {each:.1f} us/tunnel")
        # Beside it, not instead of it: at capacity nobody sleeps, so the price of waking is left out.
        busy = trial.measure(**small, pacing="closed", connections=16, duration=scale.w3_busy_seconds, seed=seed)
        if not busy["load"]["failures"]["total"]:
            row["busy_figure"] = busy["cpu_s"] * 1e6 / max(1, busy["load"]["completed"])
        return row

    for transport in ("unix", "tcp"):
        yield from trials(context, f"W3-{transport}", variants(context, setup, transport, context.relays), body)


def w4(context):
    """A crowd of tunnels of which one in a hundred is in use: what does the proxy remember each with?"""
    scale = context.scale
    context.start_target()
    setup = context.setup(scale.tunnel_targets, base=BASE, tunnels=True)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(scale.w4_count, (limit - DESCRIPTORS_SPARE) // 2)
    small = {"upload": UP_BYTES, "expect": DOWN_BYTES}

    def body(trial, seed):
        trial.warm(**small, pacing="closed", order="sweep", requests=2 * scale.tunnel_targets, connections=16, seed=seed)
        settle(1)
        row, before, held = trial.crowd(count, max(1, count // 100), scale.w4_seconds, **small, rate=scale.w4_rate,
                                        pacing="even", seed=seed)
        tunnels = max(1, row["opened"])
        row["open_tunnels"] = row["opened"]
        row["figure"] = (held["proxy"]["rss_kb"] - before["proxy"]["rss_kb"]) / tunnels
        row["pss_per_connection_kb"] = (held["proxy"]["pss_kb"] - before["proxy"]["pss_kb"]) / tunnels
        for name in ("tcp", "slab"):
            row[f"{name}_per_connection_kb"] = \
                (held["machine"][f"{name}_kb"] - before["machine"][f"{name}_kb"]) / tunnels
        row["base_pss_kb"] = before["proxy"]["pss_kb"]
        if trial.companions:
            alone = (held["alone"]["rss_kb"] - before["alone"]["rss_kb"]) / tunnels
            row["remarks"].append(f"of this its first program alone: {alone:.1f} KiB/tunnel")
        if row["void"] and row["void"].startswith("generator late"):
            row["void"] = None  # memory does not depend on when exchanges begin
        row["holding_cpu"] = row["cpu_s"] / row["elapsed_s"]
        if count < scale.w4_count:
            row["remarks"].append(f"{count} tunnels: no more than {limit} descriptors are allowed here")
        if row["opened"] < 0.99 * count:
            row["void"] = row["void"] or f"only {row['opened']} tunnels open"
        return row

    everywhere = variants(context, setup, "unix", context.relays[1:])  # the other one has fixed buffers of 128 KiB
    everywhere += [(peer, setup, name + "-tcp") for peer, setup, name in variants(context, setup, "tcp", [])
                   if peer.transports == ("tcp",) or peer.name == "hawser"]
    yield from trials(context, "W4", everywhere, body)


def w5o(context):
    """Opaque bulk: bodies through CONNECT tunnels, some in parallel, down and up."""
    scale = context.scale
    context.start_target()
    setup = context.setup(scale.w5_parallel, base=BASE, tunnels=True)
    shared = {"pacing": "closed", "order": "sweep", "deadline": 600000, "connections": scale.w5_parallel}

    def down(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel, expect=1 << 20)
        return per_gib(trial.measure(**shared, seed=seed, requests=scale.w5_bodies, expect=scale.w5_bytes))

    def up(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel, upload=1 << 20)
        return per_gib(trial.measure(**shared, seed=seed, requests=scale.w5_bodies, upload=scale.w5_bytes))

    for transport in ("unix", "tcp"):
        which = variants(context, setup, transport, context.relays)
        yield from trials(context, f"W5o-down-{transport}", which, down)
        yield from trials(context, f"W5o-up-{transport}", which, up)


def per_gib(row, cpu="cpu_s"):
    moved = row["load"]["body_bytes_in"] + row["load"]["body_bytes_out"]
    row["figure"] = row[cpu] / max(1, moved) * (1 << 30)
    row["gib_per_s"] = moved / (1 << 30) / row["load"]["elapsed_s"] if row["load"]["elapsed_s"] else 0.0
    return row
