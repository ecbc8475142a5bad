"""Jacobians: the pullback of every unit cotangent, or the pushforward of every unit tangent, all at once by batching.

Does not do: sparse Jacobians, colouring.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.trace.tracer import handed_over, run
from chainrule.transforms.arguments import Call
from chainrule.transforms.batching import vmap_graph
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import split_vjp


def reverse_blocks(call: Call, count: int) -> list[list[Any]]:
    """For each output, ∂output/∂input for each input: the pullback of each unit cotangent, batched."""
    graph = call.graph
    rows: list[list[Any]] = []
    for position, out in enumerate(graph.output_specs):
        parts = split_vjp(graph, tuple(range(count)), (position,))
        residuals = run(parts.forward, call.inputs)[parts.outputs :]
        size = int(np.prod(out.shape, dtype=np.int64))
        basis = np.eye(size, dtype=out.dtype).reshape(size, *out.shape)
        batched = vmap_graph(parts.backward, (False,) * len(residuals) + (True,), size, None)
        found = run(batched, [*residuals, basis])
        rows.append(handed_over([np.reshape(b, out.shape + np.shape(b)[1:]) for b in found]))
    return rows


def forward_blocks(call: Call, count: int) -> list[list[Any]]:
    """For each output, ∂output/∂input for each input: the pushforward of each unit tangent, batched."""
    graph = call.graph
    columns: list[list[Any]] = []
    for position, spec in enumerate(graph.input_specs[:count]):
        size = int(np.prod(spec.shape, dtype=np.int64))
        basis = np.eye(size, dtype=spec.dtype).reshape(size, *spec.shape)
        whole = jvp_graph(graph, (position,))
        batched = vmap_graph(whole, (False,) * graph.inputs + (True,), size, None)
        tangents = run(batched, [*call.inputs, basis])[len(graph.outputs) :]
        columns.append(handed_over([
            np.reshape(np.moveaxis(t, 0, -1), np.shape(t)[1:] + spec.shape) for t in tangents
        ]))  # fmt: skip
    return [list(row) for row in zip(*columns, strict=True)]
