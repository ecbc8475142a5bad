"""``find_nonfinite``: where a function's value or gradient first stops being finite, why, and what cures it.

The function is traced and its graph run with everything kept (:mod:`chainrule.explain.why_tape`), forward and, where
there is something to differentiate, backward.  From each non-finite result the search goes back from element to
element through what it was computed from, as long as that is not finite either.  What has only finite numbers before
it is where it began; a value that is not finite but that the result does not depend on (hidden by a ``where``) is not
met.  The place is then named by a pattern (:mod:`chainrule.explain.patterns`), its rewrite applied to the graph, and
the rewritten graph run, forward and backward.

Works under ``jit`` and native code, because it runs the function's graph itself.  Does not look into custom_vjp rules'
rewrites, and does not differentiate ``while_loop`` in reverse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.explain.nonfinite_search import Found, Search, nonfinite_inputs
from chainrule.explain.patterns import Pattern, recognise
from chainrule.explain.patterns_rewrites import rewritten
from chainrule.explain.patterns_site import Site
from chainrule.explain.why_call import Traceable, traced
from chainrule.explain.why_tape import Path
from chainrule.explain.why_text import Message, caret, indexed, listed, number, to_text
from chainrule.graph.graph import Graph, Source
from chainrule.train.replay import EXPLAINERS
from chainrule.train.step import four_arguments


@dataclass(frozen=True)
class Spot:
    """A non-finite (or overflowing) number: the op, the user's line, the element, and what went in.

    ``op`` has a prime where it is the op's derivative (``sqrt′``); ``inputs`` are (description, number).
    """

    op: str
    source: Source | None
    element: tuple[int, ...]
    shape: tuple[int, ...]
    value: Any
    inputs: tuple[tuple[str, Any], ...]
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = f" ({', '.join(self.steps)})" if self.steps else ""
        place = f" at {self.source.file}:{self.source.line}" if self.source else ""
        return f"{indexed(self.op, self.element)} = {number(self.value)}{inside}{place}"


@dataclass(frozen=True)
class NonFinite:
    """What :func:`find_nonfinite` found.

    ``phase``: ``"input"`` (it was in an argument or in data), ``"forward"`` or ``"backward"`` (the loss is finite, a
    gradient is not).  ``first``: the first non-finite value that the result depends on; its ``op`` is the argument's
    name in phase ``"input"``, whose ``rows`` (first axis) are then listed.  ``turned``: where an infinity became NaN.
    ``cotangent``: the first non-finite cotangent.  ``overflow``: the first infinity made of finite numbers before it.
    ``pattern``, ``cause``, ``remedy``: the fault by name, in words, and what to write.  ``cured``: whether the remedy,
    applied to the graph and run, made value and gradients finite; None where none could be tried.  ``left``: what was
    still not finite then.  ``zero``: where an input of 0 was rounded to 0 (underflow), or became 0 as 1/inf.
    """

    phase: str
    first: Spot
    pattern: str
    cause: str
    remedy: str
    value: Any
    bad_gradients: tuple[str, ...]
    rows: tuple[int, ...] = ()
    turned: Spot | None = None
    cotangent: Spot | None = None
    overflow: Spot | None = None
    cured: bool | None = None
    left: str = ""
    zero: Spot | None = None
    caret: tuple[int, int] | None = None

    @property
    def op(self) -> str:
        """The op of :attr:`first`."""
        return self.first.op

    @property
    def source(self) -> Source | None:
        """The user's line of :attr:`first`."""
        return self.first.source

    @property
    def element(self) -> tuple[int, ...]:
        """The element of :attr:`first`."""
        return self.first.element

    def message(self) -> Message:
        """The finding in words, for :func:`chainrule.explain.why_text.to_text` and ``to_rich``."""
        return Message(f"{self._what()}: {self.pattern}", tuple(self._rows()), self.source, self.caret)

    def _what(self) -> str:
        if self.value is not None and np.size(self.value) == 1 and not np.isfinite(self.value):
            return f"the result is {number(self.value)}"
        if self.phase == "backward" or self.bad_gradients:
            several = len(self.bad_gradients) > 1
            return f"the gradient{'s' if several else ''} of {listed(self.bad_gradients, 3)} " + (
                "are not finite" if several else "is not finite"
            )
        return "the result is not finite"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("cause", self.cause)]
        first = self.first
        inputs = "; ".join(f"{name} = {number(v)}" for name, v in first.inputs)
        shape = f" of shape {first.shape}" if first.shape else ""
        inside = f", in {', '.join(first.steps)}" if first.steps else ""
        rows.append(("evidence", f"{indexed(first.op, first.element)}{shape} is {number(first.value)}"
                     + inside + (f", from {inputs}" if inputs else "")))  # fmt: skip
        if self.rows:
            rows.append(("rows", f"{listed(self.rows)} ({len(self.rows)} of {first.shape[0]})"))
        if self.zero is not None:
            inputs = "; ".join(f"{name} = {number(v)}" for name, v in self.zero.inputs)
            rows.append(("0 because", f"{self.zero}, from {inputs}"))
        for label, spot in (("becomes nan", self.turned), ("overflow", self.overflow), ("cotangent", self.cotangent)):
            if spot is not None and spot != first:
                rows.append((label, str(spot)))
        rows.append(("remedy", self.remedy))
        if self.cured is not None:
            with_it = "the result and all gradients are finite with it"
            rows.append(("tried", with_it if self.cured else f"it does not cure this alone; {self.left}"))
        return rows

    def __str__(self) -> str:
        return to_text([self.message()])


def find_nonfinite(
    f: Callable[..., Any], *args: Any, wrt: int | Sequence[int] | None = None, **kwargs: Any
) -> NonFinite | None:
    """The first non-finite number that the value or the gradients of ``f(*args, **kwargs)`` depend on, or None.

    ``args`` may be trees of arrays (a model).  ``wrt``: the positions of the arguments whose gradients are looked at
    (None: all that hold floats); they are those of the sum of all float results.  ``f`` may be jitted, on either
    backend: its graph is run here.
    Raises TraceError where ``f`` can't be traced or is called inside of another transform, TreeError and OptionError
    for ``wrt`` that names no argument.
    """
    call = traced(f, args, kwargs, "find_nonfinite", wrt)
    search = Search(call.graph, call.inputs, call.wrt)
    found = search.find()
    if found is None:
        return None
    if found.phase == "input":
        return _of_input(call, search, found)
    return _of_op(f, args, kwargs, call, search, found)


def _of_input(call: Traceable, search: Search, found: Found) -> NonFinite:
    value = np.asarray(search.forward[found.number].value)
    name = call.input_name(found.number)
    rows = nonfinite_inputs(value)
    bad = at_value(value, found.element)
    what = "NaN" if np.isnan(bad) else "an infinity"
    spot = Spot(name, None, found.element, value.shape, bad, ())
    return NonFinite(
        "input", spot, f"{what} in {name}", f"{name} holds {what} before anything is computed",
        f"remove or fill such values in {name}: np.nan_to_num, or leave the rows out",
        search.result, search.bad_gradients(call.names), rows=rows if value.ndim else (),
        cotangent=_spot(search, found.cotangent, call),
    )  # fmt: skip


def at_value(value: Any, element: tuple[int, ...]) -> Any:
    """The element of an array or number."""
    return np.asarray(value)[element]


def _of_op(
    f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], call: Traceable, search: Search, found: Found
) -> NonFinite:
    site = search.site(found)
    pattern = recognise(site)
    began = found
    if found.turned is not None and site.name in ("constant", "input"):  # a mask of -inf is no fault; what met it is
        began, found = found.turned, dataclasses.replace(found, turned=None)
    first = _spot(search, began, call)
    assert first is not None
    cured, left = None, ""
    if pattern is not None:
        cured, left = _tried(f, args, kwargs, call, site, pattern)
    node = search.forward_node(began) or search.node(began)
    name = node.op.name + ("′" if began.backward else "")
    turned = _spot(search, found.turned, call)
    return NonFinite(
        phase="backward" if began.backward else "forward",
        first=first,
        pattern=pattern.name if pattern else f"{name} is {number(first.value)} here",
        cause=pattern.cause if pattern else f"{name} gives {number(first.value)} for these inputs",
        remedy=pattern.remedy if pattern else "keep its inputs away from this point",
        value=search.result,
        bad_gradients=search.bad_gradients(call.names),
        turned=turned,
        cotangent=_spot(search, found.cotangent, call),
        overflow=first if site.overflowed else _spot(search, search.overflow_before(began), call),
        cured=cured,
        left=left,
        zero=_spot(search, search.rounded_to_zero(began), call),
        caret=caret(node.source, node.op.name, node.place.graph, node.place.index),
    )


def _spot(search: Search, found: Found | None, call: Traceable) -> Spot | None:
    if found is None:
        return None
    forward = search.forward_node(found)
    node = forward if forward is not None else search.node(found)
    name = node.op.name + ("′" if found.backward else "")
    source = node.source or search.node(found).source
    value = search.node(found).value
    shape = () if isinstance(value, tuple) else np.shape(value)
    if node.op.name in ("input", "constant"):
        name = call.input_name(found.number) if node.op.name == "input" else "the constant"
    return Spot(name, source, found.element, shape, found.value, search.inputs_of(found, call.input_name), node.steps)


def _tried(
    f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], call: Traceable, site: Site, pattern: Pattern
) -> tuple[bool | None, str]:
    """Whether the pattern's rewrite makes everything finite, and what is left where it does not."""
    if pattern.wider:
        wide = traced(f, _widened(args), kwargs, "find_nonfinite", sorted({call.positions[i] for i in call.wrt}))
        return _outcome(wide.graph, wide.inputs, wide)
    changes = pattern.changes(site) if pattern.changes is not None else None
    place = site.node.place
    if changes is None or not _can_be_run(call.graph, place.path):
        return None, ""
    return _outcome(rewritten(call.graph, place.path, changes), call.inputs, call)


def _can_be_run(graph: Graph, path: Path) -> bool:
    """Whether a rewrite at ``path`` may be tried: not in a custom rule, nor where a loop might then never end."""
    if _has_while(graph):
        return False
    for index, attribute in path:
        line = graph.lines[index]
        if line.op.name == "custom_vjp":
            return False
        graph = dict(line.attrs)[attribute]
    return True


def _has_while(graph: Graph) -> bool:
    return any(
        line.op.name == "while_loop" or any(isinstance(v, Graph) and _has_while(v) for _, v in line.attrs)
        for line in graph.lines
    )


def _outcome(graph: Graph, inputs: Sequence[Any], call: Traceable) -> tuple[bool, str]:
    search = Search(graph, inputs, call.wrt)
    found = search.find()
    if found is None:
        return True, ""
    return False, f"still not finite: {_spot(search, found, call)}"


def _widened(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments with narrow floats as float64 (complex128)."""

    def wide(leaf: Any) -> Any:
        kind = getattr(getattr(leaf, "dtype", None), "kind", "")
        return np.asarray(leaf, np.float64 if kind == "f" else np.complex128) if kind in ("f", "c") else leaf

    return tuple(trees.map(wide, a) if trees.leaves(a) else a for a in args)


def describe_failure(loss: Callable[..., Any], model: Any, x: Any, y: Any, key: Any) -> str | None:
    """What training appends to its error when a step is not finite: the finding as text, or None.

    ``loss`` is ``loss(model, x, y)`` or ``loss(model, x, y, key)``; only the model is differentiated.
    """
    found = find_nonfinite(four_arguments(loss), model, x, y, key, wrt=0)
    return None if found is None else str(found)


EXPLAINERS.append(describe_failure)
