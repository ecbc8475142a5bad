"""A compiled program and its memory: what ``jit`` calls.

A call takes the addresses of its arguments, makes the arrays of its results (or takes those of donated arguments), and
enters native code once; lines that have no kernel call back into NumPy from there.  Temporaries lie in one arena, which
is kept from call to call; two threads that call at once get one each.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.errors import DonatedError, OutOfMemoryError
from chainrule.compile.cache import library
from chainrule.compile.compiler import make_plan
from chainrule.compile.engine import Library
from chainrule.compile.parts import Plan
from chainrule.compile.target import host
from chainrule.graph.evaluate import check_inputs, nbytes
from chainrule.graph.graph import Graph
from chainrule.run.backs import Backs
from chainrule.run.entry import (
    CALL,
    ENTRY,
    ITEMS,
    OFFSET,
    OVERLAP,
    PLAIN,
    UNFIT,
    WRITEABLE,
    Context,
    Frame,
    array_flags,
    data_address,
    make_symbols_known,
    runtime_text,
)
from chainrule.run.pool import parallel_text, shared

_ARRAYS = {np.ndarray}


class _Memory:
    """An arena, the table of pointers in which constants and temporaries stand already, and the context."""

    def __init__(self, plan: Plan) -> None:
        raw = _room(plan, plan.arena + 64)
        start = -data_address(raw) % 64
        self.arena = raw[start : start + plan.arena]
        self.table = (ctypes.c_void_p * plan.main.slots)()
        self.address = ctypes.addressof(self.table)
        self.context = Context()
        self.context_address = ctypes.addressof(self.context)
        base = data_address(self.arena)
        for place in plan.places.values():
            if place.kind == "constant":
                self.table[place.slot] = data_address(plan.constants[place.detail])
            elif place.kind == "temporary":
                self.table[place.slot] = base + place.detail


def _room(plan: Plan, size: int) -> Any:
    try:
        return np.empty(size, np.uint8)
    except (MemoryError, ValueError) as error:
        raise _no_room(plan, size) from error


def _no_room(plan: Plan, size: int) -> OutOfMemoryError:
    results = sum(nbytes(s) for s in plan.graph.output_specs)
    return OutOfMemoryError(
        "not enough memory for a compiled program",
        expected=f"{plan.arena:,} bytes of temporaries and {results:,} bytes of results",
        got=f"no {size:,} bytes in one piece",
        fix="use smaller arrays or batches, or cr.checkpoint to keep fewer values for the backward pass",
    )


_GIVEN: dict[int, weakref.ref[Any]] = {}  # arrays whose memory results have taken, by identity
_MOST_GIVEN = 4096


def _mark_given(arrays: list[Any]) -> None:
    """Note that the memory of these arrays is a result's now."""
    _GIVEN.update(zip(map(id, arrays), map(weakref.ref, arrays), strict=True))
    if len(_GIVEN) > _MOST_GIVEN:
        for key in [key for key, ref in list(_GIVEN.items()) if ref() is None]:
            _GIVEN.pop(key, None)


def _refuse_given(graph: Graph, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
    """Raise DonatedError where an array was donated to an earlier call."""
    for position, array in enumerate(arrays):
        known = _GIVEN.get(id(array))
        if known is not None and known() is array:
            raise DonatedError(
                f"{graph.input_name(position) or f'argument {position}'} was donated to an earlier call",
                expected="an array that nobody else writes to",
                got=f"an array of shape {array.shape} whose memory the result of that call has taken",
                fix="go on with the result of that call, pass a copy to it, or leave donate_argnums out",
            )


class Program:
    """A plan with its machine code: ``program(arrays) -> arrays``.

    ``library`` holds the plan's native functions.  A donated argument whose memory a result has taken is read-only
    afterwards, and passing it to a program again raises :class:`DonatedError`.  After a call that raised it can be
    used, but may hold what the call had written by then.
    """

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.code = library
        self.call = CALL(library.address("cr.call"))
        self.entry = ENTRY(library.address("program"))
        self.memories: list[_Memory] = []
        graph, self.shared = plan.graph, plan.main.shared
        placed = [p for p in plan.places.values() if p.kind == "output"]
        order = [p.detail for p in placed]  # the results in the order of their slots
        self.order = None if order == list(range(len(graph.outputs))) else order
        # Each result: the argument whose memory it has, or None, and the shape and dtype of a new array.
        self.recipe = [(self.shared.get(i), spec.shape, spec.dtype) for i, spec in enumerate(graph.output_specs)]
        self.gifts = sorted(set(self.shared.values()))
        self.count = graph.inputs + len(placed)
        self.sizes = (ctypes.c_int64 * max(graph.inputs, 1))(*(nbytes(s) for s in graph.input_specs))
        self.lent = (ctypes.c_int64 * max(len(self.gifts), 1))(*self.gifts)
        self.frames = [self._frame(PLAIN | WRITEABLE), self._frame(PLAIN)]
        self.frame_addresses = [ctypes.addressof(f) for f in self.frames]

    def _frame(self, needed: int) -> Frame:
        lists = (ctypes.addressof(self.sizes), ctypes.addressof(self.lent))
        return Frame(self.count, self.plan.graph.inputs, *lists, len(self.gifts), OFFSET or 0, needed)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        if len(arrays) != self.plan.graph.inputs:
            check_inputs(self.plan.graph, arrays)
        if set(map(type, arrays)) != _ARRAYS:
            arrays = [a if type(a) is np.ndarray else np.asarray(a) for a in arrays]
        try:
            memory = self.memories.pop()
        except IndexError:  # the first call, or all are in use by other threads
            memory = _Memory(self.plan)
        try:
            if self.plan.callbacks:
                return self._with_backs(arrays, memory)
            return self._run(arrays, memory)
        finally:
            self.memories.append(memory)

    def _with_backs(self, arrays: Sequence[Any], memory: _Memory) -> list[Any]:
        backs = Backs(self.plan)
        memory.context.callback = ctypes.cast(backs.function, ctypes.c_void_p)
        made = self._run(arrays, memory)
        if backs.error is not None:
            raise backs.error
        return made

    def _run(self, arrays: Sequence[Any], memory: _Memory, looked_at: bool = False) -> list[Any]:
        """Run the program; ``looked_at``: that arguments are read-only was seen, and is all right."""
        try:
            made = [np.empty(shape, dtype) if i is None else arrays[i].view() for i, shape, dtype in self.recipe]
        except (MemoryError, ValueError) as error:
            raise _no_room(self.plan, sum(nbytes(s) for s in self.plan.graph.output_specs)) from error
        context = memory.context
        context.pool = shared().enter() if self.plan.parallel else None
        context.due = 0
        listed = (*arrays, *(made if self.order is None else [made[p] for p in self.order]))
        if OFFSET is None:
            flags = self._slow_call(listed, memory, PLAIN if looked_at else PLAIN | WRITEABLE)
        else:
            flags = self.call(
                id(listed) + ITEMS, memory.address, memory.context_address, self.frame_addresses[looked_at]
            )
        if flags & UNFIT:
            return self._run(self._fitting(arrays, flags), memory, looked_at=True)
        if self.gifts and not flags:  # a call that failed has given no results
            _mark_given([arrays[i] for i in self.gifts])
        return made

    def _slow_call(self, listed: Sequence[Any], memory: _Memory, needed: int) -> int:
        """``cr.call`` for a Python whose objects can't be looked into."""
        memory.table[: self.count] = [data_address(a) for a in listed]
        flags = array_flags(listed[: self.plan.graph.inputs], self.gifts)
        if flags & OVERLAP or flags & needed != needed:
            return flags | UNFIT
        status = int(self.entry(memory.address, memory.context_address))
        for i in self.gifts if status == 0 else ():
            listed[i].flags.writeable = False
        return status

    def _fitting(self, arrays: Sequence[Any], flags: int) -> list[Any]:
        """Arguments that native code can use as they are; copies of donated ones that can't be lent."""
        _refuse_given(self.plan.graph, arrays)
        usable = [np.require(a, requirements=("C", "A")) for a in arrays]
        for i in self.gifts:
            if usable[i] is arrays[i] and (flags & OVERLAP or not arrays[i].flags.writeable):
                usable[i] = arrays[i].copy()
        return usable


def compile_graph(graph: Graph, donated: Sequence[int] = ()) -> Program:
    """The program of a graph, its machine code from the cache where it is there.

    ``donated``: the positions of inputs whose memory results may take.
    """
    plan = make_plan(graph, donated=donated)
    return Program(plan, library(program_text(plan)))


def program_text(plan: Plan) -> str:
    """The plan's LLVM text with all that it calls."""
    target = host()
    text = runtime_text(target, backs=bool(plan.callbacks), polls=plan.loops)
    if plan.parallel:
        text += parallel_text(target)
    make_symbols_known()
    return f"{text}\n{plan.text}"
