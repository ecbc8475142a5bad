"""Which results may be written onto what a kernel reads; and that doing so gives the same bits."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.compile import engine
from chainrule.compile.aliasing import kernel_shares, shares
from chainrule.compile.fuse import Fused, fuse
from chainrule.compile.llvm import Call, Module
from chainrule.compile.loops import Kernel, Load, Loop, Place, Store, lower
from chainrule.compile.target import host
from chainrule.compile.views import views

F32 = np.dtype(np.float32)


def fused_of(f: Any, *args: Any) -> Fused:
    graph = cr.trace(f)(*args)
    return fuse(graph, views(graph))


def pair(f: Any, *args: Any, read: int = 0) -> bool:
    """Whether the first output of ``f``, in one kernel, may be written onto argument ``read``."""
    fused = fused_of(f, *args)
    assert len(fused.clusters) == 1
    found = shares(fused, 0, read, fused.graph.outputs[0])
    if found:
        assert _bits(fused, args, None) == _bits(fused, args, read)
    return found


def _bits(fused: Fused, args: Any, onto: int | None) -> bytes:
    """The first output, computed in memory of its own or in that of an argument."""
    target, module = host(), Module(host())
    call: Call = module.add(lower(fused, 0))
    text = module.text().replace(f"define internal void @{call.function}", f"define void @{call.function}")
    library = engine.load(engine.compile_object(text, target), target)
    out = fused.graph.outputs[0]
    arrays = {i: np.array(a) for i, a in enumerate(args)}
    for root in fused.stored:
        spec = fused.graph.lines[root].spec
        arrays[root] = np.empty(spec.shape, spec.dtype)
    if onto is not None:
        arrays[out] = arrays[onto]
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(library.address(call.function))
    run((ctypes.c_void_p * len(call.buffers))(*(arrays[b].ctypes.data for b in call.buffers)), 0, call.extent)
    return arrays[out].tobytes()


def square(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def test_the_same_element_may_share() -> None:
    x, y = square(33, 33), square(33, 33)
    assert pair(lambda x, y: np.tanh(x) * y + x, x, y)
    assert pair(lambda x, y: np.tanh(x) * y + x, x, y, read=1)
    assert pair(softmax, x)  # the row is read whole before it is written
    assert pair(lambda x: (x * 2, np.sum(x * 2, axis=0)), square(20, 7))
    assert pair(lambda x, m: m + np.sum(x, axis=1), x, square(33), read=1)


def test_elements_that_another_turn_reads_may_not() -> None:
    x = square(33, 33)
    assert not pair(lambda x: x + x.T, x)
    assert not pair(lambda x: x[::-1] * 2, x)
    assert not pair(lambda x: x - x[0], x)
    assert not pair(lambda x, b: x + b, square(1, 33), square(1, 33)[0], read=1)  # other shapes
    assert not pair(lambda x: x + x[:, ::-1], x)
    assert not pair(lambda x: x.astype(np.float64) * 2, x)  # another dtype
    assert not pair(lambda x: x * 2 > 0, x)


def test_a_read_behind_the_write_may_not() -> None:
    fused = fused_of(lambda x, y: (x * 2, np.sin(y)), square(9), square(9))
    first, second = fused.graph.outputs
    assert shares(fused, 0, 0, first)
    assert not shares(fused, 0, 1, first)  # y is read behind x * 2 is written
    assert shares(fused, 0, 1, second)
    assert shares(fused, 0, 0, second)
    rows = fused_of(lambda x, y: (np.exp(x), x - np.sum(np.exp(x), axis=1, keepdims=True)), square(5, 9), square(9))
    number = rows.where[rows.graph.outputs[0]]
    assert not shares(rows, number, 0, rows.graph.outputs[0])  # x is read again for the difference


def test_loops_decide() -> None:
    def kernel(*body: Any) -> Kernel:
        return Kernel("k", list(body), 1)

    def load(*terms: tuple[str, int]) -> Load:
        return Load("t", 0, Place(0, terms), F32)

    def store(*terms: tuple[str, int]) -> Store:
        return Store(1, Place(0, terms), "t", F32)

    both = ("i", 8), ("j", 1)
    assert kernel_shares(kernel(Loop("i", 4, [Loop("j", 8, [load(*both), store(*both)])])), 0, 1)
    assert not kernel_shares(kernel(Loop("i", 4, [Loop("j", 8, [store(*both), load(*both)])])), 0, 1)
    other = ("i", 8), ("k", 1)
    inner = [Loop("k", 8, [load(*other)]), Loop("j", 8, [store(*both)])]
    assert kernel_shares(kernel(Loop("i", 4, inner)), 0, 1)
    assert not kernel_shares(kernel(Loop("i", 4, inner[::-1])), 0, 1)
    wider = [Loop("k", 9, [load(*other)]), Loop("j", 8, [store(*both)])]
    assert not kernel_shares(kernel(Loop("i", 4, wider)), 0, 1)  # the load reaches into the next turn
    again = Loop("r", 2, [Loop("j", 8, [load(("j", 1)), store(("j", 1))])])
    assert not kernel_shares(kernel(again), 0, 1)  # the second turn would read what the first wrote


def test_only_kernels_of_loops_and_what_they_store() -> None:
    x = square(4, 4)
    product = fused_of(lambda x, y: x @ y, x, x)
    assert not shares(product, 0, 0, product.graph.outputs[0])
    chain = fused_of(lambda x: np.tanh(x * 2), x)
    assert not shares(chain, 0, 0, chain.graph.inputs)  # x * 2 has no memory


def test_long_sums_in_blocks_may_share() -> None:
    x = square(2, 3000)  # 2 blocks of 1024, and 952: read in pieces, written as one
    assert pair(lambda x: x / np.sum(x, axis=1, keepdims=True), x)
    assert pair(lambda x: x - np.mean(x), x)
    assert pair(lambda x: (np.exp(x), np.sum(np.exp(x), axis=1)), x)
    assert pair(lambda x: (x * 2, np.sum(x * 2, axis=0)), square(300, 7))  # 2 blocks of 128 rows, and 44
    assert not pair(lambda x: x + np.sum(x[:, ::-1], axis=1, keepdims=True) * x[:1], x)


def test_stretches_apart() -> None:
    def shared(*body: Any, split: bool = False) -> bool:
        return kernel_shares(Kernel("k", [Loop("i", 4, list(body), split)], 1), 0, 1)

    def load(var: str, turns: int, offset: int, row: int = 8, step: int = 1) -> Loop:
        return Loop(var, turns, [Load("t", 0, Place(offset, (("i", row), (var, step))), F32)])

    def store(var: str, turns: int, offset: int) -> Loop:
        return Loop(var, turns, [Store(1, Place(offset, (("i", 8), (var, 1))), (0.0,), F32)])

    assert shared(load("a", 5, 0), load("b", 3, 5), store("c", 8, 0))  # all is read, in pieces, and then written
    assert shared(load("a", 5, 0), store("c", 5, 0), load("b", 3, 5), store("d", 3, 5))  # piece by piece
    assert not shared(load("a", 5, 0), store("c", 5, 0), load("b", 4, 4), store("d", 3, 5))  # a piece begins too early
    assert not shared(load("a", 8, 1), store("c", 8, 0))  # into the next turn
    assert not shared(load("a", 8, 0, row=4), store("c", 8, 0))  # other turns, other places
    assert shared(load("a", 8, 7, step=-1), store("c", 8, 0))  # backwards, but before
    whole = [Loop("a", 8, [Load("t", 0, Place(0, (("a", 1),)), F32)]),
             Loop("b", 8, [Store(1, Place(0, (("b", 1),)), (0.0,), F32)])]  # fmt: skip
    assert kernel_shares(Kernel("k", whole, 1), 0, 1)
    assert not kernel_shares(Kernel("k", [Loop("c", 4, [], True), *whole], 1), 0, 1)  # all parts do it, at any time
