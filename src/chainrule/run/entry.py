"""How Python enters native code, and how native code comes back: LLVM text that every program carries.

``cr.call`` reads from the array objects where their numbers lie, and runs the program.  ``cr.enter`` gives up Python's
lock and ``cr.leave`` takes it again, so other Python threads run meanwhile.  ``cr.poll``, called between the steps of
loops, lets Python look for signals every few hundredths of a second; ``cr.back`` runs a line with NumPy.  Both return
non-zero to leave the program; the exception, if any, is then set.

The context: ptr pool, ptr callback, ptr thread state, i64 clock at which to look again.
Does not do: interpreters other than CPython (there ctypes itself gives up the lock, and loops do not look for signals).
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from chainrule.compile import engine
from chainrule.compile.target import Target, host

CPYTHON = sys.implementation.name == "cpython"
ENTRY = (ctypes.PYFUNCTYPE if CPYTHON else ctypes.CFUNCTYPE)(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
BACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p)
_SECONDS = 0.05  # between two looks for signals

# Bits of what cr.take returns, beside those of the arrays' flags that are set in all of them.
OVERLAP = 1 << 32
PLAIN = 0x1 | 0x100  # C order, aligned
WRITEABLE = 0x400


class Context(ctypes.Structure):
    """What native code needs of the runtime."""

    _fields_ = (
        ("pool", ctypes.c_void_p),
        ("callback", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
        ("due", ctypes.c_uint64),
    )


class Frame(ctypes.Structure):
    """What ``cr.call`` needs to know of a program's arrays.

    ``count`` arrays, of which the first ``given`` are arguments of ``sizes`` bytes, ``gifts`` of them ``donated``;
    ``offset`` is where in an array object the address of its numbers stands; ``needed`` the flags all arguments need;
    ``against`` are the ``rivals`` arguments that may have bytes in common with donated ones, as far as is known.
    """

    _fields_ = (
        ("count", ctypes.c_int64),
        ("given", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("donated", ctypes.c_void_p),
        ("gifts", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("needed", ctypes.c_int64),
        ("against", ctypes.c_void_p),
        ("rivals", ctypes.c_int64),
    )


CALL = (ctypes.PYFUNCTYPE if CPYTHON else ctypes.CFUNCTYPE)(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)
UNFIT = 1 << 40  # what CALL returns, with the flags, where the arguments do not have those that are needed

# Asking each array in Python takes fifty times as long.  cr.take returns the flags that all arguments have, and OVERLAP
# where a donated one has bytes in common with another.
_TAKE_TEXT = """define i64 @cr.call(ptr %objects, ptr %buffers, ptr %context, ptr %frame) {
  %flags = call i64 @cr.take(ptr %objects, ptr %buffers, ptr %frame)
  %needed.at = getelementptr inbounds i64, ptr %frame, i64 6
  %needed = load i64, ptr %needed.at
  %has = and i64 %flags, %needed
  %all = icmp eq i64 %has, %needed
  %apart = icmp ult i64 %flags, 4294967296
  %fit = and i1 %all, %apart
  br i1 %fit, label %go, label %unfit
go:
  %status = call i32 @program(ptr %buffers, ptr %context)
  %done = icmp eq i32 %status, 0
  br i1 %done, label %give, label %out
give:
  call void @cr.give(ptr %objects, ptr %frame)
  br label %out
out:
  %wide = zext i32 %status to i64
  ret i64 %wide
unfit:
  %marked = or i64 %flags, 1099511627776
  ret i64 %marked
}

; donated arguments are read-only from now on: their memory is the results'
define internal void @cr.give(ptr %objects, ptr %frame) {
entry:
  %donated.at = getelementptr inbounds i64, ptr %frame, i64 3
  %donated = load ptr, ptr %donated.at
  %gifts.at = getelementptr inbounds i64, ptr %frame, i64 4
  %gifts = load i64, ptr %gifts.at
  %offset.at = getelementptr inbounds i64, ptr %frame, i64 5
  %offset = load i64, ptr %offset.at
  %some = icmp sgt i64 %gifts, 0
  br i1 %some, label %loop, label %out
loop:
  %g = phi i64 [ 0, %entry ], [ %next, %loop ]
  %g.at = getelementptr inbounds i64, ptr %donated, i64 %g
  %position = load i64, ptr %g.at
  %from = getelementptr inbounds ptr, ptr %objects, i64 %position
  %object = load ptr, ptr %from
  %field = getelementptr inbounds i8, ptr %object, i64 %offset
  %flags.at = getelementptr inbounds i8, ptr %field, i64 48
  %flags = load i32, ptr %flags.at
  %kept = and i32 %flags, -1025
  store i32 %kept, ptr %flags.at
  %next = add nsw i64 %g, 1
  %more = icmp slt i64 %next, %gifts
  br i1 %more, label %loop, label %out
out:
  ret void
}

define internal i64 @cr.take(ptr %objects, ptr %buffers, ptr %frame) {
entry:
  %count = load i64, ptr %frame
  %given.at = getelementptr inbounds i64, ptr %frame, i64 1
  %given = load i64, ptr %given.at
  %sizes.at = getelementptr inbounds i64, ptr %frame, i64 2
  %sizes = load ptr, ptr %sizes.at
  %donated.at = getelementptr inbounds i64, ptr %frame, i64 3
  %donated = load ptr, ptr %donated.at
  %gifts.at = getelementptr inbounds i64, ptr %frame, i64 4
  %gifts = load i64, ptr %gifts.at
  %offset.at = getelementptr inbounds i64, ptr %frame, i64 5
  %offset = load i64, ptr %offset.at
  %against.at = getelementptr inbounds i64, ptr %frame, i64 7
  %against = load ptr, ptr %against.at
  %rivals.at = getelementptr inbounds i64, ptr %frame, i64 8
  %rivals = load i64, ptr %rivals.at
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %out
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %all = phi i64 [ 4294967295, %entry ], [ %all.next, %loop ]
  %from = getelementptr inbounds ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %from
  %field = getelementptr inbounds i8, ptr %object, i64 %offset
  %data = load ptr, ptr %field
  %to = getelementptr inbounds ptr, ptr %buffers, i64 %i
  store ptr %data, ptr %to
  %flags.at = getelementptr inbounds i8, ptr %field, i64 48
  %flags.32 = load i32, ptr %flags.at
  %flags = zext i32 %flags.32 to i64
  %is.input = icmp slt i64 %i, %given
  %mask = select i1 %is.input, i64 %flags, i64 -1
  %all.next = and i64 %all, %mask
  %next = add nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %gifts.check
gifts.check:
  %any.gifts = icmp sgt i64 %gifts, 0
  %any.rivals = icmp sgt i64 %rivals, 0
  %any = and i1 %any.gifts, %any.rivals
  br i1 %any, label %gift, label %done
gift:
  %g = phi i64 [ 0, %gifts.check ], [ %g.next, %gift.next ]
  %g.at = getelementptr inbounds i64, ptr %donated, i64 %g
  %d = load i64, ptr %g.at
  %d.at = getelementptr inbounds ptr, ptr %buffers, i64 %d
  %d.first = load i64, ptr %d.at
  %d.size.at = getelementptr inbounds i64, ptr %sizes, i64 %d
  %d.size = load i64, ptr %d.size.at
  %d.last = add i64 %d.first, %d.size
  br label %other
other:
  %r = phi i64 [ 0, %gift ], [ %r.next, %other.next ]
  %r.at = getelementptr inbounds i64, ptr %against, i64 %r
  %j = load i64, ptr %r.at
  %self = icmp eq i64 %j, %d
  br i1 %self, label %other.next, label %compare
compare:
  %o.at = getelementptr inbounds ptr, ptr %buffers, i64 %j
  %o.first = load i64, ptr %o.at
  %o.size.at = getelementptr inbounds i64, ptr %sizes, i64 %j
  %o.size = load i64, ptr %o.size.at
  %o.last = add i64 %o.first, %o.size
  %before = icmp ult i64 %o.first, %d.last
  %after = icmp ult i64 %d.first, %o.last
  %both = and i1 %before, %after
  br i1 %both, label %overlap, label %other.next
other.next:
  %r.next = add nsw i64 %r, 1
  %r.more = icmp slt i64 %r.next, %rivals
  br i1 %r.more, label %other, label %gift.next
gift.next:
  %g.next = add nsw i64 %g, 1
  %g.more = icmp slt i64 %g.next, %gifts
  br i1 %g.more, label %gift, label %done
overlap:
  %marked = or i64 %all.next, 4294967296
  ret i64 %marked
done:
  ret i64 %all.next
out:
  ret i64 4294967295
}
"""


def data_address(array: Any) -> int:
    """The address of an array's first number."""
    address: int = array.__array_interface__["data"][0]
    return address


ITEMS = tuple.__basicsize__  # where in a tuple its items stand
DICT_USED = object.__basicsize__  # where in a dict its length stands
RANK, DIMENSIONS, DESCR, FLAGS = 8, 16, 40, 48  # what stands behind the address of an array's numbers


def references(objects: tuple[Any, ...]) -> list[int]:
    """How many references each of some objects has, as its head says."""
    return [ctypes.c_int32.from_address(address).value for address in map(id, objects)]


def _data_offset() -> int | None:
    """Where an array object keeps the address of its numbers: behind the object's head, in CPython.

    None where looking there, or at what else native code looks at, does not give what Python says.
    """
    if not CPYTHON or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    offset = object.__basicsize__
    tries = [np.arange(float(n)) for n in range(1, 5)] + [np.zeros((3, 4)).T, np.zeros((4, 4))[1:, 1:]]
    tries[0].flags.writeable = False
    for array in tries:
        at = id(array) + offset
        sizes = ctypes.c_void_p.from_address(at + DIMENSIONS).value or 0
        found = (
            ctypes.c_void_p.from_address(at).value, ctypes.c_int32.from_address(at + RANK).value,
            tuple((ctypes.c_int64 * array.ndim).from_address(sizes)),
            ctypes.c_void_p.from_address(at + DESCR).value, ctypes.c_int32.from_address(at + FLAGS).value,
        )  # fmt: skip
        if found != (data_address(array), array.ndim, array.shape, id(array.dtype), array.flags.num):
            return None
    listed = tuple(tries)
    items = (ctypes.c_void_p * len(listed)).from_address(id(listed) + ITEMS)
    more = [tries[1]] * 5
    once, six_times = references((tries[2], tries[1]))
    entries = {str(n): n for n in range(11)}
    used = ctypes.c_int64.from_address(id(entries) + DICT_USED).value
    told = (list(items), six_times - once, used)
    return offset if told == ([id(array) for array in tries], len(more), len(entries)) else None


OFFSET = _data_offset()


def array_flags(arrays: Sequence[Any], donated: Sequence[int]) -> int:
    """What ``cr.take`` finds, asked of each array in Python."""
    flags = (1 << 32) - 1
    for array in arrays:
        flags &= array.flags.num
    ends = [(data_address(a), data_address(a) + a.nbytes) for a in arrays]
    apart = all(ends[i][1] <= b or e <= ends[i][0] for i in donated for j, (b, e) in enumerate(ends) if i != j)
    return flags if apart else flags | OVERLAP


def runtime_text(target: Target, *, backs: bool, polls: bool) -> str:
    """The text of what programs call; ``backs`` and ``polls``: whether they call ``cr.back`` and ``cr.poll``."""
    parts = [_TAKE_TEXT, _lock_text()]
    if backs or polls:
        parts.append(_signals_text(target))
    if backs:
        parts.append(_in_python(target, "cr.numpy", "i64 %which, ptr %buffers", _NUMPY_TEXT) + _BACK_TEXT)
    if polls:
        parts.append(_poll_text(target))
    return "\n".join(parts)


def _lock_text() -> str:
    if not CPYTHON:
        names = ("cr.enter", "cr.leave")
        return "\n".join(f"define internal void @{name}(ptr %context) {{\n  ret void\n}}" for name in names)
    return """declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
define internal void @cr.enter(ptr %context) nounwind {
  %state = call ptr @PyEval_SaveThread()
  %at = getelementptr inbounds ptr, ptr %context, i64 2
  store ptr %state, ptr %at
  ret void
}
define internal void @cr.leave(ptr %context) nounwind {
  %at = getelementptr inbounds ptr, ptr %context, i64 2
  %state = load ptr, ptr %at
  call void @PyEval_RestoreThread(ptr %state)
  ret void
}
"""


_NUMPY_TEXT = """  %at = getelementptr inbounds ptr, ptr %context, i64 1
  %function = load ptr, ptr %at
  %status = call i32 %function(i64 %which, ptr %buffers)"""
# A signal that waits must not be handled inside ctypes, which has nobody to hand an exception to.
_BACK_TEXT = """
define internal i32 @cr.back(ptr %context, i64 %which, ptr %buffers) nounwind {
  %signal = call i32 @cr.signals(ptr %context)
  %calm = icmp eq i32 %signal, 0
  br i1 %calm, label %go.on, label %out
go.on:
  %status = call i32 @cr.numpy(ptr %context, i64 %which, ptr %buffers)
  ret i32 %status
out:
  ret i32 %signal
}
"""
_SIGNALS_TEXT = """  call void @cr.leave(ptr %context)
  %status = call i32 @PyErr_CheckSignals()
  call void @cr.enter(ptr %context)"""


def _in_python(target: Target, name: str, parameters: str, body: str) -> str:
    """A function that runs ``body``, which defines ``%status``, with denormals kept as Python expects."""
    mode = target.mode
    enter, leave = ("\n".join(f"  {line}" for line in lines) for lines in ((*mode.enter, *mode.keep), mode.leave))
    listed = f"ptr %context, {parameters}" if parameters else "ptr %context"
    head = f"define internal i32 @{name}({listed}) noinline nounwind {{"
    return f"{head}\n{enter}\n{body}\n{leave}\n  ret i32 %status\n}}\n"


def _signals_text(target: Target) -> str:
    """``cr.signals``: let Python handle the signals that wait; non-zero where a handler raised."""
    if not CPYTHON:
        return "define internal i32 @cr.signals(ptr %context) {\n  ret i32 0\n}\n"
    return "declare i32 @PyErr_CheckSignals()\n" + _in_python(target, "cr.signals", "", _SIGNALS_TEXT)


def _poll_text(target: Target) -> str:
    if not target.clock:
        return "define internal i32 @cr.poll(ptr %context) {\n  ret i32 0\n}\n"
    return f"""declare i64 @{target.clock}()
define internal i32 @cr.poll(ptr %context) nounwind {{
  %due.at = getelementptr inbounds i64, ptr %context, i64 3
  %due = load i64, ptr %due.at
  %now = call i64 @{target.clock}()
  %early = icmp ult i64 %now, %due
  br i1 %early, label %go.on, label %look
go.on:
  ret i32 0
look:
  %later = add i64 %now, {_ticks(target)}
  store i64 %later, ptr %due.at
  %first = icmp eq i64 %due, 0
  br i1 %first, label %go.on, label %signals
signals:
  %status = call i32 @cr.signals(ptr %context)
  ret i32 %status
}}
"""


@functools.cache
def _ticks(target: Target) -> int:
    """Ticks of the target's clock between two looks: a power of two, so that it is the same from run to run."""
    own = host()
    if target.clock != own.clock:
        return 1 << 26
    text = f"declare i64 @{own.clock}()\ndefine i64 @now() {{\n  %t = call i64 @{own.clock}()\n  ret i64 %t\n}}\n"
    code = engine.load(engine.compile_object(text, own, level=1), own)
    now = ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("now"))
    begin, start = time.perf_counter(), now()
    while (passed := time.perf_counter() - begin) < 2e-3:
        pass
    ticks = max(1, int((now() - start) / passed * _SECONDS))
    return 1 << (ticks.bit_length() - 1)


@functools.cache
def make_symbols_known() -> None:
    """Tell LLVM where Python's own functions are."""
    if CPYTHON:
        for name in ("PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_CheckSignals"):
            address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
            assert address is not None
            llvm.add_symbol(name, address)
