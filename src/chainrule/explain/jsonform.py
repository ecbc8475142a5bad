"""An explanation as JSON, of the form that ``explanation.schema.json`` beside this file describes.

Complete enough to draw and to replay from: the graph with the value, gradient and formula of every line, the local
derivative on every edge, both tellings, paths, updates and checks.  Formulas come as LaTeX, text and MathML.
Numbers that JSON lacks are the strings "nan", "inf" and "-inf"; arrays of more than ``MOST_VALUES`` elements have a
summary in place of their values.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.explain.mathml import mathml
from chainrule.explain.plain import plain
from chainrule.explain.step import Step, Summary
from chainrule.explain.teller import derivative
from chainrule.graph.graph import Source
from chainrule.ops.structure import is_plumbing

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation
    from chainrule.explain.paths import PathSum

FORMAT = "chainrule.explanation"
VERSION = 1
MOST_VALUES = 1_000


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what :func:`to_json` writes."""
    text = files("chainrule.explain").joinpath("explanation.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def to_json(explanation: Explanation) -> str:
    """The JSON text, on one line."""
    return json.dumps(as_data(explanation), ensure_ascii=False, allow_nan=False)


def as_data(explanation: Explanation) -> dict[str, Any]:
    """The explanation as dicts, lists, strings and numbers."""
    loss = explanation.graph.outputs[0]
    return {
        "format": FORMAT,
        "version": VERSION,
        "function": explanation.function,
        "expression": explanation.expression,
        "learning_rate": explanation.learning_rate,
        "loss": {"line": loss, "symbol": formula(explanation.symbol(loss)), "value": number(explanation.value)},
        "key": formula(explanation.key),
        "nodes": _nodes(explanation),
        "edges": _edges(explanation),
        "steps": [_step(s) for s in explanation.steps],
        "chain": [_step(s) for s in explanation.chain],
        "gradients": {name: array(value) for name, value in explanation.gradients.items()},
        "updates": [
            {
                "name": u.name,
                "symbol": formula(u.symbol),
                "formula": formula(rf"{u.symbol} \gets {u.formula}"),
                "filled": formula(u.filled),
                "value": array(u.value),
            }
            for u in explanation.updates.values()
        ],
        "checks": [
            {
                "name": name,
                "derivative": number(c.derivative),
                "difference": number(c.difference),
                "verdict": c.verdict,
                "along": c.along,
            }
            for name, c in explanation.checks.items()
        ],
        "paths": [_paths(name, total) for name, total in explanation.paths.items()] if explanation.wants_paths else [],
        "layers": [
            {
                "name": layer.name,
                "gradient": number(layer.gradient),
                "uses": [
                    {"through": use.line, "arriving": number(use.arriving), "sent": number(use.sent),
                     "share": number(use.share), "within": use.within}
                    for use in layer.uses
                ],
            }
            for layer in explanation.layers
        ],
        "sent": [
            {
                "line": one.line,
                "terms": [
                    {"through": t.head, "share": number(t.share), "value": array(t.value)} for t in one.terms
                ],
            }
            for one in explanation.sent
        ],
    }


def formula(latex: str | None) -> dict[str, str] | None:
    """A formula in its three notations."""
    return None if latex is None else {"latex": latex, "text": plain(latex), "mathml": mathml(latex)}


def number(value: Any) -> Any:
    """A number as JSON has it: complex ones as [real, imaginary], others that JSON lacks as strings."""
    item = np.asarray(value).item()
    if isinstance(item, complex):
        return [number(item.real), number(item.imag)]
    if isinstance(item, float) and not np.isfinite(item):
        return "nan" if np.isnan(item) else "inf" if item > 0 else "-inf"
    return item


def array(value: Any) -> dict[str, Any] | None:
    """An array: shape, dtype, its values where they are few, and (except for one number) a summary."""
    if value is None or isinstance(value, tuple):
        return None
    found = np.asarray(value)
    if not found.shape:
        return {"shape": [], "dtype": found.dtype.name, "values": number(found), "summary": None}
    summary = Summary.of(found)
    return {
        "shape": list(found.shape),
        "dtype": found.dtype.name,
        "values": _nested(found) if found.size <= MOST_VALUES else None,
        "summary": {
            "norm": number(summary.norm),
            "least": number(summary.least),
            "largest": number(summary.largest),
            "mean": number(summary.mean),
            "zeros": number(summary.zeros),
            "nonfinite": summary.nonfinite,
        },
    }


def _nested(value: Any) -> Any:
    if value.dtype.kind in "iub" or (value.dtype.kind == "f" and np.all(np.isfinite(value))):
        return value.tolist()
    return number(value) if value.ndim == 0 else [_nested(v) for v in value]


def _source(source: Source | None, code: str | None) -> dict[str, Any] | None:
    if source is None:
        return None
    file = source.file.replace("\\", "/").rpartition("/")[2]
    return {"file": file, "line": source.line, "function": source.function, "code": code}


def _nodes(explanation: Explanation) -> list[dict[str, Any]]:
    """Every line of the graph; ``step`` is the line in whose formula it is written."""
    told = {s.line: s for s in explanation.steps if s.phase == "forward"}
    graph, outline = explanation.graph, explanation.outline
    found = []
    for index, line in enumerate(graph.lines):
        step = told.get(index)
        found.append(
            {
                "line": index,
                "op": line.op.name,
                "kind": line.op.kind,
                "name": graph.input_name(index) if index < graph.inputs else None,
                "plumbing": is_plumbing(line.op.name),
                "arguments": list(line.args),
                "step": outline.head[index] if outline.head[index] >= 0 else None,
                "symbol": formula(outline.symbol.get(index)),
                "formula": formula(step.formula) if step else None,
                "filled": formula(step.filled) if step else None,
                "sentence": step.sentence if step else line.op.sentence,
                "shape": list(line.spec.shape) if isinstance(line.spec, Spec) else None,
                "value": array(explanation.value_of(index)),
                "gradient": array(explanation.gradient(index)),
                "differentiated": index in explanation.record.wrt,
                "source": _source(line.source, step.code if step else None),
            }
        )
    return found


def _edges(explanation: Explanation) -> list[dict[str, Any]]:
    """One per use: the local derivative, and what is passed back over it."""
    values = explanation.values
    symbol = explanation.outline.symbol
    local_of = {(s.of, s.line): s.local for s in explanation.steps if s.of is not None}
    found = []
    for use in explanation.record.uses:
        told = local_of.get(((use.line, use.position), use.argument))
        local = None
        if use.local is not None:
            local = array(np.float64(use.local) if isinstance(use.local, float) else values[use.local])
        names = use.line in symbol and use.argument in symbol
        found.append(
            {
                "line": use.line,
                "position": use.position,
                "argument": use.argument,
                "symbol": formula(derivative(symbol[use.line], symbol[use.argument])) if names else None,
                "rule": formula(told.rule) if told else None,
                "filled": formula(told.filled) if told else None,
                "local": local,
                "part": array(values[use.part]),
            }
        )
    return found


def _step(step: Step) -> dict[str, Any]:
    local = step.local
    return {
        "number": step.number,
        "phase": step.phase,
        "line": step.line,
        "lines": list(step.lines),
        "through": step.through,
        "symbol": formula(step.symbol),
        "formula": formula(step.formula),
        "filled": formula(step.filled),
        "value": array(step.value),
        "sentence": step.sentence,
        "part": step.part,
        "arriving": array(step.arriving),
        "arriving_symbol": formula(step.arriving_symbol),
        "local": None
        if local is None
        else {
            "symbol": formula(local.symbol),
            "rule": formula(local.rule),
            "filled": formula(local.filled),
            "value": array(local.value),
        },
        "terms": [
            {"through": t.head, "share": number(t.share), "value": array(t.value)} for t in step.terms
        ],
        "shapes": step.shapes,
        "why_zero": step.why_zero,
        "within": step.within,
        "source": _source(step.source, step.code),
    }


def _paths(name: str, total: PathSum) -> dict[str, Any]:
    return {
        "name": name,
        "count": str(total.count),
        "total": number(total.total),
        "rest": number(total.rest),
        "paths": [
            {"lines": list(p.nodes), "factors": [number(f) for f in p.factors], "product": number(p.product)}
            for p in total.paths
        ],
    }
