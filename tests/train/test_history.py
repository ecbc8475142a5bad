"""Records keep every digit through CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math

from chainrule.train import EpochRecord, History


def record(epoch: int, validation: float | None = 0.1 + 0.2) -> EpochRecord:
    metrics = {} if validation is None else {"accuracy": 2 / 3}
    norms = {"layers[0]": 1e-7 / 3, "layers[1]": 4.0}
    return EpochRecord(epoch, epoch * 10, 1 / 3, {"accuracy": 0.5}, validation, metrics, 1e-3, norms, 0.25)


def test_json_gives_the_same_records() -> None:
    history = History().with_record(record(1)).with_record(record(2, None))
    assert History.from_list(json.loads(json.dumps(history.to_list()))) == history


def test_csv_has_a_line_per_epoch_and_every_digit() -> None:
    history = History((record(1), record(2)))
    rows = list(csv.DictReader(io.StringIO(history.to_csv())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["validation_loss"]) == 0.1 + 0.2
    assert float(rows[1]["gradient_norm layers[0]"]) == 1e-7 / 3
    assert list(rows[0]) == [
        "epoch", "step", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate",
        "gradient_norm layers[0]", "gradient_norm layers[1]", "seconds",
    ]  # fmt: skip


def test_what_is_absent_is_an_empty_cell_and_a_nan() -> None:
    history = History((record(1, None), record(2)))
    assert next(csv.DictReader(io.StringIO(history.to_csv())))["validation_loss"] == ""
    assert math.isnan(history.column("validation_loss")[0])
    assert history.column("train_accuracy") == [0.5, 0.5]


def test_a_history_is_a_sequence() -> None:
    history = History((record(1), record(2), record(3)))
    assert len(history) == 3
    assert history[-1].epoch == 3
    assert [item.epoch for item in history] == [1, 2, 3]
