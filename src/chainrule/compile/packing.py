"""Packing of operands: copies in the order in which the register tile reads them (Goto and van de Geijn, 2008).

B goes into panels, row by row of k, ``width`` vectors each.  Where B's columns are apart but its rows run along k, the
numbers turn in registers: 128-bit pieces of as many columns as a vector has, gathered into one vector each, then
interleaved, so that neither loads nor stores are scalar.  A goes into rows of its own (or columns, as it lies) whose
stride does not fall on the same lines of the cache.  Does not do: packing once for several chunks.
"""

from __future__ import annotations

from chainrule.compile.tiles import Matrix
from chainrule.compile.writer import Vectors, Writer, add, at, loop, multiply


def skewed(length: int, lanes: int, size: int) -> int:
    """A row stride of at least ``length``, in whole vectors, that is no multiple of 1 KiB."""
    stride = -(-length // lanes) * lanes
    return stride + lanes if stride * size % 1024 == 0 else stride


def pack_rows(v: Vectors, source: str, goal: str, matrix: Matrix, height: int, length: str, stride: int) -> None:
    """A's tile, as it lies: rows of ``length`` with the given ``stride``, or, where its columns lie closer, columns."""
    out = v.out
    if matrix.row == 1 and matrix.column != 1:
        with loop(out, "0", length) as k:
            line = at(out, v.element, source, multiply(out, k, matrix.column))
            there = at(out, v.element, goal, multiply(out, k, stride))
            _copy(v, line, there, height)
        return
    if matrix.column != 1:
        with loop(out, "0", length) as k:
            column = at(out, v.element, source, multiply(out, k, matrix.column))
            for i in range(height):
                _move(v, at(out, v.element, column, i * matrix.row), at(out, v.element, goal, add(out, k, i * stride)))
        return
    whole = _floor(out, length, v.lanes)
    with loop(out, "0", whole, v.lanes) as k:
        for i in range(height):
            value = v.load(at(out, v.element, source, add(out, k, i * matrix.row)), v.lanes)
            v.store(value, at(out, v.element, goal, add(out, k, i * stride)), v.lanes)
    if whole != length:
        with loop(out, whole, length) as k:
            for i in range(height):
                _move(v, at(out, v.element, source, add(out, k, i * matrix.row)),
                      at(out, v.element, goal, add(out, k, i * stride)))  # fmt: skip


def pack_row(v: Vectors, source: str, goal: str, width: int, columns: int) -> None:
    """One row of a panel of B whose columns lie side by side: ``columns`` numbers in a row of ``width`` vectors."""
    _copy(v, source, goal, columns, width * v.lanes)


def pack_panel(v: Vectors, source: str, goal: str, matrix: Matrix, width: int, columns: int, length: str) -> None:
    """A panel of B: for each of ``length`` steps of k, ``columns`` numbers in a row of ``width`` vectors."""
    if matrix.column == 1 or columns == 1:
        out = v.out
        with loop(out, "0", length) as k:
            line = at(out, v.element, source, multiply(out, k, matrix.row))
            pack_row(v, line, at(out, v.element, goal, multiply(out, k, width * v.lanes)), width, columns)
    elif matrix.row == 1:
        _turn_panel(v, source, goal, matrix.column, width, columns, length)
    else:
        _gather_panel(v, source, goal, matrix, width, columns, "0", length)


def _copy(v: Vectors, source: str, goal: str, count: int, padded: int = 0) -> None:
    """``count`` numbers in a row; up to ``padded`` the goal gets zeros."""
    out = v.out
    for j in range(0, max(count, padded), v.lanes):
        here = min(v.lanes, count - j)
        value = v.load(at(out, v.element, source, j), here) if here > 0 else "zeroinitializer"
        v.store(value, at(out, v.element, goal, j), v.lanes if padded else here)


def _move(v: Vectors, source: str, goal: str) -> None:
    value = v.out.new(f"load {v.element}, ptr {source}, align {v.size}")
    v.out.put(f"store {v.element} {value}, ptr {goal}, align {v.size}")


def _floor(out: Writer, length: str, step: int) -> str:
    """The largest multiple of ``step`` (a power of two) up to ``length``."""
    return str(int(length) // step * step) if not length.startswith("%") else out.new(f"and i64 {length}, {-step}")


def _gather_panel(v: Vectors, source: str, goal: str, matrix: Matrix, width: int, columns: int, start: str,
                  length: str) -> None:  # fmt: skip
    """Number by number, from k = ``start`` on; columns that are not there get copies of the last."""
    out, full = v.out, width * v.lanes
    with loop(out, start, length) as k:
        line = at(out, v.element, source, multiply(out, k, matrix.row))
        there = at(out, v.element, goal, multiply(out, k, full))
        with loop(out, "0", str(columns)) as j:
            _move(v, at(out, v.element, line, multiply(out, j, matrix.column)), at(out, v.element, there, j))
        for extra in range(columns, full):
            _move(v, at(out, v.element, line, (columns - 1) * matrix.column), at(out, v.element, there, extra))


def _turn_panel(v: Vectors, source: str, goal: str, stride: int, width: int, columns: int, length: str) -> None:
    """The panel of a B whose rows run along k: column j begins at ``stride · j``."""
    out, lanes = v.out, v.lanes
    piece = 16 // v.size  # numbers in 128 bits
    groups = lanes // piece
    short = f"<{piece} x {v.element}>"
    whole = _floor(out, length, piece)
    with loop(out, "0", whole, piece) as k:
        here = at(out, v.element, source, k)
        there = at(out, v.element, goal, multiply(out, k, width * lanes))
        for vector in range(width):
            gathered = []
            for q in range(piece):
                parts = []
                for group in range(groups):
                    column = min(vector * lanes + group * piece + q, columns - 1)
                    pointer = at(out, v.element, here, column * stride)
                    parts.append(out.new(f"load {short}, ptr {pointer}, align {v.size}"))
                gathered.append(_joined(v, parts, piece))
            for row, value in enumerate(_turned(v, gathered, piece)):
                v.store(value, at(out, v.element, there, row * width * lanes + vector * lanes), lanes)
    if whole != length:
        _gather_panel(v, source, goal, Matrix(0, 1, stride), width, columns, whole, length)


def _joined(v: Vectors, parts: list[str], piece: int) -> str:
    """Vectors of 128 bits one behind the other in one."""
    size = piece
    while len(parts) > 1:
        source = f"<{size} x {v.element}>"
        parts = [v.shuffle(a, b, range(2 * size), source) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        size *= 2
    return parts[0]


def _turned(v: Vectors, rows: list[str], piece: int) -> list[str]:
    """Transposes each block of 128 bits over the ``piece`` vectors (2×2 or 4×4) by interleaving halves."""
    n = v.lanes

    def weave(a: str, b: str, low: bool) -> str:
        half = piece // 2
        order = []
        for block in range(0, n, piece):
            for i in range(half):
                at_ = block + i + (0 if low else half)
                order += [at_, n + at_]
        return v.shuffle(a, b, order)

    if piece == 2:
        return [weave(rows[0], rows[1], True), weave(rows[0], rows[1], False)]
    low = weave(rows[0], rows[2], True), weave(rows[1], rows[3], True)
    high = weave(rows[0], rows[2], False), weave(rows[1], rows[3], False)
    return [weave(a, b, side) for a, b in (low, high) for side in (True, False)]
