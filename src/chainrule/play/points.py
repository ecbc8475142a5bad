"""The message ``data``: own points set and taken away, tables pasted, new data of the same kind.

A change that the network can take goes on training it; another number of classes needs another network.
A change that is refused changes nothing.  Does not do: reading tables (``own``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.errors import ChainruleError, DataError
from chainrule.play.context import make_context
from chainrule.play.datasets import Dataset, generate
from chainrule.play.own import Point, Table, classes_of, points_of, rounded
from chainrule.play.settings import LIMITS, Settings

if TYPE_CHECKING:
    from chainrule.play.player import Player

Message = Mapping[str, Any]
Answer = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class OwnPoints:
    """Points set by hand or pasted; ``names`` of their columns and label, ``spans`` before they were put on the plane,
    ``classes`` the labels' texts."""

    points: tuple[Point, ...] = ()
    names: tuple[str, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()
    classes: tuple[str, ...] = ()

    def with_points(self, points: list[Point]) -> OwnPoints:
        """Other points of the same table."""
        return dataclasses.replace(self, points=tuple(points))


def taken_over(data: Dataset) -> OwnPoints:
    """The points of other data as own ones; none of images."""
    if data.images:
        return OwnPoints()
    return OwnPoints(tuple(rounded(*row) for row in np.column_stack([data.points, data.labels]).tolist()))


def act(player: Player, message: Message) -> Answer:
    """The answer to ``data``."""
    action = message["action"]
    notes: list[str] = []
    extra: Answer = {}
    if action in ("add", "remove", "clear"):
        notes = _edit(player, message)
    elif action == "regenerate":
        notes = _regenerate(player)
    elif action == "csv":
        extra, notes = _csv(player, message)
    return {**described(player), **extra, "state": player.state(), "notes": notes}


def described(player: Player) -> Answer:
    """The points, for the page to draw."""
    data = player.course.context.data
    own = player.settings.dataset == "own"
    return {
        "points": [] if data.images else np.column_stack([data.points, data.labels]).tolist(), "train": data.train,
        "classes": data.classes, "names": list(data.names) if not data.images else ["pixels", "digit"],
        "class_names": list(player.own.classes) if own else [], "spans": [list(span) for span in data.spans],
    }  # fmt: skip


def _edit(player: Player, message: Message) -> list[str]:
    if player.course.context.data.images:
        raise DataError("digits are not points of the plane", expected="another data set", got="digits",
                        where="data", fix="choose dataset own, or circle")  # fmt: skip
    own = player.own if player.settings.dataset == "own" else taken_over(player.course.context.data)
    points, action = list(own.points), message["action"]
    if action == "clear":
        return _use(player, OwnPoints())
    if "x1" not in message or "x2" not in message:
        raise DataError("a point has two coordinates", expected="x1 and x2", got="not both", where="data",
                        fix="send both")  # fmt: skip
    if action == "add":
        points.append(_point(points, message))
    else:
        if not points:
            raise DataError("there is no point to remove", expected="at least one", got="none", where="data",
                            fix="add one first")  # fmt: skip
        away = np.array(points)[:, :2] - (message["x1"], message["x2"])
        points.pop(int(np.argmin(np.sum(away * away, axis=1))))
    return _use(player, own.with_points(points))


def _point(points: list[Point], message: Message) -> Point:
    if len(points) >= LIMITS["points"]:
        raise DataError("there are too many points", expected=f"at most {LIMITS['points']:,}",
                        got=f"{len(points) + 1:,}", where="data", fix="remove some")  # fmt: skip
    return rounded(message["x1"], message["x2"], message.get("label", 1.0))


def _use(player: Player, own: OwnPoints, settings: Settings | None = None) -> list[str]:
    """Go on with these points, or begin anew (with other settings always).  Changes nothing where that is refused."""
    before, player.own = player.own, own
    try:
        wanted = settings or player.settings.changed({"dataset": "own"})
        if wanted.problem == "classification":
            classes_of(np.array([p[2] for p in own.points], np.float64))
        data = player.data_of(wanted)
        context, course = make_context(wanted, data), player.course
        same = (context.sizes, context.task) == (course.context.sizes, course.context.task)
        if settings is not None or not same:
            player.begin(wanted, data)
            return [] if settings else ["Another number of classes needs another network: it starts anew."]
        course.change_data(context)
        player.changed()
        if not context.count:
            player.halt()
        return []
    except ChainruleError:
        player.own = before
        raise


def _regenerate(player: Player) -> list[str]:
    if player.settings.dataset == "own":
        raise DataError("own data are not generated", expected="another data set", got="own", where="data",
                        fix="add points, or choose a data set")  # fmt: skip
    seed = f"{np.random.default_rng().random():.5f}"
    settings = player.settings.changed({"data_seed": seed})
    player.course.change_data(make_context(settings, generate(settings)))
    player.changed()
    return [f"New data from seed {seed}; the network goes on, and its losses are those on the new data."]


def _csv(player: Player, message: Message) -> tuple[Answer, list[str]]:
    if "text" not in message:
        raise DataError("there is no table", expected="text", got="none", where="data csv", fix="paste CSV")
    table = Table(message["text"])
    points, problem, chosen, spans = points_of(
        table, message.get("columns"), message.get("target"), message.get("problem")
    )
    exact = tuple(rounded(*point) for point in points)
    names = (*chosen["columns"], chosen["target"] or "label")
    own = OwnPoints(exact, names, tuple(spans), tuple(chosen["classes"]))
    _use(player, own, player.settings.changed({"dataset": "own", "problem": problem}))
    found = {"columns": table.columns, "rows": len(table.rows), "preview": table.rows[:5], "chosen": chosen}
    return {"table": found}, [f"{len(points):,} rows; columns are drawn from -5 to 5."]
