"""Hooks of matrix products: epilogues in registers, finished strips in memory, whole rows, computed operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from product_kernels import F64, make, native, pointers, spec_of

from chainrule.compile.hooks import Block, Hooks, Sums
from chainrule.compile.products import ProductKernel, product
from chainrule.compile.target import host
from chainrule.compile.tiles import Product
from chainrule.compile.writer import Vectors, Writer, add, at, loop, multiply


def _table(entry: list[str], slot: int) -> str:
    entry.append(f"  %t{slot} = getelementptr inbounds ptr, ptr %buffers, i64 {slot}")
    entry.append(f"  %p{slot} = load ptr, ptr %t{slot}")
    return f"%p{slot}"


def _hooked(spec: Product, arrays: list[np.ndarray], build: Callable[[list[str]], Hooks]) -> ProductKernel:
    """Compiles and runs a product whose hooks may read the buffers behind the first three."""
    entry: list[str] = []
    kernel = product(spec, host(), hooks=build(entry), entry=entry)
    native(kernel, host())(pointers(*arrays), 0, kernel.chunks)
    return kernel


def _each(out: Writer, block: Block, body: Callable[[str, str, str], None]) -> None:
    """``body(row, column, pointer)`` for each element of a block."""
    with loop(out, "0", str(block.rows)) as i, loop(out, "0", str(block.columns)) as j:
        place = add(out, multiply(out, i, block.row_stride), multiply(out, j, block.column_stride))
        body(add(out, i, block.row), add(out, j, block.column), at(out, "double", block.pointer, place))


def _element(out: Writer, base: str, row: str, column: str, strides: tuple[int, int]) -> str:
    index = add(out, multiply(out, row, strides[0]), multiply(out, column, strides[1]))
    return out.new(f"load double, ptr {at(out, 'double', base, index)}")


SHAPES = [(1, 300, 202), (20, 40, 30), (17, 3, 200), (3, 50, 60), (40, 1, 50), (30, 70, 2100)]


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, True)])
def test_epilogue_in_registers(m: int, n: int, k: int, ta: bool, tb: bool) -> None:
    rng = np.random.default_rng(0)
    a, b, c = make(rng, (m, k), F64, ta), make(rng, (k, n), F64, tb), np.empty((m, n))
    bias = rng.standard_normal(n)

    def build(entry: list[str]) -> Hooks:
        base = _table(entry, 3)

        def epilogue(out: Writer, sums: Sums) -> list[list[str]]:
            v = Vectors(out, sums.element, sums.lanes, True)

            def of(value: str, i: int, j: int) -> str:
                if sums.turned:  # lanes run along C's rows: one bias for all
                    place = at(out, "double", base, add(out, sums.row, i))
                    shift = v.broadcast(out.new(f"load double, ptr {place}"))
                else:
                    place = at(out, "double", base, add(out, sums.column, j * v.lanes))
                    shift = v.load(place, min(v.lanes, sums.columns - j * v.lanes))
                total = v.add(value, shift)
                above = out.new(f"fcmp ogt {v.type} {total}, zeroinitializer")
                return out.new(f"select <{v.lanes} x i1> {above}, {v.type} {total}, {v.type} zeroinitializer")

            return [[of(x, i, j) for j, x in enumerate(line)] for i, line in enumerate(sums.values)]

        return Hooks(epilogue=epilogue)

    _hooked(spec_of(a, b, c), [a, b, c, bias], build)
    np.testing.assert_allclose(c, np.maximum(a @ b + bias, 0), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("with_c", [False, True])
def test_finish_gets_blocks_in_memory(m: int, n: int, k: int, with_c: bool) -> None:
    """The update of weights in place: w −= 0.1·(A·B), with the gradient never stored."""
    rng = np.random.default_rng(0)
    a, b, c = make(rng, (m, k), F64, n == 1), make(rng, (k, n), F64, False), np.full((m, n), np.nan)
    w = rng.standard_normal((m, n))
    expected = w - 0.1 * (a @ b)

    def build(entry: list[str]) -> Hooks:
        base = _table(entry, 3)

        def finish(out: Writer, block: Block) -> None:
            def update(row: str, column: str, pointer: str) -> None:
                gradient = out.new(f"load double, ptr {pointer}")
                place = at(out, "double", base, add(out, multiply(out, row, n), column))
                before = out.new(f"load double, ptr {place}")
                step = out.new(f"fmul double {gradient}, 0.1")
                out.put(f"store double {out.new(f'fsub double {before}, {step}')}, ptr {place}")

            _each(out, block, update)

        return Hooks(finish=finish)

    _hooked(spec_of(a, b, c if with_c else None), [a, b, c, w], build)
    np.testing.assert_allclose(w, expected, rtol=1e-11, atol=1e-11)
    assert np.all(np.isnan(c))  # finish stores what it likes; nothing else does


@pytest.mark.parametrize(("m", "n", "k"), [*SHAPES, (50, 10, 64), (9, 600, 2100)])
def test_finish_of_whole_rows_can_reduce(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(0)
    a, b, c = make(rng, (m, k), F64, n == 1), make(rng, (k, n), F64, n > 500), np.full((m, n), np.nan)
    totals = np.full(m, np.nan)

    def build(entry: list[str]) -> Hooks:
        base = _table(entry, 3)

        def finish(out: Writer, block: Block) -> None:
            assert block.columns == n
            with loop(out, "0", str(block.rows)) as i:
                place = at(out, "double", base, add(out, i, block.row))
                out.put(f"store double 0.0, ptr {place}")
                with loop(out, "0", str(n)) as j:
                    index = add(out, multiply(out, i, block.row_stride), multiply(out, j, block.column_stride))
                    value = out.new(f"load double, ptr {at(out, 'double', block.pointer, index)}")
                    before = out.new(f"load double, ptr {place}")
                    out.put(f"store double {out.new(f'fadd double {before}, {value}')}, ptr {place}")

        return Hooks(finish=finish, whole_rows=True)

    _hooked(spec_of(a, b, None), [a, b, c, totals], build)
    np.testing.assert_allclose(totals, (a @ b).sum(1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("m", "n", "k"), [(20, 40, 30), (3, 5, 60), (30, 1, 50), (33, 70, 2101)])
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True), (True, True)])
def test_prologues_compute_the_operands(m: int, n: int, k: int, ta: bool, tb: bool) -> None:
    """δ = cotangent · mask, multiplied while it is packed, on either side."""
    rng = np.random.default_rng(0)
    a, b, c = make(rng, (m, k), F64, ta), make(rng, (k, n), F64, tb), np.empty((m, n))
    x, y = make(rng, (m, k), F64, ta), make(rng, (k, n), F64, tb)
    lengths: list[set[int]] = [set(), set()]  # of k, of A's and B's blocks

    def build(entry: list[str]) -> Hooks:
        def fill(array: np.ndarray, slots: tuple[int, int]) -> Callable[[Writer, Block], None]:
            strides = (array.strides[0] // 8, array.strides[1] // 8)
            bases = slots

            def write(out: Writer, block: Block) -> None:
                lengths[slots[0]].add((block.columns, block.rows)[slots[0]])

                def times(row: str, column: str, pointer: str) -> None:
                    p, q = (_element(out, f"%q{s}", row, column, strides) for s in bases)
                    out.put(f"store double {out.new(f'fmul double {p}, {q}')}, ptr {pointer}")

                _each(out, block, times)

            return write

        for slot in (0, 1, 3, 4):
            entry.append(f"  %r{slot} = getelementptr inbounds ptr, ptr %buffers, i64 {slot}")
            entry.append(f"  %q{slot} = load ptr, ptr %r{slot}")
        return Hooks(prologue_a=fill(a, (0, 3)), prologue_b=fill(b, (1, 4)))

    kernel = _hooked(spec_of(a, b, c), [a, b, c, x, y], build)
    assert kernel.plan is not None
    depth = kernel.plan.depth
    assert lengths[0] == lengths[1] == {depth, k % depth or depth}
    np.testing.assert_allclose(c, (a * x) @ (b * y), rtol=1e-10, atol=1e-10)
