"""A compiled program and its memory: what ``jit`` calls.

A call takes the addresses of its arguments, makes the arrays of its results, and runs the steps of the plan: native
segments, and calls back into NumPy for lines that have no kernel.  Temporaries lie in one arena, which is kept from
call to call; two threads that call at once get one each.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.compile.cache import library
from chainrule.compile.compiler import NumpyCall, Plan, Segment, make_plan
from chainrule.compile.engine import Library
from chainrule.compile.target import host
from chainrule.compile.views import View, c_strides
from chainrule.graph.graph import Graph
from chainrule.run.pool import parallel_text, shared

_SEGMENT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class Program:
    """A plan with its machine code: ``program(arrays) -> arrays``.

    ``library`` holds the plan's native functions.
    """

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.library = library
        self.functions = {s.name: _SEGMENT(library.address(s.name)) for s in plan.steps if isinstance(s, Segment)}
        self.parallel = plan.parallel
        self.arenas: list[Any] = []
        places = plan.places.values()
        self.inputs = [p for p in places if p.kind == "input"]
        self.outputs = [p for p in places if p.kind == "output"]
        self.temporaries = [p for p in places if p.kind == "temporary"]
        self.fixed = [0] * plan.slots
        for place in places:
            if place.kind == "constant":
                self.fixed[place.slot] = plan.constants[place.detail].__array_interface__["data"][0]
        self.pointer_array = ctypes.c_void_p * plan.slots

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        pointers = list(self.fixed)
        held: list[Any] = []
        for place, array in zip(self.inputs, arrays, strict=True):
            whole = array if isinstance(array, np.ndarray) and array.flags.c_contiguous else np.ascontiguousarray(array)
            held.append(whole)
            pointers[place.slot] = whole.__array_interface__["data"][0]
        made = {}
        for place in self.outputs:
            made[place.slot] = out = np.empty(place.shape, place.dtype)
            pointers[place.slot] = out.__array_interface__["data"][0]
        try:
            arena = self.arenas.pop()
        except IndexError:  # the first call, or all are in use by other threads
            arena = _aligned(self.plan.arena)
        base = arena.__array_interface__["data"][0]
        for place in self.temporaries:
            pointers[place.slot] = base + place.detail
        table = self.pointer_array(*pointers)
        address = ctypes.addressof(table)
        context = _Call(self, held, made, arena)
        pool = shared()
        for step in self.plan.steps:
            if isinstance(step, Segment):
                self.functions[step.name](address, pool.enter() if self.parallel else None)
            else:
                context.run(step)
        results = [context.result(i) for i in self.plan.graph.outputs]
        self.arenas.append(arena)
        return results


class _Call:
    """The arrays of one call, for NumPy and for the results."""

    def __init__(self, program: Program, inputs: list[Any], outputs: dict[int, Any], arena: Any) -> None:
        self.plan = program.plan
        self.inputs = inputs
        self.outputs = outputs
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

    def result(self, index: int) -> Any:
        """An output for the caller: an array of its own."""
        view = self.plan.fused.views[index]
        assert view is not None
        spec = self.plan.graph.lines[index].spec
        place = self.plan.places[view.root]
        whole = place.kind == "output" and view.offset == 0 and view.strides == c_strides(spec.shape)
        if whole and spec.shape == place.shape and place.slot in self.outputs:
            return self.outputs[place.slot]
        return np.array(self.read(index))


def compile_graph(graph: Graph) -> Program:
    """The program of a graph, its machine code from the cache where it is there."""
    plan = make_plan(graph)
    text = f"{parallel_text(host())}\n{plan.text}" if plan.parallel else plan.text
    return Program(plan, library(text))


def strided(whole: Any, view: View, shape: tuple[int, ...]) -> Any:
    """A view of an array's memory with these strides."""
    flat = whole.reshape(-1)
    if 0 in shape:
        return np.empty(shape, whole.dtype)
    size = whole.itemsize
    return np.lib.stride_tricks.as_strided(flat[view.offset :], shape, [s * size for s in view.strides])


def _aligned(size: int) -> Any:
    raw = np.empty(size + 64, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64
    return raw[start : start + size]
