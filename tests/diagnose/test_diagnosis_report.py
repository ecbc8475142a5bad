"""What a report shows: text, page, notebook, JSON, pictures, event files; remedies that are tried; bad input."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import HEALTHY, ILL, blobs, classify, mlp

import chainrule as cr
from chainrule import nn
from chainrule.base.errors import ChainruleError, DataError, OptionError, UnsupportedError
from chainrule.diagnose import Report, diagnose
from chainrule.diagnose.fix import Trial


def report_of(name: str, seed: int = 0) -> Report:
    case = (HEALTHY | ILL)[name](seed)
    return diagnose(case.model, case.loss, case.batch, **case.options)


def test_the_public_name() -> None:
    assert cr.diagnose is diagnose


def test_weights_that_have_all_but_vanished_are_counted() -> None:
    """Between 0 and the least of all doubles there is no room for the edges of a histogram."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((20, 4)), 1e-322 * np.ones((4, 3))
    report = diagnose({"weight": weight}, lambda p, x: np.mean(np.tanh(x @ p["weight"]) ** 2 + 1), (x,))
    assert sum(report.layers[0].histogram[0]) == 60


def test_text_has_verdict_evidence_remedy_and_a_bar_per_layer() -> None:
    text = str(report_of("sigmoid_six_layers_spiral"))
    lines = text.splitlines()
    assert lines[0].startswith("1 fault: 7 layers, 120 rows, loss ")
    assert "1. The gradient vanishes from layers[6] back to layers[0]: the slope of sigmoid" in text
    assert "remedy: use relu with nn.init.he_normal" in text
    bars = [line.count("█") for line in lines if re.match(r"layers\[\d\] ", line)]
    assert len(bars) == 7
    assert bars == sorted(bars)
    assert max(map(len, lines)) <= 120


def test_a_healthy_report_says_so() -> None:
    report = report_of("relu_he")
    assert report.healthy
    assert report.kinds == ()
    assert str(report).startswith("healthy: 3 layers")
    assert repr(report) == "<Report: healthy; 3 layers>"
    assert "No fault was found" in report.to_html()
    assert report.fix() is None


def test_the_page_is_whole_and_escapes_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = {"<b>&": rng.standard_normal((8, 4)).astype(np.float32), "out": rng.standard_normal((4, 3))}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(np.tanh(x @ p["<b>&"]) @ p["out"], y)

    page = diagnose(model, loss, blobs(0)).to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "http" not in page.replace("http-equiv", "")
    ElementTree.fromstring(page.partition("\n")[2].replace('<meta charset="utf-8">', "").replace("<br>", "")
                           .replace('initial-scale=1">', 'initial-scale=1"/>')
                           .replace('content="light dark">', 'content="light dark"/>'))  # fmt: skip
    assert diagnose(model, loss, blobs(0))._repr_html_().startswith('<div class="chainrule-diagnosis">')


def test_json_is_strict_and_holds_the_numbers(tmp_path: Path) -> None:
    report = report_of("a_value_that_is_missing")
    content = json.loads(report.to_json(tmp_path / "r.json"), parse_constant=pytest.fail)
    assert content["verdicts"][0]["kind"] == "nonfinite"
    assert content["batch"]["loss"] is None
    assert [row["name"] for row in content["layers"]] == ["layers[0]", "layers[1]"]
    healthy = json.loads(report_of("relu_he").to_json())
    assert healthy["healthy"] is True
    assert healthy["layers"][1]["gain"]["largest"] > 0


def test_a_value_that_is_not_finite_is_explained() -> None:
    verdict = report_of("a_value_that_is_missing").verdicts[0]
    assert "NaN" in verdict.evidence or "nan" in verdict.evidence
    assert "row" in verdict.evidence


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = report_of("sigmoid_six_layers_spiral")
    assert len(report.plot(tmp_path / "p.png").axes) == 4
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OptionError, match=r"(?s)can't be written.*expected: a name that ends in \.png.*got: p\.gif"):
        report.plot(tmp_path / "p.gif")


@pytest.mark.parametrize(("module", "name"), [("matplotlib.figure", "plot"), ("tensorboard", "to_tensorboard")])
def test_what_needs_another_package_says_which(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for known in [m for m in sys.modules if m.startswith("tensorboard")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnsupportedError, match=r"(?s)need .*pip install 'chainrule\["):
        getattr(report_of("relu_he"), name)(tmp_path / "x.png")


def test_event_files_hold_scalars_histograms_and_verdicts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    report = report_of("sigmoid_six_layers_spiral")
    path = report.to_tensorboard(tmp_path / "events")
    values = {v.tag: v for event in EventFileLoader(str(path)).Load() for v in event.summary.value}
    assert {f"gradient norm/layers[{i}]" for i in range(7)} <= set(values)
    first = values["gradient norm/layers[0]"]
    shown = first.tensor.float_val[0] if first.HasField("tensor") else first.simple_value
    assert shown == pytest.approx(report.layers[0].gradient)
    assert "activations/layers[3]" in values
    assert b"vanishes" in values["verdicts"].tensor.string_val[0]


# ----------------------------------------------------------------------------------------------------------- remedies


HELPS = [
    "sigmoid_six_layers_spiral", "tanh_small_weights", "relu_large_weights", "dead_second_layer", "saturated_tanh",
    "zero_weights", "rate_too_high_sgd", "rate_too_low_adam", "inputs_to_255", "labels_from_one", "decay_that_kills",
    "recurrent_large", "a_value_that_is_missing",
]  # fmt: skip


@pytest.mark.parametrize("name", HELPS)
def test_a_remedy_that_helps(name: str) -> None:
    trial = report_of(name).fix(steps=60)
    assert isinstance(trial, Trial)
    assert len(trial.before) == len(trial.after) == 60
    assert trial.helped, str(trial)
    assert "It helps: after 60 steps" in str(trial)


def test_a_remedy_that_does_not_help_is_said_not_to() -> None:
    # All outputs are small, so the shift that is missing changes nothing yet.
    trial = report_of("softmax_without_shift").fix()
    assert trial is not None
    assert trial.before == pytest.approx(trial.after, rel=1e-3)
    assert not trial.helped
    assert "It does not help" in str(trial)


def test_both_trainings_are_the_same_each_time() -> None:
    first, second = (report_of("tanh_small_weights").fix(steps=10, seed=3) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.before, first.after) == (second.before, second.after)


def test_a_remedy_with_more_rows_than_the_batch() -> None:
    x, y = blobs(0, rows=512)
    model = mlp(0, 8, *[16] * 6, 3, activation="sigmoid")
    trial = diagnose(model, classify, (x[:64], y[:64]), learning_rate=1e-2).fix(steps=60, data=(x, y))
    assert trial is not None
    assert trial.helped


# ---------------------------------------------------------------------------------------------------------- bad input


def bad(problem: str, *parts: str) -> Any:
    return pytest.raises(ChainruleError, match="(?s)" + ".*".join((problem, *parts)))


def test_bad_arguments_say_what_to_pass() -> None:
    model, (x, y) = mlp(0, 8, 4, 3), blobs(0)
    with bad("the batch is not a tuple of arrays", r"expected: \(x, y\)", "got: ndarray", r"fix|what to do"):
        diagnose(model, classify, x)
    with pytest.raises(DataError, match=r"(?s)the batch has no rows.*got: x of shape \(0, 8\)"):
        diagnose(model, classify, (x[:0], y[:0]))
    with bad("the model has no parameters", "got: dict"):
        diagnose({}, classify, (x, y))
    with bad("parameters that are no floats", "got: ndarray"):
        diagnose({"w": np.arange(3)}, classify, (x, y))
    with bad("scalar"):
        diagnose(model, lambda m, x, y: m(x), (x, y))


def test_a_remedy_that_can_not_be_tried() -> None:
    report = report_of("tanh_small_weights")
    with bad("this remedy can't be tried", "got: steps=1"):
        report.fix(steps=1)
    with bad("this remedy can't be tried", "got: steps=60, verdict 4 of 1"):
        report.fix(4)
    with bad("a report without its model"):
        Report(report.findings, report.verdicts).fix()
