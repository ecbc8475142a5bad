"""Exercises on functions: (a) inner or outer, (b) the derivative of one node, (d) the product along a path."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

from chainrule.explain.formula import number_text
from chainrule.play.practice import reading
from chainrule.play.practice.draws import Draws
from chainrule.play.practice.equality import derivative, of_text
from chainrule.play.practice.exercise import Draft, Field, Hint, Mistake, Option, display, kind, say
from chainrule.play.practice.grading import Order
from chainrule.play.practice.program import Program, is_short, require, shown


def put(text: str, letter: str, inner: str) -> str:
    """``text`` with ``inner`` in the place of a letter."""
    return re.sub(rf"\b{letter}\b", inner if re.fullmatch(r"\w+", inner) else f"({inner})", text)


def typeset(text: str, letters: Sequence[str] = ("x", "u", "v", "w")) -> str:
    """A typed formula as LaTeX."""
    return reading.latex(reading.expression(text, letters))


def linear(a: float, b: float, letter: str = "x") -> str:
    """``3*x + 1``, ``x - 2``, ``-x``."""
    head = {1: letter, -1: f"-{letter}"}.get(int(a) if float(a).is_integer() else 0, f"{number_text(a)}*{letter}")
    if not b:
        return head
    return f"{head} {'+' if b > 0 else '-'} {number_text(abs(b))}"


def bracketed(text: str) -> str:
    """``text`` in brackets where it is a sum, so that it can be a factor."""
    parsed = reading.expression(text, ("x", "u", "v", "w")).statements[0].node
    loose = isinstance(parsed, ast.BinOp) and isinstance(parsed.op, (ast.Add, ast.Sub))
    return f"({text})" if loose or text.startswith("-") else text


def slope_text(text: str, by: str, at: float = 0.7) -> str:
    """The derivative of a formula of one letter, by the engine, as one would type it."""
    return Program(f"y = {text}", {by: at}).gradient_text(by)


def simple_inner(draws: Draws, positive: bool = False) -> str:
    """An inner function of x; ``positive``: above 0 everywhere."""
    a, b = draws.integer(2, 5), draws.integer(1, 6)
    if positive:
        return draws.pick([f"{a}*x**2 + {b}", f"x**2 + {b}", f"x**4 + {b}"])
    return draws.pick([linear(a, draws.sign() * b), f"{a}*x**2 + {b}", f"x**2 - {a}*x", f"x**3 + {b}", f"{a}*x**3 - x"])


OUTER = ("sin(u)", "cos(u)", "exp(u)", "u**2", "u**3", "u**4", "tanh(u)", "log(u)", "sqrt(u)")
_NEEDS_POSITIVE = ("log(u)", "sqrt(u)")

NAMED = {
    "sin(u)": "take the sine",
    "cos(u)": "take the cosine",
    "exp(u)": "take the exponential",
    "u**2": "square it",
    "u**3": "raise it to the third power",
    "tanh(u)": "take tanh",
    "sqrt(u)": "take the square root",
    "log(u)": "take the logarithm",
}


# ------------------------------------------------------------------------------------------------ (a) inner or outer?


@kind("structure", "Inner or outer?", "See what is taken of what, before differentiating anything.")
def structure(draws: Draws, level: int) -> Draft:
    """Level 1: which is the inner function; 2: the outer one as a formula of u; 3: all layers in order."""
    return (_which_is_inner, _outer_of_u, _layers)[level - 1](draws)


def _which_is_inner(draws: Draws) -> Draft:
    outer = draws.pick(OUTER)
    inner = simple_inner(draws, outer in _NEEDS_POSITIVE)
    whole = put(outer, "u", inner)
    program = Program(f"u = {inner}; y = {outer}", {"x": 0.7})
    candidates = {
        "inner": inner,
        "outer": put(outer, "u", "x"),
        "whole": whole,
        "slope": slope_text(inner, "x"),
    }
    require(len(set(candidates.values())) == 4)
    order = draws.shuffled(list(candidates))
    names = {key: chr(ord("A") + i) for i, key in enumerate(order)}
    field = Field(
        "inner",
        "The inner function is",
        "choice",
        tuple(Option(names[key], f"${typeset(candidates[key])}$") for key in order),
    )
    wrong = (("outer", "took-outer"), ("whole", "took-whole"), ("slope", "took-derivative"))
    return Draft(
        (
            say(
                f"Read $f\\left(x\\right) = {typeset(whole)}$ as one function taken of another: the outermost step "
                f"comes "
                "last. Which is the inner function?"
            ),
        ),
        (field,),
        {"inner": names["inner"]},
        [Mistake(name, {"inner": names[key]}) for key, name in wrong],
        [
            Hint("To compute f at some x, what is computed first? What is done to it last is the outer function."),
            Hint("With a name for what is inside, the last step is", program.forward_latex("y")),
        ],
    )


def _outer_of_u(draws: Draws) -> Draft:
    middle = draws.pick(("sin(u)", "cos(u)", "exp(u)", "tanh(u)", "sqrt(u)", "log(u)"))
    inner = simple_inner(draws, middle in _NEEDS_POSITIVE)
    scale, power, shift = draws.integer(2, 5), draws.pick((1, 2, 3)), draws.sign() * draws.integer(1, 5)
    last = linear(scale, shift, "v" if power == 1 else f"v**{power}")
    outer = put(last, "v", middle)
    whole = put(outer, "u", inner)
    program = Program(f"u = {inner}; v = {middle}; y = {last}", {"x": 0.7})
    letters = ("u",)
    positive = letters if middle in _NEEDS_POSITIVE else ()
    field = Field("outer", "As a formula of $u$, $f =$", "expression", letters=letters, positive=positive)
    return Draft(
        (
            say(f"Let $f\\left(x\\right) = {typeset(whole)}$ and call the inner function $u = {typeset(inner)}$."),
            say("Write the outer function: what is $f$ as a formula of $u$ alone?"),
        ),
        (field,),
        {"outer": of_text(outer)},
        [
            Mistake("skipped-layer", {"outer": of_text(put(last, "v", "u"))}),
            Mistake("skipped-layer", {"outer": of_text(middle)}),
            Mistake("took-derivative", {"outer": of_text(slope_text(outer, "u"))}),
        ],
        [
            Hint("Cover the inner function with your thumb and read what is left; the thumb is u."),
            Hint("One layer around it:", program.forward_latex("v")),
            Hint("And around that:", program.forward_latex("y")),
        ],
    )


def _layers(draws: Draws) -> Draft:
    a, b = draws.integer(2, 5), draws.integer(1, 5)
    layers = draws.some(("sin(u)", "exp(u)", "tanh(u)", "u**2", "u**3", "cos(u)"), draws.pick((2, 3)))
    require(not (layers[0] == "exp(u)" and "exp(u)" in layers[1:]) and not ({"u**2", "u**3"} <= set(layers)))
    steps = [(f"{a}*u", f"multiply by {a}"), (f"u + {b}", f"add {b}"), *((f, NAMED[f]) for f in layers)]
    whole = "x"
    for text, _ in steps:
        whole = put(text, "u", whole)
    whole = whole.replace(f"({a}*x)", f"{a}*x")
    names = [chr(ord("A") + i) for i in range(len(steps))]
    order = draws.shuffled(range(len(steps)))
    place = {step: names[i] for i, step in enumerate(order)}
    options = tuple(Option(names[i], steps[step][1]) for i, step in enumerate(order))
    right = tuple(place[i] for i in range(len(steps)))
    waits = {right[i]: (right[i - 1],) for i in range(1, len(right))}
    written = sorted(range(len(steps)), key=lambda i: _written_at(whole, steps[i][0], i))
    program = Program(
        "; ".join(f"v{i + 1} = {put(t, 'u', f'v{i}' if i else 'x')}" for i, (t, _) in enumerate(steps)), {"x": 0.3}
    )
    return Draft(
        (
            say(f"Here is $f\\left(x\\right) = {typeset(whole)}$."),
            say(
                "Someone computes it at some $x$, one step at a time. Put the steps in the order in which they are "
                "done: "
                "innermost first."
            ),
        ),
        (Field("order", "From the inside out:", "ordering", options),),
        {"order": Order(right, waits)},
        [
            Mistake("from-outside", {"order": tuple(reversed(right))}),
            Mistake("as-written", {"order": tuple(place[i] for i in written)}),
        ],
        [
            Hint("Start at x and ask each time: what is done next to what I have?"),
            *(Hint(f"Step {i + 1}:", program.forward_latex(f"v{i + 1}")) for i in range(len(steps) - 1)),
        ],
    )


def _written_at(whole: str, text: str, number: int) -> tuple[int, int]:
    """Where a step stands in the written formula, from left to right."""
    sign = text.partition("(")[0] + "(" if "(" in text else text.replace("u", "").strip()
    return whole.find(sign), number


# ------------------------------------------------------------------------------------------------- (b) one local slope


@kind("local", "The derivative of one node", "How much one step's result moves when one of its inputs does.")
def local(draws: Draws, level: int) -> Draft:
    """Level 1: simple nodes with numbers; 2: a function's derivative as a formula; 3: from what came out; quotients."""
    return (_simple_node, _unary_formula, _harder_node)[level - 1](draws)


def _number_draft(
    program: Program,
    of: str,
    by: str,
    mistakes: Sequence[tuple[str, float]],
    hints: Sequence[Hint] = (),
    intro: str = "",
    shows: Sequence[str] | None = None,
) -> Draft:
    """The question for ∂of/∂by as a number."""
    step = program.step(of, by)
    assert step.local is not None
    right = program.local(of, by)
    require(is_short(right))
    given = ", ".join(f"${shown_name(n)} = {shown(program.value(n))}$" for n in program.expression.names)
    return Draft(
        (
            say(intro or f"One node computes $ {program.forward_latex(of)}$, here at {given}."),
            program.graph(values=shows, asked_edge=(of, by)),
            say(f"What is the local derivative ${step.local.symbol}$ there?"),
        ),
        (Field("slope", f"${step.local.symbol} =$"),),
        {"slope": right},
        [Mistake(name, {"slope": float(value)}) for name, value in mistakes],
        [
            *(
                hints
                or [
                    Hint(
                        f"Move ${shown_name(by)}$ a little and hold the rest still: "
                        f"how many times as much does ${shown_name(of)}$ move?"
                    )
                ]
            ),
            Hint("The rule:", f"{step.local.symbol} = {step.local.rule}"),
        ],
    )


def shown_name(name: str) -> str:
    """A variable's name as LaTeX."""
    from chainrule.explain.names import identifier

    return identifier(name)


def _simple_node(draws: Draws) -> Draft:
    u, v = draws.sign() * draws.integer(2, 9) / draws.pick((1, 2)), draws.sign() * draws.integer(2, 9)
    k = draws.integer(2, 6)
    case = draws.below(6)
    if case == 0:
        p = Program("z = w*x", {"w": u, "x": v})
        by, other = draws.pick((("w", "x"), ("x", "w")))
        return _number_draft(
            p, "z", by, [("own-factor", p.value(by)), ("not-differentiated", p.value("z")), ("sign", -p.value(other))]
        )
    if case == 1:
        p = Program("z = u - v", {"u": u, "v": float(v)})
        return _number_draft(p, "z", "v", [("sign", 1.0), ("not-differentiated", p.value("z")), ("own-factor", u)])
    if case == 2:
        n = draws.pick((2, 3))
        base = float(draws.sign() * draws.integer(2, 5))
        p = Program(f"z = u**{n}", {"u": base})
        g = p.local("z", "u")
        return _number_draft(
            p,
            "z",
            "u",
            [
                ("power-not-lowered", g * base),
                ("exponent-forgotten", g / n),
                ("not-differentiated", p.value("z")),
                ("sign", -g),
            ],
        )
    if case == 3:
        p = Program(f"z = {k}*u**2", {"u": float(v)})
        g = p.local("z", "u")
        return _number_draft(
            p,
            "z",
            "u",
            [
                ("power-not-lowered", g * v),
                ("exponent-forgotten", g / 2),
                ("exponent-forgotten", g / k),
                ("not-differentiated", p.value("z")),
            ],
        )
    if case == 4:
        p = Program(f"z = {k}*u + v", {"u": u, "v": float(v)})
        return _number_draft(
            p, "z", "u", [("not-differentiated", p.value("z")), ("own-factor", u), ("exponent-forgotten", 1.0)]
        )
    p = Program("a = relu(z)", {"z": u})
    on = p.value("z") > 0
    wrong = [("closed-gate", 0.0)] if on else [("ignored-gate", 1.0)]
    return _number_draft(p, "a", "z", [*wrong, ("y-for-z", u), ("not-differentiated", p.value("a"))])


def _unary_formula(draws: Draws) -> Draft:
    k, n = draws.integer(2, 6), draws.integer(3, 6)
    text = draws.pick(
        (
            f"{k}*u**{n}",
            f"u**{n}",
            "sin(u)",
            "cos(u)",
            f"exp({k}*u)",
            "tanh(u)",
            "sigmoid(u)",
            "log(u)",
            "sqrt(u)",
            "1/u",
            f"{k}*sin(u)",
            f"{k}/u**2",
            f"u**2 + {k}*u",
            f"u**{n} - {k}*u",
        )
    )
    program = Program(f"a = {text}", {"u": 0.7})
    slope = program.gradient_text("u")
    wrong: list[tuple[str, str]] = [("sign", f"-({slope})"), ("not-differentiated", text)]
    power = re.fullmatch(r"(?:\d\*)?u\*\*(\d)", text)
    if power:
        wrong[:0] = [("power-not-lowered", f"({slope})*u"), ("exponent-forgotten", f"({slope})/{power.group(1)}")]
    if text in ("tanh(u)", "sigmoid(u)"):
        wrong.insert(0, ("y-for-z", "1 - u**2" if text == "tanh(u)" else "u*(1 - u)"))
    if text.startswith("exp"):
        wrong.insert(0, ("forgot-inner", text))
    positive = ("u",) if "log" in text or "sqrt" in text else ()
    field = Field("slope", r"$\frac{\partial a}{\partial u} =$", "expression", letters=("u",), positive=positive)
    aside = " Here $\\operatorname{sigmoid}\\left(u\\right) = \\frac{1}{1 + e^{-u}}$." if "sigmoid" in text else ""
    return Draft(
        (
            say(f"A node computes $a = {typeset(text)}$.{aside}"),
            say("What is its local derivative $\\frac{\\partial a}{\\partial u}$, as a formula of $u$?"),
        ),
        (field,),
        {"slope": derivative(text, "u", slope)},
        [Mistake(name, {"slope": of_text(found)}) for name, found in wrong],
        [
            Hint(
                "Which rule fits the outermost operation: power, product, sum, or a function with a known derivative?"
            ),
            Hint("The engine's rule for this node:", program.hints("u", numbers=False)[-1].latex),
        ],
    )


def _harder_node(draws: Draws) -> Draft:
    u, v = draws.integer(1, 9), draws.pick((2, 4, 5))
    case = draws.below(4)
    if case < 2:
        name = ("tanh", "sigmoid")[case]
        out = draws.pick((-0.8, -0.6, 0.2, 0.5, 0.6, 0.8) if name == "tanh" else (0.1, 0.2, 0.4, 0.6, 0.8, 0.9))
        z = math.atanh(out) if name == "tanh" else math.log(out / (1 - out))
        p = Program(f"a = {name}(z)", {"z": z})
        wrong = 1 - z * z if name == "tanh" else z * (1 - z)
        forgot = p.value("a") * (1 - z) if name == "sigmoid" else 1 - p.value("a")
        rule = "1 - a^{2}" if name == "tanh" else r"a \cdot \left(1 - a\right)"
        intro = (
            f"A neuron's activation is $a = \\operatorname{{{name}}}\\left(z\\right)$. The forward pass had "
            f"$z = {shown(z)}$ and gave $a = {shown(round(p.value('a'), 10))}$. "
            f"For this function the derivative can be had from the output alone."
        )
        return _number_draft(
            p,
            "a",
            "z",
            [
                ("y-for-z", round(wrong, 4)),
                ("y-for-z" if name == "sigmoid" else "forgot-output-squared", round(forgot, 4)),
                ("not-differentiated", p.value("a")),
                ("sign", -p.local("a", "z")),
            ],
            [
                Hint(
                    "Write the derivative with the output a in place of the input z:",
                    rf"\frac{{\partial a}}{{\partial z}} = {rule}",
                )
            ],
            intro,
        )
    if case == 2:
        p = Program("z = u/v", {"u": float(u), "v": float(draws.sign() * v)})
        g = p.local("z", "v")
        return _number_draft(
            p,
            "z",
            "v",
            [
                ("sign", -g),
                ("forgot-square", g * p.value("v")),
                ("not-differentiated", p.value("z")),
                ("own-factor", 1 / p.value("v")),
            ],
        )
    p = Program("z = u**2*v", {"u": float(draws.sign() * draws.integer(2, 5)), "v": float(draws.sign() * v)})
    by = draws.pick(("u", "v"))
    g = p.local("z", by)
    wrong_u = [
        ("exponent-forgotten", g / 2),
        ("power-not-lowered", g * p.value("u")),
        ("own-factor", p.value("u") ** 2),
    ]
    wrong_v = [
        ("own-factor", p.value("v")),
        ("exponent-forgotten", p.value("u")),
        ("power-not-lowered", g * p.value("v")),
    ]
    return _number_draft(p, "z", by, [*(wrong_u if by == "u" else wrong_v), ("not-differentiated", p.value("z"))])


# ------------------------------------------------------------------------------------------------ (d) a whole path


@kind("path", "A whole path", "Multiply the local derivatives along the way from the loss to the input.")
def path(draws: Draws, level: int) -> Draft:
    """Level 1: two links; 2: a neuron with its loss; 3: the derivative of a composition as a formula."""
    return (_two_links, _neuron, _composition)[level - 1](draws)


def path_draft(program: Program, by: str, extra: Sequence[tuple[str, float]] = ()) -> Draft:
    """The question for ∂L/∂by over the only path, with the mistakes computed from its factors."""
    require(len(program.paths(by)) == 1)
    factors = [(latex, value) for latex, value in program.paths(by)[0] if latex != ""]
    numbers = [value for _, value in factors]
    right = program.gradient(by)
    require(right != 0 and is_short(right) and all(is_short(program.value(n)) for n in program.lines))
    wrong: list[tuple[str, float, str]] = [(name, value, "") for name, value in extra]
    for i, (latex, value) in enumerate(factors):
        name = "forgot-inner" if i == len(factors) - 1 and len(factors) == 2 else "forgot-factor"
        if value != 1:
            wrong.append((name, right / value, f"Left out: ${latex} = {shown(value)}$."))
    wrong += [
        ("sum-for-product", sum(numbers), ""),
        ("sign", -right, ""),
        ("not-differentiated", program.value(program.output), ""),
    ]
    symbol = rf"\frac{{\partial {shown_name(program.output)}}}{{\partial {shown_name(by)}}}"
    return Draft(
        (
            say("The forward pass is done; its values stand in the graph."),
            display(program.definition()),
            program.graph(asked=by),
            say(f"What is ${symbol}$?"),
        ),
        (Field("gradient", f"${symbol} =$"),),
        {"gradient": right},
        [Mistake(name, {"gradient": float(value)}, detail) for name, value, detail in wrong],
        [
            Hint("Go from the result back to the input. Each link gives one factor; multiply them all."),
            *program.hints(by),
        ],
    )


def _two_links(draws: Draws) -> Draft:
    a, b, x = draws.integer(2, 5), draws.sign() * draws.integer(1, 6), draws.sign() * draws.integer(1, 4)
    n = draws.pick((2, 2, 3))
    inner = draws.pick((linear(a, b), f"x**2 + {abs(b)}", f"{a}*x**2"))
    program = Program(f"u = {inner}; y = u**{n}", {"x": float(x)})
    outer_at_x = n * float(x) ** (n - 1) * program.local("u", "x")
    return path_draft(program, "x", [("at-x", outer_at_x)])


def _neuron(draws: Draws) -> Draft:
    form = draws.pick(
        (
            "z = w*x + b; a = relu(z); L = (a - y)**2",
            "z = w*x + b; a = z**2; L = 0.5*(a - y)**2",
            "z = w*x; h = z + b; L = (h - y)**2",
            "h = w*x; z = v*h; L = 0.5*(z - y)**2",
        )
    )
    at = {
        "w": draws.sign() * draws.integer(1, 6) / 2,
        "x": float(draws.sign() * draws.integer(1, 4)),
        "b": float(draws.integer(-2, 2)),
        "y": float(draws.integer(-3, 3)),
        "v": draws.integer(1, 6) / 2,
    }
    expression_names = [n for n in at if re.search(rf"\b{n}\b", form)]
    program = Program(form, {n: at[n] for n in expression_names}, wrt=["w"])
    require("relu" not in form or program.value("z") > 0)
    return path_draft(program, "w")


def _composition(draws: Draws) -> Draft:
    outer = draws.pick(OUTER)
    inner = simple_inner(draws, outer in _NEEDS_POSITIVE)
    if draws.below(2) and outer not in _NEEDS_POSITIVE:
        middle = draws.pick(("sin(v)", "exp(v)", "v**2", "v**3"))
        require(not ("exp" in outer and "exp" in middle) and not ("**" in outer and "**" in middle))
        text = put(outer, "u", put(middle, "v", inner))
        program = Program(f"v = {inner}; u = {middle}; y = {outer}", {"x": 0.7})
        link = put(slope_text(middle, "v"), "v", inner)
        inside = put(middle, "v", inner)
    else:
        text, link, inside = put(outer, "u", inner), "", inner
        program = Program(f"u = {inner}; y = {outer}", {"x": 0.7})
    first, last = slope_text(outer, "u"), slope_text(inner, "x")
    outside = put(first, "u", inside)
    right = derivative(text, "x", "*".join(bracketed(t) for t in (outside, link, last) if t))
    wrong = [
        ("forgot-inner", f"({outside})*({link})" if link else outside),
        ("forgot-factor", f"({outside})*({last})" if link else ""),
        ("forgot-inner", outside),
        ("at-x", "*".join(f"({t})" for t in (put(first, "u", "x"), link, last) if t)),
        ("sum-for-product", " + ".join(f"({t})" for t in (outside, link, last) if t)),
        ("product-of-derivatives", slope_text(f"({put(outer, 'u', 'x')})*({inside})", "x")),
        ("sign", f"-({right.text})"),
        ("inner-alone", last),
        ("not-differentiated", text),
    ]
    field = Field(
        "derivative",
        r"$f'\left(x\right) =$",
        "expression",
        letters=("x",),
        positive=("x",) if outer in _NEEDS_POSITIVE else (),
    )
    named = [s.name for s in program.expression.statements if s.name]
    return Draft(
        (say("Differentiate by $x$:"), display(rf"f\left(x\right) = {typeset(text)}")),
        (field,),
        {"derivative": right},
        [Mistake(name, {"derivative": of_text(found)}) for name, found in wrong if found],
        [
            Hint("Name the layers, from the inside out:", r" \quad ".join(program.forward_latex(n) for n in named)),
            *program.hints("x", numbers=False),
            Hint("Every factor on one line, with the inner functions put back in."),
        ],
    )
