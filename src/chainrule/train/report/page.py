"""report.html: how a training went and what the network gets wrong, in one self-contained page.

Style sheet, charts (SVG) and pictures (PNG data URIs) are inside; no script, nothing fetched.  Light or dark as the
reader's system is.  All text from data is escaped.
Does not do: training (see :mod:`chainrule.train.fit`); comparisons of several runs.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.train.history import History
from chainrule.train.report import charts
from chainrule.train.report.png import data_uri
from chainrule.train.report.style import CSS

Array = NDArray[Any]

_MOST_CLASSES = 40  # beyond, a confusion matrix can't be read: the most frequent confusions are listed instead
_MOST_LAYERS = 24


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A test row that was predicted wrongly: its number, truth, prediction, the network's confidence or error.

    ``image``: (height, width), any grey range; ``row``: raw values by column.  Either may be None.
    """

    index: int
    truth: str
    prediction: str
    measure: str
    image: Array | None = None
    row: dict[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results on the test rows.

    Classification: ``truth`` and ``prediction`` are class ids (n,), ``classes`` their names.  Regression: values in
    the target's unit, ``classes`` is ().
    """

    truth: Array
    prediction: Array
    classes: tuple[str, ...]
    target: str
    mistakes: Sequence[Mistake]


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows.  ``headline``: (label, value) of the large numbers on top; ``settings``: of the run."""

    title: str
    subtitle: str
    headline: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]
    layers: Sequence[tuple[str, str, int]]  # path, description, number of parameters
    history: History
    evaluation: Evaluation
    metric: str
    best_epoch: int | None
    notes: Sequence[str]
    loss_note: str = ""


def render(report: Report) -> str:
    """The page as HTML text."""
    sections = [
        _header(report),
        _training(report),
        _results(report),
        _mistakes(report.evaluation),
        _network(report),
    ]
    title = html.escape(report.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title>'
        f"<style>{CSS}</style></head>\n<body><main>\n" + "\n".join(sections) + "\n</main></body></html>\n"
    )


def _header(report: Report) -> str:
    cards = "".join(
        f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'
        for label, value in report.headline
    )
    return (
        f'<header><h1>{html.escape(report.title)}</h1><p class="muted">{html.escape(report.subtitle)}</p></header>'
        f'<section class="cards">{cards}</section>'
    )


def _figure(title: str, note: str, body: str, *, wide: bool = False) -> str:
    caption = f'<p class="muted">{html.escape(note)}</p>' if note else ""
    return f"<figure{' class=wide' if wide else ''}><h3>{html.escape(title)}</h3>{caption}{body}</figure>"


def _training(report: Report) -> str:
    history = report.history
    epochs = [float(record.epoch) for record in history]
    validated = any(record.validation_loss is not None for record in history)

    def pair(train: str, validation: str) -> list[charts.Series]:
        lines = [charts.Series("train", epochs, history.column(train))]
        if validated:
            lines.append(charts.Series("validation", epochs, history.column(validation)))
        return lines

    loss = charts.line_chart(pair("train_loss", "validation_loss"), title="Loss by epoch", y_label="loss", log_y=True)
    notes = ["On a log scale."]
    if report.best_epoch is not None:
        notes.append(f"The model kept is that of epoch {report.best_epoch}, the best on the validation rows.")
    if report.loss_note:
        notes.append(report.loss_note)
    figures = [_figure("Loss", " ".join(notes), loss)]
    metric = report.metric
    lines = pair(f"train_{metric}", f"validation_{metric}")
    figures.append(
        _figure(
            metric.capitalize() if len(metric) > 4 else metric.upper(),
            "At the end of each epoch, without dropout.",
            charts.line_chart(lines, title=f"{metric} by epoch", y_label=metric),
        )
    )
    names = list(history[0].gradient_norms) if len(history) else []
    norms = [
        charts.Series(name, epochs, [record.gradient_norms.get(name, float("nan")) for record in history])
        for name in names[:_MOST_LAYERS]
    ]
    figures.append(
        _figure(
            "Gradient norm per layer",
            "Mean over each epoch's steps, log scale. Lines that part by powers of ten mean that layers learn at "
            "very different speeds: gradients vanish or explode.",
            charts.line_chart(norms, title="Gradient norm per layer", y_label="‖gradient‖", log_y=True),
        )
    )
    rate = history.column("learning_rate")
    if rate and np.isfinite(rate).any():
        line = [charts.Series("learning rate", epochs, rate)]
        figures.append(
            _figure(
                "Learning rate", "At the last step of each epoch.",
                charts.line_chart(line, title="Learning rate", y_label="learning rate", from_zero=True),
            )
        )  # fmt: skip
    return f'<h2>Training</h2><section class="figures">{"".join(figures)}</section>'


def _results(report: Report) -> str:
    evaluation = report.evaluation
    rows = len(evaluation.truth)
    if not rows:
        return '<h2>Test rows</h2><p class="muted">There are no test rows.</p>'
    figures = _confusions(evaluation) if evaluation.classes else _residuals(evaluation)
    return f'<h2>On {rows:,} test rows never trained on</h2><section class="figures">{"".join(figures)}</section>'


def _confusions(evaluation: Evaluation) -> list[str]:
    k = len(evaluation.classes)
    counts = np.zeros((k, k), dtype=np.int64)
    np.add.at(counts, (evaluation.truth, evaluation.prediction), 1)
    figures = []
    if k <= _MOST_CLASSES:
        matrix = charts.confusion_matrix(counts, evaluation.classes, title="Confusion matrix")
        figures.append(_figure("Confusion matrix", "Rows are the truth, columns the prediction.", matrix))
    total = counts.sum(axis=1)
    listed = [
        (name, int(total[i]), counts[i, i] / total[i], counts[i, i] / max(int(counts[:, i].sum()), 1))
        for i, name in enumerate(evaluation.classes)
        if total[i]
    ]
    worst = sorted(listed, key=lambda line: line[2])[:20]
    table = _table(
        ("class", "rows", "recall", "precision"),
        [(html.escape(name), f"{n:,}", _bar(recall), _bar(precision)) for name, n, recall, precision in worst],
    )
    title = "Classes, hardest first" if len(listed) <= 20 else "The 20 hardest classes"
    note = "Recall: share of the class found. Precision: share of such predictions that are right."
    return [*figures, _figure(title, note, table)]


def _residuals(evaluation: Evaluation) -> list[str]:
    truth, prediction = np.ravel(evaluation.truth), np.ravel(evaluation.prediction)
    target = evaluation.target
    x_label, y_label = f"true {target}", f"predicted {target}"
    plot = charts.scatter(truth, prediction, title="Predictions", x_label=x_label, y_label=y_label)
    bars = charts.histogram(prediction - truth, title="Residuals", x_label=f"predicted minus true {target}")
    return [
        _figure("Predictions", "Each point is a test row; a perfect prediction lies on the line.", plot),
        _figure("Residuals", "Left of the line the network says too little, right of it too much.", bars),
    ]


def _mistakes(evaluation: Evaluation) -> str:
    if not evaluation.mistakes:
        return '<h2>Mistakes</h2><p class="muted">None: every test row is predicted correctly.</p>'
    if evaluation.mistakes[0].image is not None:
        cards = "".join(
            f'<div class="mistake"><img alt="test row {item.index}" src="{data_uri(item.image)}">'
            f'<p><span class="wrong-text">{html.escape(item.prediction)}</span> is '
            f"<b>{html.escape(item.truth)}</b></p>"
            f'<p class="muted">{html.escape(item.measure)}</p></div>'
            for item in evaluation.mistakes
            if item.image is not None
        )
        return f'<h2>The most confident mistakes</h2><section class="mistakes">{cards}</section>'
    columns = list(evaluation.mistakes[0].row or {})[:12]
    rows = [
        (
            html.escape(item.truth),
            html.escape(item.prediction),
            html.escape(item.measure),
            *(html.escape((item.row or {}).get(name, "")) for name in columns),
        )
        for item in evaluation.mistakes
    ]
    title = "The most confident mistakes" if evaluation.classes else "The largest errors"
    measure = "confidence" if evaluation.classes else "error"
    return f'<h2>{title}</h2><div class="scroll">{_table(("true", "predicted", measure, *columns), rows)}</div>'


def _network(report: Report) -> str:
    layers = _table(
        ("layer", "", "parameters"),
        [(html.escape(path), html.escape(text), f"{count:,}") for path, text, count in report.layers],
    )
    settings = _table(("setting", "value"), [(html.escape(a), html.escape(b)) for a, b in report.settings])
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report.notes)
    remarks = _figure("Notes", "", f"<ul>{notes}</ul>") if notes else ""
    left = f'<div class="stack">{_figure("Layers", "", layers)}{remarks}</div>'
    figures = left + _figure("Settings", "", f'<div class="scroll">{settings}</div>')
    return f'<h2>The network</h2><section class="figures">{figures}</section>'


def _bar(share: float) -> str:
    return f'<span class="meter"><i style="width:{share * 100:.1f}%"></i></span> {share:.1%}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; ``head`` is text, the cells of ``rows`` are HTML."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
