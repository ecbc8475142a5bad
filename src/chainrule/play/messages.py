"""The messages of the playground: their JSON Schema, and the check of each against it.

The check reads ``messages.schema.json``, the keywords that it uses (draft 2020-12): type, const, enum, minimum,
maximum, maxLength, minItems, maxItems, items, properties, required, additionalProperties, oneOf, $ref.  It says which
member is wrong and what was expected, which a general validator does not for a choice of messages.

Does not do: what a schema can't say (whether a layer exists, whether settings fit): the player does.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from chainrule.base.errors import DataError
from chainrule.play.settings import real, short, whole

_TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": whole,
    "number": real,
}
_WORDS = {"object": "an object", "array": "a list", "string": "text", "boolean": "true or false", "null": "null",
          "integer": "a whole number", "number": "a finite number"}  # fmt: skip


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of every message."""
    text = files("chainrule.play").joinpath("messages.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@functools.cache
def actions() -> tuple[str, ...]:
    """The values of ``do``."""
    return tuple(one["$ref"].rpartition("/")[2] for one in schema()["oneOf"])


def checked(message: Any) -> dict[str, Any]:
    """The message, found to be one of the schema's.  Raises DataError with the place of what is wrong."""
    if not isinstance(message, dict):
        raise DataError("a message is an object", expected='{"do": …}', got=type(message).__name__, where="the message",
                        fix="send an object")  # fmt: skip
    action = message.get("do")
    if not isinstance(action, str) or action not in actions():
        raise DataError("there is no such action", expected=f"do: one of {', '.join(actions())}", got=short(action),
                        where="the message, do", fix="send one of these")  # fmt: skip
    _check(message, schema()["$defs"][action], action)
    return message


def _check(value: Any, rule: Mapping[str, Any], where: str) -> None:
    rule = _resolved(rule)
    if "oneOf" in rule:
        if not any(_holds(value, one) for one in rule["oneOf"]):
            kinds = " or ".join(_words(_resolved(one)) for one in rule["oneOf"])
            raise _wrong(where, kinds, value)
        return
    if "const" in rule and value != rule["const"]:
        raise _wrong(where, repr(rule["const"]), value)
    if "enum" in rule and not (isinstance(value, str) and value in rule["enum"]):
        raise _wrong(where, "one of " + ", ".join(rule["enum"]), value)
    types = rule.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_TYPES[t](value) for t in types):
        raise _wrong(where, " or ".join(_WORDS[t] for t in types), value)
    if isinstance(value, dict):
        _check_object(value, rule, where)
    elif isinstance(value, list):
        _check_list(value, rule, where)
    elif isinstance(value, str):
        if len(value) > rule.get("maxLength", len(value)):
            raise _wrong(where, f"at most {rule['maxLength']:,} characters", f"{len(value):,} characters")
    elif value is not None and not isinstance(value, bool):
        low, high = rule.get("minimum", value), rule.get("maximum", value)
        if not low <= value <= high:
            raise _wrong(where, f"{low:,} to {high:,}", value)


def _check_object(value: dict[str, Any], rule: Mapping[str, Any], where: str) -> None:
    for name in rule.get("required", ()):
        if name not in value:
            raise DataError(f"{name} is missing", expected=f"{where} with {', '.join(rule['required'])}",
                            got=", ".join(short(k) for k in list(value)[:8]) or "nothing", where=where,
                            fix=f"add {name}")  # fmt: skip
    members = rule.get("properties", {})
    for name, one in value.items():
        if name in members:
            _check(one, members[name], f"{where}.{name}")
        elif rule.get("additionalProperties", True) is False:
            raise DataError("there is no such member", expected=f"any of {', '.join(members)}", got=short(name),
                            where=where, fix="leave it out")  # fmt: skip


def _check_list(value: list[Any], rule: Mapping[str, Any], where: str) -> None:
    least, most = rule.get("minItems", 0), rule.get("maxItems", len(value))
    if not least <= len(value) <= most:
        raise _wrong(where, f"{least} entries" if least == most else f"{least} to {most} entries", f"{len(value)}")
    if "items" in rule:
        for position, one in enumerate(value):
            _check(one, rule["items"], f"{where}[{position}]")


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    return rule


def _holds(value: Any, rule: Mapping[str, Any]) -> bool:
    try:
        _check(value, rule, "")
    except DataError:
        return False
    return True


def _words(rule: Mapping[str, Any]) -> str:
    types = rule.get("type", [])
    return " or ".join(_WORDS[t] for t in ([types] if isinstance(types, str) else types))


def _wrong(where: str, expected: str, got: Any) -> DataError:
    return DataError("a member of the message is not what it must be", expected=expected, got=short(got),
                     where=where, fix="send what is expected")  # fmt: skip
