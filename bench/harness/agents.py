"""The workloads of agents: Hawser in the place of Konnectivity's proxy-server, with the same stock agent behind both. What is
counted is the server's process alone: the agent does the same work for either, on another processor."""
import json
import resource
import subprocess
import urllib.request

from harness.process import Failure
from harness.prepare import say
from harness.trial import settle
from harness.tunnels import AT_A_TIME, BASE, DESCRIPTORS_SPARE, DOWN_BYTES, UP_BYTES, per_gib
from harness.turns import rotated, trials

AGENT_METRICS = 7  # the stock agent's health port, above the run's (peers/konnectivity.py)
SMALL = {"upload": UP_BYTES, "expect": DOWN_BYTES}


def _variants(context, setup):
    return [(peer, setup, peer.name) for peer in context.servers]


def _setup(context, count):
    context.start_target()
    return context.setup(count, base=BASE, tunnels=True)


def _packets(trial):
    """What the agent has had from the server: a tunnel that does not go through it is none of these."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{trial.setup.port + AGENT_METRICS}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, ValueError) as error:
        raise Failure(f"the agent's metrics can not be read: {error}") from error
    name = 'konnectivity_network_proxy_agent_stream_packets_total{'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and 'segment="to_agent"' in line)


def _through_agent(trial, load):
    """Runs a load and returns its row, void unless the agent saw a packet of each tunnel."""
    before = _packets(trial)
    row = load()
    tunnels = row.get("opened", row["load"]["completed"])
    if _packets(trial) - before < tunnels:
        row["void"] = "not through the agent"
    return row


def w8(context):
    """Dials, bulk, and memory."""
    yield from _dials(context)
    yield from _bulk(context)
    yield from _memory(context)


def _dials(context):
    """Tunnel churn as in W3."""
    scale = context.scale
    setup = _setup(context, scale.tunnel_targets)

    def body(trial, seed):
        trial.warm(**SMALL, pacing="closed", order="sweep", requests=2 * scale.tunnel_targets, connections=16, seed=seed)
        trial.warm(**SMALL, rate=scale.w8_rate, duration=scale.w3_settle, connections=AT_A_TIME, seed=seed + 1000)
        row = _through_agent(trial, lambda: trial.measure(**SMALL, rest=0.5, rate=scale.w8_rate, duration=scale.w3_seconds,
                                                          connections=AT_A_TIME, seed=seed, buckets=True))
        row["figure"] = row["alone_cpu_s"] * 1e6 / max(1, row["load"]["completed"])
        # Beside it, not instead of it: at capacity nobody sleeps, so the price of waking is left out.
        busy = trial.measure(**SMALL, pacing="closed", connections=16, duration=scale.w3_busy_seconds, seed=seed)
        if not busy["load"]["failures"]["total"]:
            row["busy_figure"] = busy["alone_cpu_s"] * 1e6 / max(1, busy["load"]["completed"])
        return row

    yield from trials(context, "W8-dials", _variants(context, setup), body)


def _bulk(context):
    """Opaque bulk as in W5o."""
    scale = context.scale
    setup = _setup(context, scale.w5_parallel)
    shared = {"pacing": "closed", "order": "sweep", "deadline": 600000, "connections": scale.w5_parallel}

    def down(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel, expect=1 << 20)
        return per_gib(_through_agent(trial, lambda: trial.measure(**shared, seed=seed, requests=scale.w8_bodies,
                                                                   expect=scale.w8_bytes)), "alone_cpu_s")

    def up(trial, seed):
        trial.warm(**shared, requests=scale.w5_parallel, upload=1 << 20)
        return per_gib(_through_agent(trial, lambda: trial.measure(**shared, seed=seed, requests=scale.w8_bodies,
                                                                   upload=scale.w8_bytes)), "alone_cpu_s")

    yield from trials(context, "W8-down", _variants(context, setup), down)
    yield from trials(context, "W8-up", _variants(context, setup), up)


def _memory(context):
    """A crowd of tunnels as in W4. The server has one descriptor for each; so have the agent and the target."""
    scale = context.scale
    setup = _setup(context, scale.tunnel_targets)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(scale.w4_count, limit - DESCRIPTORS_SPARE)

    def body(trial, seed):
        trial.warm(**SMALL, pacing="closed", order="sweep", requests=2 * scale.tunnel_targets, connections=16, seed=seed)
        settle(1)
        weighed = []

        def hold():
            row, *samples = trial.crowd(count, max(1, count // 100), scale.w4_seconds, **SMALL, rate=scale.w8_held_rate,
                                        pacing="even", seed=seed)
            weighed.extend(samples)
            return row

        row = _through_agent(trial, hold)
        before, held = weighed
        tunnels = max(1, row["opened"])
        row["open_tunnels"] = row["opened"]
        row["figure"] = (held["alone"]["rss_kb"] - before["alone"]["rss_kb"]) / tunnels
        row["pss_per_connection_kb"] = (held["alone"]["pss_kb"] - before["alone"]["pss_kb"]) / tunnels
        row["base_pss_kb"] = before["alone"]["pss_kb"]
        row["holding_cpu"] = row["alone_cpu_s"] / row["elapsed_s"]
        if row["void"] and row["void"].startswith("generator late"):
            row["void"] = None  # memory does not depend on when exchanges begin
        if row["opened"] < 0.99 * count:
            row["void"] = row["void"] or f"only {row['opened']} tunnels open"
        return row

    yield from trials(context, "W8-mem", _variants(context, setup), body)


def w8stall(context):
    """64 busy clients beside one that reads nothing, through one agent: test/interop/konnectivity measures by itself, rounds
    without and with the stalled one in turn."""
    tools = context.tools
    for front in ("connect", "single"):
        for repeat in range(context.repeat):
            for name, kind in rotated([("hawser", "hawser"), ("konnectivity", "stock")], repeat):
                row = {"peer": name, "missing": tools.interop_missing}
                if not row["missing"]:
                    say(f"W8stall-{front} {name} ({repeat + 1}/{context.repeat})")
                    try:
                        row.update(_stall(context, front, kind))
                    except (Failure, OSError, subprocess.SubprocessError) as error:
                        row["failed"] = str(error)
                row.update(workload=f"W8stall-{front}", variant=name, repeat=repeat, floor=False)
                yield row


def _stall(context, front, kind):
    scale, tools = context.scale, context.tools
    done = subprocess.run([tools.interop, "stall", "-json", "-server", kind, "-program", tools.program("hawser"), "-front", front,
                           "-rounds", str(scale.w8_rounds), "-window", f"{scale.w8_window}s"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise Failure((done.stdout + done.stderr).strip()[-300:])
    found = json.loads(done.stdout.splitlines()[0])
    row = {"remarks": [f"the stalled one: {found['stalled']}"], "void": None, "load": {"latency_us": {}}, "rounds": found,
           "figure": 1 - found["fell"], "p99_ratio": found["p99_ratio"]}
    for name in ("without", "with"):
        rates = sorted(one["mib_per_s"] for one in found[name])
        row[f"{name}_mib"] = rates[len(rates) // 2]
    return row


OF_AGENTS = ("W8", "W8stall")
