"""``chainrule diagnose`` and ``chainrule train --diagnose``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SIGMOIDS = ("--hidden", "24,24,24,24,24", "--activation", "sigmoid")


def test_a_task_that_is_healthy(chainrule: Any) -> None:
    ran = chainrule("diagnose", "--steps", 40, "--hidden", "32")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("healthy: 2 layers")


def test_a_task_that_is_not_is_mended(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("diagnose", "digits", *SIGMOIDS, "--steps", 40, "--fix", "--html", "r.html")
    assert ran.code == 0, ran.err
    assert "The gradient vanishes from layers[5] back to layers[0]" in ran.out
    assert "tried against vanishing: hidden activations relu" in ran.out
    assert "It helps" in ran.out
    assert "The gradient vanishes" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert ran.err.strip() == "written: r.html"


def test_a_training_that_breaks_off_is_diagnosed(chainrule: Any) -> None:
    ran = chainrule("diagnose", "--optimizer", "sgd", "--lr", 500, "--hidden", "32", "--steps", 20)
    assert ran.code == 0, ran.err
    assert "The learning rate is too high" in ran.out


def test_a_run_is_diagnosed_from_its_folder(chainrule: Any) -> None:
    assert chainrule("train", *SIGMOIDS, "--epochs", 2, "--quiet", "--out", "o").code == 0
    ran = chainrule("diagnose", "o", "--json")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    assert [verdict["kind"] for verdict in content["verdicts"]] == ["vanishing"]
    assert len(content["history"]) == 2
    assert content["history"][0]["gradient"][0] < content["history"][0]["gradient"][-1]
    mended = chainrule("diagnose", "o", "--fix")
    assert "It helps" in mended.out


def test_a_good_run_is_healthy_to_the_end(chainrule: Any) -> None:
    ran = chainrule("train", "--epochs", 8, "--hidden", "64", "--diagnose", 20, "--quiet", "--json", "--out", "o")
    assert ran.code == 0, ran.err
    assert json.loads(Path("o/diagnosis.json").read_text(encoding="utf-8"))["healthy"] is True
    assert "Healthy" in Path("o/diagnosis.html").read_text(encoding="utf-8")
    assert chainrule("diagnose", "o").out.startswith("healthy")


def test_training_prints_its_verdicts(chainrule: Any) -> None:
    ran = chainrule("train", *SIGMOIDS, "--epochs", 1, "--diagnose", 10, "--out", "o")
    assert ran.code == 0, ran.err
    assert "diagnosis: vanishing gradient" in ran.out
    assert "Remedy: use relu" in ran.out
    assert not Path("o/diagnosis.html").exists() or "vanishes" in Path("o/diagnosis.html").read_text(encoding="utf-8")


def test_files_that_are_asked_for(chainrule: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorboard")
    ran = chainrule("diagnose", "--steps", 20, "--hidden", "16", "--plot", "p.svg", "--tensorboard", "events")
    assert ran.code == 0, ran.err
    assert "<svg" in (tmp_path / "p.svg").read_text(encoding="utf-8")
    assert len(list((tmp_path / "events").iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("nowhere/run",), ("no such run and no such table", "got: 'nowhere/run'", "check the path")),
        (("nonsense",), ("unknown task", "got: 'nonsense'")),
        (("--steps", 0), ("--steps is out of range", "1 to 100,000", "got: 0")),
        (("--every", 0), ("--every is out of range", "got: 0")),
        (("--hidden", "a"), ("--hidden can't be read", "got: 'a'")),
        (("--activation", "rely"), ("unknown value for --activation", "relu")),
        ((".",), ("this folder holds no run", "no config.toml")),
        ((".", "--lr", 1), ("a run keeps the options it was started with", "leave out --lr")),
    ],
)
def test_bad_input(chainrule: Any, words: tuple[Any, ...], parts: tuple[str, ...]) -> None:
    ran = chainrule("diagnose", *words)
    assert ran.code == 2
    assert ran.out == ""
    for part in parts:
        assert part in ran.err


def test_a_damaged_run(chainrule: Any, tmp_path: Path) -> None:
    assert chainrule("train", "--epochs", 1, "--hidden", "8", "--quiet", "--out", "o").code == 0
    for path in (tmp_path / "o" / "checkpoints").iterdir():
        path.unlink()
    (tmp_path / "o" / "model.safetensors").unlink()
    ran = chainrule("diagnose", "o")
    assert ran.code == 2
    assert "this run has nothing to diagnose yet" in ran.err
    (tmp_path / "o" / "config.toml").write_text("task = [", encoding="utf-8")
    assert "config.toml is damaged" in chainrule("diagnose", "o").err
