"""Fair shares of a few threads: each playing page is trained for a short slice at a time, in turn.

Round robin (the oldest scheduling rule there is) over tasks that have something to do.  A task stands in the queue at
most once; it is never run by two threads at a time; a task that was woken while it ran goes round again.  A task that a
person waits for is put in front of the others, but not twice between two turns of the ordinary kind.
Does not do: priorities by weight, deadlines, or interrupting a slice: a turn is trusted to end about when it should.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Protocol

SLICE = 0.010  # seconds of training per turn: short beside what a person notices, long beside what changing over costs
SHORTEST = 0.002
ROUND = 0.100  # seconds in which everybody should have had a turn, as long as that leaves the shortest slice
_MOST_WORKERS = 4

_log = logging.getLogger("chainrule.play")


class Task(Protocol):
    """What is scheduled; compared by identity."""

    def turn(self, seconds: float) -> bool:
        """Work for about so long; True if there is more to do."""


class Scheduler:
    """Worker threads over one queue.  One core is left for the server and the browser."""

    def __init__(self, workers: int | None = None, slice_seconds: float = SLICE) -> None:
        self.slice_seconds = slice_seconds
        self._condition = threading.Condition()
        self._queue: deque[Task] = deque()
        self._queued: set[int] = set()
        self._running: set[int] = set()
        self._again: set[int] = set()
        self._dropped: set[int] = set()  # while they run
        self._favoured: set[int] = set()  # had an urgent turn since their last ordinary one
        self._closed = False
        count = workers or max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) - 1))
        self._threads = [
            threading.Thread(target=self._work, name=f"chainrule-play-{i}", daemon=True) for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self, task: Task, *, urgent: bool = False) -> None:
        """``task`` has something to do.  ``urgent``: somebody waits for what its next turn brings."""
        with self._condition:
            key = id(task)
            if self._closed:
                return
            if key in self._running:
                self._dropped.discard(key)
                self._again.add(key)
                return
            urgent = urgent and key not in self._favoured
            if key in self._queued:
                if not urgent:
                    return
                self._queue.remove(task)
            if urgent:
                self._favoured.add(key)
            self._enter(task, front=urgent)

    def drop(self, task: Task) -> None:
        """Out of the queue; a turn that runs at this moment is its last."""
        with self._condition:
            key = id(task)
            self._again.discard(key)
            self._favoured.discard(key)
            if key in self._running:
                self._dropped.add(key)
            elif key in self._queued:
                self._queued.discard(key)
                self._queue.remove(task)

    def waiting(self) -> int:
        """How many tasks stand in the queue or run."""
        with self._condition:
            return len(self._queue) + len(self._running)

    def close(self, seconds: float = 2.0) -> None:
        """No more turns; waits for those that run, at most so long."""
        with self._condition:
            self._closed = True
            self._queue.clear()
            self._queued.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join(seconds)

    def _enter(self, task: Task, *, front: bool = False) -> None:
        self._queued.add(id(task))
        (self._queue.appendleft if front else self._queue.append)(task)
        self._condition.notify()

    def _next(self) -> Task | None:
        """The task whose turn it is, marked as running; None when closed."""
        with self._condition:
            while not self._queue and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            task = self._queue.popleft()
            key = id(task)
            self._queued.discard(key)
            self._running.add(key)
            return task

    def _done(self, task: Task, more: bool, favoured: bool) -> None:
        with self._condition:
            key = id(task)
            self._running.discard(key)
            if not favoured:
                self._favoured.discard(key)
            again = key in self._again
            self._again.discard(key)
            if key in self._dropped:
                self._dropped.discard(key)
                self._favoured.discard(key)
            elif (more or again) and not self._closed:
                self._enter(task)

    def _slice(self) -> float:
        others = len(self._queue) / len(self._threads)
        return min(self.slice_seconds, max(SHORTEST, ROUND / (1 + others)))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            favoured = id(task) in self._favoured
            more = False
            try:
                more = task.turn(self._slice())
            except Exception:  # a thread that ends would take its share of all pages with it
                _log.exception("a turn failed")
            self._done(task, more, favoured)
            del task
