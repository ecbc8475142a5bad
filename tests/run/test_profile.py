"""Profiles: the machine's limits, the numbers as text, the instruments in the LLVM text."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.base.errors import UnsupportedError
from chainrule.compile import engine
from chainrule.compile.compiler import make_plan
from chainrule.compile.stages import steps
from chainrule.compile.target import host
from chainrule.run.peaks import Peaks, measure
from chainrule.run.pool import Pool
from chainrule.run.profile import Profile, Row, _Cost, _without_measuring, instrumented, profile_graph
from chainrule.run.profile_table import amount, bar, percent, seconds, shortened
from chainrule.run.program import program_text

PEAKS = Peaks(1e11, ((1000, 4e10), (10_000, 2e10), (100_000, 1e10)), 2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


# -------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("flops", "moved", "itemsize", "expected"),
    [
        (1000, 100, 4, (1e-8, "compute")),
        (1000, 100, 8, (2e-8, "compute")),  # a vector holds half as many
        (10, 1000, 4, (2.5e-8, "memory")),
        (10, 5000, 4, (2.5e-7, "memory")),  # a working set that only the next cache holds
        (10, 10**6, 4, (1e-4, "memory")),
    ],
)
def test_the_roofline(flops: int, moved: int, itemsize: int, expected: tuple[float, str]) -> None:
    least, limit = PEAKS.least_seconds(flops, moved, itemsize)
    assert limit == expected[1]
    assert least == pytest.approx(expected[0])


def test_measured_limits_are_those_of_a_computer() -> None:
    found = measure(Pool(1))
    assert 1e9 < found.flops < 1e13
    assert found.threads == 1
    sizes = [size for size, _ in found.bandwidth]
    assert sizes == sorted(sizes)
    assert all(1e8 < rate < 1e13 for _, rate in found.bandwidth)


def test_no_product_is_faster_than_the_measured_peak() -> None:
    found = cr.profile(lambda a, b: a @ b, *np.ones((2, 176, 176), np.float32), repeats=20)
    (row,) = found.rows
    assert row.flops == 2 * 176**3
    assert row.limit == "compute"
    assert 0 < row.share < 1.3  # the machine is shared: the two are measured at different moments


# --------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (4.56e-4, "456 µs"), (7.89e-6, "7.89 µs"), (6.4e-8, "64 ns"), (0.0, "0 ns"),
     (99.96e-6, "100 µs")],
)  # fmt: skip
def test_times(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, ""), (999, "999"), (1000, "1.00 K"), (38_500_000, "38.5 M"), (4.6e9, "4.60 G"), (2e12, "2.00 T")],
)  # fmt: skip
def test_amounts(value: int, text: str) -> None:
    assert amount(value) == text


def test_bars_percents_and_cuts() -> None:
    assert (bar(0), bar(0.05), bar(0.5), bar(1), bar(2)) == ("", "▌", "█████", "█" * 10, "█" * 10)
    assert percent(0.426) == "43 %"
    assert (shortened("short", 5), shortened("longer", 5)) == ("short", "long…")


def row(number: int, spent: float, **changes: object) -> Row:
    made = Row(str(number), "pointwise", "8", ("add",), 1, spent, 8, 96, "memory", 0.5, "", ("m.py:3",))
    return made._replace(**changes)


def profile(*rows: Row, spent: float = 1e-3) -> Profile:
    return Profile("step", rows, spent, 7, PEAKS, "avx2, 2 threads")


def test_a_table_to_the_letter() -> None:
    found = profile(
        row(1, 5e-4, kind="product", size="8×8", operations=("matmul", "add"), flops=1_088, limit="compute"),
        row(0, 2e-4, calls=50, where=("m.py:3", "m.py:4", "m.py:5"), share=0.25),
        row(2, 1e-4, kind="NumPy", flops=0, limit="", where=()),
    )
    assert str(found) == """\
step: 1.00 ms a call, 800 µs of it in 3 kernels   (mean of the middle half of 7 calls; avx2, 2 threads)

  time         of all  kernel             computes                     flop  bytes  of limit      where
500 µs  █████    50 %  1 product 8×8      matmul, add                1.09 K     96  50 % compute  m.py:3
200 µs  ██       20 %  0 pointwise 8 ×50  add                             8     96  25 % memory   m.py:3, m.py:4 …
100 µs  █        10 %  2 NumPy 8          add                                   96
200 µs  ██       20 %  –                  the call, between kernels

limit, measured in this run on 2 threads: compute 100 GFLOP/s in float32; memory 10 GB/s, 20 to 40 GB/s in caches"""


def test_of_a_long_program_the_dearest_are_listed() -> None:
    found = profile(*(row(n, 1e-6) for n in range(60)))
    lines = str(found).splitlines()
    assert len(lines) == 2 + 1 + 40 + 2 + 2
    assert "20 more" in lines[-4]
    assert "20.0 µs" in lines[-4]


def test_the_clock_is_taken_off_kernels_and_off_the_loops_around_them() -> None:
    labels, cost = ["0", "0.body.0", "0.body.1", "0.body.1.0", "1"], _Cost(8.0, 3.0)
    spent, calls = [1000.0, 500.0, 400.0, 900.0, 2.0], [1, 10, 10, 30, 1]
    # 0: itself, then 20 runs inside it; 0.body.1: 10 runs of its own, then 30 inside; never below nothing
    expected = [1000 - 3 - 20 * 5, 500 - 30, 400 - 30 - 30 * 5, 900 - 90, 0]
    assert _without_measuring(labels, spent, calls, cost) == expected


def test_a_program_without_kernels() -> None:
    found = profile_graph(cr.trace(lambda x: x)(np.ones(3)), [np.ones(3)], repeats=1)
    assert "the call, between kernels" in str(found)


# --------------------------------------------------------------------------------------------------------- instruments


def test_each_cluster_is_measured_once_and_the_text_is_well_formed() -> None:
    def f(x: object) -> object:
        h, sums = cr.scan(lambda h, row: (np.tanh(h @ row), np.sum(h)), x[0], x)  # type: ignore[index]
        return np.linalg.inv(h), sums

    plan = make_plan(cr.trace(f)(np.ones((4, 3, 3), np.float32)))
    sites = {(s.part.name, s.number): n for n, s in enumerate(steps(plan))}
    text = instrumented(program_text(plan), sites, host())
    engine.verify(text)
    assert text.count("call i64 @cr.profile.enter()") == len(sites) + 1  # and to measure nothing
    assert text.count(" = call i64 @cr.profile.enter()") == text.count("  call void @cr.profile.leave(i64 ")


def test_a_machine_without_a_clock() -> None:
    blind = dataclasses.replace(host(), clock="")
    with pytest.raises(UnsupportedError) as caught:
        instrumented("", {}, blind)
    assert "this machine has no clock that programs may read\n  expected: x86-64 or AArch64" in str(caught.value)
