"""Bad input to derivatives, and code that can't be traced: the whole message, with the user's line."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from bad_input import Row, check
from chainrule.base.errors import (
    DtypeError,
    LeakedSymbolError,
    NotDifferentiableError,
    OptionError,
    ShapeError,
    TraceError,
    TreeError,
)


@dataclasses.dataclass
class Named:
    """A layer whose name is, by mistake, a child like its weight."""

    weight: float
    name: str = "layer"


X = np.array([1.0, 2.0, 3.0])
N = np.arange(3)


def leak() -> Any:
    """A Symbol that outlives its function."""
    kept: list[Any] = []
    cr.grad(lambda v: kept.append(v) or np.sum(v))(X)
    return kept[0]


pullback = cr.vjp(lambda v: {"y": v * 2}, X)[1]


# Texts of more than one row.
NEEDS_A_VALUE = (
    "this needs the value of a Symbol that has none\n"
    "  expected: code whose path does not depend on values: under jit, vmap and inside loops there are none\n"
    "  got: a Symbol bool[]\n"
    "  where: HERE\n"
    "  what to do: np.where for a choice by element; cr.cond for a branch; cr.scan, cr.fori_loop or "
    "cr.while_loop for a loop; static_argnums for arguments that are plain Python values"
)
LEAKED = (
    "a Symbol was used after the function that made it returned\n"
    "  expected: Symbols used only while the traced function runs\n"
    "  got: a Symbol of the finished trace of <lambda>\n"
    "  where: HERE\n"
    "  what to do: return the value from the function (has_aux=True carries extra results) instead of "
    "storing it outside"
)
LOSES_THE_GRADIENT = (
    "float() would turn a traced value into a plain number and lose its gradient\n"
    "  expected: NumPy functions that keep tracing\n"
    "  got: a Symbol f64[]\n"
    "  where: HERE\n"
    "  what to do: np.stack or np.concatenate to join values; np.array([...], like=x), np.zeros_like(x), "
    "np.full_like(x, …) to make arrays; NumPy's functions instead of math's; cr.stop_gradient(x) where no "
    "gradient is wanted"
)

ROWS: dict[str, Row] = {
    # grad
    "array result": (
        ShapeError,
        lambda: cr.grad(np.sin)(X),
        "grad needs a scalar result, and sin returns an array\n"
        "  expected: a scalar, shape ()\n"
        "  got: shape (3,)\n"
        "  where: HERE\n"
        "  what to do: reduce it (.sum() or .mean()), or use cr.jacobian or cr.vjp",
    ),
    "two results": (
        ShapeError,
        lambda: cr.grad(lambda v: (v[0], v[1]))(X),
        "grad needs a function with one scalar result, and <lambda> returns something else\n"
        "  expected: one scalar\n"
        "  got: a tree of 2 arrays\n"
        "  where: HERE\n"
        "  what to do: return the loss alone, or (loss, others) with has_aux=True",
    ),
    "no result": (
        ShapeError,
        lambda: cr.grad(lambda v: None)(X),
        "grad needs a function with one scalar result, and <lambda> returns something else\n"
        "  expected: one scalar\n"
        "  got: nothing, or None\n"
        "  where: HERE\n"
        "  what to do: return the loss alone, or (loss, others) with has_aux=True",
    ),
    "integer result": (
        NotDifferentiableError,
        lambda: cr.grad(lambda v: np.argmax(v))(X),
        "grad needs a result of float dtype, and <lambda> returns int64\n"
        "  expected: float32 or float64\n"
        "  got: int64\n"
        "  where: HERE\n"
        "  what to do: return a float; for complex results use cr.vjp, or take the real part or the absolute "
        "value",
    ),
    "complex result": (
        NotDifferentiableError,
        lambda: cr.grad(lambda z: z * z)(1j),
        "grad needs a result of float dtype, and <lambda> returns complex128\n"
        "  expected: float32 or float64\n"
        "  got: complex128\n"
        "  where: HERE\n"
        "  what to do: return a float; for complex results use cr.vjp, or take the real part or the absolute "
        "value",
    ),
    "string result": (
        DtypeError,
        lambda: cr.grad(lambda v: "loss")(X),
        "a result of <lambda>: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U4\n"
        "  where: HERE\n"
        "  what to do: return arrays and numbers, or trees of them",
    ),
    "integer argument": (
        NotDifferentiableError,
        lambda: cr.grad(np.sum)(N),
        "grad with respect to an argument that is not of float dtype\n"
        "  expected: a of a float or complex dtype\n"
        "  got: a of dtype int64\n"
        "  where: HERE\n"
        "  what to do: pass it as a float (2.0, not 2; x.astype(float)), or choose other argnums than a's",
    ),
    "integer leaf": (
        NotDifferentiableError,
        lambda: cr.grad(lambda t: t["a"][0])({"a": [1.0, 2]}),
        "grad with respect to an argument that is not of float dtype\n"
        "  expected: t['a'][1] of a float or complex dtype\n"
        "  got: t['a'][1] of dtype int64\n"
        "  where: HERE\n"
        "  what to do: pass it as a float (2.0, not 2; x.astype(float)), or choose other argnums than t['a'][1]'s",
    ),
    "bool argument": (
        NotDifferentiableError,
        lambda: cr.value_and_grad(lambda flag: flag * 1.0)(True),
        "grad with respect to an argument that is not of float dtype\n"
        "  expected: flag of a float or complex dtype\n"
        "  got: flag of dtype bool\n"
        "  where: HERE\n"
        "  what to do: pass it as a float (2.0, not 2; x.astype(float)), or choose other argnums than flag's",
    ),
    "huge integer": (
        DtypeError,
        lambda: cr.grad(lambda v: v * 1.0)(10**30),
        "grad: argument v: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: int of dtype object\n"
        "  where: HERE\n"
        "  what to do: pass an array of numbers",
    ),
    "no argument": (
        TreeError,
        lambda: cr.grad(lambda v: v * 1.0)(),
        "grad: argnums names an argument that was not given\n"
        "  expected: at least one positional argument\n"
        "  got: 0\n"
        "  where: HERE\n"
        "  what to do: pass the argument by position instead of by keyword, or correct argnums",
    ),
    "argnums too far": (
        TreeError,
        lambda: cr.grad(lambda v: v * 1.0, argnums=1)(2.0),
        "grad: argnums names an argument that was not given\n"
        "  expected: -1 <= argnums < 1\n"
        "  got: 1\n"
        "  where: HERE\n"
        "  what to do: pass the argument by position instead of by keyword, or correct argnums",
    ),
    "argnums twice": (
        OptionError,
        lambda: cr.grad(lambda a, b: a * b, argnums=(0, -2))(2.0, 3.0),
        "grad: argnums names an argument twice\n"
        "  expected: distinct positions\n"
        "  got: (0, -2)\n"
        "  where: HERE\n"
        "  what to do: name each argument once",
    ),
    "argnums no int": (
        OptionError,
        lambda: cr.grad(lambda v: v, argnums="v")(2.0),
        "grad: argnums is not a position\n"
        "  expected: an int, or a tuple of ints\n"
        "  got: 'v'\n"
        "  where: HERE\n"
        "  what to do: count arguments from 0",
    ),
    "no aux": (
        TraceError,
        lambda: cr.grad(lambda v: v * 2, has_aux=True)(2.0),
        "<lambda> must return (output, aux) because has_aux=True\n"
        "  expected: a pair\n"
        "  got: Symbol\n"
        "  where: HERE\n"
        "  what to do: return a pair, or leave has_aux out",
    ),
    "object array": (
        DtypeError,
        lambda: cr.grad(np.sum)(np.array([1.0, None])),
        "grad: argument a: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: ndarray of dtype object\n"
        "  where: HERE\n"
        "  what to do: pass an array of numbers",
    ),
    "masked array": (
        DtypeError,
        lambda: cr.grad(np.sum)(np.ma.masked_array([1.0, 2.0], [0, 1])),
        "grad: argument a: a masked array is not a plain array\n"
        "  expected: a numpy.ndarray\n"
        "  got: MaskedArray\n"
        "  where: HERE\n"
        "  what to do: pass x.data and the mask apart, and choose with np.where",
    ),
    "matrix": (
        DtypeError,
        lambda: cr.grad(np.sum)(np.ones(2).view(np.matrix)),
        "grad: argument a: a np.matrix is not a plain array\n"
        "  expected: a numpy.ndarray\n"
        "  got: matrix\n"
        "  where: HERE\n"
        "  what to do: pass np.asarray(x)",
    ),
    "a setting in a dataclass": (
        DtypeError,
        lambda: cr.grad(lambda layer: layer.weight)(Named(2.0)),
        "grad: argument layer.name: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U5\n"
        "  where: HERE\n"
        "  what to do: pass an array of numbers; a setting of a dataclass is a field of chainrule.static()",
    ),
    "string": (
        DtypeError,
        lambda: cr.grad(lambda v: v)("2.0"),
        "grad: argument v: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U3\n"
        "  where: HERE\n"
        "  what to do: pass an array of numbers",
    ),
    # shapes
    "add": (
        ShapeError,
        lambda: cr.grad(lambda v: np.sum(v + np.ones(4)))(X),
        "add: shapes do not broadcast together\n"
        "  expected: sizes that are equal, or 1, in every axis counted from the last\n"
        "  got: (3,) and (4,)\n"
        "  where: HERE\n"
        "  what to do: reshape one of them, or give it axes of size 1 (x[:, None]), so that the sizes line up",
    ),
    "matrix @ vector": (
        ShapeError,
        lambda: cr.grad(lambda v: np.sum(np.ones((2, 4)) @ v))(X),
        "matmul: the inner sizes of a matrix product differ\n"
        "  expected: (…, n, k) @ (k,); here k = 4 from the left\n"
        "  got: (2, 4) @ (3,)\n"
        "  where: HERE\n"
        "  what to do: transpose or reshape one of the two so that the inner sizes agree",
    ),
    "a number's format without a number": (
        TraceError,
        lambda: cr.jit(lambda v: f"{v:.3f}")(1.0),
        "the format '.3f' needs the value of a Symbol that has none\n"
        "  expected: a format of text: under jit, vmap and inside loops there are no values\n"
        "  got: Symbol(f64[])\n"
        "  where: HERE\n"
        "  what to do: print it without a format (its shape and dtype), or print the result outside",
    ),
    "check_grads to order 0": (
        OptionError,
        lambda: cr.check_grads(np.sin, (1.0,), order=0),
        "check_grads has nothing to check\n"
        "  expected: order of 1 or more, and a mode\n"
        "  got: order=0, modes=('rev', 'fwd')\n"
        "  where: HERE\n"
        "  what to do: leave them out: order=2, modes=('rev', 'fwd')",
    ),
    "where": (
        ShapeError,
        lambda: cr.grad(lambda v: np.sum(np.where(np.ones(2, bool), v, 0.0)))(X),
        "where: shapes do not broadcast together\n"
        "  expected: sizes that are equal, or 1, in every axis counted from the last\n"
        "  got: (2,) and (3,) and ()\n"
        "  where: HERE\n"
        "  what to do: reshape one of them, or give it axes of size 1 (x[:, None]), so that the sizes line up",
    ),
    "broadcast_to": (
        ShapeError,
        lambda: cr.grad(lambda v: np.sum(np.broadcast_to(v, (3, 2))))(X),
        "broadcast_to: shapes do not broadcast together\n"
        "  expected: sizes that are equal, or 1, in every axis counted from the last\n"
        "  got: (3,) and (3, 2)\n"
        "  where: HERE\n"
        "  what to do: reshape one of them, or give it axes of size 1 (x[:, None]), so that the sizes line up",
    ),
    # tracing
    "if": (
        TraceError,
        lambda: cr.jit(lambda v: v if v[0] > 0 else -v)(X),
        NEEDS_A_VALUE,
    ),
    "if vmap": (
        TraceError,
        lambda: cr.vmap(lambda v: v if v > 0 else -v)(X),
        NEEDS_A_VALUE,
    ),
    "while": (
        TraceError,
        lambda: cr.scan(lambda c, v: (c if c > 0 else v, None), 0.0, X),
        NEEDS_A_VALUE,
    ),
    "leak use": (
        LeakedSymbolError,
        lambda: leak() + 1.0,
        LEAKED,
    ),
    "leaked float": (
        LeakedSymbolError,
        lambda: float(leak()),
        LEAKED,
    ),
    "leak trace": (
        LeakedSymbolError,
        lambda: cr.grad(lambda v: np.sum(v * leak()))(X),
        LEAKED,
    ),
    "leak bool": (
        LeakedSymbolError,
        lambda: bool(leak()),
        LEAKED,
    ),
    "plain ndarray": (
        TraceError,
        lambda: cr.grad(lambda v: np.ones(3).__setitem__(0, v[0]))(X),
        LOSES_THE_GRADIENT,
    ),
    "float()": (
        TraceError,
        lambda: cr.grad(lambda v: float(v[0]) * 2)(X),
        LOSES_THE_GRADIENT,
    ),
    "index of array": (
        TraceError,
        lambda: cr.fori_loop(0, 3, lambda i, c: c + X[i], 0.0),
        "converting to a plain ndarray needs the value of a Symbol that has none\n"
        "  expected: NumPy functions that keep tracing: under jit, vmap and inside loops there are no values\n"
        "  got: a Symbol i64[]\n"
        "  where: HERE\n"
        "  what to do: np.array(table, like=i)[i] indexes a plain array by a Symbol i; sizes must be plain "
        "integers",
    ),
    "range jit": (
        TraceError,
        lambda: cr.jit(lambda i: sum(range(i)))(3),
        "using it as an index needs the value of a Symbol that has none\n"
        "  expected: NumPy functions that keep tracing: under jit, vmap and inside loops there are no values\n"
        "  got: a Symbol i64[]\n"
        "  where: HERE\n"
        "  what to do: np.array(table, like=i)[i] indexes a plain array by a Symbol i; sizes must be plain "
        "integers",
    ),
    # cotangents and tangents
    "cotangent tree": (
        TreeError,
        lambda: pullback(X),
        "the cotangent has another structure than the output\n"
        "  expected: PyTreeSpec({'y': *})\n"
        "  got: PyTreeSpec(*)\n"
        "  where: HERE\n"
        "  what to do: pass a tree like the output",
    ),
    "cotangent shape2": (
        ShapeError,
        lambda: pullback({"y": np.ones(2)}),
        "the cotangent has another shape than the output\n"
        "  expected: (3,)\n"
        "  got: (2,)\n"
        "  where: HERE\n"
        "  what to do: pass a cotangent of the shape of the output",
    ),
    "cotangent complex": (
        DtypeError,
        lambda: pullback({"y": X * 1j}),
        "the cotangent is complex and the output is real\n"
        "  expected: float64\n"
        "  got: complex128\n"
        "  where: HERE\n"
        "  what to do: pass its real part",
    ),
    "cotangent string": (
        DtypeError,
        lambda: pullback({"y": "a"}),
        "the cotangent: not a numeric array\n"
        "  expected: an array or scalar of bool, integer, float or complex dtype\n"
        "  got: str of dtype <U1\n"
        "  where: HERE\n"
        "  what to do: pass an array of numbers",
    ),
    "tangent tree": (
        TreeError,
        lambda: cr.jvp(lambda t: t[0] * 2, ([X],), ((X,),)),
        "the tangent has another structure than its primal\n"
        "  expected: PyTreeSpec([*])\n"
        "  got: PyTreeSpec((*,))\n"
        "  where: HERE\n"
        "  what to do: pass a tree like its primal",
    ),
    "tangent shape": (
        ShapeError,
        lambda: cr.jvp(np.sin, (X,), (1.0,)),
        "the tangent has another shape than its primal\n"
        "  expected: (3,)\n"
        "  got: ()\n"
        "  where: HERE\n"
        "  what to do: pass a tangent of the shape of its primal",
    ),
    "tangent complex": (
        DtypeError,
        lambda: cr.jvp(np.sin, (X,), (X * 1j,)),
        "the tangent is complex and its primal is real\n"
        "  expected: float64\n"
        "  got: complex128\n"
        "  where: HERE\n"
        "  what to do: pass its real part",
    ),
    "tangent count": (
        TreeError,
        lambda: cr.jvp(np.sin, (X,), ()),
        "jvp needs a tangent for each primal\n"
        "  expected: 1 tangents\n"
        "  got: 0\n"
        "  where: HERE\n"
        "  what to do: pass primals and tangents as tuples of one length",
    ),
    "no tuple jvp": (
        TreeError,
        lambda: cr.jvp(np.sin, X, X),
        "jvp: primals is not a tuple\n"
        "  expected: one entry per argument of the function\n"
        "  got: ndarray\n"
        "  where: HERE\n"
        "  what to do: write (x,) for one argument",
    ),
    "jvp int": (
        NotDifferentiableError,
        lambda: cr.jvp(np.sin, (N,), (N,)),
        "jvp with respect to an argument that is not of float dtype\n"
        "  expected: argument0 of a float or complex dtype\n"
        "  got: argument0 of dtype int64\n"
        "  where: HERE\n"
        "  what to do: pass it as a float (2.0, not 2; x.astype(float)), or let the function close over it",
    ),
    "hvp tree": (
        TreeError,
        lambda: cr.hvp(np.sum)(X, [X]),
        "the tangent has another structure than its primal\n"
        "  expected: PyTreeSpec(*)\n"
        "  got: PyTreeSpec([*])\n"
        "  where: HERE\n"
        "  what to do: pass a tree like its primal",
    ),
    "jacobian mode": (
        OptionError,
        lambda: cr.jacobian(np.sin, mode="reverse"),
        "unknown value for mode\n"
        "  expected: one of: rev, fwd\n"
        "  got: 'reverse'\n"
        "  where: HERE\n"
        "  what to do: pass mode one of the values listed",
    ),
    "jacobian integer": (
        DtypeError,
        lambda: cr.jacobian(np.argmax)(X),
        "jacobian needs float arguments and results\n"
        "  expected: float dtypes\n"
        "  got: i64[]\n"
        "  where: HERE\n"
        "  what to do: use floats; for complex values cr.vjp and cr.jvp",
    ),
    "jacobian complex": (
        DtypeError,
        lambda: cr.jacobian(np.exp)(X * 1j),
        "jacobian needs float arguments and results\n"
        "  expected: float dtypes\n"
        "  got: c128[3]\n"
        "  where: HERE\n"
        "  what to do: use floats; for complex values cr.vjp and cr.jvp",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_bad_input(name: str) -> None:
    check(ROWS[name])


def test_masked_arrays_that_a_function_uses() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])
    with pytest.raises(TypeError, match="an array the function uses: a masked array is not a plain array"):
        cr.grad(lambda x: np.sum(np.add(x, masked)))(np.ones(3))
