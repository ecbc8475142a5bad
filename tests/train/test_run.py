"""Whole runs: the results that are promised, and the same bits whatever the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chainrule.train import load_checkpoint
from chainrule.train.config import RunConfig
from chainrule.train.run import load_data, resume, start


def train(folder: Path, task: str = "digits", **options: object) -> dict[str, float]:
    config = RunConfig.with_defaults(task, **options)
    splits = load_data(config)
    config = RunConfig.with_defaults(task, rows=len(splits.train), **options)
    return start(config, splits, folder, quiet=True).summary


def test_digits_by_default(tmp_path: Path) -> None:
    assert train(tmp_path / "o", seed=0)["test_accuracy"] >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_digits_with_other_seeds(tmp_path: Path, seed: int) -> None:
    assert train(tmp_path / "o", seed=seed)["test_accuracy"] >= 0.97


@pytest.mark.slow
def test_mnist_by_default(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    summary = train(tmp_path / "o", "mnist", data=str(shared_data("mnist")))
    assert summary["epochs"] <= 5
    assert summary["test_accuracy"] >= 0.975


@pytest.mark.slow
def test_california_housing_by_default(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    path = shared_data("california_housing") / "housing.csv"
    assert train(tmp_path / "o", "table", data=str(path), target="median_house_value")["test_rmse"] <= 60_000


def test_a_callback_sees_every_epoch_and_may_stop_for_now(tmp_path: Path) -> None:
    config = RunConfig.with_defaults("digits", hidden=(8,), epochs=3, batch_size=200)
    seen: list[int] = []

    def second(end: object) -> bool:
        seen.append(end.record.epoch)  # type: ignore[attr-defined]
        return len(seen) == 2

    splits = load_data(config)
    stopped = start(config, splits, tmp_path / "o", quiet=True, callbacks=(second,))
    assert (stopped.fit.stopped, seen) == ("callback", [1, 2])
    whole = start(config, splits, tmp_path / "whole", quiet=True)
    resumed = resume(tmp_path / "o", quiet=True)
    assert resumed.fit.stopped == "epochs"
    assert resumed.summary["test_loss"] == whole.summary["test_loss"]


def test_the_number_of_threads_does_not_change_a_bit(tmp_path: Path) -> None:
    """Layers wide enough that NumPy's BLAS would split the products between threads."""
    weights = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        options = ["--hidden", "256,256", "--batch-size", "512", "--epochs", "2", "--quiet", "--out", str(folder)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-m", "chainrule.cli.main", "train", *options], check=True, env=environment)
        weights.append(load_checkpoint(folder / "model.safetensors").tensors)
    for name, array in weights[0].items():
        assert array.tobytes() == weights[1][name].tobytes(), name
