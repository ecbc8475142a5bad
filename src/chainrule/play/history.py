"""The way back: kept states, from each of which the steps after it can be taken again, bit for bit.

A training is a function of its state and position, so a state every few milliseconds of work is enough: to go back to
a step, the last kept state before it is taken up and the steps from there are run again, by the code that ran them
(native or NumPy), under the settings and data of that time.  Kept states are bounded in bytes: older neighbours are
joined as long as running their steps again stays quick, then the oldest go; the initial one stays.

Does not do: going forward again; what comes after the step gone back to is forgotten.
"""

from __future__ import annotations

import dataclasses

from chainrule.play.context import Context
from chainrule.play.trainer import PROGRAMS, State, advance, advance_example, shape_of

_MOST_BYTES = 6_000_000
_MOST_ENTRIES = 600
_QUICK = 0.004  # seconds of steps behind one state, when it is new
_SLOW = 0.08  # and after joining


@dataclasses.dataclass
class _Entry:
    """A state, and how the steps behind it were made: their number, and the seconds that they took."""

    state: State
    context: Context
    native: bool
    steps: int = 0
    seconds: float = 0.0
    sealed: bool = False  # what follows did not come from here by steps


class History:
    """The states kept of one run."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._bytes = 0

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def note(self, before: State, context: Context, native: bool, steps: int, seconds: float) -> None:
        """``steps`` rows more were taken from ``before``."""
        last = self._entries[-1] if self._entries else None
        goes_on = (
            last is not None and last.context is context and last.native == native and not last.sealed
            and last.seconds + seconds < _QUICK and last.state.step + last.steps == before.step
        )  # fmt: skip
        if last is None or not goes_on:
            last = self._keep(_Entry(before, context, native))
        last.steps += steps
        last.seconds += seconds
        if self._bytes > _MOST_BYTES or len(self._entries) > _MOST_ENTRIES:
            self._thin()

    def note_example(self, before: State, context: Context, native: bool) -> None:
        """One example was taken from ``before``, which summed its gradient: not the same bits as a row at once."""
        self._keep(_Entry(before, context, native, sealed=True))
        if self._bytes > _MOST_BYTES or len(self._entries) > _MOST_ENTRIES:
            self._thin()

    def _keep(self, entry: _Entry) -> _Entry:
        self._entries.append(entry)
        self._bytes += entry.state.bytes
        return entry

    def seal(self) -> None:
        """The state is changed by hand now: steps to come do not follow from those taken."""
        if self._entries:
            self._entries[-1].sealed = True

    def earliest(self) -> int | None:
        """The first step that can be gone back to."""
        return self._entries[0].state.step if self._entries else None

    def at(self, step: int, example: int) -> State | None:
        """The state at that position, behind which everything is forgotten; None where it is no longer kept."""
        index = len(self._entries) - 1
        while index >= 0 and self._entries[index].state.position > (step, example):
            index -= 1
        entry = self._entries[index] if index >= 0 else None
        if entry is None:
            return None
        reached = entry.steps and step <= entry.state.step + entry.steps
        if not reached and entry.state.position != (step, example):
            return None  # what led there was forgotten
        state = entry.state
        program = PROGRAMS.take(shape_of(entry.context))
        try:
            if entry.native and not program.native:
                program.compile()
            while state.step < step:
                count = min(program.shape.rows, step - state.step)
                state = advance(program, entry.context, state, count, entry.native)
            while state.example < example:
                state = advance_example(program, entry.context, state, entry.native)
        finally:
            PROGRAMS.leave(program)
        share = (step - entry.state.step) / max(entry.steps, 1)
        entry.steps, entry.seconds, entry.sealed = step - entry.state.step, entry.seconds * min(share, 1.0), False
        for later in self._entries[index + 1 :]:
            self._bytes -= later.state.bytes
        del self._entries[index + 1 :]
        return state

    def _thin(self) -> None:
        """Join neighbours in the older half; where that is not enough, drop the oldest but the first."""
        entries, half = self._entries, len(self._entries) // 2
        kept = entries[:1]
        for entry in entries[1:half]:
            last = kept[-1]
            joins = (
                last.context is entry.context and last.native == entry.native and not last.sealed
                and last.seconds + entry.seconds < _SLOW and last.state.step + last.steps == entry.state.step
            )  # fmt: skip
            if joins:
                last.steps, last.seconds = last.steps + entry.steps, last.seconds + entry.seconds
                last.sealed = entry.sealed
            else:
                kept.append(entry)
        entries[:half] = kept
        self._bytes = sum(entry.state.bytes for entry in entries)
        while len(entries) > 2 and (self._bytes > 0.8 * _MOST_BYTES or len(entries) > 0.9 * _MOST_ENTRIES):
            self._bytes -= entries.pop(1).state.bytes
            if len(entries) > 1:
                entries[0].sealed = True
