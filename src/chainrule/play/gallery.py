"""Settings worth a look: some that work, some that fail, each with its reason; and the pictures of the data sets.

An entry names only what differs from the defaults of :class:`~chainrule.play.settings.Settings`.  What each claims is
tested: those that work reach their figure within ``epochs``, those that fail do not, or break off as they say.
Does not do: running them; the page sends an entry's settings to its player.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from chainrule.base.errors import ChainruleError
from chainrule.play.datasets import generate
from chainrule.play.settings import DATASETS, Settings

_PREVIEW = 200  # points of a picture, as many as can be told apart in 40 pixels


@dataclasses.dataclass(frozen=True)
class Entry:
    """One card: a title, what differs from the defaults, why it ends as it does, and how long to watch."""

    id: str
    works: bool
    title: str
    settings: dict[str, Any]
    reason: str
    epochs: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values, by name; the settings are all there, so that nothing of those before is left."""
        return {**dataclasses.asdict(self), "settings": Settings().changed(self.settings).to_json()}


ENTRIES = (
    Entry("circle", True, "A ring takes curves", {},
          "Each hidden tanh neuron draws one soft line; four of them close a ring around the middle.", 100),
    Entry("feature", True, "The right input does the work", {"dataset": "xor", "hidden": [], "features": ["x1*x2"]},
          "The label is the sign of x₁x₂. Given that product, no hidden layer is needed at all.", 20),
    Entry("radius", True, "An input by formula",
          {"dataset": "circle", "hidden": [], "features": ["x1**2 + x2**2"], "normalise": True, "loss": "cross-entropy",
           "learning_rate": 0.3},
          "The squared distance from the middle parts ring and core by one threshold; normalised, it learns at once.",
          50),
    Entry("spiral", True, "A spiral, with sines",
          {"dataset": "spiral", "hidden": [8, 8], "features": ["x1", "x2", "sin(x1)", "sin(x2)"]},
          "The arms wind around about twice. Sines of the inputs bend the plane for the layers behind them.", 300),
    Entry("deep-relu", True, "Deep, with He's initial weights",
          {"hidden": [8] * 6, "activation": "relu", "initialiser": "he_normal"},
          "He's variance 2/n keeps the signal's size through six ReLU layers, so every layer gets a gradient.", 100),
    Entry("softmax", True, "Five classes",
          {"dataset": "pinwheel", "classes": 5, "loss": "cross-entropy", "optimizer": "adam", "learning_rate": 0.01,
           "hidden": [8, 8]},
          "Softmax with cross-entropy: the cotangent of each output is simply probability minus label.", 100),
    Entry("digits", True, "Handwritten digits",
          {"dataset": "digits", "hidden": [16], "activation": "relu", "loss": "cross-entropy", "optimizer": "adam",
           "learning_rate": 0.003},
          "64 pixels, 16 ReLU neurons, ten classes: about 95 % of digits it has never seen, in twenty epochs.", 20),
    Entry("decay", True, "Little noisy data, weights held small",
          {"dataset": "gauss", "noise": 50, "train_percent": 10, "hidden": [8, 8], "loss": "cross-entropy",
           "optimizer": "adam", "learning_rate": 0.01, "regularization": "l2", "regularization_rate": 0.03},
          "L2 keeps the weights small, so the border stays plain and the test loss down. Its twin below has none.",
          300),
    Entry("overfit", False, "Learned by heart",
          {"dataset": "gauss", "noise": 50, "train_percent": 10, "hidden": [8, 8], "loss": "cross-entropy",
           "optimizer": "adam", "learning_rate": 0.01},
          "50 noisy points and 105 parameters: the training loss goes to 0 while the test loss climbs.", 500),
    Entry("line", False, "Layers without a bend", {"activation": "identity"},
          "Without an activation all layers together are one linear map: a straight border, however many there are.",
          100),
    Entry("zeros", False, "All weights zero", {"initialiser": "zeros"},
          "All neurons of a layer are the same and get the same gradient, here 0: nothing parts them.",
          100),
    Entry("sigmoid", False, "A gradient that vanishes",
          {"hidden": [8] * 6, "activation": "sigmoid", "learning_rate": 0.1},
          "σ′ is at most ¼, so six layers shrink the gradient some thousandfold: the first layers hardly move.", 100),
    Entry("dead", False, "Dead neurons", {"activation": "relu", "bias": -8.0},
          "Biases of −8 keep every ReLU at 0, where its slope is 0 too: no gradient reaches a weight, for ever.", 100),
    Entry("explode", False, "Too large a step",
          {"dataset": "plane", "hidden": [4], "features": ["x1", "x2", "x1^2", "x2^2"], "activation": "identity",
           "learning_rate": 0.3},
          "Squares reach 36, so the loss is steep: each step overshoots further than the last, until numbers end.", 5),
    Entry("slow", False, "Too small a step", {"learning_rate": 0.00001},
          "The direction is right, but each step changes the weights by a few millionths. Look at update/weight.", 200),
    Entry("strong", False, "Held down too firmly", {"regularization": "l2", "regularization_rate": 0.3},
          "The pull of the weights towards 0 is stronger than the pull of the data: the network answers 0.", 200),
    Entry("line-xor", False, "Two inputs, no hidden layer", {"dataset": "xor", "hidden": []},
          "No straight line parts xor's corners. This is the example that halted the field in 1969.", 200),
    Entry("trap", False, "A batch larger than the data", {"mode": "compatible", "batch_size": 300},
          "The compatible rule updates only after a full batch. 250 points never fill 300: it never learns.", 50),
)  # fmt: skip


@functools.cache
def previews() -> dict[str, Any]:
    """By data set: some of its points, without noise, and the number of classes; of digits one image."""
    found: dict[str, Any] = {}
    for name in DATASETS:
        if name == "own":
            continue
        try:
            data = generate(Settings().changed({"dataset": name, "samples": _PREVIEW}))
        except ChainruleError:  # digits need scikit-learn
            continue
        if data.images:
            found[name] = {"image": [round(float(v), 3) for v in data.points[0]]}
            continue
        rows = zip(data.points.tolist(), data.labels.tolist(), strict=True)
        points = [[round(x, 2), round(y, 2), round(label, 2)] for (x, y), label in rows]
        found[name] = {"points": points, "classes": data.classes if data.classes > 2 else 0}
    return found


ENDPOINTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "list": lambda body: {"entries": [entry.to_json() for entry in ENTRIES]},
    "previews": lambda body: {"previews": previews()},
}
"""What the page asks for: the cards, and the pictures of the data sets."""
