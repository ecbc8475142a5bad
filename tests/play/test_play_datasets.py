"""The playground's data: the reference's number by number where its files say, by their definition elsewhere."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from asking import TRAJECTORIES, reference

from chainrule.base.errors import DataError
from chainrule.play.context import make_context
from chainrule.play.datasets import generate, train_rows
from chainrule.play.network import initial
from chainrule.play.seedrandom import SeedRandom
from chainrule.play.settings import DATASETS, Settings


def test_the_random_stream_is_that_of_the_reference() -> None:
    draw = SeedRandom("0.42182")
    assert [draw() for _ in range(3)] == [0.24248939941998704, 0.923006870687007, 0.734248041342694]


def test_a_stream_goes_on_from_its_state() -> None:
    draw = SeedRandom("abc")
    draw()
    again = SeedRandom.at(draw.state())
    assert [draw() for _ in range(300)] == [again() for _ in range(300)]


@pytest.mark.parametrize("seed", ["", "a", "π ∑", "x" * 600, "\ud800"])
def test_any_text_is_a_seed(seed: str) -> None:
    draw = SeedRandom(seed)
    values = [draw() for _ in range(200)]
    assert all(0 <= v < 1 for v in values)
    assert len(set(values)) == 200


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_rows_and_initial_weights_of_the_reference(name: str) -> None:
    file = reference(name)
    settings = Settings.from_reference(file["config"])
    data = generate(settings)
    rows = np.array(file["train"] + file["test"])
    assert data.train == len(file["train"])
    np.testing.assert_array_equal(data.labels, rows[:, 2])
    np.testing.assert_allclose(data.points, rows[:, :2], rtol=0, atol=2e-15)  # sines may differ in the last bit
    network = initial(settings, data)
    assert list(network.sizes) == file["shape"]
    for layer, snapshot in zip(network.layers, file["snapshots"]["0"], strict=True):
        np.testing.assert_array_equal(layer.weight.T, snapshot["weight"])
        np.testing.assert_array_equal(layer.bias, snapshot["bias"])


def test_regressions_by_their_definition() -> None:
    plane = generate(Settings(dataset="plane", problem="regression"))
    assert plane.count == 1200
    np.testing.assert_allclose(plane.labels, plane.points.sum(axis=1) / 10, atol=1e-12)
    hills = generate(Settings(dataset="multi-gauss", problem="regression"))
    centres = [(-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1)]
    for (x, y), label in zip(hills.points[:200], hills.labels[:200], strict=True):
        heights = [s * max(0.0, 1 - math.hypot(x - cx, y - cy) / 2) for cx, cy, s in centres]
        assert label == pytest.approx(max(heights, key=abs), abs=1e-12)


def test_gauss_has_two_clouds_whose_width_grows_with_noise() -> None:
    for noise, variance in ((0, 0.5), (25, 2.25), (50, 4.0)):
        data = generate(Settings(dataset="gauss", noise=noise))
        for label, centre in ((1, 2), (-1, -2)):
            cloud = data.points[data.labels == label]
            assert len(cloud) == 250
            assert cloud.mean() == pytest.approx(centre, abs=0.35)
            assert cloud.var(axis=0).mean() == pytest.approx(variance, rel=0.25)


def test_noise_moves_labels_of_a_circle_but_points_of_a_spiral() -> None:
    calm, noisy = (generate(Settings(dataset="circle", noise=n)) for n in (0, 30))
    key = np.lexsort(calm.points.T), np.lexsort(noisy.points.T)
    np.testing.assert_array_equal(calm.points[key[0]], noisy.points[key[1]])
    assert (calm.labels[key[0]] != noisy.labels[key[1]]).any()
    flat, moved = (generate(Settings(dataset="spiral", noise=n)) for n in (0, 30))
    assert not np.allclose(np.sort(flat.points, axis=0), np.sort(moved.points, axis=0))


@pytest.mark.parametrize("name", [d for d in DATASETS if d not in ("own", "digits")])
def test_every_set_is_the_same_again_and_fits_the_plane(name: str) -> None:
    settings = Settings().changed({"dataset": name, "samples": 60, "classes": 4})
    one, two = generate(settings), generate(settings)
    np.testing.assert_array_equal(one.points, two.points)
    other = generate(settings.changed({"seed": "other"}))
    assert not np.array_equal(one.points, other.points)
    assert np.abs(one.points).max() < 9
    assert one.classes == (4 if name in ("blobs", "pinwheel") else 0 if settings.problem == "regression" else 2)
    assert one.train == 30
    make_context(settings, one)


def test_two_classes_are_minus_and_plus_one_everywhere() -> None:
    data = generate(Settings().changed({"dataset": "blobs", "classes": 2, "samples": 20}))
    assert set(data.labels) == {-1.0, 1.0}


def test_data_may_have_a_seed_of_their_own() -> None:
    settings = Settings(seed="a", data_seed="b")
    np.testing.assert_array_equal(generate(settings).points, generate(Settings(seed="b")).points)
    one = initial(settings, generate(settings))
    two = initial(Settings(seed="a"), generate(Settings(seed="a")))
    for left, right in zip(one.layers, two.layers, strict=True):
        np.testing.assert_array_equal(left.weight, right.weight)


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn, which carries the digits")
def test_digits() -> None:
    data = generate(Settings().changed({"dataset": "digits", "samples": 200}))
    assert data.points.shape == (200, 64)
    assert data.images
    assert data.classes == 10
    assert abs(data.points.mean()) < 0.1
    assert data.points.std() == pytest.approx(1, abs=0.1)
    assert set(data.labels) == set(range(10))


def test_at_least_one_row_is_trained_on() -> None:
    assert train_rows(10, 1) == 1
    assert train_rows(500, 50) == 250
    assert train_rows(3, 99) == 2


def test_own_data_are_not_generated() -> None:
    with pytest.raises(DataError, match="own data are not generated"):
        generate(Settings(dataset="own"))
