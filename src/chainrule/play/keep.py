"""A player's whole state as JSON and as an address, and back.

The JSON holds the settings, all parameters as numbers (every double comes back bit for bit), the optimizer's state and
what the compatible rule holds as base64 of their bytes, the position, own points, and the loss curve.  An address holds
the same in short where that is little; else settings, seed and the number of steps, from which the steps are taken
again.  Loading checks every length and shape, and nothing of it is executed.

Does not do: files; the server writes them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import nn
from chainrule.base import trees
from chainrule.base.errors import DataError
from chainrule.play import address
from chainrule.play.context import Context, make_context
from chainrule.play.datasets import Dataset
from chainrule.play.network import Network, architecture, bias_of, flat_weights, initial
from chainrule.play.own import checked_points, dataset_of
from chainrule.play.points import OwnPoints
from chainrule.play.settings import LIMITS, Settings, is_text, real, short, whole
from chainrule.play.trainer import State, start

if TYPE_CHECKING:
    from chainrule.play.player import Player

Array = Any

FORMAT = "chainrule.playground"
VERSION = 1
_IN_ADDRESS = 700  # numbers
_POINTS_IN_ADDRESS = 150
_MOST_REPLAYED = 2_000_000  # steps
_MOST_CURVE = 1_000
_LARGE = 4_000  # weights; more are kept as base64, so that any state fits the largest message


# -------------------------------------------------------------------------------------------------------------- JSON


def answer(player: Player) -> dict[str, Any]:
    """The answer to ``state``."""
    return {"state": state_of(player), **url(player)}


def state_of(player: Player) -> dict[str, Any]:
    """Everything, as JSON values."""
    course = player.course
    context, state = course.context, course.state
    large = flat_weights(state.network).size > _LARGE
    most = _MOST_CURVE // 5 if large else _MOST_CURVE
    curve = course.curve[:: max(1, -(-len(course.curve) // most))]
    found: dict[str, Any] = {
        "format": FORMAT, "version": VERSION, "settings": context.settings.to_json(),
        "step": state.step, "epoch": state.epoch, "batch": state.batch, "example": state.example,
        "layers": layers_of(state.network, large),
        "optimizer": [_bytes(leaf) for leaf in trees.leaves(state.optimizer)],
        "held": None if state.held is None else [_bytes(leaf) for leaf in trees.leaves(state.held)],
        "curve": [[step, _number(a), _number(b)] for step, a, b in curve],
        "exact": player.exact,
    }  # fmt: skip
    drawn = trees.leaves(initial(context.settings, context.data))
    same = all(map(np.array_equal, trees.leaves(course.first.network), drawn))
    if not (large and same):  # where they take much room, and settings lead to them
        found["initial"] = layers_of(course.first.network, large)
    if context.settings.dataset == "own":
        own = player.own
        found["points"] = [[_shortest(v) for v in p] for p in own.points]
        found["names"], found["class_names"] = list(own.names), list(own.classes)
        found["spans"] = [list(s) for s in own.spans]
    return found


def layers_of(network: Network, large: bool = False) -> list[dict[str, Any]]:
    """Parameters as numbers: weight by [to][from], bias by [to]; those of a large network as base64 of doubles."""
    if large:
        return [{"weight": _bytes(layer.weight.T), "bias": _bytes(bias_of(layer))} for layer in network.layers]
    return [{"weight": layer.weight.T.tolist(), "bias": bias_of(layer).tolist()} for layer in network.layers]


def _shortest(value: float) -> float:
    """A float32 in as few digits as tell it apart: own points are that exact."""
    return float(str(np.float32(value)))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _bytes(leaf: Array) -> str:
    array = np.asarray(leaf)
    return base64.b64encode(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()).decode()


def load(player: Player, message: Mapping[str, Any]) -> list[str]:
    """Take over a kept state, or the hash of an address.  Raises ChainruleError, and changes nothing then."""
    if ("state" in message) == ("url" in message):
        got = "both" if "url" in message else "neither"
        raise DataError("there is one thing to load", expected="state or url", got=got, where="load",
                        fix="send one of them")  # fmt: skip
    return _load_url(player, message["url"]) if "url" in message else _load_state(player, message["state"])


def _load_state(player: Player, kept: Mapping[str, Any]) -> list[str]:
    if kept.get("format") != FORMAT or kept.get("version") != VERSION:
        raise _wrong("format", f"{short(kept.get('format'))}, version {short(kept.get('version'))}",
                     f"{FORMAT!r}, version {VERSION}")  # fmt: skip
    given = kept.get("settings")
    if not isinstance(given, dict):
        raise _wrong("settings", given, "an object")
    settings = Settings.from_json(given)
    own = OwnPoints()
    if settings.dataset == "own":
        names, classes = _texts(kept, "names", 3), _texts(kept, "class_names", int(LIMITS["classes"]))
        points = tuple(checked_points(kept.get("points", [])))
        own = OwnPoints(points, tuple(names), _spans(kept.get("spans", [])), tuple(classes))
    data = _data(player, settings, own)
    context = make_context(settings, data)
    network = _network(kept.get("layers"), context, "layers")
    first = _network(kept["initial"], context, "initial") if "initial" in kept else initial(settings, data)
    blank = start(context, network)
    state = dataclasses.replace(
        blank, optimizer=_leaves(kept.get("optimizer"), blank.optimizer, "optimizer"),
        held=None if blank.held is None else _leaves(kept.get("held"), blank.held, "held"),
    )  # fmt: skip
    state = _at(state, kept, context)
    curve = _curve(kept.get("curve", []), state.step)
    player.own = own
    player.halt()
    player.course.begin(context, state, first)
    player.course.curve = [*curve, *player.course.curve]
    player.course.curve_version += 1
    player.changed(exact=kept.get("exact") is True)
    return []


def _data(player: Player, settings: Settings, own: OwnPoints) -> Dataset:
    if settings.dataset != "own":
        return player.data_of(settings)
    return dataset_of(own.points, settings.problem, settings.train_percent, own.names, own.spans)


def _network(layers: Any, context: Context, where: str) -> Network:
    sizes, activations = context.sizes, context.activations
    if not isinstance(layers, list) or len(layers) != len(sizes) - 1:
        raise _wrong(where, layers, f"{len(sizes) - 1} layers")
    found = []
    for number, (layer, n_in, n_out) in enumerate(zip(layers, sizes, sizes[1:], strict=False)):
        parts = layer if isinstance(layer, dict) else {}
        weight = _table(parts.get("weight"), (n_out, n_in), f"{where}[{number}].weight")
        bias = _table(parts.get("bias"), (n_out,), f"{where}[{number}].bias")
        found.append(nn.Linear(np.ascontiguousarray(weight.T), bias))
    return Network(tuple(found), activations)


def _table(value: Any, shape: tuple[int, ...], where: str) -> Array:
    if isinstance(value, str):
        found = _unpacked(value, np.zeros(shape))
        if found is None or not np.isfinite(found).all():
            raise _wrong(where, value, f"base64 of finite doubles of shape {shape}")
        return found
    rows = value if len(shape) == 2 else [value]
    good = isinstance(rows, list) and (len(shape) == 1 or len(rows) == shape[0]) and all(
        isinstance(row, list) and len(row) == shape[-1] and all(map(real, row)) for row in rows
    )  # fmt: skip
    if not good:
        raise _wrong(where, value, f"finite numbers of shape {shape}")
    return np.array(value, np.float64).reshape(shape)


def _unpacked(text: Any, like: Array) -> Array | None:
    """The array of that shape and dtype in base64, or None where it is no such text."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return None
    if len(data) != like.nbytes:
        return None
    kind = np.dtype(np.uint8) if like.dtype.kind == "b" else like.dtype.newbyteorder("<")
    return np.frombuffer(data, kind).astype(like.dtype).reshape(like.shape)


def _leaves(texts: Any, like: Any, where: str) -> Any:
    leaves, structure = trees.flatten(like)
    if not isinstance(texts, list) or len(texts) != len(leaves):
        raise _wrong(where, texts, f"{len(leaves)} texts in base64")
    found = []
    for text, leaf in zip(texts, leaves, strict=True):
        array = _unpacked(text, np.asarray(leaf))
        if array is None:
            raise _wrong(where, text, f"base64 of {np.asarray(leaf).nbytes} bytes")
        found.append(array)
    return trees.unflatten(structure, found)


def _at(state: State, kept: Mapping[str, Any], context: Context) -> State:
    """The state at the kept position."""
    found = {}
    for name in ("step", "epoch", "batch", "example"):
        value = kept.get(name, 0)
        if not whole(value) or not 0 <= value < 2**50:
            raise _wrong(name, value, "a whole number from 0")
        found[name] = int(value)
    if found["batch"] >= max(1, context.rows) or found["example"] >= max(1, context.width):
        raise _wrong("batch", f"{found['batch']}, example {found['example']}",
                     f"batch below {max(1, context.rows)}, example below {context.width}")  # fmt: skip
    return dataclasses.replace(
        state, step=found["step"], epoch=found["epoch"], batch=found["batch"], example=found["example"]
    )


def _curve(rows: Any, last: int) -> list[tuple[int, float, float]]:
    if not isinstance(rows, list) or len(rows) > 2 * _MOST_CURVE:
        raise _wrong("curve", rows, f"at most {2 * _MOST_CURVE} rows [step, train, test]")
    found: list[tuple[int, float, float]] = []
    for row in rows:
        good = isinstance(row, list) and len(row) == 3 and whole(row[0])
        good = good and all(v is None or real(v) for v in row[1:])
        if not good or row[0] < 0 or (found and row[0] <= found[-1][0]):
            raise _wrong("curve", row, "[step, train, test] with growing steps")
        if row[0] < last:
            train, test = (float("nan") if v is None else float(v) for v in row[1:])
            found.append((int(row[0]), train, test))
    return found


def _texts(kept: Mapping[str, Any], name: str, most: int) -> list[str]:
    value = kept.get(name, [])
    good = isinstance(value, list) and len(value) <= most
    if not good or not all(isinstance(v, str) and len(v) <= 60 and is_text(v) for v in value):
        raise _wrong(name, value, f"at most {most} texts")
    return list(value)


def _spans(value: Any) -> tuple[tuple[float, float], ...]:
    good = isinstance(value, list) and len(value) <= 3 and all(
        isinstance(v, list) and len(v) == 2 and all(map(real, v)) for v in value
    )  # fmt: skip
    if not good:
        raise _wrong("spans", value, "at most 3 pairs of numbers")
    return tuple((float(a), float(b)) for a, b in value)


def _wrong(where: str, got: Any, expected: str) -> DataError:
    return DataError("this is no state of the playground", expected=expected, got=short(got), where=f"state.{where}",
                     fix="load a state that the playground has written")  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- address


def url(player: Player) -> dict[str, Any]:
    """The answer to ``url``: the hash, whether it leads to the same weights, and a note where it does not."""
    course = player.course
    context, state = course.context, course.state
    s = context.settings
    text, exact, note = address.to_hash(s), True, None
    if s.dataset == "own":
        if len(player.own.points) <= _POINTS_IN_ADDRESS:
            flat = np.array(player.own.points, "<f4").reshape(-1).tobytes()
            text += "&p=" + base64.urlsafe_b64encode(flat).decode().rstrip("=")
        else:
            exact = False
            note = f"More than {_POINTS_IN_ADDRESS} own points do not fit an address; keep the JSON state."
    if not state.step and not state.example and player.exact:
        return {"url": text, "exact": exact, "note": note}
    leaves = [*trees.leaves(state.network), *trees.leaves((state.optimizer, state.held))]
    place = f"&step={state.step}&epoch={state.epoch}&batch={state.batch}&example={state.example}"
    if sum(leaf.size for leaf in leaves) <= _IN_ADDRESS:
        numbers = np.concatenate([np.asarray(leaf, np.float64).reshape(-1) for leaf in leaves])
        return {"url": f"{text}{place}&w={address.packed(numbers)}", "exact": exact, "note": note}
    if player.exact and state.step <= _MOST_REPLAYED and not state.example:
        note = note or "The weights are found again by taking the same steps; they agree to rounding."
        return {"url": f"{text}&steps={state.step}", "exact": exact, "note": note}
    note = note or "The weights do not fit an address: it leads to the initial ones. Keep the JSON state for these."
    return {"url": text, "exact": False, "note": note}


def _load_url(player: Player, text: str) -> list[str]:
    pairs = address.pairs_of(text)
    settings = address.from_hash(pairs)
    own = OwnPoints(tuple(_points(pairs.get("p", "")))) if settings.dataset == "own" else OwnPoints()
    data = _data(player, settings, own)
    context = make_context(settings, data)
    state = None
    if "w" in pairs:
        state = _state_of(pairs, context)
    steps = _count(pairs, "steps", _MOST_REPLAYED)
    player.own = own
    player.halt()
    player.course.begin(context, state)
    player.changed(exact=state is None)
    if steps and context.count:
        player.todo.rows, player.todo.announced = steps, True
        return [f"The {steps:,} steps of the address are being taken again."]
    return []


def _points(text: str) -> list[Any]:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        rows = np.frombuffer(data, "<f4").astype(np.float64).reshape(-1, 3)
    except (binascii.Error, ValueError):
        raise _wrong("p", text[:30], "base64 of points") from None
    return checked_points(rows.tolist())


def _state_of(pairs: Mapping[str, str], context: Context) -> State:
    sizes, activations = architecture(context.settings, context.data)
    layers = tuple(nn.Linear(np.zeros((a, b)), np.zeros(b)) for a, b in itertools.pairwise(sizes))
    blank = start(context, Network(layers, activations))
    values = address.unpacked("w", pairs["w"])
    leaves, structure = trees.flatten((blank.network, blank.optimizer, blank.held))
    if len(values) != sum(leaf.size for leaf in leaves):
        raise _wrong("w", f"{len(values)} numbers", f"{sum(leaf.size for leaf in leaves)} numbers for this network")
    found, at = [], 0
    for leaf in leaves:
        part = values[at : at + leaf.size].reshape(leaf.shape)
        found.append(part != 0 if leaf.dtype.kind == "b" else np.array(part, leaf.dtype))
        at += leaf.size
    network, optimizer, held = trees.unflatten(structure, found)
    if not all(np.isfinite(leaf).all() for leaf in trees.leaves(network)):
        raise _wrong("w", "a number that is not finite", "finite weights")
    place = {name: _count(pairs, name, 2**50) for name in ("step", "epoch", "batch", "example")}
    return _at(dataclasses.replace(blank, network=network, optimizer=optimizer, held=held), place, context)


def _count(pairs: Mapping[str, str], name: str, most: int) -> int:
    text = pairs.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 16 or int(text) > most:
        raise _wrong(name, text, f"a whole number up to {most:,}")
    return int(text)
