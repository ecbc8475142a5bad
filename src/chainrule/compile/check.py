"""The rules that clusters, kernels and storage of a program keep, checked after the passes that make them.

``check(fused)``: each line that computes is in one cluster, behind what it reads; what another cluster or the caller
needs is stored.  ``check(part)``: these again (lowering may store more), the kernels (``checkloops``), and the memory
plan: every buffer has one slot, temporaries are aligned and lie in the arena, no two that live at once overlap, results
that take an input's memory take none that is read later.  The second opinion is written from the rules, not from the
passes.  The compiler hands over what it makes (``checked``); that is looked at only under :func:`checking`, or where
``CHAINRULE_CHECK=1`` is in the environment when this module is imported.
Does not do: LLVM text (LLVM's verifier does), what a program means (the tests against the evaluator do).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from chainrule.base.arrays import Spec
from chainrule.compile.checkloops import Buffer, check_kernel
from chainrule.compile.engine import CompileError
from chainrule.compile.finish import TILE, finish_kernel, is_ridden, riding
from chainrule.compile.fuse import Cluster, Fused
from chainrule.compile.parts import Part
from chainrule.graph.evaluate import nbytes

Made = TypeVar("Made", Fused, Part)
ALIGNED = 64


_on = int(os.environ.get("CHAINRULE_CHECK") == "1")  # how many ask for checks


@contextmanager
def checking() -> Iterator[None]:
    """Check everything that is compiled inside the ``with`` block, in all threads."""
    global _on
    _on += 1
    try:
        yield
    finally:
        _on -= 1


def checked(made: Made) -> Made:
    """``made`` itself; where checks are on, it has kept the rules.  Raises CompileError where it has not."""
    if _on:
        check(made)
    return made


def check(made: Fused | Part) -> None:
    """Raise CompileError, naming kernel and line, unless what a pass made keeps the rules."""
    if isinstance(made, Fused):
        check_clusters(made)
        return
    check_clusters(made.fused)
    for number, kernel in made.kernels.items():
        check_kernel(kernel, buffers_of(made.fused, number))
    for number, cluster in enumerate(made.fused.clusters):
        if cluster.kind == "product" and is_ridden(made.fused, number):
            _check_finish(made.fused, number)
    check_storage(made)


def _check_finish(fused: Fused, number: int) -> None:
    """What rides on a product's tiles, as if all of C were one tile."""
    ride = riding(fused, number)
    product = ride.product
    if not math.prod((product.m, product.n, *product.batch)):
        return  # no tile is ever finished
    tile = Buffer(product.m * product.n, product.dtype, True, False)
    extents = (1, 1, *product.batch)
    given = dict(zip(ride.indices, extents, strict=True))
    check_kernel(finish_kernel(fused, number, ride), {**buffers_of(fused, number), TILE: tile}, given)


def _refuse(fused: Fused, where: str, problem: str, expected: object, got: object) -> NoReturn:
    raise CompileError(f"{where}: {problem}", expected=expected, got=got, where="\n" + str(fused),
                       fix="report this with the function that was compiled")  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ clusters


def _root(fused: Fused, index: int) -> int:
    view = fused.views[index]
    return index if view is None else view.root


def _computes(fused: Fused, index: int) -> bool:
    """Whether a line has a kernel of its own: not inputs, constants, and lines that only rearrange."""
    return (index >= fused.graph.inputs and fused.graph.lines[index].op.name != "constant"
            and _root(fused, index) == index)  # fmt: skip


def check_clusters(fused: Fused) -> None:
    """The rules of clusters; see the head of this file."""
    seen: dict[int, int] = {}
    for number, cluster in enumerate(fused.clusters):
        name = f"kernel {number}"
        if not cluster.lines:
            _refuse(fused, name, "a kernel computes nothing", "a line or more", "none")
        for index in cluster.lines:
            if not _computes(fused, index):
                _refuse(fused, name, f"%{index} needs no kernel", "a line that computes", "an input, constant or view")
            if index in seen:
                _refuse(fused, name, f"%{index} is computed twice", "one kernel", f"also kernel {seen[index]}")
            for a in fused.graph.lines[index].args:
                root = _root(fused, a)
                if _computes(fused, root) and root not in seen:
                    _refuse(fused, name, f"%{index} reads %{root} before it is computed",
                            "an earlier line or kernel", f"kernel {fused.where.get(root, 'none')}")  # fmt: skip
            seen[index] = number
            if fused.where.get(index) != number:
                _refuse(fused, name, f"%{index} is said to be elsewhere", number, fused.where.get(index))
        if cluster.kind in ("pointwise", "row", "column"):
            _check_shapes(fused, name, cluster)
    for index in range(len(fused.graph.lines)):
        if _computes(fused, index) and index not in seen:
            _refuse(fused, "fusion", f"%{index} is in no kernel", "one", "none")
    _check_stored(fused)
    _check_groups(fused)


def _check_groups(fused: Fused) -> None:
    """Groups hold each cluster once, in order; what runs at once does not wait for one another."""
    if not fused.groups:
        return
    ends = [group.first for group in fused.groups] + [len(fused.clusters)]
    if ends != [0, *(group.end for group in fused.groups)]:
        _refuse(fused, "groups", "each kernel is in one group", f"groups from 0 to {len(fused.clusters)}", fused.groups)
    for group in fused.groups:
        inside = range(group.first, group.end)
        name = f"kernels {group.first} to {group.end - 1}"
        for number in inside:
            cluster = fused.clusters[number]
            if cluster.strands != group.strands or (group.kind == "strands") != (group.strands > 1):
                _refuse(fused, name, "kernels and their group are cut alike", group, cluster.strands)
            if group.kind != "alone" and cluster.kind in ("region", "call"):
                _refuse(fused, name, "what runs at once is kernels", "no loops, branches or NumPy", cluster.kind)
            if group.strands > 1 and cluster.kind not in ("product", "pointwise", "row"):
                _refuse(fused, name, "strands are of kernels that compute their rows apart",
                        "products, rows, what is pointwise", cluster.kind)  # fmt: skip
            if group.strands > 1 and (not cluster.domain or cluster.domain[0] % group.strands):
                _refuse(fused, name, "strands have as many rows each", group.strands, cluster.domain)
            for index in cluster.lines:
                for position, a in enumerate(fused.graph.lines[index].args):
                    other = fused.where.get(_root(fused, a), number)
                    if other == number or other not in inside:
                        continue
                    if group.kind != "strands":
                        _refuse(fused, name, f"%{index} reads what runs beside it", "an earlier group", f"%{a}")
                    _check_strand(fused, name, index, position, group.strands)


def _check_strand(fused: Fused, name: str, index: int, position: int, strands: int) -> None:
    """Each strand of a line reads nothing of an argument but the same share of it, which its own strand has made."""
    graph, a = fused.graph, fused.graph.lines[index].args[position]
    view, shape, own = fused.views[a], fused.graph.lines[a].spec.shape, fused.graph.lines[index].spec.shape
    product = graph.lines[index].op.name == "matmul"
    if view is None or (product and position) or not shape or len(shape) < len(own):
        _refuse(fused, name, f"%{index} reads all of %{a}, which other strands compute", "its own share", shape)
    size = math.prod(graph.lines[view.root].spec.shape) // strands
    rows = shape[0] // strands
    for strand in range(strands):
        steps = [(view.strides[0], rows), *zip(view.strides[1:], shape[1:], strict=True)]
        first = view.offset + strand * rows * view.strides[0]
        low = first + sum(step * (n - 1) for step, n in steps if step < 0)
        high = first + sum(step * (n - 1) for step, n in steps if step > 0)
        if not strand * size <= low <= high < (strand + 1) * size:
            _refuse(fused, name, f"%{index} reads what another strand computes of %{a}",
                    f"{strand * size} to {(strand + 1) * size - 1}", f"{low} to {high}")  # fmt: skip


def _check_shapes(fused: Fused, name: str, cluster: Cluster) -> None:
    if cluster.full & cluster.rows or cluster.full | cluster.rows != set(cluster.lines):
        _refuse(fused, name, "each line has the domain's shape or one value per row", cluster.lines,
                f"{sorted(cluster.full)} and {sorted(cluster.rows)}")  # fmt: skip
    rank = len(cluster.domain) - cluster.inner
    kept = cluster.domain[:rank] if cluster.kind != "column" else cluster.domain[cluster.inner :]
    for index in cluster.lines:
        size = math.prod(fused.graph.lines[index].spec.shape)
        wanted = math.prod(cluster.domain) if index in cluster.full else math.prod(kept)
        if size != wanted or (index in cluster.rows and cluster.kind == "pointwise"):
            _refuse(fused, name, f"%{index} does not fit the domain {cluster.domain}", f"{wanted} elements", size)


def _check_stored(fused: Fused) -> None:
    needed = {_root(fused, out): "the caller" for out in fused.graph.outputs}
    for index, number in fused.where.items():
        for a in fused.graph.lines[index].args:
            root = _root(fused, a)
            if fused.where.get(root, number) != number:
                needed[root] = f"kernel {number}"
    for root, user in needed.items():
        if root in fused.where and root not in fused.stored:
            _refuse(fused, f"kernel {fused.where[root]}", f"%{root} is not stored", f"stored, for {user}", "not stored")
    for root in fused.stored:
        if root not in fused.where:
            _refuse(fused, "fusion", f"%{root} is stored but not computed", "a line of a kernel", f"%{root}")


def buffers_of(fused: Fused, number: int) -> dict[Any, Buffer]:
    """What the kernel of a cluster may read (inputs, constants, results stored before, its own) and must store."""
    found: dict[Any, Buffer] = {}
    for index, line in enumerate(fused.graph.lines):
        if not isinstance(line.spec, Spec):
            continue
        where = fused.where.get(index)
        given = index < fused.graph.inputs or line.op.name == "constant"
        if given or (index in fused.stored and where is not None and where <= number):
            found[index] = Buffer(math.prod(line.spec.shape), line.spec.dtype, True, where == number)
    return found


# ------------------------------------------------------------------------------------------------------------- storage


def check_storage(part: Part) -> None:
    """The rules of the memory plan; see the head of this file."""
    fused, places = part.fused, part.places
    if sorted(p.slot for p in places.values()) != list(range(len(places))):
        _refuse(fused, part.name, "slots are numbered once each", f"0 to {len(places) - 1}",
                sorted(p.slot for p in places.values()))  # fmt: skip
    for root in fused.stored:
        spec = fused.graph.lines[root].spec
        if isinstance(spec, Spec):
            if root not in places:
                _refuse(fused, part.name, f"%{root} is stored but has no place", "a place", "none")
            place = places[root]
            if (math.prod(place.shape), place.dtype) != (math.prod(spec.shape), spec.dtype):
                _refuse(fused, part.name, f"the place of %{root} is of another size", spec, place)
    held = [(key, p.detail, p.detail + _size(part, key)) for key, p in places.items() if p.kind == "temporary"]
    lives = _lives(part)
    for i, (key, start, stop) in enumerate(held):
        if start % ALIGNED:
            _refuse(fused, part.name, f"{_of(key)} is not aligned", f"a multiple of {ALIGNED}", start)
        if start < 0 or stop > part.arena:
            _refuse(fused, part.name, f"{_of(key)} lies outside of the arena", f"0 to {part.arena}", (start, stop))
        for other, begin, end in held[:i]:
            (a, b), (c, d) = lives[key], lives[other]
            if start < end and begin < stop and a <= d and c <= b:
                _refuse(fused, part.name, f"{_of(key)} and {_of(other)} live at once and overlap",
                        "places apart", f"bytes {start} to {stop} and {begin} to {end}")  # fmt: skip
    _check_shared(part)


def _size(part: Part, key: Any) -> int:
    """Bytes of a temporary: of a line, or of what a loop or branch needs, whose key is (line, what, number)."""
    if isinstance(key, int):
        return nbytes(part.graph.lines[key].spec)
    index, what, number = key
    match what:
        case "arena":
            return int(part.inner[index][number].arena)
        case "next":
            return nbytes(part.inner[index][-1].graph.output_specs[number])
        case "result":
            return nbytes(part.graph.lines[index].spec[number])
        case _:
            return 1


def _of(key: Any) -> str:
    return f"%{key}" if isinstance(key, int) else f"{key}"


def _lives(part: Part) -> Mapping[Any, tuple[int, int]]:
    """For every temporary, the groups of kernels from the first to the last that need it."""
    fused, turns = part.fused, part.fused.turns()
    found: dict[Any, tuple[int, int]] = {}
    for key, place in part.places.items():
        if place.kind == "temporary":
            first = turns[fused.where[key if isinstance(key, int) else key[0]]]
            found[key] = first, first
    for index, number in fused.where.items():
        for a in fused.graph.lines[index].args:
            root = _root(fused, a)
            if root in found:
                found[root] = found[root][0], max(found[root][1], turns[number])
    return found


def _check_shared(part: Part) -> None:
    """A result in an input's memory: of its type, alone there, and no kernel reads the input once it is written."""
    fused, graph, turns = part.fused, part.graph, part.fused.turns()
    for output, given in part.shared.items():
        root = _root(fused, graph.outputs[output])
        if graph.lines[graph.outputs[output]].spec != graph.lines[given].spec:
            _refuse(fused, part.name, f"result {output} is of another type than input {given}",
                    graph.lines[given].spec, graph.lines[graph.outputs[output]].spec)  # fmt: skip
        if list(part.shared.values()).count(given) > 1:
            _refuse(fused, part.name, f"two results share input {given}", "one", sorted(part.shared))
        taken = fused.where.get(root, len(fused.clusters))
        for index, number in fused.where.items():
            late = number != taken and taken < len(turns) and turns[number] >= turns[taken]
            if late and given in [_root(fused, a) for a in graph.lines[index].args]:
                _refuse(fused, f"kernel {number}", f"%{index} reads input {given}, whose memory result {output} took",
                        f"no reader after kernel {taken}", f"kernel {number}")  # fmt: skip
