"""What watching a training costs: the steps ``fit(..., diagnose=n)`` measures against those it does not, in one run.

    OPENBLAS_NUM_THREADS=1 BENCH_CLOCK=cpu python -m bench.diagnose_overhead

Every tenth step is measured, so that a run has many of both kinds side by side and a shared machine's drift hits both;
the cost of one in a hundred follows from the medians.  The first tenth of the steps, which compiles, is left out, and
so is the report, which is made when it is asked for.
"""

from __future__ import annotations

import argparse
import os
import statistics
from typing import Any

import numpy as np

from bench.measure import CLOCK
from chainrule import nn
from chainrule.train import fit

NETWORKS = {"64-128-10, batch 64": ((64, 128, 10), 64), "784-128-10, batch 64": ((784, 128, 10), 64),
            "784-512-512-10, batch 128": ((784, 512, 512, 10), 128)}  # fmt: skip
EVERY = 10


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy."""
    return nn.cross_entropy(model(x), y)


def step_times(sizes: tuple[int, ...], batch: int, steps: int) -> tuple[float, float]:
    """Median seconds of a step that is not measured, and of one that is."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch * steps, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], len(x))
    times: list[float] = []
    fit(nn.MLP.init(sizes, rng=rng), loss, (x, y), epochs=1, batch_size=batch, progress=False, diagnose=EVERY,
        on_step=lambda end: times.append(CLOCK()))  # fmt: skip
    taken = list(enumerate(np.diff(times), start=1))[steps // 10 :]
    measured = [seconds for step, seconds in taken if step % EVERY == 0]
    return statistics.median(s for step, s in taken if step % EVERY), statistics.median(measured)


def main(arguments: list[str] | None = None) -> None:
    """Print a table of both backends."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnose_overhead", description=__doc__)
    parser.add_argument("--steps", type=int, default=400, help="per training (default 400)")
    parser.add_argument("--backends", default="numpy,native", help="default: numpy,native")
    options = parser.parse_args(arguments)
    print(f"{'network':<28}{'backend':<9}{'µs a step':>10}{'measured':>10}{'diagnose=100':>14}")
    for name, (sizes, batch) in NETWORKS.items():
        for backend in options.backends.split(","):
            os.environ["CHAINRULE_JIT"] = backend
            plain, seen = step_times(sizes, batch, options.steps)
            extra = (seen - plain) / plain / 100
            print(f"{name:<28}{backend:<9}{1e6 * plain:>10,.0f}{1e6 * seen:>10,.0f}{extra:>+13.1%}", flush=True)


if __name__ == "__main__":
    main()
