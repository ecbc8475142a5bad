"""The rules every graph keeps, checked line by line.

After each trace and each transform in the tests, :func:`check` looks at the whole graph: order, types, constants,
attributes, ``of``, duplicates.  What it raises names the line, its neighbours and the user's source line.  Turned on by
:func:`checking`; when off, it costs one look at an empty list per graph built.

Does not evaluate anything and does not look for lines that no output needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from chainrule.base.arrays import NUMERIC, Spec
from chainrule.base.errors import ChainruleError, GraphError
from chainrule.graph import builder
from chainrule.graph.graph import Constant, Graph, Line, Source
from chainrule.graph.text import line_text, type_text
from chainrule.ops.record import Bilinear, Linear, Op, Pointwise


@contextmanager
def checking() -> Iterator[None]:
    """Check every graph that is built inside the ``with`` block, in all threads."""
    builder.FINISHED.append(check)
    try:
        yield
    finally:
        builder.FINISHED.remove(check)


def check(graph: Graph) -> None:
    """Raise GraphError unless ``graph``, and every graph nested in it, keeps the rules.

    - The first ``inputs`` lines are ``input`` and no other line is; there is a name for each input, or none at all.
    - A line's arguments come before it; its type is what its op infers from theirs; constants are of their type.
    - Arguments are of the dtypes the op computes in: every change of dtype is a ``cast`` line.
    - Attributes are sorted by name and hashable.
    - ``of`` names an earlier line and one of its arguments.
    - No two lines are the same op on the same arguments with the same attributes.
    - Outputs are lines with one value.
    """
    pending = [graph]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        _check_frame(current)
        known: dict[Any, int] = {}
        typed: set[Any] = set()
        for index in range(current.inputs, len(current.lines)):
            _check_line(current, index, known, typed)
            pending.extend(_nested(current.lines[index].attrs))


def _check_frame(graph: Graph) -> None:
    if not 0 <= graph.inputs <= len(graph.lines):
        raise GraphError("a graph has fewer lines than inputs", expected=graph.inputs, got=len(graph.lines))
    if graph.names and len(graph.names) != graph.inputs:
        raise GraphError("a graph needs a name for each input, or none", expected=graph.inputs, got=len(graph.names))
    for index in range(graph.inputs):
        line = graph.lines[index]
        if line.op.name != "input" or line.args or line.attrs or line.of is not None:
            _refuse(graph, index, "the first lines must be the inputs", f"{graph.inputs} lines of input", line.op.name)
        if not isinstance(line.spec, Spec):
            _refuse(graph, index, "an input has one value", "a Spec", type_text(line.spec))
        _check_spec(graph, index, line.spec)
    for position, output in enumerate(graph.outputs):
        if not (isinstance(output, int) and 0 <= output < len(graph.lines)):
            raise GraphError(f"output {position} is not a line of the graph",
                             expected=f"%0 to %{len(graph.lines) - 1}", got=f"%{output}")  # fmt: skip
        if not isinstance(graph.lines[output].spec, Spec):
            _refuse(graph, output, f"output {position} is a line with several values", "one of its items",
                    type_text(graph.lines[output].spec))  # fmt: skip


def _check_line(graph: Graph, index: int, known: dict[Any, int], typed: set[Any]) -> None:
    line = graph.lines[index]
    if not isinstance(line.op, Op):
        _refuse(graph, index, "a line's op is an op record", "an Op", type(line.op).__name__)
    if line.op.name == "input":
        _refuse(graph, index, "an input stands behind the inputs", f"inputs below %{graph.inputs}", f"%{index}")
    for arg in line.args:
        if not (isinstance(arg, int) and 0 <= arg < index):
            _refuse(graph, index, "an argument must come before the line that uses it", f"below %{index}", f"%{arg}")
    specs = line.spec if isinstance(line.spec, tuple) and not isinstance(line.spec, Spec) else (line.spec,)
    for spec in specs:
        _check_spec(graph, index, spec)
    _check_attributes(graph, index, line)
    _check_type(graph, index, line, typed)
    _check_of(graph, index, line)
    if line.source is not None and not isinstance(line.source, Source):
        _refuse(graph, index, "a line's source is a Source or None", "a Source", line.source)
    key = (line.op, line.args, line.attrs)
    first = known.setdefault(key, index)
    if first != index:
        _refuse(graph, index, f"this line is the same as %{first}", "one line for the same op on the same arguments",
                line_text(graph, index))  # fmt: skip


def _check_spec(graph: Graph, index: int, spec: Any) -> None:
    if not isinstance(spec, Spec):
        _refuse(graph, index, "a line's type is a Spec, or a tuple of them", "a Spec", repr(spec))
    if not (isinstance(spec.shape, tuple) and all(type(n) is int and n >= 0 for n in spec.shape)):
        _refuse(graph, index, "a shape is a tuple of Python ints from 0 up", "such as (3, 2)", repr(spec.shape))
    if not (isinstance(spec.dtype, np.dtype) and spec.dtype in NUMERIC):
        _refuse(graph, index, "not a dtype a line can have", "bool, integer, float or complex", repr(spec.dtype))


def _check_attributes(graph: Graph, index: int, line: Line) -> None:
    if line.attrs and line.op.broadcasts:
        _refuse(graph, index, f"{line.op.name} takes no attributes", "none", dict(line.attrs))
    names = [name for name, _ in line.attrs]
    if names != sorted(set(names)):
        _refuse(graph, index, "attributes are sorted by name, each once", sorted(set(names)), names)
    for name, value in line.attrs:
        try:
            hash(value)
        except TypeError:
            expected = "numbers, strings, dtypes, constants, graphs, tuples of them"
            _refuse(graph, index, f"attribute {name} can't be hashed", expected, type(value).__name__)


def _check_type(graph: Graph, index: int, line: Line, typed: set[Any]) -> None:
    """The line's type against what its op infers; ``typed`` remembers what was found right before."""
    args = [graph.lines[a].spec for a in line.args]
    op = line.op
    key = (op, line.attrs, line.spec, *args)
    if key in typed:
        return
    if op.name != "item" and any(not isinstance(s, Spec) for s in args):
        _refuse(graph, index, "only item takes a line with several values", "one of its items",
                ", ".join(type_text(s) for s in args))  # fmt: skip
    if op.name == "constant":
        value = dict(line.attrs).get("value")
        if not isinstance(value, Constant) or line.args:
            _refuse(graph, index, "a constant has a value and no arguments", "value=const(…)", repr(value))
    if isinstance(op, Pointwise) and len(args) != op.ufunc.nin:
        _refuse(graph, index, f"{op.name} has {op.ufunc.nin} arguments", op.ufunc.nin, len(args))
    try:
        found = op.infer(args, dict(line.attrs))
    except ChainruleError as error:
        _refuse(graph, index, f"the type of this line can't be inferred: {error.problem}", error.expected, error.got)
    except Exception as error:
        # A wrong number of arguments or attributes of the wrong kind shows as whatever the shape rule trips over.
        _refuse(graph, index, f"the type of this line can't be inferred: {type(error).__name__}: {error}",
                f"arguments and attributes that {op.name} takes", ", ".join(type_text(s) for s in args))  # fmt: skip
    if found != line.spec:
        _refuse(graph, index, "a line has another type than its op infers", type_text(found), type_text(line.spec))
    _check_dtypes(graph, index, op, args)
    typed.add(key)


def _check_dtypes(graph: Graph, index: int, op: Op, args: list[Any]) -> None:
    """Changes of dtype are lines of their own: a pointwise op gets its loop's dtypes, a linear one equal dtypes."""
    if op.broadcasts:
        into = tuple(op.loop([s.dtype for s in args])[0])
        if into != tuple(s.dtype for s in args):
            _refuse(graph, index, "arguments are of other dtypes than the op computes in", ", ".join(map(str, into)),
                    ", ".join(str(s.dtype) for s in args))  # fmt: skip
        return
    if isinstance(op, Linear):
        args = args[op.first : op.last]
    elif not isinstance(op, Bilinear):
        return
    if op.name != "item" and len({s.dtype for s in args}) > 1:
        _refuse(graph, index, "arguments differ in dtype", "one dtype: a cast is a line of its own",
                ", ".join(str(s.dtype) for s in args))  # fmt: skip


def _check_of(graph: Graph, index: int, line: Line) -> None:
    if line.of is None:
        return
    forward, argument = line.of
    if not (isinstance(forward, int) and graph.inputs <= forward < index):
        _refuse(graph, index, "of names no earlier line", f"%{graph.inputs} to %{index - 1}", f"%{forward}")
    count = len(graph.lines[forward].args)
    if not 0 <= argument < max(count, 1):
        _refuse(graph, index, f"of names an argument that %{forward} has not", f"0 to {count - 1}", argument)


def _nested(attrs: Any) -> list[Graph]:
    """The graphs among the attributes, also inside tuples."""
    found: list[Graph] = []
    pending = [value for _, value in attrs]
    while pending:
        value = pending.pop()
        if isinstance(value, Graph):
            found.append(value)
        elif isinstance(value, tuple):
            pending.extend(value)
    return found


def _refuse(graph: Graph, index: int, problem: str, expected: object, got: object) -> NoReturn:
    raise GraphError(f"line %{index}: {problem}", expected=expected, got=got, where=neighbourhood(graph, index))


def neighbourhood(graph: Graph, index: int, reach: int = 2) -> str:
    """The user's source of a line, and the line between its neighbours."""
    source = graph.lines[index].source
    rows = [str(source) if isinstance(source, Source) else "no line of the user's code"]
    for i in range(max(0, index - reach), min(len(graph.lines), index + reach + 1)):
        text = line_text(graph, i)
        rows.append(f"{'  > ' if i == index else '    '}{text if len(text) <= 160 else text[:160] + '…'}")
    return "\n".join(rows)

