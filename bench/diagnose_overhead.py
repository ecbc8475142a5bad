"""What watching a training costs: ``fit(..., diagnose=100)`` against ``fit(...)``, in turns, epoch by epoch.

    OPENBLAS_NUM_THREADS=1 python -m bench.diagnose_overhead

Clocks: the ``wall``'s; all seconds of the process (``cpu``), which is fair with CHAINRULE_THREADS=1 on a machine that
also does other things; those of the thread that trains (``thread``), while the looks run beside it.

What comes once (tracing, the first looks with NumPy, compiling the program) falls into the first epochs; what comes
with every look is told by the medians of the later ones.  Both are printed, and the share of a whole training of
``--steps`` steps.  The report, which is made when it is asked for, is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.train import fit

NETWORKS = {"64-128-10, batch 64": ((64, 128, 10), 64), "784-128-10, batch 64": ((784, 128, 10), 64),
            "784-512-512-10, batch 128": ((784, 512, 512, 10), 128)}  # fmt: skip
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time, "thread": time.thread_time}
EVERY = 100
PER_EPOCH = 500
FIRST = 4  # epochs: what comes once is over by then


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy."""
    return nn.cross_entropy(model(x), y)


def epoch_times(
    sizes: tuple[int, ...], batch: int, epochs: int, diagnose: int | None, clock: Callable[[], float]
) -> list[float]:
    """Seconds of each epoch."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch * PER_EPOCH, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], len(x))
    times = [clock()]

    def after_epoch(end: Any) -> None:
        times.append(clock())

    fit(nn.MLP.init(sizes, rng=rng), loss, (x, y), epochs=epochs, batch_size=batch, progress=False,
        callbacks=[after_epoch], diagnose=diagnose)  # fmt: skip
    return [float(seconds) for seconds in np.diff(times)]


def main(arguments: list[str] | None = None) -> None:
    """Print a table of the backends."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnose_overhead", description=__doc__)
    parser.add_argument("--steps", type=int, default=5000, help="per training (default 5000)")
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each kind (default 5)")
    parser.add_argument("--backends", default="native,numpy", help="default: native,numpy")
    parser.add_argument("--networks", default="", help="only those whose name starts so")
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    options = parser.parse_args(arguments)
    clock = CLOCKS[options.clock]
    epochs = max(FIRST + 2, -(-options.steps // PER_EPOCH))
    titles = ("µs a step", "µs a look", "looks", "ms once", "in all")
    print(f"{'network':<28}{'backend':<9}" + "".join(f"{title:>11}" for title in titles))
    for name, (sizes, batch) in NETWORKS.items():
        if not name.startswith(options.networks):
            continue
        for backend in options.backends.split(","):
            os.environ["CHAINRULE_JIT"] = backend
            epoch_times(sizes, batch, 3, EVERY, clock)  # fills the cache of compiled code
            runs = [(epoch_times(sizes, batch, epochs, None, clock), epoch_times(sizes, batch, epochs, EVERY, clock))
                    for _ in range(options.rounds)]  # fmt: skip
            plain = statistics.median(t for alone, _ in runs for t in alone[FIRST:]) / PER_EPOCH
            seen = statistics.median(t for _, watched in runs for t in watched[FIRST:]) / PER_EPOCH
            look = (seen - plain) * EVERY
            extra = statistics.median(sum(watched) - sum(alone) for alone, watched in runs)
            once = extra - (seen - plain) * PER_EPOCH * epochs
            whole = extra / statistics.median(sum(alone) for alone, _ in runs)
            print(f"{name:<28}{backend:<9}{1e6 * plain:>11,.0f}{1e6 * look:>11,.0f}{seen / plain - 1:>+11.1%}"
                  f"{1e3 * once:>11,.0f}{whole:>+11.1%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
