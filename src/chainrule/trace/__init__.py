"""Tracing: plain NumPy code in, a graph out.  Importing this fills the tables of NumPy functions."""

from chainrule.trace import (
    calculus,
    elementwise,
    fft,
    indexing,
    joining,
    linalg,
    matrices,
    methods,
    products,
    reductions,
    selecting,
    shaping,
    sorting,
    special,
    statistics,
    ufuncs,
)
from chainrule.trace.symbol import Symbol
from chainrule.trace.tracer import trace_leaves

__all__ = [
    "Symbol",
    "calculus",
    "elementwise",
    "fft",
    "indexing",
    "joining",
    "linalg",
    "matrices",
    "methods",
    "products",
    "reductions",
    "selecting",
    "shaping",
    "sorting",
    "special",
    "statistics",
    "trace_leaves",
    "ufuncs",
]
