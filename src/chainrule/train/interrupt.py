"""Ctrl-C during training: finish the step, save, then stop.

A KeyboardInterrupt in the middle of a step would leave donated arrays half updated.  So while training runs the
handler only raises a flag, which the loop reads between steps; a second Ctrl-C interrupts at once, and what the last
checkpoint holds remains.  Only in the main thread, and only where Python's own handler was in place.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was interrupted; ``result`` is what ``fit`` would have returned, ``checkpoint`` where it was saved."""

    def __init__(self, message: str, result: Any, checkpoint: Any) -> None:
        super().__init__(message)
        self.result = result
        self.checkpoint = checkpoint


class InterruptFlag:
    """A context manager whose ``raised`` says whether Ctrl-C was pressed inside."""

    def __init__(self) -> None:
        self.raised = False
        self._installed = False

    def __enter__(self) -> InterruptFlag:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
