"""What happened in each epoch: losses, metrics, learning rate, gradient norms, seconds.

A history is a tuple of frozen records; the CSV and JSON forms hold every float with all its digits, so that what is
read back equals what was written.  Does not do: records of single steps (pass ``on_step`` to ``fit``).
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """One epoch of training.

    ``epoch`` counts from 1; ``step`` is the number of steps done since the start of training.  ``train_loss`` is the
    mean over the epoch's rows of the loss at the weights of each step, dropout active; ``train_metrics`` are taken at
    the end of the epoch without dropout.  ``gradient_norms`` maps a layer to the mean over the steps of the 2-norm of
    its gradient.  ``learning_rate`` is that of the last step, None when it is not known.
    """

    epoch: int
    step: int
    train_loss: float
    train_metrics: dict[str, float]
    validation_loss: float | None
    validation_metrics: dict[str, float]
    learning_rate: float | None
    gradient_norms: dict[str, float]
    seconds: float

    def row(self) -> dict[str, float | int | None]:
        """The record as one flat row: ``train_accuracy``, ``validation_accuracy``, ``gradient_norm layers[0]``, …"""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "train_loss": self.train_loss,
            **{f"train_{name}": value for name, value in self.train_metrics.items()},
            "validation_loss": self.validation_loss,
            **{f"validation_{name}": value for name, value in self.validation_metrics.items()},
            "learning_rate": self.learning_rate,
            **{f"gradient_norm {layer}": value for layer, value in self.gradient_norms.items()},
            "seconds": self.seconds,
        }

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able content."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> EpochRecord:
        """The record that :meth:`to_dict` wrote; raises KeyError or TypeError for anything else."""
        return EpochRecord(**{field.name: content[field.name] for field in dataclasses.fields(EpochRecord)})


@dataclasses.dataclass(frozen=True)
class History(Sequence[EpochRecord]):
    """The records of all epochs so far, in order."""

    records: tuple[EpochRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        return self.records[index]

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)

    def with_record(self, record: EpochRecord) -> History:
        """This history and one more epoch."""
        return History((*self.records, record))

    def column(self, name: str) -> list[float]:
        """One value per epoch of a column of :meth:`EpochRecord.row`, such as ``"validation_loss"``; absent is NaN."""
        values = [record.row().get(name) for record in self.records]
        return [float("nan") if value is None else float(value) for value in values]

    def columns(self) -> list[str]:
        """The names of all columns that any record has."""
        names: dict[str, None] = {}
        for record in self.records:
            names.update(dict.fromkeys(record.row()))
        return list(names)

    def to_csv(self) -> str:
        """The history as CSV with a header line; floats in full, an absent value is an empty cell."""
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=self.columns(), restval="", lineterminator="\n")
        writer.writeheader()
        for record in self.records:
            writer.writerow({key: "" if value is None else value for key, value in record.row().items()})
        return out.getvalue()

    def to_list(self) -> list[dict[str, Any]]:
        """The history as JSON-able content."""
        return [record.to_dict() for record in self.records]

    @staticmethod
    def from_list(content: Sequence[Mapping[str, Any]]) -> History:
        """The history that :meth:`to_list` wrote."""
        return History(tuple(EpochRecord.from_dict(record) for record in content))
