"""Work beside the training: a queue whose jobs run in order on one other thread, on copies of the arrays.

A job's result depends on its arrays alone, so it is the same on either thread and whenever it runs.  How far the jobs
may fall behind is a matter of memory: copies of some tens of megabytes wait, and then the training does.

Does not do: several workers; jobs that run Python for long, for which the training would have to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

_BYTES = 64_000_000  # of copies that wait
_MOST = 256  # jobs that wait

Arrays = list[Any]


def has_idle_core() -> bool:
    """Whether native code was given more than one thread; another one for us is then in order, too."""
    from chainrule.run.pool import shared

    return shared().threads > 1


class Queue:
    """Calls of ``job(number, arrays)``, in order; with ``beside`` on another thread, else at once."""

    def __init__(self, job: Callable[[int, Sequence[Any]], None], beside: bool) -> None:
        self.job = job
        self._worker = ThreadPoolExecutor(1, "chainrule-diagnose") if beside else None
        self._waiting: deque[tuple[Future[None], Arrays]] = deque()
        self._free: list[Arrays] = []
        self._most = 1

    def put(self, number: int, lent: Sequence[Any], given: Sequence[Any]) -> Arrays:
        """Call the job on copies of ``lent``, whose memory is the caller's, and on ``given``.

        Returns these arrays; they stay as they are until the next call.  Raises what an earlier job has raised.
        """
        if self._worker is None:
            arrays = self._copied(lent, given)
            self._free = [arrays]
            self.job(number, arrays)
            return arrays
        while self._waiting and (len(self._waiting) >= self._most or self._waiting[0][0].done()):
            self._next()
        arrays = self._copied(lent, given)
        self._waiting.append((self._worker.submit(self.job, number, arrays), arrays))
        return arrays

    def _copied(self, lent: Sequence[Any], given: Sequence[Any]) -> Arrays:
        if self._free:  # memory that is there: new memory costs more than the copying
            arrays = self._free.pop()
            for kept, array in zip(arrays, lent, strict=False):
                np.copyto(kept, array)
            arrays[len(lent) :] = given
            return arrays
        copies = [np.array(array) for array in lent]
        self._most = min(max(_BYTES // max(sum(c.nbytes for c in copies), 1), 1), _MOST)
        return [*copies, *given]

    def _next(self) -> None:
        done, arrays = self._waiting.popleft()
        done.result()
        self._free.append(arrays)

    def wait(self) -> None:
        """Until all jobs are done.  Raises what one has raised."""
        while self._waiting:
            self._next()
