"""Why a jitted function was traced again: the new call is compared with the most similar one known.

``jit`` keeps one trace per signature: the structure of the arguments, shape and dtype of each array, and the static
arguments.  Which of these differ from the known signature that differs least is the reason, in words.
Does not do: traces inside an enclosing trace, which are not kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import Spec
from chainrule.graph.source import user_source
from chainrule.trace.tracer import Traced, function_name
from chainrule.transforms.arguments import argument_name

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


def signatures(f: Any, kept: Mapping[Any, Traced]) -> list[Signature]:
    """The signatures of the traces of ``f`` that ``jit`` has kept, in the order in which they were made.

    A key is (structure, Specs, static arguments as (position, typed value)).
    """
    return [
        Signature(shape, specs, tuple((argument_name(f, i), value) for i, value in static),
                  traced.graph.names[: len(specs)])
        for (shape, specs, static), traced in list(kept.items())
    ]  # fmt: skip


def report(f: Any, kept: Mapping[Any, Traced]) -> None:
    """One line on stderr: why the newest of the traces was made.  Nothing for the first."""
    *known, new = signatures(f, kept)
    if known:
        source = user_source()
        place = f"   {os.path.basename(source.file)}:{source.line}" if source else ""
        text = f"chainrule: {function_name(f)} is traced again ({len(known) + 1} traces): {reason(known, new)}{place}"
        print(text, file=sys.stderr, flush=True)


def history(f: Any, kept: Mapping[Any, Traced]) -> str:
    """All traces with their reasons, one a line, and what to do where there are many for one reason."""
    found = signatures(f, kept)
    name = function_name(f)
    if not found:
        return f"{name} was not traced yet"
    times = "once" if len(found) == 1 else f"{len(found)} times"
    rows = [f"{name} was traced {times}"]
    rows += [f"{number:4}  {reason(found[: number - 1], known)}" for number, known in enumerate(found, 1)]
    hint = advice(found)
    return "\n".join([*rows, *([f"  what to do: {hint}"] if hint else [])])
