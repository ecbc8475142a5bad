"""The Symbol: what a traced function gets in place of its arrays.

It stands for one line of the graph under construction and speaks Python's operators and NumPy's protocols, so that
unmodified NumPy code runs on it.  In-place writes rebind the Symbol to a new line.  A Symbol read through basic
indexing, a transposition or the like is a view, as in NumPy: a write to it goes through to its base, and the base's
other views follow.  A write through a reshaped view, which NumPy may or may not have copied, is refused.

Where a value is known (under grad, vjp, explain) ``if``, ``while``, ``print`` and formatting use it.  Whatever would
turn a Symbol into a plain number in silence, and so lose its gradient, raises.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from chainrule.base.errors import ChainruleError, ShapeError, TraceError
from chainrule.graph.builder import ACTIVE, located
from chainrule.graph.source import user_source
from chainrule.ops import pointwise
from chainrule.ops.expr import Expr
from chainrule.trace.table import ARRAY_FUNCTIONS, no_such_function, scipy_needs_telling, ufunc_row

_T = TypeVar("_T")

_ONLY_HERE = (
    "np.stack or np.concatenate to join values; np.array([...], like=x), np.zeros_like(x), np.full_like(x, …) to make "
    "arrays; NumPy's functions instead of math's; cr.stop_gradient(x) where no gradient is wanted"
)


class View:
    """How a Symbol sees its base: ``read`` makes the view from the base, ``write`` the base from a changed view."""

    __slots__ = ("base", "read", "version", "write")

    def __init__(
        self, base: Symbol, read: Callable[[Any], Any], write: Callable[[Any, Any], Any] | None
    ) -> None:
        self.base = base
        self.read = read
        self.write = write
        self.version = base._version


class Symbol(Expr):
    """One value of the traced function: an array of known ``shape`` and ``dtype``."""

    __slots__ = ("_broken", "_version", "_view")
    __array_priority__ = 1000

    def __init__(self, builder: Any, index: int) -> None:
        self.builder = builder
        self._index = index
        self._version = 0
        self._view: View | None = None
        self._broken: Any = None

    def _operand(self, other: Any) -> Any:
        return as_symbol(other) if isinstance(other, (list, tuple)) else NotImplemented

    # Lines, views and in-place writes

    @property
    def index(self) -> int:
        """The line this Symbol stands for now; a view whose base was written to is read again."""
        view = self._view
        if view is not None and (view.version != view.base._version or view.base._view is not None):
            base_index = view.base.index
            if view.version != view.base._version:
                if view.write is None:
                    self._stale()
                self._index = view.read(Expr(self.builder, base_index))._index
                view.version = view.base._version
                self._version += 1
        if self._broken is not None:
            written, where = self._broken
            raise TraceError(
                "an array was changed through a reshaped view of it, and is used again",
                expected="writes to the array itself, or to a copy",
                got=f"a write through the view at {written}",
                where=where or user_source(),
                fix="write to the array before reshaping, or reshape a copy: x.copy().reshape(…)",
            )
        return self._index

    def _stale(self) -> None:
        raise TraceError(
            "an array was changed after it was reshaped, and the reshaped one is used again",
            expected="writes before reshaping, or a copy: NumPy may have made a view or a copy",
            got=f"a Symbol {self.builder.lines[self._index].spec} that was made by reshaping",
            where=user_source(),
            fix="reshape after the last write, or reshape a copy: x.copy().reshape(…)",
        )

    def _rebind(self, new: Any) -> None:
        """Make this Symbol stand for the line of ``new``, and its base too where it is a view."""
        if ACTIVE.get() is not self.builder:
            raise TraceError(
                "an array of the enclosing function is written to inside an inner function",
                expected="inner functions that return their results",
                got="an in-place write to an outer array",
                where=user_source(),
                fix="return the new value from the inner function, or write to a copy made inside it",
            )
        view = self._view
        if view is not None:
            if view.write is None:
                view.base._break(user_source())
            else:
                view.base._rebind(view.write(Expr(self.builder, view.base.index), Expr(self.builder, new.index)))
                view.version = view.base._version
        self._index = new.index
        self._version += 1

    def _break(self, where: Any) -> None:
        self._broken = (where, None)
        if self._view is not None:
            self._view.base._break(where)

    def _write(self, value: Any, cast: str = "same_kind") -> Symbol:
        """``self[...] = value`` for a value of the same shape: what ``+=`` and ``out=`` do."""
        if not isinstance(value, Expr):
            value = self.builder.active().constant(np.asarray(value)) if np.ndim(value) == 0 else as_symbol(value)
        if value.shape != self.shape:
            if np.broadcast_shapes(value.shape, self.shape) != self.shape:
                raise ShapeError(
                    "the result does not fit the array it is written into",
                    expected=self.shape,
                    got=value.shape,
                    where=user_source(),
                    fix="make the result with a = a + x, or write into an array of its shape",
                )
            value = ARRAY_FUNCTIONS[np.broadcast_to](value, self.shape)
        if value.dtype != self.dtype:
            if not np.can_cast(value.dtype, self.dtype, cast):  # type: ignore[arg-type]
                raise TraceError(
                    "an in-place result can't be stored in this dtype",
                    expected=f"a result that casts to {self.dtype}",
                    got=value.dtype,
                    where=user_source(),
                    fix="write x = x + y instead of x += y, or cast with .astype first",
                )
            value = pointwise.cast(value, dtype=self.dtype)
        self._rebind(value)
        return self

    def _as_view(self, of: Any, read: Any, write: Any) -> Any:
        self._view = View(of, read, write)
        return self

    # Values

    @property
    def value(self) -> Any:
        """The concrete value, an ndarray or NumPy scalar.  Raises TraceError where there is none (jit, vmap, loops)."""
        if self.builder.closed:
            raise self.builder.leak_error()
        try:
            return self.builder.value(self.index)
        except KeyError:
            raise TraceError(
                "this needs the value of a Symbol that has none",
                expected="code whose path does not depend on values: under jit, vmap and inside loops there are none",
                got=f"a Symbol {self.spec}",
                where=user_source(),
                fix="np.where for a choice by element; cr.cond for a branch; cr.scan, cr.fori_loop or cr.while_loop "
                "for a loop; static_argnums for arguments that are plain Python values",
            ) from None

    @property
    def has_value(self) -> bool:
        """Whether :attr:`value` is known."""
        try:
            self.builder.value(self.index)
        except KeyError:
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self.value)

    def _lossy(self, what: str) -> Any:
        raise TraceError(
            f"{what} would turn a traced value into a plain number and lose its gradient",
            expected="NumPy functions that keep tracing",
            got=f"a Symbol {self.spec}",
            where=user_source(),
            fix=scipy_needs_telling() or _ONLY_HERE,
        )

    def _number(self, what: str, convert: Callable[[Any], _T]) -> _T:
        if self.builder.closed:
            raise self.builder.leak_error()
        if self.builder.carries_gradient(self.index):
            self._lossy(what)
        if self.dtype.kind in "biu" and not self.has_value:
            raise TraceError(
                f"{what} needs the value of a Symbol that has none",
                expected="NumPy functions that keep tracing: under jit, vmap and inside loops there are no values",
                got=f"a Symbol {self.spec}",
                where=user_source(),
                fix="np.array(table, like=i)[i] indexes a plain array by a Symbol i; sizes must be plain integers",
            )
        return convert(self.value)

    def __float__(self) -> float:
        return self._number("float()", float)

    def __int__(self) -> int:
        return self._number("int()", int)

    def __index__(self) -> int:
        return self._number("using it as an index", operator.index)

    def __complex__(self) -> complex:
        return self._number("complex()", complex)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._number("converting to a plain ndarray", lambda v: np.array(v, dtype=dtype))

    def item(self, *args: Any) -> Any:
        """Refused for float values: it would lose the gradient."""
        return self._number(".item()", lambda v: np.asarray(v).item(*args))

    def tolist(self) -> Any:
        """Refused for float values: it would lose the gradient."""
        return self._number(".tolist()", lambda v: np.asarray(v).tolist())

    def __repr__(self) -> str:
        try:
            if self.has_value:
                return f"Symbol({self.spec} = {self.value})"
            return f"Symbol({self.spec})"
        except ChainruleError:
            return "Symbol(used after its function returned)"

    def __str__(self) -> str:
        return str(self.value) if self.has_value else repr(self)

    def __format__(self, spec: str) -> str:
        if self.has_value:
            return format(self.value, spec)
        try:
            return format(repr(self), spec)
        except ValueError:  # a number's format, and there is no number
            raise TraceError(
                f"the format {spec!r} needs the value of a Symbol that has none",
                expected="a format of text: under jit, vmap and inside loops there are no values",
                got=repr(self),
                where=user_source(),
                fix="print it without a format (its shape and dtype), or print the result outside",
            ) from None

    # Shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def device(self) -> str:
        """The array API's device: always the CPU."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Symbol:
        """The array API's move to a device, of which there is one."""
        if device != "cpu" or stream is not None:
            raise ValueError(f"Unsupported device {device!r}: Symbols are on the CPU.")
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(self.shape[0])])

    # NumPy's protocols

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        from chainrule.trace import namespace

        return namespace

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            return self._ufunc_into(kwargs.pop("out"), ufunc, method, inputs, kwargs)
        table = ufunc_row(ufunc)
        if table is None:
            raise no_such_function(ufunc, f"the ufunc {ufunc.__name__}")
        return table(method, *inputs, **kwargs)

    def _ufunc_into(self, outs: Any, ufunc: Any, method: str, inputs: Any, kwargs: Any) -> Any:
        for out in outs:
            if out is not None and not isinstance(out, Symbol):
                raise TraceError(
                    "a traced value is written into a plain ndarray, which can't hold it",
                    expected="an array made from a traced one: np.zeros_like(x), np.zeros(n, like=x), x.copy()",
                    got=f"an ndarray of shape {out.shape} as the target of {ufunc.__name__}",
                    where=user_source(),
                    fix="write a = a + x instead of a += x, or make a with np.zeros_like(x)",
                )
        where = kwargs.pop("where", True) if method == "__call__" else True
        result = self.__array_ufunc__(ufunc, method, *inputs, **kwargs)
        results = result if isinstance(result, tuple) else (result,)
        if where is not True:
            choose = ARRAY_FUNCTIONS[np.where]
            results = tuple(r if out is None else choose(where, r, out) for out, r in zip(outs, results, strict=True))
        cast = kwargs.get("casting", "same_kind")
        written = tuple(r if out is None else out._write(r, cast) for out, r in zip(outs, results, strict=True))
        return written if isinstance(result, tuple) else written[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        implementation = ARRAY_FUNCTIONS.get(func)
        if implementation is None:
            raise no_such_function(func, f"{func.__module__}.{func.__name__}")
        out = kwargs.get("out")
        if out is None:
            place = out_position(func)
            if place is not None and len(args) > place:
                out = args[place]
                args = (*args[:place], None, *args[place + 1 :])
        if out is not None:
            if not isinstance(out, Symbol):
                return self._ufunc_into((out,), func, "", args, kwargs)
            kwargs = {k: v for k, v in kwargs.items() if k != "out"}
            return out._write(implementation(*args, **kwargs))
        try:
            return implementation(*args, **kwargs)
        except ChainruleError as error:
            raise located(error, func.__name__, user_source()) from None

    # Indexing

    def __getitem__(self, key: Any) -> Any:
        from chainrule.trace.indexing import read

        return read(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.builder.closed:
            raise self.builder.leak_error()
        from chainrule.trace.indexing import write

        write(self, key, value)

    def __contains__(self, element: Any) -> bool:
        return bool(np.any(self == element))


@lru_cache(maxsize=1024)
def out_position(function: Any) -> int | None:
    """At which place a NumPy function takes ``out``, where it does."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    for place, parameter in enumerate(parameters):
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return None
        if parameter.name == "out":
            return place
    return None


def as_symbol(value: Any) -> Any:
    """``value`` as a Symbol of the active trace; arrays and scalars are captured."""
    if isinstance(value, Symbol):
        return value
    builder = ACTIVE.get()
    if builder is None:
        raise TraceError(
            "there is no function being traced",
            expected="a call inside a traced function",
            got=repr(value),
            where=user_source(),
            fix="call it inside a function under cr.grad, cr.jit or another transform",
        )
    if isinstance(value, (list, tuple)):
        return ARRAY_FUNCTIONS[np.array](value)
    return builder.wrap(builder.line_of(value))


def _in_place(name: str) -> Any:
    combine = getattr(Expr, f"__{name}__")

    def method(self: Symbol, other: Any) -> Any:
        result = combine(self, other)
        if result is NotImplemented or self.ndim == 0:  # NumPy's scalars are immutable: a new value
            return result
        return self._write(result)

    return method


for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift",
):  # fmt: skip
    setattr(Symbol, f"__i{_name}__", _in_place(_name))


def read_only(base: Any, new: Any) -> Any:
    """What writing through a view that NumPy makes read-only does."""
    raise TraceError(
        "the array written to is a read-only view",
        expected="an array of one's own",
        got=f"a view of shape {new.shape} of an array of shape {base.shape}",
        where=user_source(),
        fix="write to a copy: y = y.copy()",
    )
