"""Which line of the user's code is running: the innermost frame outside chainrule and the libraries it runs in."""

from __future__ import annotations

import os
import sys
from types import FrameType

import numpy as np

from chainrule.graph.graph import Graph, Source

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_SITE = os.path.dirname(os.path.dirname(os.path.abspath(np.__file__)))
_LIBRARIES = ("numpy", "scipy", "optree", "click", "typer")
_HIDDEN = (_PACKAGE, *(os.path.join(_SITE, name) + os.sep for name in _LIBRARIES), "<frozen")

_is_hidden: dict[str, bool] = {}
_sources: dict[tuple[str, int, str], Source] = {}


def user_source() -> Source | None:
    """The Source of the user's line that is running now, or None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        hidden = _is_hidden.get(name)
        if hidden is None:
            hidden = _is_hidden[name] = name.startswith(_HIDDEN)
        if not hidden:
            key = (name, frame.f_lineno, frame.f_code.co_name)  # one line may hold several functions
            found = _sources.get(key)
            if found is None:
                found = _sources[key] = Source(name, frame.f_lineno, frame.f_code.co_name)
            return found
        frame = frame.f_back
    return None


def without_sources(graph: Graph) -> Graph:
    """The graph without the user's lines, the graphs inside it as well."""
    lines = []
    for line in graph.lines:
        attrs = tuple((name, without_sources(v) if isinstance(v, Graph) else v) for name, v in line.attrs)
        lines.append(line._replace(source=None, attrs=attrs))
    return Graph(tuple(lines), graph.inputs, graph.outputs, graph.names)
