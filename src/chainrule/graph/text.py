"""The printed form of a graph."""

from __future__ import annotations

from chainrule.graph.graph import Graph


def to_text(graph: Graph) -> str:
    """One line of text per line of the graph."""
    return "\n".join(
        f"%{i}: {line.spec} = {line.op.name} {' '.join(f'%{a}' for a in line.args)} {dict(line.attrs) or ''}"
        for i, line in enumerate(graph.lines)
    ) + "\nreturn " + " ".join(f"%{i}" for i in graph.outputs)
