"""A diagnosis as a TensorBoard event file, by the tensorboard package's own writer.

Scalars per layer and step (gradient, update/weight, spread, saturated, off), the loss, activation histograms of the
last step, the verdicts as text.

Does not do: pictures; reading event files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.errors import UnsupportedError
from chainrule.diagnose.record import record_of
from chainrule.train.files import cannot_write, make_folder

if TYPE_CHECKING:
    from chainrule.diagnose.report import Report

_NAMES = {"gradient": "gradient norm", "update": "update to weight", "std": "activation spread",
          "saturated": "saturated", "dead": "off"}  # fmt: skip


def write_events(report: Report, folder: Path) -> Path:
    """Write ``report`` into ``folder`` (made where it is not there) and return the path of the event file.

    Raises :class:`UnsupportedError` without tensorboard, :class:`TrainingError` where the folder can't be written.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event  # it has no types
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import (
            EventFileWriter,
        )
    except ImportError as error:
        raise UnsupportedError(
            "event files need tensorboard", expected="tensorboard, which the extra chainrule[tensorboard] installs",
            got=str(error), where="Report.to_tensorboard", fix="pip install 'chainrule[tensorboard]'",
        ) from None  # fmt: skip
    make_folder(folder)
    known = set(folder.iterdir())
    try:
        writer = EventFileWriter(str(folder))
        for step, tag, value in _scalars(report):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.add_event(Event(step=step, summary=summary))
        last = report.findings.measurement.step
        for value in (*_histograms(report, Summary), *_texts(report, Summary)):
            writer.add_event(Event(step=last, summary=Summary(value=[value])))
        writer.close()
    except OSError as problem:
        raise cannot_write(folder, problem) from problem
    return next(path for path in sorted(folder.iterdir()) if path not in known)


def _scalars(report: Report) -> Iterator[tuple[int, str, float]]:
    for record in report.history or (record_of(report.findings, report.kinds),):
        yield record.step, "loss", record.loss
        for name, title in _NAMES.items():
            for layer, value in zip(record.layers, getattr(record, name), strict=True):
                if np.isfinite(value):
                    yield record.step, f"{title}/{layer}", value


def _histograms(report: Report, summary: Any) -> Iterator[Any]:
    """TensorBoard's histograms: counts of buckets, with the right end of each."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    for row in report.layers:
        counts, (low, high) = row.histogram
        if counts:
            ends = np.linspace(low, high if high > low else low + 1, len(counts) + 1)[1:]
            total = float(sum(counts))
            histogram = HistogramProto(
                min=low, max=high, num=total, sum=row.mean * total,
                sum_squares=(row.std**2 + row.mean**2) * total, bucket_limit=ends.tolist(),
                bucket=[float(n) for n in counts],
            )  # fmt: skip
            yield summary.Value(tag=f"activations/{row.name}", histo=histogram)


def _texts(report: Report, summary: Any) -> Iterator[Any]:
    from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    text = "\n\n".join(map(str, report.verdicts)) or "healthy"
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    yield summary.Value(
        tag="verdicts", metadata=metadata, tensor=TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    )
