"""Layers: frozen dataclasses that are trees of arrays, called as ``layer(x, *, key=None)``.

A model is data: gradients of a model are a model of the same structure, an optimizer maps over it, a checkpoint
stores its leaves.  Whatever is not an array (an activation's name, a rate) is a static field.  Randomness is an
argument: with ``key=None`` a model evaluates (dropout is the identity), with a key it trains.

Does not do: hidden state, names looked up at call time, lazily inferred sizes.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from chainrule import random
from chainrule.base import trees
from chainrule.base.errors import OptionError, ShapeError
from chainrule.nn import init as initial
from chainrule.nn.activations import activation as find_activation

Array = Any
Activation = str | Callable[[Array], Array]
WeightInit = str | initial.Initializer | None

# The last step of a path, when it is a field or a string key: .weight in layers[0].weight, ['w'] in ['first']['w'].
_FIELD = re.compile(r"^(.+?)(?:\.\w+|\['[^']*'\])$")


@runtime_checkable
class Layer(Protocol):
    """What :class:`Sequential` composes: anything called with ``x`` and ``key=``."""

    def __call__(self, x: Array, *, key: Array | None = None) -> Array: ...


_L = TypeVar("_L")


def _module(cls: type[_L]) -> type[_L]:
    trees.register_dataclass(cls)
    return cls


@_module
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Linear:
    """The affine map ``x @ weight + bias``.

    ``weight``: (n_in, n_out); ``bias``: (n_out,) or None.  Input (..., n_in) gives output (..., n_out).
    Raises :class:`ShapeError` for arrays, or an input, of other shapes.
    """

    weight: Array
    bias: Array | None = None

    def __post_init__(self) -> None:
        weight, bias = self.weight, self.bias
        if len(weight.shape) != 2 or (bias is not None and bias.shape != (weight.shape[1],)):
            raise ShapeError(
                "weight and bias do not make a linear layer",
                expected="weight.shape == (n_in, n_out) and bias.shape == (n_out,), or bias None",
                got=f"weight.shape == {weight.shape}"
                + ("" if bias is None else f" and bias.shape == {bias.shape}"),
                where="nn.Linear",
                fix="make the layer with Linear.init(n_in, n_out, rng=rng)",
            )

    @classmethod
    def init(
        cls,
        n_in: int,
        n_out: int,
        *,
        rng: np.random.Generator,
        weight_init: WeightInit = None,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> Linear:
        """A layer with drawn weights (Glorot uniform unless ``weight_init`` says otherwise) and a bias of zeros.

        ``weight_init``: a name from ``nn.init.initializers``, or a function ``(rng, shape, dtype) -> ndarray``.
        Raises :class:`OptionError` for an unknown name or sizes below 1.
        """
        for name, size in (("n_in", n_in), ("n_out", n_out)):
            _positive(name, size, "nn.Linear.init")
        draw = initial.initializer("glorot_uniform" if weight_init is None else weight_init)
        weight = draw(rng, (n_in, n_out), dtype)
        return cls(weight, np.zeros(n_out, weight.dtype) if bias else None)

    def __repr__(self) -> str:
        return describe(self)

    @property
    def n_in(self) -> int:
        """The number of inputs."""
        return int(self.weight.shape[0])

    @property
    def n_out(self) -> int:
        """The number of outputs."""
        return int(self.weight.shape[1])

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        if not x.shape or x.shape[-1] != self.n_in:
            came = x.shape[-1] if x.shape else "()"
            raise ShapeError(
                f"x @ weight: {came} columns meet {self.n_in} rows",
                expected=f"x.shape[-1] == weight.shape[0] == {self.n_in}",
                got=f"x.shape == {tuple(x.shape)}, weight.shape == {tuple(self.weight.shape)}: {came} != {self.n_in}",
                where=describe(self),
                fix=f"pass rows of {self.n_in} values, or make the layer with n_in={came}",
            )
        product = x @ self.weight
        return product if self.bias is None else product + self.bias


@_module
@dataclasses.dataclass(frozen=True)
class Dropout:
    """Sets each value to 0 with probability ``rate`` and divides the rest by 1 - ``rate`` (Srivastava et al., 2014).

    Only with a ``key``; without one it is the identity.  Raises :class:`OptionError` unless 0 <= rate < 1.
    """

    rate: float = trees.static(default=0.5)

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise OptionError(
                "dropout can't drop that share",
                expected="0 <= rate < 1",
                got=repr(self.rate),
                where="nn.Dropout",
                fix="pass the probability of dropping a value",
            )

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        if key is None or self.rate == 0:
            return x
        keep = random.bernoulli(key, 1 - self.rate, x.shape)
        return np.where(keep, x / (1 - self.rate), 0)


@_module
@dataclasses.dataclass(frozen=True)
class Function:
    """A function without parameters as a layer; ``function`` is an activation's name or any function of ``x``."""

    function: Activation = trees.static()

    def __post_init__(self) -> None:
        find_activation(self.function)

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        return find_activation(self.function)(x)


@_module
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Sequential:
    """Layers one after the other.  Plain functions and activation names among ``layers`` become :class:`Function`.

    A key is folded with each layer's index, so every layer draws its own numbers.  A :class:`ShapeError` raised
    inside names the layer.
    """

    layers: Sequence[Layer | Activation]

    def __post_init__(self) -> None:
        wrapped = tuple(
            Function(layer) if isinstance(layer, str) or not dataclasses.is_dataclass(layer) else layer
            for layer in self.layers
        )
        object.__setattr__(self, "layers", wrapped)

    def __repr__(self) -> str:
        return describe(self)

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        for index, layer in enumerate(self.layers):
            x = _call_layer(index, layer, x, key)
        return x


@_module
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MLP:
    """A multi-layer perceptron: linear layers, an activation and dropout after each but the last.

    Input (..., sizes[0]) gives output (..., sizes[-1]).  Raises :class:`ShapeError` naming the layer.
    """

    layers: tuple[Linear, ...]
    activation: Activation = trees.static(default="relu")
    dropout: float = trees.static(default=0.0)

    def __post_init__(self) -> None:
        find_activation(self.activation)
        Dropout(self.dropout)
        for index, (before, after) in enumerate(itertools.pairwise(self.layers)):
            if before.n_out != after.n_in:
                raise ShapeError(
                    f"layers[{index}] and layers[{index + 1}] do not fit together",
                    expected="layers[i].n_out == layers[i + 1].n_in",
                    got=f"{before.n_out} != {after.n_in}",
                    where="nn.MLP",
                    fix="make the network with MLP.init(sizes, rng=rng)",
                )

    @classmethod
    def init(
        cls,
        sizes: Sequence[int],
        *,
        activation: Activation = "relu",
        dropout: float = 0.0,
        rng: np.random.Generator,
        weight_init: WeightInit = None,
        dtype: Any = np.float32,
    ) -> MLP:
        """A network with ``sizes`` = (inputs, hidden …, outputs).

        ``weight_init`` None draws hidden weights to suit the activation (He for the relu family, LeCun for selu,
        Glorot otherwise) and the last, linear, layer by Glorot; a name or function serves all layers.
        Raises :class:`OptionError` for fewer than two sizes, a size below 1, unknown names and a rate outside [0, 1).
        """
        sizes = list(sizes)
        if len(sizes) < 2:
            raise OptionError(
                "an MLP needs inputs and outputs",
                expected="at least two sizes",
                got=repr(sizes),
                where="nn.MLP.init",
                fix="pass (inputs, hidden sizes …, outputs), as in (784, 128, 10)",
            )
        for index, size in enumerate(sizes):
            _positive(f"sizes[{index}]", size, "nn.MLP.init")
        find_activation(activation)
        hidden = initial.default_for(activation) if weight_init is None else weight_init
        last = "glorot_uniform" if weight_init is None else weight_init
        pairs = list(itertools.pairwise(sizes))
        layers = tuple(
            Linear.init(a, b, rng=rng, weight_init=last if index == len(pairs) - 1 else hidden, dtype=dtype)
            for index, (a, b) in enumerate(pairs)
        )
        return cls(layers, activation, dropout)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of inputs, then that of each layer's outputs."""
        return (self.layers[0].n_in, *(layer.n_out for layer in self.layers))

    def __repr__(self) -> str:
        return describe(self)

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        function, drop = find_activation(self.activation), Dropout(self.dropout)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = _call_layer(index, layer, x, None)
            if index < last:
                use_key = key is not None and self.dropout > 0
                x = drop(function(x), key=random.fold_in(key, index) if use_key else None)
        return x


def parameter_count(model: Any) -> int:
    """How many numbers the model's arrays hold."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in trees.leaves(model))


def layer_of(path: str) -> str:
    """The layer of a parameter's path: ``layers[0].weight`` → ``layers[0]``; a path of one step is its own layer."""
    within = _FIELD.match(path)
    return within.group(1) if within else path or "parameters"


def layers_of(model: Any) -> dict[str, list[int]]:
    """The indices of the leaves of each layer of ``model``, layers in the order of the tree."""
    layers: dict[str, list[int]] = {}
    for index, path in enumerate(trees.paths(model)):
        layers.setdefault(layer_of(path), []).append(index)
    return layers


def layer_names(model: Any) -> list[str]:
    """The paths of the parts that hold arrays themselves, in order: ``["layers[0]", "layers[1]"]`` for an MLP.

    An array that stands in no layer (a bare tree of arrays) is its own layer, under its path; a model that is one array
    is the layer "parameters".
    """
    return list(layers_of(model))


def describe(layer: Any) -> str:
    """A layer in a few words: ``Linear(64 → 10)``; its type's name for a layer of one's own."""
    if isinstance(layer, Linear):
        return f"Linear({_axis(layer.weight, 0)} → {_axis(layer.weight, 1)})"
    if isinstance(layer, MLP):
        sizes = [_axis(each.weight, 0) for each in layer.layers[:1]] + [_axis(each.weight, 1) for each in layer.layers]
        drop = f", dropout={layer.dropout}" if layer.dropout else ""
        return f"MLP({' → '.join(sizes)}, {_function_name(layer.activation)}{drop})"
    if isinstance(layer, Sequential):
        return f"Sequential({', '.join(describe(each) for each in layer.layers)})"
    if isinstance(layer, Function):
        return _function_name(layer.function)
    return f"Dropout({layer.rate})" if isinstance(layer, Dropout) else type(layer).__name__


def _axis(weight: Any, axis: int) -> str:
    """The size of an axis, or ? in a tree whose leaves are no arrays (a structure, a placeholder)."""
    shape = getattr(weight, "shape", ())
    return str(shape[axis]) if len(shape) == 2 else "?"


def _function_name(function: Activation) -> str:
    return function if isinstance(function, str) else getattr(function, "__name__", "Function")


def _call_layer(index: int, layer: Any, x: Array, key: Array | None) -> Array:
    """Call one layer of a stack; a ShapeError from inside says which layer it was."""
    draws = key is not None and not isinstance(layer, (Linear, Function))
    try:
        return layer(x, key=random.fold_in(key, index) if draws else None)
    except ShapeError as error:
        inner = describe(layer) if error.where is None else str(error.where)
        joint = "." if inner.startswith("layers[") else ", "
        raise ShapeError(
            error.problem,
            expected=error.expected,
            got=error.got,
            where=f"layers[{index}]{joint}{inner}",
            fix=error.fix,
        ).with_traceback(error.__traceback__) from None


def _positive(name: str, size: object, where: str) -> None:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise OptionError(
            f"{name} is not a size", expected="an integer >= 1", got=repr(size), where=where, fix=f"pass {name} >= 1"
        )
