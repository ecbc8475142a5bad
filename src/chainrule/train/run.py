"""A run from its configuration: data, network, training, test, and a folder that holds all of it.

    config.toml          every option, and facts for the reader
    preprocessor.json    how raw rows become inputs, and outputs become answers
    metrics.csv          one line per epoch
    checkpoints/         the newest two states, to resume from
    model.safetensors    the trained network
    summary.json         the result, as ``--json`` prints it
    report.html          the report

The rows of train, validation and test do not depend on the seed, so that runs with different seeds compare.
Does not do: anything a user's own script would: see ``fit``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import data, nn
from chainrule.base import trees
from chainrule.base.errors import OptionError, TrainingError
from chainrule.nn.layers import layers_of
from chainrule.train.checkpoint import save as save_checkpoint
from chainrule.train.config import RunConfig
from chainrule.train.files import (
    cannot_write,
    check_writable,
    is_leftover,
    make_folder,
    remove_leftovers,
    write_atomic,
)
from chainrule.train.fit import FitResult, fit
from chainrule.train.history import History
from chainrule.train.options import Callback, EarlyStopping, EpochEnd
from chainrule.train.report import Evaluation, Mistake, Report, render
from chainrule.train.step import evaluate, four_arguments

Array = NDArray[Any]
Json = dict[str, Any]

_SPLIT_SEED = 0
_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a run ends with: the model, what ``fit`` returned, and the summary that ``--json`` prints."""

    model: nn.MLP
    fit: FitResult
    summary: Json
    folder: Path


def load_data(config: RunConfig, *, download: bool = False, progress: Callable[..., None] | None = None) -> data.Splits:
    """The rows of the run's task.  Raises :class:`DataError` when they can't be read."""
    if config.task == "digits":
        return data.digits(seed=_SPLIT_SEED, validation=config.validation)
    if config.data is None:
        raise OptionError(
            f"the task {config.task} needs data", expected="--data DIR, the folder of the four IDX files",
            got="no --data", fix="pass --data DIR; with --download the files are fetched into it",
        )  # fmt: skip
    if config.task == "mnist":
        return data.mnist(
            config.data, validation=config.validation, seed=_SPLIT_SEED, download=download, progress=progress
        )
    problem: Any = config.problem  # one of two words, which RunConfig has checked
    return data.table(config.data, config.target, validation=config.validation, seed=_SPLIT_SEED, task=problem)


def output_size(splits: data.Splits) -> int:
    """The number of outputs of a network for these rows: the classes, or the target columns."""
    if splits.train.task == "classification":
        return len(splits.train.classes)
    return 1 if splits.train.y.ndim == 1 else int(splits.train.y.shape[1])


def make_model(config: RunConfig, inputs: int, outputs: int) -> nn.MLP:
    """The network of ``config``, its weights drawn from its seed."""
    rng = np.random.default_rng(config.seed)
    sizes = (inputs, *config.hidden, outputs)
    return nn.MLP.init(sizes, activation=config.activation, dropout=config.dropout, rng=rng)


def task_functions(task: str, outputs: int, scale: Any, label_smoothing: float) -> tuple[Any, Any, str, Any]:
    """Loss with key, forward pass, the metric's name and the metric, for a task; ``scale`` is the target's unit."""
    if task == "classification":
        return (
            lambda model, x, y, key: nn.cross_entropy(model(x, key=key), y, label_smoothing=label_smoothing),
            lambda model, x: model(x),
            "accuracy",
            nn.accuracy,
        )
    # One number per row is a column of outputs that targets of shape (n,) know nothing of.
    single = outputs == 1

    def shaped(y: Any) -> Any:
        return y[:, 0] if single else y

    return (
        lambda model, x, y, key: nn.mse(shaped(model(x, key=key)), y),
        lambda model, x: shaped(model(x)),
        "rmse",
        lambda prediction, y: nn.rmse(prediction * scale, y * scale),
    )


def start(
    config: RunConfig, splits: data.Splits, folder: Path, *, quiet: bool = False,
    callbacks: tuple[Callback, ...] = (), diagnose: int | None = None,
) -> RunResult:  # fmt: skip
    """Train on ``splits``, as :func:`load_data` gives them, into ``folder``, which must be new or empty.

    ``diagnose``: measure every so many steps why the network learns or does not, as ``fit`` does.
    Raises :class:`TrainingError` when it is not, or can't be written, and all that ``fit`` raises.
    """
    if config.label_smoothing and splits.train.task == "regression":
        raise OptionError(
            "--label-smoothing has no use for a regression", expected="a target of classes, or --label-smoothing 0",
            got=f"numbers in {', '.join(splits.preprocessor.target.names)}", fix="leave --label-smoothing out",
        )  # fmt: skip
    check_new(folder)
    make_folder(folder)
    check_writable(folder)
    # First, because a folder with a configuration is one that can be resumed.
    config.save(folder / "config.toml", {"facts": {"inputs": _inputs(splits), "outputs": output_size(splits)}})
    return _run(config, splits, folder, quiet=quiet, callbacks=callbacks, diagnose=diagnose)


def check_new(folder: Path) -> None:
    """Raise :class:`TrainingError` unless ``folder`` does not exist or is empty."""
    if folder.exists() and (not folder.is_dir() or any(not is_leftover(entry) for entry in folder.iterdir())):
        raise TrainingError(
            "the output folder already exists", expected="a new or empty folder",
            got="a folder with files" if folder.is_dir() else "a file", where=folder,
            fix="add --resume to go on with the run in it, or choose another --out",
        )  # fmt: skip


def resume(
    folder: Path, *, epochs: int | None = None, quiet: bool = False, callbacks: tuple[Callback, ...] = (),
    diagnose: int | None = None,
) -> RunResult:  # fmt: skip
    """Go on with the run in ``folder`` from its newest checkpoint; ``epochs`` replaces how many there shall be.

    Raises :class:`CheckpointError` when there is no run, and all that :func:`start` raises.
    """
    config = RunConfig.load(folder / "config.toml")
    if epochs is not None and epochs != config.epochs:
        config = dataclasses.replace(config, epochs=epochs)
    splits = load_data(config)
    check_writable(folder)
    remove_leftovers(folder)
    if epochs is not None:
        config.save(folder / "config.toml", {"facts": {"inputs": _inputs(splits), "outputs": output_size(splits)}})
    return _run(config, splits, folder, quiet=quiet, callbacks=callbacks, diagnose=diagnose)


def _inputs(splits: data.Splits) -> int:
    return int(splits.train.x.shape[1])


def _run(
    config: RunConfig, splits: data.Splits, folder: Path, *, quiet: bool, callbacks: tuple[Callback, ...],
    diagnose: int | None,
) -> RunResult:  # fmt: skip
    if not (folder / "preprocessor.json").exists():
        write_atomic(folder / "preprocessor.json", json.dumps(splits.preprocessor.to_dict(), indent=1))
    outputs = output_size(splits)
    model = make_model(config, _inputs(splits), outputs)
    scale = 1.0 if outputs > 1 else splits.preprocessor.target_scale
    loss, forward, metric, measure = task_functions(splits.train.task, outputs, scale, config.label_smoothing)
    rate = config.make_schedule(data.batch_count(len(splits.train), config.batch_size))
    log = _MetricsFile(folder / "metrics.csv")
    with one_blas_thread():
        result = fit(
            model,
            loss if config.dropout else _without_key(loss),
            splits,
            optimizer=config.make_optimizer(rate),
            learning_rate=rate,
            epochs=config.epochs,
            batch_size=config.batch_size,
            rng=config.seed,
            metrics={metric: measure},
            forward=forward,
            early_stopping=EarlyStopping(config.patience) if config.patience and len(splits.validation) else None,
            callbacks=(log.append, *callbacks),
            checkpoint=folder / "checkpoints",
            resume=True,
            progress=not quiet,
            diagnose=diagnose,
        )
    log.rewrite(result.history)
    trained: nn.MLP = result.model
    evaluated = _evaluate(trained, loss, forward, {metric: measure}, splits)
    summary = _summary(config, folder, trained, result, metric, evaluated)
    info = {"sizes": list(trained.sizes), "activation": config.activation, "dropout": config.dropout}
    save_checkpoint(folder / "model.safetensors", {"model": trained}, info)
    write_atomic(folder / "report.html", render(_report(config, splits, trained, result, metric, evaluated, summary)))
    write_atomic(folder / "summary.json", json.dumps(summary, indent=1))
    return RunResult(trained, result, summary, folder)


def one_blas_thread() -> contextlib.AbstractContextManager[object]:
    """A context in which NumPy's matrix products use one thread.

    The order in which a product is summed depends on the number of threads, and with it the last bits of every
    weight: a run must not end elsewhere because it was resumed on fewer cores.  The products of these networks are
    too small to gain from more.
    """
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types
    except ImportError:  # comes with scikit-learn; without it the promise holds for a fixed number of threads
        return contextlib.nullcontext()
    limits: contextlib.AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def _without_key(loss: Any) -> Any:
    return lambda model, x, y: loss(model, x, y, None)


def _evaluate(model: nn.MLP, loss: Any, forward: Any, metrics: Any, splits: data.Splits) -> tuple[float, float, Array]:
    """Loss, metric and outputs on the test rows."""
    if not len(splits.test):
        return math.nan, math.nan, np.zeros((0, output_size(splits)), np.float32)
    whole = four_arguments(loss)

    def evaluation(model: nn.MLP, x: Array, y: Array) -> Any:
        return whole(model, x, y, None), forward(model, x)

    value, measured, outputs = evaluate(evaluation, model, splits.test.x, splits.test.y, metrics)
    return value, next(iter(measured.values())), outputs


def _summary(
    config: RunConfig,
    folder: Path,
    model: nn.MLP,
    result: FitResult,
    metric: str,
    evaluated: tuple[float, float, Array],
) -> Json:
    last = result.history[(result.best_epoch or len(result.history)) - 1]
    speed = result.steps_per_second or result.steps / max(result.seconds, 1e-9)
    return {
        "task": config.task if config.data is None or config.task != "table" else Path(config.data).name,
        "parameters": nn.parameter_count(model),
        "epochs": len(result.history),
        "steps": result.steps,
        "train_loss": last.train_loss,
        f"train_{metric}": last.train_metrics[metric],
        "validation_loss": last.validation_loss,
        f"validation_{metric}": last.validation_metrics.get(metric),
        "test_loss": evaluated[0],
        f"test_{metric}": evaluated[1],
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(speed, 1),
        "stopped": result.stopped,
        "seed": config.seed,
        "run_dir": str(folder),
    }


class _MetricsFile:
    """metrics.csv: a line appended per epoch, rewritten from the history when the file does not continue it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = -1

    def append(self, end: EpochEnd) -> None:
        lines = end.history.to_csv().splitlines(keepends=True)
        if self._lines != len(lines) - 1:
            # The first epoch of this process: what stands in the file may be cut off or ahead of the checkpoint.
            self.rewrite(end.history)
        else:
            try:
                with open(self._path, "a", encoding="utf-8") as stream:
                    stream.write(lines[-1])
            except OSError as problem:
                raise cannot_write(self._path, problem) from problem
        self._lines = len(lines)

    def rewrite(self, history: History) -> None:
        write_atomic(self._path, history.to_csv())


def _report(
    config: RunConfig, splits: data.Splits, model: nn.MLP, result: FitResult, metric: str,
    evaluated: tuple[float, float, Array], summary: Json,
) -> Report:  # fmt: skip
    test_loss, test_metric, outputs = evaluated
    classes = splits.test.classes
    target = ", ".join(splits.preprocessor.target.names)
    if splits.test.task == "classification":
        truth, prediction = splits.test.y, outputs.argmax(axis=-1)
        shown = f"{test_metric:.2%}"
    else:
        truth = splits.preprocessor.target_inverse(splits.test.y)
        prediction = splits.preprocessor.target_inverse(outputs)
        shown = f"{test_metric:,.5g}" if test_metric < 1e5 else f"{test_metric:,.0f}"
    tested = len(splits.test) > 0
    headline = [
        (f"test {metric}" if metric != "rmse" else "test RMSE", shown if tested else "no test rows"),
        ("test loss", f"{test_loss:.4g}" if tested else "no test rows"),
        ("parameters", f"{summary['parameters']:,}"),
        ("epochs", str(summary["epochs"])),
        ("seconds", f"{summary['seconds']:.1f}"),
        ("steps a second", f"{summary['steps_per_second']:,.0f}"),
    ]
    settings = [
        (name.replace("_", " "), _text(value))
        for name, value in dataclasses.asdict(config).items()
        if value is not None
    ]
    sizes = " → ".join(str(size) for size in model.sizes)
    leaves = trees.leaves(model)
    layers = [
        (path, nn.describe(layer), sum(int(leaves[i].size) for i in indices))
        for (path, indices), layer in zip(layers_of(model).items(), model.layers, strict=True)
    ]
    rows = f"{len(splits.train):,} train, {len(splits.validation):,} validation and {len(splits.test):,} test rows"
    return Report(
        title=f"{splits.name}: {target}" if config.task == "table" else splits.name,
        subtitle=f"A network {sizes} ({config.activation}), trained on {rows}",
        headline=headline,
        settings=settings,
        layers=layers,
        history=result.history,
        evaluation=Evaluation(truth, prediction, classes, target, _mistakes(splits, outputs, truth, prediction)),
        metric=metric,
        best_epoch=result.best_epoch,
        notes=splits.preprocessor.notes,
        loss_note=_smoothing_note(config.label_smoothing, len(classes)),
    )


def _smoothing_note(share: float, classes: int) -> str:
    """What the loss is at its best when labels are smoothed: the entropy of a smoothed label."""
    if not share:
        return ""
    other = share / classes
    right = 1 - share + other
    least = -right * math.log(right) - (classes - 1) * other * math.log(other)
    return f"Labels are smoothed by {share:g}, so the loss of a perfect network is {least:.3f}, not 0."


def _text(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, (tuple, list)) else str(value)


def _mistakes(splits: data.Splits, outputs: Array, truth: Array, prediction: Array) -> list[Mistake]:
    """The wrong predictions of which the network is surest, or the largest errors."""
    test = splits.test
    if test.task == "classification":
        probability = nn.activations["softmax"](outputs.astype(np.float64))
        sure = probability[np.arange(len(outputs)), prediction]
        wrong = np.flatnonzero(prediction != truth)
        chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES]
        measures = [f"{sure[i]:.1%} sure" for i in chosen]
        texts = [(test.classes[int(truth[i])], test.classes[int(prediction[i])]) for i in chosen]
    elif truth.ndim == 1:
        error = prediction - truth
        chosen = np.argsort(-np.abs(error), kind="stable")[: _MISTAKES // 2]
        measures = [f"{error[i]:+,.4g}" if abs(error[i]) < 1e4 else f"{error[i]:+,.0f}" for i in chosen]
        texts = [(f"{truth[i]:,.6g}", f"{prediction[i]:,.6g}") for i in chosen]
    else:
        return []
    images: list[Any] = [None] * len(chosen)
    rows: list[Any] = [None] * len(chosen)
    if test.image_shape is not None:
        images = list(data.pictures(test, chosen, splits.preprocessor))
    elif isinstance(splits.preprocessor, data.TablePreprocessor):
        rows = data.describe_rows(test, chosen, splits.preprocessor)
    return [
        Mistake(int(i), *text, measure, image, row)
        for i, text, measure, image, row in zip(chosen, texts, measures, images, rows, strict=True)
    ]
