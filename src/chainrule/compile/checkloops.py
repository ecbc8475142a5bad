"""The rules every kernel keeps, checked statement by statement: the second representation's checker.

Names are defined once, before their uses and in their loop; dtypes agree; accumulators are started, fed and finished;
every place lies inside its buffer for every turn of the loops around it; nothing is stored but the cluster's own
results, all of each.  Places that are computed (the indices of a gather) have to be clamped: their range is followed
through ``maximum`` and ``minimum`` with literals (interval arithmetic, Moore, 1966).
Does not do: telling that no two turns of a loop write one place, what a kernel means.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from chainrule.base.arrays import BOOL, INT, DType
from chainrule.compile.engine import CompileError
from chainrule.compile.loops import Compute, Finish, Kernel, Load, Loop, Place, Start, Store, Update
from chainrule.ops.expr import CATALOGUE
from chainrule.ops.record import Pointwise

_EVERYWHERE = (-math.inf, math.inf)
Range = tuple[float, float]


class Buffer(NamedTuple):
    """What a kernel may do with a buffer: ``elements`` of ``dtype``, to ``read`` or to ``write``."""

    elements: int
    dtype: DType
    read: bool
    write: bool


class _Name(NamedTuple):
    """A scalar in scope: its dtype (None: a loop variable) and the whole numbers it may be."""

    dtype: DType | None
    range: Range


def check_kernel(kernel: Kernel, buffers: Mapping[Any, Buffer], given: Mapping[str, int] | None = None) -> None:
    """Raise CompileError, naming kernel and statement, unless ``kernel`` keeps the rules.

    ``buffers``: all it may touch, by graph line; its own scratch is added.  ``given``: variables of loops around the
    whole kernel, and their extents.
    """
    _Checker(kernel, buffers).run(given or {})


class _Checker:
    def __init__(self, kernel: Kernel, buffers: Mapping[Any, Buffer]) -> None:
        self.kernel = kernel
        scratch = {name: Buffer(n, dtype, True, True) for name, (n, dtype) in kernel.scratch.items()}
        self.buffers = {**buffers, **scratch}
        self.scratch = frozenset(scratch)
        self.taken: set[str] = set()
        self.written: dict[Any, int] = {}
        self.at: Any = None  # the statement that is looked at

    def refuse(self, problem: str, expected: object, got: object) -> NoReturn:
        shown = "" if self.at is None else str(Kernel("", [self.at], 0)).splitlines()[1].strip()
        raise CompileError(
            f"{self.kernel.name}: {problem}", expected=expected, got=got,
            where=shown + "\n" + str(self.kernel), fix="report this with the function that was compiled",
        )  # fmt: skip

    def run(self, given: Mapping[str, int]) -> None:
        splits = [s.extent for s in self.kernel.body if isinstance(s, Loop) and s.split]
        if len(splits) > 1:
            self.refuse("more than one loop is split", "one loop over the part a thread is given", splits)
        if splits and splits[0] > 1:
            self.outside()
        names = {var: _Name(None, (0, extent - 1)) for var, extent in given.items()}
        self.body(self.kernel.body, names, given, math.prod(given.values()), 0)
        self.at = None
        for buffer, known in self.buffers.items():
            stored = self.written.get(buffer, 0)
            if known.write and buffer not in self.scratch and stored < known.elements:
                self.refuse(f"b{buffer} is not stored whole", f"{known.elements} elements", f"{stored} stores")

    def outside(self) -> None:
        """What stands beside the split loop is run by every part: it may store only what no part reads."""
        read = {s.buffer for s in _all(self.kernel.body) if isinstance(s, Load)} - self.scratch
        for s in _all(s for s in self.kernel.body if not (isinstance(s, Loop) and s.split)):
            if isinstance(s, Store) and s.buffer in read:
                self.at = s
                self.refuse(f"{_named(s.buffer)} is read by a part, and stored by all, outside of the split loop",
                            "such stores in the split loop", "one beside it")  # fmt: skip

    def body(self, statements: Iterable[Any], names: Mapping[str, _Name], extents: Mapping[str, int], turns: int,
             depth: int) -> None:  # fmt: skip
        """The statements of a loop that runs ``turns`` times in all; ``names`` are those of the loops around it."""
        scope = dict(names)
        open_: dict[str, tuple[DType, int]] = {}  # accumulators of this body: dtype, how often they were fed
        for s in statements:
            self.at = s
            if isinstance(s, Loop):
                self.loop(s, scope, extents, turns, depth, open_)
            elif isinstance(s, Load):
                self.touch(s.buffer, s.place, s.dtype, scope, turns, write=False)
                self.define(s.name, _Name(s.dtype, _EVERYWHERE), scope)
            elif isinstance(s, Store):
                self.operand(s.value, s.dtype, scope)
                self.touch(s.buffer, s.place, s.dtype, scope, turns, write=True)
            elif isinstance(s, Compute):
                self.compute(s, scope)
            elif isinstance(s, Start):
                if s.name in open_ or s.name in self.taken:
                    self.refuse("an accumulator is started twice", "a name of its own", s.name)
                self.taken.add(s.name)
                open_[s.name] = s.dtype, 0
                scope["accumulator " + s.name] = _Name(s.dtype, _EVERYWHERE)
            elif isinstance(s, Update):
                self.update(s, scope)
                if s.accumulator in open_:
                    open_[s.accumulator] = s.dtype, 1
            else:
                self.finish(s, scope, open_)
        if open_:
            self.at = None
            self.refuse("an accumulator is not finished where it was started", "a Finish", ", ".join(open_))

    # Statements

    def loop(self, s: Loop, scope: dict[str, _Name], extents: Mapping[str, int], turns: int, depth: int,
             open_: dict[str, tuple[DType, int]]) -> None:  # fmt: skip
        if s.extent < 0 or type(s.extent) is not int:
            self.refuse("a loop's extent is a whole number from 0 up", "0 or more", s.extent)
        if s.var in extents:
            self.refuse("two loops, one in the other, have one variable", "a variable of its own", s.var)
        if s.split and depth:
            self.refuse("a loop in a loop is split", "only the outermost loop is", s.var)
        inner = {**scope, s.var: _Name(None, (0, s.extent - 1))}
        self.body(s.body, inner, {**extents, s.var: s.extent}, turns * s.extent, depth + 1)
        fed = {x.accumulator for x in _all(s.body) if isinstance(x, Update)}
        for name in fed & set(open_):
            open_[name] = open_[name][0], 1

    def define(self, name: str, value: _Name, scope: dict[str, _Name]) -> None:
        if name in scope or name in self.taken:
            self.refuse("a name is defined twice", "a name of its own", name)
        self.taken.add(name)
        scope[name] = value

    def operand(self, value: Any, dtype: DType, scope: Mapping[str, _Name]) -> Range:
        """Check that a value is known and of ``dtype``; the whole numbers it may be."""
        if isinstance(value, tuple):
            known = np.asarray(value[0])
            return (int(known), int(known)) if known.dtype.kind in "iu" else _EVERYWHERE
        if value not in scope:
            self.refuse("a name is used where it is not known", "one defined before, in this loop or around it", value)
        found = scope[value]
        if not _agree(INT if found.dtype is None else found.dtype, dtype):
            self.refuse(f"{value} has another dtype", dtype, found.dtype or "a loop variable")
        return found.range

    def compute(self, s: Compute, scope: dict[str, _Name]) -> None:
        if s.op == "where":
            self.operand(s.args[0], BOOL, scope)
            ranges = [self.operand(a, s.result, scope) for a in s.args[1:]]
            found = min(r[0] for r in ranges), max(r[1] for r in ranges)
        else:
            ranges = [self.operand(a, s.dtype, scope) for a in s.args]
            result = s.result if s.op == "cast" else _result(s.op, s.dtype, len(s.args))
            if not _agree(s.result, result):
                self.refuse(f"{s.op} does not give this dtype", result, s.result)
            found = _range(s.op, ranges)
        self.define(s.name, _Name(s.result, found if s.result.kind in "iu" else _EVERYWHERE), scope)

    def update(self, s: Update, scope: Mapping[str, _Name]) -> None:
        accumulator = scope.get("accumulator " + s.accumulator)
        if accumulator is None:
            self.refuse("an accumulator is fed that is not open", "a Start before, around this loop", s.accumulator)
        if accumulator.dtype != s.dtype:
            self.refuse(f"{s.accumulator} has another dtype", accumulator.dtype, s.dtype)
        self.operand(s.value, s.dtype, scope)

    def finish(self, s: Finish, scope: dict[str, _Name], open_: dict[str, tuple[DType, int]]) -> None:
        if s.accumulator not in open_:
            self.refuse("an accumulator is finished that was not started here", "a Start in the same loop",
                        s.accumulator)  # fmt: skip
        dtype, fed = open_.pop(s.accumulator)
        del scope["accumulator " + s.accumulator]
        if dtype != s.dtype:
            self.refuse(f"{s.accumulator} has another dtype", dtype, s.dtype)
        if not fed:
            self.refuse("an accumulator is finished that nothing was added to", "an Update", s.accumulator)
        self.define(s.name, _Name(s.dtype, _EVERYWHERE), scope)

    # Memory

    def touch(self, buffer: Any, place: Place, dtype: DType, scope: Mapping[str, _Name], turns: int, *,
              write: bool) -> None:  # fmt: skip
        known = self.buffers.get(buffer)
        if known is None or not (known.write if write else known.read):
            what = "stored to" if write else "read"
            self.refuse(f"{_named(buffer)} may not be {what} here", "inputs are read, own results are stored",
                        "no buffer of this kernel" if known is None else known)  # fmt: skip
        if known.dtype != dtype:
            self.refuse(f"{_named(buffer)} has another dtype", known.dtype, dtype)
        low: float = place.offset  # ints, or infinite: never rounded
        high = low
        for var, stride in place.terms:
            if var not in scope:
                self.refuse("a place names a variable that is not known", "a loop around this statement", var)
            dtype_of = scope[var].dtype
            if dtype_of is not None and dtype_of.kind not in "iu":
                self.refuse("a place is a whole number", "a loop variable or an index", dtype_of)
            ends = [stride * end for end in scope[var].range] if stride else [0]
            low, high = low + min(ends), high + max(ends)
        if turns and not (low >= 0 and high < known.elements):
            self.refuse(f"a place outside of {_named(buffer)}", f"0 to {known.elements - 1}", f"{low} to {high}")
        if write:
            self.written[buffer] = self.written.get(buffer, 0) + turns


def _all(statements: Iterable[Any]) -> Iterable[Any]:
    for s in statements:
        yield s
        if isinstance(s, Loop):
            yield from _all(s.body)


def _named(buffer: Any) -> str:
    return buffer if isinstance(buffer, str) else f"b{buffer}"


def _agree(a: DType, b: DType) -> bool:
    """Whether two dtypes are one in registers, where integers have no sign."""
    return a == b or (a.kind in "iu" and b.kind in "iu" and a.itemsize == b.itemsize)


def _result(name: str, dtype: DType, count: int) -> DType:
    """What a pointwise op gives for arguments of ``dtype``."""
    op = CATALOGUE[name]
    return op.loop([dtype] * count)[1] if isinstance(op, Pointwise) else dtype


def _range(op: str, ranges: list[Range]) -> Range:
    if len(ranges) == 2 and op in ("maximum", "minimum", "add", "sub"):
        (a, b), (c, d) = ranges
        match op:
            case "maximum":
                return max(a, c), max(b, d)
            case "minimum":
                return min(a, c), min(b, d)
            case "add":
                return a + c, b + d
            case _:
                return a - d, b - c
    return ranges[0] if op == "cast" else _EVERYWHERE
