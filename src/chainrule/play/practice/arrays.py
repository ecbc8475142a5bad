"""Exercises on arrays: (i) shapes, broadcasting and matrix products, (j) softmax with cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.explain.formula import array
from chainrule.play.practice.draws import Draws
from chainrule.play.practice.exercise import Draft, Field, Hint, Mistake, Option, display, kind, say, table
from chainrule.play.practice.program import Program, is_short, require, shown

# ---------------------------------------------------------------------------------------------------------- (i) shapes


@kind("shape", "Shapes and sums", "A gradient has the shape of its value; what was repeated forwards is summed back.")
def shape(draws: Draws, level: int) -> Draft:
    """Level 1: the shape of a gradient; 2: back through a broadcast; 3: one entry of a weight's gradient."""
    return (_shape_of, draws.pick((_bias, _formula_of)), _entry)[level - 1](draws)


def _matrix(draws: Draws, rows: int, columns: int, most: int = 4) -> Any:
    return np.array([[float(draws.sign() * draws.integer(1, most)) for _ in range(columns)] for _ in range(rows)])


def _sizes(draws: Draws) -> tuple[int, int, int]:
    n, k, m = draws.some((2, 3, 4, 5, 6, 7, 8), 3)
    return n, k, m


def _layer(draws: Draws, n: int, k: int, m: int, bias: bool = True) -> Program:
    """z = x·W + b with a loss through which exactly ``d`` arrives at z."""
    at: dict[str, Any] = {"x": _matrix(draws, n, k), "W": _matrix(draws, k, m), "d": _matrix(draws, n, m, 3)}
    if bias:
        at["b"] = _matrix(draws, 1, m)[0]
    return Program(f"z = x@W{' + b' if bias else ''}; L = sum(z*d)", at, ["x", "W", *(["b"] if bias else [])])


def _shape_of(draws: Draws) -> Draft:
    n, k, m = _sizes(draws)
    program = _layer(draws, n, k, m)
    of = draws.pick(("W", "W", "x", "b"))
    right = tuple(np.shape(program.gradient(of)))
    wrong: dict[str, list[tuple[str, tuple[int, ...]]]] = {
        "W": [("transposed", (m, k)), ("shape-of-output", (n, m)), ("shape-of-input", (n, k)), ("wrong-axis", (m,))],
        "x": [("transposed", (k, n)), ("shape-of-output", (n, m)), ("shape-of-input", (k, m))],
        "b": [("not-summed", (n, m)), ("wrong-axis", (n,)), ("kept-axis", (1, m)), ("shape-of-input", (k, m))],
    }
    asked = rf"\frac{{\partial L}}{{\partial {of}}}"
    return Draft(
        (
            say("One layer on a batch, and a loss behind it:"),
            display(r"z = x \cdot W + b"),
            table(
                ("array", "shape"),
                [("$x$", f"({n}, {k})"), ("$W$", f"({k}, {m})"), ("$b$", f"({m})"), ("$z$", f"({n}, {m})")],
                "The shapes",
            ),
            say(f"What is the shape of ${asked}$?"),
        ),
        (Field("shape", f"Shape of ${asked}$:", "shape"),),
        {"shape": right},
        [Mistake(name, {"shape": found}) for name, found in wrong[of]],
        [Hint("The gradient holds one number for each number of what it is the gradient of."), *_line(program, of)],
    )


def _line(program: Program, of: str) -> list[Hint]:
    """The engine's line for the gradient of an array, with its equation of shapes."""
    step = next(s for s in program.explanation.chain if s.phase == "backward" and s.line == program.lines[of])
    shapes = f" Shapes: {step.shapes}." if step.shapes else ""
    return [Hint(f"{step.sentence}{shapes}", f"{step.symbol} = {step.formula}")]


def _bias(draws: Draws) -> Draft:
    n, m = draws.pick(((2, 3), (3, 2), (3, 3)))
    program = _layer(draws, n, 2, m)
    arriving, right = program.gradient("z"), program.gradient("b")
    wrong = [("mean-for-sum", arriving.mean(0)), ("first-row", arriving[0]), ("sign", -right)]
    if n == m:
        wrong.insert(0, ("wrong-axis", arriving.sum(1)))
    require(is_short(right))
    fields = tuple(Field(f"b{i + 1}", rf"$\frac{{\partial L}}{{\partial b_{i + 1}}} =$") for i in range(m))
    return Draft(
        (
            say(f"A layer adds the same bias $b$, of shape ({m}), to each of the {n} rows of $x \\cdot W$:"),
            display(r"z = x \cdot W + b"),
            say("Back at $z$ arrives:"),
            display(rf"\frac{{\partial L}}{{\partial z}} = {shown(arriving)}"),
            say(r"What is $\frac{\partial L}{\partial b}$?"),
        ),
        fields,
        {f.name: float(v) for f, v in zip(fields, right, strict=True)},
        [Mistake(name, {f.name: float(v) for f, v in zip(fields, values, strict=True)}) for name, values in wrong],
        [
            Hint("The bias was used once per row: each use sends its own row back, and the uses are added."),
            *_line(program, "b"),
        ],
    )


def _formula_of(draws: Draws) -> Draft:
    n, k, m = _sizes(draws)
    program = _layer(draws, n, k, m, bias=False)
    of = draws.pick(("W", "x"))
    delta = r"\frac{\partial L}{\partial z}"
    right, flipped, other = (
        (rf"{{x}}^{{T}} \cdot {delta}", rf"{{{delta}}}^{{T}} \cdot x", rf"{delta} \cdot {{x}}^{{T}}")
        if of == "W"
        else (rf"{delta} \cdot {{W}}^{{T}}", rf"W \cdot {{{delta}}}^{{T}}", rf"{{W}}^{{T}} \cdot {delta}")
    )
    plain = rf"x \cdot {delta}" if of == "W" else rf"{delta} \cdot W"
    given = {"W": (program.array("x"), program.gradient("z")), "x": (program.gradient("z"), program.array("W"))}[of]
    found = given[0].T @ given[1] if of == "W" else given[0] @ given[1].T
    require(np.array_equal(found, program.gradient(of)))  # the option called right is what the engine computes
    entries = draws.shuffled(
        [("right", right), ("transposed", flipped), ("wrong-product", other), ("wrong-product", plain)]
    )
    options = tuple(Option(chr(ord("A") + i), f"${latex}$") for i, (_, latex) in enumerate(entries))
    name = {i: key for i, (key, _) in enumerate(entries)}
    asked = rf"\frac{{\partial L}}{{\partial {of}}}"
    return Draft(
        (
            say(f"A layer computes $z = x \\cdot W$ with $x$ of shape ({n}, {k}) and $W$ of shape ({k}, {m})."),
            say(f"Which product is ${asked}$?"),
        ),
        (Field("product", f"${asked} =$", "choice", options),),
        {"product": next(o.name for i, o in enumerate(options) if name[i] == "right")},
        [Mistake(name[i], {"product": o.name}) for i, o in enumerate(options) if name[i] != "right"],
        [
            Hint(
                f"Two things meet in it: what arrives, of shape ({n}, {m}), and the other factor. The shape of the "
                f"result is "
                f"that of ${of}$: ({k}, {m})."
                if of == "W"
                else f"Two things meet in it: what arrives, of shape ({n}, {m}), and the other factor. The shape of "
                f"the result is "
                f"that of ${of}$: ({n}, {k})."
            ),
            *_line(program, of),
        ],
    )


def _entry(draws: Draws) -> Draft:
    n, k, m = draws.pick(((2, 2, 2), (2, 2, 3), (2, 3, 2), (3, 2, 2)))
    program = _layer(draws, n, k, m, bias=False)
    i, j = draws.below(k), draws.below(m)
    whole, x, arriving = program.gradient("W"), program.array("x"), program.gradient("z")
    right = float(whole[i, j])
    wrong = [("first-row", x[0, i] * arriving[0, j]), ("mean-for-sum", right / n), ("sign", -right)]
    if i < m and j < k:
        wrong.insert(0, ("transposed", whole[j, i]))
    wrong += [("wrong-pairing", whole[a, b]) for a in range(k) for b in range(m) if (a, b) != (i, j)]
    wrong.append(("shape-of-input", arriving[0, j]))
    require(is_short([right, right / n]) and right)
    asked = rf"\frac{{\partial L}}{{\partial W_{{{i + 1}{j + 1}}}}}"
    return Draft(
        (
            say("A layer computes $z = x \\cdot W$ for a batch; each row of $x$ is one example."),
            display(rf"x = {_latex(x)} \quad \frac{{\partial L}}{{\partial z}} = {_latex(arriving)}"),
            say(f"What is ${asked}$, the entry in row {i + 1}, column {j + 1} of the weights' gradient?"),
        ),
        (Field("entry", f"${asked} =$"),),
        {"entry": right},
        [Mistake(name, {"entry": float(value)}) for name, value in wrong],
        [
            Hint(
                f"This weight carries input {i + 1} to output {j + 1}. In each example it is used once: input times "
                f"what "
                "arrives there. The examples add up."
            ),
            *_line(program, "W"),
        ],
    )


def _latex(value: Any) -> str:
    found = array(value)
    assert found is not None
    return found.latex


# ------------------------------------------------------------------------------------------- (j) softmax, cross-entropy

_THIRDS = (
    (0.2, 0.5, 0.3),
    (0.1, 0.6, 0.3),
    (0.7, 0.2, 0.1),
    (0.25, 0.25, 0.5),
    (0.4, 0.4, 0.2),
    (0.05, 0.8, 0.15),
    (0.15, 0.35, 0.5),
    (0.9, 0.06, 0.04),
    (0.45, 0.3, 0.25),
    (0.1, 0.1, 0.8),
    (0.55, 0.25, 0.2),
)


@kind("softmax", "Softmax and cross-entropy", "Why the gradient at the logits is so simple: p minus y.")
def softmax(draws: Draws, level: int) -> Draft:
    """Level 1: one logit; 2: all of them; 3: in the mean over a batch."""
    count = 1 if level < 3 else draws.pick((2, 4, 5))
    rows = [draws.shuffled(draws.pick(_THIRDS)) for _ in range(count)]
    labels = [draws.below(3) for _ in range(count)]
    names = [f"z{i + 1}" for i in range(count)] if count > 1 else ["z"]
    wanted = [[1.0 if c == label else 0.0 for c in range(3)] for label in labels]
    losses = [f"dot({y}, log_softmax({z}))" for y, z in zip(wanted, names, strict=True)]
    text = f"L = -{losses[0]}" if count == 1 else f"L = -({' + '.join(losses)})/{count}"
    program = Program(text, {z: np.log(np.array(row)) for z, row in zip(names, rows, strict=True)})
    gradient = np.round(program.gradient(names[0]), 12)
    p, y = np.array(rows[0]), np.array(wanted[0])
    require(is_short(gradient))
    wrong = [
        ("not-averaged", gradient * count),
        ("forgot-label", p / count),
        ("label-minus-p", -gradient),
        ("forgot-softmax", -y / p / count),
        ("own-derivative", p * (1 - p) / count),
        ("true-class-only", gradient * y),
    ]
    return _softmax_draft(program, rows, labels, gradient, wrong, level, draws)


def _softmax_draft(
    program: Program,
    rows: Sequence[Sequence[float]],
    labels: Sequence[int],
    gradient: Any,
    wrong: Sequence[tuple[str, Any]],
    level: int,
    draws: Draws,
) -> Draft:
    count = len(rows)
    asked = [draws.below(3)] if level == 1 else [0, 1, 2]
    of = "z" if count == 1 else "z_{1}"
    fields = tuple(Field(f"z{c + 1}", rf"$\frac{{\partial L}}{{\partial {of}}}$ at class {c + 1}:") for c in asked)
    head = (
        ("class", "probability $p$")
        if count == 1
        else ("example", "$p$ of class 1", "of class 2", "of class 3", "label")
    )
    cells = (
        [(f"{c + 1}", f"${shown(rows[0][c])}$") for c in range(3)]
        if count == 1
        else [(f"{i + 1}", *(f"${shown(v)}$" for v in row), f"class {labels[i] + 1}") for i, row in enumerate(rows)]
    )
    mean = "" if count == 1 else f" The loss is the mean over the {count} examples."
    which = f"class {asked[0] + 1}" if level == 1 else "each class"
    target = f"the label is class {labels[0] + 1}" if count == 1 else "the labels stand in the table"
    example = "" if count == 1 else " of the first example"
    loss = (
        r"L = -\ln p_{\mathrm{label}}"
        if count == 1
        else rf"L = -\frac{{1}}{{{count}}} \cdot \sum_i \ln p_{{i, \mathrm{{label}}}}"
    )
    return Draft(
        (
            say(f"A network ends in logits $z$, a softmax, and cross-entropy; {target}.{mean}"),
            display(rf"p = \operatorname{{softmax}}\left(z\right) \quad {loss}"),
            table(head, cells, "What the softmax gave"),
            say(f"What is the gradient of $L$ by the logit of {which}{example}?"),
        ),
        fields,
        {f.name: float(gradient[c]) for f, c in zip(fields, asked, strict=True)},
        [
            Mistake(name, {f.name: float(values[c]) for f, c in zip(fields, asked, strict=True)})
            for name, values in wrong
            if all(math.isfinite(float(values[c])) for c in asked)
        ],
        [
            Hint(
                "Raising a logit raises its own probability and lowers the others: the components of the gradient "
                "add up to 0."
            ),
            *_by_hand(rows[0], labels[0], asked, gradient, count),
        ],
    )


def _by_hand(row: Sequence[float], label: int, asked: Sequence[int], gradient: Any, count: int) -> list[Hint]:
    """The engine's lines for one example, with the softmax written out: L = ln Σ exp z - z_label."""
    text = "; ".join(f"u{c + 1} = exp(z{c + 1})" for c in range(3)) + f"; s = u1 + u2 + u3; g = log(s) - z{label + 1}"
    program = Program(
        f"{text}; L = g/{count}" if count > 1 else text.replace("g =", "L ="),
        {f"z{c + 1}": math.log(p) for c, p in enumerate(row)},
    )
    chosen = asked if len(asked) == 1 else [label, *[c for c in asked if c != label][:1]]
    found = [
        Hint(
            "With the softmax written out, the loss of one example is", program.forward_latex("g" if count > 1 else "L")
        )
    ]
    for c in chosen:
        require(abs(program.gradient(f"z{c + 1}") - gradient[c]) < 1e-9)
        found += [h for h in program.hints(f"z{c + 1}") if h not in found]
    return found
