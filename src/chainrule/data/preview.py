"""What a report shows of data: pictures of rows, rows in readable values, and a summary of the splits.

Does not do: drawing; it gives arrays and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError
from chainrule.data.dataset import Dataset, Splits
from chainrule.data.preprocess import ImagePreprocessor, Preprocessor, TablePreprocessor

Indices = Sequence[int] | NDArray[np.intp]


def pictures(
    dataset: Dataset, indices: Indices | None = None, preprocessor: Preprocessor | None = None
) -> NDArray[np.uint8]:
    """Rows as grey pictures, uint8 (m, height, width), 0 black to 255 white.

    With the ``preprocessor`` the original grey levels come back; without, the smallest value of the rows becomes 0 and
    the largest 255.  Raises :class:`DataError` for a dataset without ``image_shape``.
    """
    if dataset.image_shape is None:
        raise DataError("the rows are not pictures", expected="a dataset with image_shape (height, width)",
                        got=repr(dataset), where="pictures", fix="use describe_rows for tables")
    x = dataset.x if indices is None else dataset.x[np.asarray(indices, dtype=np.intp)]
    if isinstance(preprocessor, ImagePreprocessor):
        grey = preprocessor.pictures(x)
    else:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
        grey = ((x - low) / ((high - low) or 1.0)).reshape(-1, *dataset.image_shape).astype(np.float32)
    return np.rint(grey * 255).astype(np.uint8)


def describe_rows(dataset: Dataset, indices: Indices, preprocessor: Preprocessor) -> list[dict[str, str]]:
    """Rows of a table in readable raw values: one dict per row, column name -> text.

    Values are those before preprocessing to float32 precision; a filled value reads ``(missing)``.
    Raises :class:`DataError` for rows that are not from a table.
    """
    if not isinstance(preprocessor, TablePreprocessor):
        raise DataError("the rows are not from a table", expected="a TablePreprocessor",
                        got=type(preprocessor).__name__, where="describe_rows", fix="use pictures for pictures")
    return preprocessor.describe_rows(dataset.x[np.asarray(indices, dtype=np.intp)])


def summary(splits: Splits) -> dict[str, Any]:
    """JSON-able facts: name, task, numbers of rows, features, classes with their counts or the range of the target."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    facts: dict[str, Any] = {
        "name": splits.name,
        "task": splits.train.task,
        "rows": {part: len(dataset) for part, dataset in parts.items()},
        "features": int(np.prod(splits.train.x.shape[1:])),
        "target": list(splits.preprocessor.target.names),
        "dropped_rows": splits.preprocessor.dropped_rows,
        "notes": list(splits.preprocessor.notes),
    }
    if splits.train.task == "classification":
        counts = sum(np.bincount(d.y, minlength=len(splits.train.classes)) for d in parts.values())
        facts["classes"] = dict(zip(splits.train.classes, np.asarray(counts).tolist(), strict=True))
    else:
        raw = splits.preprocessor.target_inverse(np.concatenate([d.y for d in parts.values()]))
        facts["range"] = [float(raw.min()), float(raw.max())]
    return facts
