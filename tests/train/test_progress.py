"""The progress bar shows what it is told on a terminal and nothing elsewhere."""

from __future__ import annotations

import sys

import pytest
from runs import train

from chainrule.train import EpochRecord
from chainrule.train.progress import Progress, epoch_line

RECORD = EpochRecord(3, 30, 0.25, {"rmse": 53639.1}, 0.5, {"rmse": 61000.0}, 1e-3, {}, 1.0)


def test_a_line_for_an_epoch() -> None:
    expected = "epoch  3/20 · train loss 0.2500, rmse 53,639 · validation loss 0.5000, rmse 61,000"
    assert epoch_line(RECORD, 20) == expected


def test_nothing_is_drawn_when_the_output_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert not Progress(enabled=True, epochs=1, steps_per_epoch=1).active
    train(epochs=1, progress=True)
    assert capfd.readouterr() == ("", "")


class Terminal:
    """Standard error that says it is a terminal and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_terminal_sees_epochs_loss_metric_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "140")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    train(epochs=2, progress=True)
    for text in ("epoch 1/2", "epoch 2/2", "validation loss", "accuracy", "steps/s", "ETA"):
        assert text in terminal.text, text
    drawn = terminal.text
    train(epochs=1, progress=False)
    assert terminal.text == drawn


def test_without_rich_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert not Progress(enabled=True, epochs=1, steps_per_epoch=1).active
