"""LLVM text: the third representation.  Kernels become functions ``void(ptr buffers, i64 begin, i64 end)``.

``buffers`` is an array of pointers; a kernel loads those it uses once.  Every innermost loop is marked free of carried
dependences, which is so by construction (a kernel reads a buffer it writes only at the place of the same element), so
LLVM vectorises it without run-time checks.  Reductions carry ``reassoc``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import BOOL, DType
from chainrule.compile import emit
from chainrule.compile.emit import EMITTERS, llvm_type, memory_type, suffix_of
from chainrule.compile.fuse import Group
from chainrule.compile.loops import Compute, Finish, Kernel, Load, Loop, Place, Start, Store, Update
from chainrule.compile.target import Target
from chainrule.compile.vectormath import definitions, symbol
from chainrule.compile.writer import Lines, add, at, leave_unless_zero, loop, multiply


class Text(Lines):
    """LLVM instructions under construction, which emitters write to; notes the math functions they call."""

    def __init__(self, functions: set[tuple[str, str]]) -> None:
        super().__init__()
        self.functions = functions

    def call(self, function: str, dtype: DType, *args: str) -> str:
        t, suffix = llvm_type(dtype), suffix_of(dtype)
        self.functions.add((function, suffix))
        return self.new(f"call {t} {symbol(function, suffix)}({', '.join(f'{t} {a}' for a in args)})")


_GRAIN = 1 << 15  # operations below which handing a part to another thread costs more than it saves
_MOST_PARTS = 64


_ROLLED = '!{!"llvm.loop.unroll.disable"}'
_SHORT = 8  # vectors in a loop that LLVM would rather unroll than vectorise


class Call(NamedTuple):
    """A kernel in use: its function, the range it runs over, and the graph lines whose buffers it is given.

    ``parts`` is into how many parts the range is cut for threads; it never depends on how many threads there are.
    """

    function: str
    extent: int
    parts: int
    buffers: tuple[Any, ...]


class Tasks(NamedTuple):
    """The function ``void (ptr tables, i64 part)`` of a group of kernels, and how many parts it has."""

    text: str
    parts: int


def strands_text(name: str, calls: Sequence[Call], group: Group) -> Tasks:
    """A group each of whose parts runs through all kernels, in each the same share of the rows."""
    out = Lines()
    for n, call in enumerate(calls):
        out.put(f"; cluster {group.first + n}")
        table = out.new(f"load ptr, ptr {at(out, 'ptr', '%tables', n)}")
        share = call.extent // group.strands
        begin = multiply(out, "%part", share)
        out.put(f"call void @{call.function}(ptr {table}, i64 {begin}, i64 {add(out, begin, share)})")
    return Tasks(_task(name, out), group.strands)


def pool_text(name: str, calls: Sequence[Call], group: Group) -> Tasks:
    """A group of kernels side by side: each part is a part of one of them."""
    out = Lines()
    parts = [(n, call, p) for n, call in enumerate(calls) for p in range(call.parts)]
    labels = [out.label("task") for _ in parts]
    cases = " ".join(f"i64 {i}, label %{label}" for i, label in enumerate(labels))
    out.put(f"switch i64 %part, label %{labels[0]} [ {cases} ]")
    for label, (n, call, p) in zip(labels, parts, strict=True):
        out.put(f"{label}:")
        out.put(f"; cluster {group.first + n}")
        table = out.new(f"load ptr, ptr {at(out, 'ptr', '%tables', n)}")
        begin, end = (call.extent * x // call.parts for x in (p, p + 1))
        out.put(f"call void @{call.function}(ptr {table}, i64 {begin}, i64 {end})")
        out.put("ret void")
    return Tasks(_task(name, out), len(parts))


def _task(name: str, out: Lines) -> str:
    end = "" if out.lines[-1].strip() == "ret void" else "\n  ret void"
    return f"define internal void @{name}(ptr noalias %tables, i64 %part) #0 {{\n" + "\n".join(out.lines) + end + "\n}"


class Inner(NamedTuple):
    """A loop or branch: its function, and the buffers it is given."""

    function: str
    buffers: tuple[Any, ...]


class Back(NamedTuple):
    """A call back into NumPy, by number; it is given the whole table."""

    which: int


class Module:
    """The text of a module of kernels: functions, metadata, and which math functions they call.

    A kernel names its buffers by their position among its own, so kernels that do the same to other buffers are the
    same text, and are written once.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.functions: set[tuple[str, str]] = set()
        self.bodies: list[str] = []
        self.metadata: list[str] = []
        self.kernels: dict[Any, tuple[str, int]] = {}  # what a kernel does → its function, the extent of its range
        self.parts: set[str] = set()

    def node(self, text: str) -> str:
        """A metadata node; ``@`` in the text is the node itself."""
        name = f"!{len(self.metadata)}"
        self.metadata.append(f"{name} = {text.replace('@', name)}")
        return name

    def add(self, kernel: Kernel) -> Call:
        """The function of a kernel, written unless there is one like it."""
        buffers = buffers_of(kernel)
        slots = {buffer: position for position, buffer in enumerate(buffers)}

        def make(name: str) -> tuple[str, int]:
            return _Function(self, kernel, name, slots).text(), kernel.splits

        name, _ = self._written(renamed(kernel, slots), make)
        return Call(name, kernel.splits, max(1, min(kernel.work // _GRAIN, kernel.splits, _MOST_PARTS)), buffers)

    def called(self, kernel: Kernel, name: str, buffers: Sequence[Any], memory: Sequence[str],
               indices: Sequence[str]) -> str:  # fmt: skip
        """The text of a kernel that another calls, giving it ``memory`` and ``indices`` of its own as well."""
        slots = {buffer: position for position, buffer in enumerate(buffers)}
        return _Function(self, kernel, name, slots, memory, indices).text()

    def add_text(self, make: Callable[[str], tuple[str, int]], key: Any, buffers: tuple[Any, ...]) -> Call:
        """The same for a kernel that writes itself: ``make(name)`` gives its text and its number of chunks."""
        name, chunks = self._written(key, make)
        return Call(name, chunks, max(chunks, 1), buffers)

    def _written(self, key: Any, make: Callable[[str], tuple[str, int]]) -> tuple[str, int]:
        """The name and extent of the kernel that does ``key``, written now if it is not yet."""
        if key not in self.kernels:
            name = f"kernel{len(self.kernels)}"
            text, extent = make(name)
            self.bodies.append(text)
            self.kernels[key] = name, extent
        return self.kernels[key]

    def part(self, name: str, steps: Sequence[Call | Inner | Back], slot: Callable[[Any], int],
             groups: Sequence[Group] = ()) -> None:  # fmt: skip
        """The function of a part, ``i32 (ptr buffers, ptr context)``: its steps one after the other, or in groups.

        ``slot``: where in the part's table a buffer's pointer is.
        """
        together = {n: group for group in groups if group.kind != "alone" for n in range(group.first, group.end)}
        out = Lines()
        entry = [f"  %t{n} = alloca [{max(len(step.buffers), 1)} x ptr]"
                 for n, step in enumerate(steps) if not isinstance(step, Back)]  # fmt: skip
        if together or any(isinstance(step, Call) and step.parts > 1 for step in steps):
            entry.append("  %pool = load ptr, ptr %context")
        for n, step in enumerate(steps):
            out.put(f"; cluster {n}")  # readers and the profiler go by it
            if isinstance(step, Back):
                status = out.new(f"call i32 @cr.back(ptr %context, i64 {step.which}, ptr %buffers)")
                leave_unless_zero(out, status)
                continue
            for position, buffer in enumerate(step.buffers):
                pointer = out.new(f"load ptr, ptr {at(out, 'ptr', '%buffers', slot(buffer))}")
                out.put(f"store ptr {pointer}, ptr {at(out, 'ptr', f'%t{n}', position)}")
            if n in together:
                self._member(out, entry, name, n, together[n], steps)
            elif isinstance(step, Inner):
                leave_unless_zero(out, out.new(f"call i32 @{step.function}(ptr %t{n}, ptr %context)"))
            elif step.parts == 1:
                out.put(f"call void @{step.function}(ptr %t{n}, i64 0, i64 {step.extent})")
            else:
                out.put(f"call void @cr.parallel(ptr %pool, ptr @{self._part(step)}, ptr %t{n}, i64 {step.parts})")
        body = "\n".join([*entry, *out.lines])
        self.bodies.append(
            f"define internal i32 @{name}(ptr noalias %buffers, ptr %context) noinline #0 {{\n{body}\n  ret i32 0\n}}"
        )

    def _member(self, out: Lines, entry: list[str], part: str, n: int, group: Group,
                steps: Sequence[Call | Inner | Back]) -> None:  # fmt: skip
        """A kernel of a group: its table among those of the group; behind the last of them the group runs."""
        tables = f"%g{group.first}"
        if n == group.first:
            entry.append(f"  {tables} = alloca [{group.end - group.first} x ptr]")
        step = steps[n]
        assert isinstance(step, Call)
        out.put(f"; to come: call void @{step.function}(...)")
        out.put(f"store ptr %t{n}, ptr {at(out, 'ptr', tables, n - group.first)}")
        if n == group.end - 1:
            calls = [step for step in steps[group.first : group.end] if isinstance(step, Call)]
            function = f"{part}.group{group.first}"
            write = strands_text if group.kind == "strands" else pool_text
            tasks = write(function, calls, group)
            self.bodies.append(tasks.text)
            out.put(f"; {group.kind} of clusters {group.first} to {group.end - 1}")
            out.put(f"call void @cr.parallel(ptr %pool, ptr @{function}, ptr {tables}, i64 {tasks.parts})")

    def program(self, main: str, parallel: bool) -> None:
        """The function that Python calls: ``main`` with denormals flushed, between ``cr.enter`` and ``cr.leave``."""
        mode = self.target.mode
        attend = ["%pool = load ptr, ptr %context", "call void @cr.attend(ptr %pool, i64 1)"] if parallel else []
        rest = ["call void @cr.attend(ptr %pool, i64 -1)"] if parallel else []
        lines = ["call void @cr.enter(ptr %context)", *mode.enter, *attend,
                 f"%status = call i32 @{main}(ptr %buffers, ptr %context)", *rest, *mode.leave,
                 "call void @cr.leave(ptr %context)", "ret i32 %status"]  # fmt: skip
        body = "\n".join(f"  {line}" for line in lines)
        self.bodies.append(f"define i32 @program(ptr %buffers, ptr %context) #0 {{\n{body}\n}}")

    def _part(self, call: Call) -> str:
        """The function that runs one part of a kernel's range: what ``cr.parallel`` calls."""
        name = f"{call.function}.part{call.parts}"
        if name not in self.parts:
            self.parts.add(name)
            self.bodies.append(
                f"define internal void @{name}(ptr %buffers, i64 %part) #0 {{\n"
                f"  %low = mul i64 %part, {call.extent}\n  %begin = udiv i64 %low, {call.parts}\n"
                f"  %high = add i64 %low, {call.extent}\n  %end = udiv i64 %high, {call.parts}\n"
                f"  call void @{call.function}(ptr %buffers, i64 %begin, i64 %end)\n  ret void\n}}"
            )
        return name

    def text(self) -> str:
        """All functions, the math they call, and metadata.

        The runtime's to define: ``cr.parallel``, ``cr.enter``, ``cr.leave``, ``cr.back`` and ``cr.poll``.
        """
        math = definitions(sorted(self.functions), fma=self.target.fma, root=self.target.root)
        attributes = f"attributes #0 = {{ {self.target.attributes} }}"
        return "\n\n".join([math, *self.bodies, attributes, "\n".join(self.metadata)]) + "\n"


def statements(kernel: Kernel) -> Iterator[Any]:
    """All statements of a kernel, those inside loops among them."""
    waiting = list(reversed(kernel.body))
    while waiting:
        yield (s := waiting.pop())
        if isinstance(s, Loop):
            waiting += reversed(s.body)


def buffers_of(kernel: Kernel) -> tuple[Any, ...]:
    """The graph lines whose buffers a kernel uses, in order of first use."""
    found = dict.fromkeys(s.buffer for s in statements(kernel) if isinstance(s, (Load, Store)))
    return tuple(b for b in found if not isinstance(b, str))


def renamed(kernel: Kernel, slots: dict[Any, int]) -> str:
    """The kernel in words, with its buffers by position: equal for kernels that do the same."""
    parts = [str(sorted(kernel.scratch.items()))]

    def walk(body: Iterable[Any]) -> None:
        for s in body:
            if isinstance(s, Loop):
                parts.append(f"loop {s.var} {s.extent} {s.split} {s.carried} {{")
                walk(s.body)
                parts.append("}")
            elif isinstance(s, (Load, Store)):
                parts.append(repr(s._replace(buffer=slots.get(s.buffer, s.buffer))))
            else:
                parts.append(repr(s))

    walk(kernel.body)
    return "\n".join(parts)


class _Function:
    def __init__(self, module: Module, kernel: Kernel, name: str, slots: dict[Any, int], memory: Sequence[str] = (),
                 indices: Sequence[str] = ()) -> None:  # fmt: skip
        self.module = module
        self.kernel = kernel
        self.name = name
        self.slots = slots
        self.out = Text(module.functions)
        self.entry: list[str] = []
        self.given = "".join([*(f", ptr noalias %{m}" for m in memory), *(f", i64 %{i}" for i in indices)])
        self.pointers: dict[Any, str] = {m: f"%{m}" for m in memory}
        self.names: dict[str, str] = {i: f"%{i}" for i in indices}
        self.types: dict[str, DType] = {}
        self.accumulators: dict[str, str] = {}
        self.group: str | None = None

    def text(self) -> str:
        for name, (n, dtype) in self.kernel.scratch.items():
            self.pointers[name] = f"%scratch.{name}"
            self.entry.append(f"  %scratch.{name} = alloca [{n} x {memory_type(dtype)}], align 64")
        self.block(self.kernel.body)
        range_ = "ptr noalias %buffers, i64 %begin, i64 %end"
        head = f"define internal void @{self.name}({range_}{self.given}) noinline #0 {{"
        lines = [head, "entry:", *self.entry, "  br label %start", "start:", *self.out.lines, "  ret void", "}"]
        return "\n".join(lines)

    # Values

    def operand(self, value: Any, dtype: DType) -> str:
        return emit.literal(value[0], dtype) if isinstance(value, tuple) else self.names[value]

    def pointer(self, buffer: Any) -> str:
        found = self.pointers.get(buffer)
        if found is None:
            slot = self.slots[buffer]
            found = self.pointers[buffer] = f"%b{slot}"
            self.entry.append(f"  %a{slot} = getelementptr inbounds ptr, ptr %buffers, i64 {slot}")
            self.entry.append(f"  {found} = load ptr, ptr %a{slot}, !invariant.load !{self._empty()}")
        return found

    def _empty(self) -> str:
        return self.module.node("!{}").lstrip("!")

    def address(self, buffer: Any, place: Place, dtype: DType) -> str:
        base = self.pointer(buffer)
        total: str | None = None
        for var, stride in place.terms:
            term = self.names[var] if stride == 1 else self.out.new(f"mul nsw i64 {self.names[var]}, {stride}")
            total = term if total is None else self.out.new(f"add nsw i64 {total}, {term}")
        if place.offset:
            total = str(place.offset) if total is None else self.out.new(f"add nsw i64 {total}, {place.offset}")
        if total is None:
            return base
        return self.out.new(f"getelementptr inbounds {memory_type(dtype)}, ptr {base}, i64 {total}")

    def mark(self) -> str:
        return f", !llvm.access.group {self.group}" if self.group else ""

    # Statements

    def block(self, body: Iterable[Any]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, s: Any) -> None:
        out = self.out
        if isinstance(s, Loop):
            self.loop(s)
        elif isinstance(s, Load):
            address = self.address(s.buffer, s.place, s.dtype)
            name = out.new(f"load {memory_type(s.dtype)}, ptr {address}{self.mark()}")
            self.names[s.name] = out.new(f"icmp ne i8 {name}, 0") if s.dtype.kind == "b" else name
        elif isinstance(s, Compute):
            self.names[s.name] = self.compute(s)
        elif isinstance(s, Store):
            value = self.operand(s.value, s.dtype)
            if s.dtype.kind == "b":
                value = out.new(f"zext i1 {value} to i8")
            address = self.address(s.buffer, s.place, s.dtype)
            out.put(f"store {memory_type(s.dtype)} {value}, ptr {address}{self.mark()}")
        elif isinstance(s, Start):
            name = f"%acc.{s.name}"
            self.entry.append(f"  {name} = alloca {llvm_type(s.dtype)}")
            self.accumulators[s.name] = name
            out.put(f"store {llvm_type(s.dtype)} {emit.literal(s.value[0], s.dtype)}, ptr {name}")
        elif isinstance(s, Update):
            self.update(s)
        elif isinstance(s, Finish):
            self.names[s.name] = out.new(f"load {llvm_type(s.dtype)}, ptr {self.accumulators[s.accumulator]}")

    def compute(self, s: Compute) -> str:
        if s.op == "where":
            t = llvm_type(s.result)
            condition = self.operand(s.args[0], BOOL)
            a, b = (self.operand(x, s.result) for x in s.args[1:])
            return self.out.new(f"select i1 {condition}, {t} {a}, {t} {b}")
        if s.op == "cast":
            return emit.convert(self.out, self.operand(s.args[0], s.dtype), s.dtype, s.result)
        args = tuple(self.operand(a, s.dtype) for a in s.args)
        return EMITTERS[s.op][0](self.out, s.dtype, args)

    def update(self, s: Update) -> None:
        t = llvm_type(s.dtype)
        pointer = self.accumulators[s.accumulator]
        before = self.out.new(f"load {t}, ptr {pointer}")
        value = self.operand(s.value, s.dtype)
        if s.dtype.kind == "f" and s.op == "add":
            after = self.out.new(f"fadd reassoc contract {t} {before}, {value}")
        elif s.dtype.kind == "f":
            after = self.out.new(f"call {t} @llvm.{s.op}.{suffix_of(s.dtype)}({t} {before}, {t} {value})")
        else:
            after = EMITTERS[s.op][0](self.out, s.dtype, (before, value))
        self.out.put(f"store {t} {after}, ptr {pointer}")

    def loop(self, s: Loop) -> None:
        outer_group, note = self.group, ""
        if any(isinstance(x, Loop) for x in s.body):
            note = f", !llvm.loop {self.module.node(f'distinct !{{@, {self.module.node(_ROLLED)}}}')}"
        elif not s.carried:
            self.group = self.module.node("distinct !{}")
            parallel = self.module.node(f'!{{!"llvm.loop.parallel_accesses", {self.group}}}')
            short = "".join(f", {self.module.node(x)}" for x in self._if_short(0 if s.split else s.extent))
            note = f", !llvm.loop {self.module.node(f'distinct !{{@, {parallel}{short}}}')}"
        begin, end = ("%begin", "%end") if s.split else ("0", str(s.extent))
        with loop(self.out, begin, end, note=note) as var:
            self.names[s.var] = var
            self.block(s.body)
        self.group = outer_group

    def _if_short(self, extent: int) -> list[str]:
        """What LLVM is told of a loop of few turns: to vectorise it before unrolling it, and the rest with masks."""
        target = self.module.target
        lanes = target.vector_bits // 32
        if not lanes // 4 < extent < _SHORT * lanes:
            return []
        found = [_ROLLED]
        if target.masks and extent % lanes:
            found.append('!{!"llvm.loop.vectorize.predicate.enable", i1 true}')
        return found
