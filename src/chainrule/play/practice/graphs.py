"""Exercises on graphs: (c) one edge, (e) fan-out, (f) what the backward pass keeps, (g) the order of the nodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from chainrule.explain.names import identifier
from chainrule.play.practice.draws import Draws
from chainrule.play.practice.exercise import Draft, Field, Hint, Mistake, Option, display, kind, say
from chainrule.play.practice.functions import linear
from chainrule.play.practice.grading import Order
from chainrule.play.practice.program import Program, is_short, require, shown


def cotangent(program: Program, name: str) -> str:
    r"""∂L/∂name as LaTeX."""
    return rf"\frac{{\partial {identifier(program.output)}}}{{\partial {identifier(name)}}}"


def all_short(program: Program, *also: float) -> None:
    """Draw again unless every value of the program, and ``also``, is short."""
    require(all(is_short(program.value(n)) for n in program.lines) and all(is_short(v) for v in also))


# ------------------------------------------------------------------------------------------------------- (c) one edge


@kind("edge", "One edge back", "Take what arrives at a node one edge further: times the local derivative.")
def edge(draws: Draws, level: int) -> Draft:
    """Level 1: through a product; 2: through an activation or a difference; 3: over two edges."""
    return (_through_product, _through_activation, _over_two)[level - 1](draws)


def _edge_draft(program: Program, way: Sequence[str], extra: Sequence[tuple[str, float]], only: Sequence[str]) -> Draft:
    """What arrives at ``way[0]`` is given; asked is the cotangent of ``way[-1]``."""
    first, last = way[0], way[-1]
    arriving, right = program.gradient(first), program.gradient(last)
    factors = [program.local(a, b) for a, b in itertools.pairwise(way)]
    require(arriving and right)
    all_short(program, arriving, right)
    total = right / arriving
    wrong = [
        ("forgot-arriving", total),
        ("forgot-local", arriving),
        *extra,
        ("sum-for-product", arriving + sum(factors)),
        ("sign", -right),
    ]
    if len(factors) > 1:
        wrong += [("forgot-factor", right / f) for f in factors if f]
    asked = cotangent(program, last)
    return Draft(
        (
            say(
                f"The backward pass has come as far as ${identifier(first)}$: there ${cotangent(program, first)} = "
                f"{shown(arriving)}$ has arrived. The values are those of the forward pass."
            ),
            program.graph(values=only, gradients=[first], asked=last, only=only),
            say(f"What is ${asked}$?"),
        ),
        (Field("gradient", f"${asked} =$"),),
        {"gradient": right},
        [Mistake(name, {"gradient": float(value)}) for name, value in wrong],
        [
            Hint("What arrives is multiplied by the local derivative of the edge that it crosses."),
            *program.hints(last, below=first),
        ],
    )


def _half(draws: Draws, least: int, most: int) -> float:
    return draws.sign() * draws.integer(least, most) / 2


def _through_product(draws: Draws) -> Draft:
    at = {"w": _half(draws, 1, 8), "x": _half(draws, 2, 8), "y": float(draws.integer(-4, 4))}
    program = Program("z = w*x; L = (z - y)**2", at, ["w", "x"])
    by = draws.pick(("w", "x"))
    arriving = program.gradient("z")
    return _edge_draft(program, ("z", by), [("own-factor", arriving * program.value(by))], ("w", "x", "z"))


def _through_activation(draws: Draws) -> Draft:
    case = draws.below(4)
    at = {"z": _half(draws, 1, 6), "v": _half(draws, 2, 6), "y": float(draws.integer(-3, 3))}
    if case == 0:
        program = Program("a = z**2; h = a*v; L = 0.5*(h - y)**2", at, ["z"])
        arriving, z, a = (program.gradient("a"), at["z"], program.value("a"))
        return _edge_draft(
            program,
            ("a", "z"),
            [
                ("y-for-z", 2 * a * arriving),
                ("exponent-forgotten", z * arriving),
                ("power-not-lowered", 2 * z * z * arriving),
            ],
            ("z", "a"),
        )
    if case == 1:
        program = Program(
            "a = z**3; h = a*v; L = 0.5*(h - y)**2", {**at, "z": float(draws.sign() * draws.integer(1, 2))}, ["z"]
        )
        arriving, z, a = (program.gradient("a"), program.value("z"), program.value("a"))
        return _edge_draft(
            program,
            ("a", "z"),
            [
                ("y-for-z", 3 * a * a * arriving),
                ("exponent-forgotten", z * z * arriving),
                ("power-not-lowered", 3 * z**3 * arriving),
            ],
            ("z", "a"),
        )
    if case == 2:
        program = Program("d = v - z; L = d**2", {"v": at["v"], "z": at["z"]}, ["z", "v"])
        return _edge_draft(program, ("d", "z"), [("own-factor", program.gradient("d") * at["z"])], ("v", "z", "d"))
    k = draws.integer(2, 5)
    program = Program(f"a = relu(z); h = {k}*a + v; L = 0.5*(h - y)**2", {**at, "z": abs(at["z"])}, ["z"])
    return _edge_draft(
        program, ("a", "z"), [("closed-gate", 0.0), ("y-for-z", program.gradient("a") * at["z"])], ("z", "a")
    )


def _over_two(draws: Draws) -> Draft:
    at = {
        "w": _half(draws, 1, 6),
        "x": float(draws.sign() * draws.integer(1, 4)),
        "b": float(draws.integer(-3, 3)),
        "v": _half(draws, 1, 6),
        "y": float(draws.integer(-3, 3)),
    }
    form, way, only = draws.pick(
        (
            ("z = w*x; a = z**2; L = 0.5*(a - y)**2", ("a", "z", "w"), ("w", "x", "z", "a")),
            ("h = w*x; z = v*h; L = (z - y)**2", ("z", "h", "w"), ("w", "x", "h", "v", "z")),
            ("d = y - v; s = d**2; L = s*w", ("s", "d", "v"), ("y", "v", "d", "s")),
            ("z = w*x + b; a = relu(z); L = (a - y)**2", ("a", "z", "w"), ("w", "x", "b", "z", "a")),
        )
    )
    program = Program(form, {n: v for n, v in at.items() if n in _letters(form)}, [way[-1]])
    require("relu" not in form or program.value("z") > 0)
    return _edge_draft(program, way, [("not-differentiated", program.value(way[0]))], only)


def _letters(form: str) -> set[str]:
    from chainrule.explain.expression import parse

    return set(parse(form).names)


# -------------------------------------------------------------------------------------------------------- (e) fan-out


@kind("fanout", "Used twice", "A value that is used in several places gets the sum of what comes back.")
def fanout(draws: Draws, level: int) -> Draft:
    """Level 1: two paths that meet in a sum; 2: in a product; 3: three paths, or a weight shared by two layers."""
    a, b = draws.integer(2, 5), draws.sign() * draws.integer(1, 5)
    x = float(draws.sign() * draws.integer(1, 4))
    if level == 1:
        left, right = draws.some((f"{a}*x", "x**2", f"{a}*x**2", linear(1, b), f"x**2 + {abs(b)}"), 2)
        form, at = f"p = {left}; q = {right}; L = p {draws.pick('+-')} q", {"x": x}
    elif level == 2:
        left, right = draws.some((linear(a, b), "x**2", linear(1, b), f"{a}*x", f"x**2 + {a}"), 2)
        form, at = f"p = {left}; q = {right}; L = p*q", {"x": x}
    else:
        form = draws.pick(
            (
                "h = w*x; z = w*h; L = (z - y)**2",
                "h = w*x + b; z = w*h; L = z - y",
                f"p = {a}*w; q = w**2; L = p*q + x*w",
                "p = w*x; q = p + w; L = p*q",
            )
        )
        full = {"w": draws.sign() * draws.integer(1, 3), "x": x, "b": b, "y": draws.integer(-3, 3)}
        at = {n: float(v) for n, v in full.items() if n in _letters(form)}
    return _fanout_draft(Program(form, at, ["x"] if level < 3 else ["w"]), "x" if level < 3 else "w", draws)


def _fanout_draft(program: Program, by: str, draws: Draws) -> Draft:
    paths = program.paths(by)
    require(len(paths) >= 2 and len(program.users(by)) >= 2)
    products = []
    for path in paths:
        product = 1.0
        for _, value in path:
            product *= value
        products.append(product)
    right = program.gradient(by)
    require(all(p != 0 for p in products) and right != 0)
    all_short(program, right, *products)
    wrong = [("one-path", p, f"The path ${_named(path)}$.") for p, path in zip(products, paths, strict=True)]
    last = program.users(by)[-1]
    through = program.step(last, by).value
    total = 1.0
    for p in products:
        total *= p
    wrong.insert(0, ("overwrote", float(through), f"The part that came last, through ${identifier(last)}$, alone."))
    wrong += [
        ("multiplied-paths", total, ""),
        ("subtracted-paths", products[0] - sum(products[1:]), ""),
        ("subtracted-paths", sum(products[1:]) - products[0], ""),
        ("sign", -right, ""),
    ]
    asked = cotangent(program, by)
    return Draft(
        (
            say(f"The value ${identifier(by)}$ is used more than once."),
            display(program.definition()),
            program.graph(asked=by),
            say(f"What is ${asked}$?"),
        ),
        (Field("gradient", f"${asked} =$"),),
        {"gradient": right},
        [Mistake(name, {"gradient": value}, detail) for name, value, detail in wrong],
        [
            Hint(
                f"Find every way from ${identifier(program.output)}$ back to ${identifier(by)}$: there are "
                f"{len(paths)}. "
                "Each gives a product; add them."
            ),
            *program.hints(by),
        ],
    )


def _named(path: Sequence[tuple[str, float]]) -> str:
    return r" \cdot ".join(latex for latex, _ in path)


# ------------------------------------------------------------------------------------------- (f) what backward keeps


def reads(program: Program, wrt: Sequence[str]) -> set[str]:
    """The named forward values that the backward pass to ``wrt`` reads, from the lines that compute it."""
    record = program.explanation.record
    stops = {record.at[line]: name for name, line in program.lines.items()}
    stack = [record.cotangent[program.lines[name]] for name in wrt]
    seen, found = set(stack), set()
    while stack:
        line = stack.pop()
        if line in stops:
            found.add(stops[line])
            continue
        for arg in record.whole.lines[line].args:
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return found


@kind("saved", "What backward keeps", "Which values of the forward pass are read again by the backward pass.")
def saved(draws: Draws, level: int) -> Draft:
    """Level 1: one operation; 2: a neuron; 3: two layers of which some weights are frozen."""
    at = {"w": 1.5, "v": -0.5, "x": 2.0, "b": 0.5, "c": 1.0, "y": 1.0, "z": 0.5}
    if level == 1:
        form, wrt = draws.pick(
            (
                ("p = w*x", ("w",)),
                ("p = w*x", ("x",)),
                ("p = w*x", ("w", "x")),
                ("p = sin(x)", ("x",)),
                ("p = x**2", ("x",)),
                ("p = w + x", ("w", "x")),
                ("p = w*x + b", ("w", "b")),
                ("p = w*x + b", ("b",)),
                ("p = log(x)", ("x",)),
                ("p = cos(x)", ("x",)),
                ("p = w - x", ("x",)),
                ("p = w*x + b", ("x", "b")),
                ("p = w*x - b", ("w",)),
                ("p = x**3", ("x",)),
                ("p = x/w", ("x",)),
            )
        )
    elif level == 2:
        form, wrt = draws.pick(
            (
                ("z = w*x + b; a = sin(z); L = (a - y)**2", ("w", "b")),
                ("z = w*x; a = z**2; L = a + b", ("w",)),
                ("z = w*x + b; a = cos(z); L = a*v", ("w", "b")),
                ("z = w*x; h = z + b; L = (h - y)**2", ("w", "b")),
                ("z = w*x + b; a = sin(z); L = a*v", ("v",)),
                ("z = w*x; a = z**3; L = a*v", ("w", "v")),
                ("z = w*x + b; a = z**2; L = a - y", ("b",)),
                ("z = w + x; a = z*v; L = (a - y)**2", ("w",)),
            )
        )
    else:
        form, wrt = draws.pick(
            (
                ("h = w*x + b; a = sin(h); z = v*a; L = (z - y)**2", ("v",)),
                ("h = w*x + b; a = sin(h); z = v*a; L = (z - y)**2", ("w",)),
                ("h = w*x + b; a = cos(h); z = v*a; L = (z - y)**2", ("w", "v")),
                ("h = w*x; a = h**2; z = v*a + c; L = z - y", ("w", "v")),
                ("h = w*x; a = h**2; z = v*a + c; L = (z - y)**2", ("c",)),
                ("h = w*x; a = sin(h); z = a + c; L = z*v", ("w", "c")),
                ("h = w*x + b; a = h**3; z = v*a + c; L = z - y", ("b", "c")),
                ("h = w*x; a = cos(h); z = a + h; L = (z - y)**2", ("w",)),
            )
        )
    program = Program(form, {n: at[n] for n in at if n in _letters(form)}, list(wrt))
    return _saved_draft(program, wrt, draws)


def _saved_draft(program: Program, wrt: Sequence[str], draws: Draws) -> Draft:
    right = reads(program, wrt)
    names = [name for name in program.lines if name != program.output]
    require(right < set(names) or not right)
    options = (*(Option(n, f"${identifier(n)}$") for n in names), Option("nothing", "none of them"))
    own = _operands(program, "mul") & set(wrt) - right
    summed = _operands(program, "add", "sub") & set(names)
    inputs = {n for n in names if n in program.expression.names}
    wrong: list[tuple[str, set[str]]] = [
        *([("kept-own", right | own), ("kept-own", own)] if own else []),
        *([("kept-for-sum", right | summed), ("kept-for-sum", summed)] if summed - right else []),
        ("kept-everything", set(names)),
        ("kept-everything", right | inputs),
        ("kept-too-little", {"nothing"}),
        *(("kept-too-little", right - {n}) for n in sorted(right) if len(right) > 1),
    ]
    said = " and ".join(f"${cotangent(program, n)}$" for n in wrt)
    key = frozenset(right) or frozenset({"nothing"})
    words = "gradient" if len(wrt) == 1 else "gradients"
    return Draft(
        (
            say("The forward pass has run:"),
            display(program.definition()),
            say(
                f"Only the {words} {said} will be asked for. Which of the values must be kept until then, because "
                f"the backward "
                "pass computes with them? (What arrives from above is there; constants need no keeping.)"
            ),
        ),
        (Field("kept", "Kept:", "several", options),),
        {"kept": key},
        [Mistake(name, {"kept": frozenset(found)}) for name, found in wrong if found],
        [
            Hint(
                "Write down each local derivative on the way. What is in it has to be kept; a product reads the other "
                "factor, a sum reads nothing."
            ),
            *(
                h
                for n in wrt
                for h in program.hints(n, numbers=False)
                if h.words == "The local derivative:" or len(program.lines) <= 4 or n == wrt[0]
            ),
        ],
    )


def _operands(program: Program, *ops: str) -> set[str]:
    """The named values that one of these ops takes directly, together with another value that is no constant."""
    outline, lines = program.explanation.outline, program.explanation.graph.lines
    found = [line.args for line in lines if line.op.name in ops and all(outline.head[a] >= 0 for a in line.args)]
    return {program.names[a] for args in found for a in args if a in program.names}


def _arguments(program: Program, name: str) -> set[str]:
    """The named values that a step uses directly, derivatives or not."""
    outline, graph = program.explanation.outline, program.explanation.graph
    head = program.lines[name]
    found = {outline.head[a] for i in outline.members(head) for a in graph.lines[i].args}
    return {program.names[a] for a in found if a in program.names and a != head}


# -------------------------------------------------------------------------------------------------- (g) who waits


def forms(draws: Draws, level: int) -> str:
    """A program whose nodes have to wait for each other."""
    k = draws.integer(2, 5)
    if level == 1:
        return draws.pick(
            (
                f"p = {k}*x; q = p + x; L = p*q",
                f"p = x**2; q = {k}*p; L = q + p",
                f"p = x + {k}; q = p**2; r = p*q; L = r + q",
                f"p = {k}*x; q = p**2; r = q + x; L = r*p",
            )
        )
    return draws.pick(
        (
            f"p = x + {k}; q = p**2; r = p*q; s = r + p; L = s*q",
            f"p = {k}*x; q = p + x; r = q**2; s = r*p; L = s + x",
            f"h = {k}*x; p = h**2; q = p + h; r = q*x; L = r - p",
            f"h = x**2; p = h + {k}; q = p*h; r = q + p; L = r*h",
            f"p = x**2; q = p*x; r = {k}*q; s = r + q; L = s*p",
            f"p = {k}*x; q = x**2; r = p*q; s = r + p; L = s*x",
        )
    )


@kind("order", "Who waits for whom", "A node passes its gradient on only when all that use it have sent their part.")
def order(draws: Draws, level: int) -> Draft:
    """Levels 1 and 2: an order for the backward pass; 3: all that must be done before one node is."""
    program = Program(forms(draws, level), {"x": 2.0 if level == 1 else 1.0})
    names = [n for n in program.lines if n not in program.expression.names]
    waits = {n: tuple(u for u in program.users(n) if u in names) for n in (*names, "x")}
    if level == 3:
        return _waiting_draft(program, names, draws)
    nodes = [*names, "x"]
    shuffled = draws.shuffled(nodes)
    right = [*sorted(names, key=lambda n: -program.lines[n]), "x"]
    key = Order(tuple(right), waits)
    require(key.holds(tuple(right)))
    wrong = [
        ("depth-first", _depth_first(program)),
        ("by-distance", _by_distance(program)),
        ("forward-order", right[::-1]),
    ]
    options = tuple(Option(n, f"${identifier(n)}$") for n in shuffled)
    return Draft(
        (
            say("This is the forward pass:"),
            display(program.definition()),
            program.graph(values=()),
            say(
                "In which order can the backward pass handle the nodes? A node is handled when its whole gradient "
                "is there, and "
                "then sends its part to each value that it uses. Begin with the loss."
            ),
        ),
        (Field("order", "Handled, from first to last:", "ordering", options),),
        {"order": key},
        [Mistake(name, {"order": tuple(found)}) for name, found in wrong],
        [
            Hint("The loss comes first. Then ask of each node: have all that use it been handled?"),
            *(
                Hint(f"${identifier(n)}$ waits for " + " and ".join(f"${identifier(u)}$" for u in waits[n]) + ".")
                for n in right[1:]
            ),
        ],
    )


def _depth_first(program: Program) -> list[str]:
    """The order of someone who goes down one path at a time, without waiting."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name in found:
            return
        found.append(name)
        for argument in sorted(_arguments(program, name), key=lambda a: program.lines[a]):
            visit(argument)

    visit(program.output)
    return found


def _by_distance(program: Program) -> list[str]:
    """The order of someone who takes the nodes by the number of edges from the loss."""
    found = [program.output]
    for name in found:
        near = sorted(_arguments(program, name), key=lambda a: program.lines[a])
        found.extend(a for a in near if a not in found)
    return found


def _waiting_draft(program: Program, names: Sequence[str], draws: Draws) -> Draft:
    target = draws.pick([n for n in names if n != program.output and len(program.users(n)) > 1] or ["x"])
    right = program.above(target) - {target}
    direct = set(program.users(target))
    others = [n for n in (*names, "x") if n != target]
    require(right != set(others) or target == "x")
    options = tuple(Option(n, f"${identifier(n)}$") for n in draws.shuffled(others))
    wrong = [
        ("direct-only", direct),
        ("everything-else", set(others)),
        ("everything-else", set(others) - right),
        ("direct-only", {program.output}),
    ]
    asked = identifier(target)
    return Draft(
        (
            say("This is the forward pass:"),
            display(program.definition()),
            program.graph(values=(), asked=target),
            say(f"Which nodes must the backward pass have handled before the gradient of ${asked}$ is complete?"),
        ),
        (Field("before", f"Before ${asked}$:", "several", options),),
        {"before": frozenset(right)},
        [Mistake(name, {"before": frozenset(found)}) for name, found in wrong if found],
        [
            Hint(
                f"Those that use ${asked}$ send it something. They can do so only when their own gradient is complete."
            ),
            *(
                Hint(
                    f"${identifier(n)}$ is used by "
                    + " and ".join(f"${identifier(u)}$" for u in program.users(n))
                    + "."
                )
                for n in sorted(right | {target}, key=lambda n: program.lines[n])
                if n != program.output
            ),
        ],
    )
