"""A saved explanation, opened: checked against the schema of explanations and itself, then put in the common form.

One that was made from an expression is replayed from it; any other is shown as it was saved.  Nothing in the file is
run: formulas are read by the engine's own reader of LaTeX, ops are only names.

The check reads the schema's own file, the keywords that it uses (draft 2020-12): type, const, enum, minimum, items,
minItems, maxItems, properties, required, additionalProperties, anyOf, $ref.
Does not do: curves or changed values of an explanation without an expression, for its function is not in the file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.base.errors import DataError
from chainrule.explain.jsonform import FORMAT, schema
from chainrule.explain.outline import Outline
from chainrule.graph.graph import Graph, Line
from chainrule.ops.expr import CATALOGUE
from chainrule.play.walk_view import Node, Tale, Told

MOST_NODES = 2_000
MOST_LATEX = 20_000
MOST_DEPTH = 40

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v == v // 1,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}


def refused(problem: str, got: object, fix: str = "open a file that an explanation's to_json() wrote") -> DataError:
    """The error for a file that is no explanation."""
    return DataError(problem, expected=f"JSON of the form {FORMAT}", got=str(got)[:80], where="the file", fix=fix)


def check(data: Any) -> dict[str, Any]:
    """``data``, if it is an explanation.  Raises DataError with the place of the first thing that is not."""
    form = data.get("format") if isinstance(data, dict) else type(data).__name__
    if not isinstance(data, dict) or form != FORMAT:
        raise refused("this is no saved explanation", form)
    nodes = data.get("nodes")
    if isinstance(nodes, list) and len(nodes) > MOST_NODES:
        raise refused("the explanation is too large to walk through", f"{len(nodes)} lines", "open a smaller one")
    wrong = first_wrong(data)
    if wrong is not None:
        raise DataError("this explanation does not fit its schema", expected=f"JSON of the form {FORMAT}",
                        got=wrong[1], where=wrong[0] or "the file", fix="open it as to_json() wrote it")  # fmt: skip
    _consistent(data)
    return data


def first_wrong(data: Any) -> tuple[str, str] | None:
    """(place, what is there) of the first part of ``data`` that the schema of explanations does not allow."""
    return _wrong(data, _schema(), "", 0)


@functools.cache
def _schema() -> dict[str, Any]:
    return schema()


def _wrong(value: Any, rule: Mapping[str, Any], place: str, depth: int) -> tuple[str, str] | None:
    if depth > MOST_DEPTH:
        return place, "deep lists"
    while "$ref" in rule:
        rule = _schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    if "anyOf" in rule:
        tried = [_wrong(value, one, place, depth + 1) for one in rule["anyOf"]]
        return None if None in tried else max(filter(None, tried), key=lambda one: len(one[0]))
    types = rule.get("type", ())
    types = (types,) if isinstance(types, str) else types
    if (
        (types and not any(_TYPES[t](value) for t in types))
        or ("const" in rule and not _same(value, rule["const"]))
        or ("enum" in rule and not any(_same(value, one) for one in rule["enum"]))
        or ("minimum" in rule and _TYPES["number"](value) and value < rule["minimum"])
    ):
        return place, repr(value)[:60]
    parts: Iterable[tuple[object, Any, Any]] = ()
    if isinstance(value, list):
        if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
            return place, f"{len(value)} entries"
        parts = ((i, item, rule.get("items", {})) for i, item in enumerate(value))
    elif isinstance(value, dict):
        missing = [name for name in rule.get("required", ()) if name not in value]
        if missing:
            return place, f"no {missing[0]}"
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        if others is False and (more := [name for name in value if name not in known]):
            return place, f"{more[0][:40]!r}, which has no place there"
        other = {} if isinstance(others, bool) else others
        parts = ((name, item, known.get(name, other)) for name, item in value.items())
    found = (_wrong(item, one, f"{place}/{name}".lstrip("/"), depth + 1) for name, item, one in parts if one)
    return next((one for one in found if one is not None), None)


def _same(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _consistent(data: dict[str, Any]) -> None:
    """The graph is one: lines in order, arguments before their users, formulas and steps on lines that are there."""
    nodes = data["nodes"]
    count = len(nodes)
    for position, node in enumerate(nodes):
        step = node["step"]
        if node["line"] != position or any(a >= position for a in node["arguments"]):
            raise refused(f"line {position} of the graph is out of order", node["arguments"])
        if step is not None and (not position <= step < count or nodes[step]["step"] != step):
            raise refused(f"line {position} belongs to a step that is not there", step)
        if step == position and node["symbol"] is None:
            raise refused(f"line {position} has no symbol", None)
    lines = [data["loss"]["line"], *(s["line"] for s in data["chain"]),
             *(s["through"] for s in data["chain"] if s["through"] is not None),
             *(t["through"] for s in data["chain"] for t in s["terms"])]  # fmt: skip
    for line in lines:
        if not 0 <= line < count or nodes[line]["step"] != line:
            raise refused("a step is on a line that is not there", line)


def given(data: dict[str, Any]) -> dict[str, Any] | None:
    """What the explanation was made from, where it holds an expression with the values of all its variables."""
    if data["expression"] is None:
        return None
    inputs = [node for node in data["nodes"] if node["op"] == "input"]
    if any(node["name"] is None or (node["value"] or {}).get("values") is None for node in inputs):
        return None
    return {
        "expression": data["expression"],
        "at": {node["name"]: node["value"]["values"] for node in inputs},
        "wrt": [node["name"] for node in inputs if node["differentiated"]],
        "learning_rate": data["learning_rate"],
    }


def told(data: dict[str, Any]) -> Told:
    """The common form of a checked explanation."""
    nodes = data["nodes"]
    heads = tuple(node["line"] for node in nodes if node["step"] == node["line"])
    return Told(
        function=data["function"][:2_000],
        expression=None,
        rate=float(data["learning_rate"]),
        loss=data["loss"]["line"],
        key=_latex(data["key"]) or "",
        outline=Outline(
            _graph(data), heads, tuple(-1 if n["step"] is None else n["step"] for n in nodes),
            {n["line"]: _latex(n["symbol"]) or "" for n in nodes if n["symbol"] is not None},
        ),
        nodes={line: _node(nodes[line]) for line in heads},
        chain=tuple(_tale(s) for s in data["chain"]),
        updates=tuple(
            {
                "name": u["name"], "symbol": _latex(u["symbol"]) or "",
                "formula": (_latex(u["formula"]) or "").partition(r"\gets")[2], "filled": _latex(u["filled"]),
                "value": u["value"],
            }
            for u in data["updates"]
        ),
        checks=tuple({k: c[k] for k in ("name", "derivative", "difference", "verdict")} for c in data["checks"]),
    )  # fmt: skip


def _graph(data: dict[str, Any]) -> Graph:
    """The graph as far as drawing needs it: ops by name, shapes, arguments; it is never run."""
    lines = []
    for node in data["nodes"]:
        op = CATALOGUE.get(node["op"], CATALOGUE["constant"])
        lines.append(Line(op, tuple(node["arguments"]), (), Spec(tuple(node["shape"] or ()), np.dtype(np.float64))))
    inputs = next((i for i, node in enumerate(data["nodes"]) if node["op"] != "input"), len(lines))
    return Graph(tuple(lines), inputs, (data["loss"]["line"],), tuple(n["name"] or "" for n in data["nodes"][:inputs]))


def _latex(formula: dict[str, str] | None) -> str | None:
    if formula is None:
        return None
    if len(formula["latex"]) > MOST_LATEX:
        raise refused("a formula is too long", f"{len(formula['latex'])} characters")
    return formula["latex"]


def _node(node: dict[str, Any]) -> Node:
    return Node(
        _latex(node["symbol"]) or "", node["name"],
        node["op"] if node["op"] != "input" else f"the input {node['name']}",
        node["value"], node["gradient"], node["differentiated"],
    )  # fmt: skip


def _tale(step: dict[str, Any]) -> Tale:
    local = step["local"]
    return Tale(
        step["phase"], step["line"], step["through"], _latex(step["symbol"]) or "", _latex(step["formula"]) or "",
        _latex(step["filled"]), step["value"], step["sentence"], step["part"],
        None if local is None else
        (_latex(local["symbol"]) or "", _latex(local["rule"]) or "", _latex(local["filled"]), local["value"]),
        tuple((t["through"], t["value"]) for t in step["terms"]), step["shapes"], step["why_zero"],
        (step["source"] or {}).get("code"),
    )  # fmt: skip
