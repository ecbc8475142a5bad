"""Why a jitted function was traced again: the new call is compared with the most similar one known.

``jit`` keeps one trace per signature: the structure of the arguments, shape and dtype of each array, and the static
arguments.  Which of these differ from the known signature that differs least is the reason, in words.
Does not do: traces inside an enclosing trace, which are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import Spec

_LISTED = 3
"""Arguments that are named in one reason; of more only the number is said."""
_MANY = 4
"""From this many traces on, it is worth saying what to do about it."""


class Signature(NamedTuple):
    """What a trace is good for: ``structure`` (an optree structure), a Spec per array, (name, value) of static ones.

    ``names`` has one name per array; a static value stands with its type, as 1, 1.0 and True are different.
    """

    structure: Any
    specs: tuple[Spec, ...]
    static: tuple[tuple[str, Any], ...]
    names: tuple[str, ...]


class Change(NamedTuple):
    """One difference: ``what`` (shape, dtype, static or structure) of the argument ``name``, and the words for it."""

    what: str
    name: str
    text: str


def reason(previous: Sequence[Signature], current: Signature) -> str:
    """Why ``current`` was traced, when ``previous`` were known, in one line."""
    if not previous:
        return "first call"
    found = changes(nearest(previous, current), current)
    shown = [change.text for change in found[:_LISTED]]
    if len(found) > _LISTED:
        shown.append(f"and {len(found) - _LISTED} more")
    return "; ".join(shown) or "the same call in another thread"


def nearest(previous: Sequence[Signature], current: Signature) -> Signature:
    """The known signature that differs least; of equals the newest."""

    def distance(known: Signature) -> tuple[bool, int]:
        return bool(known.structure != current.structure), len(changes(known, current))

    found: Signature = min(reversed(previous), key=distance)
    return found


def changes(before: Signature, now: Signature) -> list[Change]:
    """How ``now`` differs from ``before``."""
    if before.structure != now.structure:
        return [Change("structure", "", _structure_words(before, now))]
    found = []
    for name, old, new in zip(now.names, before.specs, now.specs, strict=True):
        if old.shape != new.shape:
            found.append(Change("shape", name, f"{name} changed shape {old.shape} → {new.shape}"))
        if old.dtype != new.dtype:
            found.append(Change("dtype", name, f"{name} changed dtype {old.dtype} → {new.dtype}"))
    for (name, was), (_, value) in zip(before.static, now.static, strict=False):
        if was != value:
            found.append(Change("static", name, f"static {name} changed {_plain(was)} → {_plain(value)}"))
    return found


def _structure_words(before: Signature, now: Signature) -> str:
    """Which arrays came and which went; where neither, the containers changed."""
    came = [name for name in now.names if name not in before.names]
    went = [name for name in before.names if name not in now.names]
    words = [f"{label} {_some(names)}" for label, names in (("new:", came), ("gone:", went)) if names]
    if not words:
        words = [f"{before.structure} → {now.structure}"]
    return f"the arguments changed structure ({'; '.join(words)})"


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _plain(typed: Any) -> str:
    """A static value as the user wrote it; jit keeps it as (type, value), and so each part of a tuple."""
    kind, value = typed
    if kind is tuple:
        return f"({', '.join(map(_plain, value))}{',' if len(value) == 1 else ''})"
    return getattr(value, "__name__", None) or repr(value)


def advice(history: Sequence[Signature]) -> str | None:
    """What to do about a function that is traced again and again for one reason, or None where there is none."""
    counts: dict[tuple[str, str], int] = {}
    for position in range(1, len(history)):
        for change in changes(nearest(history[:position], history[position]), history[position]):
            counts[change.what, change.name] = counts.get((change.what, change.name), 0) + 1
    if not counts:
        return None
    (what, name), times = max(counts.items(), key=lambda item: item[1])
    if times + 1 < _MANY:
        return None
    return {
        "shape": f"{name} comes in many shapes: pad it to one size, or leave the last, smaller batch out",
        "dtype": f"{name} comes in many dtypes: convert it before the call",
        "static": f"static {name} takes many values: pass it as an ordinary argument if it is a number",
        "structure": "the arguments come in many structures: keep one, with None or zeros for what is missing",
    }[what]
