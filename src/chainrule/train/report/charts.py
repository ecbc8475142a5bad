"""Charts as SVG text: lines, scatter, histogram, confusion matrix.  Colours come from the page's CSS variables.

Ticks at 1, 2, 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990).
No script, no font files.
Does not do: panning, more than eight distinct colours.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 14, 44
COLOURS = 8


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart; values that are not finite (or not positive, on a log axis) leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers from at or below ``low`` to at or above ``high``."""
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from at or below ``low`` to at or above ``high``, with 2 and 5 between when they are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    if last - first <= 2:
        ticks = [unit * 10.0**power for power in range(first, last) for unit in (1, 2, 5)] + [10.0**last]
        below = [tick for tick in ticks if tick <= low]
        above = [tick for tick in ticks if tick >= high]
        inside = [tick for tick in ticks if below[-1] <= tick <= above[0]] if below and above else []
        return inside if len(inside) > 1 else ticks
    stride = -(-(last - first) // 6)
    return [10.0**power for power in range(first, last + stride, stride)]


def number(value: float) -> str:
    """A short text for a value: three digits, thousands as k, millions as M, powers of ten beyond."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "nan" if math.isnan(value) else "∞"
    size = abs(value)
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit * (10 if unit == 1e3 else 1) <= size < unit * 1000:
            return f"{_plain(value / unit, 3)}{suffix}"
    if size >= 1e12 or size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{'' if mantissa == '1' else mantissa + '·'}10{_superscript(int(exponent))}"
    return f"{value:,.0f}" if size >= 1000 else _plain(value, 3)


def _plain(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Labels of evenly spaced ticks: as short as :func:`number`, but with the digits that tell neighbours apart."""
    short = [number(tick) for tick in ticks]
    if len(set(short)) == len(short):
        return short
    step = ticks[1] - ticks[0]
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    return [f"{tick:,.{digits}f}" for tick in ticks] if digits <= 9 else [f"{tick:.12g}" for tick in ticks]


def _superscript(value: int) -> str:
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


class _Frame:
    """The plot area: maps data to pixels and draws axes and grid."""

    def __init__(
        self, x_ticks: list[float], y_ticks: list[float], *, log_y: bool = False, height: int = HEIGHT
    ) -> None:
        self.x_ticks, self.y_ticks, self.log_y, self.height = x_ticks, y_ticks, log_y, height

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        if self.log_y:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.height - _BOTTOM - (value - low) / (high - low) * (self.height - _TOP - _BOTTOM)

    def draw(self, x_label: str, y_label: str) -> list[str]:
        bottom, right = self.height - _BOTTOM, WIDTH - _RIGHT
        parts = []
        for tick, text in zip(self.y_ticks, tick_texts(self.y_ticks), strict=True):
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for tick, text in zip(self.x_ticks, tick_texts(self.x_ticks), strict=True):
            x = self.x(tick)
            parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>')
            anchor = "end" if x > right - 12 and len(text) > 2 else "middle"
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="{anchor}">{text}</text>')
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text class="label" x="{(_LEFT + right) / 2}" y="{self.height - 6}" '
            f'text-anchor="middle">{html.escape(x_label)}</text>'
        )
        parts.append(
            f'<text class="label" x="14" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 14 {middle})">{html.escape(y_label)}</text>'
        )
        return parts

    def svg(self, parts: Sequence[str], title: str) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{html.escape(title, quote=True)}">'
            + "".join(parts)
            + "</svg>"
        )


def legend(names: Sequence[str]) -> str:
    """The names of the lines of a chart, each with its colour, as HTML; nothing for a single line."""
    if len(names) < 2:
        return ""
    chips = "".join(
        f'<span><i class="chip c{index % COLOURS}{_dash(index)}"></i>{html.escape(name)}</span>'
        for index, name in enumerate(names)
    )
    return f'<p class="legend">{chips}</p>'


def _dash(index: int) -> str:
    return " dashed" if index >= COLOURS else ""


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "epoch",
    y_label: str = "",
    log_y: bool = False,
    from_zero: bool = False,
) -> str:
    """Lines over a common x axis, with a legend; a point shows its value when pointed at.

    ``from_zero`` makes the y axis begin at 0.
    """

    def usable(value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not log_y)

    values = [y for line in series for y in line.y if usable(y)]
    if not values:
        return '<p class="muted">No values to draw.</p>'
    xs = [x for line in series for x in line.x]
    low, high = 0.0 if from_zero else min(values), max(values)
    y_ticks = log_ticks(low, high) if log_y else nice_ticks(low, high)
    frame = _Frame(_whole_ticks(min(xs), max(xs)), y_ticks, log_y=log_y)
    parts = frame.draw(x_label, y_label)
    for index, line in enumerate(series):
        colour = f"c{index % COLOURS}{_dash(index)}"
        points = [(x, y) for x, y in zip(line.x, line.y, strict=True)]
        path, pen_down = "", False
        for x, y in points:
            if usable(y):
                path += f"{'L' if pen_down else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}"
            pen_down = usable(y)
        parts.append(f'<path class="line {colour}" d="{path}"/>')
        shown = "dot" if len(points) <= 40 else "dot hidden"
        for x, y in points:
            if usable(y):
                parts.append(
                    f'<circle class="{shown} {colour}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3">'
                    f"<title>{html.escape(line.name)}, {html.escape(x_label)} {number(x)}: {y:.5g}</title></circle>"
                )
    return legend([line.name for line in series]) + frame.svg(parts, title)


def _whole_ticks(low: float, high: float) -> list[float]:
    if high - low < 1:
        return [low - 1, low, low + 1]
    step = next(s for power in range(12) for s in (10**power, 2 * 10**power, 5 * 10**power) if (high - low) / s <= 8)
    first = math.ceil(low / step) * step
    ticks = [float(low), *(float(t) for t in range(first, math.floor(high) + 1, step)), float(high)]
    # The ends are kept; a round number too close to an end would be written over it.
    inner = [t for t in ticks[1:-1] if t - low >= 0.6 * step and high - t >= 0.6 * step]
    return [ticks[0], *inner, ticks[-1]]


def scatter(x: Array, y: Array, *, title: str, x_label: str, y_label: str, limit: int = 3000) -> str:
    """Points (at most ``limit`` of them, evenly chosen) and the line y = x on equal axes."""
    stride = max(-(-len(x) // limit), 1)
    x, y = x[::stride], y[::stride]
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    if not len(x):
        return '<p class="muted">No values to draw.</p>'
    # One axis for both, from the targets: a single wild prediction must not squeeze all others into a corner.
    low, high = float(x.min()), float(x.max())
    pad = 0.15 * (high - low or 1.0)
    ticks = nice_ticks(max(low - pad, min(low, float(y.min()))), min(high + pad, max(high, float(y.max()))), 7)
    frame = _Frame(ticks, ticks, height=420)
    parts = frame.draw(x_label, y_label)
    ends = ticks[0], ticks[-1]
    inside = np.clip(y, *ends)
    path = "".join(f"M{frame.x(a):.1f} {frame.y(b):.1f}h0" for a, b in zip(x.tolist(), inside.tolist(), strict=True))
    parts.append(f'<path class="points c0" d="{path}"/>')
    parts.append(
        f'<path class="reference" d="M{frame.x(ends[0]):.1f} {frame.y(ends[0]):.1f}'
        f'L{frame.x(ends[1]):.1f} {frame.y(ends[1]):.1f}"/>'
    )
    return frame.svg(parts, title)


def histogram(values: Array, *, title: str, x_label: str, y_label: str = "rows", bins: int = 41) -> str:
    """Counts of ``values`` in equal bins over their central 99 %; the outermost bins take what lies beyond."""
    values = values[np.isfinite(values)]
    if not len(values):
        return '<p class="muted">No values to draw.</p>'
    reach = float(np.quantile(np.abs(values), 0.99)) or 1.0
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    frame = _Frame(nice_ticks(-reach, reach, 7), nice_ticks(0, float(counts.max())), height=420)
    parts = frame.draw(x_label, y_label)
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        x, y = frame.x(left), frame.y(count)
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(frame.x(right) - x - 1, 0.5):.1f}" '
            f'height="{max(frame.y(0) - y, 0):.1f}"><title>{number(left)} to {number(right)}: {count}</title></rect>'
        )
    zero = f"{frame.x(0):.1f}"
    parts.append(f'<line class="reference" x1="{zero}" x2="{zero}" y1="{_TOP}" y2="{frame.y(0):.1f}"/>')
    return frame.svg(parts, title)


def confusion_matrix(counts: Array, classes: Sequence[str], *, title: str) -> str:
    """``counts[true, predicted]`` as a grid; right ones in one colour, confusions in another, by share of the row."""
    k = len(classes)
    longest = max(len(name) for name in classes)
    left = min(30 + 7.5 * min(longest, 16), 150)
    size = min((WIDTH - left - 16) / k, 52)
    top, span = 34.0, size * k
    turned = longest * 7.5 > size
    if turned:
        top = left
    parts = [
        f'<text class="label" x="{left + span / 2:.1f}" y="14" text-anchor="middle">predicted</text>',
        f'<text class="label" x="12" y="{top + span / 2:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {top + span / 2:.1f})">true</text>',
    ]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for i, name in enumerate(classes):
        shown = html.escape(name if len(name) <= 16 else name[:15] + "…")
        middle = (i + 0.5) * size
        x, y = left + middle, top + middle + 4
        turn = f' transform="rotate(-60 {x:.1f} {top - 6:.1f})"' if turned else ""
        anchor = "start" if turned else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{top - 6:.1f}" text-anchor="{anchor}"{turn}>{shown}</text>')
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y:.1f}" text-anchor="end">{shown}</text>')
        for j in range(k):
            count, share = int(counts[i, j]), float(shares[i, j])
            kind = "right" if i == j else "wrong"
            # Confusions are rare: the square root makes one in a hundred visible.
            opacity = 0.0 if not count else (0.15 + 0.75 * share if i == j else 0.15 + 0.75 * math.sqrt(share))
            x, y = left + j * size, top + i * size
            parts.append(
                f'<g><rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{size - 1:.1f}" height="{size - 1:.1f}"/>'
                + (
                    f'<rect class="{kind}" opacity="{opacity:.2f}" x="{x:.1f}" y="{y:.1f}" '
                    f'width="{size - 1:.1f}" height="{size - 1:.1f}"/>'
                    if count
                    else ""
                )
                + f"<title>true {html.escape(name)}, predicted {html.escape(classes[j])}: {count} "
                f"({share:.1%} of the row)</title>"
            )
            if count and size >= 22:
                strong = " strong" if opacity > 0.55 else ""
                parts.append(
                    f'<text class="count{strong}" x="{x + size / 2 - 0.5:.1f}" y="{y + size / 2 + 4:.1f}" '
                    f'text-anchor="middle">{count}</text>'
                )
            parts.append("</g>")
    return (
        f'<svg viewBox="0 0 {WIDTH} {top + span + 8:.0f}" role="img" '
        f'aria-label="{html.escape(title, quote=True)}">{"".join(parts)}</svg>'
    )
