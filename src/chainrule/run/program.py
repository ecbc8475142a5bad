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
from chainrule.graph.evaluate import nbytes
from chainrule.graph.graph import Graph
from chainrule.run.backs import Backs
from chainrule.run.entry import (
    ENTRY,
    OFFSET,
    OVERLAP,
    PLAIN,
    TAKE,
    WRITEABLE,
    Context,
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
    """Note that the memory of these arrays is a result's now; what writes to them through NumPy fails from now on."""
    for array in arrays:
        array.flags.writeable = False
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
    afterwards, and passing it to a program again raises :class:`DonatedError`.
    """

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.code = library
        self.entry = ENTRY(library.address("program"))
        self.take = TAKE(library.address("cr.take"))
        self.memories: list[_Memory] = []
        graph, self.shared = plan.graph, plan.main.shared
        placed = [p for p in plan.places.values() if p.kind == "output"]
        self.order = [p.detail for p in placed]  # the results in the order of their slots
        # Each result: the argument whose memory it has, or None, and the shape and dtype of a new array.
        self.recipe = [(self.shared.get(i), spec.shape, spec.dtype) for i, spec in enumerate(graph.output_specs)]
        self.gifts = sorted(set(self.shared.values()))
        self.count = graph.inputs + len(placed)
        self.object_array: Any = ctypes.py_object * self.count
        self.sizes = (ctypes.c_int64 * max(graph.inputs, 1))(*(nbytes(s) for s in graph.input_specs))
        self.gift_array = (ctypes.c_int64 * max(len(self.gifts), 1))(*self.gifts)
        self.in_order = self.order == list(range(len(self.recipe)))

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        held = list(arrays)
        if set(map(type, held)) != _ARRAYS:
            held = [a if type(a) is np.ndarray else np.asarray(a) for a in held]
        try:
            memory = self.memories.pop()
        except IndexError:  # the first call, or all are in use by other threads
            memory = _Memory(self.plan)
        try:
            held, made = self._place(held, memory)
            self._enter(memory)
        finally:
            self.memories.append(memory)
        if self.gifts:
            _mark_given([held[i] for i in self.gifts])
        return made

    def _enter(self, memory: _Memory) -> None:
        context = memory.context
        context.pool = shared().enter() if self.plan.parallel else None
        context.due = 0
        if not self.plan.callbacks:
            self.entry(memory.address, memory.context_address)
            return
        backs = Backs(self.plan)
        context.callback = ctypes.cast(backs.function, ctypes.c_void_p)
        self.entry(memory.address, memory.context_address)
        if backs.error is not None:
            raise backs.error

    def _place(self, held: list[Any], memory: _Memory) -> tuple[list[Any], list[Any]]:
        """The arguments as native code can use them and the results' arrays; their addresses go into the table."""
        try:
            made = [np.empty(shape, dtype) if i is None else held[i].view() for i, shape, dtype in self.recipe]
        except (MemoryError, ValueError) as error:
            raise _no_room(self.plan, sum(nbytes(s) for s in self.plan.graph.output_specs)) from error
        flags = self._addresses([*held, *(made if self.in_order else [made[p] for p in self.order])], memory)
        if flags & WRITEABLE == 0:
            _refuse_given(self.plan.graph, held)
        lent = [held[i] for i in self.gifts]
        if flags & PLAIN == PLAIN and not flags & OVERLAP and (
            flags & WRITEABLE or all(a.flags.writeable for a in lent)
        ):
            return held, made
        usable = [np.require(a, requirements=("C", "A")) for a in held]
        for i in self.gifts:  # read-only, or with bytes in common with others: the result gets a copy
            if usable[i] is held[i] and (flags & OVERLAP or not held[i].flags.writeable):
                usable[i] = held[i].copy()
        return self._place(usable, memory)

    def _addresses(self, listed: list[Any], memory: _Memory) -> int:
        """Put the arrays' addresses into the table; the flags that all arguments have, and whether donated overlap."""
        given = len(listed) - len(self.order)
        if OFFSET is None:
            memory.table[: self.count] = [data_address(a) for a in listed]
            return array_flags(listed[:given], self.gifts)
        objects = self.object_array(*listed)
        flags: int = self.take(
            ctypes.addressof(objects), memory.address, self.count, OFFSET,
            given, ctypes.addressof(self.sizes), ctypes.addressof(self.gift_array), len(self.gifts),
        )  # fmt: skip
        return flags


def compile_graph(graph: Graph, donated: Sequence[int] = ()) -> Program:
    """The program of a graph, its machine code from the cache where it is there.

    ``donated``: the positions of inputs whose memory results may take.
    """
    plan = make_plan(graph, donated=donated)
    target = host()
    text = runtime_text(target, backs=bool(plan.callbacks), polls=plan.loops)
    if plan.parallel:
        text += parallel_text(target)
    make_symbols_known()
    return Program(plan, library(f"{text}\n{plan.text}"))
