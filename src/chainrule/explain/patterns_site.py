"""Where numbers stopped being finite, what patterns ask about that place, and the rewrites made there.

Predicates (``softmax_site`` …) look at the lines around the site; the functions that return ``Changes`` write the
cure in their place (see :mod:`chainrule.explain.patterns_rewrites`).  The table that names them is in
:mod:`chainrule.explain.patterns`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from chainrule.explain import patterns_rewrites as r
from chainrule.explain.patterns_rewrites import Changes
from chainrule.explain.why_tape import Element, Node, Tape, at, spread
from chainrule.graph.graph import Graph
from chainrule.ops import pointwise as p

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Site:
    """Where it happened: ``element`` of node ``number``, in the forward pass or in its derivative (``backward``).

    ``turned`` is the node that made NaN of an infinity, where there is one; ``result`` the number that came out.
    ``loss_is_finite``: only gradients depend on it.  ``overflowed``: an infinity made of finite numbers, not at a pole.
    """

    tape: Tape
    number: int
    element: Element
    backward: bool
    result: Any
    turned: Node | None = None
    dtype: Any = None
    loss_is_finite: bool = False
    overflowed: bool = False

    @property
    def node(self) -> Node:
        return self.tape[self.number]

    @property
    def name(self) -> str:
        return self.node.op.name

    @property
    def graph(self) -> Graph:
        return self.node.place.graph

    @property
    def index(self) -> int:
        return self.node.place.index

    @property
    def args(self) -> tuple[int, ...]:
        """The argument lines in the graph."""
        return self.graph.lines[self.index].args

    def input(self, position: int) -> Any:
        """The number that went in, for a pointwise op; NaN where there is no single one."""
        if position >= len(self.node.args):
            return np.nan
        value = self.tape[self.node.args[position]].value
        if isinstance(value, tuple) or not self.node.op.broadcasts:
            return np.nan
        return at(value, spread(self.element, np.shape(value)))

    @property
    def x(self) -> Any:
        """The first argument's number."""
        return self.input(0)

    @property
    def y(self) -> Any:
        """The second argument's number."""
        return self.input(1)


def softmax_parts(s: Site) -> tuple[int, int] | None:
    """(exp, sum) where the site is the exp of exp(z)/Σexp(z), or the 0/0 of it when every exp underflowed."""
    if s.name == "div":
        return r.softmax_of(s.graph, s.index) if s.y == 0 else None
    for user in r.users(s.graph, s.index):
        if r.named(s.graph, user, "div"):
            found = r.softmax_of(s.graph, user)
            if found is not None:
                return found
    return None


def log_of_sum_exp(s: Site) -> tuple[int, int, int] | None:
    """(exp, sum, log) where the site is the exp, or the log, of log Σ exp(z)."""
    logs = [s.index] if s.name == "log" else [
        log for total in r.users(s.graph, s.index) if r.named(s.graph, total, "sum")
        for log in r.users(s.graph, total) if r.named(s.graph, log, "log")
    ]  # fmt: skip
    for log in logs:
        found = r.sum_of_exp(s.graph, s.graph.lines[log].args[0])
        if found is not None:
            return (*found, log)
    return None


def softplus_log(s: Site) -> int | None:
    """The log line where the site is the exp of log(1 + exp(x)) or log1p(exp(x))."""
    for user in r.users(s.graph, s.index):
        if r.named(s.graph, user, "log1p"):
            return user
        if r.named(s.graph, user, "add") and r.one_and_exp(s.graph, user) == s.index:
            for log in r.users(s.graph, user):
                if r.named(s.graph, log, "log"):
                    return log
    return None


def sigmoid_div(s: Site) -> int | None:
    """The div line where the site is the exp of exp(x)/(1 + exp(x))."""
    for user in r.users(s.graph, s.index):
        found = r.sigmoid_of(s.graph, user) if r.named(s.graph, user, "div") else None
        if found is not None and not found[1] and r.behind(s.graph, s.graph.lines[user].args[0]) == s.index:
            return user
    return None


def tanh_div(s: Site) -> tuple[int, int] | None:
    """(div line, x line) where the site is an exp of (e^x - e^-x)/(e^x + e^-x)."""
    lines = s.graph.lines
    for up in r.users(s.graph, s.index):
        for div in r.users(s.graph, up) if r.named(s.graph, up, "sub", "add") else ():
            if not r.named(s.graph, div, "div"):
                continue
            over, under = (r.behind(s.graph, a) for a in lines[div].args)
            if not (r.named(s.graph, over, "sub") and r.named(s.graph, under, "add")):
                continue
            raised = lines[over].args
            if raised == lines[under].args and all(r.named(s.graph, e, "exp") for e in raised):
                return div, lines[raised[0]].args[0]
    return None


def one_less_sigmoid(s: Site) -> int | None:
    """The x line where the argument is 1 - σ(x)."""
    line = s.graph.lines[r.behind(s.graph, s.args[0])]
    if line.op.name != "sub" or r.number_of(s.graph, line.args[0]) != 1:
        return None
    found = r.sigmoid_of(s.graph, line.args[1])
    return None if found is None or found[1] else found[0]


def log_of_sigmoid(s: Site) -> tuple[int, bool] | None:
    return r.sigmoid_of(s.graph, s.args[0])


def times_zero(s: Site) -> int | None:
    """The mul line that made NaN of the site's infinity: 0 · ∞."""
    turned = s.turned
    if turned is None or turned.op.name != "mul" or turned.place.graph is not s.graph:
        return None
    return turned.place.index


def root_behind(s: Site) -> int | None:
    """The sqrt (or norm) line that the divisor comes from, looking through where and a shift."""
    seen = {r.behind(s.graph, s.args[1])}
    while seen:
        index = seen.pop()
        line = s.graph.lines[index]
        if line.op.name in ("sqrt", "norm"):
            return index
        if line.op.name == "where":
            seen |= {r.behind(s.graph, a) for a in line.args[1:]}
    return None


def of_nothing(s: Site) -> bool:
    return bool(s.y == 0 and r.number_of(s.graph, s.args[1]) == 0)


def is_narrow(s: Site) -> bool:
    return s.dtype is not None and np.dtype(s.dtype).itemsize // (2 if np.dtype(s.dtype).kind == "c" else 1) < 8


def fractional(s: Site) -> bool:
    return bool(s.x < 0 and np.isfinite(s.y) and s.y != np.floor(s.y))


def log_floor(s: Site) -> Changes:
    x, f, least = s.args[0], s.node.op, r.small(s.dtype)
    least = least - 1 if s.name == "log1p" else least
    return {s.index: lambda new: f(r.floor(new(x), least))}


def unary(s: Site, change: Callable[[Any], Any]) -> Changes:
    """The same op on a changed first argument."""
    f, args = s.node.op, s.args
    return {s.index: lambda new: f(change(new(args[0])), *[new(a) for a in args[1:]])}


def log_sigmoid(s: Site) -> Changes | None:
    found = log_of_sigmoid(s)
    if found is None:
        return None
    x, negated = found
    return {s.index: lambda new: -p.logaddexp(new(x) if negated else -new(x), 0.0)}


def masked_product(s: Site) -> Changes | None:
    """The double where in place of 0 · f(x), at the op that is infinite."""
    f, (x, *rest) = s.node.op, s.args
    poles = {"log": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0}
    if s.name in poles:
        return {s.index: lambda new: r.double_where(new(x), p.greater(new(x), poles[s.name]), f)}
    if s.name == "div":
        return {s.index: lambda new: r.quotient(new(x), new(rest[0]))}
    if s.name == "exp":
        return exp_ceiling(s)
    if s.name == "pow":
        return {s.index: lambda new: r.double_where(new(x), p.greater(new(x), 0.0), lambda safe: f(safe, new(rest[0])))}
    return None


def exp_ceiling(s: Site) -> Changes:
    most = float(np.log(np.finfo(s.dtype).max)) / 2
    signed = s.name in ("sinh", "cosh")
    return unary(s, lambda x: p.maximum(p.minimum(x, most), -most) if signed else p.minimum(x, most))


def finite_masks(s: Site) -> Changes:
    """A large negative number in place of -inf, in every constant and in the input at the site."""
    low = float(np.finfo(s.dtype).min) / 4
    lines = s.graph.lines

    def kept(i: int) -> Callable[[Any], Any]:
        def finite(new: Any) -> Any:
            return p.minimum(p.maximum(new(i), low), -low)

        return finite

    if s.name == "input":
        return {s.index: kept(s.index)}
    array = np.clip(lines[s.index].attrs[0][1].array, low, -low)
    users = r.users(s.graph, s.index)
    position = {u: lines[u].args.index(s.index) for u in users if s.index in lines[u].args}

    def replaced(u: int) -> Callable[[Any], Any]:
        line = lines[u]

        def change(new: Any) -> Any:
            given = [new(a) for a in line.args]
            given[position[u]] = given[0].builder.constant(array)
            return line.op(*given, **dict(line.attrs))

        return change

    return {u: replaced(u) for u in position}


def eps_under_root(s: Site) -> Changes | None:
    root = root_behind(s)
    if root is None:
        return None
    if s.graph.lines[root].op.name == "sqrt" and r.behind(s.graph, s.args[1]) == root:
        v = s.graph.lines[root].args[0]
        return {root: lambda new: p.sqrt(new(v) + r.small(s.dtype))}
    a, b = s.args
    return {s.index: lambda new: new(a) / (new(b) + r.small(s.dtype))}


def apart(s: Site) -> Changes:
    """A matrix with a small, growing diagonal added, which parts equal eigenvalues."""
    line = s.graph.lines[s.index]
    n = line.args[0]

    def change(new: Any) -> Any:
        a = new(n)
        step = (np.eye(*a.shape[-2:]) * np.arange(a.shape[-1]) * 1e3 * r.small(a.dtype)).astype(a.dtype)
        return line.op(a + a.builder.constant(step), **dict(line.attrs))

    return {s.index: change}


def atan2(s: Site) -> Changes:
    a, b = s.args

    def change(new: Any) -> Any:
        origin = p.logical_and(p.equal(new(a), 0), p.equal(new(b), 0))
        return p.arctan2(new(a), p.where(origin, 1.0, new(b)))

    return {s.index: change}


def norm_root(s: Site) -> Changes:
    v = s.args[0]
    return {s.index: lambda new: r.double_where(new(v), p.greater(new(v), 0.0), p.sqrt)}


def scaled(s: Site) -> Changes | None:
    for user in (s.index, *r.users(s.graph, s.index)):
        for root in r.users(s.graph, user):
            if r.named(s.graph, root, "sqrt"):
                return r.scaled_root(s.graph, root)
    return None


def steep_quotient(s: Site) -> Changes:
    a, b = s.args
    least = r.small(s.dtype)

    def change(new: Any) -> Any:
        tiny = p.less(p.absolute(new(b)), least)
        return new(a) / p.where(tiny, least, new(b))

    return {s.index: change}


def divisor_of_one(s: Site) -> Changes:
    f, (a, b) = s.node.op, s.args
    return {s.index: lambda new: f(new(a), p.where(p.equal(new(b), 0), 1.0, new(b)))}


def clipped_cast(s: Site) -> Changes:
    line = s.graph.lines[s.index]
    most = float(np.finfo(dict(line.attrs)["dtype"]).max)
    return {s.index: lambda new: line.op(p.minimum(p.maximum(new(line.args[0]), -most), most), **dict(line.attrs))}


def is_norm(s: Site) -> bool:
    return bool(s.x == 0) and r.is_square_sum(s.graph, s.args[0])


def plain_tanh(s: Site) -> Changes:
    """tanh in place of the quotient of exponentials."""
    div, x = required(tanh_div(s))
    return {div: lambda new: p.tanh(new(x))}


def required(found: _T | None) -> _T:
    """What a predicate found; asked for only where it held."""
    assert found is not None
    return found
