"""Matrix products against NumPy: transposes, sizes, strides, batches, targets, chunks; and no stray access."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from product_kernels import F32, F64, check, close, make, native, pointers, run, spec_of

from chainrule.base.errors import DtypeError, ShapeError
from chainrule.compile import engine
from chainrule.compile.hooks import Hooks
from chainrule.compile.products import product
from chainrule.compile.target import Target, host, neon
from chainrule.compile.tiles import (
    Matrix,
    Product,
    column_panels,
    column_start,
    deal,
    merged,
    plan,
    row_start,
    row_tiles,
)
from chainrule.compile.writer import Lines

SIZES = (1, 2, 3, 7, 16, 17, 31, 32, 33, 64, 100, 129)


def _sampled(count: int, seed: int) -> list[tuple[int, int, int, bool, bool, np.dtype]]:
    draw = random.Random(seed)
    every = [(ta, tb, dtype) for ta in (False, True) for tb in (False, True) for dtype in (F32, F64)]
    return [(draw.choice(SIZES), draw.choice(SIZES), draw.choice(SIZES), *every[i % 8]) for i in range(count)]


@pytest.mark.parametrize(("m", "n", "k", "ta", "tb", "dtype"), _sampled(40, 0))
def test_sampled_sizes(m: int, n: int, k: int, ta: bool, tb: bool, dtype: np.dtype) -> None:
    check(m, n, k, ta, tb, dtype, pad=m % 2)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "k", "ta", "tb", "dtype"), _sampled(800, 1))
def test_many_sizes(m: int, n: int, k: int, ta: bool, tb: bool, dtype: np.dtype) -> None:
    check(m, n, k, ta, tb, dtype, pad=n % 3, level=3)


@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("m", "n", "k"), [(128, 10, 128), (1, 300, 200), (300, 1, 200), (3, 5, 4000), (20, 33, 2050)])
def test_shapes_of_networks(m: int, n: int, k: int, ta: bool, tb: bool) -> None:
    check(m, n, k, ta, tb, F32)


@pytest.mark.parametrize(("ta", "tb", "dtype"), [(False, False, F32), (True, False, F64), (False, True, F32)])
def test_large_is_blocked_over_k(ta: bool, tb: bool, dtype: np.dtype) -> None:
    kernel = check(70, 130, 2500, ta, tb, dtype, level=3)
    assert kernel.plan is not None
    assert kernel.chunks > 1


def test_rows_on_the_same_cache_lines_are_packed() -> None:
    for ta in (False, True):
        rng = np.random.default_rng(0)
        a = rng.standard_normal((1024, 1024)).astype(F32)
        a = a[:, :66].T if ta else a[:66]
        b, c = rng.standard_normal((1024, 700)).astype(F32), np.empty((66, 700), F32)
        kernel = run(spec_of(a, b, c), a, b, c)
        assert kernel.plan is not None
        assert kernel.plan.pack_a
        close(c, a, b)


def test_strides_of_any_kind() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2 * 30, 3 * 70)).astype(F64)[::-2, ::3]
    b = rng.standard_normal((2 * 70, 5 * 20)).astype(F64)[::2, ::-5]
    c = np.empty((30, 20), F64)
    run(spec_of(a, b, c), a, b, c)
    close(c, a, b)
    column = np.broadcast_to(rng.standard_normal((70, 1)), (70, 20))
    run(spec_of(a, column, c), a, column, c)
    close(c, a, column)
    thin = b[:, :3]  # few columns, apart
    out = np.empty((30, 3), F64)
    rows = np.ascontiguousarray(a)
    run(spec_of(rows, thin, out), rows, thin, out)
    close(out, rows, thin)


def test_a_matrix_times_its_transpose() -> None:
    x = np.random.default_rng(0).standard_normal((30, 20)).astype(F32)
    c = np.empty((20, 20), F32)
    spec = Product(F32, 20, 20, 30, Matrix(0, 1, 20), Matrix(0, 20, 1), Matrix(1, 20, 1))
    run(spec, x, c)
    close(c, x.T, x)


def test_c_in_columns_is_computed_transposed() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 40)).astype(F32), rng.standard_normal((40, 50)).astype(F32)
    c = np.empty((50, 30), F32).T
    run(spec_of(a, b, c), a, b, c)
    close(c, a, b)
    spread = np.zeros((1, 100), F32)[:, ::2]
    run(spec_of(a[:1], b, spread), a[:1], b, spread)
    close(spread, a[:1], b)


@pytest.mark.parametrize("lead", [(5,), (2, 3)])
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (False, True), (True, False)])
def test_batches(lead: tuple[int, ...], ta: bool, tb: bool) -> None:
    check(33, 20, 16, ta, tb, F32, lead=lead)


def test_a_batch_that_shares_a_matrix() -> None:
    rng = np.random.default_rng(0)
    a, w = rng.standard_normal((4, 3, 9, 20)).astype(F32), rng.standard_normal((20, 17)).astype(F32)
    b, c = np.broadcast_to(w, (4, 3, 20, 17)), np.empty((4, 3, 9, 17), F32)
    spec = spec_of(a, b, c)
    assert (merged(spec).m, merged(spec).batch) == (4 * 3 * 9, ())
    run(spec, a, b, c)
    close(c, a, b)
    apart = np.broadcast_to(a[:, :1], a.shape)  # A is shared too: C's rows stay apart from A's
    assert merged(spec_of(apart, b, c)).batch == (4, 3)
    run(spec_of(apart, b, c), apart, b, c)
    close(c, apart, b)


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_empty(m: int, n: int, k: int) -> None:
    a, b, c = np.ones((m, k), F32), np.ones((k, n), F32), np.full((m, n), np.nan, F32)
    kernel = run(spec_of(a, b, c), a, b, c)
    assert np.array_equal(c, np.zeros((m, n)))
    assert kernel.chunks == (1 if m and n else 0)


@pytest.mark.parametrize(("m", "n", "k"), [(20, 40, 30), (20, 3, 200), (20, 40, 1200), (1, 300, 202)])
def test_accumulate(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    c = np.ones((m, n))
    run(spec_of(a, b, c, accumulate=True), a, b, c)
    np.testing.assert_allclose(c, 1 + a @ b, rtol=1e-12, atol=1e-12)


# Chunks


@pytest.mark.parametrize(("m", "n", "k", "tb"), [(130, 200, 300, False), (4, 700, 300, True), (700, 1, 900, False)])
def test_chunks_give_the_same_bits_in_any_order(m: int, n: int, k: int, tb: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = make(rng, (m, k), F32, False), make(rng, (k, n), F32, tb)
    whole, parts = np.empty((m, n), F32), np.full((m, n), np.nan, F32)
    kernel = product(spec_of(a, b, whole), host())
    function = native(kernel, host())
    function(pointers(a, b, whole), 0, kernel.chunks)
    assert kernel.chunks > 1
    order = list(range(kernel.chunks))
    random.Random(0).shuffle(order)
    for chunk in order:
        function(pointers(a, b, parts), chunk, chunk + 1)
    assert np.array_equal(whole, parts)


def test_chunks_do_not_change_the_bits() -> None:
    """The same product planned for machines with other numbers of cores."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 300)).astype(F32), rng.standard_normal((300, 400)).astype(F32)
    results, counts = [], []
    for cores in (1, 2, 64):
        c = np.empty((200, 400), F32)
        counts.append(run(spec_of(a, b, c), a, b, c, target=replace(host(), cores=cores)).chunks)
        results.append(c)
    assert len(set(counts)) > 1
    assert all(np.array_equal(results[0], c) for c in results)


# Targets


@pytest.mark.parametrize("name", ["avx2", "generic"])
@pytest.mark.parametrize(("m", "n", "k", "ta", "tb", "dtype"), _sampled(10, 2))
def test_other_targets_of_this_machine(name: str, m: int, n: int, k: int, ta: bool, tb: bool, dtype: np.dtype,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    check(m, n, k, ta, tb, dtype, target=_forced(name, monkeypatch))


def _forced(name: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    from chainrule.base.errors import OptionError

    monkeypatch.setenv("CHAINRULE_TARGET", name)
    try:
        return host()
    except OptionError as error:
        pytest.skip(str(error).splitlines()[0])


def _inner_loops(assembly: str, multiply_add: str) -> list[list[str]]:
    """The runs of instructions between labels that jump back to their own start and hold multiply-adds."""
    found, label, body = [], "", []
    for line in assembly.splitlines():
        code = line.split("#")[0].split("//")[0].strip()
        if code.endswith(":"):
            label, body = code[:-1], []
        elif code and not code.startswith((".p2align", ".loc")):
            body.append(code)
            if label and code.split()[-1] == label and any(multiply_add in x for x in body):
                found.append(list(body))
    return found


def _assembly(target: Target, m: int, n: int, k: int) -> str:
    spec = Product(F32, m, n, k, Matrix(0, k, 1), Matrix(1, n, 1), Matrix(2, n, 1))
    kernel = product(spec, target)
    text = "\n".join([kernel.text.replace("define internal", "define", 1),
                      f"attributes #0 = {{ {target.attributes} }}", *kernel.metadata])  # fmt: skip
    return engine.assembly(text, target)


@pytest.mark.parametrize(("name", "register", "least"), [("avx512", "%zmm", 24), ("avx2", "%ymm", 12)])
def test_sums_stay_in_registers(name: str, register: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = _inner_loops(_assembly(_forced(name, monkeypatch), 96, 512, 784), "vfmadd")
    assert loops
    for body in loops:
        assert not any("%rsp" in line or "%rbp" in line for line in body), body
        assert sum("vfmadd" in line and register in line for line in body) >= least


def test_neon_text_becomes_machine_code() -> None:
    loops = _inner_loops(_assembly(neon(), 96, 512, 784), "fmla")
    assert loops
    for body in loops:
        assert sum("fmla" in line for line in body) >= 16
        assert not any("[sp" in line for line in body), body


# Plans and errors


@pytest.mark.parametrize("total", range(1, 60))
@pytest.mark.parametrize("most", [1, 3, 14])
def test_parts_cover_everything_once(total: int, most: int) -> None:
    parts, size, many = deal(total, most)
    assert size <= most
    assert many * size + (parts - many) * (size - 1) == total
    rows = row_tiles(total, most)
    assert [(r.first, r.start) for r in rows] == [(0, 0), (rows[0].count, rows[0].count * rows[0].height)][: len(rows)]
    assert sum(r.count * r.height for r in rows) == total
    at_column = number = 0
    for p in column_panels(total, 16, most):
        assert (p.first, p.start) == (number, at_column)
        assert p.columns <= p.width * 16 <= most * 16
        number, at_column = number + p.count, at_column + p.count * p.width * 16
        assert p.columns == p.width * 16 or p.count == 1
    assert sum(p.count * p.columns for p in column_panels(total, 16, most)) == total


@pytest.mark.parametrize("total", [1, 13, 14, 15, 33, 50])
@pytest.mark.parametrize("most", [1, 3, 14])
def test_tiles_begin_where_their_number_says(total: int, most: int) -> None:
    out = Lines()
    rows, panels = row_tiles(total, most), column_panels(16 * total - 3, 16, most)
    starts = [r.start + i * r.height for r in rows for i in range(r.count)]
    assert [row_start(out, rows, str(i)) for i in range(len(starts))] == [str(x) for x in starts]
    starts = [p.start + i * p.width * 16 for p in panels for i in range(p.count)]
    assert [column_start(out, panels, 16, str(i)) for i in range(len(starts))] == [str(x) for x in starts]
    assert out.lines == []


@pytest.mark.parametrize(("m", "n", "k"), [(10**4, 5 * 10**4, 4096), (3, 10**5, 64), (10**5, 3, 10**5),
                                             (1, 1, 9**7), (1, 10**5, 100)])
@pytest.mark.parametrize(("a", "b"), [(False, False), (True, True), (False, True)])
def test_scratch_stays_small(m: int, n: int, k: int, a: bool, b: bool) -> None:
    left = Matrix(0, 1, m) if a else Matrix(0, k, 1)
    right = Matrix(1, 1, k) if b else Matrix(1, n, 1)
    spec = Product(F32, m, n, k, left, right, Matrix(2, n, 1))
    assert product(spec, host()).scratch <= 640 * 1024
    plain = Hooks(finish=lambda out, block: None)
    assert product(spec, host(), hooks=plain).scratch <= 700 * 1024


def test_each_form_is_used_where_it_pays() -> None:
    def form(m: int, n: int, k: int, *, tb: bool = False) -> str:
        b = Matrix(1, 1, k) if tb else Matrix(1, n, 1)
        return plan(Product(F32, m, n, k, Matrix(0, k, 1), b, Matrix(2, n, 1)), host()).form

    assert form(128, 512, 784) == form(128, 512, 784, tb=True) == form(1, 32, 32) == "broadcast"
    assert form(1, 512, 784) == "stream"
    assert form(1, 512, 784, tb=True) == form(8, 512, 784, tb=True) == form(512, 1, 784) == "dot"


def test_the_plan_can_be_read() -> None:
    spec = Product(F32, 128, 10, 64, Matrix(0, 64, 1), Matrix(1, 10, 1), Matrix(2, 10, 1))
    kernel = product(spec, host(), name="logits")
    assert str(kernel) == f"kernel logits: {plan(spec, host())}"
    assert "columns 1×10" in str(kernel)
    assert kernel.flops == 2 * 128 * 10 * 64


def test_errors_say_what_to_do() -> None:
    a, b, c = Matrix(0, 4, 1), Matrix(1, 5, 1), Matrix(2, 5, 1)
    with pytest.raises(DtypeError, match=r"no matrix-product kernel\n.*float32 or float64\n.*int64\n(.*\n)+.*NumPy"):
        Product(np.dtype(np.int64), 3, 5, 4, a, b, c)
    with pytest.raises(ShapeError, match=r"a size is negative\n(.*\n)?.*m=-3"):
        Product(F32, -3, 5, 4, a, b, c)
    with pytest.raises(ShapeError, match=r"B has not one stride per batch axis\n.*1 strides\n.*0 strides"):
        Product(F32, 3, 5, 4, a._replace(batch=(12,)), b, c._replace(batch=(15,)), (2,))
    with pytest.raises(ShapeError, match=r"neither the rows nor the columns of C lie side by side\n(.*\n)*.*copy"):
        Product(F32, 3, 5, 4, a, b, Matrix(2, 10, 2))
    with pytest.raises(ShapeError, match=r"there is no C to add to"):
        Product(F32, 3, 5, 4, a, b, None, accumulate=True)
    whole = Hooks(finish=lambda out, block: None, whole_rows=True)
    wide = Product(F32, 3, 5000, 4, a, Matrix(1, 5000, 1), None)
    with pytest.raises(ShapeError, match=r"rows too long to be finished whole\n.*16384 bytes\n.*5000 columns"):
        product(wide, host(), hooks=whole)
    with pytest.raises(ShapeError, match=r"the columns of C do not lie side by side"):
        product(Product(F32, 3, 5, 4, a, b, Matrix(2, 1, 3)), host(), hooks=whole)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect through the C library")
def test_reads_nothing_behind_the_operands() -> None:
    """Operands end where the readable pages end; a stray read kills the process."""
    script = """
        import ctypes, mmap, sys
        import numpy as np
        sys.path.insert(0, sys.argv[1])
        from product_kernels import native, pointers, spec_of
        from chainrule.compile.products import product
        from chainrule.compile.target import host

        libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
        held = []

        def at_the_end(shape):
            size = int(np.prod(shape)) * 4
            pages = -(-size // page)
            area = mmap.mmap(-1, (pages + 1) * page)
            held.append(area)
            whole = np.frombuffer(area, np.float32)
            end = ctypes.c_void_p(whole.ctypes.data + pages * page)
            assert libc.mprotect(end, page, 0) == 0
            x = whole[pages * page // 4 - size // 4 : pages * page // 4].reshape(shape)
            x[...] = np.random.default_rng(0).standard_normal(shape)
            return x

        for m, n, k in [(5, 10, 7), (30, 17, 33), (3, 40, 65), (1, 37, 19), (21, 1, 70), (40, 35, 1100)]:
            for ta in (False, True):
                for tb in (False, True):
                    a = at_the_end((k, m)).T if ta else at_the_end((m, k))
                    b = at_the_end((n, k)).T if tb else at_the_end((k, n))
                    c = at_the_end((m, n))
                    kernel = product(spec_of(a, b, c), host())
                    native(kernel, host())(pointers(a, b, c), 0, kernel.chunks)
                    assert np.allclose(c, a @ b, atol=1e-3)
        print("done")
    """
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), folder], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.stdout == "done\n", done.stderr
