"""Fair turns: nobody is left out, nobody runs twice at a time, what is dropped stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from chainrule.play.scheduler import Scheduler


class Counter:
    """Has always more to do, until it has had ``most`` turns."""

    def __init__(self, log: list[Counter] | None = None, most: float = float("inf"), hold: float = 0.0) -> None:
        self.turns = 0
        self.log = log
        self.most = most
        self.hold = hold
        self.together = False
        self._inside = threading.Lock()

    def turn(self, seconds: float) -> bool:
        if not self._inside.acquire(blocking=False):
            self.together = True
            return False
        try:
            self.turns += 1
            if self.log is not None:
                self.log.append(self)
            if self.hold:
                time.sleep(self.hold)
            return self.turns < self.most
        finally:
            self._inside.release()


class Failing:
    def turn(self, seconds: float) -> bool:
        raise ZeroDivisionError("a bug")


class Gate:
    """Holds the only worker until it is opened, so that a test can fill the queue."""

    def __init__(self) -> None:
        self.inside, self.open = threading.Event(), threading.Event()

    def turn(self, seconds: float) -> bool:
        self.inside.set()
        self.open.wait(10)
        return False


@pytest.fixture
def one() -> Iterator[Scheduler]:
    scheduler = Scheduler(1)
    yield scheduler
    scheduler.close()


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("workers", [1, 3])
def test_turns_are_shared_evenly(workers: int) -> None:
    scheduler = Scheduler(workers)
    tasks = [Counter(hold=0.0002) for _ in range(50)]
    for task in tasks:
        scheduler.wake(task)
    eventually(lambda: min(task.turns for task in tasks) >= 20)
    scheduler.close()
    turns = [task.turns for task in tasks]
    assert max(turns) - min(turns) <= 1 + workers
    assert not any(task.together for task in tasks)


def test_one_worker_goes_round_in_order(one: Scheduler) -> None:
    gate, log = Gate(), list[Counter]()
    one.wake(gate)
    gate.inside.wait(10)
    tasks = [Counter(log, most=3) for _ in range(4)]
    for task in tasks:
        one.wake(task)
    gate.open.set()
    eventually(lambda: len(log) == 12)
    assert log == tasks * 3


def test_a_task_stands_in_the_queue_once(one: Scheduler) -> None:
    gate, task = Gate(), Counter(most=1)
    one.wake(gate)
    gate.inside.wait(10)
    for _ in range(100):
        one.wake(task)
    assert one.waiting() == 2
    gate.open.set()
    eventually(lambda: one.waiting() == 0)
    assert task.turns == 1


def test_woken_while_it_runs_goes_round_again(one: Scheduler) -> None:
    gate = Gate()
    one.wake(gate)
    gate.inside.wait(10)
    gate.inside.clear()
    one.wake(gate)
    gate.open.set()
    assert gate.inside.wait(10), "it was not given the turn that it was woken for"


def test_urgent_goes_first_but_not_for_ever(one: Scheduler) -> None:
    gate, log = Gate(), list[Counter]()
    one.wake(gate)
    gate.inside.wait(10)
    others, hasty = [Counter(log, most=1) for _ in range(3)], Counter(log, most=1)
    for task in others:
        one.wake(task)
    one.wake(hasty)
    one.wake(hasty, urgent=True)
    gate.open.set()
    eventually(lambda: one.waiting() == 0)
    assert log == [hasty, *others]


def test_always_urgent_is_no_more_than_every_second_turn(one: Scheduler) -> None:
    log: list[Counter] = []

    class Hasty(Counter):
        def turn(self, seconds: float) -> bool:
            super().turn(seconds)
            one.wake(self, urgent=True)
            return True

    hasty, others = Hasty(log, hold=0.0005), [Counter(log, hold=0.0005) for _ in range(5)]
    for task in [*others, hasty]:
        one.wake(task, urgent=task is hasty)
    eventually(lambda: min(task.turns for task in others) >= 20)
    one.close()
    assert hasty.turns <= 2 * max(task.turns for task in others)


def test_what_is_dropped_stops(one: Scheduler) -> None:
    task, other = Counter(hold=0.001), Counter(hold=0.001)
    one.wake(task)
    one.wake(other)
    eventually(lambda: task.turns > 3)
    one.drop(task)
    time.sleep(0.01)  # the turn that ran at that moment
    turns = task.turns
    seen = other.turns
    eventually(lambda: other.turns > seen + 5)
    assert task.turns == turns
    one.wake(task)
    eventually(lambda: task.turns > turns)


def test_dropped_while_it_runs(one: Scheduler) -> None:
    gate = Gate()
    gate.turn = lambda seconds: Gate.turn(gate, seconds) or True  # type: ignore[method-assign]
    one.wake(gate)
    gate.inside.wait(10)
    one.wake(gate)
    one.drop(gate)
    gate.open.set()
    eventually(lambda: one.waiting() == 0)


def test_a_bug_in_one_does_not_take_the_worker(one: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    task = Counter()
    one.wake(Failing())
    one.wake(task)
    eventually(lambda: task.turns > 3)
    assert [record.message for record in caplog.records] == ["a turn failed"]
    caplog.clear()


def test_closing_ends_the_threads() -> None:
    before = threading.active_count()
    scheduler = Scheduler(2)
    task = Counter()
    scheduler.wake(task)
    eventually(lambda: task.turns > 0)
    scheduler.close()
    assert threading.active_count() == before
    turns = task.turns
    scheduler.wake(task)
    assert (task.turns, scheduler.waiting()) == (turns, 0)
