"""What watching a training costs: ``fit(..., diagnose=100)`` beside the same training unwatched.

    python -m bench.diagnose_overhead

Two processes that do the same differ by some per cent for as long as they run (where their memory lies, and their
threads), which is as much as is to be measured.  So one training is both: of its parts of 100 steps only every other
one is looked at, and the difference between the medians of such parts and of those next to them is what a look costs,
what it does to the steps behind it included; what only some looks do is added as a mean.  What comes once (tracing, the
first looks with NumPy, compiling the program) is the time in the first looks that later ones do not take; the program
is on disk from a run before.

Another training is looked at as usual, which for small networks becomes less often than every 100 steps: it tells how
many steps lie between its later looks, and so the share of them.  The last column says how long a training must be for
all looks together to stay below 5 % of it.  Left out: the report, which is made when it is asked for, and that steps go
into native calls of 100, where else they are as many as take 0.05 s.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, TypeVar

import numpy as np

from chainrule import nn
from chainrule.diagnose.monitor import TrainingMonitor
from chainrule.train import fit
from chainrule.train.monitor import MAKERS

# name → sizes, rows of a batch, epochs of a training
NETWORKS = {"64-128-10, batch 64": ((64, 128, 10), 64, 200), "784-128-10, batch 64": ((784, 128, 10), 64, 60),
            "784-512-512-10, batch 128": ((784, 512, 512, 10), 128, 16)}  # fmt: skip
EVERY = 100
PER_EPOCH = 500
FIRST = 20
"""Looks at whose end nothing comes for the first time any more."""
GOAL = 0.05
M = TypeVar("M", bound=TrainingMonitor)


class Usual(TrainingMonitor):
    """A monitor that notes at which steps it looks."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.steps: list[int] = []

    def look(self, step: int, *seen: Any) -> None:
        self.steps.append(step)
        super().look(step, *seen)


class EveryOther(TrainingMonitor):
    """A monitor that lets every other part go by, once it has seen some; it notes when parts begin."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.began: list[float] = []
        self.looked: list[bool] = []
        self.taken: list[float] = []

    def due(self, step: int) -> bool:
        if step < self._due:
            return False
        self.began.append(time.perf_counter())
        self.looked.append(len(self.looked) < FIRST or not self.looked[-1])
        if not self.looked[-1]:
            self._due = step + self.every
        return self.looked[-1]

    def look(self, *seen: Any) -> None:
        start = time.perf_counter()
        super().look(*seen)
        self.taken.append(time.perf_counter() - start)


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy."""
    return nn.cross_entropy(model(x), y)


def watch(kind: type[M], sizes: tuple[int, ...], batch: int, epochs: int) -> M:
    """The monitor of a training."""
    MAKERS.append(kind)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch * PER_EPOCH, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], len(x))
    model = nn.MLP.init(sizes, rng=rng)
    result = fit(model, loss, (x, y), epochs=epochs, batch_size=batch, progress=False, diagnose=EVERY)
    monitor = result.monitor
    assert isinstance(monitor, kind)
    return monitor


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnose_overhead", description=__doc__)
    parser.add_argument("--epochs", type=int, default=0, help="of a training (default: as suits the network)")
    parser.add_argument("--networks", default="", help="only those whose name starts so")
    options = parser.parse_args(arguments)
    titles = ("µs a step", "µs a look", "steps apart", "looks", "ms once", f"below {GOAL:.0%} from")
    print(f"{'network':<28}" + "".join(f"{title:>14}" for title in titles))
    for name, (sizes, batch, usual) in NETWORKS.items():
        if not name.startswith(options.networks):
            continue
        epochs = max(options.epochs or usual, 2 * FIRST * EVERY // PER_EPOCH)
        watch(Usual, sizes, batch, FIRST * EVERY // PER_EPOCH + 1)  # puts the code on disk
        monitor = watch(EveryOther, sizes, batch, epochs)
        steps = watch(Usual, sizes, batch, epochs).steps
        apart = (steps[-1] - steps[len(steps) // 2]) / (len(steps) - 1 - len(steps) // 2)
        parts, looked = np.diff(monitor.began)[FIRST:], np.array(monitor.looked[:-1])[FIRST:]
        plain = float(np.median(parts[~looked]))
        later = np.array(monitor.taken[FIRST:])
        look = float(np.median(parts[looked])) - plain + float(np.mean(later) - np.median(later))
        once = sum(monitor.taken[:FIRST]) - FIRST * float(np.median(monitor.taken[FIRST:]))
        share = look / (plain / EVERY * apart)
        least = f"{once / (GOAL - share):,.1f} s" if share < GOAL else "–"
        numbers = f"{1e6 * plain / EVERY:>14,.0f}{1e6 * look:>14,.0f}{apart:>14,.0f}"
        print(f"{name:<28}{numbers}{share:>+14.1%}{1e3 * once:>14,.0f}{least:>14}", flush=True)


if __name__ == "__main__":
    main()
