"""Tracing: plain NumPy code in, a graph out.  Importing this fills the tables of NumPy functions."""

from chainrule.trace import indexing, linalg, methods, products, reductions, shaping, ufuncs
from chainrule.trace.symbol import Symbol
from chainrule.trace.tracer import trace_leaves

__all__ = ["Symbol", "indexing", "linalg", "methods", "products", "reductions", "shaping", "trace_leaves", "ufuncs"]
