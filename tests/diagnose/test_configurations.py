"""Every fault is named with the right layer, and healthy networks are left alone.

One seed of each configuration always, ten with ``-m slow``, which also prints the confusion tables of the docs
(``pytest -m slow -s tests/diagnose/test_configurations.py``).
"""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from configurations import HEALTHY, ILL, Case, Make

from chainrule.diagnose import KINDS, diagnose

SEEDS = (range(5), range(5, 10))  # thresholds were chosen on the first five, never on the others


def found(case: Case) -> tuple[str, ...]:
    return diagnose(case.model, case.loss, case.batch, **case.options).kinds


def test_there_are_enough_and_half_of_them_are_healthy() -> None:
    assert len(HEALTHY) + len(ILL) >= 30
    assert min(len(HEALTHY), len(ILL)) >= 15


def test_every_kind_of_verdict_is_provoked() -> None:
    assert {make(0).kind for make in ILL.values()} == set(KINDS)


@pytest.mark.parametrize("name", HEALTHY)
def test_no_false_alarm(name: str) -> None:
    case = HEALTHY[name](0)
    report = diagnose(case.model, case.loss, case.batch, **case.options)
    assert report.healthy, str(report)


@pytest.mark.parametrize("name", ILL)
def test_the_fault_is_named_with_its_layer(name: str) -> None:
    case = ILL[name](0)
    report = diagnose(case.model, case.loss, case.batch, **case.options)
    assert report.kinds == (case.kind,), str(report)
    if case.layers is not None:
        assert report.verdicts[0].layers == case.layers


def table(group: dict[str, Make], seeds: range) -> Counter[tuple[str, str]]:
    """How often which fault was given which verdict."""
    counts: Counter[tuple[str, str]] = Counter()
    for make in group.values():
        for seed in seeds:
            case = make(seed)
            counts[case.kind or "healthy", ", ".join(found(case)) or "healthy"] += 1
    return counts


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_graphs")
@pytest.mark.parametrize("seeds", SEEDS, ids=["chosen-on", "held-out"])
def test_five_seeds(seeds: range) -> None:
    counts = table(HEALTHY, seeds) + table(ILL, seeds)
    for (truth, said), count in sorted(counts.items()):
        print(f"| {KINDS.get(truth, truth)} | {', '.join(KINDS.get(s, s) for s in said.split(', '))} | {count} |")
    assert all(truth == said for truth, said in counts)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_graphs")
@pytest.mark.parametrize("name", ILL)
def test_layers_over_all_seeds(name: str) -> None:
    for seed in itertools.chain(*SEEDS):
        case = ILL[name](seed)
        (verdict,) = diagnose(case.model, case.loss, case.batch, **case.options).verdicts
        assert case.layers in (None, verdict.layers)
