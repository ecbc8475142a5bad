"""The stages of compilation as text for a reader: what ``cr.show`` and ``chainrule show`` print.

    graph → simplified → fused → loops → llvm → asm

Each stage is printed from what the compiler really made, with a heading per kernel that says which lines of the user's
code it computes.  Kernels are numbered as they run; those inside a loop or branch after it: kernel 3.1 is number 1 in
the body of the loop that is number 3.  What is the same for every program (vector math, the runtime's entry, directives
of the assembler) is left out and counted, unless ``full``.
Does not do: colours; running anything.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chainrule.base.errors import choose
from chainrule.compile import engine
from chainrule.compile.compiler import make_plan
from chainrule.compile.finish import finish_kernel, is_ridden
from chainrule.compile.fuse import Cluster
from chainrule.compile.parts import Part, Plan
from chainrule.compile.target import Target, host
from chainrule.compile.views import VIEW_OPS
from chainrule.graph.graph import Graph

STAGES = ("graph", "simplified", "fused", "loops", "llvm", "asm")
_WIDTH = 110
_SOURCES = 2
"""Source lines named in a heading; of more only the number is said."""
_REGIONS = {"scan": "scan", "while_loop": "while loop", "cond": "branch"}
_INNER = {"while_loop": ("test", "body"), "cond": ("true", "false")}


class Step(NamedTuple):
    """A cluster of a plan: its ``label`` (``3``, or ``3.1`` inside a loop), its part, and its number there."""

    label: str
    part: Part
    number: int

    @property
    def cluster(self) -> Cluster:
        """What it computes."""
        return self.part.fused.clusters[self.number]


def steps(plan: Plan) -> list[Step]:
    """All clusters of a program as they run, those inside a loop or branch behind it; a part used twice comes once."""
    found: list[Step] = []
    seen: set[str] = set()

    def walk(part: Part, prefix: str) -> None:
        seen.add(part.name)
        for number, cluster in enumerate(part.fused.clusters):
            found.append(Step(f"{prefix}{number}", part, number))
            inner = part.inner.get(cluster.lines[0], []) if cluster.kind == "region" else []
            names = _INNER.get(part.graph.lines[cluster.lines[0]].op.name, ("",) * len(inner))
            for name, child in zip(names, inner, strict=False):
                if child.name not in seen:
                    walk(child, f"{prefix}{number}.{name}{'.' if name else ''}")

    walk(plan.main, "")
    return found


def stage_text(
    graph: Graph,
    stage: str,
    target: Target | None = None,
    *,
    donated: Sequence[int] = (),
    optimised: bool = False,
    full: bool = False,
    kernel: str | int | None = None,
) -> str:
    """``graph`` at ``stage``, one of :data:`STAGES`.

    ``donated``: inputs whose memory results may take.  ``optimised``: LLVM text after LLVM's own passes.
    ``full``: everything, as it goes to LLVM or comes from it.  ``kernel``: only this one, by its number.
    Raises :class:`OptionError` for an unknown stage or kernel.
    """
    if stage not in STAGES:
        raise choose("stage", stage, STAGES, where="show")
    if stage == "graph":
        return str(graph)
    target = target or host()
    plan = make_plan(graph, target, donated)
    if stage == "simplified":
        return str(plan.graph)
    every = steps(plan)
    wanted = every
    if kernel is not None:
        wanted = [step for step in every if step.label == str(kernel)]
        if not wanted:
            raise choose("kernel", kernel, [s.label for s in every] or ["none: nothing is computed"], where="show")
    if stage == "fused":
        return "\n\n".join(map(_cluster_text, wanted)) or "nothing to compute"
    if stage == "loops":
        return "\n\n".join(_loops_text(plan, step) for step in wanted) or "nothing to compute"
    if stage == "llvm":
        text = engine.optimise(linked(plan), target) if optimised else plan.text
        plain = _NOTES.sub("", text)
        return text if full else _functions_text(plan, _llvm_functions(plain), wanted, kernel is None, "; ")
    text = engine.assembly(linked(plan), target)
    return text if full else _functions_text(plan, _assembly_functions(text), wanted, kernel is None, "# ")


_RUNTIME = {
    "cr.parallel": "void @cr.parallel(ptr, ptr, ptr, i64)", "cr.attend": "void @cr.attend(ptr, i64)",
    "cr.enter": "void @cr.enter(ptr)", "cr.leave": "void @cr.leave(ptr)", "cr.back": "i32 @cr.back(ptr, i64, ptr)",
    "cr.poll": "i32 @cr.poll(ptr)",
}  # fmt: skip


def linked(plan: Plan) -> str:
    """The plan's text with declarations of what the runtime defines, so that LLVM accepts it alone."""
    missing = [f"declare {text}\n" for name, text in _RUNTIME.items() if f"@{name}(" in plan.text]
    return "".join(missing) + "\n" + plan.text


# ----------------------------------------------------------------------------------------------------------- headings


def heading(step: Step) -> str:
    """``kernel 3: row over 64×10: max, sub, exp, sum, div``: what a cluster does, in a line."""
    operations = operations_of(step)
    return f"{_named(step)}: {_what(step)}" + (f": {', '.join(operations)}" if operations else "")


def _what(step: Step) -> str:
    size = size_of(step)
    if step.cluster.kind == "region":
        return f"{kind_of(step)} of {size}" if size else kind_of(step)
    return f"{kind_of(step)} over {size}"


def _named(step: Step) -> str:
    found = phase_of(step)
    return f"kernel {step.label}" + (f" ({found})" if found else "")


def phase_of(step: Step) -> str:
    """``forward``, ``backward``, ``update`` or several of them; empty for a graph without a backward pass."""
    graph = step.part.graph
    backward = [i for i, line in enumerate(graph.lines) if line.of is not None]
    if not backward:
        return ""
    found = dict.fromkeys(
        "forward" if i < backward[0] else "update" if i > backward[-1] else "backward" for i in step.cluster.lines
    )
    return ", ".join(found)


def kind_of(step: Step) -> str:
    """What sort of kernel it is, in words."""
    if step.cluster.kind == "region":
        return _REGIONS.get(step.part.graph.lines[step.cluster.lines[0]].op.name, "call")
    return {"call": "NumPy"}.get(step.cluster.kind, step.cluster.kind)


def size_of(step: Step) -> str:
    """What it walks over, ``64×128``; ``50 turns`` of a loop whose number of turns is known."""
    if step.cluster.kind == "region":
        turns = dict(step.part.graph.lines[step.cluster.lines[0]].attrs).get("length")
        return "" if turns is None else f"{turns} turn{'s' if turns != 1 else ''}"
    return "×".join(map(str, step.cluster.domain)) or "1"


def operations_of(step: Step) -> list[str]:
    """Its operations in order, those that follow one another counted: ``mul``, ``add ×3``.  None of a loop's own."""
    found: list[tuple[str, int]] = []
    names = [] if step.cluster.kind == "region" else [step.part.graph.lines[i].op.name for i in step.cluster.lines]
    for name in ("copy" if name in VIEW_OPS else name for name in names):
        if found and found[-1][0] == name:
            found[-1] = name, found[-1][1] + 1
        else:
            found.append((name, 1))
    return [name if count == 1 else f"{name} ×{count}" for name, count in found]


def places(step: Step) -> list[str]:
    """The user's lines that a cluster computes, ``model.py:12``, in the order of first use."""
    sources = [step.part.graph.lines[i].source for i in step.cluster.lines]
    return list(dict.fromkeys(f"{os.path.basename(s.file)}:{s.line}" for s in sources if s is not None))


def _places_text(step: Step) -> str:
    found = places(step)
    more = len(found) - _SOURCES
    return ", ".join(found[:_SOURCES]) + (f" and {more} more" if more > 0 else "")


def _title(step: Step, mark: str) -> str:
    """The heading, with the user's lines, as comment lines of the language shown."""
    where = _places_text(step)
    rows = textwrap.wrap(heading(step) + (f"   {where}" if where else ""), _WIDTH - len(mark),
                         subsequent_indent="    ", break_long_words=False)  # fmt: skip
    return "\n".join(mark + row for row in rows)


# -------------------------------------------------------------------------------------------------- clusters and loops


def _cluster_text(step: Step) -> str:
    """A cluster's lines, each with what it reads; what is stored reaches memory, the rest stays in registers."""
    fused, graph = step.part.fused, step.part.graph
    where = _places_text(step)
    comment = f"   # {where}" if where else ""
    rows = [f"{_named(step)}: {_what(step)}{_together(step)}{comment}", *_inner_text(step)]
    inline = {i: str(line.attrs[0][1].array[()]) for i, line in enumerate(graph.lines)
              if line.op.name == "constant" and not line.spec.shape}  # fmt: skip
    for index in step.cluster.lines:
        line = graph.lines[index]
        args = " ".join(inline.get(a, f"%{a}") for a in line.args)
        note = "  → memory" if index in fused.stored else ""
        rows.append(f"  %{index} = {line.op.name} {args}".rstrip() + note)
    return "\n".join(rows)


def _together(step: Step) -> str:
    """With which kernels it runs, where it does not run alone (see ``schedule``)."""
    group = next((g for g in step.part.fused.groups if g.first <= step.number < g.end), None)
    if group is None or group.kind == "alone":
        return ""
    prefix = step.label.removesuffix(str(step.number))
    others = f"kernels {prefix}{group.first} to {prefix}{group.end - 1}"
    if group.kind == "beside":
        return f", beside one another: {others}"
    return f", in {group.strands} strands with {others}"


def _inner_text(step: Step) -> list[str]:
    """The graphs inside a loop or branch, whose lines are counted anew, by their inputs and results."""
    inner = step.part.inner.get(step.cluster.lines[0], []) if step.cluster.kind == "region" else []
    names = _INNER.get(step.part.graph.lines[step.cluster.lines[0]].op.name, ("body",) * len(inner))
    heads = [str(part.graph).splitlines()[0].rstrip(":") for part in inner]
    return [f"  {name} = {head}" for name, head in zip(names, heads, strict=True)]


def _loops_text(plan: Plan, step: Step) -> str:
    """A kernel's loops.  Matrix products are written by hand as register tiles: their tiling stands for the loops."""
    title = _title(step, "")
    kernel = step.part.kernels.get(step.number)
    if kernel is not None:
        return "\n".join([title, *str(kernel).splitlines()[1:]])
    if step.cluster.kind == "region":
        return "\n".join([title, *_inner_text(step)])
    if step.cluster.kind != "product":
        return f"{title}\n  no loops: NumPy computes it"
    rows = [title, f"  {_product_text(step)}"]
    function = served(plan).get((step.part.name, step.number))
    tiling = re.search(rf"define [^\n]*@{re.escape(function)}\([^\n]*\n\s*; ([^\n]*)", plan.text) if function else None
    rows.append(f"  tiles: {tiling.group(1) if tiling else 'none'}")
    if is_ridden(step.part.fused, step.number):
        rows += ["  then, on each tile while it is in the nearest cache:"]
        rows += [f"  {row}" for row in str(finish_kernel(step.part.fused, step.number)).splitlines()[1:]]
    return "\n".join(rows)


def _product_text(step: Step) -> str:
    """A matrix product as a formula of its buffers."""
    graph = step.part.graph
    index = next(i for i in step.cluster.lines if graph.lines[i].op.name == "matmul")
    a, b = graph.lines[index].args
    *lead, m, n = graph.lines[index].spec.shape
    batch = f"for each of {'×'.join(map(str, lead))}: " if lead else ""
    depth = graph.lines[a].spec.shape[-1]
    return f"{batch}for i in {m}, j in {n}: %{index}[i, j] = sum of %{a}[i, k]·%{b}[k, j] over k in {depth}"


# -------------------------------------------------------------------------------------------------- LLVM and assembly


class _Function(NamedTuple):
    """A function of LLVM text or of assembly."""

    name: str
    text: str
    summary: str = ""


_LLVM_FUNCTION = re.compile(r"^define [^@\n]*@([\w.$\"-]+)\(.*?^\}", re.MULTILINE | re.DOTALL)
_NOTES = re.compile(r", ![\w.]+ !\d+")
"""Notes for LLVM's passes, which point to the end of the module."""
_STEP = re.compile(r"; cluster (\d+)\n(.*?)(?=; cluster |\Z)", re.DOTALL)
_KERNEL = re.compile(r"call void [^\n]*?@((?:kernel|product)\w*)(?:\.part\d+)?[(,]")


def served(plan: Plan) -> dict[tuple[str, int], str]:
    """The function of each native kernel, by part and number; kernels that do the same share one."""
    found = {}
    for part in _llvm_functions(plan.text):
        for step in _STEP.finditer(part.text) if ".group" not in part.name else ():
            call = _KERNEL.search(step.group(2))
            if call:
                found[part.name, int(step.group(1))] = call.group(1)
    return found


def _llvm_functions(text: str) -> Iterator[_Function]:
    for found in _LLVM_FUNCTION.finditer(text):
        yield _Function(found.group(1), found.group(0))


_LABEL = re.compile(r'^"?([A-Za-z_][\w.$-]*)"?:')
_WIDE = {
    512: re.compile(r"%zmm"),
    256: re.compile(r"%ymm"),
    # of the instructions on xmm registers, those that end in ss or sd are on one number
    128: re.compile(r"^\s+(?!\S*s[sd]\b)\S+ .*%xmm|\bv\d+\.\d+[bhsd]\b"),
}


def _assembly_functions(text: str) -> Iterator[_Function]:
    """The functions of assembly, without directives and comments, and with instructions counted."""
    name, rows = "", list[str]()
    for line in text.splitlines():
        label = _LABEL.match(line)
        if label:
            name, rows = label.group(1), [line]
        elif name and line.startswith(".Lfunc_end"):
            yield _Function(name, "\n".join(rows), _instructions(rows))
            name = ""
        elif name and not re.match(r"\s*(\.(?!L)|#+ |//)", line) and line.strip():
            rows.append(re.split(r"\s+(?:#+ |//)", line)[0].replace("\t", "    ", 1).replace("\t", " "))


def _instructions(rows: Sequence[str]) -> str:
    code = [row for row in rows if row.startswith(" ")]
    wide = [(bits, sum(bool(pattern.search(row)) for row in code)) for bits, pattern in _WIDE.items()]
    bits, count = next(((b, n) for b, n in wide if n), (0, 0))
    return f"{len(code)} instructions" + (f", {count} on {bits}-bit vectors" if count else "")


def _functions_text(plan: Plan, functions: Iterable[_Function], wanted: Sequence[Step], entry: bool, mark: str) -> str:
    """The kernels' functions under headings, then the parts that call them; the rest is counted."""
    found = {f.name: f for f in functions}
    names = served(plan)
    users: dict[str, list[Step]] = {}
    for step in wanted:
        name = names.get((step.part.name, step.number))
        if name is not None:
            users.setdefault(name, []).append(step)
    texts = []
    for name, who in users.items():
        inlined = [f for f in found if f.startswith(f"{name}.part")]  # a kernel with one caller may be in that one
        function = found.pop(name, None) or (found.pop(inlined[0]) if inlined else None)
        title = "\n".join(_title(step, mark) for step in who)
        if function is None:
            texts.append(f"{title}\n{mark}inlined where it is called")
            continue
        texts.append("\n".join([title, *([mark + function.summary] if function.summary else []), function.text]))
        own = [f for f in found if f.startswith(f"{name}.") and not f.startswith(f"{name}.part")]
        texts += [found.pop(f).text for f in own]  # what rides on a product's tiles is a function of its own
    if entry:
        parts = [found.pop(part.name) for part in plan.parts if part.name in found]
        inside = {step.part.name: step.label.rpartition(".")[0] for step in wanted}
        for f in sorted(parts, key=lambda f: inside.get(f.name, "")):
            of = f"the inside of kernel {inside[f.name]}" if inside.get(f.name) else "the program"
            texts.append(f"{mark}{of}: its kernels, one after the other\n{f.text}")
            together = [name for name in [*found] if name.startswith(f"{f.name}.group")]
            texts += [f"{mark}kernels that run together\n{found.pop(name).text}" for name in together]
        lines = sum(f.text.count("\n") + 1 for f in found.values())
        texts.append(f"{mark}not shown: {lines} lines of vector math, loops over parts and entry (full shows them)")
    return "\n\n".join(texts) or f"{mark}no native kernels"
