"""How much memory a training step takes besides parameters and optimizer state: how far the resident set rises in it.

Linux keeps the highest resident set of a process and sets it back on request (``/proc/self/clear_refs``).  A contestant
is made twice: the first one loads libraries and compiles, so that the second's steps find that done; it has the same
work to do from parameters just made.  Buffers that a library keeps between steps are then made anew, and count.

The worker's environment tells malloc to give each block of 64 KiB or more its own pages and to hand them back when
freed, for all contestants alike; otherwise freed memory would be found again and not be seen.
Does not do: other systems than Linux; blocks below 64 KiB, and so networks that consist of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 4
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 10), "MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_ARENA_MAX": "1",
}  # fmt: skip


def unavailable() -> str | None:
    """Why nothing can be measured here, or None where it can."""
    try:
        _reset_highest()
        _status("VmHWM")
    except OSError as error:
        return f"this system does not tell the highest resident set ({error})"
    return None


def step_peak(make: Callable[[], Any]) -> int:
    """Bytes that the steps of the second contestant take beyond what stood before them."""
    first: Any = make()
    for i in range(STEPS):
        first.step(i)
    del first
    gc.collect()
    second = make()
    gc.collect()
    _reset_highest()
    before = _status("VmRSS")
    for i in range(STEPS):
        second.step(i)
    return max(0, _status("VmHWM") - before)


def _reset_highest() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) << 10
    raise OSError(f"no {field} in /proc/self/status")
