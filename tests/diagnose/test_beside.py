"""A queue of jobs on another thread: in order, on copies, and with the errors handed on."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from chainrule.diagnose.beside import Queue


@pytest.mark.parametrize("beside", [False, True])
def test_jobs_run_in_order_on_what_the_arrays_were(beside: bool) -> None:
    seen: list[tuple[int, float, float]] = []
    names: set[str] = set()

    def job(number: int, arrays: Any) -> None:
        names.add(threading.current_thread().name.partition("_")[0])
        seen.append((number, float(arrays[0].sum()), float(arrays[1].sum())))

    queue, weights = Queue(job, beside), np.zeros(1000)
    for number in range(500):  # more than may wait
        weights[:] = number
        last = queue.put(number, [weights], [np.full(3, number)])
        weights[:] = -1.0
    queue.wait()
    assert seen == [(number, 1000.0 * number, 3.0 * number) for number in range(500)]
    assert last[0][0] == 499.0
    assert names == {"chainrule-diagnose" if beside else threading.current_thread().name}


def test_no_more_copies_wait_than_there_is_memory_for() -> None:
    gate = threading.Event()
    queue = Queue(lambda number, arrays: gate.wait() and None, True)
    weights = np.zeros(3_000_000)  # 24 MB: two may wait
    queue.put(0, [weights], [])
    queue.put(1, [weights], [])
    threading.Timer(0.05, gate.set).start()
    assert not gate.is_set()
    queue.put(2, [weights], [])
    assert gate.is_set()  # it had to wait for the first
    queue.wait()


def test_what_a_job_raises_is_raised_where_its_result_is_waited_for() -> None:
    def job(number: int, arrays: Any) -> None:
        raise ValueError(f"job {number}")

    queue = Queue(job, True)
    queue.put(7, [np.zeros(1)], [])
    with pytest.raises(ValueError, match="job 7"):
        queue.wait()
