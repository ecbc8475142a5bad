"""Every transform as a wrapper of a scalar function: it keeps the function or turns it into its derivative.

``compose`` stacks wrappers; the value of any stack over a function whose derivatives have a closed form is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import chainrule as cr

F = Callable[[Any], Any]


class Wrapper(NamedTuple):
    """``wrap(f)`` computes the derivative of ``f`` of this ``order``; ``mode`` is how ("rev", "fwd", both, or none)."""

    wrap: Callable[[F], F]
    order: int = 0
    mode: str = ""


def _pair(f: F) -> F:
    """``f`` on the first member of a batch of two different ones."""
    return lambda x: cr.vmap(f)(np.stack([x, -0.5 * x]))[0]


def _pair_behind(f: F) -> F:
    return lambda x: cr.vmap(lambda a, b: (f(b), a), in_axes=(None, 0), out_axes=(-1, 0))(x, np.stack([2 * x, x]))[0][1]


def _custom(f: F) -> F:
    rule = cr.custom_vjp(lambda x: f(x))
    rule.defvjp(lambda x: (f(x), x), lambda x, ct: (cr.vjp(f, x)[1](ct)[0],))
    return rule


def _scan_carry(f: F) -> F:
    return lambda x: cr.scan(lambda c, _: ((f(c[1]), c[1]), None), (x, x), length=2)[0][0]


def _scan_walk(f: F) -> F:
    return lambda x: cr.scan(lambda c, v: (c + 1.0, f(v)), 0.0, np.stack([2 * x, x]))[1][1]


def _scan_closure(f: F) -> F:
    return lambda x: cr.scan(lambda c, v: (f(x) + 0 * c * v, c), 0 * x, np.ones(3), reverse=True)[0]


def _cond(f: F) -> F:
    return lambda x: cr.cond(x > 0, f, lambda v: 7 * v * v, x)


def _cond_closure(f: F) -> F:
    return lambda x: cr.cond(x <= 0, lambda: 7 * x * x, lambda: f(x))


def _while(f: F) -> F:
    return lambda x: cr.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(s[2]), s[2]), (0, x, x))[1]


def _stopped(f: F) -> F:
    return lambda x: f(x) + cr.stop_gradient(x) * 3 - 3 * cr.stop_gradient(x)


def _tree(f: F) -> F:
    return lambda x: cr.jit(lambda t: {"y": f(t["x"][0]), "z": None})({"x": [x, x + 1]})["y"]


KEEPING = {
    "jit": Wrapper(lambda f: cr.jit(f)),
    "jit of a tree": Wrapper(_tree),
    "checkpoint": Wrapper(cr.checkpoint),
    "vmap": Wrapper(_pair),
    "vmap with axes": Wrapper(_pair_behind),
    "scan of a carry": Wrapper(_scan_carry),
    "scan over inputs": Wrapper(_scan_walk),
    "scan of a closure": Wrapper(_scan_closure),
    "fori_loop": Wrapper(lambda f: lambda x: cr.fori_loop(0, 2, lambda i, s: (f(s[1]), s[1]), (x, x))[0]),
    "cond": Wrapper(_cond),
    "cond of a closure": Wrapper(_cond_closure),
    "while_loop": Wrapper(_while),
    "custom_vjp": Wrapper(_custom),
    "stop_gradient": Wrapper(_stopped),
    "value of vjp": Wrapper(lambda f: lambda x: cr.vjp(f, x)[0], mode="rev"),
    "value of jvp": Wrapper(lambda f: lambda x: cr.jvp(f, (x,), (x,))[0], mode="fwd"),
    "value of value_and_grad": Wrapper(lambda f: lambda x: cr.value_and_grad(f)(x)[0], mode="rev"),
}
DERIVING = {
    "grad": Wrapper(cr.grad, 1, "rev"),
    "gradient of value_and_grad": Wrapper(lambda f: lambda x: cr.value_and_grad(f)(x)[1], 1, "rev"),
    "grad with aux": Wrapper(
        lambda f: lambda x: cr.grad(lambda t: (f(t["x"]), [t]), has_aux=True)({"x": x})[0]["x"], 1, "rev"
    ),
    "vjp": Wrapper(lambda f: lambda x: cr.vjp(f, x)[1](1.0)[0], 1, "rev"),
    "jvp": Wrapper(lambda f: lambda x: cr.jvp(f, (x,), (1.0,))[1], 1, "fwd"),
    "jacobian rev": Wrapper(lambda f: cr.jacobian(f, mode="rev"), 1, "rev"),
    "jacobian fwd": Wrapper(lambda f: cr.jacobian(f, mode="fwd"), 1, "fwd"),
    "hessian": Wrapper(cr.hessian, 2, "rev, then fwd"),
    "hvp": Wrapper(lambda f: lambda x: cr.hvp(f)(x, 1.0), 2, "rev, then fwd"),
    "vmap of grad": Wrapper(lambda f: _pair(cr.grad(f)), 1, "rev"),
    "vmap of jvp": Wrapper(lambda f: _pair(lambda x: cr.jvp(f, (x,), (1.0,))[1]), 1, "fwd"),
}
ALL = {**KEEPING, **DERIVING}


def compose(f: F, names: Sequence[str]) -> F:
    """``f`` in the wrappers ``names``, the first one innermost."""
    for name in names:
        f = ALL[name].wrap(f)
    return f


def order(names: Sequence[str]) -> int:
    """Which derivative the stack computes."""
    return sum(ALL[name].order for name in names)


def refused(names: Sequence[str]) -> bool:
    """Whether the stack differentiates a while_loop in reverse, or a custom_vjp forward before reverse."""
    loop = custom = False
    for name in names:
        mode = ALL[name].mode
        if loop and "rev" in mode:
            return True
        if custom and mode == "fwd":
            return True
        if "rev" in mode:
            custom = False
        loop = loop or name == "while_loop"
        custom = custom or name == "custom_vjp"
    return False
