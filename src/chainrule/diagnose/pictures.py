"""Pictures of a diagnosis with matplotlib: gradients over depth and over time, activations, updates.

Does not do: pictures without matplotlib; the terminal has bars and the HTML page its own drawings.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.errors import OptionError, UnsupportedError
from chainrule.train.files import write_atomic

if TYPE_CHECKING:
    from chainrule.diagnose.report import Report

_FORMATS = (".png", ".svg", ".pdf")


def draw(report: Report, path: Path | None = None) -> Any:
    """A matplotlib Figure of four pictures, written to ``path`` (.png, .svg or .pdf) where that is given.

    Raises :class:`UnsupportedError` without matplotlib, :class:`OptionError` for another kind of file,
    :class:`TrainingError` where it can't be written.
    """
    if path is not None and path.suffix not in _FORMATS:
        raise OptionError(
            "a picture of this kind can't be written", expected=f"a name that ends in {', '.join(_FORMATS)}",
            got=path.name, where="Report.plot", fix="write report.plot('diagnosis.png')",
        )  # fmt: skip
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            "pictures need matplotlib", expected="matplotlib, which the extra chainrule[pictures] installs",
            got=str(error), where="Report.plot", fix="pip install 'chainrule[pictures]', or use report.to_html",
        ) from None  # fmt: skip
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    _depth(axes[0][0], report)
    _heat(axes[0][1], report)
    _activations(axes[1][0], report)
    _updates(axes[1][1], report)
    figure.suptitle(("healthy" if report.healthy else "; ".join(v.cause for v in report.verdicts[:2])), fontsize=11)
    if path is not None:
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:])
        write_atomic(path, content.getvalue())
    return figure


def _labels(axis: Any, report: Report) -> None:
    names = [row.name for row in report.layers]
    axis.set_xticks(range(len(names)), names, rotation=60 if len(names) > 4 else 0, fontsize=8)


def _positive(values: Any) -> Any:
    array = np.asarray(values, np.float64)
    return np.where((array > 0) & np.isfinite(array), array, np.nan)


def _depth(axis: Any, report: Report) -> None:
    axis.plot(_positive([row.delta for row in report.layers]), "o-", label="‖∂L/∂z‖")
    axis.plot(_positive([row.gradient for row in report.layers]), "s--", label="‖∂L/∂W‖")
    axis.set_yscale("log")
    axis.set_title("gradient by depth")
    axis.legend(fontsize=8)
    _labels(axis, report)


def _heat(axis: Any, report: Report) -> None:
    axis.set_title("gradient by layer and step (log₁₀)")
    if len(report.history) < 2:
        axis.text(0.5, 0.5, "one step was measured", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    table = np.log10(_positive([record.gradient for record in report.history])).T
    steps = [record.step for record in report.history]
    shown = axis.imshow(table, aspect="auto", origin="lower", extent=(steps[0], steps[-1], -0.5, len(table) - 0.5))
    axis.figure.colorbar(shown, ax=axis)
    axis.set_xlabel("step")
    axis.set_yticks(range(len(report.layers)), [row.name for row in report.layers], fontsize=8)


def _activations(axis: Any, report: Report) -> None:
    axis.set_title("activations: mean, spread, range")
    for i, row in enumerate(report.layers):
        axis.plot([i, i], [row.low, row.high], color="0.7", linewidth=1)
        axis.errorbar(i, row.mean, yerr=row.std, fmt="o", color="C0", capsize=3)
    _labels(axis, report)


def _updates(axis: Any, report: Report) -> None:
    axis.set_title("update to weight")
    if len(report.history) > 1:
        steps = [record.step for record in report.history]
        for i, row in enumerate(report.layers):
            axis.plot(steps, _positive([record.update[i] for record in report.history]), label=row.name)
        axis.set_xlabel("step")
        axis.legend(fontsize=7)
    else:
        axis.bar(range(len(report.layers)), np.nan_to_num(_positive([row.update for row in report.layers])))
        _labels(axis, report)
    if any(row.update > 0 and math.isfinite(row.update) for row in report.layers):
        axis.set_yscale("log")
