"""The words for why a function was traced again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.base import trees
from chainrule.base.arrays import Spec
from chainrule.transforms.retracing import Signature, advice, changes, nearest, reason

F32 = np.dtype(np.float32)


def signature(*, static: tuple[tuple[str, Any], ...] = (), **arrays: Any) -> Signature:
    """The signature of a call with these arrays, each given as a shape, or as (shape, dtype)."""
    _, structure = trees.flatten(dict.fromkeys(arrays, 0.0))
    specs = tuple(Spec(*a) if len(a) == 2 and isinstance(a[1], np.dtype) else Spec(a, F32) for a in arrays.values())
    return Signature(structure, specs, tuple((name, (type(v), v)) for name, v in static), tuple(arrays))


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"x": (64, 784)}, {"x": (32, 784)}, "x changed shape (64, 784) → (32, 784)"),
        ({"x": ((3,), F32)}, {"x": ((3,), np.dtype(np.float64))}, "x changed dtype float32 → float64"),
        ({"x": (3,), "y": (3,)}, {"x": (4,), "y": (4,)}, "x changed shape (3,) → (4,); y changed shape (3,) → (4,)"),
        ({"x": (3,)}, {"x": (3,), "mask": (3,)}, "the arguments changed structure (new: mask)"),
        ({"x": (3,), "mask": (3,)}, {"x": (3,)}, "the arguments changed structure (gone: mask)"),
        ({"x": (3,), "old": (3,)}, {"x": (3,), "new": (3,)}, "the arguments changed structure (new: new; gone: old)"),
    ],
)
def test_what_changed_is_named(before: dict[str, Any], now: dict[str, Any], words: str) -> None:
    assert reason([signature(**before)], signature(**now)) == words


def test_the_first_trace_is_the_first_call() -> None:
    assert reason([], signature(x=(3,))) == "first call"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (2, 3, "static n changed 2 → 3"), (1, True, "static n changed 1 → True"),
        ("tanh", "relu", "static n changed 'tanh' → 'relu'"), (np.tanh, np.sin, "static n changed tanh → sin"),
    ],
)  # fmt: skip
def test_static_arguments_stand_as_they_were_written(before: Any, now: Any, words: str) -> None:
    known, new = (signature(x=(3,), static=(("n", value),)) for value in (before, now))
    assert reason([known], new) == words


def test_the_most_similar_call_is_compared_and_of_equals_the_newest() -> None:
    far, near = signature(x=(3,), y=(9,)), signature(x=(4,), y=(5,))
    assert reason([near, far], signature(x=(4,), y=(6,))) == "y changed shape (5,) → (6,)"
    older, newer = signature(x=(1,)), signature(x=(2,))
    assert nearest([older, newer], signature(x=(3,))) is newer


def test_of_many_changes_three_are_listed() -> None:
    before, now = (signature(**dict.fromkeys("abcde", (n,))) for n in (1, 2))
    assert len(changes(before, now)) == 5
    words = "a changed shape (1,) → (2,); b changed shape (1,) → (2,); c changed shape (1,) → (2,); and 2 more"
    assert reason([before], now) == words


def test_another_container_with_the_same_arrays() -> None:
    structures = [trees.flatten(tree)[1] for tree in ([0.0], (0.0,))]
    known, new = (Signature(structure, (Spec((), F32),), (), ("x[0]",)) for structure in structures)
    found = reason([known], new)
    assert found.startswith("the arguments changed structure (")
    assert "→" in found


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([signature(x=(n,)) for n in range(2, 6)], "x comes in many shapes: pad it to one size"),
        ([signature(x=(3,), static=(("n", k),)) for k in range(4)], "static n takes many values"),
        ([signature(**{name: (3,)}) for name in "abcd"], "the arguments come in many structures"),
        ([signature(x=((3,), np.dtype(t))) for t in "fdgF"], "x comes in many dtypes"),
    ],
)
def test_many_traces_for_one_reason_get_advice(history: list[Signature], words: str) -> None:
    found = advice(history)
    assert found is not None
    assert found.startswith(words)
    assert advice(history[:3]) is None
    assert advice([]) is None
