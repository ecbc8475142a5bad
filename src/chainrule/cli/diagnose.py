"""``chainrule diagnose``: why a network learns or does not, before a long training or after it.

Does not do: networks other than multi-layer perceptrons; those are Python, with ``cr.diagnose``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.base.errors import CheckpointError, OptionError
from chainrule.cli.report_errors import in_words, note
from chainrule.cli.train import parse_sizes, task_and_data
from chainrule.diagnose.runs import diagnose_run, diagnose_task
from chainrule.train.config import RunConfig
from chainrule.train.run import load_data

_NETWORK, _OUTPUT = "The network and its training", "Output"
_MOST_STEPS = 100_000


@in_words
def diagnose(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN_DIR|TASK",
            show_default=False,
            help="A folder that chainrule train wrote, or a task as for chainrule train: digits (the default), "
            "mnist, or the path of a table.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Steps to train a TASK for; 200 by default.")
    ] = None,
    every: Annotated[
        int | None, typer.Option("--every", metavar="N", help="Look at every N-th step; 10 by default.")
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Try the remedy of the first verdict and show both loss curves.")
    ] = False,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder of the MNIST files.")] = None,
    column: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="Column of the table to predict.")
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option("--hidden", metavar="SIZES", rich_help_panel=_NETWORK, help="Sizes of the hidden layers."),
    ] = None,
    activation: Annotated[
        str | None, typer.Option("--activation", metavar="NAME", rich_help_panel=_NETWORK, help="Of the hidden layers.")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", metavar="NAME", rich_help_panel=_NETWORK, help="adam by default.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="RATE", rich_help_panel=_NETWORK, help="Learning rate.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", rich_help_panel=_NETWORK, help="Rows per step.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", metavar="RATE", rich_help_panel=_NETWORK, help="0 by default.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", rich_help_panel=_NETWORK, help="0 by default.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", rich_help_panel=_OUTPUT, help="Write the report as a page.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", rich_help_panel=_OUTPUT, help="Write pictures (.png, .svg or .pdf)."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", rich_help_panel=_OUTPUT, help="Write a TensorBoard event file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=_OUTPUT, help="Print the report as JSON instead of text.")
    ] = False,
) -> None:
    """Say why a network does not learn: where, since when, and what to do.

    A RUN_DIR is judged by its newest checkpoint; a TASK is trained for a few steps first, nothing of which is kept.
    Exit code 0 whatever is found.
    """
    options: dict[str, Any] = {
        "hidden": None if hidden is None else parse_sizes(hidden), "activation": activation, "optimizer": optimizer,
        "learning_rate": lr, "batch_size": batch_size, "weight_decay": weight_decay, "seed": seed,
    }  # fmt: skip
    if target is not None and Path(target).is_dir():
        _refuse(options | {"steps": steps, "every": every, "data": data, "target": column})
        report = diagnose_run(Path(target))
    else:
        counts = _count("--steps", steps, 200), _count("--every", every, 10)
        report = _task_report(target, data, column, options, *counts)
    print(report.to_json() if as_json else report)
    for path, write in ((html, report.to_html), (plot, report.plot), (tensorboard, report.to_tensorboard)):
        if path is not None:
            write(path)
            note(f"written: {path}")
    if fix:
        _try(report, note if as_json else print)


def _task_report(
    target: str | None, data: Path | None, column: str | None, options: dict[str, Any], steps: int, every: int
) -> Any:
    if target is not None and ("/" in target or "\\" in target) and not Path(target).exists():
        raise CheckpointError(
            "there is no such run and no such table", expected="a folder that chainrule train wrote, or a task",
            got=repr(target), where=Path(target).absolute(), fix="check the path",
        )  # fmt: skip
    kind, source = task_and_data(target, data, False, column)
    given = options | {"data": source, "target": column}
    config = RunConfig.with_defaults(kind, **given)
    splits = load_data(config)
    config = RunConfig.with_defaults(kind, rows=len(splits.train), **given)
    return diagnose_task(config, splits, steps=steps, every=every)


def _try(report: Any, say: Any) -> None:
    if report.healthy:
        say("\nthere is nothing to fix")
        return
    trial = report.fix()
    say("\n" + ("this remedy can't be applied automatically" if trial is None else str(trial)))


def _count(name: str, value: int | None, default: int) -> int:
    if value is not None and not 1 <= value <= _MOST_STEPS:
        raise OptionError(
            f"{name} is out of range", expected=f"a whole number from 1 to {_MOST_STEPS:,}", got=value,
            fix=f"write {name} {default}",
        )  # fmt: skip
    return default if value is None else value


def _refuse(given: dict[str, Any]) -> None:
    names = [f"--{'lr' if n == 'learning_rate' else n.replace('_', '-')}" for n, v in given.items() if v is not None]
    if names:
        raise OptionError(
            "a run keeps the options it was started with", expected="a folder, --fix and options of output",
            got=", ".join(names), fix=f"leave out {', '.join(names)}, or name a task instead of a folder",
        )  # fmt: skip
