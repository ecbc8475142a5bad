"""Exercises that read a whole backward pass: (k) find the wrong line, (m) which layer starves, and why."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.explain.expression import parse
from chainrule.explain.names import identifier
from chainrule.play.practice.draws import Draws
from chainrule.play.practice.exercise import Draft, Field, Hint, Mistake, Option, display, kind, pieces, say, table
from chainrule.play.practice.graphs import cotangent
from chainrule.play.practice.program import Program, is_short, require, shown

# --------------------------------------------------------------------------------------------------- (k) the wrong line


@dataclass(frozen=True)
class Line:
    """A line of a derivation: ``of`` a node's value or, with ``back``, its cotangent; ``sides`` without the value."""

    of: str
    back: bool
    sides: tuple[str, ...]
    value: float

    def latex(self) -> str:
        """As it is shown."""
        sides = [s for i, s in enumerate((*self.sides, shown(self.value))) if s and s not in self.sides[:i][-1:]]
        return " = ".join(sides)


def forward_line(program: Program, name: str) -> Line:
    """The engine's line of the forward pass."""
    step = next(s for s in program.explanation.chain if s.phase == "forward" and s.line == program.lines[name])
    return Line(name, False, (step.symbol, step.formula, step.filled or ""), program.value(name))


def backward_line(program: Program, of: str, by: str, arriving: float | None = None) -> Line:
    """The engine's line for ∂L/∂by; with another number ``arriving`` than its own, the same rule on that number."""
    step = program.step(of, by)
    local = program.local(of, by)
    if of == program.output:
        return Line(by, True, (step.symbol, step.formula, step.filled or ""), local)
    came = program.gradient(of) if arriving is None else arriving
    return Line(by, True, (step.symbol, step.formula, _times(came, local)), came * local)


def _times(*numbers: float) -> str:
    return r" \cdot ".join(shown(n) if n >= 0 else rf"\left({shown(n)}\right)" for n in numbers)


def derivation(program: Program, way: Sequence[str]) -> list[Line]:
    """The whole calculation: each step forwards, then the cotangents along ``way``, from the result down."""
    names = [s.name for s in program.expression.statements if s.name]
    found = [forward_line(program, n) for n in names]
    return [*found, *(backward_line(program, a, b) for a, b in itertools.pairwise(way))]


def with_forward_fault(program: Program, way: Sequence[str], node: str, value: float) -> list[Line]:
    """The calculation of someone who got ``node`` wrong and everything after that right."""
    statements = program.expression.lines()
    names = [s.name for s in program.expression.statements]
    cut = names.index(node) + 1
    rest = "; ".join(statements[cut:])
    needed = parse(rest).names
    late = Program(rest, {n: value if n == node else program.value(n) for n in needed}, [node])
    lines = [forward_line(program, n) for n in names[:cut] if n]
    lines[-1] = replace(lines[-1], value=value)
    lines += [forward_line(late, n) for n in names[cut:] if n]
    arriving: float | None = None
    for a, b in itertools.pairwise(way):
        owner = late if way.index(b) <= way.index(node) else program
        line = backward_line(owner, a, b, arriving)
        lines.append(line)
        arriving = line.value
    return lines


def with_backward_fault(program: Program, way: Sequence[str], link: int, faulty: Line) -> list[Line]:
    """The calculation of someone who got one cotangent wrong and everything after that right."""
    lines = [line for line in derivation(program, way) if not line.back]
    arriving: float | None = None
    for number, (a, b) in enumerate(itertools.pairwise(way)):
        line = faulty if number == link else backward_line(program, a, b, arriving)
        lines.append(line)
        arriving = line.value
    return lines


@kind("wrong-line", "Find the wrong line", "Someone's calculation has one mistake in it; the rest follows from it.")
def wrong_line(draws: Draws, level: int) -> Draft:
    """Level 1: a backward line of a short chain; 2: any line; 3: a longer chain, and the right value."""
    form, way = draws.pick(_CHAINS[level])
    full = {
        "w": draws.sign() * draws.integer(1, 6) / 2,
        "x": float(draws.sign() * draws.integer(1, 4)),
        "b": float(draws.integer(-3, 3)),
        "v": draws.sign() * draws.integer(1, 4) / 2,
        "y": float(draws.integer(-3, 3)),
        "c": float(draws.integer(1, 3)),
    }
    names = parse(form).names
    program = Program(form, {n: full[n] for n in names}, ["w"])
    require("relu" not in form or abs(program.value("a")) > 0)
    clean = derivation(program, way)
    require(all(is_short(line.value) and line.value for line in clean))
    lines = _spoilt(program, way, draws, level)
    wrong = next(i for i, (a, b) in enumerate(zip(clean, lines, strict=True)) if abs(a.value - b.value) > 1e-9)
    require(all(is_short(line.value) for line in lines))
    return _lines_draft(program, clean, lines, wrong, level)


_CHAINS: dict[int, tuple[tuple[str, tuple[str, ...]], ...]] = {
    1: (
        ("z = w*x + b; L = (z - y)**2", ("L", "z", "w")),
        ("z = w*x; a = z**2; L = a*v", ("L", "a", "z", "w")),
        ("h = w*x; z = v*h; L = z**2", ("L", "z", "h", "w")),
    ),
    2: (
        ("z = w*x + b; a = relu(z); L = (a - y)**2", ("L", "a", "z", "w")),
        ("h = w*x + b; z = v*h; L = 0.5*(z - y)**2", ("L", "z", "h", "w")),
        ("z = w*x; a = z**2; L = (a - y)**2", ("L", "a", "z", "w")),
    ),
    3: (
        ("h = w*x + b; a = relu(h); z = v*a + c; L = (z - y)**2", ("L", "z", "a", "h", "w")),
        ("h = w*x + b; a = h**2; z = v*a; L = 0.5*(z - y)**2", ("L", "z", "a", "h", "w")),
        ("h = w*x; d = h - c; a = d**2; L = v*a", ("L", "a", "d", "h", "w")),
    ),
}


def _spoilt(program: Program, way: Sequence[str], draws: Draws, level: int) -> list[Line]:
    """The calculation with one computed mistake in it."""
    if level > 1 and draws.below(2):
        node = draws.pick(way[1:-1])
        values = _forward_faults(program, node)
        require(values)
        return with_forward_fault(program, way, node, draws.pick(values))
    link = draws.integer(0 if level > 1 else 1, len(way) - 2)
    good = backward_line(program, way[link], way[link + 1])
    local = program.local(way[link], way[link + 1])
    if link == 0:
        squared = "^" in program.forward_latex(program.output)
        value = draws.pick((-good.value, good.value / 2)) if squared else -good.value
        require(abs(value - good.value) > 1e-9)
        return with_backward_fault(program, way, link, replace(good, value=value))
    arriving = program.gradient(way[link])
    faults = [
        replace(good, sides=(*good.sides[:1], shown(local)), value=local),
        replace(good, sides=(*good.sides[:1], shown(arriving)), value=arriving),
        replace(good, sides=(*good.sides[:2], rf"{shown(arriving)} + {_times(local)}"), value=arriving + local),
        replace(good, value=-good.value),
    ]
    own = program.value(way[link + 1])
    if abs(own - local) > 1e-9:
        faults.append(replace(good, sides=(*good.sides[:2], _times(arriving, own)), value=arriving * own))
    faulty = draws.pick(faults)
    require(abs(faulty.value - good.value) > 1e-9)
    return with_backward_fault(program, way, link, faulty)


def _forward_faults(program: Program, node: str) -> list[float]:
    """Wrong values of a node as people get them: doubled for squared, added for multiplied, a summand lost."""
    statement = next(s for s in program.expression.statements if s.name == node)
    text = ast.unparse(statement.node)
    changed = {
        text.replace("** 2", "* 2"),
        re.sub(r"(?<!\*) \* (?!\*)", " + ", text),
        re.sub(r" \+ [bc]$", "", text),
        re.sub(r" \+ ([bc])$", r" - \1", text),
        text.replace(" - ", " + "),
    } - {text}
    found = []
    for one in sorted(changed):
        expression = parse(one)
        found.append(float(expression(*[program.value(n) for n in expression.names])))
    return [value for value in found if abs(value - program.value(node)) > 1e-9]


def _lines_draft(program: Program, clean: Sequence[Line], lines: Sequence[Line], wrong: int, level: int) -> Draft:
    names = [str(i + 1) for i in range(len(lines))]
    labels = [" ".join(f"${piece}$" for piece in pieces(line.latex())) for line in lines]
    options = tuple(Option(n, label) for n, label in zip(names, labels, strict=True))
    given = ", ".join(f"${identifier(n)} = {shown(program.value(n))}$" for n in program.expression.names)
    answers: dict[str, Any] = {"line": names[wrong]}
    fields = [Field("line", "The first wrong line:", "line", options)]
    mistakes = [
        Mistake("follows" if i > wrong else "is-right", {"line": names[i]}) for i in range(len(lines)) if i != wrong
    ]
    if level == 3:
        fields.append(Field("value", "The value that should stand there:"))
        answers["value"] = clean[wrong].value
        mistakes.insert(0, Mistake("value-as-printed", {"line": names[wrong], "value": lines[wrong].value}))
        mistakes.insert(1, Mistake("sign", {"line": names[wrong], "value": -clean[wrong].value}))
    target = program.names[program.explanation.record.wrt[0]]
    end = Hint(f"Up to line {wrong + 1}, the engine gets the same. There it gets:", clean[wrong].latex())
    return Draft(
        (
            say(
                f"Someone computed ${cotangent(program, target)}$ for {given}. One line is wrong; the lines after "
                f"it are "
                "computed rightly from what stands above them."
            ),
            say("Which is the first wrong line?" + (" And what should its value be?" if level == 3 else "")),
        ),
        tuple(fields),
        answers,
        mistakes,
        [
            Hint("Go line by line. Compute each from the lines it names, not from what you think they should be."),
            *(Hint(f"The engine's line {i + 1}:", clean[i].latex()) for i in range(wrong)),
            end,
        ],
    )


# ------------------------------------------------------------------------------------------------------- (m) diagnose

_CAUSES = (
    Option("weight", "its weight is too small"),
    Option("saturated", "its activation is saturated: nearly flat there"),
    Option("dead", "its ReLU is off: its slope is 0"),
)


@kind("diagnose", "Which layer starves?", "Read the factors of a deep net: where the gradient gets lost, and why.")
def diagnose(draws: Draws, level: int) -> Draft:
    """Level 1: which weight gets the smallest gradient; 2: which layer blocks it and why; 3: and how much is left."""
    return _starving(draws) if level == 1 else _blocked(draws, level)


def _net(draws: Draws, count: int, act: str, weights: Sequence[float], biases: Sequence[float]) -> Program:
    """A net of one neuron per layer; the last one is linear."""
    parts, before = [], "x"
    at = {"x": 1.0, "y": float(draws.pick((-2, 2, 3)))}
    for k in range(1, count + 1):
        parts.append(f"z{k} = w{k}*{before} + b{k}")
        at |= {f"w{k}": weights[k - 1], f"b{k}": biases[k - 1]}
        if k < count:
            parts.append(f"a{k} = {act}(z{k})")
            before = f"a{k}"
    parts.append(f"L = (z{count} - y)**2")
    return Program("; ".join(parts), at, [f"w{k}" for k in range(1, count + 1)], kinks=True)


def _ordinary(draws: Draws) -> float:
    return draws.sign() * draws.pick((0.8, 0.9, 1.1, 1.2, 1.5))


def _table(program: Program, count: int, inputs: bool = False) -> dict[str, Any]:
    rows = []
    for k in range(1, count + 1):
        slope = program.local(f"a{k}", f"z{k}") if k < count else 1.0
        row = [f"{k}", f"${shown(program.value(f'w{k}'))}$", f"${shown(program.value(f'z{k}'))}$", f"${shown(slope)}$"]
        if inputs:
            row.insert(1, f"${shown(program.value(f'a{k - 1}' if k > 1 else 'x'))}$")
        rows.append(row)
    head = ["layer $k$", "weight $w_k$", "$z_k$", r"slope $f'\left(z_k\right)$"]
    if inputs:
        head.insert(1, "input $a_{k-1}$")
    return table(head, rows, "The layers, from first to last")


def _intro(act: str, count: int) -> tuple[dict[str, Any], ...]:
    return (
        say(f"A net of {count} layers with one neuron each, $f = \\operatorname{{{act}}}$, the last layer linear:"),
        display(r"z_k = w_k \cdot a_{k-1} + b_k \quad a_k = f\left(z_k\right) \quad L = \left(z_n - y\right)^2"),
    )


def _layer_options(count: int) -> tuple[Option, ...]:
    return tuple(Option(str(k), f"layer {k}") for k in range(1, count + 1))


def _starving(draws: Draws) -> Draft:
    count, act = draws.pick((3, 4)), draws.pick(("sigmoid", "tanh", "sigmoid"))
    program = _net(
        draws,
        count,
        act,
        [_ordinary(draws) for _ in range(count)],
        [draws.sign() * draws.integer(0, 3) / 2 for _ in range(count)],
    )
    sizes = {str(k): abs(program.gradient(f"w{k}")) for k in range(1, count + 1)}
    ranked = sorted(sizes, key=lambda k: sizes[k])
    require(sizes[ranked[0]] < 0.5 * sizes[ranked[1]] and sizes[ranked[0]] > 0)
    rest = [k for k in sizes if k not in (ranked[0], ranked[-1])]
    wrong = [("largest-gradient", ranked[-1]), *(("late-layer" if k > ranked[0] else "other-layer", k) for k in rest)]
    return Draft(
        (
            *_intro(act, count),
            _table(program, count, inputs=True),
            say(r"Which layer's weight gets the smallest gradient, in size?"),
        ),
        (Field("layer", "The smallest gradient is in", "choice", _layer_options(count)),),
        {"layer": ranked[0]},
        [Mistake(name, {"layer": k}) for name, k in wrong],
        [
            Hint(
                "From the loss to a layer, every layer on the way gives two factors: its weight and its slope. At "
                "the layer "
                "itself: its slope, and its input."
            ),
            *(
                Hint(f"At layer {k}:", rf"\left|\frac{{\partial L}}{{\partial w_{k}}}\right| = {shown(sizes[str(k)])}")
                for k in range(count, 0, -1)
            ),
        ],
    )


def _blocked(draws: Draws, level: int) -> Draft:
    count = 4
    cause = draws.pick(("weight", "saturated", "dead"))
    act = (
        "relu"
        if cause == "dead"
        else draws.pick(("tanh", "sigmoid", "relu") if cause == "weight" else ("tanh", "sigmoid"))
    )
    culprit = draws.integer(2, 3) if cause == "weight" else draws.integer(1, 3)
    weights = [_ordinary(draws) for _ in range(count)]
    biases = [draws.integer(-1, 1) / 2 for _ in range(count)]
    if act == "sigmoid":
        weights = [2 * w for w in weights]
    if cause == "weight":
        weights[culprit - 1] = draws.sign() * draws.pick((0.01, 0.02, 0.03, 0.05))
    elif cause == "saturated":
        biases[culprit - 1] = draws.sign() * draws.pick((3.0, 3.5, 4.0) if act == "tanh" else (5.0, 6.0, 7.0))
    else:
        biases[culprit - 1] = -4.0
    program = _net(draws, count, act, weights, biases)
    slopes = [program.local(f"a{k}", f"z{k}") for k in range(1, count)] + [1.0]
    factors = {k: abs(weights[k - 1] * slopes[k - 1]) for k in range(1, count + 1)}
    others = [f for k, f in factors.items() if k != culprit]
    fair = 0.15 if act == "sigmoid" else 0.2
    require(min(others) > fair and factors[culprit] < 0.25 * min(others) and program.gradient(f"z{count}"))
    require(slopes[culprit - 1] > 0.2 if cause == "weight" else slopes[culprit - 1] < 0.03)
    left = program.gradient("z1") / program.gradient(f"z{count}")
    return _blocked_draft(program, act, culprit, cause, weights, slopes, left if level == 3 else None)


def _blocked_draft(
    program: Program,
    act: str,
    culprit: int,
    cause: str,
    weights: Sequence[float],
    slopes: Sequence[float],
    left: float | None,
) -> Draft:
    count = len(weights)
    c = str(culprit)
    answers: dict[str, Any] = {"layer": c, "cause": cause}
    fields = [
        Field("layer", "The gradient gets lost in", "choice", _layer_options(count)),
        Field("cause", "because", "choice", _CAUSES),
    ]
    wrong = [Mistake("other-layer", {"layer": str(k)}) for k in range(1, count + 1) if k != culprit]
    blame = {"weight": ("saturated", "dead"), "saturated": ("dead", "weight"), "dead": ("saturated", "weight")}[cause]
    for other in blame:
        name = {"weight": "blamed-slope", "saturated": "blamed-weight", "dead": "blamed-weight"}[cause]
        wrong.append(Mistake(name if "weight" in (other, cause) else "dead-or-saturated", {"layer": c, "cause": other}))
    question = "In which layer does the gradient get lost on its way back, and why?"
    passed = rf"\frac{{\partial z_{count}}}{{\partial z_1}}"
    if left is not None:
        question += f" And how much of what arrives at $z_{count}$ is left at $z_1$: what is ${passed}$?"
        fields.append(Field("left", f"${passed} =$", digits=2))
        answers["left"] = left
        both = {"layer": c, "cause": cause}
        # z1 to z_count: the slopes of layers 1 to count - 1, the weights of layers 2 to count
        steps = [(weights[k], slopes[k - 1]) for k in range(1, count)]
        numbers = [w * s for w, s in steps]
        wrong += [
            Mistake("one-factor", {**both, "left": min(numbers, key=abs)}),
            Mistake("added-factors", {**both, "left": sum(numbers)}),
            Mistake("slopes-only", {**both, "left": math.prod(s for _, s in steps)}),
            Mistake("sign", {**both, "left": -left}),
        ]
    steps_told = [
        Hint(
            f"From layer {k} to layer {k - 1}:",
            rf"\frac{{\partial z_{k}}}{{\partial z_{k - 1}}} = w_{k} \cdot "
            rf"f'\left(z_{k - 1}\right) = {_times(weights[k - 1], slopes[k - 2])} = "
            rf"{shown(weights[k - 1] * slopes[k - 2])}",
        )
        for k in range(count, 1, -1)
    ]
    if left is not None:
        steps_told.append(Hint("All of them multiplied:", rf"{passed} = {shown(left)}"))
    return Draft(
        (*_intro(act, count), _table(program, count), say(question)),
        tuple(fields),
        answers,
        wrong,
        [
            Hint(
                "Each layer multiplies the gradient by its weight and by its slope. Look for a factor near 0, and "
                "which of the "
                "two it is."
            ),
            *steps_told,
        ],
    )
