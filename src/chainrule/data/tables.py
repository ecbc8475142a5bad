"""A CSV or NPZ file as datasets ready to train on.

Order of work: read everything as it is; drop the rows without a target; settle the task; draw test and validation
rows; and only then fit medians, categories, means and deviations, on the train rows alone.
Does not do: joins, time series (rows are taken as exchangeable), files larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError, choose
from chainrule.data.columns import (
    KINDS,
    MAX_CATEGORIES,
    CategoricalColumn,
    Encoder,
    Kind,
    NumericColumn,
    RawTable,
    as_numbers,
    as_texts,
    infer,
    listed,
    nearest,
    numeric,
)
from chainrule.data.dataset import (
    TASKS,
    TEST_STREAM,
    VALIDATION_STREAM,
    Dataset,
    Splits,
    Task,
    check_fraction,
    check_seed,
    hold_out,
)
from chainrule.data.preprocess import ImagePreprocessor, Preprocessor, TablePreprocessor, Target
from chainrule.data.reading import MAX_BYTES, read_table

_MAX_INTEGER_CLASSES = 20
_IDENTIFIER = 0.9


def table(
    path: str | PathLike[str],
    target: str | None = None,
    *,
    delimiter: str | None = None,
    types: Mapping[str, Kind] | None = None,
    test: float = 0.2,
    validation: float = 0.1,
    seed: int = 0,
    task: Task | None = None,
    max_bytes: int = MAX_BYTES,
) -> Splits:
    """The table at ``path`` (CSV or NPZ, see :func:`read_table`) split and preprocessed to predict column ``target``.

    ``types`` overrides the inferred kind of columns: ``"numeric"``, ``"categorical"`` or ``"ignore"``.  ``task`` is
    inferred: classification for a target that is text, or whole numbers of few values; else regression.  An NPZ array
    ``y`` is the target when none is named; one of shape (n, k) is a regression with k outputs.  ``test`` is the share
    of all rows that is held out, ``validation`` that of the others; classes keep their proportions.

    Each column is treated as in :mod:`chainrule.data.columns`; regression targets are standardised.  Text columns that
    differ in nearly every row (names, identifiers) and columns without a value are left out; the preprocessor's
    ``notes`` say so.

    Raises :class:`DataError` for a file that can't be used (see :func:`read_table`), an unknown target, text where
    a number is declared or expected, and a target with one value only; :class:`OptionError` for bad options.
    """
    where = str(path)
    check_seed(seed, "table")
    check_fraction("test", test, "table")
    check_fraction("validation", validation, "table")
    if task is not None and task not in TASKS:
        raise choose("task", task, TASKS, where="table")
    raw = read_table(path, delimiter=delimiter, max_bytes=max_bytes)
    names = _target_columns(raw, target)
    features = [name for name in raw if name not in names]
    kinds = _declared(raw, types)
    if not features:
        raise DataError("there is no column to predict from", expected="columns besides the target",
                        got=f"only {listed(names)}", where=where, fix="add feature columns")

    raw, dropped = _drop_unlabelled(raw, names, where)
    notes = [f"{dropped} rows without a target were left out"] if dropped else []
    task = task or _task(raw, names, kinds)
    if task == "classification":
        labels, classes = _classes(raw, names, where)
        fit_target = Target(tuple(names), task, classes)
    else:
        labels = None
        numbers = np.stack([numeric(raw, name, why="is the target of a regression") for name in names], 1)
        if (numbers == numbers[0]).all():
            raise _one_value(names, str(numbers[0].tolist()), where)
    rest, test_rows = hold_out(raw.rows, test, seed, TEST_STREAM, labels)
    kept, held = hold_out(len(rest), validation, seed, VALIDATION_STREAM, None if labels is None else labels[rest])
    train_rows, validation_rows = rest[kept], rest[held]
    if task == "regression":
        mean, deviation = numbers[train_rows].mean(axis=0), numbers[train_rows].std(axis=0)
        deviation[deviation <= 1e-12 * np.abs(numbers).max(axis=0)] = 1.0
        fit_target = Target(tuple(names), task, (), tuple(mean.tolist()), tuple(deviation.tolist()))

    preprocessor = _fit(raw, features, kinds, train_rows, fit_target, dropped, notes, where)
    x, y = preprocessor.transform(raw), preprocessor.target_transform(raw)
    everything = Dataset(x, y, task, preprocessor.feature_names, fit_target.classes, preprocessor.image_shape,
                         Path(path).stem)
    return Splits(
        everything.take(train_rows), everything.take(validation_rows), everything.take(test_rows), preprocessor,
        everything.name,
    )


def _target_columns(raw: RawTable, target: str | None) -> list[str]:
    if target is None and ("y" in raw.groups or ("y" in raw and raw.lines is None)):
        target = "y"
    if target is None:
        raise DataError("the target column is not named", expected=f"one of: {listed(raw)}", got="no target",
                        where=raw.source, fix="name the column to predict: target='...' (--target)")
    if target in raw:
        return [target]
    if target in raw.groups:
        return list(raw.groups[target])
    every = [*raw, *raw.groups]
    raise DataError(f"unknown target {target!r}", expected=f"one of: {listed(every)}",
                    got=f"{target!r}{nearest(target, every)}", where=raw.source, fix="name a column of the file")


def _declared(raw: RawTable, types: Mapping[str, Kind] | None) -> dict[str, Kind]:
    for name, kind in (types or {}).items():
        if name not in raw:
            raise DataError(f"types names an unknown column {name!r}", expected=f"columns among: {listed(raw)}",
                            got=f"{name!r}{nearest(name, raw)}", where=raw.source, fix="name a column of the file")
        if kind not in KINDS:
            raise choose(f"types[{name!r}]", kind, KINDS, where=raw.source)
    return dict(types or {})


def _drop_unlabelled(raw: RawTable, names: list[str], where: str) -> tuple[RawTable, int]:
    present = np.ones(raw.rows, dtype=bool)
    for name in names:
        present &= np.array([text is not None for text in as_texts(raw[name])], dtype=bool)
    rows = np.flatnonzero(present)
    if len(rows) < 2:
        raise DataError("too few rows have a target", expected="at least 2 rows with a value to predict",
                        got=f"{len(rows)} of {raw.rows} rows", where=where, fix="check the target column")
    dropped = raw.rows - len(rows)
    return (raw.take(rows) if dropped else raw), dropped


def _task(raw: RawTable, names: list[str], kinds: Mapping[str, Kind]) -> Task:
    if len(names) > 1:
        return "regression"
    declared = kinds.get(names[0])
    values = raw[names[0]]
    if declared == "numeric":
        numeric(raw, names[0], why="is declared numeric")
    elif (
        declared == "categorical"
        or (isinstance(values, np.ndarray) and values.dtype.kind == "b")
        or infer(raw, names[0]) == "categorical"
    ):
        return "classification"
    numbers = as_numbers(values)[0]
    distinct = np.unique(numbers)
    few = len(distinct) <= max(2, min(_MAX_INTEGER_CLASSES, len(numbers) // 5))
    return "classification" if few and (distinct == np.round(distinct)).all() else "regression"


def _classes(raw: RawTable, names: list[str], where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class ids (n,) and names, in numeric order when all are numbers, else alphabetical."""
    if len(names) > 1:
        raise DataError("a classification has one target column", expected="one column of classes",
                        got=f"{len(names)} columns: {listed(names)}", where=where, fix="pass task='regression'")
    values = raw[names[0]]
    if isinstance(values, np.ndarray) and values.ndim > 1:
        raise DataError("the target is an array of pictures", expected="one class per row",
                        got=f"shape {values.shape}", where=where, fix="name another target")
    numbers, bad = as_numbers(values)
    texts = as_texts(values if bad or (isinstance(values, np.ndarray) and values.dtype.kind == "b") else numbers)
    # Every text is present: rows without a target have been dropped.
    labels = [str(text) for text in texts]
    order = {text: float(number) for text, number in zip(labels, numbers, strict=True)} if not bad else {}
    classes = tuple(sorted(set(labels), key=lambda text: (order.get(text, 0.0), text)))
    if len(classes) < 2:
        raise _one_value(names, classes[0], where)
    if len(classes) > max(_MAX_INTEGER_CLASSES, len(labels) // 2):
        raise DataError("the target has too many classes to learn", expected="several rows for each class",
                        got=f"{len(classes)} classes in {len(labels)} rows", where=f"column {names[0]!r} of {where}",
                        fix="name another target" + ("" if bad else ", or pass task='regression'"))
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), classes


def _one_value(names: list[str], value: str, where: str) -> DataError:
    return DataError("the target has one value only, so there is nothing to learn",
                     expected="at least two classes, or numbers that differ", got=f"{value!r} in every row",
                     where=f"column {listed(names)!r} of {where}", fix="name another target")


def _fit(
    raw: RawTable, features: list[str], kinds: Mapping[str, Kind], train: NDArray[np.intp], target: Target,
    dropped: int, notes: list[str], where: str,
) -> Preprocessor:
    pictures = [name for name in features if isinstance(raw[name], np.ndarray) and np.ndim(raw[name]) == 3]
    if pictures:
        return _fit_pictures(raw, features, pictures, train, target, dropped, notes, where)
    encoders: list[Encoder] = []
    for name in features:
        kind = kinds.get(name) or infer(raw, name)
        if kind == "ignore":
            notes.append(f"column {name!r} was left out: {'as declared' if name in kinds else 'it has no values'}")
        elif kind == "numeric":
            why = "is declared numeric" if name in kinds else "is numeric"
            column = NumericColumn.fit(name, numeric(raw, name, why=why)[train])
            encoders.append(column)
            if column.unit:
                notes.append(f"column {name!r} enters by its logarithm: it has a heavy tail")
        else:
            texts = as_texts(raw[name])
            seen = [texts[i] for i in train]
            distinct = len(set(seen))
            if name not in kinds and distinct > max(MAX_CATEGORIES, _IDENTIFIER * len(seen)):
                notes.append(f"column {name!r} was left out: {distinct} different texts in {len(seen)} rows")
                continue
            encoder = CategoricalColumn.fit(name, seen)
            encoders.append(encoder)
            if encoder.others:
                notes.append(f"column {name!r} keeps its {MAX_CATEGORIES} most frequent of {distinct} categories")
    if not encoders:
        raise DataError("no column is left to predict from", expected="a numeric or categorical column",
                        got="; ".join(notes), where=where, fix="declare columns with types={name: 'categorical'}")
    return TablePreprocessor(target, tuple(encoders), dropped, tuple(notes))


def _fit_pictures(
    raw: RawTable, features: list[str], pictures: list[str], train: NDArray[np.intp], target: Target, dropped: int,
    notes: list[str], where: str,
) -> Preprocessor:
    images: Any = raw[pictures[0]]
    if len(features) > 1 or images.dtype.kind not in "biuf":
        raise DataError("pictures can't be mixed with other columns",
                        expected="one array of numbers (n, height, width)",
                        got=listed(features), where=where, fix="save the pictures and the target alone")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError("a pixel is not a finite number", expected="finite numbers", got="NaN or infinity",
                        where=f"array {pictures[0]!r} of {where}", fix="fill missing pixels first")
    white = 255.0 if images.dtype == np.uint8 else float(np.abs(images[train]).max()) or 1.0
    return ImagePreprocessor.fit(target, images[train], white=white, dropped_rows=dropped, notes=tuple(notes))
