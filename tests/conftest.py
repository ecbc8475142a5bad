"""Fixtures shared by all folders of tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


def _shared_data(name: str) -> Path:
    root = Path(os.environ.get("CHAINRULE_DATA") or Path(__file__).parents[2] / "shared" / "data")
    path = root / name
    if not path.exists():
        pytest.skip(f"needs {name} in {root} (set CHAINRULE_DATA to the folder that holds it)")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("mnist")``: the path of a real data set, or a skip that says what is missing."""
    return _shared_data
