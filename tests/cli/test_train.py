"""chainrule train: what it writes, what it prints, and every bad input in words with exit code 2."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.train import load_checkpoint

SMALL = ("--hidden", "8", "--epochs", 2, "--batch-size", 128, "--quiet")


def table(path: Path, rows: int = 60, kind: str = "regression") -> Path:
    """A CSV of two numbers, a text column with gaps, and a target that depends on them."""
    rng = np.random.default_rng(0)
    lines = ["a,b,colour,target"]
    for a, b in rng.standard_normal((rows, 2)).round(4).tolist():
        value = f"{50 + 10 * a - 5 * b:.3f}" if kind == "regression" else ("yes" if a > b else "no")
        lines.append(f"{a},{b if b > -1.5 else ''},{'red' if a > 0 else 'blue'},{value}")
    path.write_text("\n".join(lines) + "\n")
    return path


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_a_run_folder_is_complete(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", *SMALL, "--json")
    assert ran.code == 0, ran.err
    assert ran.err == ""
    folder = tmp_path / "runs" / "digits-1"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "checkpoints", "config.toml", "metrics.csv", "model.safetensors", "preprocessor.json", "report.html",
        "summary.json",
    ]  # fmt: skip
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["run"] == {"task": "digits", "seed": 0}
    assert config["network"] == {"hidden": [8], "activation": "relu", "dropout": config["network"]["dropout"]}
    assert config["facts"] == {"inputs": 64, "outputs": 10}
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["validation_accuracy"]) > 0
    assert set(rows[0]) >= {"gradient_norm layers[0]", "gradient_norm layers[1]", "learning_rate", "train_loss"}
    weights = load_checkpoint(folder / "model.safetensors")
    assert weights.info["sizes"] == [64, 8, 10]
    assert json.loads((folder / "summary.json").read_text()) == ran.summary
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("Confusion matrix", "data:image/png;base64,", "64 → 8 → 10", "Gradient norm per layer"):
        assert text in page


def test_json_has_the_promised_fields(chainrule: Any) -> None:
    ran = chainrule("train", *SMALL, "--json", "--seed", 3)
    assert ran.out.count("\n") == 1
    summary = ran.summary
    types = {
        "task": str, "parameters": int, "epochs": int, "train_loss": float, "test_loss": float, "test_accuracy": float,
        "seconds": float, "steps_per_second": float, "run_dir": str,
    }  # fmt: skip
    for name, kind in types.items():
        assert type(summary[name]) is kind, name
    assert (summary["task"], summary["epochs"], summary["seed"]) == ("digits", 2, 3)
    assert summary["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert 0 <= summary["test_accuracy"] <= 1


def test_text_goes_to_stdout_or_beside_json(chainrule: Any) -> None:
    small = SMALL[:-1]
    ran = chainrule("train", *small)
    assert "test accuracy" in ran.out
    assert "report: " in ran.out
    assert ran.err == ""
    ran = chainrule("train", *small, "--json")
    assert "test accuracy" in ran.err
    assert ran.summary["run_dir"].endswith("digits-2")
    assert chainrule("train", *SMALL).out == ""


def test_a_table_of_numbers(chainrule: Any, tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv")
    ran = chainrule("train", path, "--target", "target", *SMALL, "--json", "--validation", 0, "--out", "o")
    assert ran.code == 0, ran.err
    assert ran.summary["task"] == "rows.csv"
    assert ran.summary["test_rmse"] > 0
    assert ran.summary["validation_loss"] is None
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "predicted minus true target" in page
    assert "colour" in page


def test_a_table_too_small_to_test_on_says_so(chainrule: Any, tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_text("a,b,y\n0,0,x\n1,1,y\n2,0,z\n")  # one row of each class
    ran = chainrule("train", "tiny.csv", "--target", "y", "--epochs", 1, "--out", "o", "--json")
    assert ran.code == 0, ran.err
    assert "not tested: too few rows for a test part" in ran.err
    assert "nan" not in ran.err
    assert ran.summary["test_loss"] is None
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert page.count("no test rows") >= 2
    assert ">nan" not in page


def test_label_smoothing_is_for_classes(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", table(tmp_path / "rows.csv"), "--target", "target", "--label-smoothing", 0.1, "--out", "o")
    assert ran.code == 2
    assert "--label-smoothing has no use for a regression" in ran.err
    assert not (tmp_path / "o").exists()


def test_a_smoothed_loss_is_explained(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", *SMALL, "--json", "--out", "o")
    assert ran.summary["train_loss"] > 0.5
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "Labels are smoothed by 0.1, so the loss of a perfect network is 0.500, not 0." in page


def test_a_table_of_classes(chainrule: Any, tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", 200, kind="classes")
    options = ("--hidden", "16", "--epochs", 40, "--lr", 0.01, "--quiet", "--json")
    ran = chainrule("train", path, "--target", "target", *options)
    assert ran.code == 0, ran.err
    assert ran.summary["test_accuracy"] > 0.8
    assert ran.summary["run_dir"] == os.path.join("runs", "rows-1")


def test_whole_numbers_are_classes_unless_the_problem_is_named(chainrule: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a},{round(5 + a)}" for a in rng.standard_normal(120).round(3).tolist()]
    (tmp_path / "rows.csv").write_text("\n".join(["a,quality", *rows]) + "\n")
    words = ("train", tmp_path / "rows.csv", "--target", "quality", *SMALL, "--json")
    assert "test_accuracy" in chainrule(*words, "--out", "classes").summary
    ran = chainrule(*words, "--problem", "regression", "--out", "numbers")
    assert "test_rmse" in ran.summary
    assert tomllib.loads((tmp_path / "numbers" / "config.toml").read_text())["run"]["problem"] == "regression"
    more = chainrule("train", "--resume", "--out", "numbers", "--epochs", 3, "--json", "--quiet")
    assert more.code == 0, more.err
    assert "test_rmse" in more.summary


def test_a_table_of_several_targets(chainrule: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 3))
    np.savez(tmp_path / "rows.npz", x=x, y=x @ np.ones((3, 2)))
    ran = chainrule("train", tmp_path / "rows.npz", *SMALL, "--json")
    assert ran.code == 0, ran.err
    assert ran.summary["test_rmse"] > 0


def test_all_options_reach_the_run(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule(
        "train", "digits", "--hidden", "6, 5", "--activation", "tanh", "--optimizer", "adamw", "--lr", 0.01,
        "--schedule", "one-cycle", "--epochs", 1, "--batch-size", 200, "--dropout", 0.1, "--weight-decay", 0.02,
        "--seed", 4, "--validation", 0.2, "--patience", 3, "--label-smoothing", 0.05, "--quiet", "--out", "o",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    config = tomllib.loads((tmp_path / "o" / "config.toml").read_text())
    assert config["network"] == {"hidden": [6, 5], "activation": "tanh", "dropout": 0.1}
    assert config["training"] == {
        "optimizer": "adamw", "learning_rate": 0.01, "schedule": "one-cycle", "weight_decay": 0.02, "epochs": 1,
        "batch_size": 200, "validation": 0.2, "patience": 3, "label_smoothing": 0.05,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adamax", "nadam"])
def test_every_optimizer_learns_with_its_default_rate(chainrule: Any, name: str) -> None:
    ran = chainrule("train", "--hidden", "32", "--epochs", 6, "--dropout", 0, "--quiet", "--json", "--optimizer", name)
    assert ran.code == 0, ran.err
    assert ran.summary["test_accuracy"] > 0.8


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine", "warm-up", "one-cycle"])
def test_every_schedule(chainrule: Any, name: str, tmp_path: Path) -> None:
    ran = chainrule("train", *SMALL, "--schedule", name, "--lr", 0.01, "--out", "o")
    assert ran.code == 0, ran.err
    rows = metrics(tmp_path / "o")
    assert 0 <= float(rows[-1]["learning_rate"]) <= 0.01


# Bad input


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("--activation", "relux"), ("unknown value for --activation", "relu, leaky_relu", "'relux'")),
        (("--optimizer", "adamm"), ("unknown value for --optimizer", "sgd, momentum", "adamax")),
        (("--schedule", "cosin"), ("unknown value for --schedule", "constant, step, exponential, cosine")),
        (("--hidden", "12;3"), ("--hidden can't be read", "128,64", "'12;3'")),
        (("--hidden", "12,0"), ("--hidden can't be 0", "sizes from 1 to 65536")),
        (("--lr", "-1"), ("--lr can't be -1.0", "a number above 0")),
        (("--lr", "nan"), ("--lr can't be nan",)),
        (("--epochs", "0"), ("--epochs can't be 0", "a whole number from 1 up")),
        (("--batch-size", "0"), ("--batch-size can't be 0",)),
        (("--label-smoothing", "1"), ("--label-smoothing can't be 1.0",)),
        (("--dropout", "1"), ("--dropout can't be 1.0", "0 to below 1")),
        (("--weight-decay", "-0.1"), ("--weight-decay can't be -0.1",)),
        (("--seed", "-1"), ("--seed can't be -1",)),
        (("--validation", "1"), ("--validation can't be 1.0",)),
        (("--patience", "2", "--validation", "0"), ("--patience needs validation rows",)),
        (("digit",), ("unknown task", "digits, mnist, or the path", "'digit'")),
        (("none.csv",), ("there is no such table", "'none.csv'")),
        (("--problem", "ranking"), ("unknown value for --problem", "classification, regression")),
        (("--problem", "regression"), ("--problem is for tables", "leave --problem out")),
        (("--target", "y"), ("--target has no use here", "leave --target out")),
        (("--data", "x"), ("--data has no use here", "--data with mnist")),
        (("mnist",), ("the task mnist needs data", "--data DIR")),
        (("mnist", "--data", "nowhere"), ("error: ", "nowhere")),
        (("--resume", "--out", "none"), ("there is no run to resume", "no such folder")),
        (("--resume",), ("there is no run to resume", "no runs in")),
    ],
)
def test_bad_options(chainrule: Any, tmp_path: Path, words: tuple[str, ...], texts: tuple[str, ...]) -> None:
    ran = chainrule("train", *words)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err
    assert "what to do: " in ran.err
    assert len(ran.err.splitlines()) < 24
    for text in texts:
        assert text in ran.err
    assert ran.out == ""
    assert not list(tmp_path.glob("runs/*")), "no folder is left behind"


@pytest.mark.parametrize("words", [("--epochs", "many"), ("--no-such-option",), ("--lr",)])
def test_words_that_are_no_options(chainrule: Any, words: tuple[str, ...]) -> None:
    ran = chainrule("train", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_an_unknown_target_lists_the_columns(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", table(tmp_path / "rows.csv"), "--target", "tarket")
    assert ran.code == 2
    assert "did you mean 'target'?" in ran.err
    assert "a, b, colour, target" in ran.err


def test_ragged_rows_name_the_line(chainrule: Any, tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv")
    path.write_text(path.read_text() + "1,2\n")
    ran = chainrule("train", path, "--target", "target")
    assert ran.code == 2
    assert "62" in ran.err


def test_an_output_folder_that_exists(chainrule: Any, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine.txt").write_text("precious")
    ran = chainrule("train", *SMALL, "--out", "o")
    assert ran.code == 2
    assert "the output folder already exists" in ran.err
    assert "add --resume" in ran.err
    assert "another --out" in ran.err
    assert os.listdir(tmp_path / "o") == ["mine.txt"]
    ran = chainrule("train", *SMALL, "--out", "o/mine.txt")
    assert ran.code == 2
    assert "got: a file" in ran.err


def test_an_output_folder_that_can_not_be_made(chainrule: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    ran = chainrule("train", *SMALL, "--out", "file/o")
    assert ran.code == 2
    assert "error: cannot write o" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission(chainrule: Any, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir(mode=0o500)
    ran = chainrule("train", *SMALL, "--out", "o")
    assert ran.code == 2
    assert "choose a folder you may write to" in ran.err


def test_a_refused_write_is_said_in_words(chainrule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    ran = chainrule("train", *SMALL, "--out", "o")
    assert ran.code == 2
    assert "Permission denied" in ran.err
    assert "choose a folder you may write to" in ran.err


def test_a_disk_that_fills_up(chainrule: Any, full_disk: Any) -> None:
    whole = chainrule("train", *SMALL, "--json", "--out", "whole").summary
    with full_disk(6):
        ran = chainrule("train", *SMALL, "--out", "o")
    assert ran.code == 2
    assert "No space left on device" in ran.err
    assert "free some space on that disk and resume" in ran.err
    assert "Traceback" not in ran.err
    again = chainrule("train", "--resume", "--out", "o", "--json", "--quiet")
    assert again.code == 0, again.err
    assert again.summary["test_loss"] == whole["test_loss"]


def test_a_loss_that_explodes(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", *SMALL, "--optimizer", "sgd", "--lr", 1e30, "--schedule", "constant", "--out", "o")
    assert ran.code == 2
    assert "error: training stopped: " in ran.err
    assert "layers[" in ran.err
    assert "step " in ran.err
    assert "the run is kept in o" in ran.err
    assert list((tmp_path / "o" / "checkpoints").glob("step-*"))


# Resume


def test_a_finished_run_resumes_to_the_same_summary(chainrule: Any, tmp_path: Path) -> None:
    first = chainrule("train", *SMALL, "--json").summary
    metrics = (tmp_path / "runs" / "digits-1" / "metrics.csv").read_text()
    with open(tmp_path / "runs" / "digits-1" / "metrics.csv", "a") as stream:
        stream.write("3,torn li")
    again = chainrule("train", "--resume", "--json", "--quiet")
    assert again.code == 0, again.err
    clock = ("seconds", "steps_per_second")
    assert {k: v for k, v in again.summary.items() if k not in clock} == {
        k: v for k, v in first.items() if k not in clock
    }
    assert (tmp_path / "runs" / "digits-1" / "metrics.csv").read_text() == metrics


def test_resume_can_train_longer_and_refuses_other_options(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", *SMALL, "--schedule", "constant", "--out", "a")
    chainrule("train", *SMALL[:2], "--epochs", 4, *SMALL[4:], "--schedule", "constant", "--out", "b")
    ran = chainrule("train", "--resume", "--out", "a", "--epochs", 4, "--quiet")
    assert ran.code == 0, ran.err
    weights = [load_checkpoint(tmp_path / name / "model.safetensors").tensors for name in "ab"]
    for name, array in weights[0].items():
        assert array.tobytes() == weights[1][name].tobytes()
    assert tomllib.loads((tmp_path / "a" / "config.toml").read_text())["training"]["epochs"] == 4
    ran = chainrule("train", "--resume", "--out", "a", "--lr", 0.1, "--hidden", "3")
    assert ran.code == 2
    assert "keeps the options it was started with" in ran.err
    assert "--hidden, --lr" in ran.err


def test_damaged_run_folders(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", *SMALL, "--out", "o")
    config = tmp_path / "o" / "config.toml"
    good = config.read_text()
    for text, got in (
        ("not toml [", "text that is no TOML"),
        (good.replace("epochs = 2", 'epochs = "two"'), "[training] epochs = 'two'"),
        (good.replace("epochs = 2", ""), "no epochs"),
    ):
        config.write_text(text)
        ran = chainrule("train", "--resume", "--out", "o")
        assert ran.code == 2
        assert "config.toml is damaged" in ran.err
        assert got in ran.err
    config.write_text(good.replace("hidden = [\n    8,\n]", "hidden = [9]"))
    ran = chainrule("train", "--resume", "--out", "o")
    assert ran.code == 2
    assert "another architecture: layers[0].weight differs" in ran.err
    config.write_text(good)
    for path in (tmp_path / "o" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    ran = chainrule("train", "--resume", "--out", "o")
    assert ran.code == 2
    assert "the checkpoint is damaged" in ran.err


def test_a_damaged_newest_checkpoint_falls_back_and_says_so(chainrule: Any, tmp_path: Path) -> None:
    first = chainrule("train", *SMALL, "--json", "--out", "o").summary
    newest = sorted((tmp_path / "o" / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    ran = chainrule("train", "--resume", "--out", "o", "--json", "--quiet")
    assert ran.code == 0
    assert ran.err.startswith("note: step-")
    assert "the one before it" in ran.err
    assert ran.summary["test_loss"] == first["test_loss"]


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path: Path) -> None:
    """A real process, really interrupted; what it prints is then done."""
    command = [sys.executable, "-m", "chainrule.cli.main", "train"]
    options = ["--hidden", "8", "--epochs", "300", "--quiet", "--json"]

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    process = start(*options, "--out", "o")
    metrics = tmp_path / "o" / "metrics.csv"
    while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > 2):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted at step " in err
    assert "saved in o" in err
    assert "to go on: chainrule train --resume --out o" in err
    assert "Traceback" not in err
    done = len(metrics.read_text().splitlines()) - 1
    resumed = start("--resume", "--out", "o", "--epochs", str(done + 2), "--quiet", "--json")
    out, err = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, err
    assert json.loads(out)["epochs"] == done + 2


# The rest of the command


def test_help_and_version(chainrule: Any) -> None:
    ran = chainrule("--version")
    assert (ran.code, ran.out.split()[0]) == (0, "chainrule")
    ran = chainrule("--help")
    assert "train" in ran.out
    assert "predict" in ran.out
    ran = chainrule("train", "--help")
    for option in (
        "--hidden", "--activation", "--optimizer", "--lr", "--schedule", "--epochs", "--batch-size", "--dropout",
        "--weight-decay", "--seed", "--validation", "--out", "--resume", "--json", "--quiet", "--data", "--target",
    ):  # fmt: skip
        assert option in ran.out, option


def test_a_bug_shows_its_traceback(chainrule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("chainrule.cli.train.start", broken)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        chainrule("train")
