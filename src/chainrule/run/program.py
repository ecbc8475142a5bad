"""A compiled program and its memory: what ``jit`` calls.

A call takes the addresses of its arguments, makes the arrays of its results (or takes those of donated arguments), and
enters native code once; lines that have no kernel call back into NumPy from there.  Temporaries lie in one arena, which
is kept from call to call; two threads that call at once get one each.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import DType, Shape
from chainrule.base.errors import OutOfMemoryError
from chainrule.compile.cache import library
from chainrule.compile.compiler import make_plan
from chainrule.compile.engine import Library
from chainrule.compile.parts import Plan
from chainrule.compile.target import host
from chainrule.graph.evaluate import check_inputs, nbytes
from chainrule.graph.graph import Graph
from chainrule.run.backs import Backs
from chainrule.run.donated import mark_given, refuse_given
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
from chainrule.run.rounds import Rounds, lent

_ARRAYS = {np.ndarray}


Recipe = tuple[int | None, Shape, DType]
"""A result: the argument whose memory it has, or None, and the shape and dtype of a new array."""


class FrameAt(NamedTuple):
    """A frame with what it points to."""

    address: int
    frame: Frame
    rivals: Any


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
        specs = enumerate(graph.output_specs)
        self.recipe: list[Recipe] = [(self.shared.get(i), spec.shape, spec.dtype) for i, spec in specs]
        self.gifts = sorted(set(self.shared.values()))
        self.count = graph.inputs + len(placed)
        self.sizes = (ctypes.c_int64 * max(graph.inputs, 1))(*(nbytes(s) for s in graph.input_specs))
        self.lent = (ctypes.c_int64 * max(len(self.gifts), 1))(*self.gifts)
        everyone = range(graph.inputs)
        self.frames = [self.frame(PLAIN | WRITEABLE, everyone), self.frame(PLAIN, everyone)]

    def frame(self, needed: int, against: Sequence[int]) -> FrameAt:
        """What ``cr.call`` needs to know: the flags all arguments need, and which may overlap donated ones."""
        rivals = (ctypes.c_int64 * max(len(against), 1))(*against)
        lists = (ctypes.addressof(self.sizes), ctypes.addressof(self.lent))
        frame = Frame(self.count, self.plan.graph.inputs, *lists, len(self.gifts), OFFSET or 0, needed,
                      ctypes.addressof(rivals), len(against))  # fmt: skip
        return FrameAt(ctypes.addressof(frame), frame, rivals)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        if len(arrays) != self.plan.graph.inputs:
            check_inputs(self.plan.graph, arrays)
        return self.run(tuple(arrays), self.gifts)

    def run(self, given: tuple[Any, ...], mark: Sequence[int], *, sure: bool = False) -> list[Any]:
        """The results, of which those in the memory of donated arguments are new views of it.

        ``mark``: the arguments of which it is noted that they were donated; ``sure``: that all are arrays.
        """
        if not sure and set(map(type, given)) != _ARRAYS:
            given = tuple([a if type(a) is np.ndarray else np.asarray(a) for a in given])
        return self._with_memory(given, self._made(given, self.recipe), self.frames[0], mark)

    def again(self, given: tuple[Any, ...], made: list[Any], rounds: Rounds) -> list[Any]:
        """Run on arguments that are known to be apart, into ``made``, where it has results; it itself is returned.

        Another list is, where donated arguments have bytes in common with others, and so were copied.
        """
        for i, result in zip(rounds.rest, self._made(given, rounds.recipe), strict=True):
            made[i] = result
        return self._with_memory(given, made, rounds.frame, rounds.loose)

    def _made(self, given: Sequence[Any], recipe: list[Recipe]) -> list[Any]:
        try:
            return [np.empty(shape, dtype) if i is None else given[i].view() for i, shape, dtype in recipe]
        except (MemoryError, ValueError) as error:
            raise _no_room(self.plan, sum(nbytes(s) for s in self.plan.graph.output_specs)) from error

    def _with_memory(self, given: tuple[Any, ...], made: list[Any], frame: FrameAt, mark: Sequence[int]) -> list[Any]:
        try:
            memory = self.memories.pop()
        except IndexError:  # the first call, or all are in use by other threads
            memory = _Memory(self.plan)
        try:
            if self.plan.callbacks:
                return self._with_backs(given, made, memory, frame, mark)
            return self._run(given, made, memory, frame, mark)
        finally:
            self.memories.append(memory)

    def _with_backs(self, given: tuple[Any, ...], made: list[Any], memory: _Memory, frame: FrameAt,
                    mark: Sequence[int]) -> list[Any]:  # fmt: skip
        backs = Backs(self.plan)
        memory.context.callback = ctypes.cast(backs.function, ctypes.c_void_p)
        made = self._run(given, made, memory, frame, mark)
        if backs.error is not None:
            raise backs.error
        return made

    def _run(self, given: tuple[Any, ...], made: list[Any], memory: _Memory, frame: FrameAt,
             mark: Sequence[int]) -> list[Any]:  # fmt: skip
        context = memory.context
        context.pool = shared().enter() if self.plan.parallel else None
        context.due = 0
        listed = (*given, *(made if self.order is None else [made[p] for p in self.order]))
        if OFFSET is None:
            flags = self._slow_call(listed, memory, frame.frame.needed)
        else:
            flags = self.call(id(listed) + ITEMS, memory.address, memory.context_address, frame.address)
        if flags & UNFIT:
            fitting = self._fitting(given, flags)
            if any(fitting[i] is not given[i] for i in self.gifts):
                made, mark = self._made(fitting, self.recipe), self.gifts
            # that arguments are read-only was seen, and is all right
            return self._run(fitting, made, memory, self.frames[1], mark)
        if mark and not flags:  # a call that failed has given no results
            mark_given([given[i] for i in mark])
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

    def _fitting(self, arrays: Sequence[Any], flags: int) -> tuple[Any, ...]:
        """Arguments that native code can use as they are; copies of donated ones that can't be lent."""
        refuse_given(self.plan.graph, arrays, lent())
        usable = [np.require(a, requirements=("C", "A")) for a in arrays]
        for i in self.gifts:
            if usable[i] is arrays[i] and (flags & OVERLAP or not arrays[i].flags.writeable):
                usable[i] = arrays[i].copy()
        return tuple(usable)


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
