"""A handle on one line of a graph that is being built, with Python's operators.

Derivative rules are written with it: ``1 - y * y`` records two lines.  The tracer's Symbol adds NumPy's protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.base.arrays import DType, Shape, Spec
    from chainrule.ops.record import Op

CATALOGUE: dict[str, Op] = {}
"""Every op, by name; an op enters it when it is recorded."""


def _operator(name: str, reflected: bool = False) -> Any:
    def method(self: Expr, other: Any) -> Any:
        if not isinstance(other, (Expr, int, float, complex)) and not hasattr(other, "dtype"):
            other = self._operand(other)
            if other is NotImplemented:
                return NotImplemented
        args = (other, self) if reflected else (self, other)
        return self.builder.active().emit(CATALOGUE[name], args, {})

    method.__name__ = name
    return method


def _unary(name: str) -> Any:
    def method(self: Expr) -> Any:
        return self.builder.active().emit(CATALOGUE[name], (self,), {})

    method.__name__ = name
    return method


class Expr:
    """One line of the graph held by ``builder``, by ``index``."""

    __slots__ = ("_index", "builder")

    def __init__(self, builder: Any, index: int) -> None:
        self.builder = builder
        self._index = index

    def _operand(self, other: Any) -> Any:
        """``other``, no array and no number, as an operand; NotImplemented where it is none."""
        return NotImplemented

    @property
    def index(self) -> int:
        """The number of the line."""
        return self._index

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        spec: Spec = self.builder.lines[self.index].spec
        return spec

    @property
    def shape(self) -> Shape:
        """The size of each axis."""
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        """The dtype, in native byte order."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.spec.shape)

    __add__ = _operator("add")
    __radd__ = _operator("add", reflected=True)
    __sub__ = _operator("sub")
    __rsub__ = _operator("sub", reflected=True)
    __mul__ = _operator("mul")
    __rmul__ = _operator("mul", reflected=True)
    __truediv__ = _operator("div")
    __rtruediv__ = _operator("div", reflected=True)
    __floordiv__ = _operator("floor_divide")
    __rfloordiv__ = _operator("floor_divide", reflected=True)
    __mod__ = _operator("mod")
    __rmod__ = _operator("mod", reflected=True)
    __pow__ = _operator("pow")
    __rpow__ = _operator("pow", reflected=True)
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")
    __eq__ = _operator("equal")
    __ne__ = _operator("not_equal")
    __and__ = _operator("bitwise_and")
    __rand__ = _operator("bitwise_and", reflected=True)
    __or__ = _operator("bitwise_or")
    __ror__ = _operator("bitwise_or", reflected=True)
    __xor__ = _operator("bitwise_xor")
    __rxor__ = _operator("bitwise_xor", reflected=True)
    __lshift__ = _operator("left_shift")
    __rlshift__ = _operator("left_shift", reflected=True)
    __rshift__ = _operator("right_shift")
    __rrshift__ = _operator("right_shift", reflected=True)
    __neg__ = _unary("neg")
    __abs__ = _unary("abs")
    __invert__ = _unary("invert")
    __hash__ = None  # type: ignore[assignment]
