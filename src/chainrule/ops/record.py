"""The op record: one op's whole mathematics, and the four kinds that derive everything else from it.

An op states its shape rule, one NumPy call, and its derivative **once**, as an expression in our own ops.  The kind
then gives the pullback (vjp), the pushforward (jvp) and the batching rule (vmap):

=============  ====================================================  ==========================
kind           declares                                              examples
=============  ====================================================  ==========================
``Pointwise``  each partial derivative, of the output and the inputs  exp, tanh, mul
``Linear``     its transpose                                          reshape, sum, index, where
``Bilinear``   two transposes                                         matmul
``Custom``     pullback, pushforward and batching rule, explicitly    max, eigh, scan
=============  ====================================================  ==========================

Cotangents follow JAX's convention for complex numbers: the pairing of a cotangent c with a tangent t is Re(sum(c·t)),
without conjugation; a holomorphic op therefore multiplies by its complex derivative in both modes.

A missing cotangent or tangent (``None``) is a zero that is known without looking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from chainrule.base.arrays import Spec, broadcast, is_differentiable, resolve
from chainrule.ops.expr import CATALOGUE, Expr

Attrs = dict[str, Any]
Cotangent = Expr | None


class NotDifferentiable:
    """The stated value "there is no derivative here", with the reason an error or an explanation gives."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"NotDifferentiable({self.reason!r})"


PIECEWISE_CONSTANT = NotDifferentiable("it is piecewise constant: its derivative is 0 wherever it exists")
INTEGER_VALUED = NotDifferentiable("its result is an integer or a bool")

Partial = Callable[..., Any] | float | NotDifferentiable


@dataclass(frozen=True, eq=False)
class Op:
    """What all kinds share.  ``run(*arrays, **attrs)`` is the meaning of the op, in NumPy.

    ``latex`` is a template over #0, #1, … (arguments), #y (output) and #name (attributes); ``sentence`` says in plain
    words what the op does; ``domain`` gives, per argument, the interval tests sample from; ``kinks`` the points where
    the derivative jumps, so that tests keep away from them; ``tolerance`` scales the derivative test.
    """

    name: str
    run: Callable[..., Any]
    latex: str = field(kw_only=True)
    sentence: str = field(kw_only=True)
    domain: tuple[tuple[float, float], ...] = field(default=((-2.0, 2.0),), kw_only=True)
    kinks: tuple[float, ...] = field(default=(), kw_only=True)
    tolerance: float = field(default=1.0, kw_only=True)
    kind: ClassVar[str] = "abstract"
    broadcasts: ClassVar[bool] = False
    keep: ClassVar[Any] = None
    """``keep(args, attrs, wanted)``, where an op has it, writes reverse mode's forward lines: outputs, residuals."""
    joint: ClassVar[Any] = None
    """``joint(tangents, args, attrs)``, where an op has it, gives (outputs, tangents) of forward mode together."""

    def __post_init__(self) -> None:
        if self.name in CATALOGUE:
            raise ValueError(f"op {self.name} is recorded twice")
        CATALOGUE[self.name] = self

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """Record a line where an argument is an Expr; otherwise run NumPy at once."""
        for arg in args:
            if isinstance(arg, Expr):
                return arg.builder.active().emit(self, args, attrs)
        with np.errstate(all="ignore"):
            return self.run(*args, **attrs)

    def bind(self, attrs: Attrs) -> Callable[..., Any]:
        """The NumPy call of one line: ``run`` with its attributes filled in."""
        if not attrs:
            return self.run
        run = self.run
        return lambda *arrays: run(*arrays, **attrs)

    def loop(self, kinds: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        """For an op that broadcasts: the dtypes its arguments are cast to and its output's; Python scalars are weak."""
        raise NotImplementedError

    def infer(self, specs: Sequence[Spec], attrs: Attrs) -> Any:
        """The output's Spec (a tuple of them for several outputs).  Raises ShapeError or DtypeError."""
        raise NotImplementedError

    def undifferentiable(self, position: int, attrs: Attrs) -> NotDifferentiable | None:
        """The stated reason why there is no derivative in argument ``position``, or None where there is one."""
        raise NotImplementedError

    def passes(self, position: int, attrs: tuple[tuple[str, Any], ...]) -> bool:
        """Whether a derivative passes through argument ``position`` of a line with these (packed) attributes."""
        return self.undifferentiable(position, dict(attrs)) is None

    def pull_one(self, position: int, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs) -> Cotangent:
        """Cotangent of the argument at ``position`` from the cotangent of the output (all kinds but Custom)."""
        raise NotImplementedError

    def pullback(
        self, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs, wanted: Sequence[bool]
    ) -> Sequence[Cotangent]:
        """Cotangents of the arguments from the cotangent of the output; ``wanted`` tells which are asked for."""
        return [self.pull_one(i, ct, out, args, attrs) if want else None for i, want in enumerate(wanted)]

    def pushforward(self, tangents: Sequence[Cotangent], out: Any, args: Sequence[Expr], attrs: Attrs) -> Any:
        """Tangent of the output from the tangents of the arguments (at least one is not None)."""
        raise NotImplementedError

    def batch(self, args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
        """The op over a new leading axis of ``size`` that the ``batched`` arguments have; so has every output."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class Pointwise(Op):
    """A ufunc.  ``partials[i](y, *xs)`` is ∂y/∂xᵢ, given as an expression, a number, or the stated NotDifferentiable.

    Arguments broadcast by NumPy's rule; the builder casts them to the dtype of the ufunc's loop first, so a line's
    arguments always agree with it.
    """

    partials: tuple[Partial, ...] = field(kw_only=True)
    ufunc: np.ufunc = field(kw_only=True)
    kind: ClassVar[str] = "pointwise"
    broadcasts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.partials) != self.ufunc.nin:
            raise ValueError(f"op {self.name} has {self.ufunc.nin} arguments but {len(self.partials)} partials")

    def loop(self, kinds: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        return resolve(self.ufunc, tuple(kinds))

    def infer(self, specs: Sequence[Spec], attrs: Attrs) -> Spec:
        shape = specs[0].shape if len(specs) == 1 else broadcast(*[s.shape for s in specs])
        return Spec(shape, self.loop([s.dtype for s in specs])[1])

    def undifferentiable(self, position: int, attrs: Attrs) -> NotDifferentiable | None:
        partial = self.partials[position]
        return partial if isinstance(partial, NotDifferentiable) else None

    def passes(self, position: int, attrs: tuple[tuple[str, Any], ...]) -> bool:
        return not isinstance(self.partials[position], NotDifferentiable)

    def local(self, position: int, out: Expr, args: Sequence[Expr]) -> Any:
        """∂y/∂x at ``position`` as an Expr or a number: what explanations print is this line."""
        partial = self.partials[position]
        assert not isinstance(partial, NotDifferentiable)
        return partial(out, *args) if callable(partial) else partial

    def pull_one(self, position: int, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs) -> Cotangent:
        return unbroadcast(chain(ct, self.local(position, out, args)), args[position].shape)

    def pushforward(self, tangents: Sequence[Cotangent], out: Any, args: Sequence[Expr], attrs: Attrs) -> Any:
        total: Cotangent = None
        for position, tangent in enumerate(tangents):
            if tangent is None or self.undifferentiable(position, attrs):
                continue
            term = chain(tangent, self.local(position, out, args))
            total = term if total is None else total + term
        return None if total is None else broadcast_to(total, out.shape)

    def batch(self, args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
        return self(*align(args, batched), **attrs)


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Op):
    """Linear in the arguments from ``first`` up to (not with) ``last`` (None: to the end), taken together.

    ``transpose(ct, position, args, **attrs)`` is the cotangent of the argument at ``position``.
    ``batching(args, batched, size, attrs)`` is the batching rule, ``shape_rule(*specs, **attrs)`` the shape rule.
    """

    transpose: Callable[..., Any] = field(kw_only=True)
    shape_rule: Callable[..., Any] = field(kw_only=True)
    batching: Callable[..., Any] = field(kw_only=True)
    first: int = field(default=0, kw_only=True)
    last: int | None = field(default=None, kw_only=True)
    kind: ClassVar[str] = "linear"

    def _is_linear(self, position: int) -> bool:
        return position >= self.first and (self.last is None or position < self.last)

    def infer(self, specs: Sequence[Spec], attrs: Attrs) -> Any:
        return self.shape_rule(*specs, **attrs)

    def undifferentiable(self, position: int, attrs: Attrs) -> NotDifferentiable | None:
        return None if self._is_linear(position) else INTEGER_VALUED

    def pull_one(self, position: int, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs) -> Cotangent:
        found: Cotangent = self.transpose(ct, position, args, **attrs)
        return found

    def pushforward(self, tangents: Sequence[Cotangent], out: Any, args: Sequence[Expr], attrs: Attrs) -> Any:
        filled = [
            (zeros_like(arg) if tangent is None else tangent) if self._is_linear(position) else arg
            for position, (arg, tangent) in enumerate(zip(args, tangents, strict=True))
        ]
        return self(*filled, **attrs)

    def batch(self, args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
        return self.batching(args, batched, size, attrs)


@dataclass(frozen=True, eq=False, repr=False)
class Bilinear(Op):
    """Linear in each of its two arguments; ``transposes[i](ct, x, y, **attrs)`` is the cotangent of argument i."""

    transposes: tuple[Callable[..., Any], Callable[..., Any]] = field(kw_only=True)
    shape_rule: Callable[..., Any] = field(kw_only=True)
    batching: Callable[..., Any] = field(kw_only=True)
    kind: ClassVar[str] = "bilinear"

    def infer(self, specs: Sequence[Spec], attrs: Attrs) -> Any:
        return self.shape_rule(*specs, **attrs)

    def undifferentiable(self, position: int, attrs: Attrs) -> NotDifferentiable | None:
        return None

    def pull_one(self, position: int, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs) -> Cotangent:
        found: Cotangent = self.transposes[position](ct, *args, **attrs)
        return found

    def pushforward(self, tangents: Sequence[Cotangent], out: Any, args: Sequence[Expr], attrs: Attrs) -> Any:
        terms = []
        if tangents[0] is not None:
            terms.append(self(tangents[0], args[1], **attrs))
        if tangents[1] is not None:
            terms.append(self(args[0], tangents[1], **attrs))
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def batch(self, args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
        return self.batching(args, batched, size, attrs)


@dataclass(frozen=True, eq=False, repr=False)
class Custom(Op):
    """Everything is said explicitly; ``vjp`` and ``jvp`` may be the stated NotDifferentiable instead.

    ``vjp(ct, out, args, wanted, **attrs)`` returns a list of cotangents; ``jvp(tangents, out, args, **attrs)`` the
    tangent.  For an op with several outputs, ``ct`` and ``out`` are tuples and a missing cotangent is None.
    ``integer_args`` are positions without a derivative (indices, keys).
    """

    shape_rule: Callable[..., Any] = field(kw_only=True)
    vjp: Callable[..., Any] | NotDifferentiable = field(kw_only=True)
    jvp: Callable[..., Any] | NotDifferentiable = field(kw_only=True)
    batching: Callable[..., Any] = field(kw_only=True)
    integer_args: tuple[int, ...] = field(default=(), kw_only=True)
    kind: ClassVar[str] = "custom"

    def infer(self, specs: Sequence[Spec], attrs: Attrs) -> Any:
        return self.shape_rule(*specs, **attrs)

    def undifferentiable(self, position: int, attrs: Attrs) -> NotDifferentiable | None:
        if position in self.integer_args:
            return INTEGER_VALUED
        return self.vjp if isinstance(self.vjp, NotDifferentiable) else None

    def pullback(
        self, ct: Any, out: Any, args: Sequence[Expr], attrs: Attrs, wanted: Sequence[bool]
    ) -> Sequence[Cotangent]:
        assert not isinstance(self.vjp, NotDifferentiable)
        found: Sequence[Cotangent] = self.vjp(ct, out, args, wanted, **attrs)
        return found

    def pushforward(self, tangents: Sequence[Cotangent], out: Any, args: Sequence[Expr], attrs: Attrs) -> Any:
        return None if isinstance(self.jvp, NotDifferentiable) else self.jvp(tangents, out, args, **attrs)

    def batch(self, args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
        return self.batching(args, batched, size, attrs)


# What the derivations above are written in.  The ops themselves are recorded in their families' files.


def op(name: str) -> Op:
    """The op recorded under ``name``; a rule may name one that is recorded later."""
    return CATALOGUE[name]


def chain(ct: Expr, partial: Any) -> Any:
    """The chain rule's product, cotangent × local derivative; a zero cotangent gives zero (see ``chain_mul``)."""
    if isinstance(partial, (int, float)):
        if partial in (0, 1, -1):
            return zeros_like(ct) if partial == 0 else ct if partial == 1 else -ct
        return ct * partial
    if constant_of(partial) is not None:
        return ct * partial
    return op("chain_mul")(ct, partial)


def zeros_like(x: Expr) -> Expr:
    """Zeros of the shape and dtype of ``x``, as a line of the same graph."""
    return full(x.builder, x.shape, 0, x.dtype)


def constant_of(x: Expr) -> Any:
    """The value of a line that is a scalar constant of the graph, else None."""
    line = x.builder.lines[x.index]
    return line.attrs[0][1].array[()] if line.op.name == "constant" and not line.spec.shape else None


def full(builder: Any, shape: tuple[int, ...], value: Any, dtype: Any) -> Expr:
    """A constant array of one value, held as a scalar line broadcast to ``shape``."""
    return broadcast_to(builder.constant(np.asarray(value, dtype)), shape)


def broadcast_to(x: Expr, shape: tuple[int, ...]) -> Expr:
    """``x`` broadcast to ``shape``; ``x`` itself where the shape is the same."""
    return x if x.shape == shape else op("broadcast_to")(x, shape=tuple(shape))


def reshape(x: Expr, shape: tuple[int, ...]) -> Expr:
    """``x`` in another shape; ``x`` itself where the shape is the same."""
    return x if x.shape == shape else op("reshape")(x, shape=tuple(shape))


def transpose(x: Expr, axes: Sequence[int]) -> Expr:
    """``x`` with its axes in the order ``axes``; ``x`` itself where that changes nothing."""
    return x if tuple(axes) == tuple(range(len(axes))) else op("transpose")(x, axes=tuple(axes))


def move_axis(x: Expr, source: int, destination: int) -> Expr:
    """``x`` with axis ``source`` (counted from 0) at ``destination``."""
    order = [i for i in range(x.ndim) if i != source]
    order.insert(destination, source)
    return transpose(x, order)


def sum_over(x: Expr, axes: Sequence[int], keepdims: bool = False) -> Expr:
    """The sum over ``axes``; ``x`` itself where there are none."""
    return op("sum")(x, axes=tuple(axes), keepdims=keepdims) if axes else x


def unbroadcast(ct: Expr, shape: tuple[int, ...]) -> Expr:
    """The transpose of broadcasting from ``shape``: the sum over every axis that was stretched."""
    if ct.shape == shape:
        return ct
    lead = ct.ndim - len(shape)
    if lead < 0:
        return broadcast_to(ct, shape)
    stretched = [lead + i for i, n in enumerate(shape) if n == 1 and ct.shape[lead + i] != 1]
    return reshape(sum_over(ct, [*range(lead), *stretched]), shape)


def align(args: Sequence[Expr], batched: Sequence[bool]) -> list[Expr]:
    """Arguments of a broadcasting op with ones put behind the batch axis, so that the other axes still line up."""
    rank = max(a.ndim - b for a, b in zip(args, batched, strict=True))
    return [
        reshape(a, (a.shape[0], *([1] * (rank - a.ndim + 1)), *a.shape[1:])) if b else a
        for a, b in zip(args, batched, strict=True)
    ]


def batch_all(args: Sequence[Expr], batched: Sequence[bool], size: int) -> list[Expr]:
    """Arguments that all have the batch axis: those without it are broadcast along it."""
    return [a if b else broadcast_to(a, (size, *a.shape)) for a, b in zip(args, batched, strict=True)]


def differentiable_output(spec: Any) -> bool:
    """Whether any output of a line of this Spec can carry a cotangent."""
    return is_differentiable(spec.dtype) if isinstance(spec, Spec) else any(is_differentiable(s.dtype) for s in spec)
