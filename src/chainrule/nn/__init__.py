"""Networks: layers that are trees of arrays, activations, initialisers, losses and metrics, all plain NumPy code.

>>> import numpy as np
>>> import chainrule as cr
>>> from chainrule import nn
>>> model = nn.MLP.init((2, 8, 3), activation="tanh", rng=np.random.default_rng(0))
>>> x, labels = np.ones((5, 2), np.float32), np.array([0, 1, 2, 0, 1])
>>> model(x).shape
(5, 3)
>>> nn.parameter_count(model)
51
>>> gradient = cr.grad(lambda model: nn.cross_entropy(model(x), labels))(model)
>>> gradient.layers[1].weight.shape
(8, 3)
"""

from chainrule.nn import init
from chainrule.nn.activations import (
    activation,
    activations,
    elu,
    gelu,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from chainrule.nn.layers import (
    MLP,
    Dropout,
    Function,
    Layer,
    Linear,
    Sequential,
    describe,
    layer_names,
    parameter_count,
)
from chainrule.nn.losses import binary_cross_entropy_with_logits, cross_entropy, hinge, huber, mae, mse
from chainrule.nn.metrics import accuracy, r2, rmse

__all__ = [
    "MLP",
    "Dropout",
    "Function",
    "Layer",
    "Linear",
    "Sequential",
    "accuracy",
    "activation",
    "activations",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "describe",
    "elu",
    "gelu",
    "hinge",
    "huber",
    "identity",
    "init",
    "layer_names",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mae",
    "mse",
    "parameter_count",
    "r2",
    "relu",
    "rmse",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
