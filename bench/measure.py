"""Timing: medians of alternating calls, and a description of the machine they were taken on.

On a machine that also does other things, ``BENCH_CLOCK=cpu OPENBLAS_NUM_THREADS=1 python -m bench`` counts the seconds
of this process and not those on the wall: waiting for a core is nobody's time.  Does not do: pinning cores.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import Any

import numpy as np

Call = Callable[[], object]

CLOCK = process_time if os.environ.get("BENCH_CLOCK") == "cpu" else perf_counter
"""What is timed with: the wall's clock, or this process's."""


def medians(calls: Mapping[str, Call], seconds: float, least: int = 3, most: int = 1000) -> dict[str, float]:
    """Median seconds of each call, over rounds that call each once, for about ``seconds`` in all.

    Each call is made once before, untimed, and garbage is collected between rounds and never inside a call.
    """
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    spent = 0.0
    enabled = gc.isenabled()
    gc.disable()
    try:
        while (spent < seconds or len(next(iter(taken.values()))) < least) and len(next(iter(taken.values()))) < most:
            for name, call in calls.items():
                start = CLOCK()
                call()
                duration = CLOCK() - start
                taken[name].append(duration)
                spent += duration
            if spent / len(next(iter(taken.values()))) > 1e-3:  # a collection costs more than a short round
                gc.collect()
    finally:
        if enabled:
            gc.enable()
    return {name: statistics.median(values) for name, values in taken.items()}


def environment() -> dict[str, Any]:
    """What the numbers depend on: versions, processor, cores, and the BLAS with its number of threads."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "blas": _blas(),
        "clock": "cpu" if CLOCK is process_time else "wall",
    }


def _processor() -> str:
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as lines:
                for line in lines:
                    if line.startswith("model name"):
                        return line.partition(":")[2].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _blas() -> list[dict[str, Any]]:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return [{"library": "unknown", "threads": os.environ.get("OPENBLAS_NUM_THREADS", "default")}]
    return [
        {"library": pool["internal_api"], "version": pool["version"], "threads": pool["num_threads"]}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
