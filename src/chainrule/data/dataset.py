"""Datasets in memory, their split into train, validation and test rows, and the permutations behind both.

Every choice of rows is an argsort of raw Philox words (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011).  The words of a seed are fixed by NumPy's compatibility policy (NEP 19), which ``Generator.permutation`` is not,
so a split stays the same from one NumPy release to the next.
Does not do: data larger than memory, weights of rows, groups of rows that must stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.base.errors import DataError, OptionError, choose

if TYPE_CHECKING:
    from chainrule.data.preprocess import Preprocessor

Task = Literal["classification", "regression"]
TASKS: tuple[Task, ...] = ("classification", "regression")

# Streams of one seed, so that the test rows, the validation rows and the epochs never share random words.
TEST_STREAM, VALIDATION_STREAM, EPOCH_STREAM = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows ready for a network.

    ``x``: float32, shape (n, features...).  ``y``: int64 class ids of shape (n,) for classification, float32 of shape
    (n,) or (n, k) for regression.  ``image_shape`` is (height, width) when a row of ``x`` is a flattened picture.
    Raises :class:`DataError` when shapes, dtypes or class ids do not fit together.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    task: Task
    feature_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    name: str = "data"

    def __post_init__(self) -> None:
        where = f"Dataset {self.name!r}"
        if self.task not in TASKS:
            raise choose("task", self.task, TASKS, where=where)
        wanted = np.dtype(np.int64 if self.task == "classification" else np.float32)
        for label, array, dtype in (("x", self.x, np.dtype(np.float32)), ("y", self.y, wanted)):
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                raise DataError(
                    f"{label} has the wrong type",
                    expected=f"a NumPy array of {dtype}",
                    got=f"{type(array).__name__} of {getattr(array, 'dtype', 'no dtype')}",
                    where=where,
                    fix="use Dataset.from_arrays, which converts",
                )
        if self.x.ndim < 2 or self.y.ndim not in ((1,) if self.task == "classification" else (1, 2)):
            raise DataError(
                "x or y has the wrong number of axes",
                expected="x of shape (n, features...), y of shape (n,), or (n, k) for regression",
                got=f"x {self.x.shape}, y {self.y.shape}",
                where=where,
                fix="reshape, for instance x[:, None] for one feature",
            )
        if len(self.x) != len(self.y):
            raise DataError(
                "x and y have different numbers of rows",
                expected=f"{len(self.x)} rows in y, as in x",
                got=f"{len(self.y)} rows",
                where=where,
                fix="pass one target per row",
            )
        if self.task == "classification" and self.y.size:
            low, high = int(self.y.min()), int(self.y.max())
            if low < 0 or (self.classes and high >= len(self.classes)):
                raise DataError(
                    "a class id is out of range",
                    expected=f"ids from 0 to {len(self.classes) - 1}" if self.classes else "ids from 0 up",
                    got=f"ids from {low} to {high}",
                    where=where,
                    fix="number the classes from 0, or give a name for each of them in classes",
                )

    @classmethod
    def from_arrays(cls, x: ArrayLike, y: ArrayLike, *, task: Task | None = None, name: str = "arrays") -> Dataset:
        """Arrays of any numeric dtype as a Dataset; without ``task``, integer ``y`` of shape (n,) means classes.

        Raises :class:`DataError` for values that are not numbers, or not finite.
        """
        try:
            features = np.asarray(x, dtype=np.float32)
            targets = np.asarray(y)
            if task is None:
                integral = targets.ndim == 1 and targets.dtype.kind in "biu"
                task = "classification" if integral else "regression"
            if task == "classification":
                ids = targets.astype(np.int64)
                if not np.array_equal(ids, targets):
                    raise ValueError("class ids that are not whole numbers")
                targets = ids
            else:
                targets = targets.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(
                "x or y can't be read as numbers", expected="arrays of numbers", got=str(error), where=name,
                fix="encode text columns first, or load the file with chainrule.data.table",
            ) from error
        for label, array in (("x", features), ("y", targets)):
            if not np.isfinite(array).all():
                bad = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0])
                raise DataError(
                    f"{label} has values that are not finite", expected="finite float32 numbers",
                    got=f"NaN or infinity in row {bad}", where=name,
                    fix="drop or fill such rows; chainrule.data.table fills missing values",
                )
        classes: tuple[str, ...] = ()
        if task == "classification" and targets.size:
            classes = tuple(str(i) for i in range(int(targets.max()) + 1)) if int(targets.max()) < 10_000 else ()
        return cls(features, targets, task, classes=classes, name=name)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.task}, x {self.x.shape}, y {self.y.shape})"

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> Dataset:
        """The rows at ``indices``, in that order (copies)."""
        at = np.asarray(indices, dtype=np.intp)
        return Dataset(
            self.x[at], self.y[at], self.task, self.feature_names, self.classes, self.image_shape, self.name
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """Train, validation (may have 0 rows) and test rows, with the preprocessing that was fitted on the train rows."""

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessor: Preprocessor
    name: str

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part))} {part}" for part in ("train", "validation", "test"))
        return f"Splits({self.name!r}, {sizes})"


def check_seed(seed: int, where: str) -> int:
    """``seed`` as a Python int; :class:`OptionError` unless it is a whole number from 0 up."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(
            "the seed is not valid", expected="a whole number from 0 up", got=repr(seed), where=where, fix="try seed=0"
        )
    return int(seed)


def check_fraction(name: str, value: float, where: str) -> float:
    """``value`` as a float; :class:`OptionError` unless 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise OptionError(
            f"{name} is not a fraction", expected="a number from 0 (none) to below 1", got=repr(value), where=where,
            fix=f"for a tenth of the rows write {name}=0.1",
        )
    return float(value)


def _words(n: int, seed: int, *stream: int) -> NDArray[np.uint64]:
    words = np.random.Philox(np.random.SeedSequence(seed, spawn_key=stream)).random_raw(n)
    return np.asarray(words, dtype=np.uint64)


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of ``n`` rows in ``epoch``: a pure function of (n, seed, epoch), shape (n,), each index once.

    A run that resumes at epoch k needs nothing else to visit the rows in the order of the run that was not stopped.
    """
    check_seed(seed, "permutation")
    check_seed(epoch, "permutation, epoch")
    return np.argsort(_words(n, int(seed), EPOCH_STREAM, int(epoch)), kind="stable")


def hold_out(
    n: int, fraction: float, seed: int, stream: int, labels: NDArray[Any] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split ``range(n)`` into (kept, held out), both ascending, about ``fraction`` of it held out.

    With ``labels`` (class ids, shape (n,)) each class gives its share, rounded by largest remainder, and keeps at least
    one row.  A fraction above 0 holds out at least one row when there are two.
    """
    rows = np.arange(n)
    if fraction == 0 or n < 2:
        return rows, rows[:0]
    count = min(max(round(n * fraction), 1), n - 1)
    strata = np.zeros(n, dtype=np.int64) if labels is None else np.unique(labels, return_inverse=True)[1].reshape(n)
    sizes = np.bincount(strata)
    share = sizes * (count / n)
    quota = np.floor(share).astype(np.int64)
    # Ties of remainders go to the larger class, then to the lower id.
    preference = np.lexsort((np.arange(len(sizes)), -sizes, -(share - quota)))
    for stratum in preference[: count - int(quota.sum())]:
        quota[stratum] += 1
    quota = np.minimum(quota, sizes - 1)
    order = np.lexsort((_words(n, seed, stream), strata))
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = rank < quota[strata]
    return rows[~out], rows[out]
