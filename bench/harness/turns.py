"""Scale and order of a run: how much is asked, and who is asked when.

Proxies are interleaved (A B C, then B C A, …) so that a machine that warms up or is shared treats them alike."""
import dataclasses

from harness.prepare import say
from harness.process import Failure
from harness.trial import Trial


@dataclasses.dataclass
class Scale:
    """What --quick makes small. Seconds, kubelets and bytes."""
    w1_count: int = 500
    w1_rate: float = 2000
    w1_seconds: float = 20
    w1_settle: float = 3
    w1_busy_seconds: float = 3
    w2_count: int = 400
    w2_period: float = 4
    w2_rounds: float = 5
    tunnel_targets: int = 500
    w3_rate: float = 500
    w3_seconds: float = 20
    w3_settle: float = 2
    w3_busy_seconds: float = 3
    w4_count: int = 10000
    w4_rate: float = 1000
    w4_seconds: float = 10
    w5_bytes: int = 256 << 20
    w5_bodies: int = 8
    w5_parallel: int = 4
    mem_count: int = 10000
    w8_rate: float = 300
    w8_held_rate: float = 200
    w8_bytes: int = 128 << 20
    w8_bodies: int = 8
    w8_rounds: int = 5
    w8_window: float = 3


QUICK = Scale(w1_count=50, w1_seconds=3, w1_settle=1, w1_busy_seconds=1, w2_count=40, w2_rounds=2,
              tunnel_targets=50, w3_seconds=3, w3_settle=1, w3_busy_seconds=1, w4_count=500, w4_rate=200, w4_seconds=2,
              w5_bytes=64 << 20, w5_bodies=2, w5_parallel=2, mem_count=500, w8_rate=200, w8_held_rate=100,
              w8_bytes=32 << 20, w8_bodies=4, w8_rounds=2, w8_window=2)


def rotated(items, turn):
    shift = turn % len(items)
    return items[shift:] + items[:shift]


def trials(context, workload, variants, body):
    """Runs `body(trial)` for each variant (peer, setup, name), over all repeats; yields its rows, failures included."""
    for repeat in range(context.repeat):
        for peer, setup, name in rotated(variants, repeat):
            missing = peer.missing()
            row = {"peer": peer.name, "missing": missing}
            if not missing:
                say(f"{workload} {name} ({repeat + 1}/{context.repeat})")
                try:
                    with Trial(context, peer, setup, f"{workload}-{name}") as trial:
                        row = body(trial, context.seed + repeat)
                except (Failure, OSError) as error:
                    say(f"{workload} {name} FAILED: {error}")
                    row = {"peer": peer.name, "failed": str(error)}
            row.update(workload=workload, variant=name, repeat=repeat, floor=peer.floor)
            yield row
