"""Loops and branches: lines whose attributes hold graphs, as native functions that run those graphs' parts.

A carry lives in the buffer of the loop's result.  A step of the body writes its next value onto it where the plan of
the body allows that (``Part.shared``), and beside it otherwise, from where it is copied.  Slices of what is walked over
are pointers that move.  Between two steps a loop looks for an interrupt now and then (``cr.poll``), so it stops with
all carries of one step.

Source: the loops of Lattner & Adve's LLVM; scan as in Bradbury and others, JAX (2018).
Does not do: steps in parallel, unrolling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import DType, Spec
from chainrule.compile.emit import memory_type
from chainrule.compile.parts import Key, Part
from chainrule.compile.views import View
from chainrule.compile.writer import Lines, leave_unless_zero, loop, multiply, subtract
from chainrule.graph.evaluate import nbytes
from chainrule.graph.graph import Graph, Line


class Inner(NamedTuple):
    """A graph inside a line; ``pairs``: (input, output) positions that had best share memory."""

    graph: Graph
    pairs: tuple[tuple[int, int], ...] = ()


def inner_graphs(line: Line) -> list[Inner]:
    """The graphs that a loop or branch runs, in the order in which their parts are passed to :func:`region_text`."""
    attrs: dict[str, Any] = dict(line.attrs)
    match line.op.name:
        case "scan":
            carries = tuple((attrs["consts"] + j, j) for j in range(attrs["carries"]))
            return [Inner(attrs["body"], carries)]
        case "while_loop":
            body = attrs["body"]
            carries = tuple((attrs["body_consts"] + j, j) for j in range(len(body.outputs)))
            return [Inner(attrs["test"]), Inner(body, carries)]
        case "cond":
            return [Inner(attrs["if_true"]), Inner(attrs["if_false"])]
        case "call":
            return [Inner(attrs["graph"])]
        case _:
            return [Inner(attrs["primal"])]


class Region(NamedTuple):
    """The native function of a loop or branch, and whose buffers it is given."""

    text: str
    buffers: tuple[Key, ...]


class Extra(NamedTuple):
    """Memory that a loop or branch needs while it runs."""

    key: Key
    size: int


def extras(index: int, line: Line, parts: Sequence[Part]) -> list[Extra]:
    """Arenas of the parts, places for carries that can't be written in place, the answer of a test."""
    found = [Extra((index, "arena", n), part.arena) for n, part in enumerate(parts)]
    if line.op.name == "while_loop":
        found.append(Extra((index, "test", 0), 1))
    if line.op.name in ("scan", "while_loop"):
        body = parts[-1]
        for j, place in enumerate(body.outputs()[: _carries(line)]):
            if place is not None and j not in body.shared:
                found.append(Extra((index, "next", j), nbytes(body.graph.output_specs[j])))
    return found


def _carries(line: Line) -> int:
    attrs: dict[str, Any] = dict(line.attrs)
    return int(attrs["carries"]) if line.op.name == "scan" else len(attrs["body"].outputs)


class Argument(NamedTuple):
    """Where an argument of a loop or branch lies (in C order), and its type."""

    view: View
    spec: Spec


def region_text(name: str, index: int, line: Line, parts: Sequence[Part], arguments: Sequence[Argument],
                results: Sequence[Key]) -> Region:  # fmt: skip
    """The function of a loop or branch, ``i32 name(ptr buffers, ptr context)``.

    ``results``: whose buffers the results go to.
    """
    code = _Region(index, line, parts, arguments, results)
    match line.op.name:
        case "scan":
            code.scan()
        case "while_loop":
            code.while_loop()
        case "cond":
            code.cond()
        case _:
            code.branch(0, 0)
    head = f"define internal i32 @{name}(ptr noalias %buffers, ptr %context) noinline #0 {{"
    body = [head, "entry:", *code.entry, "  br label %start", "start:", *code.out.lines, "  ret i32 0", "}"]
    return Region("\n".join(body), tuple(code.positions))


class _Region:
    def __init__(self, index: int, line: Line, parts: Sequence[Part], arguments: Sequence[Argument],
                 results: Sequence[Key]) -> None:  # fmt: skip
        self.index, self.parts, self.arguments, self.results = index, parts, arguments, results
        self.attrs: dict[str, Any] = dict(line.attrs)
        self.out = Lines()
        self.entry: list[str] = []
        self.positions: dict[Key, int] = {}  # our buffers, in the order in which they are first used
        self.tables = [self._table(n) for n in range(len(parts))]

    # Pointers

    def pointer(self, key: Key) -> str:
        """The buffer of ``key``."""
        if key not in self.positions:
            slot = self.positions[key] = len(self.positions)
            self.entry.append(f"  %a{slot} = getelementptr inbounds ptr, ptr %buffers, i64 {slot}")
            self.entry.append(f"  %b{slot} = load ptr, ptr %a{slot}")
        return f"%b{self.positions[key]}"

    def argument(self, position: int) -> str:
        """The first number of an argument."""
        view, spec = self.arguments[position]
        return self.behind(self.pointer(view.root), str(view.offset * spec.dtype.itemsize))

    def behind(self, pointer: str, count: str) -> str:
        """``count`` bytes behind a pointer."""
        return pointer if count == "0" else self.out.new(f"getelementptr inbounds i8, ptr {pointer}, i64 {count}")

    def copy(self, to: str, source: str, size: int) -> None:
        if size and to != source:
            self.out.put(f"call void @llvm.memmove.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)")

    # Tables of pointers for the parts

    def _table(self, number: int) -> str:
        """A part's table, with its constants and temporaries in it."""
        part, name = self.parts[number], f"%table{number}"
        self.entry.append(f"  {name} = alloca [{max(part.slots, 1)} x ptr]")
        for place in part.places.values():
            if place.kind == "constant":
                self.put(name, place.slot, self.pointer(("constant", place.detail)))
            elif place.kind == "temporary":
                self.put(name, place.slot, self.behind(self.pointer((self.index, "arena", number)), str(place.detail)))
        return name

    def put(self, table: str, slot: int, pointer: str) -> None:
        at = self.out.new(f"getelementptr inbounds ptr, ptr {table}, i64 {slot}")
        self.out.put(f"store ptr {pointer}, ptr {at}")

    def give(self, number: int, position: int, pointer: str) -> None:
        """Input ``position`` of a part."""
        self.put(self.tables[number], self.parts[number].places[position].slot, pointer)

    def take(self, number: int, position: int, pointer: str) -> None:
        """Where a part puts output ``position``."""
        place = self.parts[number].outputs()[position]
        if place is not None:
            self.put(self.tables[number], place.slot, pointer)

    def run(self, number: int) -> None:
        """Call a part; leave if it failed."""
        status = self.out.new(f"call i32 @{self.parts[number].name}(ptr {self.tables[number]}, ptr %context)")
        leave_unless_zero(self.out, status)

    def poll(self) -> None:
        leave_unless_zero(self.out, self.out.new("call i32 @cr.poll(ptr %context)"))

    # Carries

    def start_carries(self, number: int, first: int, argument: int, count: int) -> None:
        """Copy the initial carries to the results; a part finds them there, from its input ``first`` on."""
        part = self.parts[number]
        for j in range(count):
            result = self.pointer(self.results[j])
            self.copy(result, self.argument(argument + j), nbytes(part.graph.output_specs[j]))
            self.give(number, first + j, result)
            if part.outputs()[j] is not None:
                self.take(number, j, result if j in part.shared else self.pointer((self.index, "next", j)))

    def next_carries(self, number: int, count: int) -> None:
        """Bring carries that were written beside their old values to where those are."""
        part = self.parts[number]
        for j, place in enumerate(part.outputs()[:count]):
            if place is not None and j not in part.shared:
                size = nbytes(part.graph.output_specs[j])
                self.copy(self.pointer(self.results[j]), self.pointer((self.index, "next", j)), size)

    # The kinds

    def scan(self) -> None:
        consts, carries, length = (int(self.attrs[x]) for x in ("consts", "carries", "length"))
        (part,) = self.parts
        for i in range(consts):
            self.give(0, i, self.argument(i))
        self.start_carries(0, consts, consts, carries)
        first = consts + carries
        walked = [self.argument(first + i) for i in range(part.graph.inputs - first)]
        stacked = [self.pointer(key) for key in self.results[carries:]]
        with loop(self.out, "0", str(length)) as turn:
            step = subtract(self.out, str(length - 1), turn) if self.attrs["reverse"] else turn
            for i, base in enumerate(walked):
                size = nbytes(part.graph.input_specs[first + i])
                self.give(0, first + i, self.behind(base, multiply(self.out, step, size)))
            for i, base in enumerate(stacked):
                size = nbytes(part.graph.output_specs[carries + i])
                self.take(0, carries + i, self.behind(base, multiply(self.out, step, size)))
            self.run(0)
            self.next_carries(0, carries)
            self.poll()

    def while_loop(self) -> None:
        for_test, for_body = int(self.attrs["test_consts"]), int(self.attrs["body_consts"])
        carries = len(self.parts[1].graph.outputs)
        for i in range(for_test):
            self.give(0, i, self.argument(i))
        for i in range(for_body):
            self.give(1, i, self.argument(for_test + i))
        self.start_carries(1, for_body, for_test + for_body, carries)
        for j in range(carries):
            self.give(0, for_test + j, self.pointer(self.results[j]))
        answer = self.pointer((self.index, "test", 0))
        self.take(0, 0, answer)
        again, body, done = (self.out.label(stem) for stem in ("again", "body", "done"))
        self.out.put(f"br label %{again}")
        self.out.put(f"{again}:")
        self.run(0)
        self._branch_on(answer, self.parts[0].graph.output_specs[0].dtype, body, done)
        self.out.put(f"{body}:")
        self.run(1)
        self.next_carries(1, carries)
        self.poll()
        self.out.put(f"br label %{again}")
        self.out.put(f"{done}:")

    def cond(self) -> None:
        yes, no, done = (self.out.label(stem) for stem in ("yes", "no", "done"))
        self._branch_on(self.argument(0), self.arguments[0].spec.dtype, yes, no)
        for number, label in enumerate((yes, no)):
            self.out.put(f"{label}:")
            self.branch(number, 1)
            self.out.put(f"br label %{done}")
        self.out.put(f"{done}:")

    def _branch_on(self, pointer: str, dtype: DType, yes: str, no: str) -> None:
        """Go to ``yes`` if the number at ``pointer`` is not zero, else to ``no``."""
        t = memory_type(dtype)
        value = self.out.new(f"load {t}, ptr {pointer}")
        compare = "fcmp une" if dtype.kind == "f" else "icmp ne"
        some = self.out.new(f"{compare} {t} {value}, {'0.0' if dtype.kind == 'f' else '0'}")
        self.out.put(f"br i1 {some}, label %{yes}, label %{no}")

    def branch(self, number: int, first: int) -> None:
        """Run a part on the arguments from ``first`` on."""
        part = self.parts[number]
        for i in range(part.graph.inputs):
            self.give(number, i, self.argument(first + i))
        for i, key in enumerate(self.results):
            self.take(number, i, self.pointer(key))
        self.run(number)
