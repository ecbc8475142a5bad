"""The verdict on a running network in a sentence, with its cause, evidence and remedies.

A diagnosis (``faults``) runs on a thread of its own, one at a time for all players, on the state as it was when it was
asked for; training goes on meanwhile, and an event says what was found.
Does not do: judging (``faults``) and choosing remedies (``remedies``).
"""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from chainrule.base.errors import ChainruleError, OptionError
from chainrule.play.context import Context
from chainrule.play.course import Broken, Course, Losses
from chainrule.play.faults import Curve, Fault, examined, not_finite_fault, sentence_of, unknown_fault
from chainrule.play.remedies import Remedy
from chainrule.play.settings import short
from chainrule.play.trainer import State

_REST = 1.0  # seconds between diagnoses of one player


@functools.cache
def _worker() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="chainrule-play-verdict")


class Doctor:
    """The diagnoses of one player.  ``tell`` gets the events; it is called on the worker's thread."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._version = 0
        self._answer: dict[str, Any] | None = None
        self._remedies: dict[str, Remedy] = {}
        self._pending = False
        self._of: State | None = None
        self._ended = 0.0

    def clear(self) -> None:
        """What was found is no longer so."""
        with self._lock:
            self._version += 1
            self._answer = self._of = None
            self._remedies = {}
            self._pending, self._ended = False, 0.0

    def verdict(self, course: Course, not_finite: dict[str, Any] | None) -> dict[str, Any]:
        """What is known now; a diagnosis is asked for where that is old."""
        if not_finite is not None:
            return {"pending": "sentence" not in not_finite, "not_finite": True, "healthy": False, "verdicts": [],
                    "sentence": "Training has stopped: a step was not finite.", **not_finite}  # fmt: skip
        with self._lock:
            state, context = course.state, course.context
            if self._answer is not None and self._of is state:
                return {**self._answer, "pending": False}
            if not context.count:
                return {"step": state.step, "healthy": None, "sentence": "There are no points to train on.",
                        "verdicts": [], "pending": False}  # fmt: skip
            if not self._pending and time.monotonic() - self._ended >= _REST:
                self._pending = True
                curve = list(course.curve[-200:])
                task = functools.partial(self._examine, self._version, context, state, course.losses(), curve)
                _worker().submit(task)
            looking: dict[str, Any] = {"healthy": None, "sentence": "Looking at the network …", "verdicts": []}
            return {"step": state.step, **(self._answer or looking), "pending": self._pending}

    def remedy(self, name: str) -> tuple[dict[str, Any], bool]:
        """The settings of a remedy and whether it rewinds.  Raises OptionError for one that was not offered."""
        with self._lock:
            found = self._remedies.get(name)
        if found is None:
            raise OptionError("there is no such remedy now", expected=", ".join(self._remedies) or "none was offered",
                              got=short(name), where="apply", fix="ask for the verdict again")  # fmt: skip
        return found.settings, found.rewinds

    def look_for_nonfinite(self, broken: Broken) -> None:
        """Find the operation, in the background; event ``not_finite`` follows."""
        with self._lock:
            version = self._version
        _worker().submit(self._search, version, broken)

    # ------------------------------------------------------------------------------------------------- on the worker

    def _examine(
        self, version: int, context: Context, state: State, losses: Losses, curve: Curve
    ) -> None:
        try:
            faults = examined(context, state, losses, curve)
            sentence = sentence_of(faults, context, state, losses, curve)
        except ChainruleError as error:
            faults, sentence = (), f"This network can't be diagnosed: {error.problem}."
        except Exception as error:  # a diagnosis must not end the worker
            faults, sentence = (), f"This network can't be diagnosed ({type(error).__name__})."
        self._publish(version, state, {"event": "verdict"}, faults, sentence, state.step)

    def _search(self, version: int, broken: Broken) -> None:
        try:
            fault, extra = not_finite_fault(broken)
        except Exception as error:  # the search must not end the worker
            fault, extra = unknown_fault(broken, type(error).__name__), {}
        head = {"event": "not_finite", "not_finite": True, **extra}
        self._publish(version, broken.state, head, (fault,), f"{fault.title}: {fault.cause}.", broken.step)

    def _publish(
        self, version: int, state: State, head: dict[str, Any], faults: tuple[Fault, ...], sentence: str, step: int
    ) -> None:
        with self._lock:
            if version != self._version:
                return
            self._remedies = {}
            answer = {
                "step": step, "healthy": not faults, "sentence": sentence, "pending": False,
                "verdicts": [self._as_json(fault) for fault in faults],
            }  # fmt: skip
            if head["event"] == "verdict":
                self._answer, self._of, self._pending, self._ended = answer, state, False, time.monotonic()
        self._tell({**head, **answer})

    def _as_json(self, fault: Fault) -> dict[str, Any]:
        listed = []
        for number, remedy in enumerate(fault.remedies):
            name = f"{fault.kind}-{number}"
            self._remedies[name] = remedy
            listed.append({"id": name, "label": remedy.label, "settings": remedy.settings, "rewinds": remedy.rewinds})
        return {"kind": fault.kind, "title": fault.title, "cause": fault.cause, "evidence": fault.evidence,
                "remedy": fault.remedy, "layers": list(fault.layers), "remedies": listed}  # fmt: skip
