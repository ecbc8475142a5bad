"""Random programs over the catalogue of ops, as graphs with gradients: seeded, of up to 60 drawn ops, values kept tame.

A program is grown line by line on a builder that knows the value of every line, so an op is drawn first and then given
arguments from its domain: lines there are, where they fit, or lines brought there (a sigmoid into an interval, a
reshape, a cast).  A result too large is scaled down; now and then a NaN or an infinity is let through.  The gradient,
with respect to all float inputs, of all float results with random cotangents is part of the program.

Sizes are 0, 1, odd, and more than any vector; dtypes float32, float64, int32, int64, bool, rarely others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.errors import ChainruleError
from chainrule.compile.compiler import make_plan
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.ops import CATALOGUE
from chainrule.ops.expr import Expr
from chainrule.ops.index import indexed_shape
from chainrule.ops.record import Pointwise
from chainrule.transforms.reverse import vjp_graph

FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64")
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 31, 33, 40, 65)
MOST = 3000  # elements of one line
LARGEST = 1e3  # a result beyond is scaled down
# Their values or derivatives are slow, or not finite on most of the arguments that come.
_LEFT_OUT = {"nextafter", "spacing", "exponent", "zeta", "polygamma", "expn", "beta", "betaln", "gammainc", "gammaincc",
             "iv", "ive", "jv", "kv", "kve", "yv", "lcm", "left_shift"}  # fmt: skip
POINTWISE = {
    name: op for name, op in sorted(CATALOGUE.items()) if isinstance(op, Pointwise) and name not in _LEFT_OUT
}
_COMMON = ("add", "sub", "mul", "div", "maximum", "minimum", "exp", "tanh", "sigmoid", "sqrt", "log", "sin", "less",
           "greater", "equal", "pow", "abs", "neg", "logical_and", "floor", "log1p", "erf")  # fmt: skip


class Program(NamedTuple):
    """A graph (results, then gradients), its arguments, and the graph before it was differentiated."""

    graph: Graph
    args: list[Any]
    forward: Graph


def op(name: str, *args: Any, **attrs: Any) -> Any:
    """A line of op ``name``."""
    return CATALOGUE[name](*args, **attrs)


class Generator:
    """One program under construction: ``pool`` holds the lines that may be used, of about ``most`` elements."""

    def __init__(self, seed: int, most: int = MOST) -> None:
        self.most = most
        self.sizes = SIZES if most == MOST else (1, 33, 65, 128, 200, 257)
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.pool: list[Expr] = []
        self.args: list[Any] = []

    # Choosing

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def value(self, x: Expr) -> Any:
        return np.asarray(self.builder.value(x.index))

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        """A shape of at most ``most`` elements."""
        rank = int(self.rng.choice(5, p=(0.1, 0.25, 0.35, 0.2, 0.1))) if rank is None else rank
        sizes: list[int] = []
        for _ in range(rank):
            room = self.most // max(math.prod(sizes), 1)
            sizes.append(0 if self.chance(0.01) else self.pick([n for n in self.sizes if n <= max(room, 1)]))
        return tuple(int(n) for n in self.rng.permutation(sizes)) if sizes else ()

    def fresh(self, spec: Spec) -> Expr:
        """A new input."""
        if spec.dtype.kind == "b":
            array = self.rng.random(spec.shape) < 0.5
        elif spec.dtype.kind in "iu":
            array = self.rng.integers(0 if spec.dtype.kind == "u" else -6, 9, spec.shape)
        else:
            array = self.rng.normal(size=spec.shape)
        array = np.asarray(array, spec.dtype)
        self.args.append(array)
        x: Expr = self.builder.input(spec, "", array)
        self.pool.append(x)
        return x

    def some(self, kinds: str = "f", where: Callable[[Expr], bool] = lambda x: True) -> Expr:
        """A line of a dtype kind in ``kinds``: late ones more often than early ones, or a new input."""
        found = [x for x in self.pool if x.dtype.kind in kinds and where(x)]
        if not found:
            return self.fresh(Spec(self.shape(), np.dtype({"f": self.pick(FLOATS), "b": "bool"}.get(
                kinds[0], self.pick(INTEGERS)))))  # fmt: skip
        return found[-1 - min(int(self.rng.geometric(0.15)) - 1, len(found) - 1)]

    def like(self, x: Expr, kinds: str = "") -> Expr:
        """A line that broadcasts against ``x``, of its dtype."""
        fits = [y for y in self.pool if y.dtype == x.dtype and _joins(y.shape, x.shape)]
        if fits and self.chance(0.8):
            return self.pick(fits)
        shape = x.shape[int(self.rng.integers(len(x.shape) + 1)) :]
        shape = tuple(1 if self.chance(0.3) else n for n in shape)
        same_size = [y for y in self.pool if y.dtype == x.dtype and math.prod(y.shape) == math.prod(shape)]
        if same_size and self.chance(0.6):
            return self.reshaped(self.pick(same_size), shape)
        return self.fresh(Spec(shape, x.dtype))

    # Lines that bring others into form

    def reshaped(self, x: Expr, shape: tuple[int, ...]) -> Expr:
        return x if x.shape == shape else op("reshape", x, shape=shape)

    def into(self, x: Expr, low: float, high: float) -> Expr:
        """``x`` brought into an interval, where it is not in it."""
        values = self.value(x)
        if not values.size or (np.all(np.isfinite(values)) and low <= values.min() and values.max() <= high):
            return x
        if self.chance(0.03):
            return x  # out of the domain: NaN, infinities
        if x.dtype.kind in "iu":
            return op("maximum", op("minimum", x, int(min(high, 100))), math.ceil(max(low, 0)))
        if not np.all(np.isfinite(values)):
            x = op("where", op("isfinite", x), x, 0.5)
        return op("add", op("mul", op("sigmoid", x), high - low), low)

    # Steps: each gives a new line

    def pointwise(self) -> Any:
        name = self.pick(_COMMON) if self.chance(0.5) else self.pick(list(POINTWISE))
        chosen = POINTWISE[name]
        floats = any("d->" in t.replace("dd", "d") for t in chosen.ufunc.types)
        if not floats:
            return op(name, *self._whole_arguments(chosen.ufunc.nin, name))
        x = self.some("fffi" if self.chance(0.15) else "f")
        args = [x, *(self.like(x) for _ in range(chosen.ufunc.nin - 1))]
        if chosen.ufunc.nin > 1 and self.chance(0.5):
            args[1:] = [self.pick((0.5, 2.0, 3.0, -1.0, 1.0)) for _ in args[1:]] if name != "copysign" else args[1:]
        bounds = [chosen.domain[i] if i < len(chosen.domain) else chosen.domain[0] for i in range(len(args))]
        free = name in ("add", "sub", "mul", "maximum", "minimum", "abs", "neg", "sign")
        free = free or chosen.ufunc.types[-1].endswith("?")
        if not free:
            args = [self.into(a, *b) if isinstance(a, Expr) else float(np.clip(a, *b))
                    for a, b in zip(args, bounds, strict=True)]  # fmt: skip
        return op(name, *args)

    def _whole_arguments(self, count: int, name: str) -> list[Any]:
        kinds = "b" if name.startswith(("logical", "bitwise", "invert")) and self.chance(0.5) else "i"
        if name == "right_shift":
            x = self.some("i")
            return [x, self.pick((0, 1, 3, 31, 70))]
        x = self.some(kinds)
        return [x, *(self.like(x) for _ in range(count - 1))]

    def cast(self) -> Any:
        x = self.some(self.pick(("f", "fib")))
        goal = self.pick((*FLOATS, *FLOATS, *INTEGERS, "bool", "uint8", "uint32", "float16"))
        if x.dtype.kind == "f" and np.dtype(goal).kind in "iu":
            x = self.into(x, 0.0, 100.0)  # what NumPy gives beyond depends on the machine
        return x if x.dtype == goal else op("cast", x, dtype=np.dtype(goal))

    def _axes(self, x: Expr) -> tuple[int, ...]:
        rank = len(x.shape)
        choice = self.rng.random()
        count = int(self.rng.integers(1, rank + 1)) if rank else 0
        if choice < 0.4:
            return tuple(range(rank - count, rank))
        if choice < 0.6:
            return tuple(range(count))
        return tuple(sorted(int(a) for a in self.rng.permutation(rank)[:count]))

    def reduce(self) -> Any:
        name = self.pick(("sum", "sum", "sum", "max", "min", "any", "all"))
        x = self.some("b" if name in ("any", "all") else self.pick("fffi"), lambda x: len(x.shape) > 0)
        axes = self._axes(x)
        if name in ("max", "min"):
            axes = tuple(a for a in axes if x.shape[a])
            if self.chance(0.4):
                x = op("sub" if name == "max" else "add", x, self.pick((6, 20)))  # all on the other side of 0
        return op(name, x, axes=axes, keepdims=self.chance(0.5)) if axes else x

    def along(self) -> Any:
        x = self.some(self.pick("ffi"), lambda x: len(x.shape) > 0 and 0 not in x.shape)
        if not x.shape or 0 in x.shape:
            return x
        axis = int(self.rng.integers(len(x.shape)))
        name = self.pick(("cumsum", "argmax", "argmin", "argsort"))
        return op(name, x, axis=axis, **({"reverse": self.chance(0.5)} if name == "cumsum" else {}))

    def matmul(self) -> Any:
        x = self.some("f", lambda x: len(x.shape) > 0)
        if not x.shape or x.dtype == np.float16:
            return x
        *lead, m, k = x.shape if len(x.shape) > 1 else (1, *x.shape)
        a = self.reshaped(x, (*lead, m, k))
        if self.chance(0.3):
            a, m, k = op("transpose", a, axes=(*range(len(lead)), len(lead) + 1, len(lead))), k, m
        n = self.pick((1, 2, 5, 8, 16, 17, 33))
        if self.chance(0.3):
            n = m
            b = op("transpose", a, axes=(*range(len(lead)), len(lead) + 1, len(lead)))
        else:
            behind = tuple(lead) if self.chance(0.5) else ()
            known = [y for y in self.pool if y.dtype == a.dtype and y.shape == (*behind, n, k)]
            b = self.pick(known) if known else self.fresh(Spec((*behind, n, k), a.dtype))
            b = op("transpose", b, axes=(*range(len(behind)), len(behind) + 1, len(behind)))
            if behind != tuple(lead):
                b = op("broadcast_to", b, shape=(*lead, k, n))
        if math.prod((*lead, m, n)) > 4 * self.most:
            return x
        return op("mul", op("matmul", a, b), 1 / math.sqrt(max(k, 1)))

    def view(self) -> Any:
        x = self.some(self.pick(("f", "f", "fib")))
        choice = self.pick(("reshape", "transpose", "broadcast_to", "index", "index", "unindex"))
        if choice == "reshape":
            return self.reshaped(x, self._factors(math.prod(x.shape)))
        if choice == "transpose":
            return op("transpose", x, axes=tuple(int(a) for a in self.rng.permutation(len(x.shape))))
        if choice == "broadcast_to":
            lead = (self.pick((1, 2, 3)),) if self.chance(0.5) and math.prod(x.shape) < self.most // 3 else ()
            room = 2
            shape = tuple(room if n == 1 and math.prod(x.shape) < self.most // 16 else n for n in x.shape)
            return op("broadcast_to", x, shape=(*lead, *shape))
        key = self._key(x.shape)
        if choice == "index":
            return op("index", x, key=key)
        part = op("index", x, key=key) if self.chance(0.5) else x
        key = self._key(x.shape)
        if part.shape != indexed_shape(x.shape, key):
            part = op("index", x, key=key)
        return op("unindex", part, shape=x.shape, key=key)

    def _factors(self, size: int) -> tuple[int, ...]:
        """A shape of ``size`` elements."""
        if size == 0:
            return self.pick(((0,), (2, 0), (0, 3)))
        shape: list[int] = []
        while size > 1 and len(shape) < 3:
            divisors = [d for d in range(2, min(size, 70) + 1) if size % d == 0]
            if not divisors:
                break
            shape.append(self.pick(divisors))
            size //= shape[-1]
        if size > 1 or self.chance(0.2):
            shape.insert(int(self.rng.integers(len(shape) + 1)), size)
        return tuple(shape)

    def _key(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """A basic key: a slice or an int for every axis, and new axes."""
        key: list[Any] = []
        for n in shape:
            if n and self.chance(0.2):
                key.append(int(self.rng.integers(n)))
                continue
            step = self.pick((1, 1, 1, 2, 3, -1, -2))
            start, stop, step = slice(*(None if self.chance(0.6) else int(self.rng.integers(n + 1)) for _ in "ab"),
                                      step).indices(n)  # fmt: skip
            key.append((start, None if stop < 0 else stop, step))
        if self.chance(0.1):
            key.insert(int(self.rng.integers(len(key) + 1)), None)
        return tuple(key)

    def _indices(self, shape: tuple[int, ...], count: int, places: tuple[int, ...]) -> list[Expr]:
        found = []
        for n in shape[:count]:
            array = self.rng.integers(-n, n, places).astype(np.int64)
            if self.chance(0.4):
                found.append(self.builder.constant(array))
            else:
                self.args.append(array)
                found.append(self.builder.input(Spec(places, np.dtype(np.int64)), "", array))
        return found

    def places(self) -> Any:
        """gather, scatter, scatter_add, update, concatenate."""
        x = self.some(self.pick("fffi"), lambda x: len(x.shape) > 0 and 0 not in x.shape)
        if not x.shape or 0 in x.shape:
            return x
        name = self.pick(("gather", "scatter", "scatter_add", "update", "concatenate"))
        if name == "concatenate":
            axis = int(self.rng.integers(len(x.shape)))
            others = [y for y in self.pool if y.dtype == x.dtype and len(y.shape) == len(x.shape)
                      and all(a == b for i, (a, b) in enumerate(zip(y.shape, x.shape, strict=True)) if i != axis)]
            return op(name, x, *(self.pick(others) for _ in range(int(self.rng.integers(1, 4)))), axis=axis)
        if name == "update":
            key = self._key(x.shape)
            goal = indexed_shape(x.shape, key)
            parts = [y for y in self.pool if y.dtype == x.dtype and _joins(y.shape, goal)]
            return op(name, x, self.pick(parts) if parts else op("index", x, key=key), key=key)
        count = int(self.rng.integers(1, len(x.shape) + 1))
        places = self.shape(int(self.rng.integers(0, 3)))
        rest = x.shape[count:]
        if math.prod((*places, *rest)) > self.most:
            return x
        indices = self._indices(x.shape, count, places)
        if name == "gather":
            return op(name, x, *indices)
        parts = [y for y in self.pool if y.dtype == x.dtype and y.shape == (*places, *rest)]
        part = self.pick(parts) if parts else self.fresh(Spec((*places, *rest), x.dtype))
        return op(name, x, part, *indices)

    def choose(self) -> Any:
        x = self.some(self.pick("fffi"))
        y = self.like(x)
        c = self.like(x) if x.dtype.kind == "b" else op(self.pick(("less", "greater_equal")), self.like(x), y)
        return op("where", c, x, y)

    def guarded(self) -> Any:
        """A function that is not taken where its derivative is infinite: 0 times infinity has to be 0."""
        x = self.some("f")
        positive = op("maximum", x, 0.0)
        safe = op("where", op("greater", x, 0.0), op(self.pick(("sqrt", "log", "cbrt")), positive), 0.0)
        return op("minimum", op("maximum", safe, -20.0), 20.0)

    def numbers(self) -> Any:
        key = self.builder.constant(self.rng.integers(0, 1 << 32, 2).astype(np.uint32))
        bits = op("random_bits", key, shape=self.shape(1), stream=0)
        return op("mul", op("cast", op("right_shift", bits, 8), dtype=np.dtype(self.pick(FLOATS))), 2.0**-24)

    def matrices(self) -> Any:
        """Linear algebra of small matrices far from singular."""
        n = self.pick((1, 2, 3, 4))
        x = self.some("f", lambda x: math.prod(x.shape) >= n * n and x.dtype != np.float16)
        if math.prod(x.shape) < n * n or x.dtype == np.float16:
            return x
        flat = self.reshaped(x, (math.prod(x.shape),))
        square = self.reshaped(op("index", flat, key=((0, n * n, 1),)), (n, n))
        square = op("add", op("tanh", square), self.builder.constant(np.eye(n, dtype=x.dtype) * (n + 1)))
        name = self.pick(("det", "solve", "fft"))
        if name == "det":
            return op("mul", op("det", square), 1.0 / (n + 1) ** n)
        if name == "solve":
            return op("solve", square, op("transpose", square, axes=(1, 0)))
        spectrum = op("rfft", square, axis=1, norm="backward")
        return op("add", op("real", spectrum), op("imag", spectrum))

    # Loops and branches: a small program of its own inside

    def nested(self) -> Any:
        x = self.some("f", lambda x: len(x.shape) > 0 and 0 not in x.shape and x.dtype != np.float16)
        if not x.shape or 0 in x.shape:
            return x
        y = self.like(x)
        kind = self.pick(("scan", "cond", "while_loop", "call"))
        if kind == "scan":
            carry = Spec(x.shape[1:], x.dtype)
            start = op("index", x, key=(0, *((0, n, 1) for n in x.shape[1:])))
            body = self._inner([carry, carry], 2)
            return op("scan", start, x, body=body, consts=0, carries=1, length=x.shape[0],
                      reverse=self.chance(0.5))  # fmt: skip
        if _joined(x.shape, y.shape) != x.shape:
            y = x
        specs = [Spec(x.shape, x.dtype), Spec(y.shape, y.dtype)]
        if kind == "call":
            return op("call", x, y, graph=self._inner(specs, 1))
        if kind == "cond":
            test = op("greater", op("sum", x, axes=tuple(range(len(x.shape))), keepdims=False), 0.0)
            return op("cond", test, x, y, if_true=self._inner(specs, 1), if_false=self._inner(specs, 1))
        count = Spec((), np.dtype(np.int64))
        test_builder, body = Builder(), Builder()
        i, _ = test_builder.input(count), test_builder.input(specs[0])
        test_graph = test_builder.finish([op("less", i, int(self.rng.integers(0, 6)))])[0]
        i, z = body.input(count), body.input(specs[0])
        body_graph = body.finish([op("add", i, 1), *body.inline(self._inner(specs[:1], 1), [z])])[0]
        out = op("while_loop", self.builder.constant(np.int64(0)), op("stop_gradient", x),
                 test=test_graph, body=body_graph, test_consts=0, body_consts=0)  # fmt: skip
        return out[1]

    def _inner(self, specs: Sequence[Spec], outputs: int) -> Graph:
        """A graph of a few tame pointwise lines; the results have the first input's Spec."""
        builder = Builder()
        lines = [builder.input(s) for s in specs]
        for _ in range(int(self.rng.integers(1, 6))):
            a, b = self.pick(lines), self.pick(lines)
            lines.append(self.pick((
                lambda a, b: op("tanh", op("add", a, b)), lambda a, b: op("mul", op("sin", a), b),
                lambda a, b: op("sub", a, op("mul", b, 0.5)), lambda a, b: op("maximum", a, op("neg", b)),
                lambda a, b: op("sqrt", op("add", op("mul", a, a), 1.0)),
                lambda a, b: op("where", op("less", a, b), a, op("mul", b, 0.5)),
            ))(a, b))  # fmt: skip
        fits = [x for x in lines if x.shape == specs[0].shape]
        return builder.finish([op("tanh", fits[-1]), *(self.pick(fits) for _ in range(outputs - 1))])[0]

    # The whole

    def step(self) -> None:
        """Add a line (and what it needs) to the pool."""
        kinds = (self.pointwise, self.cast, self.reduce, self.along, self.matmul, self.view, self.places, self.choose,
                 self.guarded, self.numbers, self.matrices, self.nested)  # fmt: skip
        weights = np.array((30, 3, 9, 2, 5, 12, 6, 4, 1, 0.7, 1, 1.5))
        try:
            made = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]()
        except ChainruleError:  # what was drawn does not fit together
            return
        for x in made if isinstance(made, tuple) else (made,):
            if not isinstance(x, Expr) or x.dtype.kind == "c" or any(x.index == y.index for y in self.pool):
                continue
            if math.prod(x.shape) > 4 * self.most:
                continue
            values = self.value(x)
            if x.dtype.kind == "f" and values.size and x.dtype != np.float16:
                finite = np.abs(values[np.isfinite(values)])
                if finite.max(initial=0) > LARGEST:
                    x = op("mul", op("tanh", op("mul", x, 1 / float(finite.max()))), 10.0)
                if np.any(~np.isfinite(values)) and self.chance(0.8):
                    x = op("where", op("isfinite", x), x, 0.5)
            self.pool.append(x)

    def run(self, longest: int) -> Program:
        for _ in range(int(self.rng.integers(1, 5))):
            self.fresh(Spec(self.shape(), np.dtype(self.pick((*FLOATS, *FLOATS, "int64", "bool")))))
        for _ in range(int(self.rng.integers(3, longest + 1))):
            self.step()
        used = {a for line in self.builder.lines for a in line.args}
        inputs = {i for i, line in enumerate(self.builder.lines) if line.op.name == "input"}
        outputs = [x for x in self.pool if x.index not in used and x.index not in inputs] or self.pool[-1:]
        outputs = [*outputs, *(self.pick(self.pool) for _ in range(2))]  # some that are used as well
        forward, _ = self.builder.finish(outputs)
        return differentiated(forward, self.args, self.rng)


def _joins(shape: tuple[int, ...], goal: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to ``goal``."""
    return _joined(shape, goal) == goal


def _joined(a: tuple[int, ...], b: tuple[int, ...]) -> Any:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


def differentiated(forward: Graph, args: list[Any], rng: np.random.Generator) -> Program:
    """The program of a graph: its results, and the cotangents of its float inputs for random cotangents."""
    wrt = tuple(i for i, s in enumerate(forward.input_specs) if is_differentiable(s.dtype))
    seeds = tuple(i for i, s in enumerate(forward.output_specs) if is_differentiable(s.dtype))
    if not wrt or not seeds:
        return Program(forward, args, forward)
    cotangents = [np.asarray(rng.normal(size=forward.output_specs[s].shape), forward.output_specs[s].dtype)
                  for s in seeds]  # fmt: skip
    return Program(vjp_graph(forward, wrt, seeds), [*args, *cotangents], forward)


def random_program(seed: int, longest: int = 60) -> Program:
    """Program number ``seed``."""
    return Generator(seed).run(longest)


def large_programs(count: int) -> list[Program]:
    """The first programs of large arrays some of whose kernels are cut into parts, for threads to share."""
    every = (Generator(seed, most=60_000).run(25) for seed in itertools.count())
    return list(itertools.islice((p for p in every if make_plan(p.forward).parallel), count))
