"""The ops: one record each, by family.  Importing this fills the catalogue."""

from chainrule.ops import (
    factor,
    fft,
    index,
    integers,
    linalg,
    matmul,
    pointwise,
    random,
    reduce,
    shape,
    special,
    structure,
)
from chainrule.ops.expr import CATALOGUE

__all__ = [
    "CATALOGUE",
    "factor",
    "fft",
    "index",
    "integers",
    "linalg",
    "matmul",
    "pointwise",
    "random",
    "reduce",
    "shape",
    "special",
    "structure",
]
