"""The table against peers: tiny sizes, every kind of row, and what must stop a run.  Nothing is said about speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = {"workload", "ours_s", "peers", "ratios", "flops", "share_of_peak", "compile_s"}


@pytest.fixture(autouse=True)
def _bench_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_every_kind_of_row_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    names = ["mlp-784", "call-overhead", "first-call", "product-8x8x8"]
    main(["--quick", "--seconds", "0.02", "--peers", "numpy", "--rows", ",".join(names), "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["name"] for row in table["rows"]] == names
    assert table["peak_gflops"] > 1
    for name, row in zip(names, table["rows"], strict=True):
        one = json.loads((tmp_path / f"{name}.json").read_text())
        assert set(one) == SCHEMA
        assert one.items() <= row.items()
        assert one["ours_s"] > 0
        for peer, seconds in one["peers"].items():
            assert one["ratios"][peer] == pytest.approx(seconds / one["ours_s"])
    step, overhead, first, product = table["rows"]
    assert set(step["peers"]) == set(overhead["peers"]) == {"numpy"}
    assert {"numpy"} <= set(product["peers"])
    assert step["flops"] == 2 * 4 * (2 * 7 * 6 + 3 * 6 * 3)
    assert 0 < step["peak_gflops"] <= table["peak_gflops"]  # the best that was seen by then
    assert step["share_of_peak"] == pytest.approx(step["flops"] / step["ours_s"] / step["peak_gflops"] / 1e9)
    assert step["met"] == {"share of peak": step["share_of_peak"] >= 0.45}
    assert overhead["met"] == {"limit": overhead["ours_s"] <= 10e-6}
    assert first["met"] == {"limit": first["ours_s"] <= 1.0}
    assert product["met"]["× numpy"] == (product["ratios"]["numpy"] >= 1.5)
    assert "MLP 7-6-3, batch 4" in printed
    assert f"of {sum(len(row['met']) for row in table['rows'])} goals met" in printed


GROWS = """
import numpy as np
from bench.memory import step_peak

class Grows:
    kept = None

    def step(self, i):
        self.kept = np.ones(4 << 20)  # 32 MiB, and for a moment the one before as well

print(step_peak(Grows))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux keeps the highest resident set")
def test_memory_of_a_step_is_seen() -> None:
    from bench.memory import ENVIRONMENT, unavailable

    if (reason := unavailable()) is not None:
        pytest.skip(reason)
    # in a process of its own, as in a run: what freed memory this one holds would be found again
    done = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, env=os.environ | ENVIRONMENT,
                          cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 60 << 20 < int(done.stdout) < 80 << 20


def test_loop_gives_what_single_steps_give() -> None:
    from bench.peers import make
    from bench.peers.numpy_peer import reference
    from bench.problem import draw, require_agreement
    from bench.steps import QUICK

    for name in ("mlp-tiny", "mlp-tiny-loop"):
        row = QUICK[name]
        drawn = draw(row)
        for peer in ("ours", "numpy"):
            contestant = make(peer, row, drawn)
            contestant.run(5)
            require_agreement(peer, drawn, contestant.result(), reference(row, drawn, 5))


def test_a_wrong_step_is_not_timed() -> None:
    from bench.peers.numpy_peer import ByHand, reference
    from bench.problem import WrongResultError, draw, require_agreement
    from bench.steps import QUICK

    row = QUICK["mlp-784"]
    drawn = draw(row)
    wanted = reference(row, drawn, 1)

    def refused(change: Any) -> str:
        contestant = ByHand(row, drawn)
        contestant.run(1)
        change(contestant)
        with pytest.raises(WrongResultError, match="times can't be compared") as raised:
            require_agreement("them", drawn, contestant.result(), wanted)
        return str(raised.value)

    def nudge(array: Any, factor: float) -> None:
        array *= np.float32(factor)

    start = drawn.layers[0][0]
    assert "them: m of layers[1].bias" in refused(lambda c: nudge(c.m[1][1], 1.001))
    assert "v of layers[0].weight" in refused(lambda c: nudge(c.v[0][0], 1.001))
    assert "m of layers[0].weight" in refused(lambda c: nudge(c.m[0][0], np.nan))
    moved = refused(lambda c: c.layers[0][0].__isub__((c.layers[0][0] - start) * np.float32(0.01)))
    assert "parameters of layers[0].weight" in moved


def test_a_wrong_peer_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import rows
    from bench.__main__ import main
    from bench.problem import WrongResultError

    exact = rows.reference
    monkeypatch.setattr(rows, "reference", lambda row, drawn, count: exact(row, drawn, count + 1))
    with pytest.raises(WrongResultError, match="mlp-784, ours: "):
        main(["--quick", "--seconds", "0.01", "--peers", "numpy", "--rows", "mlp-784", "--out", str(tmp_path)])
    assert not (tmp_path / "mlp-784.json").exists()


def test_peers_that_are_not_there_are_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import peers, table

    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None if name in ("jax", "torch") else True)
    assert table.choose_peers(None, quick=True) == (
        ["ours", "numpy"],
        [f"{name}: {package} is not installed (pip install 'chainrule[bench]')"
         for name, package in (("torch", "torch"), ("torch fused", "torch"), ("jax", "jax"))],
    )  # fmt: skip
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    assert peers.absent("torch.compile") == "torch.compile: it needs a C++ compiler, and there is none"
    assert peers.absent("torch") is None


def test_a_peer_that_fails_is_left_out_and_ours_is_not() -> None:
    from bench.contest import PeerError, Process, started

    notes: list[str] = []
    with started(["numpy"], {}, notes, kind="step", row="mlp-784", quick=True, file="/nowhere.npz") as found:
        assert found == {}
    (note,) = notes
    assert note.startswith("numpy: FileNotFoundError: ")
    with pytest.raises(PeerError, match="ours: "), started(["ours"], {}, notes, kind="nothing"):
        pass
    with Process("numpy", {}, kind="overhead") as process:
        process.process.kill()
        process.process.wait()
        with pytest.raises(PeerError, match="numpy: its process ended: without a word"):
            process.ask("turn", seconds=0.01)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--rows", "speed"], "unknown row 'speed': choose from mlp-tiny"),
        (["--rows", "mnist"], "; mnist needs --data DIR"),
        (["--peers", "tensorflow"], "unknown peer 'tensorflow': choose from torch, "),
        (["speed"], "unknown suite 'speed': choose from table, engine"),
    ],
)
def test_names_that_are_not_known(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    with pytest.raises(SystemExit):
        main(arguments)
    assert text in " ".join(capsys.readouterr().err.split())


def test_goals_are_judged() -> None:
    from bench.outcome import Outcome

    row = Outcome("a", "A", 1e-3, {"torch": 4e-3, "jax": 1e-3}, {"torch": 4, "jax": 1.3, "absent": 2}, 200_000_000,
                  1000.0, share_goal=0.25, limit=1e-3)  # fmt: skip
    assert row.met() == {"× torch": True, "× jax": False, "share of peak": False, "limit": True}
    assert row.share == pytest.approx(0.2)
    nothing = Outcome("m", "M", 0, {"torch": 5.0}, {"torch": 1.0}, unit="bytes")
    assert nothing.met() == {"× torch": True}
    assert nothing.to_json() == {"workload": "M", "ours_bytes": 0, "peers": {"torch": 5.0}, "ratios": {"torch": None}}


def test_flops_are_those_of_the_products_needed() -> None:
    from bench.steps import ROWS

    # three products a layer (784·512, 512·512, 512·10), but the first layer's input needs no gradient
    assert ROWS["mlp-784-wide"].flops == 2 * 128 * (2 * 784 * 512 + 3 * (512 * 512 + 512 * 10))
    assert len(ROWS["mlp-deep"].sizes) == 51
    assert {name: row.goals["jax"] for name, row in ROWS.items()} == {
        "mlp-tiny": 3, "mlp-tiny-loop": 10, "mlp-64": 2.5, "mlp-784": 2.5, "mlp-784-wide": 1.8, "mlp-1024": 1.3,
        "mlp-deep": 6,
    }  # fmt: skip


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.outcome import Outcome
    from bench.table import draw

    row = Outcome("a", "A", 1e-3, {"torch": 4e-3, "jax": 1e-3}, {"torch": 4})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw([row], tmp_path / "a.png") is None
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert draw([row], tmp_path / "a.png") == tmp_path / "a.png"
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
