"""A compiled program and its memory: what ``jit`` calls.

A call takes the addresses of its arguments, makes the arrays of its results, and runs the steps of the plan: native
segments, and calls back into NumPy for lines that have no kernel.  Temporaries lie in one arena, which is kept from
call to call; two threads that call at once get one each.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.compile.cache import library
from chainrule.compile.compiler import NumpyCall, Plan, Segment, make_plan
from chainrule.compile.engine import Library
from chainrule.compile.target import host
from chainrule.compile.views import View, c_strides, is_contiguous
from chainrule.graph.graph import Graph
from chainrule.run.pool import parallel_text, shared

_SEGMENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_TAKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

# Reads where arrays keep their numbers straight from the array objects: fifty times faster than asking each in Python.
_TAKE_TEXT = """define void @cr.take(ptr %objects, ptr %buffers, i64 %count, i64 %offset) {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %out
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %from = getelementptr inbounds ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %from
  %field = getelementptr inbounds i8, ptr %object, i64 %offset
  %data = load ptr, ptr %field
  %to = getelementptr inbounds ptr, ptr %buffers, i64 %i
  store ptr %data, ptr %to
  %next = add nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""


def _data(array: Any) -> int:
    """The address of an array's first number."""
    address: int = array.__array_interface__["data"][0]
    return address


def _data_offset() -> int | None:
    """Where an array object keeps the address of its numbers: behind the object's head, in CPython.

    None where looking there does not give what the array says.
    """
    if sys.implementation.name != "cpython":
        return None
    offset = object.__basicsize__
    tries = [np.arange(float(n)) for n in range(1, 5)]
    found = [ctypes.c_void_p.from_address(id(array) + offset).value for array in tries]
    return offset if found == [_data(array) for array in tries] else None


_OFFSET = _data_offset()


class _Memory:
    """An arena, and the table of pointers in which constants and temporaries stand already."""

    def __init__(self, plan: Plan) -> None:
        raw = np.empty(plan.arena + 64, np.uint8)
        start = -_data(raw) % 64
        self.arena = raw[start : start + plan.arena]
        self.table = (ctypes.c_void_p * plan.slots)()
        self.address = ctypes.addressof(self.table)
        base = _data(self.arena)
        for place in plan.places.values():
            if place.kind == "constant":
                self.table[place.slot] = _data(plan.constants[place.detail])
            elif place.kind == "temporary":
                self.table[place.slot] = base + place.detail


class Program:
    """A plan with its machine code: ``program(arrays) -> arrays``.

    ``library`` holds the plan's native functions.
    """

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.code = library
        self.parallel = plan.parallel
        self.steps = [
            _SEGMENT(library.address(s.name)) if isinstance(s, Segment) else s for s in plan.steps
        ]
        self.take = _TAKE(library.address("cr.take"))
        self.memories: list[_Memory] = []
        self.outputs = [p for p in plan.places.values() if p.kind == "output"]
        self.count = plan.graph.inputs + len(self.outputs)
        self.object_array: Any = ctypes.py_object * self.count
        self.direct = _direct(plan, [p.detail for p in self.outputs])

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        held = [
            a if type(a) is np.ndarray and a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays
        ]
        made = [np.empty(place.shape, place.dtype) for place in self.outputs]
        try:
            memory = self.memories.pop()
        except IndexError:  # the first call, or all are in use by other threads
            memory = _Memory(self.plan)
        if _OFFSET is None:
            memory.table[: self.count] = [_data(a) for a in (*held, *made)]
        else:
            objects = self.object_array(*held, *made)
            self.take(ctypes.addressof(objects), memory.address, self.count, _OFFSET)
        call = _Call(self.plan, held, made, memory.arena)
        pool = shared() if self.parallel else None
        for step in self.steps:
            if isinstance(step, NumpyCall):
                call.run(step)
            else:
                step(memory.address, None if pool is None else pool.enter())
        results = [
            np.array(call.read(i)) if direct is None else made[direct]
            for i, direct in zip(self.plan.graph.outputs, self.direct, strict=True)
        ]
        self.memories.append(memory)
        return results


class _Call:
    """The arrays of one call, for NumPy and for the results."""

    def __init__(self, plan: Plan, inputs: list[Any], outputs: list[Any], arena: Any) -> None:
        self.plan = plan
        self.inputs = inputs
        self.outputs = {plan.graph.inputs + i: out for i, out in enumerate(outputs)}
        self.arena = arena
        self.objects: dict[int, Any] = {}

    def root(self, index: int) -> Any:
        """The array of a line that has a place, in C order."""
        place = self.plan.places[index]
        if place.kind == "input":
            return self.inputs[place.detail].reshape(place.shape)
        if place.kind == "constant":
            return self.plan.constants[place.detail].reshape(place.shape)
        if place.kind == "output":
            return self.outputs[place.slot]
        size = int(np.prod(place.shape, dtype=np.int64)) * place.dtype.itemsize
        return self.arena[place.detail : place.detail + size].view(place.dtype).reshape(place.shape)

    def read(self, index: int) -> Any:
        """The value of any line that can be read from memory, as a view."""
        if index in self.objects:
            return self.objects[index]
        view = self.plan.fused.views[index]
        assert view is not None
        shape = self.plan.graph.lines[index].spec.shape
        whole = self.root(view.root)
        if view.strides == c_strides(shape) and view.offset == 0 and whole.size == int(np.prod(shape, dtype=np.int64)):
            return whole.reshape(shape)
        return strided(whole, view, shape)

    def run(self, step: NumpyCall) -> None:
        """Run a line with NumPy and put its result where the plan wants it."""
        with np.errstate(all="ignore"):
            value = step.run(*[self.read(a) for a in step.args])
        if isinstance(self.plan.graph.lines[step.index].spec, Spec):
            np.copyto(self.root(step.index), value)
        else:
            self.objects[step.index] = value


def _direct(plan: Plan, positions: list[int]) -> list[int | None]:
    """For each output, which array made for the call is it; None where it is a copy of a view, or of another output."""
    found: list[int | None] = []
    for position, index in enumerate(plan.graph.outputs):
        view = plan.fused.views[index]
        shape = plan.graph.lines[index].spec.shape
        whole = view is not None and view.root in plan.places and (
            is_contiguous(view, shape) and plan.places[view.root].shape == shape
        )
        found.append(positions.index(position) if whole and position in positions else None)
    return found


def compile_graph(graph: Graph) -> Program:
    """The program of a graph, its machine code from the cache where it is there."""
    plan = make_plan(graph)
    runtime = parallel_text(host()) if plan.parallel else ""
    return Program(plan, library(f"{_TAKE_TEXT}\n{runtime}\n{plan.text}"))


def strided(whole: Any, view: View, shape: tuple[int, ...]) -> Any:
    """A view of an array's memory with these strides."""
    flat = whole.reshape(-1)
    if 0 in shape:
        return np.empty(shape, whole.dtype)
    size = whole.itemsize
    return np.lib.stride_tricks.as_strided(flat[view.offset :], shape, [s * size for s in view.strides])
