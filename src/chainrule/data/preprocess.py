"""Preprocessing fitted on train rows: raw columns to features, and targets to the network's units and back.

A preprocessor is data, not code: ``to_dict`` gives JSON-able content, ``Preprocessor.from_dict`` checks it field by
field and rebuilds the same numbers (JSON keeps float64 exactly).
Regression targets are standardised, y = (t - mean) / scale, because initialisers and learning rates assume outputs of
order one (LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998, section 4.3 gives the same reason for inputs).
Does not do: fitting on batches, transforms of the target other than an affine one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError, choose
from chainrule.data.columns import (
    CategoricalColumn,
    Column,
    Encoder,
    NumericColumn,
    RawTable,
    as_numbers,
    as_texts,
    listed,
    nearest,
    numeric,
    place,
)
from chainrule.data.dataset import TASKS, Task


@dataclass(frozen=True, eq=False)
class Target:
    """How raw targets become ``y``.  Classes: ids in the order of ``classes``.  Numbers: standardised per column."""

    names: tuple[str, ...]
    task: Task
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def transform(self, raw: Mapping[str, Column]) -> NDArray[Any]:
        """int64 ids (n,), or float32 (n,), or (n, k) for several targets; no value may be missing."""
        if self.task == "classification":
            index = {name: i for i, name in enumerate(self.classes)}
            texts = as_texts(raw[self.names[0]])
            for row, text in enumerate(texts):
                if text not in index:
                    # A class written 3.0 in one file and 3 in another is the same class.
                    number, bad = as_numbers([text])
                    texts[row] = text = None if bad else as_texts(number)[0]
                if text not in index:
                    raise DataError(
                        f"a class of {self.names[0]!r} is not among those of the train rows",
                        expected=f"one of: {listed(self.classes)}", got=repr(raw[self.names[0]][row]),
                        where=place(raw, self.names[0], row), fix="correct the value, or leave out the row",
                    )
            return np.array([index[text] for text in texts if text is not None], dtype=np.int64)
        numbers = np.stack([numeric(raw, name, why="is the target of a regression") for name in self.names], 1)
        out: NDArray[Any] = ((numbers - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)
        return out[:, 0] if len(self.names) == 1 else out

    def inverse(self, y: NDArray[Any]) -> NDArray[Any]:
        """``y`` in raw units, float64 of its shape; for classes their names (n,), of ids (n,) or scores (n, classes).

        Raises :class:`DataError` for an id that no class has.
        """
        if self.task == "classification":
            ids = np.asarray(y)
            if ids.dtype.kind == "f":
                ids = ids.argmax(axis=-1)
            if ids.size and (ids.min() < 0 or ids.max() >= len(self.classes)):
                raise DataError(
                    "a class id is out of range", expected=f"ids from 0 to {len(self.classes) - 1}",
                    got=f"ids from {ids.min()} to {ids.max()}", where="target_inverse",
                    fix="pass class ids (n,), or scores (n, classes)",
                )
            return np.asarray(np.array(self.classes)[ids])
        values = np.asarray(y, dtype=np.float64)
        if len(self.names) == 1:
            return np.asarray(values * self.scale[0] + self.mean[0])
        return np.asarray(values * np.array(self.scale) + np.array(self.mean))


class Preprocessor(ABC):
    """The fitted way from raw rows to ``x`` and from outputs of a network to raw units.

    ``notes`` are sentences about what was done to the data; ``dropped_rows`` counts the rows left out because their
    target was missing; ``image_shape`` is (height, width) when a row is a picture.
    """

    kind: ClassVar[str]
    target: Target
    image_shape: tuple[int, int] | None
    dropped_rows: int
    notes: tuple[str, ...]

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """One name per column of ``x``."""

    @property
    def task(self) -> Task:
        """``"classification"`` or ``"regression"``."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by id; ``()`` for regression."""
        return self.target.classes

    @property
    def target_scale(self) -> float | NDArray[np.float64]:
        """What an error in the network's units is multiplied by to be in raw units: a number, or shape (k,)."""
        return self.target.scale[0] if len(self.target.scale) == 1 else np.array(self.target.scale)

    @abstractmethod
    def transform(self, raw_columns: Any) -> NDArray[np.float32]:
        """Raw rows as features, float32, shape (n, len(feature_names)).  :class:`DataError` for what does not fit."""

    def target_transform(self, raw_columns: Mapping[str, Column]) -> NDArray[Any]:
        """The target columns of raw rows as ``y``: int64 ids (n,), or standardised float32 (n,) or (n, k)."""
        for name in self.target.names:
            if name not in raw_columns:
                raise _absent([name], raw_columns)
        return self.target.transform(raw_columns)

    def target_inverse(self, y: NDArray[Any]) -> NDArray[Any]:
        """Outputs in raw units.  Regression: float64 of the shape of ``y``.  Classification: the class names, shape
        (n,), of ids (n,) or of scores (n, classes).
        """
        return self.target.inverse(y)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able content, from which :meth:`from_dict` rebuilds the same transformation."""
        return {
            "kind": self.kind,
            "target": {
                "names": list(self.target.names),
                "task": self.target.task,
                "classes": list(self.target.classes),
                "mean": list(self.target.mean),
                "scale": list(self.target.scale),
            },
            "dropped_rows": self.dropped_rows,
            "notes": list(self.notes),
            **self._content(),
        }

    @abstractmethod
    def _content(self) -> dict[str, Any]: ...

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Preprocessor:
        """The preprocessor written by :meth:`to_dict`; :class:`DataError` names the first field that is not right."""
        fields = _Fields(content, "")
        kind = fields.text("kind")
        if kind not in _KINDS:
            raise choose("kind", kind, tuple(_KINDS), where="preprocessor")
        inner = fields.inner("target")
        task = next((t for t in TASKS if t == inner.text("task")), None)
        if task is None:
            raise choose("task", inner.text("task"), TASKS, where="preprocessor")
        target = Target(
            inner.texts("names"), task, inner.texts("classes"), inner.numbers("mean"), inner.numbers("scale")
        )
        if not target.names or not len(target.names) == len(target.mean) == len(target.scale):
            raise _broken("target", "as many means and scales as names", len(target.names))
        if task == "classification" and not target.classes:
            raise _broken("target.classes", "the names of the classes", "none")
        return _KINDS[kind]._restore(target, fields)

    @classmethod
    @abstractmethod
    def _restore(cls, target: Target, fields: _Fields) -> Preprocessor: ...


@dataclass(frozen=True, eq=False)
class TablePreprocessor(Preprocessor):
    """Named columns of numbers and categories; see :mod:`chainrule.data.columns` for what happens to each."""

    target: Target
    encoders: tuple[Encoder, ...]
    dropped_rows: int = 0
    notes: tuple[str, ...] = ()
    kind = "table"
    image_shape = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for encoder in self.encoders for name in encoder.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that :meth:`transform` needs."""
        return tuple(encoder.name for encoder in self.encoders)

    def transform(self, raw_columns: Mapping[str, Column]) -> NDArray[np.float32]:
        """Columns by name (text, numbers, arrays; other names are ignored) to float32 (n, features).

        Raises :class:`DataError` for missing columns, different lengths, or text where a number belongs.
        """
        absent = [name for name in self.columns if name not in raw_columns]
        if absent:
            raise _absent(absent, raw_columns)
        lengths = {name: len(raw_columns[name]) for name in self.columns}
        rows = lengths[self.columns[0]]
        for name, length in lengths.items():
            if length != rows:
                raise DataError(
                    "columns have different lengths", expected=f"{rows} values, as in {self.columns[0]!r}",
                    got=f"{length} in {name!r}", where="transform", fix="pass one value per row in every column",
                )
        x = np.concatenate([encoder.transform(raw_columns) for encoder in self.encoders], axis=1)
        return x.astype(np.float32)

    def describe_rows(self, x: NDArray[Any]) -> list[dict[str, str]]:
        """Features, shape (n, features), back to readable raw values: one dict per row, column -> text."""
        values = np.asarray(x, dtype=np.float64)
        out: list[dict[str, str]] = [{} for _ in range(len(values))]
        at = 0
        for encoder in self.encoders:
            width = len(encoder.features)
            for row, text in zip(out, encoder.describe(values[:, at : at + width]), strict=True):
                row[encoder.name] = text
            at += width
        return out

    def _content(self) -> dict[str, Any]:
        columns: list[dict[str, Any]] = []
        for e in self.encoders:
            if isinstance(e, NumericColumn):
                columns.append({"type": "numeric", **vars(e)})
            else:
                columns.append(
                    {"type": "categorical", "name": e.name, "categories": list(e.categories), "others": e.others}
                )
        return {"columns": columns}

    @classmethod
    def _restore(cls, target: Target, fields: _Fields) -> TablePreprocessor:
        encoders: list[Encoder] = []
        for column in fields.inners("columns"):
            if column.text("type") == "numeric":
                encoder: Encoder = NumericColumn(
                    column.text("name"), column.number("median"), column.number("unit"), column.number("mean"),
                    column.number("scale"), column.flag("indicator"),
                )
            elif column.text("type") == "categorical":
                encoder = CategoricalColumn(column.text("name"), column.texts("categories"), column.count("others"))
            else:
                raise choose("type", column.text("type"), ("numeric", "categorical"), where="preprocessor")
            encoders.append(encoder)
        if not encoders:
            raise _broken("columns", "at least one column", "none")
        return cls(target, tuple(encoders), fields.count("dropped_rows"), fields.texts("notes"))


@dataclass(frozen=True, eq=False)
class ImagePreprocessor(Preprocessor):
    """Grey pictures: x = (pixel / white - mean) / scale, one mean and one deviation for all pixels of the train rows.

    One pair for all, not one per pixel: a pixel that is black in nearly every picture would be blown up otherwise.
    """

    target: Target
    image_shape: tuple[int, int]
    white: float
    mean: float
    scale: float
    dropped_rows: int = 0
    notes: tuple[str, ...] = ()
    kind = "image"

    @classmethod
    def fit(
        cls, target: Target, images: NDArray[Any], *, white: float, dropped_rows: int = 0, notes: tuple[str, ...] = ()
    ) -> ImagePreprocessor:
        """Fit to the train pictures, shape (n, height, width); ``white`` is the largest value a pixel can have."""
        count, mean, square = images.size, 0.0, 0.0
        for low in range(0, len(images), 4096):  # in float64, without a float64 copy of everything
            part = images[low : low + 4096].astype(np.float64) / white
            mean += float(part.sum()) / count
            square += float((part * part).sum()) / count
        deviation = math.sqrt(max(square - mean * mean, 0.0))
        height, width = images.shape[1:]
        return cls(target, (height, width), white, mean, deviation if deviation > 1e-9 else 1.0, dropped_rows, notes)

    @property
    def feature_names(self) -> tuple[str, ...]:
        height, width = self.image_shape
        return tuple(f"pixel_{i}_{j}" for i in range(height) for j in range(width))

    def transform(self, raw_columns: Mapping[str, Column] | NDArray[Any]) -> NDArray[np.float32]:
        """Pictures to float32 (n, height*width).

        Takes an array (n, height, width), (height, width) or (n, height*width), or columns by name that hold such an
        array or one column per pixel (``pixel_0_0``, ...).  Raises :class:`DataError` for any other shape.
        """
        images = self._pictures(raw_columns) if isinstance(raw_columns, Mapping) else np.asarray(raw_columns)
        if images.ndim == 2 and images.shape == self.image_shape and images.shape[1] != math.prod(self.image_shape):
            images = images[None]
        size = math.prod(self.image_shape)
        fits = images.shape[1:] in (self.image_shape, (size,))
        if not fits or images.dtype.kind not in "biuf":
            height, width = self.image_shape
            raise DataError(
                "the pictures do not fit the network",
                expected=f"numbers of shape (n, {height}, {width}) or (n, {size})",
                got=f"shape {images.shape}, {images.dtype}", where="transform",
                fix=f"scale the pictures to {height} x {width} grey pixels",
            )
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise DataError("a pixel is not a finite number", expected=f"numbers from 0 to {self.white:g}",
                            got="NaN or infinity", where="transform", fix="fill missing pixels first")
        flat = images.reshape(len(images), size).astype(np.float32)
        flat *= np.float32(1 / (self.white * self.scale))
        flat -= np.float32(self.mean / self.scale)
        return flat

    def _pictures(self, raw: Mapping[str, Column]) -> NDArray[Any]:
        for values in raw.values():
            if isinstance(values, np.ndarray) and values.ndim == 3:
                return values
        names = self.feature_names
        if isinstance(raw, RawTable):
            names = next((group for group in raw.groups.values() if len(group) == len(names)), names)
        absent = [name for name in names if name not in raw]
        if absent:
            raise _absent(absent, raw)
        pixels = np.stack([numeric(raw, name, why="is a pixel") for name in names], 1)
        if np.isnan(pixels).any():
            row, column = np.argwhere(np.isnan(pixels))[0].tolist()
            raise DataError("a pixel is missing", expected=f"a number from 0 to {self.white:g}", got="nothing",
                            where=place(raw, names[column], row), fix="fill missing pixels first")
        return pixels

    def pictures(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Features, shape (n, height*width), back to pictures from 0 (black) to 1 (white), (n, height, width)."""
        grey = np.asarray(x, dtype=np.float32).reshape(-1, *self.image_shape) * np.float32(self.scale)
        return np.asarray(np.clip(grey + np.float32(self.mean), 0, 1), dtype=np.float32)

    def _content(self) -> dict[str, Any]:
        return {"image_shape": list(self.image_shape), "white": self.white, "mean": self.mean, "scale": self.scale}

    @classmethod
    def _restore(cls, target: Target, fields: _Fields) -> ImagePreprocessor:
        sides = fields.numbers("image_shape")
        if len(sides) != 2 or not all(1 <= side <= 65536 and side == int(side) for side in sides):
            raise _broken("image_shape", "two whole numbers from 1 to 65536", sides)
        white, scale = fields.number("white"), fields.number("scale")
        if white <= 0 or scale <= 0:
            raise _broken("white and scale", "numbers above 0", (white, scale))
        return cls(target, (int(sides[0]), int(sides[1])), white, fields.number("mean"), scale,
                   fields.count("dropped_rows"), fields.texts("notes"))


_KINDS: Final[dict[str, type[Preprocessor]]] = {"table": TablePreprocessor, "image": ImagePreprocessor}


class _Fields:
    """Typed access to a dict read from JSON; every miss is a :class:`DataError` that names the field."""

    def __init__(self, content: object, path: str) -> None:
        if not isinstance(content, Mapping):
            raise _broken(path or "the whole", "an object", type(content).__name__)
        self._content = content
        self._path = path

    def _get(self, name: str, valid: Any, expected: str) -> Any:
        value = self._content.get(name)
        if not valid(value):
            raise _broken(f"{self._path}{name}", expected, "nothing" if value is None else repr(value)[:80])
        return value

    def text(self, name: str) -> str:
        return str(self._get(name, lambda v: isinstance(v, str), "text"))

    def number(self, name: str) -> float:
        return float(self._get(name, _is_number, "a finite number"))

    def count(self, name: str) -> int:
        return int(self._get(name, lambda v: _is_number(v) and v >= 0 and v == int(v), "a whole number from 0 up"))

    def flag(self, name: str) -> bool:
        return bool(self._get(name, lambda v: isinstance(v, bool), "true or false"))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._get(name, lambda v: _is_list(v, lambda t: isinstance(t, str)), "a list of text"))

    def numbers(self, name: str) -> tuple[float, ...]:
        return tuple(map(float, self._get(name, lambda v: _is_list(v, _is_number), "a list of finite numbers")))

    def inner(self, name: str) -> _Fields:
        return _Fields(self._get(name, lambda v: isinstance(v, Mapping), "an object"), f"{self._path}{name}.")

    def inners(self, name: str) -> list[_Fields]:
        every = self._get(name, lambda v: isinstance(v, list), "a list of objects")
        return [_Fields(item, f"{self._path}{name}[{i}].") for i, item in enumerate(every)]


def _is_list(value: object, holds: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _broken(field: str, expected: str, got: object) -> DataError:
    return DataError("the saved preprocessor is not valid", expected=f"{expected} in {field}", got=got,
                     where="preprocessor", fix="use the file that training wrote, unchanged")


def _absent(names: list[str], raw: Mapping[str, Column]) -> DataError:
    source = raw.source if isinstance(raw, RawTable) else "transform"
    return DataError(
        f"the data lack {'a column' if len(names) == 1 else 'columns'} that the network needs",
        expected=listed(repr(name) for name in names), got=f"columns {listed(raw)}{nearest(names[0], raw)}",
        where=source, fix="name the columns as in the training data",
    )
