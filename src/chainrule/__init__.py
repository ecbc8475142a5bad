"""Backpropagation through plain NumPy code that shows its work.

``import chainrule as cr``: the transforms stand here; networks, optimizers, data, random keys and training in
``cr.nn``, ``cr.optim``, ``cr.data``, ``cr.random`` and ``cr.train``.
"""

from chainrule import data, nn, optim, random, train
from chainrule.api import (
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from chainrule.base.trees import static
from chainrule.diagnose import diagnose
from chainrule.explain.explanation import Explanation, explain
from chainrule.explain.nonfinite import NonFinite, find_nonfinite
from chainrule.explain.why import Why, why
from chainrule.graph.graph import Graph
from chainrule.inspection import explain_recompiles, profile, show
from chainrule.transforms.checking import check_grads
from chainrule.transforms.control import checkpoint, cond, custom_vjp, fori_loop, scan, while_loop

__version__ = "0.1.0"
__all__ = [
    "Explanation",
    "Graph",
    "NonFinite",
    "Why",
    "check_grads",
    "checkpoint",
    "cond",
    "custom_vjp",
    "data",
    "diagnose",
    "explain",
    "explain_recompiles",
    "find_nonfinite",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "nn",
    "optim",
    "profile",
    "random",
    "scan",
    "show",
    "static",
    "stop_gradient",
    "trace",
    "train",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
    "why",
]
