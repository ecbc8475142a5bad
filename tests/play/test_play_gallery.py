"""Every card of the gallery: its settings hold, and what it claims is so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chainrule.play import gallery
from chainrule.play.course import Course, Losses
from chainrule.play.datasets import generate
from chainrule.play.settings import DATASETS, Settings

BY_ID = {entry.id: entry for entry in gallery.ENTRIES}


def watched(id_: str, epochs: int | None = None) -> Course:
    """A course that trained for as long as the card says."""
    entry = BY_ID[id_]
    settings = Settings().changed(entry.settings)
    course = Course(settings, generate(settings), native="wait")
    while course.state.epoch < (epochs or entry.epochs) and course.broken is None:
        course.take(course.context.rows * 10)
    course.close()
    return course


def start_of(id_: str) -> Losses:
    settings = Settings().changed(BY_ID[id_].settings)
    return Course(settings, generate(settings), native="never").losses()


def test_cards_are_told_apart_and_complete() -> None:
    assert len(BY_ID) == len(gallery.ENTRIES)
    assert sum(entry.works for entry in gallery.ENTRIES) >= 6
    assert sum(not entry.works for entry in gallery.ENTRIES) >= 8
    for entry in gallery.ENTRIES:
        assert entry.title
        assert entry.reason.endswith(".")
        Settings().changed(entry.settings)


@pytest.mark.parametrize(("id_", "least"), [
    ("circle", 0.99), ("feature", 0.99), ("radius", 0.98), ("spiral", 0.95), ("deep-relu", 0.98), ("softmax", 0.98),
    ("digits", 0.94),
])  # fmt: skip
def test_what_works_works(id_: str, least: float) -> None:
    accuracy = watched(id_).losses().accuracy_test
    assert accuracy is not None
    assert accuracy >= least


def test_decay_keeps_the_test_loss_down_and_its_twin_does_not() -> None:
    held, free = watched("decay"), watched("overfit")
    assert held.losses().test < 0.35
    assert free.losses().train < 0.05
    assert free.losses().test > 2 * held.losses().test
    sizes = [layer.n_out * (layer.n_in + 1) for layer in free.state.network.layers]
    assert sum(sizes) == 105  # which the card says
    assert free.context.count == 50


def nothing_learned(course: Course) -> bool:
    return abs(course.losses().train - 0.497) < 0.02


def hidden_weights_stayed(course: Course) -> bool:
    pairs = list(zip(course.first.network.layers, course.state.network.layers, strict=True))[:-1]
    return all(np.array_equal(before.weight, after.weight) for before, after in pairs)


def held_at_zero(course: Course) -> bool:
    return max(float(np.abs(layer.weight).max()) for layer in course.state.network.layers) < 0.01


FAILS: dict[str, Callable[[Course], bool]] = {
    "line": lambda course: course.losses().accuracy_test < 0.8,
    "zeros": nothing_learned,
    "sigmoid": nothing_learned,
    "dead": hidden_weights_stayed,
    "explode": lambda course: course.broken is not None,
    "slow": lambda course: 0 < start_of("slow").train - course.losses().train < 0.01,
    "strong": lambda course: nothing_learned(course) and held_at_zero(course),
    "line-xor": lambda course: course.losses().accuracy_test < 0.85,
    "trap": lambda course: course.losses() == start_of("trap") and course.state.epoch >= 50,
}  # fmt: skip


@pytest.mark.parametrize("id_", FAILS)
def test_what_fails_fails_as_it_says(id_: str) -> None:
    assert not BY_ID[id_].works
    assert FAILS[id_](watched(id_))


def test_every_failure_is_tested() -> None:
    assert {entry.id for entry in gallery.ENTRIES if not entry.works} == {*FAILS, "overfit"}


def test_a_card_carries_all_settings() -> None:
    for card in gallery.ENDPOINTS["list"]({})["entries"]:
        assert Settings.from_json(card["settings"]) == Settings().changed(BY_ID[card["id"]].settings)


def test_pictures_of_all_data_sets() -> None:
    found = gallery.ENDPOINTS["previews"]({})["previews"]
    assert set(found) | {"own"} == set(DATASETS)
    assert len(found["digits"]["image"]) == 64
    for name, preview in found.items():
        if name != "digits":
            points = np.array(preview["points"])
            assert points.shape == (200, 3)
            assert np.abs(points[:, :2]).max() < 8
