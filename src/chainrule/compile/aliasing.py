"""Which buffers of a kernel may be one: whether a result may be written onto the very memory of something it reads.

Decided on the loops, not on what the lines mean.  A ``Load`` of what is read and a ``Store`` of the result have the
loops that enclose both in common.  They may share memory if, in one turn of those loops, they touch the same elements
(so no other turn and no other thread touches them), and the load comes first.  Nor do they meet in two turns where each
turn keeps to a stretch of its own; within one turn it is then enough that the load comes first, or that they touch
stretches apart, as the blocks of a long sum do.  Every load is compared with every store.
On the tile of a matrix product the loops run over a part of C that no other tile has, so the same holds there; the
product's operands are read by other tiles, and never share.
Does not do: kernels that write at computed places (moves).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import Spec
from chainrule.compile.finish import finish_kernel, riding
from chainrule.compile.fuse import Fused
from chainrule.compile.loops import Kernel, Load, Loop, Place, Store, lower

LOOPED = ("pointwise", "row", "column")


class _Access(NamedTuple):
    """A load or store, the loops around it from the outermost in, and its position in the body of each."""

    place: Place
    loops: tuple[Loop, ...]
    order: tuple[int, ...]


def shares(fused: Fused, number: int, read: int, stored: int, kernel: Kernel | None = None) -> bool:
    """Whether cluster ``number`` may write ``stored`` onto the memory of ``read`` (both roots, each in C order).

    ``kernel``: the cluster's loops, where they are at hand.
    """
    cluster = fused.clusters[number]
    if cluster.kind not in (*LOOPED, "product") or stored not in cluster.lines or stored not in fused.stored:
        return False
    specs = [fused.graph.lines[i].spec for i in (read, stored)]
    if not all(isinstance(s, Spec) for s in specs) or specs[0].shape != specs[1].shape:
        return False
    if specs[0].dtype != specs[1].dtype:
        return False
    if cluster.kind == "product":
        ride = riding(fused, number)
        return read not in ride.operands and kernel_shares(finish_kernel(fused, number, ride), read, stored)
    return kernel_shares(kernel or lower(fused, number), read, stored)


def kernel_shares(kernel: Kernel, read: int, stored: int) -> bool:
    """The same for the buffers of a kernel that writes each element of ``stored`` once."""
    loads, stores = list(_accesses(kernel.body, Load, read)), list(_accesses(kernel.body, Store, stored))
    if kernel.splits > 1 and not all(any(loop.split for loop in access.loops) for access in (*loads, *stores)):
        return False  # run by every part, whatever another has written
    return all(_in_step(load, store) for store in stores for load in loads)


def _accesses(body: Iterable[Any], kind: type[Load] | type[Store], buffer: int, loops: tuple[Loop, ...] = (),
              order: tuple[int, ...] = ()) -> Iterator[_Access]:  # fmt: skip
    for position, statement in enumerate(body):
        here = (*order, position)
        if isinstance(statement, Loop):
            yield from _accesses(statement.body, kind, buffer, (*loops, statement), here)
        elif isinstance(statement, kind) and statement.buffer == buffer:
            yield _Access(statement.place, loops, here)


def _in_step(load: _Access, store: _Access) -> bool:
    """Whether in each turn of the common loops the load precedes the store, and both touch the same elements."""
    common = 0
    while common < min(len(load.loops), len(store.loops)) and load.loops[common] is store.loops[common]:
        common += 1
    outer = [loop.var for loop in store.loops[:common]]
    stepped = dict(store.place.terms)
    if any(loop.extent > 1 and not stepped.get(loop.var) for loop in store.loops[:common]):
        return False  # the store comes back to the same element in another turn
    if load.order < store.order and _touched(load, outer) == _touched(store, outer):
        return True
    return _is_apart(load, store, store.loops[:common])


def _is_apart(load: _Access, store: _Access, around: Sequence[Loop]) -> bool:
    """Whether each turn of the loops around both keeps to a stretch of its own, where the load precedes what it meets.

    A loop's turns do so if it steps over all that the loops inside it reach.
    """
    outer = [loop.var for loop in around]
    steps, found = ({v: step for v, step in x.place.terms if v not in _own(x, outer)} for x in (store, load))
    if steps != found or not steps.keys() <= set(outer):
        return False  # (what is no loop here, like the tile of a product, has turns elsewhere)
    (first, last), (low, high) = _stretch(load, outer), _stretch(store, outer)
    reach = max(last, high) - min(first, low)
    for loop in sorted((x for x in around if x.extent > 1), key=lambda x: abs(steps[x.var])):
        if abs(steps[loop.var]) <= reach:
            return False
        reach += abs(steps[loop.var]) * (loop.extent - 1)
    return load.order < store.order or last < low or high < first


def _own(access: _Access, outer: list[str]) -> dict[str, int]:
    """The loops around an access that are not ``outer``, and their extents."""
    return {loop.var: loop.extent for loop in access.loops if loop.var not in outer}


def _stretch(access: _Access, outer: list[str]) -> tuple[int, int]:
    """The first and the last element that an access touches in turn 0 of the loops over ``outer``."""
    extents = _own(access, outer)
    ends = [step * (extents[var] - 1) for var, step in access.place.terms if var in extents]
    return (access.place.offset + sum(e for e in ends if e < 0), access.place.offset + sum(e for e in ends if e > 0))


def _touched(access: _Access, outer: list[str]) -> tuple[object, ...]:
    """The elements an access touches in one turn of the loops over ``outer``, in a form that can be compared."""
    extents = _own(access, outer)
    around = {var: step for var, step in access.place.terms if var not in extents}
    within = sorted((extents[var], step) for var, step in access.place.terms if var in extents)
    return access.place.offset, around, within
