"""A profile as a table, plain or for a terminal with colours (rich), the dearest kernel first.

Does not do: the numbers; see ``profile``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.run.profile import Profile, Row

_BAR = 10
_MOST_ROWS = 40
_OPERATIONS = 34  # columns
HEADINGS = ("time", "", "of all", "kernel", "computes", "flop", "bytes", "of limit", "pass", "where")
_RIGHT = {"time", "of all", "flop", "bytes"}


def title(profile: Profile) -> str:
    """The head line: what was measured, how long a call takes, and how much of it is in kernels."""
    count = len(profile.rows)
    return (
        f"{profile.name}: {seconds(profile.seconds)} a call, {seconds(profile.in_kernels)} of it in "
        f"{count} kernel{'s' if count != 1 else ''}   (mean of the middle half of {profile.repeats} calls; "
        f"{profile.target})"
    )


def footnote(profile: Profile) -> str:
    """What the limits are."""
    peaks = profile.peaks
    caches = peaks.bandwidth[:-1]
    return (
        f"limit, measured in this run on {peaks.threads} thread{'s' if peaks.threads != 1 else ''}: compute "
        f"{peaks.flops / 1e9:.0f} GFLOP/s in float32; memory {peaks.bandwidth[-1][1] / 1e9:.0f} GB/s, "
        f"{min(r for _, r in caches) / 1e9:.0f} to {max(r for _, r in caches) / 1e9:.0f} GB/s in caches"
    )


def cells(profile: Profile) -> list[tuple[str, ...]]:
    """The rows of the table, as text; of a long program the dearest, and one row for the rest."""
    whole = max(profile.seconds, 1e-12)
    found = [_cells(row, row.seconds / whole) for row in profile.rows[:_MOST_ROWS]]
    more = profile.rows[_MOST_ROWS:]
    if more:
        spent = sum(row.seconds for row in more)
        flops, moved = amount(sum(r.flops for r in more)), amount(sum(r.bytes for r in more))
        found.append((seconds(spent), bar(spent / whole), percent(spent / whole), f"{len(more)} more", "", flops, moved,
                      "", "", ""))  # fmt: skip
    outside = max(profile.seconds - profile.in_kernels, 0.0)
    rest = (seconds(outside), bar(outside / whole), percent(outside / whole), "–", "the call, between kernels")
    return [*found, (*rest, *("",) * (len(HEADINGS) - len(rest)))]


def _columns(profile: Profile) -> list[tuple[str, ...]]:
    """The table by columns, the heading first, without those that are empty."""
    columns = list(zip(HEADINGS, *cells(profile), strict=True))
    return [column for column in columns if any(column[1:])]


def _cells(row: Row, share: float) -> tuple[str, ...]:
    turns = f" ×{row.calls}" if row.calls != 1 else ""
    limit = f"{percent(row.share)} {row.limit}" if row.limit else ""
    where = ", ".join(row.where[:2]) + (" …" if len(row.where) > 2 else "")
    return (
        seconds(row.seconds), bar(share), percent(share), f"{row.kernel} {row.kind} {row.size}".rstrip() + turns,
        shortened(", ".join(row.operations), _OPERATIONS), amount(row.flops), amount(row.bytes), limit, row.phase,
        where,
    )  # fmt: skip


def plain(profile: Profile) -> str:
    """The table in plain text."""
    columns = []
    for column in _columns(profile):
        width = max(map(len, column))
        columns.append([cell.rjust(width) if column[0] in _RIGHT else cell.ljust(width) for cell in column])
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    return "\n".join([title(profile), "", *lines, "", footnote(profile)])


def rich_table(profile: Profile) -> Any:
    """The table for rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title(profile), caption=footnote(profile), box=box.SIMPLE_HEAD, title_justify="left",
                  caption_justify="left", title_style="bold", pad_edge=False)  # fmt: skip
    styles = {"time": "bold", "": "cyan", "of limit": "green", "where": "dim"}
    columns = _columns(profile)
    for heading, *_ in columns:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", style=styles.get(heading, ""),
                         no_wrap=heading != "computes", overflow="ellipsis")  # fmt: skip
    for row in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    return table


# ------------------------------------------------------------------------------------------------------------- numbers


def seconds(value: float) -> str:
    """A time with three digits and its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{_three(value / scale)} {unit}"
    return f"{value / 1e-9:.0f} ns"


def amount(value: int) -> str:
    """A count with its thousands as K, M, G, T."""
    if value == 0:
        return ""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= scale:
            return f"{_three(value / scale)} {unit}"
    return str(value)


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{share:.0%}".replace("%", " %")


def bar(share: float) -> str:
    """A bar of eighths of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * _BAR * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def shortened(text: str, width: int) -> str:
    """``text`` cut to ``width`` columns."""
    return text if len(text) <= width else text[: width - 1] + "…"
