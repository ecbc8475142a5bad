"""The form of every optimizer: two pure functions and a state that is a tree of arrays.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = apply_updates(params, updates)

This is the design of optax (DeepMind, 2020).  A gradient transformation and an optimizer are the same thing; ``chain``
puts them in a row, and an optimizer ends with the factor -learning_rate.  All of it is plain NumPy code on leaves, so a
step is traced and compiled like any function.

Trees: ``None`` is an empty subtree (a layer without bias), so it has no gradient, no state and no update; a tree
without leaves is legal.  Leaves keep shape and dtype; counts are 0-d int64 arrays, so a state can be saved as it is.

Does not do: sparse gradients, closures that evaluate the loss again (line searches), different options per group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import DtypeError, OptionError, ShapeError, TreeError

Array = Any
Params = Any
State = Any
Schedule = Callable[[Array], Array]
LearningRate = float | Schedule

Init = Callable[[Params], State]
Update = Callable[[Params, State, Params | None], tuple[Params, State]]


class Optimizer:
    """A pair ``init(params) -> state`` and ``update(grads, state, params=None) -> (updates, state)``.

    ``update`` raises :class:`TreeError` where ``grads`` do not have the structure of ``params`` and
    :class:`ShapeError`, naming the leaf, where shapes differ.
    """

    __slots__ = ("_update", "init")

    def __init__(self, init: Init, update: Update) -> None:
        self.init = init
        self._update = update

    def update(self, grads: Params, state: State, params: Params | None = None) -> tuple[Params, State]:
        """The updates to add to ``params``, and the next state.  Neither argument is changed."""
        if params is not None:
            check_match("grads", grads, "params", params, "optimizer.update")
        return self._update(grads, state, params)


class Empty(NamedTuple):
    """The state of a transformation that keeps none."""


def stateless(transform: Callable[[Params, Params | None], Params]) -> Optimizer:
    """The transformation ``updates = transform(grads, params)`` without a state."""
    return Optimizer(lambda params: Empty(), lambda grads, state, params: (transform(grads, params), state))


def chain(*steps: Optimizer) -> Optimizer:
    """Transformations one after the other: each gets the updates of the one before.  State: a tuple of their states."""

    def init(params: Params) -> State:
        return tuple(step.init(params) for step in steps)

    def update(grads: Params, state: State, params: Params | None) -> tuple[Params, State]:
        if len(state) != len(steps):
            raise TreeError(
                "this state is not of this chain of transformations",
                expected=f"{len(steps)} states",
                got=f"{len(state)}",
                where="optim.chain",
                fix="make it with optimizer.init(params)",
            )
        after = []
        for step, before in zip(steps, state, strict=True):
            grads, new = step._update(grads, before, params)
            after.append(new)
        return grads, tuple(after)

    return Optimizer(init, update)


def apply_updates(params: Params, updates: Params) -> Params:
    """``params + updates``, leaf by leaf, each in the dtype of the parameter.

    Raises :class:`TreeError` where the structures differ and :class:`ShapeError` where the shapes do;
    :class:`DtypeError` for integer parameters, where an update would be rounded away.
    """
    check_match("updates", updates, "params", params, "optim.apply_updates")
    for path, leaf in zip(trees.paths(params), trees.leaves(params), strict=True):
        if np.dtype(getattr(leaf, "dtype", np.float64)).kind not in "fc":
            raise DtypeError(
                "only floating-point parameters can be updated" + (f", not {path}" if path else ""),
                expected="float32 or float64",
                got=str(leaf.dtype),
                where="optim.apply_updates",
                fix="keep integers out of the parameters, or make the field static",
            )
    return trees.map(lambda p, u: array(like(p + u, p)), params, updates)


# What the transformations are written in


def zeros(params: Params) -> Params:
    """Zeros of the shape and dtype of each leaf."""
    return trees.map(np.zeros_like, params)


def count_zero() -> Array:
    """A step count: a 0-d int64 array."""
    return np.zeros((), np.int64)


def next_count(count: Array) -> Array:
    """The step count after one more step."""
    return array(count + 1)


def like(value: Array, leaf: Array) -> Array:
    """``value`` in the dtype of ``leaf``: a 0-d float64 array would turn a float32 leaf into float64."""
    dtype = getattr(leaf, "dtype", None)
    return value if dtype is None or getattr(value, "dtype", dtype) == dtype else value.astype(dtype)


def array(value: Array) -> Array:
    """``value`` as an array where NumPy arithmetic on 0-d arrays made a scalar of it."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def mapped(f: Callable[..., tuple[Array, ...]], outputs: int, *columns: Params) -> tuple[Params, ...]:
    """``f`` on corresponding leaves, giving ``outputs`` trees instead of one tree of tuples."""
    firsts, structure = trees.flatten(columns[0])
    rows = [f(*row) for row in zip(firsts, *(leaves_of(c, structure) for c in columns[1:]), strict=True)]
    return tuple(trees.unflatten(structure, [array(row[i]) for row in rows]) for i in range(outputs))


def leaves_of(tree: Params, structure: trees.Structure) -> list[Array]:
    """The leaves of ``tree``.  Raises :class:`TreeError` unless its structure is ``structure``, the gradients'."""
    leaves, found = trees.flatten(tree)
    if found != structure:
        raise TreeError(
            "gradients and optimizer state have different structures",
            expected=structure,
            got=found,
            where="optimizer.update",
            fix="make the state with optimizer.init(params) from the params you differentiate",
        )
    return leaves


def need_params(params: Params | None, name: str) -> Params:
    """``params``; raises :class:`OptionError` where they were left out."""
    if params is None:
        raise OptionError(
            f"{name} needs the parameters",
            expected="update(grads, state, params)",
            got="update(grads, state)",
            where=f"optim.{name}",
            fix="pass the parameters as the third argument",
        )
    return params


def check_match(name: str, tree: Params, other_name: str, other: Params, where: str) -> None:
    """Two trees of one structure whose leaves have equal shapes."""
    leaves, structure = trees.flatten(tree)
    others, expected = trees.flatten(other)
    if structure != expected:
        raise TreeError(
            f"{name} and {other_name} have different structures",
            expected=expected,
            got=structure,
            where=where,
            fix=f"pass {name} of the same {other_name}",
        )
    for index, (leaf, parameter) in enumerate(zip(leaves, others, strict=True)):
        if np.shape(leaf) != np.shape(parameter):
            path = trees.paths(other)[index]
            raise ShapeError(
                f"{name} and {other_name} have different shapes" + (f" at {path}" if path else ""),
                expected=np.shape(parameter),
                got=np.shape(leaf),
                where=where,
                fix=f"pass {name} of the same {other_name}",
            )


def number(name: str, value: Any, where: str, *, least: float = 0.0, below: float | None = None) -> None:
    """Checks least <= value (< below).  Raises :class:`OptionError`, also for NaN and for what is not a number."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if real and value >= least and (below is None or value < below) and value < float("inf"):
        return
    span = f"{name} >= {least:g}" if below is None else f"{least:g} <= {name} < {below:g}"
    raise OptionError(
        f"{name} is out of range",
        expected=span,
        got=repr(value),
        where=f"optim.{where}",
        fix=f"pass a number with {span}",
    )
