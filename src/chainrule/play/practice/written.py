"""A line of a graph written as a person would type it: ``6*x*cos(3*x**2 + 1)``.

Products are collected (numbers multiplied, equal factors as powers), sums and calls written as they run.  The result is
read back by the same parser that reads answers; tests compare it with the graph's own values.

Does not do: algebra beyond products of powers; ops other than those that exercises with formulas are made of.
"""

from __future__ import annotations

from chainrule.explain.formula import number_text
from chainrule.graph.graph import Graph

_CALLS = ("sin", "cos", "exp", "log", "tanh", "cosh", "sqrt", "sigmoid")


class Product:
    """A number times powers of texts; ``powers``: text → exponent, in order of appearance."""

    def __init__(self, number: float = 1.0, powers: dict[str, float] | None = None) -> None:
        self.number = number
        self.powers = {text: p for text, p in (powers or {}).items() if p}

    def times(self, other: Product, sign: int = 1) -> Product:
        """The product of the two, or with ``sign`` -1 the quotient."""
        powers = dict(self.powers)
        for text, power in other.powers.items():
            powers[text] = powers.get(text, 0.0) + sign * power
        return Product(self.number * other.number**sign, powers)

    def to(self, power: float) -> Product:
        """A power of it."""
        if self.number > 0 or power.is_integer():
            if len(self.powers) == 1 and self.number == 1 and float(power).is_integer():
                return Product(1.0, {t: p * power for t, p in self.powers.items()})
            if not self.powers:
                return Product(self.number**power)
        return Product(1.0, {f"({self.text()})": power} if self.loose() else {self.text(): power})

    def loose(self) -> bool:
        """Whether it needs brackets as the base of a power."""
        return not (self.number == 1 and len(self.powers) == 1 and next(iter(self.powers.values())) == 1)

    def text(self) -> str:
        """As one types it."""
        above = [_powered(t, p) for t, p in self.powers.items() if p > 0]
        below = [_powered(t, -p) for t, p in self.powers.items() if p < 0]
        size = abs(self.number)
        if size != 1 or not above:
            above.insert(0, number_text(size, 12))
        text = ("-" if self.number < 0 else "") + "*".join(above)
        if not below:
            return text
        return f"{text}/{below[0]}" if len(below) == 1 else f"{text}/({'*'.join(below)})"


def _powered(text: str, power: float) -> str:
    return text if power == 1 else f"{text}**{number_text(power, 12)}"


def written(graph: Graph, line: int, names: dict[int, str]) -> str:
    """Line ``line`` of ``graph`` as text; ``names``: what the lines that have a name are called."""
    found: list[Product] = []
    for index, entry in enumerate(graph.lines[: line + 1]):
        if index in names:
            found.append(Product(1.0, {names[index]: 1.0}))
        elif entry.op.name == "constant":
            found.append(Product(float(entry.attrs[0][1].array)))
        elif entry.op.name == "input":
            found.append(Product())
        else:
            found.append(_applied(entry.op.name, [found[a] for a in entry.args]))
    return found[line].text()


def _applied(op: str, args: list[Product]) -> Product:
    if op in ("mul", "chain_mul"):
        return args[0].times(args[1])
    if op == "div":
        return args[0].times(args[1], -1)
    if op == "neg":
        return Product(-args[0].number, args[0].powers)
    if op == "pow" and not args[1].powers:
        return args[0].to(args[1].number)
    if op in ("add", "sub"):
        return _sum(op, *args)
    if op not in _CALLS:
        raise ValueError(f"{op} is not written as a formula")
    inside = args[0].text()
    bare = args[0].number == 1 and list(args[0].powers.values()) == [1.0] and inside.startswith("(")
    return Product(1.0, {f"{op}({inside[1:-1] if bare else inside})": 1.0})


def _sum(op: str, left: Product, right: Product) -> Product:
    if not left.powers and not right.powers:
        return Product(left.number + right.number if op == "add" else left.number - right.number)
    minus = (op == "sub") != (right.number < 0)
    other = Product(abs(right.number), right.powers).text()
    return Product(1.0, {f"({left.text()} {'-' if minus else '+'} {other})": 1.0})
