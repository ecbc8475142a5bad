"""Exercises at kinks and on directions: (h) ReLU and max at and around 0, (l) which way a weight must move."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.play.practice.draws import Draws
from chainrule.play.practice.exercise import Draft, Field, Hint, Mistake, Option, display, kind, say, table
from chainrule.play.practice.functions import shown_name, typeset
from chainrule.play.practice.graphs import all_short, cotangent
from chainrule.play.practice.program import Program, is_short, require, shown

# ------------------------------------------------------------------------------------------------------ (h) at the kink


@kind("kink", "ReLU and max", "On, off, and exactly at the kink.")
def kink(draws: Draws, level: int) -> Draft:
    """Level 1: one gate, open or shut; 2: the two slopes at a kink, and the engine's; 3: a batch through a ReLU."""
    return (_gate, _both_sides, _batch)[level - 1](draws)


def _gate(draws: Draws) -> Draft:
    k = draws.sign() * draws.integer(2, 5)
    at = {
        "w": draws.sign() * draws.integer(1, 6) / 2,
        "x": float(draws.sign() * draws.integer(1, 4)),
        "b": float(draws.integer(-3, 3)),
    }
    if draws.below(3):
        program = Program(f"z = w*x + b; a = relu(z); L = {k}*a", at, ["w"])
        z = program.value("z")
        require(abs(z) >= 0.5)
        right = program.gradient("w")
        wrong = [
            ("ignored-gate", k * at["x"]),
            ("closed-gate", 0.0),
            *([("forgot-arriving", at["x"])] if z > 0 else []),
            ("not-differentiated", program.value("L")),
            ("sign", -right),
        ]
    else:
        program = Program(f"p = w*x; m = max(p, b); L = {k}*m", at, ["w", "b"])
        require(abs(program.value("p") - at["b"]) >= 0.5 and at["b"])
        right, other = program.gradient("w"), k * at["x"]
        wrong = [
            ("wrong-branch", 0.0 if right else other),
            *([("forgot-arriving", at["x"])] if right else []),
            ("sign", -right),
            ("not-differentiated", program.value("L")),
        ]
    all_short(program, right)
    asked = cotangent(program, "w")
    return Draft(
        (
            say("The forward pass is done."),
            display(program.definition()),
            program.graph(asked="w"),
            say(f"What is ${asked}$?"),
        ),
        (Field("gradient", f"${asked} =$"),),
        {"gradient": float(right)},
        [Mistake(name, {"gradient": float(value)}) for name, value in wrong],
        [
            Hint("Look which side of its kink the value is on: that decides whether anything passes."),
            *program.hints("w"),
        ],
    )


def _both_sides(draws: Draws) -> Draft:
    k, c = draws.integer(2, 6), draws.integer(1, 5)
    s = draws.sign()
    text, where = draws.pick(
        (
            (f"{k}*relu(x)", 0.0),
            (f"relu(x) + {k}*x", 0.0),
            (f"relu({k}*x)", 0.0),
            (f"{k}*abs(x)", 0.0),
            (f"max({k}*x, {k + c}*x)", 0.0),
            (f"relu(x - {c})", float(c)),
            (f"{k}*relu(x - {c}) - x", float(c)),
            (f"abs(x - {c}) + {k}*x", float(c)),
            (f"{k}*relu({c} - x)", float(c)),
            (f"max(x, {c})", float(c)),
            (f"{k}*x - relu(x)", 0.0),
            (f"max({-s * k}*x, {s * c}*x)", 0.0),
            (f"{k}*max(x - {c}, 0)", float(c)),
        )
    )
    at_kink = Program(f"y = {text}", {"x": where}, kinks=True)
    left, right = (float(Program(f"y = {text}", {"x": where + h}).gradient("x")) for h in (-0.5, 0.5))
    here = float(at_kink.gradient("x"))
    require(left != right and is_short([left, right, here]))
    mean = (left + right) / 2
    convention = (
        "This engine takes the derivative of ReLU at 0 as 0, and that of |·| at 0 as 0; at a tie, max gives each "
        "of the two half."
    )
    fields = (
        Field("left", f"Slope on the left of ${shown(where)}$:"),
        Field("right", "Slope on the right:"),
        Field("here", "What the engine returns at the kink:"),
    )
    return Draft(
        (
            say(f"The function $f\\left(x\\right) = {typeset(text)}$ has a kink at $x = {shown(where)}$."),
            say(convention),
            say(
                f"What are its slopes just left and just right of there, and what does the engine return at "
                f"${shown(where)}$?"
            ),
        ),
        fields,
        {"left": left, "right": right, "here": here},
        [
            Mistake("sides-swapped", {"left": right, "right": left}),
            Mistake("smooth-at-kink", {"left": mean, "right": mean}),
            Mistake("smooth-at-kink", {"left": right, "right": right}),
            Mistake("smooth-at-kink", {"left": left, "right": left}),
            *(
                Mistake("at-the-kink", {"left": left, "right": right, "here": value}, _at_kink(text))
                for value in (left, right, mean, 0.0)
            ),
        ],
        [
            Hint(
                "Put in a number a little to the left: which parts are on? That part is a straight line; its slope is "
                "the answer on that side. Then the same on the right."
            ),
            Hint(f"For the third: each ReLU or max on its own, at ${shown(where)}$."),
            *at_kink.hints("x")[-2:],
        ],
    )


def _at_kink(text: str) -> str:
    if "max" in text:
        return "At the tie, max gives each argument half of what arrives."
    name = "ReLU" if "relu" in text else "the absolute value"
    return f"At 0 the engine's derivative of {name} is 0; what stands beside it counts as usual."


def _batch(draws: Draws) -> Draft:
    count = 3
    w, b = draws.sign() * draws.integer(1, 4) / 2, float(draws.integer(-3, 3))
    xs = [float(draws.sign() * draws.integer(1, 6)) for _ in range(count)]
    require(len(set(xs)) == count)
    text = "; ".join([f"z{i + 1} = w*x{i + 1} + b; a{i + 1} = relu(z{i + 1})" for i in range(count)])
    program = Program(
        f"{text}; L = a1 + a2 + a3", {"w": w, "b": b, **{f"x{i + 1}": x for i, x in enumerate(xs)}}, ["w", "b"]
    )
    zs = [program.value(f"z{i + 1}") for i in range(count)]
    on = [z > 0 for z in zs]
    require(any(on) and not all(on) and all(abs(z) >= 0.5 for z in zs))
    by = draws.pick(("w", "w", "b"))
    right = program.gradient(by)
    require(right)
    all_short(program, right)
    wrong = {
        "w": [
            ("counted-all", sum(xs)),
            ("counted-off", sum(x for x, o in zip(xs, on, strict=True) if not o)),
            ("forgot-input", float(sum(on))),
            ("not-differentiated", program.value("L")),
            ("sign", -right),
        ],
        "b": [
            ("counted-all", float(count)),
            ("counted-off", float(count - sum(on))),
            ("forgot-input", program.gradient("w")),
            ("not-differentiated", program.value("L")),
        ],
    }[by]
    rows = [[f"{i + 1}", f"${shown(x)}$", f"${shown(z)}$"] for i, (x, z) in enumerate(zip(xs, zs, strict=True))]
    asked = cotangent(program, by)
    return Draft(
        (
            say(f"Three examples go through the same neuron, $w = {shown(w)}$, $b = {shown(b)}$:"),
            display(r"z_i = w \cdot x_i + b \quad a_i = \operatorname{relu}\left(z_i\right) \quad L = a_1 + a_2 + a_3"),
            table(("example", "$x_i$", "$z_i$"), rows, "The examples"),
            say(f"What is ${asked}$?"),
        ),
        (Field("gradient", f"${asked} =$"),),
        {"gradient": float(right)},
        [Mistake(name, {"gradient": float(value)}) for name, value in wrong],
        [
            Hint("Each example sends something back only if its ReLU is on. Add up what the examples send."),
            *program.hints(by),
        ],
    )


# ------------------------------------------------------------------------------------------------------ (l) which way

UP, DOWN, STAY = "up", "down", "stay"
_WAYS = (Option(UP, "up: it rises"), Option(DOWN, "down: it falls"), Option(STAY, "neither: it stays"))


@kind("direction", "Which way?", "Predict which way a step of gradient descent moves a weight, and how far.")
def direction(draws: Draws, level: int) -> Draft:
    """Level 1: a linear neuron; 2: with a ReLU and a second layer; 3: the step itself, with the learning rate."""
    forms: Sequence[str]
    if level == 1:
        forms = ("z = w*x + b; L = (z - y)**2", "z = w*x; L = 0.5*(z - y)**2", "d = y - w; L = d**2")
    else:
        forms = (
            "h = w*x + b; a = relu(h); z = v*a; L = (z - y)**2",
            "h = w*x + b; a = relu(h); L = (a - y)**2",
            "h = w*x; z = v*h; L = 0.5*(z - y)**2",
            "h = w**2; z = h*x; L = (z - y)**2",
        )
    form = draws.pick(forms)
    full = {
        "w": draws.sign() * draws.integer(1, 4) / 2,
        "x": draws.sign() * draws.integer(1, 4),
        "b": draws.integer(-3, 3),
        "v": draws.sign() * draws.integer(1, 4) / 2,
        "y": draws.integer(-4, 4),
    }
    at = {n: float(v) for n, v in full.items() if any(n in part for part in form.replace("relu", "").split(";"))}
    program = Program(form, at, ["w"])
    require("relu" not in form or abs(program.value("h")) >= 0.5)
    gradient = program.gradient("w")
    all_short(program, gradient)
    require(gradient != 0 or (level < 3 and not draws.below(4)))
    return _direction_draft(program, gradient, draws) if level < 3 else _step_draft(program, gradient, draws)


def _way(gradient: float) -> str:
    return DOWN if gradient > 0 else UP if gradient < 0 else STAY


def _direction_draft(program: Program, gradient: float, draws: Draws) -> Draft:
    right = _way(gradient)
    opposite = {UP: DOWN, DOWN: UP}
    if right == STAY:
        wrong = [("moves-though-flat", UP), ("moves-though-flat", DOWN)]
    else:
        wrong = [("up-the-slope", opposite[right]), ("stays-though-steep", STAY)]
    return Draft(
        (
            say("The forward pass is done."),
            display(program.definition()),
            program.graph(),
            say("Gradient descent takes one step to lower $L$. Which way does it move $w$? (The signs are enough.)"),
        ),
        (Field("way", "The step moves $w$", "choice", _WAYS),),
        {"way": right},
        [Mistake(name, {"way": way}) for name, way in wrong],
        [
            Hint("Go back from the loss and keep only the signs: plus or minus, or 0 where something is shut."),
            *program.hints("w"),
            Hint("The step goes against the gradient:", r"w \gets w - \alpha \cdot \frac{\partial L}{\partial w}"),
        ],
    )


def _step_draft(program: Program, gradient: float, draws: Draws) -> Draft:
    rate = draws.pick((0.1, 0.01, 0.5, 0.05))
    w = program.value("w")
    right = w - rate * gradient
    require(is_short(right) and abs(right) < 20)
    way, opposite = _way(gradient), {UP: DOWN, DOWN: UP, STAY: STAY}[_way(gradient)]
    field = Field("after", r"$w$ after the step:")
    return Draft(
        (
            say(f"The forward pass is done. The learning rate is $\\alpha = {shown(rate)}$."),
            display(program.definition()),
            program.graph(asked="w"),
            say(f"Gradient descent takes one step. Which way does ${shown_name('w')}$ go, and what is it afterwards?"),
        ),
        (Field("way", "The step moves $w$", "choice", _WAYS), field),
        {"way": way, "after": right},
        [
            Mistake("up-the-slope", {"way": opposite}),
            Mistake("stays-though-steep", {"way": STAY}),
            Mistake("sign", {"way": way, "after": w + rate * gradient}),
            Mistake("forgot-rate", {"after": w - gradient}),
            Mistake("gradient-as-value", {"after": -rate * gradient}),
            Mistake("gradient-as-value", {"after": rate * gradient}),
            Mistake("gave-gradient", {"after": gradient}),
        ],
        [
            Hint("First the gradient, back from the loss. Then one step against it, times the learning rate."),
            *program.hints("w"),
            Hint("The update:", r"w \gets w - \alpha \cdot \frac{\partial L}{\partial w}"),
        ],
    )
