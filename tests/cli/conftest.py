"""Runs the command in this process, in an empty folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule.cli.main import app


@dataclasses.dataclass(frozen=True)
class Ran:
    """Exit code and what was printed where."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of stdout, as JSON."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


Command = Callable[..., Ran]


@pytest.fixture
def chainrule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``chainrule("train", "--epochs", 2)`` in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = 0
        try:
            app([str(word) for word in words], prog_name="chainrule")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run
