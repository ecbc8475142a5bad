"""Contestants in processes of their own, timed in rounds: a machine that slows down does so for all of them.

Does not do: pinning cores; several contests at once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SETTLE = 0.03
"""Seconds before each turn, in which threads of the contestant before stop spinning."""


class PeerError(RuntimeError):
    """A contestant that can't do what it was asked."""


def cores() -> int:
    """Cores that this process, and so each contestant, may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def caches() -> Iterator[dict[str, str]]:
    """An environment in which every library's cache of compiled code is a new, empty folder."""
    with tempfile.TemporaryDirectory(prefix="chainrule-bench-") as folder:
        yield {
            "CHAINRULE_CACHE": f"{folder}/chainrule", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch",
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }  # fmt: skip


class Process:
    """One contestant's process; what goes wrong in it is a PeerError here."""

    def __init__(self, peer: str, environment: Mapping[str, str], **start: Any) -> None:
        self.peer = peer
        count = str(cores())
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CHAINRULE_THREADS", "BENCH_CORES"), count
        )
        threads["PYTHONDONTWRITEBYTECODE"] = ""  # ours is on disk, as that of installed packages is
        with ExitStack() as stack:
            self.errors = stack.enter_context(tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace"))
            self._opened = stack.pop_all()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"], cwd=ROOT, env={**os.environ, **threads, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, encoding="utf-8",
        )  # fmt: skip
        try:
            self.ask("start", peer=peer, **start)
        except PeerError:
            self.close()
            raise

    def ask(self, do: str, **options: Any) -> dict[str, Any]:
        """The answer to a request.  Raises PeerError where there is none, or an error."""
        to, answers = self.process.stdin, self.process.stdout
        assert to is not None
        assert answers is not None
        line = ""
        with suppress(BrokenPipeError):
            print(json.dumps({"do": do, **options}), file=to, flush=True)
            line = answers.readline()
        if not line:
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:] or ["without a word"]
            raise PeerError(f"{self.peer}: its process ended: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.peer}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._opened.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def started(
    peers: list[str], environment: Mapping[str, str], notes: list[str], **start: Any
) -> Iterator[dict[str, Process]]:
    """A process for each peer, one after the other; a peer that can't start is left out with a note.  Ours must."""
    with ExitStack() as stack:
        found: dict[str, Process] = {}
        for peer in peers:
            try:
                found[peer] = stack.enter_context(Process(peer, environment, **start))
            except PeerError as error:
                leave_out(peer, error, notes)
        yield found


def leave_out(peer: str, error: PeerError, notes: list[str]) -> None:
    """Note that a peer is left out; for ours, raise its error."""
    if peer == "ours":
        raise error
    notes.append(str(error))


def rounds(
    processes: dict[str, Process], seconds: float, count: int, between: Callable[[], object] = lambda: None
) -> dict[str, dict[str, float]]:
    """``median`` (of the rounds' medians) and ``least`` seconds of each, each timed for ``seconds`` in all.

    Rounds begin with another contestant each time, so that nobody is always behind the same one.
    """
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in processes}
    names = list(processes)
    for number in range(count):
        between()
        first = number % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(SETTLE)
            turns[name].append(processes[name].ask("turn", seconds=seconds / count))
    return {
        name: {
            "median": statistics.median(t["median"] for t in each), "least": min(t["least"] for t in each),
            "calls": sum(t["calls"] for t in each),
        }
        for name, each in turns.items()
    }  # fmt: skip
