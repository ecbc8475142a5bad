"""The benchmarks run and write what they promise.  Tiny sizes: nothing is said here about speed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _bench_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def _run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    from bench.__main__ import main

    main(["engine", "--quick", "--seconds", "0.01", "--out", str(tmp_path)])
    return json.loads((tmp_path / "engine.json").read_text()), capsys.readouterr().out


def test_engine_writes_every_row_with_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, printed = _run(tmp_path, capsys)
    assert [(row["ops"], row["call"]) for row in result["chain"]] == [
        (n, kind) for n in (20, 200) for kind in ("first", "repeated", "jit")
    ]
    for row in result["chain"]:
        assert row["ours_s"] > 0
        assert row["ours_ns_per_op"] == pytest.approx(row["ours_s"] / row["ops"] * 1e9)
        assert set(row["peers"]) == set(row["ratios"]) == set(result["peers"])
        for name, seconds in row["peers"].items():
            assert row["ratios"][name] == pytest.approx(seconds / row["ours_s"])
    assert len(result["cost"]) == 5
    for row in result["cost"]:
        assert row["cost"] == pytest.approx(row["ours_s"] / row["evaluate_s"])
        assert row["jit_cost"] == pytest.approx(row["jit_s"] / row["evaluate_s"])
        assert row["workload"] in printed
    assert result["growth"] > 0
    assert set(result["environment"]) == {"python", "numpy", "platform", "processor", "cores", "blas", "clock"}


def test_without_autograd_only_our_columns_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "autograd", None)
    result, printed = _run(tmp_path, capsys)
    assert result["peers"] == []
    assert all(row["peers"] == {} for row in result["chain"] + result["cost"])
    assert "autograd is not installed" in printed


def test_results_that_differ_are_not_timed() -> None:
    from bench.engine import _require_agreement

    _require_agreement("same", [np.ones(2)], [np.ones(2)])
    with pytest.raises(AssertionError, match="MLP: the gradients differ"):
        _require_agreement("MLP", [np.ones(2)], [np.array([1.0, 1.001])])


def test_workloads_are_what_they_say() -> None:
    from bench import workloads

    function, x = workloads.chain(4, 0.5)
    assert function(np, x) == 0.5 * np.sin(0.5 * np.sin(0.5))
    function, x = workloads.logsumexp(10)
    assert function(np, x) == pytest.approx(np.log(np.sum(np.exp(x))))
    function, layers = workloads.mlp((6, 5, 3), 4)
    zeros = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    assert function(np, zeros) == pytest.approx(np.log(3))  # nothing known: the entropy of three classes


def test_medians_call_each_contestant_equally_often() -> None:
    from bench.measure import medians

    calls: list[str] = []
    times = medians({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, seconds=0, least=5)
    assert calls == ["a", "b"] * 6  # once untimed, then five rounds
    assert set(times) == {"a", "b"}


def test_unknown_suite_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    with pytest.raises(SystemExit):
        main(["speed"])
    assert "unknown suite 'speed': choose from table, engine" in capsys.readouterr().err


def test_products_are_measured_against_each_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    main(["products", "--quick", "--seconds", "0.01", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "products.json").read_text())
    assert result["peak_gflops"] > 1
    for row in result["rows"]:
        assert 0 < row["share_of_peak"] < 1.5
        assert "numpy" in row["peers"]
        for name, rate in row["peers"].items():
            assert row["ratios"][name] == pytest.approx(row["gflops"] / rate)
    assert "(64×64)·(64×128) on 1" in capsys.readouterr().out
