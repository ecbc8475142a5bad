"""The innermost loops of a matrix product: the sums of one register tile over a block of k.

``broadcast_sums``: a row of B, as vectors, times broadcasts of A, one rank-1 update a step of k (Goto and van de Geijn,
2008).  ``dot_sums``: vectors along k of rows of A and columns of B.  Where a tile has too few sums to keep the
multipliers busy, each is kept as several over every second (fourth, …) step, added up in pairs at the end.  Where k is
long, what has come together is added to totals every ``CHAIN`` additions, and starts anew: the error is that of a chain
of as many, and of one of the totals (blocked summation: Higham, 2002, section 4.2).
Does not do: choosing tiles (see ``tiles``), storing results (see ``products``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chainrule.compile.writer import Vectors, add, at, carried, divide, known, least, multiply, subtract

CHAIN = 384  # additions to one sum, one after the other: then the registers are put to the totals, which are in memory


class Strided(NamedTuple):
    """A matrix in memory: element (i, j) is ``pointer[row·i + column·j]``; rows begin at multiples of ``align``."""

    pointer: str
    row: int
    column: int
    align: int


def broadcast_sums(v: Vectors, a: Strided, b: Strided, tile: tuple[int, int], columns: int, length: str,
                   longest: int, sets: int, unroll: int, note: str,
                   meanwhile: Callable[[str], None] | None = None) -> list[list[str]]:  # fmt: skip
    """The sums over ``length`` steps of k of a tile of (rows, vectors), of which ``columns`` numbers may be read.

    ``longest``: the most that ``length`` is; ``unroll`` (a multiple of ``sets``) steps go into one turn of the loop,
    which carries the metadata ``note``.  ``meanwhile(i)`` is written into the loop for each row i of the tile, spread
    over all of k; k must not be longer than ``CHAIN`` then.
    """
    out = v.out
    height, width = tile
    count = height * width

    def step(k: str, offset: int, sums: list[str]) -> list[str]:
        line = at(out, v.element, at(out, v.element, b.pointer, multiply(out, k, b.row)), offset * b.row)
        vectors = [v.load(at(out, v.element, line, j * v.lanes), columns - j * v.lanes, b.align) for j in range(width)]
        place = at(out, v.element, a.pointer, multiply(out, k, a.column))
        after = []
        for i in range(height):
            pointer = at(out, v.element, place, i * a.row + offset * a.column)
            factor = v.broadcast(out.new(f"load {v.element}, ptr {pointer}, align {a.align}"))
            after += [v.multiply_add(factor, vectors[j], sums[i * width + j]) for j in range(width)]
        return after

    def turn(k: str, sums: list[str]) -> list[str]:
        groups = _split(sums, count)
        for u in range(unroll):
            groups[u % sets] = step(k, u, groups[u % sets])
        return [x for group in groups for x in group]

    if known(length):
        whole = str(int(length) // unroll * unroll)
    else:
        whole = subtract(out, length, divide(out, length, unroll)[1])
    if meanwhile is None:
        sums = _blocks(v, whole, longest, unroll, CHAIN * sets, count * sets, turn, note)
    else:
        size = -(-longest // (height * unroll)) * unroll
        sums = _pieces(v, whole, (height, size), unroll, count * sets, turn, meanwhile, note)
    groups = _split(sums, count)
    if known(length):
        for k in range(int(whole), int(length)):
            groups[0] = step(str(k), 0, groups[0])
    elif unroll > 1:
        groups[0] = carried(out, whole, length, 1, v.type, groups[0], lambda k, sums: step(k, 0, sums), note)
    return _split(_added(v, groups), width)


def dot_sums(v: Vectors, a: Strided, b: Strided, tile: tuple[int, int], k: int, sets: int,
             note: str) -> list[list[str]]:  # fmt: skip
    """The products of rows of A and columns of B that run along k: for each of the tile's rows one vector of sums."""
    out = v.out
    height, width = tile
    count = height * width

    def step(at_k: str, offset: int, sums: list[str], lanes: int) -> list[str]:
        x, y = at(out, v.element, a.pointer, at_k), at(out, v.element, b.pointer, at_k)
        sides = [(x, a.row, width), (y, b.column, 1)]  # where, stride, and how its sums are numbered
        (p, p_stride, p_step), (q, q_stride, q_step) = sides if height <= width else sides[::-1]
        held = [v.load(at(out, v.element, p, i * p_stride + offset), lanes) for i in range(min(height, width))]
        after = list(sums)
        for j in range(max(height, width)):
            passing = v.load(at(out, v.element, q, j * q_stride + offset), lanes)
            for i, value in enumerate(held):
                number = i * p_step + j * q_step
                after[number] = v.multiply_add(value, passing, sums[number])
        return after

    def turn(at_k: str, sums: list[str]) -> list[str]:
        groups = [step(at_k, s * v.lanes, group, v.lanes) for s, group in enumerate(_split(sums, count))]
        return [x for group in groups for x in group]

    stride = sets * v.lanes
    whole = k // stride * stride
    groups = _split(_blocks(v, str(whole), k, stride, CHAIN // 2 * stride, count * sets, turn, note), count)
    for s, start in enumerate(range(whole, k, v.lanes)):
        groups[s] = step(str(start), 0, groups[s], min(v.lanes, k - start))
    return [[_gathered(v, row)] for row in _split(_added(v, groups), width)]


def _blocks(v: Vectors, stop: str, longest: int, step: int, most: int, count: int,
            turn: Callable[[str, list[str]], list[str]], note: str) -> list[str]:  # fmt: skip
    """``count`` sums over 0 to ``stop`` by ``step``, in blocks of ``most`` where ``longest`` is well above that."""
    out, zeros = v.out, ["zeroinitializer"] * count
    if 2 * longest <= 3 * most:  # two blocks would be short ones
        return carried(out, "0", stop, step, v.type, zeros, turn, note)
    blocks = -(-longest // most)
    size = -(-longest // (blocks * step)) * step

    def block(begin: str, totals: list[str]) -> list[str]:
        end = least(out, add(out, begin, size), stop)
        sums = carried(out, begin, end, step, v.type, zeros, turn, note)
        return [v.add(total, x) for total, x in zip(totals, sums, strict=True)]

    return carried(out, "0", stop, size, v.type, zeros, block, note)


def _pieces(v: Vectors, stop: str, pieces: tuple[int, int], step: int, count: int,
            turn: Callable[[str, list[str]], list[str]], meanwhile: Callable[[str], None],
            note: str) -> list[str]:  # fmt: skip
    """``count`` sums over 0 to ``stop`` by ``step``, in (how many, how long) pieces, ``meanwhile`` before each."""
    out = v.out
    many, size = pieces

    def piece(i: str, sums: list[str]) -> list[str]:
        meanwhile(i)
        begin = multiply(out, i, size)
        return carried(out, begin, least(out, add(out, begin, size), stop), step, v.type, sums, turn, note)

    return carried(out, "0", str(many), 1, v.type, ["zeroinitializer"] * count, piece, note)


def _gathered(v: Vectors, sums: list[str]) -> str:
    """The totals of vectors, side by side in one."""
    vector, goal = "poison", f"<{len(sums)} x {v.element}>"
    for j, value in enumerate(sums):
        total = v.out.new(
            f"call reassoc {v.element} @llvm.vector.reduce.fadd.{v.suffix}({v.element} -0.0, {v.type} {value})"
        )
        vector = v.out.new(f"insertelement {goal} {vector}, {v.element} {total}, i64 {j}")
    return vector


def _split(values: list[str], size: int) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _added(v: Vectors, groups: list[list[str]]) -> list[str]:
    """The sums of each group added up in pairs."""
    while len(groups) > 1:
        groups = [
            [v.add(x, y) for x, y in zip(p, q, strict=True)] for p, q in zip(groups[::2], groups[1::2], strict=True)
        ]
    return groups[0]
