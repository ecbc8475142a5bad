"""The progress bar of a terminal: epoch, loss, metric, steps a second, time to go.

Drawn by rich, a few times a second, whatever the speed of the steps.  Silent when the output is no terminal, when it
is told to be quiet, or when rich is not installed.  Does not do: logs to files (see the run folder's metrics.csv).
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from chainrule.train.history import EpochRecord

_REDRAW_SECONDS = 0.1


class Progress:
    """A context manager; :meth:`step` after each step and :meth:`epoch` after each epoch."""

    def __init__(self, *, enabled: bool, epochs: int, steps_per_epoch: int, done: int = 0) -> None:
        self._epochs = epochs
        self._per_epoch = steps_per_epoch
        self._first = done
        self._bar: Any = None
        self._task: Any = None
        self._next = 0.0
        self._started = 0.0
        self._last = ""
        if enabled and sys.stderr.isatty():
            self._bar = _bar()

    @property
    def active(self) -> bool:
        """Whether anything is drawn."""
        return self._bar is not None

    def __enter__(self) -> Progress:
        self._started = time.perf_counter()
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                f"epoch 1/{self._epochs}", total=self._epochs * self._per_epoch, completed=self._first, detail=""
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int, loss: float) -> None:
        """``done`` steps since the start of training, the loss of the last one."""
        if self._bar is None:
            return
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + _REDRAW_SECONDS
        speed = (done - self._first) / max(now - self._started, 1e-9)
        epoch = min((done - 1) // self._per_epoch + 1, self._epochs)
        self._bar.update(
            self._task,
            completed=done,
            description=f"epoch {epoch}/{self._epochs}",
            detail=f"loss {loss:.4f}{self._last} · {speed:,.0f} steps/s",
        )

    def epoch(self, record: EpochRecord) -> None:
        """The end of an epoch: its line stays above the bar."""
        if self._bar is None:
            return
        metrics = record.validation_metrics or record.train_metrics
        self._last = "".join(f" · {name} {_short(value)}" for name, value in metrics.items())
        self._bar.console.print(epoch_line(record, self._epochs), highlight=False)
        self._bar.update(self._task, completed=record.step)


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """One line of text for one epoch."""
    parts = [f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}"]
    for part, loss, metrics in (
        ("train", record.train_loss, record.train_metrics),
        ("validation", record.validation_loss, record.validation_metrics),
    ):
        if loss is not None:
            values = [f"{part} loss {loss:.4f}", *(f"{name} {_short(value)}" for name, value in metrics.items())]
            parts.append(", ".join(values))
    return " · ".join(parts)


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"


def _bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return None
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[detail]}"),
        TextColumn("· ETA"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=10,
    )
