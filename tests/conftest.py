"""Fixtures shared by all folders of tests."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update-golden``: write the files that tests compare with, instead of failing."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


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


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """``with full_disk(n):`` the disk is full after ``n`` more files have been flushed to it."""

    @contextlib.contextmanager
    def after(writes: int) -> Iterator[None]:
        real, left = os.fsync, iter(range(writes))

        def fsync(handle: int) -> None:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            yield

    return after


@pytest.fixture
def unchecked_graphs() -> None:
    """Asked for by tests that measure time, or build wrong graphs on purpose: the graph checker stays off."""


@pytest.fixture(autouse=True)
def checked_graphs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every graph that a trace or a transform builds in a test is checked, and what the compiler makes of it."""
    if "unchecked_graphs" in request.fixturenames:
        yield
        return
    from chainrule.graph.check import checking

    with checking(), _checked_programs():
        yield


def _checked_programs() -> contextlib.AbstractContextManager[None]:
    """The compiler's checks, where there is a compiler."""
    if importlib.util.find_spec("llvmlite") is None:
        return contextlib.nullcontext()
    from chainrule.compile.check import checking

    return checking()
