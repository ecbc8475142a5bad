"""Looking into compiled functions: what show prints, what profile counts, why a function was traced again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.base.errors import OptionError, TraceError
from chainrule.inspection import STAGES

X = np.arange(12, dtype=np.float32).reshape(3, 4)
W = np.ones((4, 5), np.float32)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def layer(params: Any, x: Any) -> Any:
    return np.tanh(x @ params["w"] + params["b"])


PARAMS = {"w": W, "b": np.zeros(5, np.float32)}


# ---------------------------------------------------------------------------------------------------------------- show


def shown(capsys: pytest.CaptureFixture[str], f: Any, *args: Any, **options: Any) -> str:
    """What show prints, which is also what it returns."""
    found = cr.show(f, *args, **options)
    printed = capsys.readouterr().out
    assert printed == f"{found}\n"
    assert isinstance(found, str)
    return str(found)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_a_function_of_trees(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, layer, PARAMS, X, stage=stage)
    assert {"graph": "matmul", "simplified": "matmul", "fused": "kernel 0: product", "loops": "tanh",
            "llvm": "define internal void @kernel0", "asm": "kernel0:"}[stage] in text  # fmt: skip


def test_the_graph_is_the_default_and_holds_what_the_function_closes_over(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, lambda x: x @ W, X)
    assert text.startswith("graph(%0 x: f32[3,4]) -> f32[3,5]:")
    assert "constant" in text


def test_at_a_prompt_the_text_is_not_shown_twice() -> None:
    found = cr.show(softmax, X)
    assert repr(found) == f"<{len(found.splitlines())} lines of text; str() of it is the text>"


def test_a_jitted_function_with_static_and_donated_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    def step(w: Any, n: int, x: Any) -> Any:
        for _ in range(n):
            w = w - 0.1 * x
        return w

    text = shown(capsys, cr.jit(step, donate_argnums=0, static_argnums=1), X, 3, X)
    assert text.count("sub") == 3
    assert "%1 x" in text


def test_a_jitted_method(capsys: pytest.CaptureFixture[str]) -> None:
    class Model(NamedTuple):
        factor: Any

        @cr.jit
        def scaled(self, x: Any) -> Any:
            return x * self.factor

    assert "mul %1 %0" in shown(capsys, Model(np.float32(3)).scaled, X)


def test_only_one_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, softmax, X, stage="loops", kernel=0)
    assert text.startswith("kernel 0: row over 3×4: max, sub, exp, sum, div")


def test_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((3, 64), np.float32)
    assert "on 512-bit vectors" in shown(capsys, softmax, x, stage="asm", target="avx512")
    avx2 = shown(capsys, softmax, x, stage="asm", target="avx2")
    assert "on 256-bit vectors" in avx2
    assert "zmm" not in avx2
    assert ".4s" in shown(capsys, softmax, x, stage="asm", target="neon")


def test_llvm_after_its_passes(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((3, 64), np.float32)
    options: dict[str, Any] = {"stage": "llvm", "target": "avx512"}
    assert "x float>" not in shown(capsys, softmax, x, **options)
    assert "<16 x float>" in shown(capsys, softmax, x, **options, optimised=True)


def test_what_every_program_has_is_left_out_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    short = shown(capsys, softmax, X, stage="llvm")
    full = shown(capsys, softmax, X, stage="llvm", full=True)
    assert "define internal float @cr.exp.f32" not in short
    assert "not shown: " in short
    assert "@cr.exp.f32" in full
    assert "attributes #0" in full
    assert len(full) > len(short)


def test_a_loop_shows_its_kernels_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(x: Any) -> Any:
        return cr.scan(lambda h, row: (np.tanh(h + row), np.sum(h)), x[0], x)

    text = shown(capsys, walk, X, stage="fused")
    assert ": scan of 3 turns" in text
    assert re.search(r"\n  body = graph\(%0.*: f32\[4\], %1.*: f32\[4\]\) -> \(f32\[4\], f32\[\]\)\n", text)
    assert re.search(r"\nkernel \d\.0: row over 4", text)


def test_forward_backward_and_update_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    def step(w: Any, x: Any) -> Any:
        gradient = cr.grad(lambda w: np.sum(np.tanh(x @ w) ** 2))(w)
        return w - 0.1 * gradient

    text = shown(capsys, step, W, X, stage="fused")
    assert "(forward" in text
    assert "backward" in text
    assert "update)" in text


def test_a_function_that_computes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in STAGES:
        assert shown(capsys, lambda: (), stage=stage)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stage": "machine"}, "unknown value for stage\n  expected: one of: graph, simplified, fused, loops, llvm"),
        ({"stage": "asm", "target": "mips"}, "unknown value for target\n  expected: one of: host, avx512, avx2, gen"),
        ({"stage": "simplified", "kernel": 0}, "kernel has no use at this stage\n  expected: stage fused or loops"),
        ({"stage": "asm", "optimised": True}, "optimised has no use at this stage\n  expected: stage llvm"),
        ({"stage": "loops", "kernel": 7}, "unknown value for kernel\n  expected: one of: 0\n  got: 7"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        cr.show(softmax, X, **options)
    assert words in str(caught.value)


def test_without_llvmlite_the_graph_is_still_shown() -> None:
    code = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import numpy as np, chainrule as cr\n"
        "cr.show(np.exp, np.ones(3))\n"
        "for call in (lambda: cr.show(np.exp, np.ones(3), stage='asm'), lambda: cr.profile(np.exp, np.ones(3))):\n"
        "    try: call()\n"
        "    except cr.base.errors.UnsupportedError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "exp %0" in done.stdout
    assert done.stdout.count("native code needs llvmlite") == 2
    assert done.stdout.count("pip install --force-reinstall llvmlite") == 2


# ------------------------------------------------------------------------------------------------------------- profile


def test_a_profile_lists_each_kernel_with_its_work_and_its_lines() -> None:
    found = cr.profile(layer, PARAMS, X, repeats=3)
    (row,) = found.rows
    assert (row.kernel, row.kind, row.size, row.calls) == ("0", "product", "3×5", 1)
    assert row.operations == ("matmul", "add", "tanh")
    assert row.flops > 2 * 3 * 4 * 5 + 15
    assert row.bytes == 4 * (12 + 20 + 5 + 15)
    (place,) = row.where
    assert place.startswith("test_inspection.py:")
    assert 0 < row.seconds <= found.seconds
    assert found.in_kernels == row.seconds
    assert found.repeats == 3
    assert row.limit in ("compute", "memory")
    assert 0 < row.share < 2


def test_kernels_in_loops_are_counted_and_calls_of_numpy_are_rows() -> None:
    def walk(x: Any) -> Any:
        carry, sums = cr.scan(lambda h, row: (np.tanh(h + row), np.sum(h)), x[0], x)
        return carry, sums, np.linalg.inv(x[:8] + np.eye(8))

    found = cr.profile(walk, np.ones((50, 8)), repeats=2)
    turns = {row.kernel: row.calls for row in found.rows if "." in row.kernel}
    assert turns
    assert set(turns.values()) == {50}
    assert [row.calls for row in found.rows if row.kind == "NumPy"] == [1]
    assert [row.calls for row in found.rows if row.kind == "scan"] == [1]
    numpy_row = next(row for row in found.rows if row.kind == "NumPy")
    assert (numpy_row.flops, numpy_row.limit) == (0, "")


def test_a_profile_counts_a_branch_that_is_not_taken_as_no_call() -> None:
    def choose(x: Any) -> Any:
        return cr.cond(x[0] > 0, lambda: np.exp(x), lambda: np.sin(x))

    found = cr.profile(choose, np.ones(8), repeats=2)
    calls = {row.operations: row.calls for row in found.rows}
    assert calls[("exp",)] == 1
    assert calls[("sin",)] == 0


def test_the_results_of_what_is_profiled_are_those_of_the_program() -> None:
    from chainrule.compile.cache import library
    from chainrule.compile.compiler import make_plan
    from chainrule.compile.stages import steps
    from chainrule.compile.target import host
    from chainrule.run.profile import instrumented
    from chainrule.run.program import Program, compile_graph, program_text

    graph = cr.trace(softmax)(X)
    plan = make_plan(graph)
    sites = {(s.part.name, s.number): n for n, s in enumerate(steps(plan))}
    text = instrumented(program_text(plan), sites, host())
    measured = Program(plan, library(text))
    assert text.count("call void @cr.profile.leave") == len(sites) + 1  # and to measure nothing
    for a, b in zip(measured([X]), compile_graph(graph)([X]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_donated_arguments_are_left_as_they_are() -> None:
    step = cr.jit(lambda w, x: (w - 0.5 * x, np.sum(x)), donate_argnums=0)
    w = np.ones(1000, np.float32)
    cr.profile(step, w, w * 2, repeats=2)
    np.testing.assert_array_equal(w, 1)
    w[0] = 3  # and can be written


def test_the_table_is_sorted_by_time_and_adds_up() -> None:
    def both(x: Any) -> Any:
        return np.sum(x), np.linalg.inv(x @ x.T + np.eye(len(x), dtype=x.dtype))

    found = cr.profile(both, np.ones((40, 40)), repeats=5)
    times = [row.seconds for row in found.rows]
    assert times == sorted(times, reverse=True)
    text = str(found)
    assert text == repr(found)
    lines = text.splitlines()
    assert lines[0].startswith("both: ")
    assert "a call, " in lines[0]
    assert "kernels   (mean of the middle half of 5 calls; " in lines[0]
    assert lines[2].split() == ["time", "of", "all", "kernel", "computes", "flop", "bytes", "of", "limit", "where"]
    assert "the call, between kernels" in text
    assert "limit, measured in this run on " in lines[-1]


def test_the_table_in_colours_has_the_same_cells() -> None:
    console = pytest.importorskip("rich.console")
    found = cr.profile(softmax, X, repeats=2)
    wide = console.Console(width=250)
    with wide.capture() as captured:
        wide.print(found)
    assert "max, sub, exp, sum, div" in captured.get()
    assert "limit, measured in this run" in captured.get()


def test_a_profile_as_json() -> None:
    values = json.loads(json.dumps(cr.profile(softmax, X, repeats=2).to_dict()))
    assert values["name"] == "softmax"
    assert values["repeats"] == 2
    assert values["peak_flops"] > 1e8
    assert [kernel["operations"] for kernel in values["kernels"]] == [["max", "sub", "exp", "sum", "div"]]
    assert values["seconds_in_kernels"] == pytest.approx(sum(kernel["seconds"] for kernel in values["kernels"]))


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, "many"])
def test_repeats_that_make_no_sense(repeats: Any) -> None:
    with pytest.raises(OptionError) as caught:
        cr.profile(softmax, X, repeats=repeats)
    assert "profile: repeats can't be used\n  expected: a whole number from 1 on" in str(caught.value)


def test_no_profile_inside_a_trace() -> None:
    def inner(x: Any) -> Any:
        cr.profile(softmax, x, repeats=1)
        return x

    with pytest.raises(TraceError, match="profile of softmax inside a function that is being traced"):
        cr.jit(inner)(X)


# -------------------------------------------------------------------------------------------------- explain_recompiles


def test_each_trace_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    @cr.jit
    def total(params: Any, x: Any) -> Any:
        return np.sum(x @ params["w"])

    total({"w": W}, X)
    total({"w": W}, X[:2])
    total({"w": W}, X)  # known
    total({"w": W.astype(np.float64)}, X)
    total({"w": W, "b": X}, X)
    text = cr.explain_recompiles(total)
    assert capsys.readouterr().out == f"{text}\n"
    assert str(text).splitlines() == [
        "total was traced 4 times",
        "   1  first call",
        "   2  x changed shape (3, 4) → (2, 4)",
        "   3  params['w'] changed dtype float32 → float64",
        "   4  the arguments changed structure (new: params['b'])",
    ]


def test_static_arguments_and_advice() -> None:
    def power(x: Any, n: int) -> Any:
        return x**n

    fast = cr.jit(power, static_argnums=1)
    assert str(cr.explain_recompiles(fast)) == "power was not traced yet"
    for n in range(2, 6):
        fast(X, n)
    text = str(cr.explain_recompiles(fast))
    assert "   2  static n changed 2 → 3" in text
    assert text.endswith("what to do: static n takes many values: pass it as an ordinary argument if it is a number")


def test_a_function_that_is_not_jitted() -> None:
    with pytest.raises(OptionError) as caught:
        cr.explain_recompiles(softmax)
    assert "explain_recompiles needs a jitted function\n  expected: what cr.jit returned\n  got: softmax" in str(
        caught.value
    )


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_recompiles_are_told_while_they_happen(
    how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("CHAINRULE_EXPLAIN_RECOMPILES", "1")
    fast = cr.jit(softmax, explain_recompiles=how == "argument")
    fast(X)
    fast(X)
    assert capsys.readouterr().err == ""
    fast(X[:2])
    told = capsys.readouterr().err
    assert told.startswith("chainrule: softmax is traced again (2 traces): x changed shape (3, 4) → (2, 4)")
    assert "test_inspection.py:" in told
    assert told.count("\n") == 1


def test_nothing_is_told_unless_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_EXPLAIN_RECOMPILES", "0")
    fast = cr.jit(softmax)
    fast(X)
    fast(X[:2])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stage", STAGES)
def test_colours_change_no_letter(stage: str) -> None:
    pytest.importorskip("rich")
    from chainrule.inspection import _coloured

    text = str(cr.show(softmax, X, stage=stage))
    assert _coloured(text, stage).plain == text
