"""The report as plain text for a terminal: verdicts first, then a line per layer with a bar for its gradient.

Does not do: colours; the text is the same in a file.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.diagnose.findings import Findings, LayerRow, Verdict

if TYPE_CHECKING:
    from chainrule.diagnose.report import Report

_WIDTH = 110
_BAR = 20
_BLOCKS = " ▏▎▍▌▋▊▉█"
_MOST_LAYERS = 60


def render(report: Report) -> str:
    """The whole report."""
    found = report.findings
    parts = [_headline(report), *_verdicts(report.verdicts), "", *_table(found.rows), *_time(found), *_batch(found)]
    return "\n".join(parts)


def _headline(report: Report) -> str:
    found = report.findings
    count = len(report.verdicts)
    state = "healthy" if not count else "1 fault" if count == 1 else f"{count} faults"
    layers = len(found.rows)
    return (
        f"{state}: {layers} layer{'' if layers == 1 else 's'}, {found.measurement.rows:,} rows, "
        f"loss {found.measurement.loss:.4g}"
    )


def _verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    lines = []
    for number, verdict in enumerate(verdicts, 1):
        onset = "" if verdict.since is None else f" (since step {verdict.since:,})"
        cause = verdict.cause[:1].upper() + verdict.cause[1:] + onset + "."
        lines += ["", *_wrapped(f"{number}. ", cause)]
        lines += _wrapped("   seen:   ", verdict.evidence)
        lines += _wrapped("   remedy: ", verdict.remedy)
    return lines


def _wrapped(first: str, content: str) -> list[str]:
    return textwrap.wrap(
        content, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def bar(share: float, width: int = _BAR) -> str:
    """A bar of ``width`` characters, filled to ``share`` of it."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8) if math.isfinite(share) else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BLOCKS[rest] if rest else "")).ljust(width)


def _log_shares(values: Sequence[float]) -> list[float]:
    """Where values lie between a power of ten below the least and the largest; 0 for zeros."""
    positive = [v for v in values if v > 0 and math.isfinite(v)]
    if not positive:
        return [0.0] * len(values)
    low, high = math.floor(math.log10(min(positive)) - 0.01), math.log10(max(positive))
    return [(math.log10(v) - low) / max(high - low, 1e-9) if v > 0 and math.isfinite(v) else 0.0 for v in values]


def _table(rows: Sequence[LayerRow]) -> list[str]:
    shown = list(rows) if len(rows) <= _MOST_LAYERS else [*rows[: _MOST_LAYERS // 2], *rows[-_MOST_LAYERS // 2 :]]
    shares = _log_shares([row.delta for row in shown])
    head = ("layer", "activation", "mean ± spread", "flat", "off", "‖∂L/∂z‖, log scale", "", "‖∂L/∂W‖",
            "step/W", "back")  # fmt: skip
    table = [head]
    for row, share in zip(shown, shares, strict=True):
        table.append(
            (
                row.name, row.activation, f"{row.mean:.2g} ± {row.std:.2g}",
                f"{row.saturated:.0%}" if row.saturates or row.rectifies else "", f"{row.dead:.0%}" if row.rectifies
                else "", bar(share), f"{row.delta:.2g}", f"{row.gradient:.2g}",
                f"{row.update:.1g}" if math.isfinite(row.update) else "",
                f"×{row.gain.actual:.2g}" if row.gain is not None else "",
            )
        )  # fmt: skip
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    if len(rows) > len(shown):
        lines.insert(1 + len(shown) // 2, f"… {len(rows) - len(shown)} layers …")
    return lines


def _time(found: Findings) -> list[str]:
    """How much of a gradient at the last time step reaches each earlier one."""
    lines = []
    for row in found.rows:
        if row.reach:
            stride = max(1, len(row.reach) // 12)
            picked = list(range(0, len(row.reach), stride))
            shares = _log_shares([row.reach[i] for i in picked])
            lines += ["", f"{row.name}: gradient of the last time step that reaches step"]
            lines += [f"{i + 1:>6}  {bar(s)}  {row.reach[i]:.2g}" for i, s in zip(picked, shares, strict=True)]
    return lines


def _batch(found: Findings) -> list[str]:
    facts = []
    if found.inputs is not None:
        inputs = found.inputs
        dead = f", {inputs.dead} of {inputs.columns} columns constant" if inputs.dead else ""
        facts.append(f"inputs: root mean square {inputs.rms:.3g}{dead}")
    if math.isfinite(found.noise):
        facts.append(f"gradient noise scale: {found.noise:,.3g} rows")
    if found.step_size is not None:
        step = found.step_size
        best = f"; lowest loss along it at {step.best:.2g} of it" if math.isfinite(step.best) else ""
        facts.append(
            f"step: loss {found.measurement.loss:.4g} → {found.measurement.after:.4g}, up to {step.update:.1g} of a "
            f"weight{best}"
        )
    if found.others:
        name, size = max(found.others.items(), key=lambda item: item[1])
        facts.append(f"parameters of no layer: {len(found.others)}, largest gradient {size:.2g} ({name})")
    return ["", *facts] if facts else []
