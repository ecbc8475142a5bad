"""Where the boxes of a drawn graph go: repeated layers collapsed, ranks by longest path, rows like lines of a book.

Layered drawing after Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system structures",
1981): ranks, then order within a rank by the mean of the neighbours, then heights.  An input stands just before its
first use.  Ranks fill the width of a page and go on below, as text does; an edge into another row is drawn as two
stubs that name the other end.  Stretches of steps that repeat four times or more are drawn once at each end, with one
box between for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.explain.outline import Outline
from chainrule.graph.graph import Graph

MOST_PERIOD = 40
LEAST_REPEATS = 4
_SWEEPS = 6


@dataclass
class Box:
    """A box: the steps in it (one, or those of collapsed layers), its rank, and where its middle is, in boxes."""

    lines: tuple[int, ...]
    repeats: int = 1
    rank: int = 0
    height: float = 0.0


@dataclass
class Drawing:
    """Boxes, and edges between them as (box used, box that uses it, line used, line that uses it)."""

    boxes: list[Box] = field(default_factory=list)
    edges: list[tuple[int, int, int, int]] = field(default_factory=list)


def references(outline: Outline) -> list[tuple[int, int]]:
    """(step used, step that uses it), in order, each once."""
    graph = outline.graph
    found: dict[tuple[int, int], None] = {}
    for index, line in enumerate(graph.lines):
        user = outline.head[index]
        if user < 0:
            continue
        for arg in line.args:
            used = outline.head[arg]
            if used >= 0 and used != user:
                found[used, user] = None
    return list(found)


def _signatures(graph: Graph, outline: Outline, steps: Sequence[int], uses: dict[int, list[int]]) -> list[int]:
    """A number per step, equal for steps that do the same to values equally far back."""
    place = {step: i for i, step in enumerate(steps)}
    numbers: dict[object, int] = {}
    found = []
    for step in steps:
        ops = tuple(graph.lines[i].op.name for i in outline.members(step))
        args = tuple(
            place[step] - place[u] if u in place else ("input", graph.lines[u].spec) for u in uses.get(step, ())
        )
        found.append(numbers.setdefault((ops, graph.lines[step].spec, args), len(numbers)))
    return found


def repeats(signatures: Sequence[int]) -> list[tuple[int, int, int]]:
    """(start, period, times) of the stretches that repeat, from left to right, not overlapping."""
    count = len(signatures)
    runs: dict[int, list[int]] = {}
    for period in range(1, min(MOST_PERIOD, count // LEAST_REPEATS) + 1):
        run = [0] * (count + 1)
        for i in range(count - period - 1, -1, -1):
            run[i] = run[i + 1] + 1 if signatures[i] == signatures[i + period] else 0
        runs[period] = run
    found = []
    at = 0
    while at < count:
        best = (0, 0, 0)
        for period, run in runs.items():
            times = run[at] // period + 1
            if times >= LEAST_REPEATS and (times - 2) * period > best[0]:
                best = ((times - 2) * period, period, times)
        if best[0]:
            found.append((at, best[1], best[2]))
            at += best[1] * best[2]
        else:
            at += 1
    return found


def layout(outline: Outline, collapse: bool = True) -> Drawing:
    """The drawing of an outline."""
    graph = outline.graph
    pairs = references(outline)
    uses: dict[int, list[int]] = {}
    for used, user in pairs:
        uses.setdefault(user, []).append(used)
    steps = [h for h in outline.heads if h >= graph.inputs]
    box_of: dict[int, int] = {}
    drawing = Drawing()
    hidden: set[int] = set()
    if collapse:
        for start, period, times in repeats(_signatures(graph, outline, steps, uses)):
            inner = steps[start + period : start + period * (times - 1)]
            hidden.update(inner)
            for step in inner:
                box_of[step] = len(drawing.boxes)
            drawing.boxes.append(Box(tuple(inner), times - 2))
    users: dict[int, set[int]] = {}
    for used, user in pairs:
        users.setdefault(used, set()).add(user)
    for head in outline.heads:
        if head in box_of:
            continue
        if head < graph.inputs:
            if not users.get(head):
                continue
            inside = {box_of.get(u, -1) for u in users[head]}
            if len(inside) == 1 and users[head] <= hidden:
                box_of[head] = inside.pop()
                drawing.boxes[box_of[head]].lines += (head,)
                continue
        box_of[head] = len(drawing.boxes)
        drawing.boxes.append(Box((head,)))
    seen: set[tuple[int, int]] = set()
    for used, user in pairs:
        a, b = box_of.get(used, -1), box_of.get(user, -1)
        if a >= 0 and b >= 0 and a != b and (a, b) not in seen:
            seen.add((a, b))
            drawing.edges.append((a, b, used, user))
    _rank(drawing, graph)
    _heights(drawing)
    return drawing


def _rank(drawing: Drawing, graph: Graph) -> None:
    """Longest path from the inputs; an input moves up to just before its first user."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for a, b, _, _ in drawing.edges:
        before.setdefault(b, []).append(a)
        after.setdefault(a, []).append(b)
    missing = {i: len(before.get(i, ())) for i in range(len(drawing.boxes))}
    ready = [i for i, n in missing.items() if not n]
    while ready:
        box = ready.pop()
        for user in after.get(box, ()):
            drawing.boxes[user].rank = max(drawing.boxes[user].rank, drawing.boxes[box].rank + 1)
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    for i, here in enumerate(drawing.boxes):
        if here.lines[0] < graph.inputs and after.get(i):
            here.rank = max(0, min(drawing.boxes[u].rank for u in after[i]) - 1)


def _heights(drawing: Drawing) -> None:
    ranks: dict[int, list[int]] = {}
    for i, box in enumerate(drawing.boxes):
        ranks.setdefault(box.rank, []).append(i)
    near: dict[int, list[int]] = {}
    for a, b, _, _ in drawing.edges:
        if abs(drawing.boxes[a].rank - drawing.boxes[b].rank) <= 2:
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
    boxes = drawing.boxes
    for members in ranks.values():
        _place(drawing, members)
    order = sorted(ranks)
    for sweep in range(_SWEEPS):
        for rank in order if sweep % 2 == 0 else reversed(order):
            for i in ranks[rank]:
                if near.get(i):
                    boxes[i].height = sum(boxes[j].height for j in near[i]) / len(near[i])
            ranks[rank].sort(key=lambda i: boxes[i].height)
            _place(drawing, ranks[rank])


def _place(drawing: Drawing, members: Sequence[int]) -> None:
    """Heights at least 1 apart, in the given order, as near to the wished ones as their mean allows."""
    wished = sum(drawing.boxes[i].height for i in members) / len(members)
    last = -float("inf")
    for i in members:
        last = drawing.boxes[i].height = max(drawing.boxes[i].height, last + 1)
    shift = wished - sum(drawing.boxes[i].height for i in members) / len(members)
    for i in members:
        drawing.boxes[i].height += shift
