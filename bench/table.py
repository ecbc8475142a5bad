"""The table against peers: which rows and peers, their files, the printed table and its picture."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import rows
from bench.contest import PeerError
from bench.engine import duration
from bench.measure import environment
from bench.outcome import Outcome
from bench.peak import Peak
from bench.peers import PEERS, absent
from chainrule.compile.target import host

WIDTH = 200
"""Columns where the table is not printed to a terminal."""


def choose_peers(named: Sequence[str] | None, quick: bool) -> tuple[list[str], list[str]]:
    """Ours and the peers that can take part, and why the others can't.

    Raises ValueError for a name that is no peer's.
    """
    wanted = [name for name in named or PEERS if name != "ours"]
    for name in wanted:
        if name not in PEERS:
            raise ValueError(f"unknown peer {name!r}: choose from {', '.join(n for n in PEERS if n != 'ours')}")
    if quick and not named:
        wanted = [name for name in wanted if name != "torch.compile"]  # tens of seconds of compiling
    reasons = {name: absent(name) for name in wanted}
    return ["ours", *(n for n in wanted if reasons[n] is None)], [r for r in reasons.values() if r is not None]


def choose_rows(named: Sequence[str] | None, quick: bool, data: Path | None) -> dict[str, Any]:
    """The rows to measure.  Raises ValueError for a name that is no row's."""
    known = rows.table(quick, data)
    for name in named or ():
        if name not in known:
            hint = "; mnist needs --data DIR" if name == "mnist" else ""
            raise ValueError(f"unknown row {name!r}: choose from {', '.join(known)}{hint}")
    return {name: known[name] for name in named or known}


def run(
    out: Path, named_rows: Sequence[str] | None, named_peers: Sequence[str] | None, seconds: float, quick: bool,
    data: Path | None,
) -> list[Outcome]:
    """Measure the rows, writing each one's file as it is done; then the summary, the table and the picture."""
    chosen = choose_rows(named_rows, quick, data)
    peers, notes = choose_peers(named_peers, quick)
    setting = rows.Setting(peers, seconds, quick, Peak(host()), data, rounds=2 if quick else 7)
    setting.measure_peak()
    outcomes = []
    for name, measure in chosen.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            outcomes.append(measure(setting))
        except PeerError as error:  # one row that can't be measured does not lose the others
            notes.append(f"{name}: {error}")
            continue
        _write(out / f"{name}.json", outcomes[-1].to_json())
    notes += [note for outcome in outcomes for note in outcome.notes]
    _write(out / "table.json", {
        "environment": environment(), "peak_gflops": setting.peak.best, "peers": peers, "notes": notes,
        "rows": [outcome.summary() for outcome in outcomes],
    })  # fmt: skip
    show(outcomes, peers[1:], setting.peak.best, notes)
    picture = draw(outcomes, out / "table.png")
    print(f"numbers in {out}" + (f", picture in {picture}" if picture else ""))
    return outcomes


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _amount(value: float, unit: str) -> str:
    return f"{value / 2**20:.1f} MiB" if unit == "bytes" else duration(value)


def _judged(text: str, goal: str, met: bool) -> Text:
    return Text(f"{text} ({'✓' if met else '✗'} {goal})", style="green" if met else "red")


def _ours(outcome: Outcome) -> Text:
    text = _amount(outcome.ours, outcome.unit)
    if outcome.limit is None:
        return Text(text)
    return _judged(text, f"≤ {_amount(outcome.limit, outcome.unit)}", outcome.met()["limit"])


def _peer(outcome: Outcome, name: str) -> Text:
    if name not in outcome.peers:
        return Text("–", style="dim")
    ratio, goal = outcome.ratios[name], outcome.goals.get(name)
    times = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"
    text = f"{_amount(outcome.peers[name], outcome.unit)}  ×{times}"
    return Text(text) if goal is None else _judged(text, f"≥ {goal:g}", ratio >= goal)


def _share(outcome: Outcome) -> Text:
    if outcome.share is None:
        return Text("–", style="dim")
    text = f"{outcome.share:.1%}"
    return Text(text) if outcome.share_goal is None else _judged(
        text, f"≥ {outcome.share_goal:.0%}", outcome.met()["share of peak"]
    )


def show(outcomes: Sequence[Outcome], peers: Sequence[str], peak: float, notes: Sequence[str]) -> None:
    """Print the table: what each takes, how many times ours that is, and the goal with ✓ or ✗."""
    names = [p for p in peers if any(p in o.peers for o in outcomes)]
    grid = Table(title="Ours and peers: median, ratio to ours, goal", title_justify="left")
    grid.add_column("workload", max_width=44)
    grid.add_column("ours", justify="right")
    for name in names:
        grid.add_column(name, justify="right")
    grid.add_column("share of peak", justify="right")
    grid.add_column("first call", justify="right")
    for outcome in outcomes:
        first = Text("–", style="dim") if outcome.compile_s is None else Text(duration(outcome.compile_s))
        grid.add_row(outcome.workload, _ours(outcome), *(_peer(outcome, n) for n in names), _share(outcome), first)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(grid)
    judged = [met for outcome in outcomes for met in outcome.met().values()]
    console.print(f"{sum(judged)} of {len(judged)} goals met; peak of all cores {peak:.0f} GFLOP/s in float32")
    for note in notes:
        console.print(f"left out: {note}", highlight=False, markup=False)


def draw(outcomes: Sequence[Outcome], file: Path) -> Path | None:
    """Ratios as bars on a logarithmic axis, a tick at each goal.

    None where there is nothing to draw, or matplotlib is not installed.
    """
    shown = [outcome for outcome in outcomes if outcome.peers and outcome.unit == "s"]
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return None
    if not shown:
        return None
    matplotlib.use("agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    names = sorted({name for outcome in shown for name in outcome.peers}, key=list(PEERS).index)
    figure, axes = pyplot.subplots(figsize=(10, 1 + 0.16 * len(shown) * (len(names) + 1)), layout="constrained")
    height = 0.8 / len(names)
    for column, name in enumerate(names):
        places = [(i + column * height, o) for i, o in enumerate(shown) if name in o.peers]
        axes.barh([y for y, _ in places], [o.ratios[name] - 1 for _, o in places], height * 0.9, left=1, label=name)
        for y, outcome in places:
            if name in outcome.goals:
                axes.plot([outcome.goals[name]] * 2, [y - height / 2, y + height / 2], color="black", linewidth=2)
    axes.axvline(1, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(shown))], [o.workload for o in shown])
    axes.invert_yaxis()
    axes.set_xlabel("time of the peer / time of ours (right of 1: ours is faster; black: the goal)")
    axes.legend(loc="best")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
    return file
