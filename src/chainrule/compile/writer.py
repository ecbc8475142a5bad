"""Small pieces of LLVM text that kernels written by hand share: index arithmetic that folds, counted loops, vectors.

Indices are ``i64`` operands: SSA names, or decimal literals, which are folded here so that the text stays readable.
Does not do: types beyond what the caller writes; LLVM checks the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Writer(Protocol):
    """What kernels write to."""

    lines: list[str]

    def put(self, line: str) -> None:
        """Append a line; labels end in a colon."""

    def new(self, instruction: str) -> str:
        """Append an instruction with a fresh result name, and return that name."""

    def label(self, stem: str) -> str:
        """A fresh label."""


class Lines:
    """The plain writer."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def put(self, line: str) -> None:
        self.lines.append(line if line.endswith(":") else f"  {line}")

    def new(self, instruction: str) -> str:
        self._count += 1
        name = f"%v{self._count}"
        self.put(f"{name} = {instruction}")
        return name

    def label(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"


def known(index: str) -> bool:
    """Whether an index is a literal."""
    return not index.startswith("%")


def add(out: Writer, a: str, b: str | int) -> str:
    """``a + b``."""
    b = str(b)
    if known(a) and known(b):
        return str(int(a) + int(b))
    if "0" in (a, b):
        return b if a == "0" else a
    return out.new(f"add nsw i64 {a}, {b}")


def subtract(out: Writer, a: str, b: str | int) -> str:
    """``a − b``."""
    b = str(b)
    if known(a) and known(b):
        return str(int(a) - int(b))
    return a if b == "0" else out.new(f"sub nsw i64 {a}, {b}")


def multiply(out: Writer, a: str, factor: int) -> str:
    """``a · factor``."""
    if known(a):
        return str(int(a) * factor)
    if factor in (0, 1):
        return a if factor else "0"
    return out.new(f"mul nsw i64 {a}, {factor}")


def divide(out: Writer, a: str, by: int) -> tuple[str, str]:
    """Quotient and remainder of an index of 0 or more."""
    if by == 1:
        return a, "0"
    if known(a):
        return str(int(a) // by), str(int(a) % by)
    return out.new(f"udiv i64 {a}, {by}"), out.new(f"urem i64 {a}, {by}")


def least(out: Writer, a: str, b: str | int) -> str:
    """The smaller of two indices."""
    b = str(b)
    if known(a) and known(b):
        return str(min(int(a), int(b)))
    return out.new(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")


def most(out: Writer, a: str, b: str | int) -> str:
    """The larger of two indices."""
    b = str(b)
    if known(a) and known(b):
        return str(max(int(a), int(b)))
    return out.new(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")


def at(out: Writer, element: str, pointer: str, index: str | int) -> str:
    """The address ``index`` elements behind ``pointer``."""
    index = str(index)
    return pointer if index == "0" else out.new(f"getelementptr inbounds {element}, ptr {pointer}, i64 {index}")


@contextmanager
def loop(out: Writer, start: str, stop: str, step: int = 1, note: str = "") -> Iterator[str]:
    """``for var in range(start, stop, step)``; where that is known to be one turn, there is no loop.

    ``note`` is metadata for the branch back.
    """
    if known(start) and known(stop) and 0 < int(stop) - int(start) <= step:
        yield start
        return
    before, body, latch, leave = (out.label(stem) for stem in ("before", "body", "latch", "leave"))
    out.put(f"br label %{before}")
    out.put(f"{before}:")
    some = out.new(f"icmp slt i64 {start}, {stop}")
    out.put(f"br i1 {some}, label %{body}, label %{leave}")
    out.put(f"{body}:")
    var, following = f"%{body}.i", f"%{body}.next"
    out.put(f"{var} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]")
    yield var
    out.put(f"br label %{latch}")
    out.put(f"{latch}:")
    out.put(f"{following} = add nsw i64 {var}, {step}")
    again = out.new(f"icmp slt i64 {following}, {stop}")
    out.put(f"br i1 {again}, label %{body}, label %{leave}{note}")
    out.put(f"{leave}:")


def carried(out: Writer, start: str, stop: str, step: int, type_: str, values: Sequence[str],
            body: Callable[[str, list[str]], list[str]], note: str = "") -> list[str]:  # fmt: skip
    """A loop whose ``values``, all of one type, go from one turn to the next; what they are behind it."""
    if known(start) and known(stop) and int(stop) - int(start) <= step:
        return body(start, list(values)) if int(stop) > int(start) else list(values)
    before, head, latch, leave = (out.label(stem) for stem in ("before", "sums", "latch", "leave"))
    out.put(f"br label %{before}")
    out.put(f"{before}:")
    some = out.new(f"icmp slt i64 {start}, {stop}")
    out.put(f"br i1 {some}, label %{head}, label %{leave}")
    out.put(f"{head}:")
    var = f"%{head}.i"
    names = [f"%{head}.s{i}" for i in range(len(values))]
    mark = len(out.lines)  # the phis, written once the results have names
    results = body(var, names)
    phis = [f"  {var} = phi i64 [ {start}, %{before} ], [ {var}.next, %{latch} ]"]
    phis += [f"  {name} = phi {type_} [ {value}, %{before} ], [ {result}, %{latch} ]"
             for name, value, result in zip(names, values, results, strict=True)]  # fmt: skip
    out.lines[mark:mark] = phis
    out.put(f"br label %{latch}")
    out.put(f"{latch}:")
    out.put(f"{var}.next = add nsw i64 {var}, {step}")
    again = out.new(f"icmp slt i64 {var}.next, {stop}")
    out.put(f"br i1 {again}, label %{head}, label %{leave}{note}")
    out.put(f"{leave}:")
    return [
        out.new(f"phi {type_} [ {value}, %{before} ], [ {result}, %{latch} ]")
        for value, result in zip(values, results, strict=True)
    ]


def branch(out: Writer, condition: str, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
    """``if condition: then() else: otherwise()``."""
    yes, no, leave = out.label("then"), out.label("otherwise"), out.label("leave")
    out.put(f"br i1 {condition}, label %{yes}, label %{no if otherwise else leave}")
    out.put(f"{yes}:")
    then()
    out.put(f"br label %{leave}")
    if otherwise:
        out.put(f"{no}:")
        otherwise()
        out.put(f"br label %{leave}")
    out.put(f"{leave}:")


def leave_unless_zero(out: Writer, status: str) -> None:
    """Return ``status``, an i32, from the function if it is not 0."""
    failed, go = out.label("failed"), out.label("go")
    bad = out.new(f"icmp ne i32 {status}, 0")
    out.put(f"br i1 {bad}, label %{failed}, label %{go}")
    out.put(f"{failed}:")
    out.put(f"ret i32 {status}")
    out.put(f"{go}:")


class Vectors:
    """Loads, stores and arithmetic on vectors of ``lanes`` numbers of LLVM type ``element``."""

    def __init__(self, out: Writer, element: str, lanes: int, fused: bool) -> None:
        self.out = out
        self.element = element
        self.lanes = lanes
        self.size = 4 if element == "float" else 8
        self.type = f"<{lanes} x {element}>"
        self.suffix = f"v{lanes}f{8 * self.size}"
        self.fma = "fma" if fused else "fmuladd"

    def mask(self, count: int) -> str:
        """The constant mask of the first ``count`` lanes."""
        return f"<{', '.join(f'i1 {str(i < count).lower()}' for i in range(self.lanes))}>"

    def load(self, pointer: str, count: int, align: int = 0) -> str:
        """The first ``count`` lanes of a vector; the others are 0."""
        align = align or self.size
        if count >= self.lanes:
            return self.out.new(f"load {self.type}, ptr {pointer}, align {align}")
        return self.out.new(
            f"call {self.type} @llvm.masked.load.{self.suffix}.p0(ptr align {self.size} {pointer}, "
            f"<{self.lanes} x i1> {self.mask(count)}, {self.type} zeroinitializer)"
        )

    def store(self, value: str, pointer: str, count: int, align: int = 0) -> None:
        """Store the first ``count`` lanes."""
        align = align or self.size
        if count >= self.lanes:
            self.out.put(f"store {self.type} {value}, ptr {pointer}, align {align}")
            return
        self.out.put(
            f"call void @llvm.masked.store.{self.suffix}.p0({self.type} {value}, ptr align {self.size} {pointer}, "
            f"<{self.lanes} x i1> {self.mask(count)})"
        )

    def broadcast(self, scalar: str) -> str:
        """A vector of one number."""
        first = self.out.new(f"insertelement {self.type} poison, {self.element} {scalar}, i64 0")
        return self.shuffle(first, "poison", [0] * self.lanes)

    def shuffle(self, a: str, b: str, lanes: Sequence[int], source: str | None = None) -> str:
        """``shufflevector`` of two vectors (of type ``source``, ours by default)."""
        mask = ", ".join(f"i32 {i}" for i in lanes)
        source = source or self.type
        return self.out.new(f"shufflevector {source} {a}, {source} {b}, <{len(lanes)} x i32> <{mask}>")

    def multiply_add(self, a: str, b: str, c: str) -> str:
        """``a·b + c``."""
        return self.out.new(
            f"call {self.type} @llvm.{self.fma}.{self.suffix}({self.type} {a}, {self.type} {b}, {self.type} {c})"
        )

    def add(self, a: str, b: str) -> str:
        """``a + b``."""
        return self.out.new(f"fadd {self.type} {a}, {b}")
