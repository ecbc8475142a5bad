"""Fifty pages at once on the machine's cores: controls answer, memory is bounded, a closed page's training stops."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Any:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc (Linux), for memory and CPU time of the server")
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.play_load import measure

    return measure


def test_a_few_pages(measure: Any) -> None:
    found = measure(pages=3, seconds=2.0)
    assert found["errors"] == 0
    assert found["answers"] >= 3
    assert found["steps_per_second"] > 0
    assert found["frames_per_second_and_page"] > 0
    assert found["cores_after_closing"] < found["cores"] / 2


@pytest.mark.slow
def test_fifty_pages(measure: Any) -> None:
    found = measure(pages=50, seconds=20.0)
    assert found["errors"] == 0
    assert found["p95_s"] < 0.3, found
    assert found["memory_mb"]["late"] < found["memory_mb"]["first"] + 50 * 12, found
    assert found["memory_mb"]["late"] < found["memory_mb"]["early"] + 50 * 8, found
    assert found["cores_after_closing"] < 0.1, found
    assert found["steps_per_second"] > 20_000, found
    assert sys.platform == "linux"
