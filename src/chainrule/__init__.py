"""Backpropagation through plain NumPy code that shows its work."""

from chainrule.api import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from chainrule.graph.graph import Graph

__version__ = "0.1.0"
__all__ = [
    "Graph",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
