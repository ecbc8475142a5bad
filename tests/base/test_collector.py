"""The collector is put back as it was, whatever happens inside and however traces overlap."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.collector import without_collector, young_collections_only


def test_thresholds_come_back() -> None:
    before = gc.get_threshold()
    with young_collections_only(), young_collections_only():
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > before[2]
    assert gc.get_threshold() == before
    with pytest.raises(ValueError, match="inside"), young_collections_only():
        raise ValueError("inside")
    assert gc.get_threshold() == before


def test_overlapping_traces_in_threads() -> None:
    before = gc.get_threshold()

    def work() -> None:
        for _ in range(50):
            cr.grad(lambda x: np.sum(np.sin(x) * x))(np.ones(3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.get_threshold() == before
    assert gc.isenabled()


def test_off_only_while_the_function_runs() -> None:
    seen: list[bool] = []
    without_collector(lambda: seen.append(gc.isenabled()))()
    assert seen == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        without_collector(lambda: None)()
        assert not gc.isenabled()  # who had it off keeps it off
    finally:
        gc.enable()
