"""``python -m bench.worker``: one contestant in a process of its own, told what to do by lines of JSON.

Libraries keep threads, caches and allocators; in one process they would get into each other's way.  Requests come on
stdin, answers go to stdout, and whatever a library prints goes to stderr.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from bench import memory, problem, steps
from bench.calls import CALLS
from bench.peers import make

LEAST = 3


def turn(call: Callable[[int], object], seconds: float, least: int = LEAST) -> dict[str, Any]:
    """Median and least seconds of a call, over calls for ``seconds``; first some untimed, for a tenth of it."""
    enough = perf_counter() + seconds / 10
    i = 0
    while i == 0 or perf_counter() < enough:
        call(i)
        i += 1
    taken: list[float] = []
    gc.collect()
    gc.disable()
    try:
        end = perf_counter() + seconds
        while len(taken) < least or perf_counter() < end:
            start = perf_counter()
            call(i)
            taken.append(perf_counter() - start)
            i += 1
    finally:
        gc.enable()
    return {"median": statistics.median(taken), "least": min(taken), "calls": len(taken)}


class Step:
    """Requests about a training step."""

    def __init__(self, peer: str, row: str, quick: bool, file: str) -> None:
        self.row = (steps.QUICK if quick else steps.ROWS)[row]
        self.contestant = make(peer, self.row, problem.load(file))

    def first(self) -> dict[str, Any]:
        """Seconds of the first call: tracing, compiling, and one run."""
        start = perf_counter()
        self.contestant.step(0)
        return {"seconds": perf_counter() - start}

    def check(self, file: str) -> dict[str, Any]:
        """Write the result of the first steps from the start."""
        self.contestant.reset()
        self.contestant.run(1 if self.row.loop == 1 else min(self.row.loop, steps.CHECKED))
        np.savez(file, **self.contestant.result())  # type: ignore[arg-type]
        return {}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Times per training step."""
        self.contestant.reset()
        times = turn(self.contestant.step, seconds, LEAST if self.row.loop == 1 else 1)
        return {"median": times["median"] / self.row.loop, "least": times["least"] / self.row.loop,
                "calls": times["calls"]}  # fmt: skip


class Overhead:
    """Requests about a function of ten small arrays."""

    def __init__(self, peer: str) -> None:
        self.call, self.value = CALLS[peer]()

    def check(self) -> dict[str, Any]:
        """The result, as numbers."""
        return {"value": self.value(self.call())}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Times per call."""
        return turn(lambda i: self.call(), seconds)


class Memory:
    """Requests about the memory of a training step."""

    def __init__(self, peer: str, row: str, quick: bool, file: str) -> None:
        self.row = (steps.QUICK if quick else steps.ROWS)[row]
        self.make = lambda: make(peer, self.row, self.problem)
        self.problem = problem.load(file)

    def peak(self) -> dict[str, Any]:
        """Bytes that a step takes beyond parameters and state."""
        return {"bytes": memory.step_peak(self.make)}


KINDS: dict[str, Callable[..., Any]] = {"step": Step, "overhead": Overhead, "memory": Memory}


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    served: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        method, options = request.pop("do"), request
        try:
            if method == "start":
                served = KINDS[options.pop("kind")](**options)
                answer: dict[str, Any] = {}
            else:
                answer = getattr(served, method)(**options)
        except Exception as error:  # the other side says whose it is
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
