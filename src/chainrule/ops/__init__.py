"""The ops: one record each, by family.  Importing this fills the catalogue."""

from chainrule.ops import index, linalg, matmul, pointwise, random, reduce, shape, structure
from chainrule.ops.expr import CATALOGUE

__all__ = ["CATALOGUE", "index", "linalg", "matmul", "pointwise", "random", "reduce", "shape", "structure"]
