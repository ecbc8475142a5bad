"""Bad input to control flow and custom rules: the whole message, with the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from bad_input import Row, check
from chainrule.base.errors import DtypeError, NotDifferentiableError, OptionError, ShapeError, TraceError, TreeError

X = np.array([1.0, 2.0, 3.0])
RULE = cr.custom_vjp(lambda a, b: a * b)


def with_rule(forward: Any, backward: Any, f: Any = lambda a, b: a * b) -> Any:
    """``f``, a product, with this rule."""
    rule = cr.custom_vjp(f)
    rule.defvjp(forward, backward)
    return rule


def good(a: Any, b: Any) -> Any:
    """A forward rule that is right."""
    return a * b, (a, b)


ROWS: dict[str, Row] = {
    # control flow
    "cond pred": (
        ShapeError,
        lambda: cr.cond(X > 0, np.sin, np.cos, X),
        "cond: the condition is not a scalar\n"
        "  expected: shape ()\n"
        "  got: (3,)\n"
        "  where: HERE\n"
        "  what to do: use np.where to choose by element",
    ),
    "cond shapes": (
        ShapeError,
        lambda: cr.cond(True, lambda v: v, lambda v: v[:2], X),
        "cond: the true branch and the false branch differ in result 0\n"
        "  expected: the true branch: f64[3]\n"
        "  got: the false branch: f64[2]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "cond dtypes": (
        ShapeError,
        lambda: cr.cond(True, lambda v: v, lambda v: v.astype(np.float32), X),
        "cond: the true branch and the false branch differ in result 0\n"
        "  expected: the true branch: f64[3]\n"
        "  got: the false branch: f32[3]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "cond trees": (
        TreeError,
        lambda: cr.cond(True, lambda v: [v], lambda v: (v,), X),
        "cond: the branches return different structures\n"
        "  expected: PyTreeSpec([*])\n"
        "  got: PyTreeSpec((*,))\n"
        "  where: HERE\n"
        "  what to do: return a tree of the same structure",
    ),
    "scan dtype": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c + v, None), 0, X),
        "scan: the initial carry and the carry that the body returns differ in result 0\n"
        "  expected: the initial carry: i64[]\n"
        "  got: the carry that the body returns: f64[]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "scan shape": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c + X, None), 0.0, X),
        "scan: the initial carry and the carry that the body returns differ in result 0\n"
        "  expected: the initial carry: f64[]\n"
        "  got: the carry that the body returns: f64[3]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "scan tree": (
        TreeError,
        lambda: cr.scan(lambda c, v: ([c], None), 0.0, X),
        "scan: the carry changes its structure\n"
        "  expected: PyTreeSpec(*)\n"
        "  got: PyTreeSpec([*])\n"
        "  where: HERE\n"
        "  what to do: return a tree of the same structure",
    ),
    "scan pair": (
        TreeError,
        lambda: cr.scan(lambda c, v: c, 0.0, X),
        "scan: the body must return a pair (carry, y)\n"
        "  expected: a pair\n"
        "  got: Symbol\n"
        "  where: HERE\n"
        "  what to do: return (carry, None) where nothing is stacked",
    ),
    "scan lengths": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0, (X, np.ones(2))),
        "scan: the inputs differ in their leading size\n"
        "  expected: one leading size\n"
        "  got: shape (3,), shape (2,)\n"
        "  where: HERE\n"
        "  what to do: walk over arrays of one leading size; let the body close over the others",
    ),
    "scan length": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0, X, length=2),
        "scan: the inputs differ in their leading size\n"
        "  expected: one leading size, 2\n"
        "  got: shape (3,)\n"
        "  where: HERE\n"
        "  what to do: walk over arrays of one leading size; let the body close over the others",
    ),
    "scan nothing": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0),
        "scan: no inputs to walk over, and no length\n"
        "  expected: xs or length\n"
        "  got: neither\n"
        "  where: HERE\n"
        "  what to do: pass length=…",
    ),
    "scan scalar": (
        ShapeError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0, 1.0),
        "scan: the inputs differ in their leading size\n"
        "  expected: one leading size\n"
        "  got: shape ()\n"
        "  where: HERE\n"
        "  what to do: walk over arrays of one leading size; let the body close over the others",
    ),
    "scan neg": (
        OptionError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0, length=-1),
        "scan: length is not a number of steps\n"
        "  expected: an integer, 0 or more\n"
        "  got: -1\n"
        "  where: HERE\n"
        "  what to do: pass a plain integer, known before the loop runs",
    ),
    "scan lenfloat": (
        OptionError,
        lambda: cr.scan(lambda c, v: (c, None), 0.0, length=2.5),
        "scan: length is not a number of steps\n"
        "  expected: an integer, 0 or more\n"
        "  got: 2.5\n"
        "  where: HERE\n"
        "  what to do: pass a plain integer, known before the loop runs",
    ),
    "fori bound": (
        DtypeError,
        lambda: cr.fori_loop(0, 2.5, lambda i, v: v, 0.0),
        "fori_loop: upper is not an integer\n"
        "  expected: an integer of shape ()\n"
        "  got: f64[]\n"
        "  where: HERE\n"
        "  what to do: use whole numbers as bounds",
    ),
    "fori type": (
        ShapeError,
        lambda: cr.fori_loop(0, 2, lambda i, v: v * 1.0, 1),
        "scan: the initial carry and the carry that the body returns differ in result 0\n"
        "  expected: the initial carry: i64[]\n"
        "  got: the carry that the body returns: f64[]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "while reverse": (
        NotDifferentiableError,
        lambda: cr.grad(lambda v: cr.while_loop(lambda a: a < 9, lambda a: a * 2, v))(1.0),
        "reverse mode through a while_loop\n"
        "  expected: a loop whose number of steps is known before it runs\n"
        "  got: cr.while_loop, or cr.fori_loop with bounds that are Symbols\n"
        "  where: HERE\n"
        "  what to do: use cr.scan or cr.fori_loop with integer bounds, or forward mode (cr.jvp), or "
        "cr.custom_vjp",
    ),
    "fori reverse": (
        NotDifferentiableError,
        lambda: cr.grad(lambda v: cr.jit(lambda k, u: cr.fori_loop(0, k, lambda i, a: a * 2, u))(3, v))(1.0),
        "reverse mode through a while_loop\n"
        "  expected: a loop whose number of steps is known before it runs\n"
        "  got: cr.while_loop, or cr.fori_loop with bounds that are Symbols\n"
        "  where: HERE\n"
        "  what to do: use cr.scan or cr.fori_loop with integer bounds, or forward mode (cr.jvp), or "
        "cr.custom_vjp",
    ),
    "while shape": (
        ShapeError,
        lambda: cr.while_loop(lambda a: a < 9, lambda a: a[None], 1.0),
        "while_loop: the initial value and the value that the body returns differ in result 0\n"
        "  expected: the initial value: f64[]\n"
        "  got: the value that the body returns: f64[1]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "while tree": (
        TreeError,
        lambda: cr.while_loop(lambda a: a < 9, lambda a: [a], 1.0),
        "while_loop: the body changes the structure of the value\n"
        "  expected: PyTreeSpec((*,))\n"
        "  got: PyTreeSpec(([*],))\n"
        "  where: HERE\n"
        "  what to do: return a tree of the same structure",
    ),
    "while cond": (
        ShapeError,
        lambda: cr.while_loop(lambda a: a < 9, lambda a: a, X),
        "while_loop: the condition must return one scalar\n"
        "  expected: a bool of shape ()\n"
        "  got: bool[3]\n"
        "  where: HERE\n"
        "  what to do: reduce it with np.any or np.all",
    ),
    # custom_vjp
    "no rule": (
        TraceError,
        lambda: cr.grad(RULE)(1.0, 2.0),
        "custom_vjp function <lambda> has no rule yet\n"
        "  expected: f.defvjp(forward, backward)\n"
        "  got: no call of defvjp\n"
        "  where: HERE\n"
        "  what to do: call defvjp before the function",
    ),
    "few cotangents": (
        TreeError,
        lambda: cr.grad(with_rule(good, lambda r, ct: (ct,)))(1.0, 2.0),
        "<lambda> must return a tuple with one cotangent per argument\n"
        "  expected: 2 cotangents\n"
        "  got: 1\n"
        "  where: HERE\n"
        "  what to do: return None for an argument that gets no cotangent",
    ),
    "no tuple": (
        TreeError,
        lambda: cr.grad(with_rule(good, lambda r, ct: ct))(1.0, 2.0),
        "<lambda> must return a tuple with one cotangent per argument\n"
        "  expected: 2 cotangents\n"
        "  got: Symbol\n"
        "  where: HERE\n"
        "  what to do: return None for an argument that gets no cotangent",
    ),
    "cotangent shape": (
        ShapeError,
        lambda: cr.grad(with_rule(good, lambda r, ct: (np.ones(2), ct)))(1.0, 2.0),
        "<lambda>: a cotangent has another shape than its argument\n"
        "  expected: ()\n"
        "  got: (2,)\n"
        "  where: HERE\n"
        "  what to do: sum over the axes that the function broadcast",
    ),
    "cotangent tree": (
        TreeError,
        lambda: cr.grad(with_rule(lambda t, k: (k, 0), lambda r, c: (c, c), lambda t, k: k), 1)([1.0, 2.0], 3.0),
        "<lambda>: a cotangent has another structure than its argument\n"
        "  expected: PyTreeSpec([*, *])\n"
        "  got: PyTreeSpec(*)\n"
        "  where: HERE\n"
        "  what to do: return a tree like the argument, with None where there is no cotangent",
    ),
    "no pair": (
        TreeError,
        lambda: cr.grad(with_rule(lambda a, b: a * b, lambda r, ct: (ct, ct)))(1.0, 2.0),
        "<lambda> must return a pair (output, residuals)\n"
        "  expected: a pair\n"
        "  got: PyTreeSpec(*)\n"
        "  where: HERE\n"
        "  what to do: return (output, None) where nothing is kept",
    ),
    "forward differs": (
        ShapeError,
        lambda: cr.grad(with_rule(lambda a, b: (np.stack([a, b]), None), lambda r, ct: (ct, ct)))(1.0, 2.0),
        "custom_vjp: the function and its forward rule differ in result 0\n"
        "  expected: the function: f64[]\n"
        "  got: its forward rule: f64[2]\n"
        "  where: HERE\n"
        "  what to do: make shapes and dtypes agree (np.astype, np.broadcast_to)",
    ),
    "forward tree": (
        TreeError,
        lambda: cr.grad(with_rule(lambda a, b: ([a * b], None), lambda r, ct: (ct, ct)))(1.0, 2.0),
        "<lambda> returns another structure than <lambda>\n"
        "  expected: PyTreeSpec(*)\n"
        "  got: PyTreeSpec([*])\n"
        "  where: HERE\n"
        "  what to do: return a tree of the same structure",
    ),
    "closure": (
        TraceError,
        lambda: cr.grad(lambda v: with_rule(lambda a, b: (a * b * v, None), lambda r, ct: (ct, ct))(v, v))(1.0),
        "<lambda>, part of a custom_vjp rule, closes over a Symbol\n"
        "  expected: rules that use only their arguments and plain arrays\n"
        "  got: a traced value from the enclosing function\n"
        "  where: HERE\n"
        "  what to do: pass the value as an argument of the custom_vjp function",
    ),
    "forward mode": (
        NotDifferentiableError,
        lambda: cr.jvp(with_rule(good, lambda r, ct: (ct, ct)), (1.0, 2.0), (1.0, 1.0)),
        "forward mode through a custom_vjp function\n"
        "  expected: reverse mode: grad, vjp, or jacobian(mode='rev')\n"
        "  got: jvp, or forward mode inside of hvp or hessian of its primal\n"
        "  where: HERE\n"
        "  what to do: differentiate in reverse first (cr.grad inside cr.jvp works), or write the function "
        "without custom_vjp",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_bad_input(name: str) -> None:
    check(ROWS[name])
