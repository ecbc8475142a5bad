"""Draws the figures of the documentation: ``python docs/make_figures.py [digits] [explain] [why] [diagnose]``.

With the folder of a finished run as its argument, digits.svg is drawn of that run.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.text import Text

import chainrule as cr
from chainrule import nn, train
from chainrule.cli.why import findings
from chainrule.explain.expression import parse
from chainrule.explain.why_text import to_rich

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TERMINAL = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#292929"/>
<g transform="translate(9, 9)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""
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


def digits(run: Path | None = None) -> None:
    """digits.svg: a run of ``chainrule train`` with its defaults."""
    if run is not None:
        draw(run, IMAGES / "digits.svg")
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "run"
        command = [sys.executable, "-m", "chainrule.cli.main", "train", "digits", "--quiet", "--out", str(made)]
        subprocess.run(command, check=True)
        draw(made, IMAGES / "digits.svg")


def explain() -> None:
    """explain.png and explain-graph.svg: one neuron, as a page (photographed by Chromium) and as a graph."""
    neuron = parse("z = w*x + b; a = relu(z); L = (a - y)**2")
    explanation = cr.explain(neuron, *neuron.bound({"w": 0.5, "x": 2.0, "b": 0.0, "y": 0.0}))
    (IMAGES / "explain-graph.svg").write_text(explanation.to_svg(), encoding="utf-8")
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"explain.png was not drawn: none of {', '.join(BROWSERS)} is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(explanation.to_html(), encoding="utf-8")
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1180",
             f"--screenshot={IMAGES / 'explain.png'}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip


def why() -> None:
    """why.svg: what ``chainrule why`` prints, for a neuron that is off and for a softmax that underflows."""
    asked = {"z = w*x + b; a = relu(z); L = (a - y)**2": {"x": 2.0, "w": 0.5, "b": -3.0, "y": 0.5},
             "log(softmax(z)) @ y": {"z": np.array([1000.0, 0.0]), "y": np.array([0.0, 1.0])}}  # fmt: skip
    console = Console(record=True, width=106, highlight=False, file=io.StringIO())
    for text, values in asked.items():
        given = ",".join(f"{name}={np.asarray(value).tolist()}".replace(" ", "") for name, value in values.items())
        console.print(Text(f'$ chainrule why "{text}" --at {given}', style="dim"))
        console.print(to_rich(findings(text, values).messages()))
    drawn = console.export_svg(title="", code_format=TERMINAL, unique_id="why")
    (IMAGES / "why.svg").write_text(drawn, encoding="utf-8")


def diagnose() -> None:
    """diagnose.png: a sigmoid network of six layers on three arms of a spiral, looked at while it trains."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    radius = np.sqrt(rng.random(len(y)))
    angle = 4 * radius + 2 * np.pi / 3 * y + 0.2 * rng.standard_normal(len(y))
    x = (2 * np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)).astype(np.float32)
    model = nn.MLP.init((2, 24, 24, 24, 24, 24, 3), activation="sigmoid", rng=rng)
    result = train.fit(model, lambda model, x, y: nn.cross_entropy(model(x), y), (x, y), epochs=12, batch_size=24,
                       learning_rate=1e-3, diagnose=10, progress=False)  # fmt: skip
    result.diagnosis.plot(IMAGES / "diagnose.png")


FIGURES = {"digits": digits, "explain": explain, "why": why, "diagnose": diagnose}


def main() -> None:
    """Draw what is named, or all; a folder is a run to draw digits.svg from."""
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FIGURES:
        if name in FIGURES:
            FIGURES[name]()
        else:
            digits(Path(name))


if __name__ == "__main__":
    main()
