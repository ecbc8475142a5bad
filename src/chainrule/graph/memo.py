"""Results of transforms, remembered by graph: bounded by the lines they hold, so that long graphs do not pile up.

The same function called again with the same shapes traces to an equal graph, whose transform is then found here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sized
from functools import update_wrapper
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from chainrule.graph.graph import Graph

P = ParamSpec("P")
R = TypeVar("R")
MOST_LINES = 500_000


def remembered(
    transform: Callable[Concatenate[Graph, P], R],
) -> Callable[Concatenate[Graph, P], R]:
    """``transform`` of a graph and other hashable arguments, computed once for equal ones.

    The results used longest ago are forgotten once the graphs and results remembered have ``MOST_LINES`` lines between
    them; one graph longer than that is remembered until the next.
    """
    known: OrderedDict[object, R] = OrderedDict()
    lengths: dict[object, int] = {}
    total = 0
    lock = Lock()

    def look_up(graph: Graph, /, *args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal total
        key = (graph, args, tuple(kwargs.items()))
        with lock:
            if key in known:
                known.move_to_end(key)
                return known[key]
        result = transform(graph, *args, **kwargs)
        with lock:
            if key in known:  # another thread was as quick
                return known[key]
            known[key] = result
            lengths[key] = len(graph) + len(result if isinstance(result, Sized) else ())
            total += lengths[key]
            while len(known) > 1 and total > MOST_LINES:
                oldest, _ = known.popitem(last=False)
                total -= lengths.pop(oldest)
        return result

    update_wrapper(look_up, transform)
    return look_up
