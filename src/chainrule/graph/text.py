"""The printed form of a graph, for people (the default) and for files (``full=True``, which ``parse`` reads back).

::

    graph(%0 x: f64[3], %1 w: f64[3,2]) -> f64[]:
      %2: f64[2] = matmul %0 %1                         # model.py:12 in f
      %4: f64[2] = chain_mul %2 0.5 of=%2.0             # model.py:12 in f
      %5: f64[2] = call %4 body=@0
        @0 = graph(%0 h: f64[2]) -> f64[2]:
          …
      return %5

A line reads: number, type, op, arguments, attributes, the forward line and argument it serves (``of``), source.
For people, scalar constants stand where they are used, long constants are shortened and files go by their base name.
In full nothing is left out: the bits of every constant survive, also those of NaN and of -0.0.

Python functions held by custom rules are shown by name; a text with one of them can't be read back.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, short_dtype
from chainrule.graph.graph import Constant, Graph, Line, Source
from chainrule.ops.expr import CATALOGUE

_NAME = re.compile(r"[^\s(),:\"%][^\s(),:\"]*\Z")
_COMMENT_COLUMN = 56
_LISTED = 64
"""Constants of more elements than this are written as base64 of their bytes in full text."""
_SHOWN = 6
"""Elements of a constant that a reader is shown."""


def to_text(graph: Graph, full: bool = False) -> str:
    """The graph as text, one line of text per line of the graph.

    ``full=False`` is for reading; ``full=True`` keeps everything: :func:`chainrule.graph.parse.parse` reads it back.
    """
    rows: list[str] = []
    _write(rows, graph, full, "", "")
    return "\n".join(rows)


def line_text(graph: Graph, index: int, full: bool = True) -> str:
    """One line of the graph, without the graphs nested in it.  Works for lines that break the rules, too."""
    line = graph.lines[index]
    if index < graph.inputs and line == Line(line.op, (), (), line.spec):
        return f"%{index}: {type_text(line.spec)} = input {_input_name(graph, index, full)}".rstrip()
    return _line(graph, index, full, {}, {})


def _write(rows: list[str], graph: Graph, full: bool, indent: str, label: str) -> None:
    inputs = ", ".join(
        f"{f'%{i} {_input_name(graph, i, full)}'.rstrip()}: {type_text(line.spec)}"
        for i, line in enumerate(graph.lines[: graph.inputs])
    )
    outputs = [type_text(graph.lines[i].spec) for i in graph.outputs]
    result = outputs[0] if len(outputs) == 1 else f"({', '.join(outputs)})"
    rows.append(f"{indent}{label}graph({inputs}) -> {result}:")
    inline = {} if full else _inlined(graph)
    for index in range(graph.inputs, len(graph.lines)):
        if index in inline:
            continue
        nested: dict[Graph, int] = {}
        rows.append(f"{indent}  {_line(graph, index, full, inline, nested)}")
        for inner, number in nested.items():
            _write(rows, inner, full, indent + "    ", f"@{number} = ")
    rows.append(f"{indent}  return {', '.join(inline.get(i, f'%{i}') for i in graph.outputs)}".rstrip())


def _input_name(graph: Graph, index: int, full: bool) -> str:
    if index >= len(graph.names):
        return ""
    name = graph.names[index]
    return quoted(name) if full or (name and not _NAME.match(name)) else name


def _inlined(graph: Graph) -> dict[int, str]:
    """The scalar constants, as they are shown in place."""
    return {
        index: _plain(line.attrs[0][1].array[()])
        for index, line in enumerate(graph.lines)
        if line.op.name == "constant" and line.attrs[0][1].array.ndim == 0
    }


def _line(graph: Graph, index: int, full: bool, inline: dict[int, str], nested: dict[Graph, int]) -> str:
    line = graph.lines[index]
    parts = [f"%{index}: {type_text(line.spec)} = {getattr(line.op, 'name', line.op)}"]
    parts += [inline.get(a, f"%{a}") for a in line.args]
    if not full and line.op is CATALOGUE["constant"]:
        parts.append(_shortened(line.attrs[0][1].array))
    else:
        parts += [f"{name}={value_text(value, nested)}" for name, value in line.attrs]
    if line.of is not None:
        parts.append(f"of=%{line.of[0]}.{line.of[1]}")
    text = " ".join(parts)
    return text if line.source is None else _with_source(text, line, full)


def _with_source(text: str, line: Line, full: bool) -> str:
    source = line.source
    if not isinstance(source, Source):
        return f"{text} from <{type(source).__name__}>"
    if full:
        return f"{text} from {quoted(source.file)}:{source.line} in {quoted(source.function)}"
    return f"{text:<{_COMMENT_COLUMN}}  # {os.path.basename(source.file)}:{source.line} in {source.function}"


def type_text(spec: Any) -> str:
    """``f64[3,2]``, or ``(f64[3], f64[2])`` for a line with several outputs."""
    if isinstance(spec, Spec) and isinstance(spec.dtype, np.dtype):
        return str(spec)
    if not isinstance(spec, tuple) or isinstance(spec, Spec):
        return f"<{type(spec).__name__}>"
    return f"({', '.join(type_text(s) for s in spec)}{',' if len(spec) == 1 else ''})"


def value_text(value: Any, nested: dict[Graph, int]) -> str:
    """An attribute's value; graphs are numbered in ``nested`` and stand as ``@number``."""
    if isinstance(value, Graph):
        return f"@{nested.setdefault(value, len(nested))}"
    if isinstance(value, Constant):
        return _constant(value.array)
    if isinstance(value, Spec):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(value_text(v, nested) for v in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, np.dtype):
        return short_dtype(value)
    if value is None or isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, complex):
        return f"complex({_float(value.real)}, {_float(value.imag)})"
    if isinstance(value, str):
        return quoted(value)
    name = getattr(value, "__name__", None)
    shown = f"{type(value).__name__} {name}" if isinstance(name, str) else type(value).__name__
    return f"<{re.sub(r'[<>]', '', shown)}>"


def quoted(text: str) -> str:
    """``text`` in double quotes, ASCII only, on one line."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def _float(value: float) -> str:
    return repr(value)  # the shortest text that reads back to the same float; also nan, inf, -0.0


def _plain(scalar: Any) -> str:
    """A scalar for a reader: as short as its dtype allows."""
    if scalar.dtype.kind == "c":
        return f"({scalar.real.item()!s}{scalar.imag.item():+}j)"
    return str(scalar)


def _shortened(array: Any) -> str:
    flat = array.reshape(-1)
    if flat.size > 1 and flat.tobytes() == np.full_like(flat, flat[0]).tobytes():
        return f"[{_plain(flat[0])} everywhere]"
    shown = ", ".join(_plain(v) for v in flat[:_SHOWN])
    return f"[{shown}]" if flat.size <= _SHOWN else f"[{shown}, … {flat.size} in all]"


def _constant(array: Any) -> str:
    """A constant to the last bit: ``const(f64[2]: 1.0, -0.0)``, or the bytes in base64 where it is long."""
    head = f"const({short_dtype(array.dtype)}[{','.join(map(str, array.shape))}]"
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1)
    if array.size > _LISTED:
        return f'{head}: base64 "{base64.b64encode(little.tobytes()).decode("ascii")}")'
    if array.dtype.kind == "c":
        little = little.view(f"<f{array.dtype.itemsize // 2}")
    return f"{head}: {', '.join(_element(v) for v in little)})" if little.size else f"{head}:)"


def _element(value: Any) -> str:
    if value.dtype.kind != "f":
        return str(value.item())
    # A wider float's digits read back to the same narrower float; a NaN may carry bits that its name does not.
    text = repr(value.item())
    if np.asarray(float(text), value.dtype).tobytes() == np.asarray(value).tobytes():
        return text
    return "0x" + np.asarray(value).astype(value.dtype.newbyteorder(">")).tobytes().hex()
