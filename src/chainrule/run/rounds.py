"""Results used again: the arrays and trees of the call before last, which nobody holds any more.

A training loop donates its state and goes on with the result, so of each state only one lives at a time, always in the
same memory.  What such a call returns is kept (a ``Round``) when the next call is given it: its arrays are read-only
from then on.  The call after that returns the very same objects, if nobody else holds any of them; that the state of
a network is hundreds of objects then costs a look at each count of references instead of making them.

``cr.again`` looks: that each array given is the one that the last call returned, that it and the one to be used again
have one memory and the shape and dtype they were made with, and that no object has more references than the round's
own, nor a weak one (what somebody knows of an old state must not be taken for a new one's).  Then it makes the arrays
writeable again.
Does not do: letting go of the last state when its caller drops it (it stays until the next call, or as long as the
function); trees with nodes that can be changed, results in memory of their own, Pythons that have no lock or hide
how many references an object has (there every call makes new objects).
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from typing import TYPE_CHECKING, Any

from chainrule.base import trees
from chainrule.compile.cache import library
from chainrule.run.donated import mark_given
from chainrule.run.entry import (
    DESCR,
    DICT_USED,
    DIMENSIONS,
    FLAGS,
    ITEMS,
    OFFSET,
    PLAIN,
    RANK,
    WRITEABLE,
    data_address,
    references,
)

if TYPE_CHECKING:
    from chainrule.run.program import Program

_PATIENCE = 8  # rounds in a row that somebody held, after which no more are kept

_AGAIN_TEXT = f"""define i64 @cr.again(ptr %given, ptr %frame) {{
entry:
  %arrays = load i64, ptr %frame
  %objects.at = getelementptr inbounds i64, ptr %frame, i64 1
  %objects = load i64, ptr %objects.at
  %positions.at = getelementptr inbounds i64, ptr %frame, i64 2
  %positions = load ptr, ptr %positions.at
  %own.at = getelementptr inbounds i64, ptr %frame, i64 3
  %own = load ptr, ptr %own.at
  %counts.at = getelementptr inbounds i64, ptr %frame, i64 4
  %counts = load ptr, ptr %counts.at
  %shapes.at = getelementptr inbounds i64, ptr %frame, i64 5
  %shapes.0 = load ptr, ptr %shapes.at
  %last.at = getelementptr inbounds i64, ptr %frame, i64 6
  %last = load ptr, ptr %last.at
  %dicts.at = getelementptr inbounds i64, ptr %frame, i64 7
  %dicts = load i64, ptr %dicts.at
  %used.at = getelementptr inbounds i64, ptr %frame, i64 8
  %used = load ptr, ptr %used.at
  %weaks.at = getelementptr inbounds i64, ptr %frame, i64 9
  %weaks = load i64, ptr %weaks.at
  %lists.at = getelementptr inbounds i64, ptr %frame, i64 10
  %lists = load ptr, ptr %lists.at
  %nodes.0 = sub i64 %objects, %dicts
  %dicts.first = getelementptr inbounds ptr, ptr %own, i64 %nodes.0
  br label %held
held:
  %i = phi i64 [ 0, %entry ], [ %i.next, %free ]
  %o.at = getelementptr inbounds ptr, ptr %own, i64 %i
  %o = load ptr, ptr %o.at
  %references = load i32, ptr %o
  %c.at = getelementptr inbounds i32, ptr %counts, i64 %i
  %expected = load i32, ptr %c.at
  %alone = icmp eq i32 %references, %expected
  br i1 %alone, label %free, label %no
free:
  %i.next = add nsw i64 %i, 1
  %more = icmp slt i64 %i.next, %objects
  br i1 %more, label %held, label %fields
fields:
  %f = phi i64 [ 0, %free ], [ %f.next, %field ]
  %f.some = icmp slt i64 %f, %dicts
  br i1 %f.some, label %field, label %weak
field:
  %dict.at = getelementptr inbounds ptr, ptr %dicts.first, i64 %f
  %dict = load ptr, ptr %dict.at
  %dict.used.at = getelementptr inbounds i8, ptr %dict, i64 {DICT_USED}
  %dict.used = load i64, ptr %dict.used.at
  %expected.at = getelementptr inbounds i64, ptr %used, i64 %f
  %dict.expected = load i64, ptr %expected.at
  %f.next = add nsw i64 %f, 1
  %unchanged = icmp eq i64 %dict.used, %dict.expected
  br i1 %unchanged, label %fields, label %no
weak:
  %w = phi i64 [ 0, %fields ], [ %w.next, %list ]
  %w.some = icmp slt i64 %w, %weaks
  br i1 %w.some, label %list, label %array
list:
  %w.at = getelementptr inbounds ptr, ptr %lists, i64 %w
  %w.place = load ptr, ptr %w.at
  %w.first = load ptr, ptr %w.place
  %w.next = add nsw i64 %w, 1
  %w.none = icmp eq ptr %w.first, null
  br i1 %w.none, label %weak, label %no
array:
  %k = phi i64 [ 0, %weak ], [ %k.next, %array.next ]
  %shapes = phi ptr [ %shapes.0, %weak ], [ %shapes.next, %array.next ]
  %p.at = getelementptr inbounds i64, ptr %positions, i64 %k
  %p = load i64, ptr %p.at
  %a.at = getelementptr inbounds ptr, ptr %given, i64 %p
  %a = load ptr, ptr %a.at
  %l.at = getelementptr inbounds ptr, ptr %last, i64 %k
  %l = load ptr, ptr %l.at
  %b.at = getelementptr inbounds ptr, ptr %own, i64 %k
  %b = load ptr, ptr %b.at
  %known = icmp eq ptr %a, %l
  %a.data.at = getelementptr inbounds i8, ptr %a, i64 {OFFSET or 0}
  %a.data = load ptr, ptr %a.data.at
  %b.data.at = getelementptr inbounds i8, ptr %b, i64 {OFFSET or 0}
  %b.data = load ptr, ptr %b.data.at
  %one.memory = icmp eq ptr %a.data, %b.data
  %a.type.at = getelementptr inbounds i8, ptr %a.data.at, i64 {DESCR}
  %a.type = load ptr, ptr %a.type.at
  %b.type.at = getelementptr inbounds i8, ptr %b.data.at, i64 {DESCR}
  %b.type = load ptr, ptr %b.type.at
  %type = load ptr, ptr %shapes
  %a.typed = icmp eq ptr %a.type, %type
  %b.typed = icmp eq ptr %b.type, %type
  %a.flags.at = getelementptr inbounds i8, ptr %a.data.at, i64 {FLAGS}
  %a.flags = load i32, ptr %a.flags.at
  %b.flags.at = getelementptr inbounds i8, ptr %b.data.at, i64 {FLAGS}
  %b.flags = load i32, ptr %b.flags.at
  %both.flags = and i32 %a.flags, %b.flags
  %plain.flags = and i32 %both.flags, {PLAIN}
  %plain = icmp eq i32 %plain.flags, {PLAIN}
  %a.writeable = and i32 %a.flags, {WRITEABLE}
  %lent = icmp ne i32 %a.writeable, 0
  %a.rank.at = getelementptr inbounds i8, ptr %a.data.at, i64 {RANK}
  %a.rank = load i32, ptr %a.rank.at
  %b.rank.at = getelementptr inbounds i8, ptr %b.data.at, i64 {RANK}
  %b.rank = load i32, ptr %b.rank.at
  %rank.at = getelementptr inbounds i64, ptr %shapes, i64 1
  %rank = load i64, ptr %rank.at
  %rank.32 = trunc i64 %rank to i32
  %a.ranked = icmp eq i32 %a.rank, %rank.32
  %b.ranked = icmp eq i32 %b.rank, %rank.32
  %ok.1 = and i1 %known, %one.memory
  %ok.2 = and i1 %a.typed, %b.typed
  %ok.3 = and i1 %plain, %lent
  %ok.4 = and i1 %a.ranked, %b.ranked
  %ok.5 = and i1 %ok.1, %ok.2
  %ok.6 = and i1 %ok.3, %ok.4
  %ok = and i1 %ok.5, %ok.6
  br i1 %ok, label %sizes, label %no
sizes:
  %a.sizes.at = getelementptr inbounds i8, ptr %a.data.at, i64 {DIMENSIONS}
  %a.sizes = load ptr, ptr %a.sizes.at
  %b.sizes.at = getelementptr inbounds i8, ptr %b.data.at, i64 {DIMENSIONS}
  %b.sizes = load ptr, ptr %b.sizes.at
  %first = getelementptr inbounds i64, ptr %shapes, i64 2
  br label %size
size:
  %d = phi i64 [ 0, %sizes ], [ %d.next, %size.next ]
  %left = icmp slt i64 %d, %rank
  br i1 %left, label %compare, label %array.next
compare:
  %a.n.at = getelementptr inbounds i64, ptr %a.sizes, i64 %d
  %a.n = load i64, ptr %a.n.at
  %b.n.at = getelementptr inbounds i64, ptr %b.sizes, i64 %d
  %b.n = load i64, ptr %b.n.at
  %n.at = getelementptr inbounds i64, ptr %first, i64 %d
  %n = load i64, ptr %n.at
  %a.same = icmp eq i64 %a.n, %n
  %b.same = icmp eq i64 %b.n, %n
  %same = and i1 %a.same, %b.same
  br i1 %same, label %size.next, label %no
size.next:
  %d.next = add nsw i64 %d, 1
  br label %size
array.next:
  %shapes.next = getelementptr inbounds i64, ptr %first, i64 %rank
  %k.next = add nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, %arrays
  br i1 %k.more, label %array, label %yes
yes:
  br label %give
give:
  %g = phi i64 [ 0, %yes ], [ %g.next, %give ]
  %g.at = getelementptr inbounds ptr, ptr %own, i64 %g
  %g.object = load ptr, ptr %g.at
  %g.flags.at = getelementptr inbounds i8, ptr %g.object, i64 {(OFFSET or 0) + FLAGS}
  %g.flags = load i32, ptr %g.flags.at
  %g.writeable = or i32 %g.flags, {WRITEABLE}
  store i32 %g.writeable, ptr %g.flags.at
  %g.next = add nsw i64 %g, 1
  %g.more = icmp slt i64 %g.next, %arrays
  br i1 %g.more, label %give, label %out
out:
  ret i64 1
no:
  ret i64 0
}}
"""


class _Again:
    """The native function, and the library it is in."""

    def __init__(self) -> None:
        self.code = library(_AGAIN_TEXT)
        make = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        self.call = make(self.code.address("cr.again"))


_again = functools.cache(_Again)


class Round:
    """What one call returned: the arrays in the memory of donated arguments, and the lasting subtrees made of them.

    ``results`` has all results in order, None for those that are made anew by each call.  ``lent`` is set while the
    arrays are donated themselves.
    """

    def __init__(self, plan: Rounds, results: list[Any]) -> None:
        self._plan, self.lent = plan, False
        self.results: list[Any] = [None] * len(results)
        for i in plan.outputs:
            self.results[i] = results[i]
        self.arrays = tuple([results[i] for i in plan.outputs])
        self.roots = [make(self.results) for make in plan.makers]
        nodes = [node for root in self.roots for node in trees.inner_nodes(root)]
        dicts = [vars(node) for node in nodes if hasattr(node, "__dict__")]
        self._own = (*self.arrays, *nodes, *dicts)
        self._counts = (ctypes.c_int32 * len(self._own))()
        self._used = (ctypes.c_int64 * max(len(dicts), 1))(*map(len, dicts))
        shapes = [number for a in self.arrays for number in (id(a.dtype), a.ndim, *a.shape)]
        self._shapes = (ctypes.c_int64 * len(shapes))(*shapes)
        lists = [id(x) + type(x).__weakrefoffset__ for x in self._own if type(x).__weakrefoffset__]
        self._lists = (ctypes.c_void_p * max(len(lists), 1))(*lists)
        self.items = id(self._own) + ITEMS
        at = ctypes.addressof
        self._frame = (ctypes.c_int64 * 11)(
            len(self.arrays), len(self._own), at(plan.positions), self.items, at(self._counts), at(self._shapes), 0,
            len(dicts), at(self._used), len(lists), at(self._lists),
        )  # fmt: skip
        self._frame_address = ctypes.addressof(self._frame)
        _rounds[id(self)] = self

    def seal(self) -> None:
        """Note how many references each object has, when nobody but the round holds it.

        That is what it was in rounds before: a debugger or a profiler that looks on just now holds more.
        """
        found = references(self._own)
        self._plan.counts = list(map(min, found, self._plan.counts or found))
        for i, count in enumerate(self._plan.counts):
            self._counts[i] = count

    def is_free(self, last: Round, given: tuple[Any, ...]) -> bool:
        """Whether a call that is ``given`` what ``last`` has may return this round's objects; if so, they are ready."""
        self._frame[6] = last.items
        return bool(_again().call(id(given) + ITEMS, self._frame_address))

    def is_in(self, given: tuple[Any, ...]) -> bool:
        """Whether the arrays are those that are donated to a call."""
        return all(given[p] is a for p, a in zip(self._plan.positions, self.arrays, strict=True))

    def has_memory_of(self, results: list[Any]) -> bool:
        """Whether the results of a call lie in the arrays' memory: they do, unless donated arguments were copied."""
        places = zip(self._plan.outputs, self.arrays, strict=True)
        return all(data_address(results[i]) == data_address(a) for i, a in places)


# A set would be walked in Python code, while other threads add to it; references are listed in one step.
_rounds: weakref.WeakValueDictionary[int, Round] = weakref.WeakValueDictionary()


def lent() -> set[int]:
    """The identities of arrays that wait to be used again and were donated: their memory is a result's now."""
    known = [ref() for ref in _rounds.valuerefs()]
    return {id(a) for r in known if r is not None and r.lent for a in r.arrays}


class Rounds:
    """A program with the last two rounds of a jitted function, for one kind of arguments.

    ``lasting``: which results may take part, and what is made of them.  Threads that call at once do not meet in a
    round: each takes out what is there.
    """

    def __init__(self, program: Program, lasting: trees.Lasting) -> None:
        self.program = program
        self.makers = lasting.makers
        self.outputs = lasting.inside if lasting.makers else sorted(lasting.positions)
        places = [program.shared[o] for o in self.outputs]
        self.positions = (ctypes.c_int64 * len(places))(*places)
        self.rest = [i for i in range(len(program.recipe)) if i not in self.outputs]
        self.recipe = [program.recipe[i] for i in self.rest]
        self.loose = [i for i in program.gifts if i not in places]
        others = [i for i in range(program.plan.graph.inputs) if i not in places]
        self.frame = program.frame(PLAIN | WRITEABLE, others)
        self._kept: list[tuple[Round | None, Round]] = []
        self._held = 0 if self.outputs else _PATIENCE
        self.counts: list[int] = []  # the fewest references that each object of a round had, held by nobody else

    def __call__(self, given: tuple[Any, ...], sure: bool) -> tuple[list[Any], list[Any]]:
        """The results of the program, and the lasting subtrees.  ``sure``: that all that is given are arrays."""
        spare, last = self._take()
        if spare is not None and last is not None:
            if sure and spare.is_free(last, given):
                wanted = spare.results.copy()
                results = self.program.again(given, wanted, self)
                if results is not wanted:
                    return results, self._roots(results)
                spare.lent, last.lent = False, True
                self._kept.append((last, spare))
                self._held = 0
                return results, spare.roots
            self._held += 1
            mark_given(spare.arrays)
        follows = last is not None and last.is_in(given)
        results = self.program.run(given, self.loose if follows else self.program.gifts, sure=sure)
        if self._held >= _PATIENCE:
            return results, self._roots(results)
        if follows and last is not None:
            last.lent = follows = last.has_memory_of(results)
        fresh = Round(self, results)
        for i in self.outputs:
            results[i] = None
        fresh.seal()
        for i in self.outputs:
            results[i] = fresh.results[i]
        self._kept.append((last if follows else None, fresh))
        return results, fresh.roots

    def _roots(self, results: list[Any]) -> list[Any]:
        return [make(results) for make in self.makers]

    def _take(self) -> tuple[Round | None, Round | None]:
        try:
            return self._kept.pop()
        except IndexError:  # the first call, or another thread is in one
            return None, None
