"""Products of vectors, matrices and tensors, all brought to the one batched matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.errors import ShapeError
from chainrule.graph.source import user_source
from chainrule.ops.matmul import matmul as matrix_product
from chainrule.trace.shaping import together


def matmul(x: Any, y: Any) -> Any:
    """``x @ y`` as NumPy has it: a vector gets an axis in front (left) or behind (right), which is dropped again."""
    a, b = together([x, y])
    if not a.ndim or not b.ndim:
        raise ShapeError(
            "@ needs at least one axis on both sides",
            expected="vectors, matrices or stacks of matrices",
            got=f"{a.shape} @ {b.shape}",
            where=user_source(),
            fix="use * for a product with a scalar",
        )
    left = a if a.ndim > 1 else np.expand_dims(a, 0)
    right = b if b.ndim > 1 else np.expand_dims(b, 1)
    out = matrix_product(left, right)
    dropped = tuple(axis for axis, vector in ((-2, a.ndim == 1), (-1, b.ndim == 1)) if vector)
    return np.squeeze(out, dropped) if dropped else out
