"""``why``: why is this gradient zero, or missing, or not finite?

For each float leaf of the arguments: is there a path of derivatives from it to the result at all (and if not, which op
cut it, on which line); if there is, which elements of the gradient are zero, and what stopped them (a ReLU that is off,
a function that saturates, a factor of 0, a ``where`` that took the other side, an index that never selects, underflow,
cancellation), on which line, for which units.  The answers are read from the backward pass that ran, not guessed from
the ops' names.  A gradient that is not finite is :func:`chainrule.explain.nonfinite.find_nonfinite`'s.

Does not judge gradients that are small but not zero: that is :mod:`chainrule.diagnose`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Array
from chainrule.base.errors import IndexingError, OptionError, TraceError, choose
from chainrule.explain.nonfinite import NonFinite, find_nonfinite
from chainrule.explain.nonfinite_search import Search
from chainrule.explain.why_call import Traceable, leaf_names, refuse_symbols, traced
from chainrule.explain.why_causes import Cause, all_of, cuts, told, unused
from chainrule.explain.why_reasons import reasons
from chainrule.explain.why_tape import any_nonfinite
from chainrule.explain.why_text import Message, listed, to_text
from chainrule.graph.graph import Source
from chainrule.graph.source import user_source
from chainrule.transforms.reverse import vjp_graph

MOST_NAMES = 6
"""Leaves that a title names."""
MOST_CAUSES = 4
"""Causes that a message tells of each leaf; :attr:`Finding.causes` holds all."""

_FOLLOWS = ("flat power", "kink of |x|", "kink of a norm", "multiplied by 0", "square at its minimum")


@dataclass(frozen=True)
class Finding:
    """What was found of one leaf of the arguments.

    ``status``: ``"no path"``, ``"zero"``, ``"partly zero"``, ``"nonzero"`` or ``"not finite"``.  ``gradient``: its
    gradient (None without a path).  ``zeros``: how many elements are 0.  ``units``: the indices on the last axis whose
    gradient is 0 as a whole.  ``causes``: the most decisive one first.
    """

    name: str
    status: str
    shape: tuple[int, ...]
    gradient: Any
    zeros: int
    units: tuple[int, ...]
    causes: tuple[Cause, ...]

    @property
    def cause(self) -> Cause | None:
        """The first cause."""
        return self.causes[0] if self.causes else None

    def messages(self) -> list[Message]:
        """One message per cause, the first of which says what was found."""
        return told_together([self])


def told_together(findings: Sequence[Finding]) -> list[Message]:
    """The messages of findings that have the same status and the same causes."""
    first = findings[0]
    title = _title(findings)
    if not first.causes:
        return [Message(title, ())]
    out = []
    for number, cause in enumerate(first.causes[:MOST_CAUSES]):
        head = f"{title}: {cause.kind}" if not number else f"also, for {_names(findings)}: {cause.kind}"
        rows = [("cause", cause.sentence)]
        if cause.steps:
            rows.append(("in", ", ".join(cause.steps)))
        evidence = cause.evidence or _extent(cause)
        if evidence:
            rows.append(("evidence", evidence))
        if not cause.decisive:
            rows.append(("note", "nothing arrives there anyway: a later op stops it already"))
        rows.append(("remedy", cause.remedy))
        out.append(Message(head, tuple(rows), cause.source, cause.caret))
    return out


def _names(findings: Sequence[Finding]) -> str:
    names = [f.name for f in findings]
    if len(names) > MOST_NAMES:
        return listed(names, MOST_NAMES)
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _title(findings: Sequence[Finding]) -> str:
    first, names = findings[0], _names(findings)
    several = len(findings) > 1
    whose = f"the gradient{'s' if several else ''} of {names} {'are' if several else 'is'}"
    if first.status == "no path":
        return f"{names} {'have' if several else 'has'} no gradient: no path of derivatives leads to the result"
    if first.status == "zero":
        return f"{whose} zero, though a path exists"
    if first.status == "partly zero":
        parts = []
        for f in findings[:MOST_NAMES]:
            units = f", all of units {listed(f.units)}" if f.units else ""
            label = f"{f.name}: " if several else ""
            parts.append(f"{label}{f.zeros} of {int(np.prod(f.shape))} elements{units}")
        return f"{whose} zero in part ({'; '.join(parts)})"
    return f"{whose} {first.status}"


def _extent(cause: Cause) -> str:
    if not cause.elements or not cause.share:
        return ""
    some = cause.units and cause.share < 1
    who = f", units {listed(cause.units)} for {all_of(cause.examples)}" if some else ""
    return f"{100 * cause.share:.3g} % of the elements of {cause.op}{who}"


@dataclass(frozen=True)
class Why:
    """The answer of :func:`why`: one :class:`Finding` per float leaf asked about; iterable, and indexed by name."""

    findings: tuple[Finding, ...]
    nonfinite: NonFinite | None = None
    search: Search | None = None
    call: Traceable | None = None

    def __iter__(self) -> Any:
        return iter(self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise choose("name", name, [f.name for f in self.findings], where=user_source())

    def element(self, name: str, index: int | Sequence[int]) -> tuple[Cause, ...]:
        """Why one element of the gradient of leaf ``name`` is zero; empty where it is not.

        Raises OptionError for a name that was not asked about, IndexingError for an index outside of the leaf.
        """
        finding = self[name]
        at = (index,) if isinstance(index, (int, np.integer)) else tuple(index)
        if len(at) != len(finding.shape) or not all(0 <= i < n for i, n in zip(at, finding.shape, strict=True)):
            raise IndexingError(
                "no such element", expected=f"an index into {name} of shape {finding.shape}", got=at,
                where=user_source(), fix="one number per axis, counted from 0",
            )  # fmt: skip
        if finding.status == "no path" or self.search is None or self.call is None:
            return finding.causes
        mask = np.zeros(finding.shape, bool)
        mask[at] = True
        return _causes(self.search, self.call, self.call.names.index(name), mask)

    def messages(self) -> list[Message]:
        """All findings in words; those of leaves without a fault only where there are no others."""
        if self.nonfinite is not None:
            return [self.nonfinite.message()]
        faulty = [f for f in self.findings if f.status != "nonzero"]
        if not faulty:
            names = listed([f.name for f in self.findings])
            return [Message(f"nothing is zero: the gradients of {names} are finite and not 0 in any element", ())]
        groups: dict[Any, list[Finding]] = {}
        for finding in faulty:
            key = finding.status, tuple((c.kind, c.op, c.source) for c in finding.causes)
            groups.setdefault(key, []).append(finding)
        return [m for group in groups.values() for m in told_together(group)]

    def __str__(self) -> str:
        return to_text(self.messages())


def why(f: Callable[..., Any], *args: Any, wrt: int | str | Sequence[int | str] | None = None, **kwargs: Any) -> Why:
    """Why gradients of ``f(*args, **kwargs)`` are zero, missing or not finite; print the result.

    ``args`` may be trees of arrays.  ``wrt``: positions of arguments, or names of arguments or leaves
    (``"model"``, ``"model.layers[0].weight"``); None for all float leaves.  Of a function with several or non-scalar
    results the gradient of their sum is looked at.

    Raises OptionError for ``wrt`` that names nothing, TraceError inside of another transform, NotDifferentiableError
    where reverse mode is not defined (``while_loop``).
    """
    refuse_symbols(args, kwargs, "why")
    names, positions = _asked(f, args, wrt)
    try:
        call = traced(f, args, kwargs, "why")
    except TraceError as error:
        return Why(tuple(_converted(name, shape, error) for name, shape in names if shape is not None))
    search = Search(call.graph, call.inputs, tuple(i for i in call.wrt if call.names[i] in dict(names)))
    if search.wrt and search.floats:
        vjp_graph(search.graph, search.wrt, search.floats)  # raises where there is no reverse mode
    search.run_backward()
    found = [_integer(name) for name, shape in names if shape is None]
    found += [_finding(search, call, i) for i in search.wrt]
    bad = any(finding.status == "not finite" for finding in found)
    bad = bad or any(any_nonfinite(search.forward[o].value) for o in search.forward.outputs)
    nonfinite = find_nonfinite(f, *args, wrt=positions, **kwargs) if bad else None
    return Why(tuple(found), nonfinite, search, call)


def _asked(
    f: Callable[..., Any], args: Sequence[Any], wrt: Any
) -> tuple[list[tuple[str, tuple[int, ...] | None]], list[int]]:
    """(name, shape) of the leaves asked about, shape None for those that are not floats; and their arguments."""
    leaves = []
    for position, arg in enumerate(args):
        for name, leaf in zip(leaf_names(f, position, arg), trees.leaves(arg), strict=True):
            smooth = np.asarray(leaf).dtype.kind in "fc"
            leaves.append((position, name, np.shape(leaf) if smooth else None))
    if wrt is None:
        return [(n, s) for _, n, s in leaves if s is not None], sorted({p for p, _, s in leaves if s is not None})
    chosen = []
    for one in wrt if isinstance(wrt, (list, tuple)) else (wrt,):
        here = [leaf for leaf in leaves if _is_named(leaf, one, len(args))]
        if not here:
            raise OptionError(
                "why: wrt names nothing", expected="positions, or one of " + listed([n for _, n, _ in leaves]),
                got=repr(one), where=user_source(), fix="name an argument, or a leaf of one",
            )  # fmt: skip
        chosen += here
    return [(n, s) for _, n, s in dict.fromkeys(chosen)], sorted({p for p, *_ in chosen})


def _is_named(leaf: tuple[int, str, Any], one: Any, count: int) -> bool:
    position, name, _ = leaf
    if isinstance(one, str):
        return name == one or name.startswith((f"{one}.", f"{one}["))
    return isinstance(one, (int, np.integer)) and bool(-count <= one < count and position == one % count)


def _converted(name: str, shape: tuple[int, ...], error: TraceError) -> Finding:
    source = error.where if isinstance(error.where, Source) else None
    cause = Cause("conversion", "", source, f"the function can't be followed: {error.problem}", str(error.fix))
    return Finding(name, "no path", shape, None, 0, (), (cause,))


def _integer(name: str) -> Finding:
    cause = Cause("integer argument", "", None, f"{name} is not of a float dtype: it does not vary smoothly",
                  "pass it as a float: 2.0 for 2, x.astype(float)")  # fmt: skip
    return Finding(name, "no path", (), None, 0, (), (cause,))


def _finding(search: Search, call: Traceable, leaf: int) -> Finding:
    name, shape = call.names[leaf], search.graph.input_specs[leaf].shape
    missing = _no_path(search, call, leaf)
    if missing:
        return Finding(name, "no path", shape, None, int(np.prod(shape)), (), tuple(missing))
    assert search.reverse is not None
    gradient = search.reverse[search.gradients[search.wrt.index(leaf)]].value
    zero = np.asarray(gradient) == 0
    units: tuple[int, ...] = ()
    if zero.ndim and not zero.all():
        units = tuple(int(i) for i in np.flatnonzero(zero.all(axis=tuple(range(zero.ndim - 1)))))
    causes: tuple[Cause, ...] = ()
    if any_nonfinite(gradient):
        status = "not finite"
    elif not zero.any():
        status = "nonzero"
    else:
        status, causes = ("zero" if zero.all() else "partly zero"), _causes(search, call, leaf, zero)
    return Finding(name, status, shape, gradient, int(zero.sum()), units if zero.ndim > 1 else (), causes)


def _no_path(search: Search, call: Traceable, leaf: int) -> list[Cause]:
    """Why there is no path from a leaf to a float result; empty where there is one."""
    tape = search.forward
    if search.reverse is not None:
        gradient = search.reverse[search.gradients[search.wrt.index(leaf)]].value
        if np.any(np.asarray(gradient) != 0):
            return []
    if not tape.dependents([leaf]) & set(tape.outputs):
        return [unused(call.recorded, leaf, call.names[leaf])]
    return cuts(tape, leaf)


def _causes(search: Search, call: Traceable, leaf: int, mask: Array) -> tuple[Cause, ...]:
    """The causes of zeros at ``mask``: the decisive first, then those that explain most; one for each op and line."""
    assert search.reverse is not None
    number = search.gradients[search.wrt.index(leaf)]
    found = reasons(search.reverse, search.seeded, number, mask)
    merged: dict[Any, tuple[tuple[bool, float], Cause]] = {}
    for reason in found:
        cause = told(search, reason, call.input_name)
        weight = (cause.decisive, float(reason.here.mean()))  # of what was asked about, the part it explains
        key = cause.kind, cause.op, cause.source
        if key not in merged or weight > merged[key][0]:
            merged[key] = weight, cause
    # A layer that is off as a whole makes later values 0, where powers and products are flat: it is the root of those.
    whole = any(cause.kind in _FOLLOWS for _, cause in merged.values())
    ordered = sorted(
        merged.values(),
        key=lambda pair: (whole and pair[1].kind == "ReLU off" and pair[1].share == 1, *pair[0]),
        reverse=True,
    )
    return tuple(cause for _, cause in ordered)
