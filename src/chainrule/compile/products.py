"""Matrix products as LLVM text: C[m, n] (+)= A[m, k]·B[k, n], one function per product, all sizes known.

The function computes a range of chunks (``plan`` in ``tiles`` cuts the work).  In a chunk: for each block of k, the
panels of B are packed (or read in place), then for each tile of rows and each panel the sums of one register tile run
over the block with fused multiply-adds: a row of the panel times broadcasts of A (Goto and van de Geijn, 2008).
Few rows or columns along contiguous k use dot products of vectors along k instead; a single row of C is kept in memory
while B streams by, some rows at a time.  Sums are taken in an order that
depends on the plan alone, never on the number of threads.

Hooks (see ``hooks``) put other work into the product: into the packing of operands, on the sums in registers, on
finished blocks.
Does not do: complex and integer products, sums of a k split over threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from chainrule.base.errors import ShapeError
from chainrule.compile.hooks import Block, Fill, Hooks, Sums
from chainrule.compile.packing import pack_panel, pack_row, pack_rows, skewed
from chainrule.compile.sums import CHAIN, Strided, broadcast_sums, dot_sums
from chainrule.compile.target import Target
from chainrule.compile.tiles import Matrix, Panels, Plan, Product, Rows, column_start, merged, plan, row_start
from chainrule.compile.writer import (
    Lines,
    Vectors,
    Writer,
    add,
    at,
    branch,
    divide,
    least,
    loop,
    most,
    multiply,
    subtract,
)

_UNROLLED = 256  # multiply-adds of a tile up to which LLVM may unroll k


@dataclass(frozen=True)
class ProductKernel:
    """The text of ``void @name(ptr buffers, i64 begin, i64 end)``, which computes the chunks from begin to end.

    ``metadata`` are lines that belong at the end of the module (none where ``node`` was given); ``scratch`` is how many
    bytes of stack a call takes; ``flops`` counts the whole product.
    """

    name: str
    text: str
    metadata: tuple[str, ...]
    chunks: int
    flops: int
    scratch: int
    plan: Plan | None

    def __str__(self) -> str:
        return f"kernel {self.name}: {self.plan or 'nothing to do'}"


def product(
    spec: Product,
    target: Target,
    *,
    name: str = "product",
    hooks: Hooks | None = None,
    writer: Writer | None = None,
    entry: list[str] | None = None,
    node: Callable[[str], str] | None = None,
    attributes: str = "#0",
) -> ProductKernel:
    """The kernel of a matrix product.

    The matrices are ``buffers[slot]``.  Hooks write to ``writer`` and may add lines to ``entry``, the function's first
    block (``%buffers`` is in scope there).  ``node`` adds a metadata node to the module, in whose text ``@`` stands for
    the node itself, and returns its name.
    """
    hooks = hooks or Hooks()
    plain = hooks == Hooks()
    spec = merged(spec) if plain else spec
    if _turns(spec, hooks):
        spec, hooks = _turned(spec, hooks)
        turned = True
    else:
        turned = False
    out = writer if writer is not None else Lines()
    head = entry if entry is not None else []
    signature = f"define internal void @{name}(ptr noalias %buffers, i64 %begin, i64 %end) {attributes} {{"
    if min(spec.m, spec.n, *spec.batch, 1) < 1:
        return ProductKernel(name, "\n".join([signature, "entry:", "  ret void", "}"]), (), 0, 0, 0, None)
    metadata: list[str] = []

    def own_node(text: str) -> str:
        metadata.append(f"!{len(metadata)} = {text.replace('@', f'!{len(metadata)}')}")
        return f"!{len(metadata) - 1}"

    packs = (hooks.prologue_a is not None, hooks.prologue_b is not None)
    cut = plan(spec, target, packs=packs, whole_rows=hooks.whole_rows, strips=hooks.finish is not None)
    code = _Code(spec, cut, target, hooks, out, head, turned, node or own_node)
    code.chunks()
    body = [*head, "  br label %start", "start:", *out.lines, "  ret void", "}"]
    text = "\n".join([signature, "entry:", *body])
    return ProductKernel(name, text, tuple(metadata), cut.chunks, spec.flops, code.scratch, cut)


def _turns(spec: Product, hooks: Hooks) -> bool:
    """Whether Cᵀ = Bᵀ·Aᵀ is computed instead: C's rows lie side by side, or one column meets an A that does."""
    c = spec.c
    if c is not None and c.column != 1 and spec.n > 1:
        if hooks.whole_rows:
            raise ShapeError("the columns of C do not lie side by side", expected="a column stride of 1",
                             got=f"a column stride of {c.column}", where="a matrix product with whole_rows",
                             fix="compute into an array in C order")  # fmt: skip
        return True
    return spec.n == 1 and spec.m > 1 and spec.a.row == 1 and spec.a.column != 1 and (
        c is None or c.row == 1
    ) and hooks.prologue_a is None  # fmt: skip


def _turned(spec: Product, hooks: Hooks) -> tuple[Product, Hooks]:
    def flip(x: Matrix | None) -> Matrix | None:
        return None if x is None else x._replace(row=x.column, column=x.row)

    def through(fill: Fill | None) -> Fill | None:
        return None if fill is None else lambda out, block: fill(out, block.turned())

    a, b = flip(spec.b), flip(spec.a)
    assert a is not None
    assert b is not None
    return (
        replace(spec, m=spec.n, n=spec.m, a=a, b=b, c=flip(spec.c)),
        Hooks(through(hooks.prologue_b), through(hooks.prologue_a), hooks.epilogue, through(hooks.finish)),
    )


class _Code:
    """Writes the body of one kernel."""

    def __init__(self, spec: Product, cut: Plan, target: Target, hooks: Hooks, out: Writer, entry: list[str],
                 turned: bool, node: Callable[[str], str]) -> None:  # fmt: skip
        self.spec, self.cut, self.hooks, self.out, self.entry = spec, cut, hooks, out, entry
        self.turned, self.node = turned, node
        self.rolled = node('!{!"llvm.loop.unroll.disable"}')
        self.element = "float" if spec.dtype.itemsize == 4 else "double"
        self.size = spec.dtype.itemsize
        self.dot = cut.form == "dot"
        self.wide = Vectors(out, self.element, target.vector_bits // (8 * self.size), target.fma)
        self.scratch = 0
        self.blocks = -(-spec.k // cut.depth) if spec.k else 1
        lanes = 1 if self.dot else cut.lanes
        over_rows, over_columns = cut.grid[1:]
        self.chunk_columns = -(-cut.strips // over_columns) * cut.width * lanes
        self.a, self.b = (self._buffer(x) for x in (spec.a, spec.b))
        self.c = self._buffer(spec.c) if spec.c is not None else ""
        self.packed_b = self.packed_a = self.partial = self.streamed = self.strip = self.filled_b = ""
        if cut.pack_b:
            columns = spec.n if self.dot else self.chunk_columns
            self.packed_b = self._array("packed.b", columns * cut.depth)
            if hooks.prologue_b and self._b_runs_along_k():
                self.filled_b = self._array("filled.b", cut.width * lanes * self._skew())
        self.a_strides = (spec.a.row, spec.a.column)
        if cut.pack_a:
            by_columns = spec.a.row == 1 and spec.a.column != 1
            stride = -(-cut.height // cut.lanes) * cut.lanes if by_columns else self._skew()
            self.a_strides = (1, stride) if by_columns else (stride, 1)
            self.packed_a = self._array("packed.a", stride * (cut.depth if by_columns else cut.height))
        if cut.form == "stream":
            self.streamed = self._array("streamed", self.chunk_columns)
        if self.blocks > 1:
            rows = -(-cut.tiles // over_rows) * cut.height
            self.partial = self._array("partial", rows * self.chunk_columns)
        if hooks.finish is not None:
            self.strip_stride = spec.n if over_columns == 1 else self.chunk_columns  # rows of C one behind the other
            self.strip = self._array("strip", cut.height * self.strip_stride)

    def _skew(self) -> int:
        return skewed(self.cut.depth, self.wide.lanes, self.size)

    def _b_runs_along_k(self) -> bool:
        return self.spec.b.row == 1 and self.spec.b.column != 1

    def _array(self, name: str, count: int) -> str:
        self.scratch += count * self.size
        self.entry.append(f"  %product.{name} = alloca [{count} x {self.element}], align 64")
        return f"%product.{name}"

    def _buffer(self, matrix: Matrix) -> str:
        name = f"%product.buffer{matrix.slot}"
        if not any(line.startswith(f"  {name} =") for line in self.entry):
            self.entry.append(f"  {name}.at = getelementptr inbounds ptr, ptr %buffers, i64 {matrix.slot}")
            self.entry.append(f"  {name} = load ptr, ptr {name}.at")
        return name

    def _loop(self, start: str, stop: str, step: int = 1) -> AbstractContextManager[str]:
        """A loop over blocks or tiles: LLVM must not unroll it."""
        return loop(self.out, start, stop, step, self._note())

    def _note(self) -> str:
        return f", !llvm.loop {self.node(f'distinct !{{@, {self.rolled}}}')}"

    def _at(self, pointer: str, index: str | int) -> str:
        return at(self.out, self.element, pointer, index)

    # Chunks

    def chunks(self) -> None:
        """The loop over chunks and, in it, over the matrices of the batch that the chunk has."""
        out, (over_batch, over_rows, over_columns) = self.out, self.cut.grid
        batches = 1
        for extent in self.spec.batch:
            batches *= extent
        with self._loop("%begin", "%end") as chunk:
            rest, j = divide(out, chunk, over_columns)
            part, i = divide(out, rest, over_rows)
            first, last = self._share(part if over_batch > 1 else "0", batches, over_batch)
            with self._loop(first, last) as batch:
                tiles = self._share(i, self.cut.tiles, over_rows)
                strips = self._share(j, self.cut.strips, over_columns)
                self._chunk(batch, tiles, strips)

    def _share(self, part: str, total: int, parts: int) -> tuple[str, str]:
        """Part number ``part`` of ``total`` things dealt into ``parts``."""
        if parts == 1:
            return "0", str(total)
        if parts == total:
            return part, add(self.out, part, 1)
        ends = (part, add(self.out, part, 1))
        first, last = (divide(self.out, multiply(self.out, x, total), parts)[0] for x in ends)
        return first, last

    def _base(self, matrix: Matrix, pointer: str, batch: str) -> str:
        """Where the matrix of this batch element begins."""
        index = str(matrix.offset)
        for extent, stride in zip(reversed(self.spec.batch), reversed(matrix.batch), strict=True):
            batch, position = divide(self.out, batch, extent)
            index = add(self.out, index, multiply(self.out, position, stride))
        return self._at(pointer, index)

    def _chunk(self, batch: str, tiles: tuple[str, str], strips: tuple[str, str]) -> None:
        out, cut = self.out, self.cut
        self.batch = batch
        self.a_here = self._base(self.spec.a, self.a, batch)
        self.b_here = self._base(self.spec.b, self.b, batch)
        self.c_here = self._base(self.spec.c, self.c, batch) if self.spec.c is not None else ""
        self.first_row = row_start(out, cut.rows, tiles[0])
        self.first_column = column_start(out, cut.panels, 1 if self.dot else cut.lanes, strips[0])
        self.tiles, self.strips = tiles, strips
        if self.blocks == 1:
            self._block("0", str(self.spec.k))
            return
        with self._loop("0", str(self.spec.k), cut.depth) as k0:
            left = subtract(out, str(self.spec.k), k0)
            self._block(k0, least(out, left, cut.depth))

    # Blocks of k

    def _block(self, k0: str, length: str) -> None:
        """All tiles of the chunk over ``length`` steps of k from ``k0`` on."""
        out = self.out
        self.k0, self.length = k0, length
        if self.cut.pack_b and length != "0":
            if self.dot:
                self._pack_vectors()
            elif self.spec.b.column == 1 and self.hooks.prologue_b is None:
                self._pack_rows_of_b()
            else:
                for panels in self.cut.panels:
                    with self._each(panels, self.strips) as strip:
                        self._pack_b(panels, strip)
        if self.cut.form == "stream":
            self._filled(self._stream)
        for rows in self.cut.rows:
            with self._each(rows, self.tiles) as tile:
                row = add(out, multiply(out, subtract(out, tile, rows.first), rows.height), rows.start)
                a = self._tile_of_a(rows, row)
                for panels in self.cut.panels:
                    with self._each(panels, self.strips) as strip:
                        self._tile(rows, panels, row, strip, a)
                if self.strip:
                    self._when_last(partial(self._finish, rows, row))

    def _each(self, kind: Rows | Panels, limits: tuple[str, str]) -> AbstractContextManager[str]:
        """The loop over the tiles (or panels) of one kind within the chunk."""
        out = self.out
        return self._loop(
            most(out, limits[0], kind.first), least(out, limits[1], kind.first + kind.count)
        )

    def _when_last(self, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
        """``then`` in the last block of k, ``otherwise`` in those before."""
        if self.blocks == 1:
            then()
            return
        last = self.out.new(f"icmp sge i64 {self.k0}, {(self.blocks - 1) * self.cut.depth}")
        branch(self.out, last, then, otherwise)

    def _filled(self, fill: Callable[[int], None]) -> None:
        """Calls ``fill`` with the length of this block of k as a number; the last block may be shorter."""
        rest = self.spec.k - (self.blocks - 1) * self.cut.depth
        if rest == self.cut.depth:
            fill(rest)
        else:
            self._when_last(lambda: fill(rest), lambda: fill(self.cut.depth))

    def _column(self, panels: Panels, strip: str) -> str:
        lanes = 1 if self.dot else self.cut.lanes
        out = self.out
        return add(out, multiply(out, subtract(out, strip, panels.first), panels.width * lanes), panels.start)

    def _panel_at(self, column: str) -> str:
        """Where a packed panel lies; all columns before it in the chunk take ``depth`` numbers each."""
        return self._at(self.packed_b,
                        multiply(self.out, subtract(self.out, column, self.first_column), self.cut.depth))  # fmt: skip

    def _pack_b(self, panels: Panels, strip: str) -> None:
        out, v, b = self.out, self.wide, self.spec.b
        column = self._column(panels, strip)
        goal = self._panel_at(column)
        fill = self.hooks.prologue_b
        if fill is None:
            index = add(out, multiply(out, self.k0, b.row), multiply(out, column, b.column))
            pack_panel(v, self._at(self.b_here, index), goal, b, panels.width, panels.columns, self.length)
        elif self.filled_b:
            skew = self._skew()
            self._filled(lambda n: fill(out, Block(self.filled_b, self.batch, self.k0, column, n, panels.columns, 1,
                                                   skew)))  # fmt: skip
            pack_panel(v, self.filled_b, goal, Matrix(0, 1, skew), panels.width, panels.columns, self.length)
        else:
            self._filled(lambda n: fill(out, Block(goal, self.batch, self.k0, column, n, panels.columns,
                                                   panels.width * v.lanes, 1)))  # fmt: skip

    def _pack_rows_of_b(self) -> None:
        """All panels of the chunk, one row of B after the other: long pieces are what prefetching is good at."""
        out, v = self.out, self.wide
        with loop(out, "0", self.length) as k:
            row = self._at(self.b_here, multiply(out, add(out, self.k0, k), self.spec.b.row))
            for panels in self.cut.panels:
                with self._each(panels, self.strips) as strip:
                    column = self._column(panels, strip)
                    goal = self._at(self._panel_at(column), multiply(out, k, panels.width * v.lanes))
                    pack_row(v, self._at(row, column), goal, panels.width, panels.columns)

    def _pack_vectors(self) -> None:
        """The columns of B side by side for dot products."""
        out, b = self.out, self.spec.b
        with loop(out, "0", self.length) as k:
            line = self._at(self.b_here, multiply(out, k, b.row))
            for j in range(self.spec.n):
                value = out.new(f"load {self.element}, ptr {self._at(line, j * b.column)}, align {self.size}")
                goal = self._at(self.packed_b, add(out, k, j * self.cut.depth))
                out.put(f"store {self.element} {value}, ptr {goal}, align {self.size}")

    def _tile_of_a(self, rows: Rows, row: str) -> str:
        """Where A's tile lies, packed first where the plan says so."""
        out, a = self.out, self.spec.a
        fill = self.hooks.prologue_a
        if not self.cut.pack_a:
            return self._at(self.a_here, add(out, multiply(out, row, a.row), multiply(out, self.k0, a.column)))
        if fill is not None:
            self._filled(lambda n: fill(out, Block(self.packed_a, self.batch, row, self.k0, rows.height, n,
                                                   *self.a_strides)))  # fmt: skip
        else:
            index = add(out, multiply(out, row, a.row), multiply(out, self.k0, a.column))
            stride = max(self.a_strides)
            pack_rows(self.wide, self._at(self.a_here, index), self.packed_a, a, rows.height, self.length, stride)
        return self.packed_a

    # Tiles

    def _tile(self, rows: Rows, panels: Panels, row: str, strip: str, a: str) -> None:
        out = self.out
        column = self._column(panels, strip)
        if self.dot:
            v = Vectors(out, self.element, panels.columns, True)
            values = self._dot_sums(rows, panels, column, a)
        elif self.cut.form == "stream":
            v = self.wide
            place = self._at(self.streamed, subtract(out, column, self.first_column))
            values = self._resumed([[v.load(self._at(place, j * v.lanes), v.lanes) for j in range(panels.width)]],
                                   row, column)  # fmt: skip
        else:
            v = self.wide
            values = self._resumed(self._sums(rows, panels, row, column, a), row, column)
        self._when_last(
            lambda: self._store(rows, panels, row, column, values, v),
            lambda: self._keep(values, self._partial_at(row, column)),
        )

    def _partial_at(self, row: str, column: str) -> str:
        out = self.out
        index = multiply(out, subtract(out, row, self.first_row), self.chunk_columns)
        return self._at(self.partial, add(out, index, subtract(out, column, self.first_column)))

    def _keep(self, values: Sequence[Sequence[str]], pointer: str) -> None:
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                self.wide.store(value, self._at(pointer, i * self.chunk_columns + j * self.wide.lanes), self.wide.lanes)

    def _resumed(self, values: list[list[str]], row: str, column: str) -> list[list[str]]:
        """The sums over this block of k and all before it."""
        out, v = self.out, self.wide
        if self.blocks == 1:
            return values
        ready, resume, done = (out.label(x) for x in ("ready", "resume", "done"))
        out.put(f"br label %{ready}")
        out.put(f"{ready}:")
        first = out.new(f"icmp eq i64 {self.k0}, 0")
        out.put(f"br i1 {first}, label %{done}, label %{resume}")
        out.put(f"{resume}:")
        pointer = self._partial_at(row, column)
        found = [[v.add(v.load(self._at(pointer, i * self.chunk_columns + j * v.lanes), v.lanes), x)
                  for j, x in enumerate(line)] for i, line in enumerate(values)]  # fmt: skip
        out.put(f"br label %{done}")
        out.put(f"{done}:")
        return [[out.new(f"phi {v.type} [ {x}, %{ready} ], [ {y}, %{resume} ]") for x, y in zip(*lines, strict=True)]
                for lines in zip(values, found, strict=True)]  # fmt: skip

    def _sums(self, rows: Rows, panels: Panels, row: str, column: str, a: str) -> list[list[str]]:
        out, v, cut = self.out, self.wide, self.cut
        if cut.pack_b:
            columns = panels.width * v.lanes
            b = Strided(self._panel_at(column), columns, 1, v.lanes * v.size)
        else:
            columns = panels.columns
            b_index = add(out, multiply(out, self.k0, self.spec.b.row), column)
            b = Strided(self._at(self.b_here, b_index), self.spec.b.row, 1, self.size)
        left = Strided(a, *self.a_strides, self.size)
        tile = (rows.height, panels.width)
        note = self._note() if rows.height * panels.width * self.spec.k > _UNROLLED else ""
        meanwhile = None
        if (fetch := self.hooks.fetch) is not None and self.blocks == 1 and cut.depth <= CHAIN:
            def meanwhile(i: str) -> None:
                fetch(out, add(out, row, i), column, panels.columns)

        return broadcast_sums(v, left, b, tile, columns, self.length, cut.depth, cut.sets, cut.unroll, note, meanwhile)

    def _dot_sums(self, rows: Rows, panels: Panels, column: str, a: str) -> list[list[str]]:
        out, cut = self.out, self.cut
        stride = cut.depth if cut.pack_b else self.spec.b.column
        b = self._at(self.packed_b if cut.pack_b else self.b_here, multiply(out, column, stride))
        left, right = Strided(a, self.spec.a.row, 1, self.size), Strided(b, 1, stride, self.size)
        return dot_sums(self.wide, left, right, (rows.height, panels.columns), self.spec.k, cut.sets, self._note())

    def _stream(self, length: int) -> None:
        """A row of C, in memory, over a block of k: some rows of B times numbers of A are added to it at a time."""
        out, v, spec, cut = self.out, self.wide, self.spec, self.cut

        def pass_(step: str, count: int, first: bool) -> None:
            k, factors = add(out, self.k0, step), []
            for u in range(count):
                pointer = self._at(self.a_here, add(out, multiply(out, k, spec.a.column), u * spec.a.column))
                factors.append(v.broadcast(out.new(f"load {self.element}, ptr {pointer}, align {self.size}")))
            line = self._at(self.b_here, multiply(out, k, spec.b.row))
            for panels in cut.panels:
                with self._each(panels, self.strips) as strip:
                    column = self._column(panels, strip)
                    place = self._at(self.streamed, subtract(out, column, self.first_column))
                    b = self._at(line, column)
                    for j in range(panels.width):
                        goal = self._at(place, j * v.lanes)
                        total = "zeroinitializer" if first else v.load(goal, v.lanes)
                        for u, factor in enumerate(factors):
                            row = self._at(b, u * spec.b.row + j * v.lanes)
                            total = v.multiply_add(factor, v.load(row, panels.columns - j * v.lanes), total)
                        v.store(total, goal, v.lanes)

        begin = length % cut.unroll or cut.unroll
        pass_("0", begin, True)
        with self._loop(str(begin), str(length), cut.unroll) as k:
            pass_(k, cut.unroll, False)

    # Results

    def _store(self, rows: Rows, panels: Panels, row: str, column: str, values: list[list[str]], v: Vectors) -> None:
        """The sums, with what C held and the epilogue, into C, or into the strip that ``finish`` gets."""
        out, c = self.out, self.spec.c
        goal = ""
        if c is not None:
            goal = self._at(self.c_here, add(out, multiply(out, row, c.row), column))
        if self.spec.accumulate:
            assert c is not None
            values = [[v.add(v.load(self._at(goal, i * c.row + j * v.lanes), panels.columns - j * v.lanes), x)
                       for j, x in enumerate(line)] for i, line in enumerate(values)]  # fmt: skip
        if self.hooks.epilogue is not None:
            values = self.hooks.epilogue(
                out, Sums(values, self.element, v.lanes, self.batch, row, column, panels.columns, self.turned)
            )
        if self.hooks.finish is None:
            assert c is not None
            self._write(values, goal, c.row, panels.columns, v)
            return
        place = self._at(self.strip, subtract(out, column, self.first_column))
        self._write(values, place, self.strip_stride, panels.columns, v)

    def _write(self, values: list[list[str]], goal: str, stride: int, columns: int, v: Vectors) -> None:
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                v.store(value, self._at(goal, i * stride + j * v.lanes), columns - j * v.lanes)

    def _finish(self, rows: Rows, row: str) -> None:
        """Hand a row of tiles of the chunk, which stands in the strip, to the hook."""
        assert self.hooks.finish is not None
        out, cut = self.out, self.cut
        columns: int | str = self.spec.n
        if cut.grid[2] == 1 or (cut.strips % cut.grid[2] == 0 and len(cut.panels) == 1):  # all chunks have as many
            columns = self.spec.n // cut.grid[2]
        else:
            end = column_start(out, cut.panels, 1 if self.dot else cut.lanes, self.strips[1])
            columns = subtract(out, least(out, end, self.spec.n), self.first_column)
        strip = Block(self.strip, self.batch, row, self.first_column, rows.height, columns, self.strip_stride, 1)
        self.hooks.finish(out, strip)
