"""From a matrix product of a graph to its kernel: which buffers it reads, how they lie, and what rides on its tiles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from chainrule.compile.emit import memory_type
from chainrule.compile.finish import TILE, Riding, finish_kernel, is_ridden, riding
from chainrule.compile.fuse import Fused
from chainrule.compile.hooks import Block, Hooks
from chainrule.compile.llvm import Call, Module, buffers_of, renamed, statements
from chainrule.compile.loops import Kernel, Load
from chainrule.compile.products import ProductKernel, product
from chainrule.compile.target import Target
from chainrule.compile.tiles import Product
from chainrule.compile.writer import Writer, add, at, divide, multiply

_DEEP = 128  # steps of k from which on there is time to fetch something
_LINE = 64  # bytes that come at once, on most machines


def product_call(fused: Fused, number: int, target: Target, module: Module) -> Call:
    """The kernel of a product's cluster, reading its operands where and as they lie."""
    ride = riding(fused, number)
    if is_ridden(fused, number):
        return _with_finish(fused, number, ride, target, module)

    def make(name: str) -> tuple[str, int]:
        made = product(ride.product, target, name=name, node=module.node)
        return _told(made), made.chunks

    return module.add_text(make, ride.product, (*ride.operands, fused.clusters[number].lines[0]))


def _with_finish(fused: Fused, number: int, ride: Riding, target: Target, module: Module) -> Call:
    whole = finish_kernel(fused, number, ride)
    buffers = (*ride.operands, *buffers_of(whole))
    beside = _read_beside(whole, ride.product)
    size = sum(load.dtype.itemsize for load in beside) * ride.product.m * ride.product.n
    far = ride.product.k >= _DEEP and size > 2 * target.cores * target.caches.l2
    slots = {buffer: position + 2 for position, buffer in enumerate(buffers[2:])}

    def make(name: str) -> tuple[str, int]:
        finish = _Finish(fused, number, ride, module, name, buffers)
        hooks = Hooks(finish=finish.call, fetch=partial(_fetch, beside, buffers) if far else None)
        made = product(ride.product, target, name=name, node=module.node, hooks=hooks)
        return "\n\n".join([*finish.functions.values(), _told(made)]), made.chunks

    return module.add_text(make, (ride.product, ride.batch, ride.row, renamed(whole, slots)), buffers)


def _read_beside(kernel: Kernel, product: Product) -> list[Load]:
    """What the loops behind a product read that is as large as C, and lies as C does."""
    found = []
    for load in statements(kernel):
        terms = dict(load.place.terms) if isinstance(load, Load) else {}
        if terms.get("column") == 1 and terms.get("row", 0) >= product.n and not product.batch:
            found.append(load)
    return found


def _fetch(beside: Sequence[Load], buffers: Sequence[Any], out: Writer, row: str, column: str, columns: int) -> None:
    """Ask for ``columns`` elements of a row of each of those."""
    for load in beside:
        element, place = memory_type(load.dtype), load.place
        array = out.new(f"load ptr, ptr {at(out, 'ptr', '%buffers', buffers.index(load.buffer))}")
        first = add(out, multiply(out, row, dict(place.terms)["row"]), add(out, column, place.offset))
        piece = at(out, element, array, first)
        for j in range(0, columns, _LINE // load.dtype.itemsize):
            out.put(f"call void @llvm.prefetch.p0(ptr {at(out, element, piece, j)}, i32 0, i32 2, i32 1)")


def _told(made: ProductKernel) -> str:
    """The text of a product, a function of its own as other kernels are, with its tiling as a comment for readers."""
    return made.text.replace(" #0 {\n", f" noinline #0 {{\n  ; {made.plan or 'nothing to do'}\n", 1)


class _Finish:
    """The functions that finish tiles, one for each width of tile and way it lies."""

    def __init__(self, fused: Fused, number: int, ride: Riding, module: Module, name: str,
                 buffers: tuple[int, ...]) -> None:  # fmt: skip
        self.fused, self.number, self.ride, self.module, self.name = fused, number, ride, module, name
        self.buffers = (None, None, *buffers[2:])  # the first two are the operands, which the loops don't read
        self.functions: dict[str, str] = {}  # name → text

    def call(self, out: Writer, block: Block) -> None:
        """Finish rows of tiles: a call of the function for their size."""
        product = self.ride.product
        length = block.rows if product.n == 1 else block.columns  # of the innermost loop
        rows = product.m if isinstance(block.rows, str) else block.rows
        columns = product.n if isinstance(block.columns, str) else block.columns
        name = f"{self.name}.finish{'' if isinstance(length, str) else length}.{rows}"
        if name not in self.functions:
            strides = block.row_stride, block.column_stride
            split = isinstance(length, str)
            kernel = finish_kernel(self.fused, self.number, self.ride, rows, columns, strides, split)
            self.functions[name] = self.module.called(kernel, name, self.buffers, (TILE,), self.ride.indices)
        batch = block.batch
        places = []
        for extent in reversed(product.batch):
            batch, place = divide(out, batch, extent)
            places.append(place)
        indices = "".join(f", i64 {i}" for i in (block.row, block.column, *reversed(places)))
        out.put(f"call void @{name}(ptr %buffers, i64 0, i64 {length}, ptr {block.pointer}{indices})")
