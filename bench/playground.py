"""The playground's training beside its rule in JavaScript: steps a second of the engine and of Node, in one run.

    OPENBLAS_NUM_THREADS=1 CHAINRULE_THREADS=1 python -m bench.playground [--seconds 2] [--cpu]

The network is 2-8-8-1 with tanh, 250 examples in batches of 10, float64.  The engine is measured as a page uses it:
``Player.run`` in slices, in mode "compatible" (the same rule as in ``playground_rule.mjs``, whose weights after 20
epochs must agree to 1e-9), in the default mode (which shuffles), with Adam, and with 30 frames a second made between
the slices.  Engine and Node take turns; the median of three is shown.  ``--cpu`` counts processor time instead of the
clock's, for a machine on which others work too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.play.player import Player

SCRIPT = Path(__file__).with_name("playground_rule.mjs")
NETWORK = {"hidden": [8, 8], "activation": "tanh", "batch_size": 10}
EPOCHS = 20
TURNS = 3


def engine(settings: dict[str, Any], seconds: float, frames: bool, cpu: bool) -> float:
    """Steps a second of a playing page."""
    clock = time.thread_time if cpu else time.perf_counter
    player = Player({**NETWORK, **settings}, native="wait")
    player.answer({"do": "play"})
    for _ in range(20):
        player.run(0.01)
    began, step, shown = clock(), player.course.state.step, time.perf_counter()
    while clock() - began < seconds:
        player.run(0.01)
        if frames and time.perf_counter() - shown > 1 / 30:
            player.frame()
            shown = time.perf_counter()
    rate = (player.course.state.step - step) / (clock() - began)
    player.close()
    return rate


def node(seconds: float, cpu: bool) -> dict[str, float]:
    """Steps a second under Node, by the way the network is kept, after the weights were found to agree."""
    player = Player({**NETWORK, "mode": "compatible"}, native="wait")
    first = player.answer({"do": "state"})["state"]["layers"]
    tables, count = player.course.context.tables, player.course.context.count
    job = {
        "sizes": list(player.course.context.sizes), "activation": "tanh", "batch": 10, "rate": 0.03, "epochs": EPOCHS,
        "weights": [layer["weight"] for layer in first], "biases": [layer["bias"] for layer in first],
        "rows": np.concatenate([tables.x[:count], tables.t[:count]], axis=1).tolist(), "seconds": seconds,
    }  # fmt: skip
    done = subprocess.run(["node", str(SCRIPT)], input=json.dumps(job), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    player.course.take(EPOCHS * player.course.context.rows)
    for mine, *theirs in zip(
        player.course.state.network.layers, *(one["weights"] for one in found.values()), strict=True
    ):
        for weight in theirs:
            np.testing.assert_allclose(mine.weight.T, weight, rtol=0, atol=1e-9)
    player.close()
    return {name: one["cpuStepsPerSecond" if cpu else "stepsPerSecond"] for name, one in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.playground", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the clock's")
    options = parser.parse_args()
    if shutil.which("node") is None:
        parser.error("needs node, to measure the rule in JavaScript")
    kinds: dict[str, tuple[dict[str, Any], bool]] = {
        "compatible mode": ({"mode": "compatible"}, False), "default mode": ({}, False),
        "default mode, 30 frames a second": ({}, True), "default mode, adam": ({"optimizer": "adam"}, False),
    }  # fmt: skip
    rates: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name, rate in node(options.seconds, options.cpu).items():
            rates.setdefault(f"Node, {name}", []).append(rate)
        for name, (settings, frames) in kinds.items():
            rates.setdefault(name, []).append(engine(settings, options.seconds, frames, options.cpu))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{'':34} {'steps/s':>12} {'× Node, nodes':>14} {'× Node, arrays':>15}")
    for name, rate in middle.items():
        print(f"{name:34} {rate:12,.0f} {rate / middle['Node, nodes']:14.1f} {rate / middle['Node, arrays']:15.1f}")


if __name__ == "__main__":
    main()
