"""A small language for writing straight-line LLVM text: expressions in Python, SSA instructions out.

    body = Body("float32")
    x = body.argument("x")
    body.result(body.select(x < 0.0, -x, x))

A ``Value`` is an SSA name or a constant with its LLVM type; operators append one instruction to the body it belongs to.
Comparisons are ordered (false on NaN), ``a.differs(b)`` is not.  No fast-math flag is ever written, so what is written
is what is computed.  Where the target has no fused multiply-add, ``fma`` is put together from error-free transforms
(Dekker, 1971) and ``mad``, which only wants to be quick, is a product and a sum.
Does not do: blocks and branches (write those as text), types other than float, double, i1 and integers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

Number = int | float

FLOAT_TYPES = {"float32": "float", "float64": "double"}
INTEGER_TYPES = {"float": "i32", "double": "i64"}
SUFFIXES = {"float": "f32", "double": "f64"}


def literal(type: str, value: Number) -> str:
    """A constant as LLVM writes it; floats as the 64 bits of the nearest number of the type."""
    if type == "i1":
        return "true" if value else "false"
    if type not in SUFFIXES:
        return str(int(value))
    if type == "float":
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


@dataclass(frozen=True, eq=False)
class Value:
    """An SSA value of ``type`` in ``body``."""

    body: Body
    type: str
    text: str

    @property
    def is_float(self) -> bool:
        return self.type in SUFFIXES

    def _with(self, op: str, integer_op: str, other: Value | Number, *, swap: bool = False) -> Value:
        a, b = self, self.body.value(self.type, other)
        if swap:
            a, b = b, a
        return self.body.new(self.type, f"{op if self.is_float else integer_op} {self.type} {a.text}, {b.text}")

    def __add__(self, other: Value | Number) -> Value:
        return self._with("fadd", "add", other)

    __radd__ = __add__

    def __sub__(self, other: Value | Number) -> Value:
        return self._with("fsub", "sub", other)

    def __rsub__(self, other: Number) -> Value:
        return self._with("fsub", "sub", other, swap=True)

    def __mul__(self, other: Value | Number) -> Value:
        return self._with("fmul", "mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Value | Number) -> Value:
        return self._with("fdiv", "sdiv", other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._with("fdiv", "sdiv", other, swap=True)

    def __neg__(self) -> Value:
        if self.is_float:
            return self.body.new(self.type, f"fneg {self.type} {self.text}")
        return 0 - self

    def __and__(self, other: Value | Number) -> Value:
        return self._with("and", "and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self._with("or", "or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._with("xor", "xor", other)

    def __invert__(self) -> Value:
        return self ^ (1 if self.type == "i1" else -1)

    def __lshift__(self, places: int) -> Value:
        return self._with("shl", "shl", places)

    def __rshift__(self, places: int) -> Value:
        """Arithmetic shift."""
        return self._with("ashr", "ashr", places)

    def _compare(self, ordered: str, signed: str, other: Value | Number) -> Value:
        op = f"fcmp {ordered}" if self.is_float else f"icmp {signed}"
        return self.body.new("i1", f"{op} {self.type} {self.text}, {self.body.value(self.type, other).text}")

    def __lt__(self, other: Value | Number) -> Value:
        return self._compare("olt", "slt", other)

    def __le__(self, other: Value | Number) -> Value:
        return self._compare("ole", "sle", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._compare("ogt", "sgt", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._compare("oge", "sge", other)

    def equals(self, other: Value | Number) -> Value:
        return self._compare("oeq", "eq", other)

    def differs(self, other: Value | Number) -> Value:
        """a ≠ b; true where either is NaN."""
        return self._compare("une", "ne", other)

    def is_nan(self) -> Value:
        return self._compare("uno", "ne", self)

    def _cast(self, op: str, type: str) -> Value:
        return self.body.new(type, f"{op} {self.type} {self.text} to {type}")

    def bits(self) -> Value:
        """The same bits as an integer."""
        return self._cast("bitcast", INTEGER_TYPES[self.type])

    def as_float(self) -> Value:
        """The same bits as a float."""
        return self._cast("bitcast", "float" if self.type == "i32" else "double")

    def like(self, value: Number) -> Value:
        """A constant of this value's type."""
        return self.body.value(self.type, value)

    def to(self, type: str) -> Value:
        """Converted between float and double."""
        if type == self.type:
            return self
        return self._cast("fpext" if type == "double" else "fptrunc", type)


class Body:
    """The body of one function under construction, mostly in one float type."""

    def __init__(self, dtype: str, *, fma: bool = True) -> None:
        self.type = FLOAT_TYPES[dtype]
        self.fused = fma
        self.lines: list[str] = []
        self.arguments: list[Value] = []
        self.needs: set[tuple[str, str]] = set()  # (name, dtype) of our own functions that are called
        self._count = 0

    @property
    def double(self) -> bool:
        return self.type == "double"

    def argument(self, name: str, type: str | None = None) -> Value:
        value = Value(self, type or self.type, f"%{name}")
        self.arguments.append(value)
        return value

    def value(self, type: str, value: Value | Number) -> Value:
        """``value`` itself, or a constant of ``type``."""
        return value if isinstance(value, Value) else Value(self, type, literal(type, value))

    def constant(self, value: Number) -> Value:
        return self.value(self.type, value)

    def new(self, type: str, instruction: str) -> Value:
        """The result of one more instruction."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {instruction}")
        return Value(self, type, name)

    def result(self, value: Value) -> None:
        self.lines.append(f"  ret {value.type} {value.text}")

    def select(self, condition: Value, yes: Value | Number, no: Value | Number) -> Value:
        type = next((v.type for v in (yes, no) if isinstance(v, Value)), self.type)
        y, n = self.value(type, yes), self.value(type, no)
        return self.new(type, f"select i1 {condition.text}, {type} {y.text}, {type} {n.text}")

    def intrinsic(self, name: str, *given: Value) -> Value:
        """``llvm.name`` on arguments of one float type."""
        type = given[0].type
        listed = ", ".join(f"{type} {g.text}" for g in given)
        return self.new(type, f"call {type} @llvm.{name}.{SUFFIXES[type]}({listed})")

    def call(self, name: str, *given: Value) -> Value:
        """One of our own functions, in the float type of its first argument."""
        type = given[0].type
        self.needs.add((name, "float32" if type == "float" else "float64"))
        listed = ", ".join(f"{g.type} {g.text}" for g in given)
        return self.new(type, f"call {type} @cr.{name}.{SUFFIXES[type]}({listed})")

    def absolute(self, x: Value) -> Value:
        return self.intrinsic("fabs", x)

    def copysign(self, size: Value, sign: Value) -> Value:
        return self.intrinsic("copysign", size, sign)

    def smaller(self, a: Value, limit: Number) -> Value:
        """min(a, limit); NaN stays NaN."""
        return self.select(a > limit, limit, a)

    def larger(self, a: Value, limit: Number) -> Value:
        """max(a, limit); NaN stays NaN."""
        return self.select(a < limit, limit, a)

    def mad(self, a: Value, b: Value | Number, c: Value | Number) -> Value:
        """a·b + c, fused where that is quick."""
        b, c = self.value(a.type, b), self.value(a.type, c)
        return self.intrinsic("fma", a, b, c) if self.fused else a * b + c

    def fma(self, a: Value, b: Value | Number, c: Value | Number) -> Value:
        """a·b + c with one rounding (without hardware: a little more than one; a, b below 2^996 resp. 2^115)."""
        b, c = self.value(a.type, b), self.value(a.type, c)
        if self.fused:
            return self.intrinsic("fma", a, b, c)
        product, rest = self.two_product(a, b)
        total, lost = self.two_sum(product, c)
        return total + (rest + lost)

    def two_sum(self, a: Value, b: Value) -> tuple[Value, Value]:
        """a + b as its rounding and the error of that (Knuth)."""
        total = a + b
        part = total - a
        return total, (a - (total - part)) + (b - part)

    def fast_two_sum(self, a: Value, b: Value) -> tuple[Value, Value]:
        """The same for |a| ≥ |b| (Dekker)."""
        total = a + b
        return total, b - (total - a)

    def two_product(self, a: Value, b: Value | Number) -> tuple[Value, Value]:
        """a·b as its rounding and the error of that (Veltkamp, Dekker)."""
        b = self.value(a.type, b)
        product = a * b
        if self.fused:
            return product, self.intrinsic("fma", a, b, -product)
        splitter = 134217729.0 if a.type == "double" else 4097.0
        ah = a * splitter - (a * splitter - a)
        bh = b * splitter - (b * splitter - b)
        al, bl = a - ah, b - bh
        return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Σ c_k x^k by Horner's rule; lowest power first."""
        total = self.value(x.type, coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.mad(x, total, c)
        return total

    def definition(self, symbol: str, result_type: str, attributes: str) -> str:
        """The whole function; the last line must be a ``ret``."""
        listed = ", ".join(f"{a.type} {a.text}" for a in self.arguments)
        return "\n".join([f"define internal {result_type} {symbol}({listed}) {attributes} {{", *self.lines, "}"])
