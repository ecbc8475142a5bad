"""The matrix product: the one bilinear op that networks are made of.

``(…, n, k) @ (…, k, m)`` with leading axes that broadcast; both operands have at least two axes (the tracer adds and
drops the ones for vectors).  einsum, tensordot, dot, inner, kron and convolution are compositions around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, broadcast
from chainrule.base.errors import ShapeError
from chainrule.ops.expr import Expr
from chainrule.ops.record import Bilinear, align, unbroadcast
from chainrule.ops.shape import swap


def _rule(x: Spec, y: Spec) -> Spec:
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            "the inner sizes of a matrix product differ",
            expected=f"(…, n, k) @ (…, k, m); here k = {x.shape[-1]} from the left",
            got=f"{x.shape} @ {y.shape}",
            fix="transpose or reshape one of the two so that the inner sizes agree",
        )
    lead = broadcast(x.shape[:-2], y.shape[:-2])
    return Spec((*lead, x.shape[-2], y.shape[-1]), x.dtype)


def _batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any) -> Expr:
    result: Expr = matmul(*align(args, batched))
    return result


matmul: Bilinear = Bilinear(
    "matmul",
    np.matmul,
    transposes=(
        lambda ct, x, y: unbroadcast(matmul(ct, swap(y)), x.shape),
        lambda ct, x, y: unbroadcast(matmul(swap(x), ct), y.shape),
    ),
    shape_rule=_rule,
    batching=_batch,
    latex=r"#0 #1",
    sentence="multiplies the matrices",
)
