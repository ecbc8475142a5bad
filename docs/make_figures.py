"""Draws docs/images/digits.svg from a run of ``chainrule train`` with its defaults: ``python docs/make_figures.py``.

With the folder of a finished run as its argument, that run is drawn instead.
"""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"


def columns(run: Path) -> dict[str, list[float]]:
    """The columns of a run's metrics.csv."""
    with open(run / "metrics.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def least_loss(run: Path) -> float:
    """The cross-entropy of a perfect answer: the entropy of the smoothed labels."""
    config = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    share, classes = config["training"].get("label_smoothing", 0.0), config["facts"]["outputs"]
    parts = [1 - share + share / classes] + [share / classes] * (classes - 1)
    return -sum(p * math.log(p) for p in parts if p)


def draw(run: Path, to: Path) -> None:
    """Loss on the left, gradient norm of each layer on the right, over epochs."""
    table = columns(run)
    epochs = table["epoch"]
    plt.rcParams.update({"svg.hashsalt": "chainrule", "font.size": 9, "axes.spines.top": False,
                         "axes.spines.right": False})  # fmt: skip
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    left.plot(epochs, table["train_loss"], label="train")
    left.plot(epochs, table["validation_loss"], "--", label="validation")
    least = least_loss(run)
    if least:
        left.axhline(least, color="grey", linewidth=0.8, linestyle=":", label="least with smoothed labels")
    left.set(title="loss", xlabel="epoch", ylim=(0, None))
    left.legend(frameon=False)
    for name, values in table.items():
        if name.startswith("gradient_norm "):
            right.plot(epochs, values, label=name.removeprefix("gradient_norm "))
    right.set(title="gradient norm of each layer", xlabel="epoch", yscale="log")
    right.legend(frameon=False)
    figure.savefig(to, metadata={"Date": None}, facecolor="white")


def main() -> None:
    """Train if there is no run to draw, and draw."""
    IMAGES.mkdir(exist_ok=True)
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]), IMAGES / "digits.svg")
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "chainrule.cli.main", "train", "digits", "--quiet", "--out", str(run)]
        subprocess.run(command, check=True)
        draw(run, IMAGES / "digits.svg")


if __name__ == "__main__":
    main()
