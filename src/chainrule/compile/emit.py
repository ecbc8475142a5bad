"""The table of LLVM emitters: for each pointwise op, the instructions that compute it on scalars.

An emitter takes the code under construction, the dtype the op computes in, and its arguments' SSA names; it returns
the SSA name of the result.  Functions (exp, tanh …) are calls to our own math, which LLVM inlines and vectorises.
Bools are ``i1`` in registers and bytes in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from chainrule.base.arrays import DType, Spec
from chainrule.compile.vectormath import NAMES
from chainrule.graph.graph import Graph

LLVM_TYPES = {
    "float32": "float", "float64": "double", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i1",
}  # fmt: skip


class Code(Protocol):
    """What an emitter writes to."""

    def new(self, instruction: str) -> str:
        """Append an instruction with a fresh result name, and return that name."""

    def call(self, function: str, dtype: DType, *args: str) -> str:
        """Append a call to one of our own math functions."""


Emitter = Callable[[Code, DType, tuple[str, ...]], str]


def llvm_type(dtype: DType) -> str:
    """The register type of a dtype."""
    return LLVM_TYPES[dtype.name]


def memory_type(dtype: DType) -> str:
    """How a dtype lies in memory: bools are bytes."""
    return "i8" if dtype.kind == "b" else llvm_type(dtype)


def suffix_of(dtype: DType) -> str:
    """How intrinsics and our functions name a float dtype."""
    return "f32" if dtype.itemsize == 4 else "f64"


def literal(value: Any, dtype: DType) -> str:
    """A constant of ``dtype`` as LLVM writes it."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind == "f":
        bits = np.float64(np.asarray(value, dtype)).view(np.uint64)
        return f"0x{int(bits):016X}"
    return str(int(np.asarray(value, dtype)))


def _fast(dtype: DType) -> str:
    return "contract " if dtype.kind == "f" else ""


def _arith(float_op: str, signed: str, unsigned: str | None = None) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        if dtype.kind == "b":
            return code.new(f"{'or' if float_op == 'fadd' else 'and'} i1 {args[0]}, {args[1]}")
        integer = signed if dtype.kind == "i" else unsigned or signed
        op = f"{float_op} {_fast(dtype)}" if dtype.kind == "f" else integer
        return code.new(f"{op} {llvm_type(dtype)} {args[0]}, {args[1]}")

    return emit


def _compare(ordered: str, signed: str, unsigned: str) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        if dtype.kind == "f":
            return code.new(f"fcmp {ordered} {llvm_type(dtype)} {args[0]}, {args[1]}")
        return code.new(f"icmp {signed if dtype.kind == 'i' else unsigned} {llvm_type(dtype)} {args[0]}, {args[1]}")

    return emit


def _function(name: str) -> Emitter:
    return lambda code, dtype, args: code.call(name, dtype, *args)


def _intrinsic(name: str) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        t = llvm_type(dtype)
        given = ", ".join(f"{t} {a}" for a in args)
        return code.new(f"call {t} @llvm.{name}.{suffix_of(dtype)}({given})")

    return emit


def _bits(op: str) -> Emitter:
    return lambda code, dtype, args: code.new(f"{op} {llvm_type(dtype)} {args[0]}, {args[1]}")


def _logical(op: str) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        bits = [truth(code, dtype, a) for a in args]
        return code.new(f"{op} i1 {bits[0]}, {bits[1]}")

    return emit


def truth(code: Code, dtype: DType, value: str) -> str:
    """Whether a value is not zero, as ``i1``."""
    if dtype.kind == "b":
        return value
    if dtype.kind == "f":
        return code.new(f"fcmp une {llvm_type(dtype)} {value}, 0.0")
    return code.new(f"icmp ne {llvm_type(dtype)} {value}, 0")


def _shift(left: bool) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        t, width = llvm_type(dtype), 8 * dtype.itemsize
        # NumPy defines shifting by the width or more: everything is shifted out.
        small = code.new(f"icmp ult {t} {args[1]}, {width}")
        most = code.new(f"select i1 {small}, {t} {args[1]}, {t} {width - 1}")
        op = "shl" if left else "ashr" if dtype.kind == "i" else "lshr"
        shifted = code.new(f"{op} {t} {args[0]}, {most}")
        if op == "ashr":
            return shifted  # by width - 1: all sign bits, as it should be
        return code.new(f"select i1 {small}, {t} {shifted}, {t} 0")

    return emit


def _negate(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    t = llvm_type(dtype)
    return code.new(f"fneg {t} {args[0]}" if dtype.kind == "f" else f"sub {t} 0, {args[0]}")


def _absolute(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    if dtype.kind == "f":
        return _intrinsic("fabs")(code, dtype, args)
    if dtype.kind in "ub":
        return args[0]
    t = llvm_type(dtype)
    return code.new(f"call {t} @llvm.abs.{t}({t} {args[0]}, i1 false)")


def _sign(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    t, (x,) = llvm_type(dtype), args
    if dtype.kind == "f":
        up = code.new(f"fcmp ogt {t} {x}, 0.0")
        down = code.new(f"fcmp olt {t} {x}, 0.0")
        low = code.new(f"select i1 {down}, {t} -1.0, {t} {x}")  # keeps 0 and NaN
        return code.new(f"select i1 {up}, {t} 1.0, {t} {low}")
    up = code.new(f"icmp {'sgt' if dtype.kind == 'i' else 'ugt'} {t} {x}, 0")
    down = code.new(f"icmp slt {t} {x}, 0") if dtype.kind == "i" else "false"
    low = code.new(f"select i1 {down}, {t} -1, {t} 0")
    return code.new(f"select i1 {up}, {t} 1, {t} {low}")


def _extreme(intrinsic: str, signed: str, unsigned: str) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        t = llvm_type(dtype)
        if dtype.kind == "f":
            # llvm.maximum has no vector form on x86 that pays; NumPy's rule is: NaN if either is.  A comparison and
            # its choice are one instruction, which gives the second where either is NaN.
            wins = code.new(f"fcmp {'ogt' if intrinsic == 'maximum' else 'olt'} {t} {args[0]}, {args[1]}")
            found = code.new(f"select i1 {wins}, {t} {args[0]}, {t} {args[1]}")
            unordered = code.new(f"fcmp uno {t} {args[0]}, {args[0]}")
            return code.new(f"select i1 {unordered}, {t} {args[0]}, {t} {found}")
        if dtype.kind == "b":
            return code.new(f"{'or' if intrinsic == 'maximum' else 'and'} i1 {args[0]}, {args[1]}")
        name = signed if dtype.kind == "i" else unsigned
        return code.new(f"call {t} @llvm.{name}.{t}({t} {args[0]}, {t} {args[1]})")

    return emit


def _divisor(code: Code, dtype: DType, args: tuple[str, ...]) -> tuple[str, str, str]:
    """A divisor that never traps, and whether the real one is 0, or -1."""
    t = llvm_type(dtype)
    nothing = code.new(f"icmp eq {t} {args[1]}, 0")
    minus = code.new(f"icmp eq {t} {args[1]}, -1") if dtype.kind == "i" else "false"  # the least / -1 overflows
    either = code.new(f"or i1 {nothing}, {minus}")
    return code.new(f"select i1 {either}, {t} 1, {t} {args[1]}"), nothing, minus


def _rounds_up(code: Code, t: str, rest: str, divisor: str) -> str:
    """Whether a division that rounded towards 0 rounded up."""
    differ = code.new(f"xor {t} {rest}, {divisor}")
    opposite = code.new(f"icmp slt {t} {differ}, 0")
    some = code.new(f"icmp ne {t} {rest}, 0")
    return code.new(f"and i1 {opposite}, {some}")


def _modulo(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    if dtype.kind == "f":
        return code.call("remainder", dtype, *args)
    t = llvm_type(dtype)
    divisor, _, _ = _divisor(code, dtype, args)  # x mod 0 is 0 in NumPy, as x mod 1 is
    rest = code.new(f"{'srem' if dtype.kind == 'i' else 'urem'} {t} {args[0]}, {divisor}")
    if dtype.kind == "u":
        return rest
    moved = code.new(f"add {t} {rest}, {divisor}")
    return code.new(f"select i1 {_rounds_up(code, t, rest, divisor)}, {t} {moved}, {t} {rest}")


def _floor_divide(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    if dtype.kind == "f":
        return code.call("floor_divide", dtype, *args)
    t = llvm_type(dtype)
    divisor, nothing, minus = _divisor(code, dtype, args)
    if dtype.kind == "u":
        found = code.new(f"udiv {t} {args[0]}, {divisor}")
    else:
        quotient = code.new(f"sdiv {t} {args[0]}, {divisor}")
        rest = code.new(f"srem {t} {args[0]}, {divisor}")
        lower = code.new(f"sub {t} {quotient}, 1")
        floor = code.new(f"select i1 {_rounds_up(code, t, rest, divisor)}, {t} {lower}, {t} {quotient}")
        negative = code.new(f"sub {t} 0, {args[0]}")
        found = code.new(f"select i1 {minus}, {t} {negative}, {t} {floor}")
    return code.new(f"select i1 {nothing}, {t} 0, {t} {found}")


def _bit_count(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    t = llvm_type(dtype)
    size = _absolute(code, dtype, args)
    count = code.new(f"call {t} @llvm.ctpop.{t}({t} {size})")
    return count if t == "i8" else code.new(f"trunc {t} {count} to i8")


def _chain_mul(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
    t = llvm_type(dtype)
    product = code.new(f"fmul {_fast(dtype)}{t} {args[0]}, {args[1]}")
    nothing = code.new(f"fcmp oeq {t} {args[0]}, 0.0")
    return code.new(f"select i1 {nothing}, {t} 0.0, {t} {product}")


def _class(mask: str) -> Emitter:
    def emit(code: Code, dtype: DType, args: tuple[str, ...]) -> str:
        t = llvm_type(dtype)
        if dtype.kind != "f":
            return code.new(f"or i1 {'true' if mask == 'finite' else 'false'}, false")
        if mask == "nan":
            return code.new(f"fcmp uno {t} {args[0]}, {args[0]}")
        size = _intrinsic("fabs")(code, dtype, args)
        return code.new(f"fcmp {'one' if mask == 'finite' else 'oeq'} {t} {size}, 0x7FF0000000000000")

    return emit


_FLOAT = frozenset({"float32", "float64"})
_INTEGER = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_NUMBER = _FLOAT | _INTEGER
_ANY = _NUMBER | {"bool"}

# op → (emitter, dtypes of the arguments it is for)
EMITTERS: dict[str, tuple[Emitter, frozenset[str]]] = {
    "add": (_arith("fadd", "add"), _ANY), "sub": (_arith("fsub", "sub"), _NUMBER),
    "mul": (_arith("fmul", "mul"), _ANY), "div": (_arith("fdiv", "sdiv"), _FLOAT),
    "neg": (_negate, _NUMBER), "abs": (_absolute, _NUMBER), "sign": (_sign, _NUMBER),
    "chain_mul": (_chain_mul, _FLOAT),
    "floor": (_intrinsic("floor"), _FLOAT), "ceil": (_intrinsic("ceil"), _FLOAT),
    "rint": (_intrinsic("rint"), _FLOAT), "trunc": (_intrinsic("trunc"), _FLOAT),
    "copysign": (_intrinsic("copysign"), _FLOAT),
    "mod": (_modulo, _NUMBER), "floor_divide": (_floor_divide, _NUMBER), "bitwise_count": (_bit_count, _INTEGER),
    "maximum": (_extreme("maximum", "smax", "umax"), _ANY), "minimum": (_extreme("minimum", "smin", "umin"), _ANY),
    "equal": (_compare("oeq", "eq", "eq"), _ANY), "not_equal": (_compare("une", "ne", "ne"), _ANY),
    "less": (_compare("olt", "slt", "ult"), _ANY), "less_equal": (_compare("ole", "sle", "ule"), _ANY),
    "greater": (_compare("ogt", "sgt", "ugt"), _ANY), "greater_equal": (_compare("oge", "sge", "uge"), _ANY),
    "logical_and": (_logical("and"), _ANY), "logical_or": (_logical("or"), _ANY),
    "logical_xor": (_logical("xor"), _ANY),
    "logical_not": (lambda code, dtype, args: code.new(f"xor i1 {truth(code, dtype, args[0])}, true"), _ANY),
    "bitwise_and": (_bits("and"), _INTEGER | {"bool"}), "bitwise_or": (_bits("or"), _INTEGER | {"bool"}),
    "bitwise_xor": (_bits("xor"), _INTEGER | {"bool"}),
    "left_shift": (_shift(True), _INTEGER), "right_shift": (_shift(False), _INTEGER),
    "invert": (lambda code, dtype, args: code.new(
        f"xor {llvm_type(dtype)} {args[0]}, {'true' if dtype.kind == 'b' else '-1'}"), _INTEGER | {"bool"}),
    "isnan": (_class("nan"), _ANY), "isinf": (_class("inf"), _ANY), "isfinite": (_class("finite"), _ANY),
}  # fmt: skip


# Ops whose emitter is a call of our own function: op → function.
FUNCTIONS = {name: name for name in NAMES}
for _name, _math in FUNCTIONS.items():
    EMITTERS.setdefault(_name, (_function(_math), _FLOAT))


def convert(code: Code, value: str, source: DType, goal: DType) -> str:
    """A value cast from one dtype to another, as NumPy casts."""
    a, b = llvm_type(source), llvm_type(goal)
    if source == goal:
        return value
    if goal.kind == "b":
        return truth(code, source, value)
    if source.kind == "b":
        op = "uitofp" if goal.kind == "f" else "zext"
    elif source.kind == "f" and goal.kind == "f":
        op = "fpext" if goal.itemsize > source.itemsize else "fptrunc"
    elif source.kind == "f" and (goal.itemsize < 4 or goal.name == "uint32"):  # as C does it: wider, then cut off
        wider = np.dtype(np.int32 if goal.itemsize < 4 else np.int64)
        return convert(code, convert(code, value, source, wider), wider, goal)
    elif source.kind == "f":
        return code.new(f"call {b} @llvm.fpto{'s' if goal.kind == 'i' else 'u'}i.sat.{b}."
                        f"{suffix_of(source)}({a} {value})")  # fmt: skip
    elif goal.kind == "f":
        op = "sitofp" if source.kind == "i" else "uitofp"
    elif goal.itemsize == source.itemsize:
        return value
    elif goal.itemsize < source.itemsize:
        op = "trunc"
    else:
        op = "sext" if source.kind == "i" else "zext"
    return code.new(f"{op} {a} {value} to {b}")


def has_emitter(graph: Graph, index: int) -> bool:
    """Whether a line can be part of a kernel: the op is in the tables, for these dtypes."""
    line = graph.lines[index]
    if not isinstance(line.spec, Spec) or line.spec.dtype.name not in _ANY:
        return False
    specs = [graph.lines[a].spec for a in line.args]
    if any(not isinstance(s, Spec) or s.dtype.name not in _ANY for s in specs):
        return False
    name = line.op.name
    if name in ("where", "cast"):
        return True
    if name == "matmul":
        return line.spec.dtype.name in _FLOAT
    if name in ("sum", "max", "min"):
        return line.spec.dtype.name in _NUMBER and bool(specs[0].dtype == line.spec.dtype)
    if name in ("any", "all"):
        return bool(specs[0].dtype.name == "bool")
    if name in ("reshape", "transpose", "broadcast_to", "index", "stop_gradient"):
        return True
    if name in ("gather", "scatter_add", "scatter"):
        return all(s.dtype.kind in "iu" and s.dtype.itemsize == 8 for s in specs[1 if name == "gather" else 2 :])
    if name in ("unindex", "update", "concatenate"):
        return True
    if name == "cumsum":
        return bool(specs[0].dtype == line.spec.dtype)
    if name == "random_bits":
        return len(specs[0].shape) == 1
    row = EMITTERS.get(name)
    return row is not None and all(isinstance(s, Spec) and s.dtype.name in row[1] for s in specs)
