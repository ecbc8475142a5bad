"""Bad input to vmap and jit: the whole message, with the user's line."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from bad_input import Row, check
from chainrule.base.errors import DtypeError, OptionError, ShapeError, TraceError

X = np.array([1.0, 2.0, 3.0])


ROWS: dict[str, Row] = {
    # vmap
    "vmap sizes": (
        ShapeError,
        lambda: cr.vmap(lambda a, b: a * b)(X, np.ones(2)),
        "vmap: the batch sizes differ\n"
        "  expected: one size\n"
        "  got: 3 (shape (3,)), 2 (shape (2,))\n"
        "  where: HERE\n"
        "  what to do: pass arguments of one batch size, or None in in_axes for what has no batch",
    ),
    "vmap none": (
        ShapeError,
        lambda: cr.vmap(np.sin, in_axes=None)(X),
        "vmap: no argument has a batch axis\n"
        "  expected: at least one axis that is not None\n"
        "  got: none\n"
        "  where: HERE\n"
        "  what to do: give an axis in in_axes",
    ),
    "vmap rank": (
        ShapeError,
        lambda: cr.vmap(np.sin)(1.0),
        "vmap: an argument has no such axis\n"
        "  expected: in_axes within shape ()\n"
        "  got: 0\n"
        "  where: HERE\n"
        "  what to do: correct in_axes, or pass None for what has no batch",
    ),
    "vmap axis": (
        ShapeError,
        lambda: cr.vmap(np.sin, in_axes=1)(X),
        "vmap: an argument has no such axis\n"
        "  expected: in_axes within shape (3,)\n"
        "  got: 1\n"
        "  where: HERE\n"
        "  what to do: correct in_axes, or pass None for what has no batch",
    ),
    "vmap axes count": (
        ShapeError,
        lambda: cr.vmap(np.sin, in_axes=(0, 0))(X),
        "vmap: in_axes must name an axis for each argument\n"
        "  expected: 1 axes\n"
        "  got: (0, 0)\n"
        "  where: HERE\n"
        "  what to do: pass an int, or one entry per argument",
    ),
    "vmap prefix": (
        ShapeError,
        lambda: cr.vmap(lambda t: t["a"], in_axes=({"b": 0},))({"a": X}),
        "vmap: in_axes does not fit\n"
        "  expected: an int, None, or a tree prefix of them\n"
        "  got: {'b': 0}\n"
        "  where: HERE\n"
        "  what to do: give in_axes the structure of what it describes",
    ),
    "vmap word": (
        ShapeError,
        lambda: cr.vmap(np.sin, in_axes="0")(X),
        "vmap: in_axes does not fit\n"
        "  expected: an int, None, or a tree prefix of them\n"
        "  got: '0'\n"
        "  where: HERE\n"
        "  what to do: give in_axes the structure of what it describes",
    ),
    "vmap bool": (
        ShapeError,
        lambda: cr.vmap(np.sin, in_axes=True)(X),
        "vmap: in_axes does not fit\n"
        "  expected: an int, None, or a tree prefix of them\n"
        "  got: True\n"
        "  where: HERE\n"
        "  what to do: give in_axes the structure of what it describes",
    ),
    "vmap out": (
        ShapeError,
        lambda: cr.vmap(np.sin, out_axes=None)(X),
        "vmap: out_axes is None for a result that depends on the batch\n"
        "  expected: an axis for it\n"
        "  got: None\n"
        "  where: HERE\n"
        "  what to do: give the axis, or reduce the result over the batch outside of vmap",
    ),
    "vmap out axis": (
        ShapeError,
        lambda: cr.vmap(np.sin, out_axes=1)(X),
        "vmap: a result has no such axis\n"
        "  expected: -1 <= out_axes < 1\n"
        "  got: 1\n"
        "  where: HERE\n"
        "  what to do: choose an axis of the batched result",
    ),
    "vmap out prefix": (
        ShapeError,
        lambda: cr.vmap(np.sin, out_axes=(0, 0))(X),
        "vmap: out_axes does not fit\n"
        "  expected: an int, None, or a tree prefix of them\n"
        "  got: (0, 0)\n"
        "  where: HERE\n"
        "  what to do: give out_axes the structure of what it describes",
    ),
    # jit
    "jit argument": (
        DtypeError,
        lambda: cr.jit(lambda v, name: v)(X, "a"),
        "jit: an argument of <lambda>: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U1\n"
        "  where: HERE\n"
        "  what to do: name it in static_argnums",
    ),
    "jit static": (
        TraceError,
        lambda: cr.jit(lambda v, k: v, static_argnums=1)(X, [1]),
        "jit: a static argument is not hashable\n"
        "  expected: numbers, strings, tuples or functions as static arguments\n"
        "  got: list\n"
        "  where: HERE\n"
        "  what to do: pass arrays and trees as ordinary arguments",
    ),
    "jit position": (
        OptionError,
        lambda: cr.jit(lambda v: v, donate_argnums=1)(X),
        "jit: donate_argnums names an argument that was not given\n"
        "  expected: -1 <= donate_argnums < 1\n"
        "  got: 1\n"
        "  where: HERE\n"
        "  what to do: pass the argument by position, or correct donate_argnums",
    ),
    "jit both": (
        OptionError,
        lambda: cr.jit(lambda v: v, donate_argnums=0, static_argnums=-1)(1.0),
        "jit: an argument is both static and donated\n"
        "  expected: donate_argnums of array arguments\n"
        "  got: argument 0 in both\n"
        "  where: HERE\n"
        "  what to do: take it out of one of them",
    ),
    "jit no int": (
        OptionError,
        lambda: cr.jit(lambda v: v, static_argnums="v"),
        "jit: static_argnums is not a position\n"
        "  expected: an int, or a tuple of ints\n"
        "  got: 'v'\n"
        "  where: HERE\n"
        "  what to do: count arguments from 0",
    ),
    "jit result": (
        DtypeError,
        lambda: cr.jit(lambda v: "a")(X),
        "a result of <lambda>: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U1\n"
        "  where: HERE\n"
        "  what to do: return arrays and numbers, or trees of them",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_bad_input(name: str) -> None:
    check(ROWS[name])
