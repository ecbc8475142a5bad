"""From a matrix product of a graph to its kernel: which buffers it reads, and how they lie."""

from __future__ import annotations

from chainrule.compile.fuse import Fused, strides_over
from chainrule.compile.llvm import Call, Module
from chainrule.compile.products import product
from chainrule.compile.target import Target
from chainrule.compile.tiles import Matrix, Product


def product_call(fused: Fused, number: int, target: Target, module: Module) -> Call:
    """The kernel of a matrix product, reading its operands where and as they lie."""
    graph = fused.graph
    (index,) = fused.clusters[number].lines
    line = graph.lines[index]
    *lead, m, n = line.spec.shape
    roots: list[int] = []

    def matrix(arg: int) -> Matrix:
        view = fused.views[arg]
        assert view is not None
        shape = graph.lines[arg].spec.shape
        strides = strides_over(view, shape, (*lead, *shape[-2:]))
        roots.append(view.root)
        return Matrix(len(roots) - 1, strides[-2], strides[-1], strides[:-2], view.offset)

    a, b, c = (matrix(i) for i in (*line.args, index))
    k = graph.lines[line.args[0]].spec.shape[-1]
    spec = Product(line.spec.dtype, m, n, k, a, b, c, tuple(lead))

    def make(name: str) -> tuple[str, int]:
        made = product(spec, target, name=name, node=module.node)
        return made.text.replace("{\n", f"{{\n  ; {made.plan}\n", 1), made.chunks  # the tiling, for readers

    return module.add_text(make, spec, tuple(roots))
