"""A playground's run as a Python script: data, network, loss, optimizer and order of examples, written out.

The script needs chainrule and nothing else.  It begins with the initial weights of the page and trains as the page
does under its present settings, so that after as many epochs its losses are those of the page, to rounding.  All
numbers are written so that they read back exactly.

Does not do: what was changed by hand on the way (weights that were typed, settings that were others for a while).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.optim.named import optimizers
from chainrule.play.context import Context
from chainrule.play.network import Network
from chainrule.play.settings import FEATURES

_MOST_LITERAL = 3_000  # numbers of one array; more are packed
_EPOCHS = 100  # where nothing was trained yet
_COLUMNS = dict(
    zip(FEATURES, ("x1", "x2", "x1 * x1", "x2 * x2", "x1 * x2", "np.sin(x1)", "np.sin(x2)"), strict=True)
)


def script(context: Context, network: Network, epochs: int) -> str:
    """The script that trains ``network``, as it is, under ``context`` for ``epochs`` epochs (100 for 0)."""
    rule = _compatible if context.settings.compatible else _default
    parts = [_data(context), _inputs(context), _targets(context), _model(context, network), _loss(context)]
    body = "\n".join([*parts, rule(context), _main(context)])
    return f'''"""A network of chainrule's playground, trained from its initial weights.

    python playground.py [EPOCHS]

Data, weights, the order of the examples and every choice are the playground's, so the losses are, too.
"""

{_imports(body)}
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else {epochs or _EPOCHS}

{body}'''


def _imports(body: str) -> str:
    """The import statements that the text needs."""
    standard = [name for name in ("base64", "hashlib") if f"{name}." in body]
    ours = "nn, optim" if "optim." in body else "nn"
    lines = [*(f"import {name}" for name in (*standard, "sys")), "", "import numpy as np", "", "import chainrule as cr",
             f"from chainrule import {ours}"]  # fmt: skip
    if "generate(" in body:
        lines.append("from chainrule.play.datasets import generate")
    if "columns(" in body:
        lines.append("from chainrule.play.features import columns")
    if "Settings(" in body:
        lines.append("from chainrule.play.settings import Settings")
    return "\n".join(lines) + "\n"


def _array(values: Any, indent: str = "") -> str:
    """An array as an expression that gives the same bits."""
    values = np.asarray(values, np.float64)
    if values.size > _MOST_LITERAL:
        packed = base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode("ascii")
        lines = "\n".join(f'{indent}    "{packed[i : i + 100]}"' for i in range(0, len(packed), 100))
        shape = repr(tuple(values.shape))
        return f"np.frombuffer(base64.b64decode(\n{lines}\n{indent}), \"<f8\").reshape({shape})"
    if values.ndim == 1:
        return f"np.array([{', '.join(map(repr, values.tolist()))}])"
    rows = "".join(f"{indent}    [{', '.join(map(repr, row))}],\n" for row in values.tolist())
    return f"np.array([\n{rows}{indent}])"


def _data(context: Context) -> str:
    data, s = context.data, context.settings
    if data.images:
        names = ("dataset", "samples", "noise", "train_percent", "seed", "data_seed")
        given = {name: getattr(s, name) for name in names}
        return (
            "# Digits of 8 × 8 pixels; the first TRAIN of them are trained on.\n"
            f"DATA = generate(Settings().changed({given!r}))\n"
            f"POINTS, LABELS, TRAIN = DATA.points, DATA.labels, {data.train}\n"
        )
    rows = np.column_stack([data.points, data.labels])
    return (
        f"# Columns {', '.join(map(repr, data.names))}; the first TRAIN rows are trained on, the rest is for testing.\n"
        f"ROWS = {_array(rows)}\nPOINTS, LABELS, TRAIN = ROWS[:, :2], ROWS[:, 2], {data.train}\n"
    )


def _inputs(context: Context) -> str:
    if context.data.images:
        body = "def inputs(points):\n    return np.asarray(points, np.float64)\n"
    elif all(name in _COLUMNS for name in context.settings.features):
        columns = ", ".join(_COLUMNS[name] for name in context.settings.features)
        body = f"def inputs(points):\n    x1, x2 = points.T\n    return np.stack([{columns}], axis=1)\n"
    else:
        body = f"def inputs(points):\n    return columns({list(context.settings.features)!r}, points)\n"
    text = f"\n{body}\n\nX = inputs(POINTS)\n"
    if context.settings.normalise:
        mean, std = _array(context.tables.mean), _array(context.tables.std)
        text += f"X = (X - {mean}) / {std}  # normalised by the training rows\n"
    return text


def _targets(context: Context) -> str:
    task = context.task
    if task.outputs == 1:
        aim = "(LABELS + 1) / 2" if task.loss == "cross-entropy" else "LABELS"
        return f"T = ({aim})[:, None]\n" if "+" in aim else f"T = {aim}[:, None]\n"
    off = "0.0" if task.loss == "cross-entropy" else "-1.0"
    return f"T = np.where(LABELS[:, None] == np.arange({task.outputs}), 1.0, {off})\n"


def _model(context: Context, network: Network) -> str:
    layers = "".join(
        f"    nn.Linear(\n        {_array(w, ' ' * 8)},\n        {_array(b, ' ' * 8)},\n    ),\n"
        for w, b in ((layer.weight, layer.bias) for layer in network.layers)
    )
    return f"""# The initial weights (inputs × outputs of each layer) and biases, and the activation behind each layer.
LAYERS = (
{layers})
ACTIVATIONS = {context.activations!r}


def forward(layers, x):
    for layer, name in zip(layers, ACTIVATIONS):
        x = nn.activation(name)(layer(x))
    return x
"""


def _loss(context: Context) -> str:
    task = context.task
    if task.loss == "cross-entropy":
        name = "binary_cross_entropy_with_logits" if task.outputs == 1 else "cross_entropy"
        body = f"nn.{name}(forward(layers, x), t)"
    elif task.loss == "squared":
        body = "0.5 * np.mean(np.sum((forward(layers, x) - t) ** 2, axis=-1))"
    elif task.loss == "absolute":
        body = "np.mean(np.sum(np.abs(forward(layers, x) - t), axis=-1))"
    else:
        body = 'np.mean(np.sum(nn.huber(forward(layers, x), t, reduction="none"), axis=-1))'
    text = f"\ndef loss(layers, x, t):\n    return {body}\n"
    if not context.settings.compatible and (terms := list(_penalties(context))):
        total = f"sum({' + '.join(terms)} for w in weights)"
        text += (
            "\n\ndef regularised(layers, x, t):\n    weights = [layer.weight for layer in layers]\n"
            f"    return loss(layers, x, t) + {total}\n"
        )
    return text


def _penalties(context: Context) -> Iterable[str]:
    if context.l1:
        yield f"{context.l1!r} * np.sum(np.abs(w))"
    if context.l2:
        yield f"{0.5 * context.l2!r} * np.sum(w * w)"


def _default(context: Context) -> str:
    s = context.settings
    rule = optimizers[s.optimizer].__name__
    goal = "regularised" if list(_penalties(context)) else "loss"
    steps = max(1, s.schedule_epochs * max(context.rows, 1))
    constant = s.schedule == "constant" or s.learning_rate == 0
    rate = repr(s.learning_rate) if constant else f"optim.schedules.named({s.schedule!r}, {s.learning_rate!r}, {steps})"
    clip = ""
    if s.clip is not None:
        clip = (
            "    norm = np.sqrt(sum(np.sum(g.weight**2) + np.sum(g.bias**2) for g in gradient))\n"
            f"    factor = np.minimum({s.clip!r} / (norm + 1e-6), 1)\n"
            "    gradient = tuple(nn.Linear(g.weight * factor, g.bias * factor) for g in gradient)\n"
        )
    order = "def order(epoch):\n    return np.arange(TRAIN)\n"
    if s.shuffle:
        together = max(1, (1 << 15) // max(context.count, 1))
        order = f'''def order(epoch):
    """The order of the examples in an epoch, drawn for {together} epochs at a time."""
    name = f"order/{{SEED}}/{{TRAIN}}/{{epoch // {together}}}".encode("utf-8", "surrogatepass")
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:16], "big"))
    return rng.permuted(np.tile(np.arange(TRAIN), ({together}, 1)), axis=1)[epoch % {together}]
'''
    seed = f"SEED = {s.seed!r}\n" if s.shuffle else ""
    return f"""
RULE = optim.{rule}({rate})
BATCH = {context.width}
{seed}

@cr.jit
def step(layers, state, x, t):
    gradient = cr.grad({goal})(layers, x, t)
{clip}    updates, state = RULE.update(gradient, state, layers)
    return optim.apply_updates(layers, updates), state


{order}

def train(layers, epochs):
    state = RULE.init(layers)
    for epoch in range(epochs):
        rows = order(epoch)
        for first in range(0, TRAIN, BATCH):
            batch = rows[first : first + BATCH]
            layers, state = step(layers, state, X[batch], T[batch])
    return layers
"""


def _compatible(context: Context) -> str:
    s = context.settings
    decay = {"l1": "np.sign(w)", "l2": "w"}.get(s.regularization) if s.regularization_rate else None
    lines = ["            moved = w - RATE / count * gw"]
    if decay:
        lines.append(f"            decayed = moved - RATE * {s.regularization_rate!r} * {decay}")
        if s.regularization == "l1":
            lines += [
                "            dies = moved * decayed < 0  # a weight that is carried across 0 stays there",
                "            moved = np.where(dead[i], w, np.where(dies, 0.0, decayed))",
                "            dead[i] = dead[i] | dies",
            ]
        else:
            lines.append("            moved = decayed")
    dead = "    dead = [np.zeros(layer.weight.shape, bool) for layer in layers]\n" if s.regularization == "l1" else ""
    body = "\n".join(lines)
    return f"""
RATE = {s.learning_rate!r}
BATCH = {s.batch_size}


@cr.jit
def summed_gradient(layers, x, t):
    return cr.grad(lambda layers: loss(layers, x, t) * len(x))(layers)


def train(layers, epochs):
    \"\"\"The reference's rule: fixed order, a batch that is not full joins the first of the next epoch.\"\"\"
    sums, count = [(0.0, 0.0)] * len(layers), 0
{dead}    for first in [first for _ in range(epochs) for first in range(0, TRAIN, BATCH)]:
        x, t = X[:TRAIN][first : first + BATCH], T[:TRAIN][first : first + BATCH]
        gradient = summed_gradient(layers, x, t)
        sums = [(w + g.weight, b + g.bias) for (w, b), g in zip(sums, gradient)]
        count += len(x)
        if len(x) < BATCH:
            continue
        new = []
        for i, (layer, (gw, gb)) in enumerate(zip(layers, sums)):
            w = layer.weight
{body}
            new.append(nn.Linear(moved, layer.bias - RATE * gb / count))
        layers, sums, count = tuple(new), [(0.0, 0.0)] * len(layers), 0
    return layers
"""


def _main(context: Context) -> str:
    text = """
if __name__ == "__main__":
    layers = train(LAYERS, EPOCHS)
    print(f"after {EPOCHS} epochs: loss {float(loss(layers, X[:TRAIN], T[:TRAIN]))!r}", end="")
"""
    if context.data.count > context.count:
        text += '    print(f", on test data {float(loss(layers, X[TRAIN:], T[TRAIN:]))!r}", end="")\n'
    return text + "    print()\n"
