"""Calls back into NumPy from native code: a line without a kernel, on views of the memory the program works in."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.compile.parts import NumpyCall, Part, Plan
from chainrule.compile.views import View, is_contiguous
from chainrule.graph.evaluate import nbytes
from chainrule.run.entry import BACK


class Backs:
    """The function that native code calls during one call of a program.  ``error`` is what NumPy raised, if it did."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.function = BACK(self._run)
        self.error: BaseException | None = None
        self.objects: dict[tuple[str, int], Any] = {}  # values that are not arrays: several results at once

    def _run(self, which: int, table: int) -> int:
        part, step = self.plan.callbacks[which]
        try:
            self._line(part, step, (ctypes.c_void_p * part.slots).from_address(table))
        except BaseException as error:
            line = part.graph.lines[step.index]
            error.add_note(f"in {line.op.name}, from {line.source or 'no line of the user'}")
            self.error = error
            return 1
        return 0

    def _line(self, part: Part, step: NumpyCall, table: Any) -> None:
        """Run a line and put its result where the plan wants it."""
        with np.errstate(all="ignore"):
            value = step.run(*[self._read(part, a, table) for a in step.args])
        if isinstance(part.graph.lines[step.index].spec, Spec):
            np.copyto(_root(part, step.index, table), value)
        else:
            self.objects[part.name, step.index] = value

    def _read(self, part: Part, index: int, table: Any) -> Any:
        """The value of a line, as a view of memory."""
        if (part.name, index) in self.objects:
            return self.objects[part.name, index]
        view = part.fused.views[index]
        assert view is not None
        shape = part.graph.lines[index].spec.shape
        whole = _root(part, view.root, table)
        if is_contiguous(view, shape) and whole.size == np.prod(shape, dtype=np.int64):
            return whole.reshape(shape)
        return strided(whole, view, shape)


def _root(part: Part, index: int, table: Any) -> Any:
    """The array of a line that has a place."""
    spec = part.graph.lines[index].spec
    size = nbytes(spec)
    if size == 0:
        return np.empty(spec.shape, spec.dtype)
    memory: Any = (ctypes.c_char * size).from_address(table[part.places[index].slot])
    return np.frombuffer(memory, spec.dtype).reshape(spec.shape)


def strided(whole: Any, view: View, shape: tuple[int, ...]) -> Any:
    """A view of an array's memory with these strides."""
    if 0 in shape:
        return np.empty(shape, whole.dtype)
    size = whole.itemsize
    return np.lib.stride_tricks.as_strided(whole.reshape(-1)[view.offset :], shape, [s * size for s in view.strides])
