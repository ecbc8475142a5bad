"""``chainrule train``: from options to a run folder.

Does not do: networks other than multi-layer perceptrons; those are Python, with ``chainrule.train.fit``.
"""

from __future__ import annotations

import functools
import json
import math
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.base.errors import CheckpointError, DataError, OptionError, TrainingError
from chainrule.cli.report_errors import EXIT_ERROR, EXIT_INTERRUPTED, in_words, note
from chainrule.diagnose import KINDS
from chainrule.nn import activations
from chainrule.optim import optimizers
from chainrule.optim.schedules import schedules
from chainrule.train.config import RunConfig
from chainrule.train.files import make_folder
from chainrule.train.interrupt import TrainingInterrupted
from chainrule.train.run import RunResult, check_new, load_data, resume, start

_RUNS = Path("runs")
_MNIST_FOLDER = Path("data") / "mnist"
_TABLES = (".csv", ".tsv", ".txt", ".npz")
_NETWORK, _TRAINING, _OUTPUT = "The network", "Training", "Output"


def _listed(names: Any) -> str:
    return ", ".join(names)


@in_words
def train(
    task: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK",
            show_default=False,
            help="digits (the default: 1,797 pictures, nothing to download), mnist (with --data), or the path of a "
            "CSV or NPZ table (with --target).",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the four MNIST files, plain or .gz.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch MNIST files that are missing into --data (data/mnist).")
    ] = False,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="Column of the table to predict.")
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            "--problem",
            metavar="KIND",
            help="classification or regression; by default the target column decides.",
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            "--hidden",
            metavar="SIZES",
            rich_help_panel=_NETWORK,
            help='Sizes of the hidden layers, such as 128,64; "none" for a linear model.',
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            "--activation",
            metavar="NAME",
            rich_help_panel=_NETWORK,
            help=f"relu by default; one of: {_listed(activations)}.",
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout", metavar="RATE", rich_help_panel=_NETWORK, help="Share of activations set to 0 in training."
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME",
            rich_help_panel=_TRAINING,
            help=f"adam by default; one of: {_listed(optimizers)}.",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            metavar="RATE",
            rich_help_panel=_TRAINING,
            help="Learning rate; its default depends on the task and the optimizer.",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="NAME",
            rich_help_panel=_TRAINING,
            help=f"How the learning rate changes, cosine by default; one of: {_listed(schedules)}.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", rich_help_panel=_TRAINING, help="Passes over the training rows."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", rich_help_panel=_TRAINING, help="Rows per step."),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            metavar="RATE",
            rich_help_panel=_TRAINING,
            help="Pull of the weights to 0; 0 by default, 0.01 for adamw.",
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            "--label-smoothing",
            metavar="SHARE",
            rich_help_panel=_TRAINING,
            help="Share of each label spread over all classes; 0.1 by default for digits, else 0.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            rich_help_panel=_TRAINING,
            help="Of weights, order of rows and dropout; 0 by default. The split does not depend on it.",
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            "--validation",
            metavar="SHARE",
            rich_help_panel=_TRAINING,
            help="Share of the training rows held out to validate; 0.1 by default.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            metavar="N",
            rich_help_panel=_TRAINING,
            help="Stop after N epochs without a lower validation loss and keep the best network; 0 never stops.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", rich_help_panel=_OUTPUT, help="Run folder; runs/TASK-N if not given."),
    ] = None,
    resume_run: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel=_OUTPUT,
            help="Go on with the run in --out (or the newest in runs/), with its options; only --epochs may be given.",
        ),
    ] = False,
    diagnose: Annotated[
        int | None,
        typer.Option(
            "--diagnose",
            metavar="N",
            rich_help_panel=_OUTPUT,
            help="Measure every N steps why the network learns or does not; writes diagnosis.html and diagnosis.json.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=_OUTPUT, help="Print the result as one last line of JSON.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="No progress, no summary.")
    ] = False,
) -> None:
    """Train a network and write a run folder with its weights, its numbers and a report.

    Ctrl-C saves; --resume goes on to the same result, bit for bit.
    """
    given: dict[str, Any] = {
        "hidden": None if hidden is None else parse_sizes(hidden), "activation": activation, "dropout": dropout,
        "optimizer": optimizer, "learning_rate": lr, "schedule": schedule, "epochs": epochs, "batch_size": batch_size,
        "weight_decay": weight_decay, "seed": seed, "validation": validation, "patience": patience,
        "label_smoothing": label_smoothing, "problem": problem,
    }  # fmt: skip
    # Text about a run goes to stderr when stdout is for a program.
    say = (lambda text: None) if quiet else note if as_json else print
    if resume_run:
        folder = _run_to_resume(out, task)
        fixed = {name: value for name, value in given.items() if name != "epochs"}
        _refuse_with_resume(fixed | {"task": task if out else None, "data": data, "target": target})
        training = functools.partial(resume, folder, epochs=epochs, quiet=quiet, diagnose=diagnose)
    else:
        kind, source = task_and_data(task, data, download, target)
        given |= {"data": source, "target": target}
        config = RunConfig.with_defaults(kind, **given)
        if out is not None:
            check_new(out)
        splits = load_data(config, download=download, progress=None if quiet else _Downloading())
        config = RunConfig.with_defaults(kind, rows=len(splits.train), **given)
        folder = out or _new_folder(_RUNS, Path(source).stem if kind == "table" and source else kind)
        training = functools.partial(start, config, splits, folder, quiet=quiet, diagnose=diagnose)
    try:
        result = training()
    except TrainingInterrupted as stop:
        note(f"\n{str(stop).partition(';')[0]}; saved in {folder}")
        note(f"  to go on: {_resume_command(folder)}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except TrainingError as error:
        if not any(folder.glob("checkpoints/step-*")):
            raise
        note(f"error: {error}\n  the run is kept in {folder}")
        raise typer.Exit(EXIT_ERROR) from None
    for line in (*_summary(result), *_diagnosis(result)):
        say(line)
    if as_json:
        print(json.dumps({name: _json_number(value) for name, value in result.summary.items()}), flush=True)


def _diagnosis(result: RunResult) -> list[str]:
    """The diagnosis of a run written to its folder, and its verdicts as lines of text."""
    report = result.fit.diagnosis
    if report is None:
        return []
    report.to_html(result.folder / "diagnosis.html")
    report.to_json(result.folder / "diagnosis.json")
    return [
        f"diagnosis: {', '.join(KINDS[kind] for kind in report.kinds) or 'healthy'}",
        *map(str, report.verdicts), f"diagnosis: {result.folder / 'diagnosis.html'}",
    ]  # fmt: skip


def parse_sizes(text: str) -> tuple[int, ...]:
    """The sizes of hidden layers, written with commas.  Raises OptionError for anything else."""
    if text.strip().lower() in ("", "none", "0"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            "--hidden can't be read", expected="whole numbers with commas between, such as 128,64", got=repr(text),
            fix="write --hidden 128,64",
        ) from None  # fmt: skip


def task_and_data(task: str | None, data: Path | None, download: bool, target: str | None) -> tuple[str, str | None]:
    """The kind of task, and the absolute path of its data."""
    kind, source = task or "digits", data
    if task is not None and task not in ("digits", "mnist"):
        kind, source = "table", Path(task)
        if not source.suffix and not source.exists():
            raise OptionError(
                "unknown task", expected="digits, mnist, or the path of a CSV or NPZ file", got=repr(task),
                fix="chainrule train digits",
            )  # fmt: skip
        if not source.is_file():
            raise DataError(
                "there is no such table", expected="digits, mnist, or the path of a CSV or NPZ file", got=repr(task),
                where=source.absolute(), fix="check the path",
            )  # fmt: skip
    if kind == "mnist" and source is None and download:
        source = _MNIST_FOLDER
    for name, value, needs in (("--target", target, "table"), ("--data", data, "mnist")):
        if value is not None and kind != needs:
            raise OptionError(
                f"{name} has no use here", expected=f"{name} with {'a table' if needs == 'table' else 'mnist'}",
                got=f"{name} {value} with the task {task or 'digits'}",
                fix=f"leave {name} out, or name the {'file' if needs == 'table' else 'task mnist'} first",
            )  # fmt: skip
    if kind == "digits" or source is None:
        return kind, None
    return kind, str(source.absolute())


def _new_folder(parent: Path, name: str) -> Path:
    """The first of ``name-1``, ``name-2``, … in ``parent`` that does not exist, made now: no other run can take it."""
    make_folder(parent)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
        except OSError:
            make_folder(folder)  # the same failure, in words


def _run_to_resume(out: Path | None, task: str | None) -> Path:
    if out is not None:
        if not out.is_dir():
            raise CheckpointError(
                "there is no run to resume", expected="a folder that chainrule train wrote", got="no such folder",
                where=out, fix="check --out, or leave --resume out to start a run there",
            )  # fmt: skip
        return out
    found = sorted(_RUNS.glob("*/config.toml"), key=lambda path: path.stat().st_mtime)
    name = None if task is None else Path(task).stem
    found = [path for path in found if name is None or path.parent.name.rpartition("-")[0] == name]
    if not found:
        raise CheckpointError(
            "there is no run to resume", expected="a run folder in runs/, or --out DIR",
            got=f"no runs{'' if task is None else ' of ' + task} in {_RUNS.absolute()}", fix="name it: --out DIR",
        )  # fmt: skip
    return found[-1].parent


def _refuse_with_resume(given: dict[str, Any]) -> None:
    names = [
        f"--{'lr' if name == 'learning_rate' else name.replace('_', '-')}" for name in given if given[name] is not None
    ]
    if names:
        raise OptionError(
            "a resumed run keeps the options it was started with",
            expected="no options but --out, --epochs, --json, --quiet", got=", ".join(names),
            fix=f"leave out {', '.join(names)}, or start a new run",
        )  # fmt: skip


def _resume_command(folder: Path) -> str:
    return f"chainrule train --resume --out {shlex.quote(str(folder))}"


class _Downloading:
    """Tells of a download once a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + 1
            note(f"{name}: {done / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB"))


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _summary(result: RunResult) -> list[str]:
    """The result as a few lines of text."""
    summary = result.summary
    metric = "accuracy" if "test_accuracy" in summary else "rmse"

    value, loss = summary[f"test_{metric}"], summary["test_loss"]
    if not math.isfinite(value):
        tested = "not tested: too few rows for a test part"
    elif metric == "accuracy":
        tested = f"test accuracy {value:.2%}, test loss {loss:.4g}"
    else:
        tested = f"test RMSE {value:,.6g}, test loss {loss:.4g}"
    early = f" (stopped early; the best was epoch {result.fit.best_epoch})" if summary["stopped"] == "early" else ""
    return [
        f"{summary['task']}: {' → '.join(map(str, result.model.sizes))}, {summary['parameters']:,} parameters",
        f"{summary['epochs']} epochs{early}, {summary['steps']:,} steps in {summary['seconds']:.1f} s",
        tested,
        f"report: {result.folder / 'report.html'}",
    ]
