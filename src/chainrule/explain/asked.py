"""What ``explain`` was asked about: which arguments to differentiate by, and which get a name in the formulas.

Does not do: tracing; the arguments are only looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import is_differentiable
from chainrule.base.errors import ChainruleError, NotDifferentiableError, OptionError
from chainrule.explain.expression import Expression
from chainrule.graph.source import user_source
from chainrule.trace.tracer import array_leaf
from chainrule.transforms.arguments import argument_name


def names_of(f: Any, count: int) -> list[str]:
    """The names of the arguments of a function, or of an expression's variables."""
    if isinstance(f, Expression):
        return list(f.names)
    return [argument_name(f, i) for i in range(count)]


def wanted_positions(f: Any, args: Sequence[Any], wrt: Any) -> tuple[int, ...]:
    """The positions of the arguments to differentiate by."""
    floats = tuple(i for i, arg in enumerate(args) if _is_float(arg))
    if wrt is None:
        if not floats:
            raise NotDifferentiableError(
                "explain has nothing to differentiate by", expected="at least one argument of float dtype",
                got=f"{len(args)} arguments, none of them of float dtype", where=user_source(),
                fix="pass floats: 2.0, not 2; x.astype(float)",
            )  # fmt: skip
        return floats
    names = names_of(f, len(args))
    found = []
    for one in (wrt,) if isinstance(wrt, (str, int, np.integer)) else tuple(wrt):
        position = names.index(one) if isinstance(one, str) and one in names else one
        if isinstance(position, (str, bool)) or not isinstance(position, (int, np.integer)) or not (
            -len(args) <= position < len(args)
        ):  # fmt: skip
            raise OptionError(
                "wrt names no argument", expected=f"one of {', '.join(names)}, or positions", got=repr(one),
                where=user_source(), fix="pass names or positions of arguments",
            )  # fmt: skip
        position = int(position) % len(args)
        if position not in floats:
            raise NotDifferentiableError(
                f"{names[position]} can't be differentiated by", expected="an argument of float dtype",
                got=f"{names[position]} of another kind", where=user_source(), fix="pass floats: 2.0, not 2",
            )  # fmt: skip
        found.append(position)
    if not found:
        raise OptionError("wrt names no argument", expected=f"one of {', '.join(names)}", got=repr(wrt),
                          where=user_source(), fix="leave wrt out for all")  # fmt: skip
    return tuple(dict.fromkeys(found))


def _arrays(arg: Any) -> list[Any] | None:
    """The leaves of an argument as arrays, or None where it is not made of arrays."""
    try:
        return [np.asarray(array_leaf(leaf, "an argument")) for leaf in trees.flatten(arg)[0]]
    except (ChainruleError, TypeError):
        return None


def _is_float(arg: Any) -> bool:
    found = _arrays(arg)
    return bool(found) and any(is_differentiable(a.dtype) for a in found or ())


def traced_positions(args: Sequence[Any], wanted: Sequence[int]) -> tuple[int, ...]:
    """Arguments that become inputs with a name: those differentiated, and other arrays, so that formulas can name them.

    A Python number stays one where it would change dtypes: it takes the dtype of what it meets, an array does not.
    """
    wide = all(a.dtype == np.float64 for i in wanted for a in _arrays(args[i]) or () if is_differentiable(a.dtype))
    found = []
    for position, arg in enumerate(args):
        leaves = _arrays(arg)
        plain = type(arg) in (bool, int, complex) or (type(arg) is float and not wide)
        if position in wanted or (leaves and not plain):
            found.append(position)
    return tuple(found)
