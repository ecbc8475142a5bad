"""Predictions of a trained run for new rows, from its folder alone.

Does not do: training further (see ``resume``); files of pictures other than IDX and NPZ.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import data, nn
from chainrule.base.errors import CheckpointError, DataError
from chainrule.train.checkpoint import CheckpointFolder, CheckpointWarning, load
from chainrule.train.config import RunConfig
from chainrule.train.run import make_model
from chainrule.train.step import EVALUATION_ROWS

Array = NDArray[Any]

_TABLES = (".csv", ".tsv", ".txt", ".npz")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """``values``: class names (n,), or numbers (n,) or (n, k); ``probabilities``: (n, classes), None for regression."""

    values: Array
    probabilities: Array | None
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def to_csv(self) -> str:
        """One line per row: the prediction, and ``p(class)`` for each class."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*self.names, *(f"p({name})" for name in self.classes)])
        columns = self.values.reshape(len(self.values), -1)
        for index, row in enumerate(columns.tolist()):
            shares = [] if self.probabilities is None else [f"{p:.6f}" for p in self.probabilities[index]]
            writer.writerow([*(f"{value:.8g}" if isinstance(value, float) else value for value in row), *shares])
        return out.getvalue()


class Predictor:
    """The network of a run folder with its preprocessing."""

    def __init__(self, model: nn.MLP, preprocessor: data.Preprocessor) -> None:
        self.model = model
        self.preprocessor = preprocessor

    @staticmethod
    def load(folder: Path) -> Predictor:
        """The predictor of the run in ``folder``; of its newest checkpoint when it has not finished, with a warning.

        Raises :class:`CheckpointError` when the folder holds no run, or its files are damaged or do not fit.
        """
        config = RunConfig.load(folder / "config.toml")
        preprocessor = _preprocessor(folder / "preprocessor.json")
        inputs = len(preprocessor.feature_names)
        target = preprocessor.target
        outputs = len(target.classes) if preprocessor.task == "classification" else len(target.names)
        like = make_model(config, inputs, outputs)
        finished = folder / "model.safetensors"
        if finished.exists():
            return Predictor(load(finished).tree("model", like), preprocessor)
        newest = CheckpointFolder(folder / "checkpoints").latest()
        if newest is None:
            raise CheckpointError(
                "this run has no trained network yet", expected="model.safetensors, or a checkpoint", got="neither",
                where=folder, fix=f"finish it: chainrule train --resume --out {folder}",
            )  # fmt: skip
        warnings.warn(f"the run has not finished: {newest.path.name} is used", CheckpointWarning, stacklevel=2)
        return Predictor(newest.tree("model", like), preprocessor)

    def outputs(self, x: Array) -> Array:
        """The network's outputs, shape (n, outputs), for inputs ``x``, shape (n, inputs)."""
        parts = [self.model(x[low : low + EVALUATION_ROWS]) for low in range(0, len(x), EVALUATION_ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.sizes[-1]), np.float32)

    def predict(self, raw: Mapping[str, Any] | Array) -> Predictions:
        """Predictions for raw rows: columns by name, or pictures (n, height, width)."""
        outputs = self.outputs(self.preprocessor.transform(raw))
        names = self.preprocessor.target.names
        if self.preprocessor.task == "classification":
            probabilities = nn.activations["softmax"](outputs.astype(np.float64))
            classes = self.preprocessor.classes
            return Predictions(self.preprocessor.target_inverse(outputs), probabilities, names, classes)
        shaped = outputs[:, 0] if outputs.shape[1] == 1 else outputs
        return Predictions(self.preprocessor.target_inverse(shaped), None, names, ())


def read_rows(path: Path) -> Mapping[str, Any] | Array:
    """The rows to predict: a CSV or NPZ table as columns, anything else as an IDX file of pictures.

    Raises :class:`DataError` when the file is missing or damaged.
    """
    if path.is_dir():
        raise DataError(
            "the input is a folder", expected="a CSV, NPZ or IDX file", got=f"the folder {path}", where="INPUT",
            fix="name one file, such as t10k-images-idx3-ubyte.gz",
        )  # fmt: skip
    return data.read_table(path) if path.suffix.lower() in _TABLES else data.idx.read(path)


def _preprocessor(path: Path) -> data.Preprocessor:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return data.Preprocessor.from_dict(content)
    except FileNotFoundError:
        problem = "the file is missing"
    except (OSError, ValueError) as error:
        problem = str(error).splitlines()[0]
    raise CheckpointError(
        "preprocessor.json can't be used", expected="the file that chainrule train wrote, unchanged", got=problem,
        where=path, fix="restore the file, or train again",
    )  # fmt: skip
