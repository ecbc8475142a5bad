"""JSON as it comes from outside and as it goes there: bounded, finite, UTF-8, and errors in five words.

What is refused by :func:`read`, each with its reason: text that is no JSON, NaN and Infinity, numbers that are not
finite or longer than a double or 64-bit integer needs, nesting deeper than 32, lone surrogates, names given twice.
:func:`written` is the other way: NumPy's scalars and arrays become JSON, and a number that is not finite becomes null.
Does not do: schemas; whoever receives a message says what is in it.
"""

from __future__ import annotations

import json
import math
from typing import Any

from chainrule.base.errors import ChainruleError, DataError

DEEPEST = 32
_LONGEST_INTEGER = 20  # characters: 64 bits and a sign
_MOST_GOT = 300


def read(text: str | bytes, most: int, what: str = "message") -> Any:
    """The JSON value in ``text``; raises :class:`DataError` for anything else, or more than ``most`` bytes."""
    if len(text) > most:
        raise DataError(f"the {what} is too large", expected=f"at most {most:,} bytes", got=f"{len(text):,}",
                        fix="send less at a time")  # fmt: skip
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(
            decoded, parse_constant=_constant, parse_float=_real, parse_int=_integer, object_pairs_hook=_members
        )
    except UnicodeDecodeError as error:
        raise DataError(f"the {what} is not UTF-8", expected="text in UTF-8", got=f"byte {error.start}: {error.reason}",
                        fix="encode it as UTF-8") from None  # fmt: skip
    except json.JSONDecodeError as error:
        raise DataError(f"the {what} is not JSON", expected="JSON", got=f"{error.msg} at character {error.pos}",
                        fix="send one JSON value") from None  # fmt: skip
    except RecursionError:
        raise _too_deep(what) from None
    _look_through(value, what)
    return value


def _constant(name: str) -> float:
    raise DataError("a number is not finite", expected="finite numbers", got=name, fix="send null, or leave it out")


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DataError("a number is too large for a double", expected="at most 1.8e308 in size", got=_short(text),
                        fix="send a smaller number")  # fmt: skip
    return value


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise DataError("a whole number is too long", expected=f"at most {_LONGEST_INTEGER} characters",
                        got=_short(text, 40), fix="send a smaller number")  # fmt: skip
    return int(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise DataError("a name is given twice in one object", expected="each name once", got=_short(repr(twice), 60),
                        fix="leave one of them out")  # fmt: skip
    return found


def _too_deep(what: str) -> DataError:
    return DataError(f"the {what} is nested too deeply", expected=f"at most {DEEPEST} levels", got="more",
                     fix="send it flatter")  # fmt: skip


def _look_through(value: Any, what: str) -> None:
    """Depth and text of everything in ``value``, level by level rather than by recursion."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise _too_deep(what)
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):
                _text(one)
            elif isinstance(one, list):
                below += one
            elif isinstance(one, dict):
                below += one
                below += one.values()
        level, depth = below, depth + 1


def _text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                "a text holds half of a character", expected="whole characters",
                got=f"a lone surrogate at character {error.start}", fix="leave it out",
            ) from None  # fmt: skip


def written(value: Any) -> str:
    """``value`` as JSON.  Raises TypeError for what is neither JSON nor NumPy."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else _finite(_plain(value))


def in_words(error: ChainruleError) -> dict[str, str]:
    """An error as the page gets it: what, expected, got, where, fix; those that it has, each at most 300 characters."""
    parts = {
        "what": error.problem, "expected": error.expected, "got": error.got, "where": error.where, "fix": error.fix
    }  # fmt: skip
    return {name: _short(str(part)) for name, part in parts.items() if part is not None}


def _short(text: str, most: int = _MOST_GOT) -> str:
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return cut.encode("utf-8", "replace").decode("utf-8")
