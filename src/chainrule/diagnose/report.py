"""The report of a diagnosis: verdicts, a table of layers, and the ways to show them.

Does not do: judging (see ``verdicts``).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.diagnose.findings import Findings, LayerRow, Verdict
from chainrule.diagnose.page import fragment, render
from chainrule.diagnose.structure import Network
from chainrule.diagnose.text import render as render_text
from chainrule.optim import Optimizer
from chainrule.train.files import write_atomic
from chainrule.transforms.arguments import Call

if TYPE_CHECKING:
    from chainrule.diagnose.fix import Trial
    from chainrule.diagnose.record import Record


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What was diagnosed, so that a remedy can be tried on it."""

    model: Any
    loss: Callable[..., Any]
    batch: tuple[Any, ...]
    optimizer: Optimizer | None
    network: Network
    call: Call


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What a diagnosis found.  ``print`` shows it; a notebook shows :meth:`to_html`.

    ``verdicts``: the faults, the most important first; none means healthy.  ``findings``: the numbers.
    ``history``: one record per measured step, where training was watched.
    """

    findings: Findings
    verdicts: tuple[Verdict, ...]
    history: tuple[Record, ...] = ()
    subject: Subject | None = None

    @property
    def healthy(self) -> bool:
        """Whether no fault was found."""
        return not self.verdicts

    @property
    def layers(self) -> tuple[LayerRow, ...]:
        """One row of numbers per layer, from the data to the loss."""
        return self.findings.rows

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the verdicts, such as ``"vanishing"``."""
        return tuple(verdict.kind for verdict in self.verdicts)

    def __str__(self) -> str:
        return render_text(self)

    def __repr__(self) -> str:
        return f"<Report: {', '.join(self.kinds) or 'healthy'}; {len(self.layers)} layers>"

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one page that needs nothing else, also written to ``path`` where that is given.

        Raises :class:`TrainingError` where the file can't be written.
        """
        content = render(self)
        if path is not None:
            write_atomic(Path(path), content)
        return content

    def fix(
        self, number: int = 0, *, steps: int = 60, seed: int = 0, data: tuple[Any, Any] | None = None
    ) -> Trial | None:
        """Try the remedy of verdict ``number``: see :func:`chainrule.diagnose.fix.try_remedy`."""
        from chainrule.diagnose.fix import try_remedy

        return try_remedy(self, number, steps=steps, seed=seed, data=data)

    def to_tensorboard(self, folder: str | os.PathLike[str]) -> Path:
        """Write the numbers as a TensorBoard event file into ``folder``; see :mod:`chainrule.diagnose.events`."""
        from chainrule.diagnose.events import write_events

        return write_events(self, Path(folder))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Pictures with matplotlib, also saved to ``path``; see :mod:`chainrule.diagnose.pictures`."""
        from chainrule.diagnose.pictures import draw

        return draw(self, None if path is None else Path(path))

    def _repr_html_(self) -> str:
        return fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able content: ``verdicts``, ``layers``, ``batch``, ``history``."""
        found = self.findings
        return {
            "healthy": self.healthy,
            "verdicts": [_plain(dataclasses.asdict(verdict)) for verdict in self.verdicts],
            "layers": [_plain(dataclasses.asdict(row)) for row in self.layers],
            "levels": [_plain(dataclasses.asdict(level)) for level in found.levels],
            "batch": {
                "rows": found.measurement.rows, "loss": _plain(found.measurement.loss),
                "gradient_norm": _plain(found.measurement.gradient), "noise_scale": _plain(found.noise),
                "inputs": None if found.inputs is None else _plain(dataclasses.asdict(found.inputs)),
            },
            "other_parameters": _plain(dict(found.others)),
            "history": [_plain(dataclasses.asdict(record)) for record in self.history],
        }  # fmt: skip

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """:meth:`to_dict` as JSON text (what is not finite is null), also written to ``path`` where that is given."""
        content = json.dumps(self.to_dict(), indent=1)
        if path is not None:
            write_atomic(Path(path), content)
        return content


def _plain(value: Any) -> Any:
    """``value`` with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def onset(verdicts: Sequence[Verdict], seen: Sequence[tuple[int, Sequence[str]]]) -> tuple[Verdict, ...]:
    """``verdicts`` with the first step from which on each was there at every measurement.

    ``seen``: (step, kinds found there), in order.
    """
    out = []
    for verdict in verdicts:
        since = None
        for step, kinds in reversed(seen):
            if verdict.kind not in kinds:
                break
            since = step
        out.append(dataclasses.replace(verdict, since=since))
    return tuple(out)
