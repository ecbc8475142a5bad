"""The report as one HTML page: verdicts, gradients per layer, their history as lines and as a heat map, histograms.

Drawn as SVG with the charts and the style of the training report; no script, nothing fetched, all text escaped.

Does not do: pictures as files (see ``pictures``).
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.diagnose.findings import LayerRow, Verdict
from chainrule.diagnose.record import Record
from chainrule.train.report import charts
from chainrule.train.report.style import CSS

if TYPE_CHECKING:
    from chainrule.diagnose.report import Report

_MOST_LAYERS = 24
_MOST_COLUMNS = 120

_STYLE = """
.verdict { background:var(--panel); border:1px solid var(--rule); border-left:4px solid var(--wrong);
  border-radius:10px; padding:12px 16px; margin-top:10px; }
.verdict.fine { border-left-color:var(--c2); }
.verdict b { display:block; margin-bottom:2px; }
.verdict p { margin:2px 0; }
.verdict em { font-style:normal; color:var(--muted); display:inline-block; min-width:62px; }
.strip { display:grid; grid-template-columns:repeat(auto-fill,minmax(170px,1fr)); gap:10px; }
.heat { stroke:none; }
"""


def render(report: Report) -> str:
    """The page."""
    title = "Diagnosis: " + ("healthy" if report.healthy else ", ".join(dict.fromkeys(report.kinds)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{html.escape(title)}</title>'
        f"<style>{CSS}{_STYLE}</style></head>\n<body><main>\n{_body(report)}\n</main></body></html>\n"
    )


def fragment(report: Report) -> str:
    """The same for a cell of a notebook."""
    return f'<div class="chainrule-diagnosis"><style>{_STYLE}</style>{_body(report)}</div>'


def _body(report: Report) -> str:
    found = report.findings
    count = len(report.verdicts)
    state = "Healthy" if not count else f"{count} fault{'' if count == 1 else 's'}"
    summary = f"{len(found.rows)} layers, {found.measurement.rows:,} rows, loss {found.measurement.loss:.4g}"
    parts = [
        f'<header><h1>{state}</h1><p class="muted">{summary}</p></header>',
        *(_verdict(verdict) for verdict in report.verdicts),
    ]
    if not count:
        parts.append('<div class="verdict fine"><b>No fault was found.</b></div>')
    figures = [_levels(found.rows), *_over_time(report.history), *_reach(found.rows)]
    parts.append(f'<h2>Gradients</h2><section class="figures">{"".join(figures)}</section>')
    parts.append(f"<h2>Activations</h2>{_histograms(found.rows)}")
    parts.append(f'<h2>Layers</h2><div class="scroll">{_table(found.rows)}</div>')
    return "\n".join(parts)


def _verdict(verdict: Verdict) -> str:
    onset = "" if verdict.since is None else f" (since step {verdict.since:,})"
    cause = html.escape(verdict.cause[:1].upper() + verdict.cause[1:] + onset)
    return (
        f'<div class="verdict"><b>{cause}.</b><p><em>seen</em>{html.escape(verdict.evidence)}</p>'
        f"<p><em>remedy</em>{html.escape(verdict.remedy)}</p></div>"
    )


def _figure(title: str, note: str, body: str) -> str:
    return f'<figure><h3>{html.escape(title)}</h3><p class="muted">{html.escape(note)}</p>{body}</figure>'


def _levels(rows: Sequence[LayerRow]) -> str:
    """Gradient norms over depth, on a log scale."""
    x = [float(i) for i in range(1, len(rows) + 1)]
    lines = [
        charts.Series("at the pre-activation", x, [row.delta for row in rows]),
        charts.Series("of the weights", x, [row.gradient for row in rows]),
    ]
    chart = charts.line_chart(lines, title="Gradient norm by depth", x_label="layer", y_label="norm", log_y=True)
    names = ", ".join(f"{i} {row.name}" for i, row in enumerate(rows[:12], 1)) + (" …" if len(rows) > 12 else "")
    return _figure("Gradient norm by depth", f"Log scale; a line that falls to the left vanishes. {names}.", chart)


def _over_time(history: Sequence[Record]) -> list[str]:
    if len(history) < 2:
        return []
    steps = [float(record.step) for record in history]
    names = history[-1].layers[:_MOST_LAYERS]
    norms = [charts.Series(name, steps, [r.gradient[i] for r in history]) for i, name in enumerate(names)]
    ratios = [charts.Series(name, steps, [r.update[i] for r in history]) for i, name in enumerate(names)]
    loss = [charts.Series("loss", steps, [record.loss for record in history])]
    return [
        _figure("Gradient norm as a heat map", "Dark is large; log scale; layers from the data (bottom) to the loss.",
                heat_map(history)),
        _figure("Gradient norm", "Of each layer's parameters, log scale.",
                charts.line_chart(norms, title="Gradient norm", x_label="step", y_label="norm", log_y=True)),
        _figure("Update to weight", "‖update‖/‖weight‖ of a step; about 1e-3 is usual.",
                charts.line_chart(ratios, title="Update to weight", x_label="step", y_label="ratio", log_y=True)),
        _figure("Loss", "On the batch of each measured step.",
                charts.line_chart(loss, title="Loss", x_label="step", y_label="loss", log_y=True)),
    ]  # fmt: skip


def heat_map(history: Sequence[Record]) -> str:
    """Gradient norms, layers by steps, as an SVG of rectangles."""
    stride = -(-len(history) // _MOST_COLUMNS)
    columns = history[::stride]
    count = len(columns[-1].layers)
    logs = [[math.log10(v) if v > 0 and math.isfinite(v) else None for v in record.gradient] for record in columns]
    known = [v for column in logs for v in column if v is not None]
    if not known:
        return '<p class="muted">No values to draw.</p>'
    low, high = min(known), max(known)
    width, height = 560 / len(columns), min(24.0, 280 / max(count, 1))
    parts = []
    for c, (record, column) in enumerate(zip(columns, logs, strict=True)):
        for row, value in enumerate(column):
            share = 0.0 if value is None else (value - low) / max(high - low, 1e-9)
            parts.append(
                f'<rect class="heat" x="{72 + c * width:.1f}" y="{(count - 1 - row) * height:.1f}" '
                f'width="{width + 0.3:.1f}" height="{height + 0.3:.1f}" fill="var(--c0)" '
                f'opacity="{0.05 + 0.95 * share:.2f}"><title>step {record.step}, '
                f"{html.escape(record.layers[row])}: {record.gradient[row]:.3g}</title></rect>"
            )
    for row, name in enumerate(columns[-1].layers):
        if row % max(1, count // 12) == 0:
            y = (count - row - 0.5) * height + 4
            parts.append(f'<text class="tick" x="66" y="{y:.1f}" text-anchor="end">{html.escape(name[:11])}</text>')
    return f'<svg viewBox="0 0 640 {count * height + 4:.0f}" role="img" aria-label="heat map">{"".join(parts)}</svg>'


def _reach(rows: Sequence[LayerRow]) -> list[str]:
    lines = [
        charts.Series(row.name, [float(i) for i in range(1, len(row.reach) + 1)], list(row.reach))
        for row in rows if len(row.reach) > 1
    ]  # fmt: skip
    if not lines:
        return []
    chart = charts.line_chart(lines, title="Reach", x_label="time step", y_label="share", log_y=True)
    return [_figure("Gradient through time", "What arrives at each step of a gradient at the last one.", chart)]


def _histograms(rows: Sequence[LayerRow]) -> str:
    cells = []
    for row in rows[:_MOST_LAYERS]:
        counts, (low, high) = row.histogram
        if not counts:
            continue
        top = max(counts)
        bars = "".join(
            f'<rect class="bar" x="{i * 160 / len(counts):.1f}" y="{50 - 48 * n / top:.1f}" '
            f'width="{160 / len(counts) - 1:.1f}" height="{48 * n / top:.1f}"/>'
            for i, n in enumerate(counts)
        )
        cells.append(
            f'<figure><h3>{html.escape(row.name)}</h3><p class="muted">{html.escape(row.activation)}, '
            f'{low:.2g} … {high:.2g}</p>'
            f'<svg viewBox="0 0 160 52" role="img" aria-label="histogram">{bars}</svg></figure>'
        )
    return f'<section class="strip">{"".join(cells)}</section>' if cells else '<p class="muted">Nothing to draw.</p>'


def _table(rows: Sequence[LayerRow]) -> str:
    head = ("layer", "activation", "mean", "spread", "least", "largest", "zero", "flat", "off", "‖∂L/∂z‖", "‖∂L/∂W‖",
            "spread of ∂L/∂W", "‖step‖/‖W‖", "gain back", "singular values")  # fmt: skip
    body = []
    for row in rows:
        gain = row.gain
        cells = (
            html.escape(row.name), html.escape(row.activation), f"{row.mean:.3g}", f"{row.std:.3g}", f"{row.low:.3g}",
            f"{row.high:.3g}", f"{row.zero:.0%}", f"{row.saturated:.0%}", f"{row.dead:.0%}", f"{row.delta:.3g}",
            f"{row.gradient:.3g}", f"{row.spread:.2g}", f"{row.update:.2g}" if math.isfinite(row.update) else "",
            "" if gain is None else f"{gain.actual:.3g}",
            "" if gain is None else f"{gain.smallest:.2g} … {gain.largest:.3g}",
        )  # fmt: skip
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    top = "".join(f"<th>{cell}</th>" for cell in head)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"
