"""The playground's data: the reference's six generators, number by number, more of our own, digits.

The reference's draw from its random stream (:mod:`chainrule.play.seedrandom`) in a fixed order, then shuffle on the
same stream; the network's weights come after them from it.  Labels are ±1 for two classes, 0 … k−1 for more, and real
numbers for a regression.  The first share of the rows is trained on, the rest is for testing.

Facts of the generators: docs of the reference, section 3.  Ours (moons, waves, blobs, pinwheel) draw from NumPy.
Does not do: own points and CSV, which are in ``own``.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import DataError
from chainrule.play.seedrandom import SeedRandom, State
from chainrule.play.settings import Settings

Array = Any
Row = tuple[float, float, float]

_SAMPLES = {"classification": 500, "regression": 1200}


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of data: ``points`` (n, 2), or (n, 64) for digits; ``labels`` (n,); the first ``train`` rows are trained on.

    ``classes``: how many there are, 0 for a regression; two have the labels −1 and +1.  ``names``: of the columns and
    the label; ``spans``: the ranges that own columns had before they were put on the plane.
    """

    points: Array
    labels: Array
    train: int
    classes: int
    images: bool = False
    names: tuple[str, ...] = ("x1", "x2", "label")
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.points)


def rng_for(*parts: object) -> np.random.Generator:
    """NumPy's generator from a text."""
    text = "/".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))


def generate(settings: Settings) -> Dataset:
    """The data that the settings ask for, from ``data_seed``, or ``seed`` where that is None.

    Raises DataError for own data, which are not generated, and for digits where scikit-learn is missing.
    """
    if settings.dataset == "own":
        raise DataError("own data are not generated", expected="points that were added", got="none",
                        where="dataset own", fix="click on the plane, or paste CSV")  # fmt: skip
    seed = settings.seed if settings.data_seed is None else settings.data_seed
    if settings.dataset == "digits":
        return _digits(settings, seed)
    if settings.dataset in _REFERENCE:
        return _reference(settings, seed)
    rng = rng_for("data", settings.dataset, seed)
    count = settings.samples or _SAMPLES[settings.problem]
    points, labels, classes = _OURS[settings.dataset](rng, count, settings.noise / 100, settings.classes)
    order = rng.permutation(len(points))
    train = train_rows(len(points), settings.train_percent)
    return Dataset(points[order], labels[order].astype(np.float64), train, classes)


def weight_stream(settings: Settings) -> SeedRandom:
    """The random stream that initial weights come from: as in the reference, that of the data, after them."""
    if settings.dataset in _REFERENCE:
        count = settings.samples or _SAMPLES[settings.problem]
        return SeedRandom.at(_drawn(settings.dataset, count, settings.noise / 100, settings.seed)[1])
    return SeedRandom(f"{settings.seed}/weights")


def train_rows(count: int, percent: float) -> int:
    """How many of the rows are trained on: at least one, as in the reference rounded down."""
    return max(1, min(count, math.floor(count * percent / 100)))


# ------------------------------------------------------------------------------------------------------ the reference


def _circle(count: int, q: float, draw: SeedRandom) -> list[Row]:
    radius, rows = 5.0, []
    for low, high in ((0.0, radius * 0.5), (radius * 0.7, radius)):
        for _ in range(count // 2):
            r, angle = draw.between(low, high), draw.between(0, 2 * math.pi)
            x, y = r * math.sin(angle), r * math.cos(angle)
            nx, ny = draw.between(-radius, radius) * q, draw.between(-radius, radius) * q
            distance = math.sqrt((x + nx) ** 2 + (y + ny) ** 2)
            rows.append((x, y, 1.0 if distance < radius * 0.5 else -1.0))
    return rows


def _xor(count: int, q: float, draw: SeedRandom) -> list[Row]:
    rows = []
    for _ in range(count):
        x = draw.between(-5, 5)
        x += 0.3 if x > 0 else -0.3
        y = draw.between(-5, 5)
        y += 0.3 if y > 0 else -0.3
        nx, ny = draw.between(-5, 5) * q, draw.between(-5, 5) * q
        rows.append((x, y, 1.0 if (x + nx) * (y + ny) >= 0 else -1.0))
    return rows


def _normal(draw: SeedRandom, mean: float, variance: float) -> float:
    """Marsaglia's polar method; the second number of each pair is thrown away."""
    while True:
        v1, v2 = 2 * draw() - 1, 2 * draw() - 1
        s = v1 * v1 + v2 * v2
        if s <= 1:
            return mean + math.sqrt(variance) * (math.sqrt(-2 * math.log(s) / s) * v1)


def _gauss(count: int, q: float, draw: SeedRandom) -> list[Row]:
    u = (q - 0) / (0.5 - 0)
    variance = 0.5 * (1 - u) + 4 * u
    rows = []
    for centre, label in ((2.0, 1.0), (-2.0, -1.0)):
        for _ in range(count // 2):
            x = _normal(draw, centre, variance)
            rows.append((x, _normal(draw, centre, variance), label))
    return rows


def _spiral(count: int, q: float, draw: SeedRandom) -> list[Row]:
    n, rows = count // 2, []
    for delta, label in ((0.0, 1.0), (math.pi, -1.0)):
        for i in range(n):
            r = i / n * 5
            t = 1.75 * i / n * 2 * math.pi + delta
            x = r * math.sin(t) + draw.between(-1, 1) * q
            rows.append((x, r * math.cos(t) + draw.between(-1, 1) * q, label))
    return rows


def _over_square(count: int, q: float, draw: SeedRandom, label: Callable[[float, float], float]) -> list[Row]:
    rows = []
    for _ in range(count):
        x, y = draw.between(-6, 6), draw.between(-6, 6)
        nx, ny = draw.between(-6, 6) * q, draw.between(-6, 6) * q
        rows.append((x, y, label(x + nx, y + ny)))
    return rows


def _plane_label(x: float, y: float) -> float:
    u = (x + y + 10) / 20
    return -1 * (1 - u) + 1 * u


_HILLS = ((-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1))


def _hills_label(x: float, y: float) -> float:
    label = 0.0
    for cx, cy, sign in _HILLS:
        distance = math.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        height = sign * min(1.0, max(0.0, 1 - distance / 2))
        if abs(height) > abs(label):
            label = height
    return label


_REFERENCE: dict[str, Callable[[int, float, SeedRandom], list[Row]]] = {
    "circle": _circle, "xor": _xor, "gauss": _gauss, "spiral": _spiral,
    "plane": lambda n, q, draw: _over_square(n, q, draw, _plane_label),
    "multi-gauss": lambda n, q, draw: _over_square(n, q, draw, _hills_label),
}  # fmt: skip


@functools.lru_cache(maxsize=32)
def _drawn(name: str, count: int, q: float, seed: str) -> tuple[Array, State]:
    """Rows (n, 3) as the reference draws and shuffles them, and its random stream after that."""
    draw = SeedRandom(seed)
    rows = _REFERENCE[name](count, q, draw)
    for left in range(len(rows), 0, -1):
        k = math.floor(draw() * left)
        rows[left - 1], rows[k] = rows[k], rows[left - 1]
    table = np.array(rows, np.float64)
    table.flags.writeable = False
    return table, draw.state()


def _reference(settings: Settings, seed: str) -> Dataset:
    count = settings.samples or _SAMPLES[settings.problem]
    table, _ = _drawn(settings.dataset, count, settings.noise / 100, seed)
    classes = 2 if settings.problem == "classification" else 0
    train = train_rows(len(table), settings.train_percent)
    return Dataset(table[:, :2], table[:, 2], train, classes)


# ----------------------------------------------------------------------------------------------------------- our own


def _moons(rng: np.random.Generator, count: int, q: float, classes: int) -> tuple[Array, Array, int]:
    half = count // 2
    angle = rng.uniform(0, np.pi, 2 * half)
    upper = np.arange(2 * half) < half
    x = 3.2 * np.cos(angle) * np.where(upper, 1, -1) + np.where(upper, -1.6, 1.6)
    y = 3.2 * np.sin(angle) * np.where(upper, 1, -1) + np.where(upper, -0.8, 0.8)
    points = np.stack([x, y], axis=1) + (0.15 + 2 * q) * rng.standard_normal((2 * half, 2))
    return points, np.where(upper, 1.0, -1.0), 2


def _waves(rng: np.random.Generator, count: int, q: float, classes: int) -> tuple[Array, Array, int]:
    points = rng.uniform(-6, 6, (count, 2))
    moved = points + q * rng.uniform(-6, 6, (count, 2))
    return points, np.sin(moved[:, 0]) * np.cos(moved[:, 1] / 2), 0


def _blobs(rng: np.random.Generator, count: int, q: float, classes: int) -> tuple[Array, Array, int]:
    label = np.arange(count) % classes
    angle = 2 * np.pi * label / classes
    centre = 3.6 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return _binary(centre + (0.45 + 3 * q) * rng.standard_normal((count, 2)), label, classes)


def _pinwheel(rng: np.random.Generator, count: int, q: float, classes: int) -> tuple[Array, Array, int]:
    label = np.arange(count) % classes
    r = np.sqrt(rng.uniform(0.01, 1, count)) * 5
    width = (0.25 / max(1, classes / 4) + 2 * q) / (0.6 + 0.4 * r)
    angle = 2 * np.pi * label / classes + 0.35 * r + width * rng.standard_normal(count)
    return _binary(np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1), label, classes)


def _binary(points: Array, label: Array, classes: int) -> tuple[Array, Array, int]:
    """Two classes have the labels −1 and +1 everywhere."""
    return points, (2 * label - 1 if classes == 2 else label), classes


_OURS: dict[str, Callable[[np.random.Generator, int, float, int], tuple[Array, Array, int]]] = {
    "moons": _moons, "waves": _waves, "blobs": _blobs, "pinwheel": _pinwheel,
}  # fmt: skip


@functools.lru_cache(maxsize=1)
def _digit_rows() -> tuple[Array, Array]:
    """The 1,797 digits as the digits task loads them (pixels of mean 0 and variance 1), in one fixed order."""
    from chainrule.data import digits

    splits = digits(seed=0)
    parts = [splits.train, splits.validation, splits.test]
    images = np.concatenate([np.asarray(p.x, np.float64) for p in parts])
    labels = np.concatenate([np.asarray(p.y, np.float64) for p in parts])
    return images.reshape(len(images), -1), labels


def _digits(settings: Settings, seed: str) -> Dataset:
    images, labels = _digit_rows()
    rng = rng_for("digits", seed)
    chosen = rng.permutation(len(images))[: settings.samples or len(images)]
    names = (*(f"pixel {i // 8},{i % 8}" for i in range(64)), "digit")
    train = train_rows(len(chosen), settings.train_percent)
    return Dataset(images[chosen], labels[chosen], train, 10, True, names)
