"""A run that is interrupted, killed or damaged and then resumed ends with the bits of the run that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import facts, loss, network, spirals, train

from chainrule.base.errors import CheckpointError, TrainingError
from chainrule.train import CheckpointWarning, StepEnd, TrainingInterrupted, fit, load_checkpoint


@pytest.fixture(scope="module")
def whole() -> Any:
    """The run that nothing happened to."""
    return facts(train())


class Killed(BaseException):
    """Stands for SIGKILL: no except clause or clean-up of ours may depend on it."""


@pytest.mark.parametrize("step", [1, 5, 6, 7, 12, 17, 18])
def test_a_process_that_dies_between_steps(tmp_path: Path, whole: Any, step: int) -> None:
    def die(end: StepEnd) -> None:
        if end.step == step:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path, on_step=die)
    assert facts(train(tmp_path, resume=True)) == whole


def test_a_process_that_dies_in_any_file_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flush, rename and removal of a run is the last one of some process here."""
    options: dict[str, Any] = {"epochs": 2, "checkpoint_every": 4}
    whole = facts(train(**options))
    real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "open")}
    left = [0]

    def dying(name: str) -> Any:
        def operation(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real[name](*args, **kwargs)

        return operation

    operations = 0
    while True:
        folder = tmp_path / str(operations)
        left[0] = operations
        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, dying(name))
            try:
                train(folder, **options)
                break
            except Killed:
                pass
        assert facts(train(folder, resume=True, **options)) == whole, f"died at operation {operations}"
        operations += 1
    assert operations > 15


def test_ctrl_c_saves_in_the_middle_of_an_epoch(tmp_path: Path, whole: Any) -> None:
    def press(end: StepEnd) -> None:
        if end.step == 9:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted) as caught:
        train(tmp_path, on_step=press)
    stop = caught.value
    assert isinstance(stop, KeyboardInterrupt)
    assert str(stop).startswith("interrupted at step 9 (epoch 2); saved to ")
    assert "resume=True" in str(stop)
    assert stop.result.stopped == "interrupted"
    assert stop.result.steps == 9
    assert stop.checkpoint.name == "step-000000009.safetensors"
    assert load_checkpoint(stop.checkpoint).info["state"]["batch"] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert facts(train(tmp_path, resume=True)) == whole


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved() -> None:
    with pytest.raises(TrainingInterrupted, match="nothing was saved: pass checkpoint=FOLDER"):
        train(on_step=lambda end: signal.raise_signal(signal.SIGINT))


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, whole: Any) -> None:
    def press_twice(end: StepEnd) -> None:
        if end.step == 9:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        train(tmp_path, on_step=press_twice)
    assert not isinstance(caught.value, TrainingInterrupted)
    assert facts(train(tmp_path, resume=True)) == whole


def test_a_damaged_newest_checkpoint(tmp_path: Path, whole: Any) -> None:
    train(tmp_path)
    newest = sorted(tmp_path.glob("step-*"))[-1]
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(bytes(content))
    with pytest.warns(CheckpointWarning, match="damaged; resuming from step-000000012"):
        assert facts(train(tmp_path, resume=True)) == whole


def test_a_finished_run_resumes_to_itself_and_can_go_further(tmp_path: Path, whole: Any) -> None:
    train(tmp_path)
    assert facts(train(tmp_path, resume=True)) == whole
    longer = train(tmp_path, resume=True, epochs=5)
    assert facts(longer) == facts(train(epochs=5))


def test_early_stopping_is_part_of_the_state(tmp_path: Path) -> None:
    options: dict[str, Any] = {"early_stopping": 2, "epochs": 60, "learning_rate": 0.1}
    expected = train(**options)
    assert expected.stopped == "early"
    last = len(expected.history)
    with pytest.raises(Killed):
        train(tmp_path, **options, callbacks=[lambda end: _die() if end.record.epoch == last - 1 else None])
    resumed = train(tmp_path, **options, resume=True)
    assert facts(resumed) == facts(expected)
    assert facts(train(tmp_path, **options, resume=True)) == facts(expected)


def _die() -> None:
    raise Killed


def test_resume_without_a_checkpoint_starts(tmp_path: Path, whole: Any) -> None:
    assert facts(train(tmp_path / "new", resume=True)) == whole


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="already holds a run") as caught:
        train(tmp_path)
    assert "pass resume=True" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"rng": 6}, "another seed"), ({"batch_size": 14}, "another batch size"), ({"validation": 0.3}, "another number")],
)
def test_another_run_is_refused(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    train(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match=text):
        train(tmp_path, resume=True, **options)


def test_other_data_and_another_architecture_are_refused(tmp_path: Path) -> None:
    x, y = spirals()
    fit(network(), loss, (x, y), epochs=1, checkpoint=tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="another training data"):
        fit(network(), loss, (x + 1, y), epochs=1, checkpoint=tmp_path, resume=True, progress=False)
    other = network(sizes=(2, 12, 9, 3))
    with pytest.raises(CheckpointError, match=r"another architecture: layers\[1\].weight differs"):
        fit(other, loss, (x, y), epochs=1, checkpoint=tmp_path, resume=True, progress=False)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, whole: Any, full_disk: Any) -> None:
    with full_disk(4), pytest.raises(TrainingError, match="No space left on device") as caught:
        train(tmp_path)
    assert "free some space on that disk and resume" in str(caught.value)
    assert facts(train(tmp_path, resume=True)) == whole


# Real processes, really killed

CHILD = """
import sys
from pathlib import Path
import numpy as np
from chainrule import data, nn
from chainrule.train import fit, save_checkpoint

def loss(model, x, y, key):
    return nn.cross_entropy(model(x, key=key), y)

folder, out, epochs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
model = nn.MLP.init((64, 24, 10), dropout=0.2, rng=np.random.default_rng(0))
result = fit(
    model, loss, data.digits(), epochs=epochs, batch_size=64, rng=7, checkpoint=folder, checkpoint_every=7,
    resume=True, progress=False, on_step=lambda end: print(end.step, flush=True),
)
save_checkpoint(out, {"model": result.model, "optimizer": result.optimizer_state}, {})
"""


def start(folder: Path, out: Path, epochs: int) -> subprocess.Popen[str]:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, str(folder), str(out), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def killed_and_resumed(tmp_path: Path, kills: int, epochs: int) -> None:
    folder, out = tmp_path / "killed", tmp_path / "killed.safetensors"
    assert start(tmp_path / "whole", tmp_path / "whole.safetensors", epochs).communicate()[0].count("\n") > 0
    rng = random.Random(20)
    done, landed = 0, 0
    total = epochs * 21
    while landed < kills:
        process = start(folder, out, epochs)
        assert process.stdout is not None
        # Up to a random step, then a random moment after it: inside steps, writes and renames alike.
        for line in process.stdout:
            done = int(line)
            if done >= total * (landed + rng.random()) / (kills + 1):
                break
        time.sleep(rng.random() * 0.005)
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL, "it was to be killed before it finished"
        landed += 1
    process = start(folder, out, epochs)
    process.communicate()
    assert process.returncode == 0
    expected, found = load_checkpoint(tmp_path / "whole.safetensors"), load_checkpoint(out)
    assert list(expected.tensors) == list(found.tensors)
    for name, array in expected.tensors.items():
        assert np.array_equal(array, found.tensors[name], equal_nan=True), name


def test_killed_three_times(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=3, epochs=6)


@pytest.mark.slow
def test_killed_ten_times(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=10, epochs=30)
