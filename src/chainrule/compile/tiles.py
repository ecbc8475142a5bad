"""How a matrix product is cut: register tiles, panels, cache blocks and chunks of work, all fixed at compile time.

C[m, n] is cut into register tiles of ``rows × width`` vectors that stay in registers while k runs (Goto and van de
Geijn, 2008, "Anatomy of high-performance matrix multiplication"; Van Zee and van de Geijn, 2015, BLIS).  As sizes are
known, no tile is padded in rows: the m rows are dealt out in tiles whose heights differ by at most one, and the
columns in panels whose widths differ by at most one vector; only the last vector of a row can be masked.  Of the
heights and widths that fit the registers, ``plan`` takes the pair with the lowest estimated cycles.

A chunk is a block of tiles over all of k, and computes its part of C alone; so results have the same bits for any
number of threads and any division into chunks.  Does not do: splitting k over threads; measuring at run time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from chainrule.base.arrays import DType
from chainrule.base.errors import DtypeError, ShapeError
from chainrule.compile.sums import CHAIN
from chainrule.compile.target import Target
from chainrule.compile.writer import Writer, most, multiply, subtract

_MOST_WIDTH = 8  # vectors in a panel
_LATENCY = 8  # independent sums that keep the multipliers busy: 4 cycles, two units
_GRAIN = 1 << 19  # a chunk of fewer operations costs more to hand out than it saves
_STACK = 256 * 1024  # packed panels lie on the stack of the thread that runs the kernel
_PARTIAL = 144 * 1024  # so do sums of a block of k that wait for the next
_HIGH = 128  # rows of a chunk for which packing B anew costs little, where there are many more
_LOW = 16  # rows of a chunk that is worth it where columns had better not be cut
_STRIP = 4096  # bytes of a row of the strip that a ``finish`` hook gets
_DEPTH = 256  # about how long a block of k is where something is packed: a panel and a tile then share the first cache
WHOLE_ROW = 16 * 1024  # bytes of the longest row that a ``finish`` hook may get whole

Wide = Literal["", "strips", "rows"]  # whether chunks should have long rows, or must have all columns


class Matrix(NamedTuple):
    """Where a matrix lies: element (i, j) of batch (x, …) is number ``offset + Σ batch·x + row·i + column·j``."""

    slot: int
    row: int
    column: int
    batch: tuple[int, ...] = ()
    offset: int = 0


@dataclass(frozen=True)
class Product:
    """``C[m, n] = A[m, k] · B[k, n]`` for each element of ``batch``; ``accumulate`` adds to what C holds.

    With ``strands`` each element of the batch is a chunk of its own, and none is merged into another.
    ``c`` may be None where a ``finish`` hook takes the results.  C must have a stride of 1.
    Raises ``DtypeError`` for other dtypes than float32 and float64, ``ShapeError`` for sizes below 0, for batch
    strides that do not match ``batch`` and for a C without a stride of 1.
    """

    dtype: DType
    m: int
    n: int
    k: int
    a: Matrix
    b: Matrix
    c: Matrix | None
    batch: tuple[int, ...] = ()
    accumulate: bool = False
    strands: bool = False

    def __post_init__(self) -> None:
        if self.dtype.name not in ("float32", "float64"):
            raise DtypeError("this dtype has no matrix-product kernel", expected="float32 or float64",
                             got=self.dtype.name, where="a matrix product",
                             fix="let the product run as a call back into NumPy")  # fmt: skip
        where = f"the product ({self.m}, {self.k}) · ({self.k}, {self.n})"
        if min(self.m, self.n, self.k, *self.batch) < 0:
            raise ShapeError("a size is negative", expected="m, n, k and batch of 0 or more", where=where,
                             got=f"m={self.m}, n={self.n}, k={self.k}, batch={self.batch}",
                             fix="give each size as in the arrays' shapes")  # fmt: skip
        for name, x in (("A", self.a), ("B", self.b), ("C", self.c)):
            if x is not None and len(x.batch) != len(self.batch):
                raise ShapeError(f"{name} has not one stride per batch axis", expected=f"{len(self.batch)} strides",
                                 got=f"{len(x.batch)} strides {x.batch}", where=where,
                                 fix="give 0 for an axis over which the matrix is the same")  # fmt: skip
        if self.c is not None and self.c.column != 1 != self.c.row and self.n > 1 and self.m > 1:
            raise ShapeError("neither the rows nor the columns of C lie side by side", expected="a stride of 1",
                             got=f"strides {self.c.row} and {self.c.column}", where=where,
                             fix="compute into an array in C order and copy")  # fmt: skip
        if self.c is None and self.accumulate:
            raise ShapeError("there is no C to add to", expected="c with accumulate=True", got="c=None", where=where,
                             fix="pass c, or add in the finish hook")  # fmt: skip

    @property
    def flops(self) -> int:
        """Additions and multiplications."""
        return 2 * self.m * self.n * self.k * math.prod(self.batch)


    @property
    def uncut(self) -> Product:
        """The product of two matrices whose rows these strands are."""
        a, b, c = (x if x is None else x._replace(batch=()) for x in (self.a, self.b, self.c))
        assert a is not None
        assert b is not None
        return replace(self, m=self.m * self.batch[0], batch=(), strands=False, a=a, b=b, c=c)


@dataclass(frozen=True)
class Rows:
    """``count`` tiles of ``height`` rows; the first is tile number ``first`` and starts at row ``start``."""

    first: int
    count: int
    height: int
    start: int


@dataclass(frozen=True)
class Panels:
    """``count`` panels of ``width`` vectors; the first is number ``first``, starts at column ``start``.

    ``columns`` is how many of ``width`` vectors of columns there are: fewer only in the last panel.
    """

    first: int
    count: int
    width: int
    start: int
    columns: int


@dataclass(frozen=True)
class Plan:
    """The tiling of one product.

    ``form`` "broadcast": tiles of C as vectors along n, A broadcast, k in order; "dot": vectors along k, summed at
    the end; "stream": one row of C in memory, to which ``unroll`` rows of B at a time are added.  ``depth`` is the
    length of a block of k, ``sets`` the independent sums each accumulator is kept as, ``unroll`` the steps of k per
    loop iteration; ``grid`` the chunks over batch, m and n.
    """

    form: Literal["broadcast", "dot", "stream"]
    lanes: int
    rows: tuple[Rows, ...]
    panels: tuple[Panels, ...]
    depth: int
    sets: int
    unroll: int
    pack_a: bool
    pack_b: bool
    grid: tuple[int, int, int]

    @property
    def chunks(self) -> int:
        """How many parts the work has."""
        return math.prod(self.grid)

    @property
    def height(self) -> int:
        """Rows of the highest tile."""
        return self.rows[0].height

    @property
    def width(self) -> int:
        """Vectors of the widest panel."""
        return max(p.width for p in self.panels)

    @property
    def tiles(self) -> int:
        """Tiles along m."""
        return sum(r.count for r in self.rows)

    @property
    def strips(self) -> int:
        """Panels along n."""
        return sum(p.count for p in self.panels)

    def __str__(self) -> str:
        rows = " + ".join(f"{r.count}×{r.height}" for r in self.rows)
        panels = " + ".join(f"{p.count}×{p.columns}" for p in self.panels)
        packs = "".join(f", {x} packed" for x, yes in (("A", self.pack_a), ("B", self.pack_b)) if yes)
        return (f"{self.form}: rows {rows}; columns {panels} by {self.lanes}; k by {self.depth}; "
                f"{'×'.join(map(str, self.grid))} chunks{packs}")  # fmt: skip


def deal(total: int, limit: int) -> tuple[int, int, int]:
    """``total`` in the fewest parts of at most ``limit``: (parts, the larger size, how many are of it)."""
    parts = -(-total // limit)
    size = -(-total // parts)
    return parts, size, total - parts * (size - 1)


def row_tiles(m: int, limit: int) -> tuple[Rows, ...]:
    """The m rows in tiles of at most ``limit`` rows whose heights differ by at most one."""
    parts, height, many = deal(m, limit)
    found = [Rows(0, many, height, 0)]
    if many < parts:
        found.append(Rows(many, parts - many, height - 1, many * height))
    return tuple(found)


def column_panels(n: int, lanes: int, limit: int) -> tuple[Panels, ...]:
    """The n columns in panels of at most ``limit`` vectors whose widths differ by at most one."""
    parts, width, many = deal(-(-n // lanes), limit)
    found = [Panels(0, many, width, 0, width * lanes)]
    if many < parts:
        found.append(Panels(many, parts - many, width - 1, many * width * lanes, (width - 1) * lanes))
    missing = -n % lanes
    if missing:
        last = found.pop()
        full = last.width * lanes
        if last.count > 1:
            found.append(replace(last, count=last.count - 1))
        found.append(Panels(parts - 1, 1, last.width, last.start + (last.count - 1) * full, full - missing))
    return tuple(found)


def row_start(out: Writer, rows: tuple[Rows, ...], tile: str) -> str:
    """The row at which a tile begins, by its number."""
    start = multiply(out, tile, rows[0].height)
    if len(rows) == 1:
        return start
    return subtract(out, start, most(out, subtract(out, tile, rows[1].first), 0))  # the later are one row lower


def column_start(out: Writer, panels: tuple[Panels, ...], lanes: int, strip: str) -> str:
    """The column at which a panel begins, by its number."""
    start = multiply(out, strip, panels[0].width * lanes)
    narrow = next((p.first for p in panels if p.width < panels[0].width), None)
    if narrow is None:
        return start
    return subtract(out, start, multiply(out, most(out, subtract(out, strip, narrow), 0), lanes))


def joined(product: Product) -> Product | None:
    """The product with its last batch axis turned into rows, where B is the same over it and A and C allow it."""
    if not product.batch or product.strands:
        return None
    extent = product.batch[-1]
    a, b, c = product.a, product.b, product.c
    joins = b.batch[-1] == 0 and (product.m == 1 or a.batch[-1] == product.m * a.row) and (
        c is None or product.m == 1 or c.batch[-1] == product.m * c.row
    )  # fmt: skip
    if extent != 1 and not joins:
        return None
    if extent != 1 and product.m == 1:
        a = a._replace(row=a.batch[-1])
        c = None if c is None else c._replace(row=c.batch[-1])
    return replace(
        product,
        m=product.m * extent,
        batch=product.batch[:-1],
        a=a._replace(batch=a.batch[:-1]),
        b=b._replace(batch=b.batch[:-1]),
        c=None if c is None else c._replace(batch=c.batch[:-1]),
    )


def merged(product: Product) -> Product:
    """The product with all batch axes turned into rows that may be."""
    while (less := joined(product)) is not None:
        product = less
    return product


def _shapes(target: Target) -> Iterator[tuple[int, int]]:
    """(height, width) of the tiles that fit the registers: accumulators, a row of B, one broadcast."""
    for width in range(1, _MOST_WIDTH + 1):
        height = (target.vector_registers - 1 - width) // width
        if height >= 1:
            yield height, width


def _cycles(rows: tuple[Rows, ...], panels: tuple[Panels, ...], k: int, lanes: int, size: int) -> float:
    """An estimate of the cycles of all tiles, with two multipliers and two loads a cycle."""
    total = 0.0
    kinds = len(rows) * len(panels)  # each has code of its own
    for r in rows:
        for p in panels:
            work = max(r.height * p.width / 2, (r.height + p.width) / 2 * 1.02)
            if k * p.width * lanes * size > 16384:  # the panel streams from the second-level cache
                work = max(work, p.width * lanes * size / 20)
            total += r.count * p.count * (k * work + 2.0 * r.height * p.width + 30)
    return total * (1 + 0.02 * (kinds - 1)) + 200 * kinds


def _dot_pays(product: Product, lanes: int) -> bool:
    """Whether vectors along k are the better form: few rows or columns, and long rows that lie as needed."""
    if product.k < 2 * lanes or product.a.column != 1:
        return False
    if product.b.row != 1 and product.n * product.k * product.dtype.itemsize > _STACK:  # it would have to be packed
        return False
    if product.n <= lanes // 4:
        return True
    return product.m <= lanes and product.b.row == 1 and product.b.column != 1


def _grid(product: Product, target: Target, tiles: int, strips: int, wide: Wide) -> tuple[int, int, int]:
    batches = math.prod(product.batch)
    if product.strands:
        return batches, 1, 1
    wanted = max(1, min(product.flops // _GRAIN, 4 * target.cores))
    over_batch = min(batches, wanted)
    wanted //= over_batch
    if wide == "rows":
        return over_batch, max(1, min(tiles, wanted)), 1
    if wide == "strips":  # wide chunks, but high enough that packing B for each of them costs little
        over_rows = max(1, min(tiles, wanted, _row_chunks(product, strips)))
        longest = max(1, _STRIP // product.dtype.itemsize)
        few = -(-min(wanted, 2 * target.cores) // over_rows)
        return over_batch, over_rows, min(strips, max(few, -(-product.n // longest)))
    over_columns = min(strips, wanted)
    return over_batch, max(1, min(tiles, wanted // over_columns)), over_columns


def _row_chunks(product: Product, strips: int) -> int:
    """Into how many chunks the rows of a product with a ``finish`` hook may be cut.

    Where A's columns lie side by side, C is a gradient of weights, and they are updated on its tiles: cores that share
    short rows of them would take each other's cache lines, with those that prefetching adds.
    """
    if product.m <= 2 * _HIGH and product.a.row == 1 != product.a.column:
        return product.m // _LOW
    few = strips < 4  # columns, of which each core should have some
    return product.m // _HIGH if product.m > 2 * _HIGH or few else 1


def plan(product: Product, target: Target, *, packs: tuple[bool, bool] = (False, False),
         whole_rows: bool = False, strips: bool = False) -> Plan:  # fmt: skip
    """The tiling of ``product``, none of whose sizes but k is 0.

    ``packs``: whether hooks need A and B packed; ``strips``: chunks should have long rows; ``whole_rows``: they must
    have all columns.  Raises ``ShapeError`` where such rows are longer than ``WHOLE_ROW``.
    """
    if whole_rows and not whole_rows_fit(product.n, product.dtype):
        raise ShapeError("rows too long to be finished whole", expected=f"at most {WHOLE_ROW} bytes",
                         got=f"{product.n} columns of {product.dtype}", where="a matrix product with whole_rows",
                         fix="reduce over the rows in a kernel of its own")  # fmt: skip
    size = product.dtype.itemsize
    lanes = target.vector_bits // (8 * size)
    m, n, k = product.m, product.n, product.k
    wide: Wide = "rows" if whole_rows else "strips" if strips else ""
    uncut = None
    if product.strands:  # sums are taken in the order of the product that is not cut, so cutting changes no bits
        uncut = plan(product.uncut, target, packs=packs, whole_rows=whole_rows, strips=strips)
        if uncut.form == "dot":
            return replace(_dot_plan(product, target, lanes, wide), sets=uncut.sets, unroll=uncut.unroll)
    elif _dot_pays(product, lanes) and not any(packs):
        return _dot_plan(product, target, lanes, wide)
    elif _stream_pays(product, target, lanes) and not any(packs):
        return _stream_plan(product, target, lanes, wide)
    best: tuple[float, tuple[Rows, ...], tuple[Panels, ...]] | None = None
    for height, width in _shapes(target):
        rows, panels = row_tiles(m, height), column_panels(n, lanes, width)
        cost = _cycles(rows, panels, k, lanes, size)
        if best is None or cost < best[0]:
            best = (cost, rows, panels)
    assert best is not None
    _, rows, panels = best
    tiles, count = sum(r.count for r in rows), sum(p.count for p in panels)
    grid = _grid(product, target, tiles, count, wide)
    width = max(p.width for p in panels)
    pack_b = packs[1] or _packs_b(product, target, -(-tiles // grid[1]), width * lanes)
    pack_a = packs[0] or _packs_a(product, rows[0].height, -(-count // grid[2]))
    grid, depth = _blocks(product, target, grid, (rows[0].height, tiles), (width * lanes, count), pack_a, pack_b,
                          whole_rows)  # fmt: skip
    sets = 1
    while sets < 4 and rows[0].height * width * sets < _LATENCY and depth >= 8 * sets:
        sets *= 2
    unroll = max(sets, min(4, 24 // (rows[0].height * width) or 1))
    if depth < k:
        depth = -(-depth // unroll) * unroll
    if uncut is not None:
        depth, sets, unroll = uncut.depth, uncut.sets, uncut.unroll
    return Plan("broadcast", lanes, rows, panels, depth, sets, unroll, pack_a, pack_b, grid)


def _blocks(product: Product, target: Target, grid: tuple[int, int, int], rows: tuple[int, int],
            columns: tuple[int, int], pack_a: bool, pack_b: bool, whole_rows: bool) -> tuple[tuple[int, int, int], int]:
    """The grid and the length of a block of k such that what is packed and kept stays within its bounds.

    ``rows`` and ``columns``: the size of a tile that way, and how many there are.
    """  # fmt: skip
    if product.k == 0 or not (pack_a or pack_b):
        return grid, product.k
    size, k = product.dtype.itemsize, product.k
    (height, tiles), (wide, strips) = rows, columns
    over_batch, over_rows, over_columns = grid
    room = min(target.caches.l2 // 2, _STACK)
    if not whole_rows:
        panels = max(1, room // (min(k, 2 * _DEPTH) * wide * size))  # panels for which blocks of k stay long
        if pack_b or k > _DEPTH:
            over_columns = max(over_columns, -(-strips // panels))
    taken = -(-strips // over_columns) * wide
    blocks = max(1, (k + _DEPTH // 2) // _DEPTH)
    if pack_b:
        blocks = max(blocks, -(-k // max(16, room // (taken * size))))
    depth = -(-k // blocks)
    if depth < k:
        fit = max(1, _PARTIAL // (taken * size * height))
        over_rows = max(over_rows, -(-tiles // fit))
    return (over_batch, over_rows, over_columns), depth


def whole_rows_fit(n: int, dtype: DType) -> bool:
    """Whether ``finish`` can get all ``n`` columns of a row at once."""
    return n * dtype.itemsize <= WHOLE_ROW


def _packs_b(product: Product, target: Target, tiles: int, columns: int) -> bool:
    """Whether B is copied into panels: where its columns are apart, or where it is read often and lies badly."""
    if product.b.column != 1 and product.n > 1:
        return True
    if tiles <= 2:
        return False
    size = product.dtype.itemsize
    bytes_of_row = product.b.row * size
    panel = product.k * columns * size
    if bytes_of_row == columns * size:
        return False
    return panel > target.caches.l1 // 2 or (product.k >= 64 and bytes_of_row % 1024 == 0)


def _packs_a(product: Product, height: int, strips: int) -> bool:
    """Whether A's tile is copied: it is read often, and lies in columns far apart or on the same lines of the cache."""
    size = product.dtype.itemsize
    step = max(abs(product.a.row) if product.m > 1 else 0, abs(product.a.column)) * size
    meet = step >= 4096 and step % 4096 == 0
    if product.k < 64 or strips < 2:
        return False
    if product.a.row == 1 and height * size > 32:  # most of a cache line is read at once
        return step >= 1024 and strips >= (2 if meet and product.k >= 512 else 4)
    return meet


def _stream_pays(product: Product, target: Target, lanes: int) -> bool:
    """Whether B is to be read row after row, as it lies: one row of C, and a B that is not in the nearest cache."""
    return (
        product.m == 1 and (product.b.column == 1) and product.n >= 8 * lanes and product.k >= 16
        and product.n * product.k * product.dtype.itemsize > target.caches.l1
    )  # fmt: skip


def _stream_plan(product: Product, target: Target, lanes: int, wide: Wide) -> Plan:
    """Panels of four vectors; the chunk's part of C stays in the nearest cache."""
    panels = column_panels(product.n, lanes, 4)
    strips = sum(p.count for p in panels)
    over_batch, over_rows, over_columns = _grid(product, target, 1, strips // 8 or 1, wide)  # long pieces of rows
    fit = max(1, target.caches.l1 // 4 // (4 * lanes * product.dtype.itemsize))
    if wide != "rows":
        over_columns = max(over_columns, -(-strips // fit))
    blocks, unroll = -(-product.k // CHAIN), 8
    depth = -(-product.k // (blocks * unroll)) * unroll
    return Plan("stream", lanes, row_tiles(1, 1), panels, min(depth, product.k), 1, unroll, False, False,
                (over_batch, over_rows, over_columns))  # fmt: skip


def _dot_plan(product: Product, target: Target, lanes: int, wide: Wide) -> Plan:
    """Vectors along k: a tile of rows × columns sums, as square as the registers allow."""
    best: tuple[float, int, int] | None = None
    limit = target.vector_registers - 4
    for height in range(1, 9):
        for width in range(1, 9):
            if height * width + min(height, width) + 1 > limit:
                continue
            tiles = -(-product.m // height) * -(-product.n // width)
            steps = -(-product.k // lanes)
            cost = tiles * (steps * max(height * width / 2, (height + width) / 2, 2.0) + 4 * height * width + 10)
            if best is None or cost < best[0]:
                best = (cost, height, width)
    assert best is not None
    rows, panels = row_tiles(product.m, best[1]), column_panels(product.n, 1, best[2])
    pack_b = product.b.row != 1
    grid = _grid(product, target, sum(r.count for r in rows), sum(p.count for p in panels),
                 "rows" if pack_b else wide)  # fmt: skip
    tile = rows[0].height * max(p.width for p in panels)
    sets = 1
    while sets < 8 and tile * sets * 2 <= _LATENCY and product.k >= 4 * sets * lanes:
        sets *= 2
    return Plan("dot", lanes, rows, panels, product.k, sets, sets, False, pack_b, grid)
