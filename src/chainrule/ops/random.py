"""Random bits as an op: a pure function of a key, so evaluated and compiled programs draw the same numbers."""

from __future__ import annotations

from typing import Any

from chainrule.base.arrays import Spec
from chainrule.base.errors import DtypeError
from chainrule.ops import philox
from chainrule.ops.record import INTEGER_VALUED, Custom


def _rule(key: Spec, shape: tuple[int, ...], stream: int) -> Spec:
    if key.shape[-1:] != (2,) or key.dtype.name != "uint32":
        raise DtypeError(
            "not a random key",
            expected="a key: uint32 of shape (2,)",
            got=key,
            fix="make one with chainrule.random.key(seed)",
        )
    return Spec((*key.shape[:-1], *shape), key.dtype)


_random_bits: Custom = Custom(
    "random_bits",
    lambda key, shape, stream: philox.random_bits(key, shape=shape, stream=stream),
    shape_rule=_rule,
    vjp=INTEGER_VALUED,
    jvp=INTEGER_VALUED,
    batching=lambda args, batched, size, attrs: _random_bits(*args, **attrs),
    latex=r"\operatorname{bits}(#0)",
    sentence="draws random bits from the key",
)


def random_bits(key: object, *, shape: tuple[int, ...], stream: int = 0) -> Any:
    """Independent uniform 32-bit words of ``key`` (uint32, (2,)): uint32 of ``shape``; see :mod:`.philox`."""
    return _random_bits(key, shape=tuple(int(n) for n in shape), stream=int(stream))
