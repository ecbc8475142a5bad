"""Hooks: what other kernels put into a matrix product, and what they are given of it.

``prologue_a`` and ``prologue_b`` write a block of an operand instead of its being read; ``epilogue`` changes the sums
in registers before they are stored; ``finish`` gets a finished block in memory, while it is in the first-level cache,
and stores what it likes.  Does not do: hooks on batches merged into rows (a product with hooks is computed as it is).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.compile.writer import Writer


@dataclass(frozen=True)
class Block:
    """A block of a matrix in memory: element (i, j) of the block is ``pointer[row_stride·i + column_stride·j]``.

    ``row`` and ``column`` are SSA names (or literals) of where it begins in the matrix, ``batch`` of which matrix of
    the batch it is; ``rows`` and ``columns`` are its size, numbers or, where blocks differ, SSA names.
    """

    pointer: str
    batch: str
    row: str
    column: str
    rows: int | str
    columns: int | str
    row_stride: int
    column_stride: int

    def turned(self) -> Block:
        """The same block of the transposed matrix."""
        return Block(self.pointer, self.batch, self.column, self.row, self.columns, self.rows, self.column_stride,
                     self.row_stride)  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """The sums of a register tile: ``values[i][j]`` is vector j of row i, of LLVM type ``<lanes x element>``.

    The tile begins at (``row``, ``column``) of C; it has ``columns`` columns: the last vector may have fewer than
    ``lanes`` (the other lanes hold numbers of no meaning).  Where ``turned`` is set, rows and columns are those of the
    transposed C: lanes run along C's rows.
    """

    values: list[list[str]]
    element: str
    lanes: int
    batch: str
    row: str
    column: str
    columns: int
    turned: bool = False


Fill = Callable[[Writer, Block], None]
Epilogue = Callable[[Writer, Sums], list[list[str]]]
Fetch = Callable[[Writer, str, str, int], None]


@dataclass(frozen=True)
class Hooks:
    """What rides in a product.

    A prologue must write every element of its block, and may be asked for the same block again by another chunk; so it
    must not change what it reads.  ``finish`` and ``epilogue`` meet each element of C once.
    ``finish`` gets the rows of a register tile over all columns of a chunk: what it reads and stores beside C lies in
    rows, and long ones are what the processor's prefetching is good at.
    ``fetch(out, row, column, columns)`` asks for what ``finish`` will read of a row of a tile; it is written into the
    loop over k, so that what is far comes while the sums are taken.

    ``whole_rows``: ``finish`` gets blocks with all columns of their rows, so that it can reduce over rows.
    """

    prologue_a: Fill | None = None
    prologue_b: Fill | None = None
    epilogue: Epilogue | None = None
    finish: Fill | None = None
    fetch: Fetch | None = None
    whole_rows: bool = False
