"""The training loop: epochs of shuffled batches, validation, early stopping, checkpoints, resume to the same bits.

Everything random is a pure function of the seed: the order of epoch k of (seed, k), the key of step s of (seed, s).
So the state of a run is its weights, the optimizer's state, a few counters and the history, which is what a
checkpoint holds; a run that is killed at any instant and resumed ends with the bits of the run that was not.

The bits of a matrix product also depend on how many threads NumPy's BLAS uses: keep that number, as the command
line does.

Does not do: several devices, data larger than memory, learning rates that react to the validation loss.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import random
from chainrule.base import trees
from chainrule.base.errors import CheckpointError, OptionError, TrainingError
from chainrule.data import permutation
from chainrule.nn.layers import layers_of
from chainrule.optim import Optimizer, adam
from chainrule.train.checkpoint import Checkpoint, CheckpointFolder, content_hash
from chainrule.train.history import EpochRecord, History
from chainrule.train.interrupt import InterruptFlag, TrainingInterrupted
from chainrule.train.monitor import Monitor, make_monitor
from chainrule.train.options import Array, Callback, EarlyStopping, EpochEnd, OnStep, StepEnd, training_rows, whole
from chainrule.train.progress import Progress
from chainrule.train.replay import Replay, explain
from chainrule.train.step import (
    Forward,
    Loss,
    Metric,
    check_finite,
    evaluate,
    four_arguments,
    make_evaluation,
    make_step,
    takes_key,
)
from chainrule.train.together import Together

# Metrics on the training rows are taken from at most about this many of them: an even sample costs less than an epoch.
_METRIC_ROWS = 10_000


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What ``fit`` returns.

    ``model``: the trained model (the best one when early stopping or ``restore_best`` asked for it).
    ``stopped``: ``"epochs"``, ``"early"``, ``"callback"`` or ``"interrupted"``.  ``best_epoch``: counted from 1, None
    when nothing was monitored.  ``steps``: all since the start; ``seconds``: all time in training, resumed parts
    included.  ``steps_per_second``: those of this call, validation and checkpoints left out.
    """

    model: Any
    optimizer_state: Any
    history: History
    stopped: str
    best_epoch: int | None
    steps: int
    seconds: float
    steps_per_second: float
    seed: int
    checkpoint: Path | None
    monitor: Monitor | None = dataclasses.field(default=None, repr=False, compare=False)

    @functools.cached_property
    def diagnosis(self) -> Any:
        """The report of ``fit(..., diagnose=n)``; None where none was asked for, or no step was measured."""
        return None if self.monitor is None else self.monitor.report()


@dataclasses.dataclass
class _State:
    """All of a run that changes."""

    model: Any
    optimizer_state: Any
    norm_sums: Array
    epoch: int = 0  # whole epochs done
    batch: int = 0  # batches done of the epoch after those
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0  # of the epoch that is not whole
    history: History = dataclasses.field(default_factory=History)
    best_model: Any = None
    best_epoch: int | None = None
    best_value: float | None = None
    waited: int = 0

    def groups(self) -> dict[str, Any]:
        groups = {"model": self.model, "optimizer": self.optimizer_state, "progress": self.norm_sums}
        return groups if self.best_model is None else groups | {"best": self.best_model}

    def counters(self) -> dict[str, Any]:
        names = ("epoch", "batch", "step", "loss_sum", "seconds", "best_epoch", "best_value", "waited")
        return {name: getattr(self, name) for name in names} | {"history": self.history.to_list()}

    def restore(self, saved: Checkpoint) -> None:
        counters = dict(saved.info["state"])
        history = History.from_list(counters.pop("history"))
        model, optimizer_state = saved.tree("model", self.model), saved.tree("optimizer", self.optimizer_state)
        self.best_model = saved.tree("best", self.model) if "best" in saved.groups else None
        self.norm_sums = saved.tree("progress", self.norm_sums)
        self.model, self.optimizer_state, self.history = model, optimizer_state, history
        for name, value in counters.items():
            setattr(self, name, value)


def fit(
    model: Any,
    loss: Loss,
    data: Any,
    *,
    optimizer: Optimizer | None = None,
    learning_rate: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    rng: int | np.random.Generator = 0,
    validation: Any = None,
    metrics: Mapping[str, Metric] | None = None,
    forward: Forward | None = None,
    early_stopping: EarlyStopping | int | None = None,
    restore_best: bool = False,
    callbacks: Sequence[Callback] = (),
    on_step: OnStep | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: bool = True,
    diagnose: int | None = None,
) -> FitResult:
    """Train ``model`` to make ``loss`` small on ``data``.

    ``model``: a tree of float arrays, such as a :mod:`chainrule.nn` module; it is copied, never changed.
    ``loss``: ``loss(model, x, y)`` or ``loss(model, x, y, key)``, the mean over the rows, a scalar; with a key it is
    for dropout, and None when the model is evaluated.
    ``data``: a Dataset, Splits (whose validation rows are then used), or arrays ``(x, y)`` of shapes (n, …).
    ``optimizer``: of :mod:`chainrule.optim`; Adam when None.  ``learning_rate``: a number or a function of the step;
    what Adam uses (1e-3 when None), and what the history records for an optimizer of your own.
    ``rng``: a seed, or a NumPy Generator from which one is drawn.
    ``validation``: rows ``(x, y)`` or a Dataset, or the fraction of the rows of ``data`` to hold out.
    ``metrics``: name → ``metric(outputs, y)`` on all rows at once, outputs being ``forward(model, x)``, by default
    ``model(x)``.
    ``early_stopping``: an :class:`EarlyStopping`, or a patience in epochs; it restores the best model.
    ``restore_best``: return the model of the lowest validation loss without stopping early.
    ``callbacks``: called with an :class:`EpochEnd` after each epoch; training ends when one returns True.
    ``on_step``: called with a :class:`StepEnd` after each step.
    ``checkpoint``: the folder to save in after each epoch, and every ``checkpoint_every`` steps; with ``resume``
    training goes on from the newest checkpoint in it, or starts when there is none.
    ``diagnose``: measure why the model learns or does not, every so many steps or a few more (at the first step of an
    epoch, or of an even part of one); the result's ``diagnosis`` is then a :class:`chainrule.diagnose.Report`.
    Nothing of the training changes, and without it nothing is measured.

    Raises :class:`TrainingError` when the loss, a gradient or a weight is no longer finite (naming step and layer), or
    when the folder can't be written; :class:`CheckpointError` when the checkpoint is damaged, of another architecture
    or of other data; :class:`OptionError` and :class:`DataError` for arguments that can't be used;
    :class:`TrainingInterrupted`, a KeyboardInterrupt, after Ctrl-C, once the state is saved.
    """
    whole("epochs", epochs, 1)
    whole("batch_size", batch_size, 1)
    if checkpoint_every is not None:
        whole("checkpoint_every", checkpoint_every, 1)
    if diagnose is not None:
        whole("diagnose", diagnose, 1)
    _check_model(model)
    if isinstance(early_stopping, (int, np.integer)):
        early_stopping = EarlyStopping(early_stopping)
    watch = early_stopping or (EarlyStopping(2**31) if restore_best else None)
    folder = None if checkpoint is None else CheckpointFolder(checkpoint)
    saved = _saved(folder, resume)
    seed = _seed(rng, saved)
    train, held_out = training_rows(data, validation, seed)
    if watch is not None and held_out is None and watch.monitor.startswith("validation"):
        raise OptionError(
            "there is nothing to monitor",
            expected=f"validation rows, for {watch.monitor}",
            got="validation=None",
            where="fit",
            fix="pass validation=0.1, or EarlyStopping(…, monitor='train_loss')",
        )

    rate = 1e-3 if learning_rate is None and optimizer is None else learning_rate
    layers = list(layers_of(model))
    model = trees.map(np.array, model)
    chosen = adam(rate) if optimizer is None else optimizer
    state = _State(model, trees.map(np.array, chosen.init(model)), np.zeros(len(layers)))
    recipe: dict[str, Any] = {"seed": seed, "batch_size": int(batch_size), "rows": len(train[0]), "data": None}
    if folder is not None:
        recipe["data"] = content_hash(train)
    if saved is not None:
        _check_recipe(saved, recipe)
        state.restore(saved)

    loop = _Loop(
        state=state, loss=loss, optimizer=chosen, rate=rate, train=train, held_out=held_out,
        metrics=dict(metrics or {}), forward=forward or _call, layers=layers, seed=seed, batch_size=int(batch_size),
        epochs=int(epochs), watch=watch, folder=folder, every=checkpoint_every, recipe=recipe,
        callbacks=tuple(callbacks), on_step=on_step, last_saved=None if saved is None else saved.path,
        monitor=None if diagnose is None else make_monitor(int(diagnose), loss, chosen, int(batch_size)),
    )  # fmt: skip
    # A diverging step is reported by check_finite, in words; NumPy's warnings would only come before it.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        return loop.run(progress)


@dataclasses.dataclass
class _Loop:
    """The parts of a run that stay, and the loop over them."""

    state: _State
    loss: Loss
    optimizer: Optimizer
    rate: Any
    train: tuple[Array, Array]
    held_out: tuple[Array, Array] | None
    metrics: dict[str, Metric]
    forward: Forward
    layers: list[str]
    seed: int
    batch_size: int
    epochs: int
    watch: EarlyStopping | None
    folder: CheckpointFolder | None
    every: int | None
    recipe: dict[str, Any]
    callbacks: tuple[Callback, ...]
    on_step: OnStep | None
    last_saved: Path | None
    monitor: Monitor | None = None
    last_saved_step: int = -1
    _last_loss: float = float("nan")
    steps_here: int = 0
    seconds_here: float = 0.0
    replay: Replay = dataclasses.field(default_factory=Replay)

    def run(self, show_progress: bool) -> FitResult:
        state = self.state
        loss = four_arguments(self.loss)
        step = make_step(loss, self.optimizer)
        evaluation = make_evaluation(loss, self.forward)
        keyed = takes_key(self.loss)
        root = random.key(self.seed)
        batches = -(-len(self.train[0]) // self.batch_size)
        whole_batches = len(self.train[0]) // self.batch_size
        looks = None if self.monitor is None else self.monitor.every
        together = Together(step, whole_batches, self.every, looks, self.on_step is None)
        bar = Progress(enabled=show_progress, epochs=self.epochs, steps_per_epoch=batches, done=state.step)
        stopped = self._stop_reason()
        if stopped is None and self.last_saved is None:
            self._save()
        with InterruptFlag() as interrupt, bar:
            while stopped is None:
                began = time.perf_counter() - state.seconds
                order = permutation(len(self.train[0]), self.seed, state.epoch)
                while state.batch < batches:
                    before = time.perf_counter()
                    if together.starts(state.batch):
                        self._look(order, root if keyed else None)
                    start = time.perf_counter()
                    if together.fits(state.step, state.batch):
                        self._steps(together, order, root if keyed else None)
                    else:
                        self._step(step, order, random.fold_in(root, state.step) if keyed else None)
                        together.took(time.perf_counter() - start)
                    self.seconds_here += time.perf_counter() - before
                    bar.step(state.step, self._last_loss)
                    state.seconds = time.perf_counter() - began
                    if interrupt.raised:
                        break
                    if self.every and state.step % self.every == 0 and state.batch < batches:
                        self._save()
                if state.batch == batches:
                    asked = self._end_epoch(evaluation, began, bar)
                    stopped = self._stop_reason() or ("callback" if asked else None)
                if interrupt.raised:
                    self._interrupted()
        return self._result(stopped or "epochs")

    def _look(self, order: Array, root: Any) -> None:
        """Let the monitor look at the step that comes next, where it is time to."""
        state = self.state
        if self.monitor is not None and self.monitor.due(state.step):
            x, y = self._rows(order)
            key = None if root is None else random.fold_in(root, state.step)
            self.monitor.look(state.step, state.model, state.optimizer_state, x, y, key)

    def _rows(self, order: Array) -> tuple[Array, Array]:
        at = order[self.state.batch * self.batch_size : (self.state.batch + 1) * self.batch_size]
        return self.train[0][at], self.train[1][at]

    def _step(self, step: Any, order: Array, key: Any) -> None:
        state = self.state
        x, y = self._rows(order)
        self.replay.keep(state.step, state.model, state.optimizer_state)
        state.model, state.optimizer_state, loss, norms, sums = step(state.model, state.optimizer_state, x, y, key)
        value, norms, sums = float(loss), np.array(norms, dtype=np.float64), np.asarray(sums)
        self._check(step, value, norms, sums, x, y)
        self._count([value], norms[None], len(x))
        if self.on_step is not None:
            by_layer = dict(zip(self.layers, norms.tolist(), strict=True))
            self.on_step(StepEnd(state.epoch + 1, state.step, value, by_layer, state.model))

    def _steps(self, together: Together, order: Array, root: Any) -> None:
        """Many steps in one native call; the same bits as one by one."""
        state, size = self.state, self.batch_size
        low = state.batch * size
        rows = order[low : low + together.count * size].reshape(together.count, size)
        self.replay.keep(state.step, state.model, state.optimizer_state)
        state.model, state.optimizer_state, losses, norms, sums = together.run(
            state.model, state.optimizer_state, *self.train, rows, state.step, root
        )
        good = together.count
        if not (np.isfinite(losses).all() and np.isfinite(norms).all() and np.isfinite(sums).all()):
            good = int(np.argmin(np.isfinite(losses) & np.isfinite(norms).all(1) & np.isfinite(sums).all(1)))
        norms = np.asarray(norms, np.float64)
        self._count(losses[:good].tolist(), norms[:good], size)
        if good < together.count:
            x, y, _ = self._batch(state.step)
            self._check(together.step, float(losses[good]), norms[good], sums[good], x, y)

    def _count(self, losses: list[float], norms: Array, rows: int) -> None:
        """Take steps into account: their losses and, for each, the gradient norms of all layers."""
        state = self.state
        state.step += len(losses)
        state.batch += len(losses)
        for value in losses:
            state.loss_sum += value * rows
        state.norm_sums = np.add.accumulate(np.vstack([state.norm_sums, norms]))[-1]  # in order, as one by one
        self.steps_here += len(losses)
        self._last_loss = losses[-1] if losses else self._last_loss

    def _check(self, step: Any, value: float, norms: Array, sums: Array, x: Array, y: Array) -> None:
        """Raise TrainingError, with what made it so, unless the step on ``x`` and ``y`` is finite."""
        state = self.state
        kept = "no checkpoint was asked for" if self.last_saved is None else f"the last good state is {self.last_saved}"
        place = f"step {state.step + 1} (epoch {state.epoch + 1}, batch {state.batch + 1})"
        try:
            check_finite(value, norms, sums, x, y, layers=self.layers, place=place, kept=kept)
        except TrainingError as error:
            self._explain(error, step)
            if self.monitor is not None:
                for verdict in getattr(self.monitor.report(), "verdicts", ()):
                    error.add_note(f"diagnosis: {verdict}")
            raise

    def _explain(self, error: TrainingError, step: Any) -> None:
        """Add to ``error`` what made the step that just ran not finite."""

        def again(number: int, model: Any, optimizer_state: Any) -> tuple[Any, Any]:
            done = step(model, optimizer_state, *self._batch(number))
            return done[0], done[1]

        number = self.state.step
        model = self.replay.model_before(number, again)
        explain(error, self.loss, model, *self._batch(number))

    def _batch(self, number: int) -> tuple[Array, Array, Any]:
        """Rows, targets and key of step ``number``, counted from 0."""
        epoch, batch = divmod(number, -(-len(self.train[0]) // self.batch_size))
        at = permutation(len(self.train[0]), self.seed, epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]
        key = random.fold_in(random.key(self.seed), number) if takes_key(self.loss) else None
        return self.train[0][at], self.train[1][at], key

    def _end_epoch(self, evaluation: Any, began: float, bar: Progress) -> bool:
        """Validate, record, keep the best, save, tell the callbacks; whether one of them wants to stop."""
        state = self.state
        train_metrics: dict[str, float] = {}
        if self.metrics:
            stride = -(-len(self.train[0]) // _METRIC_ROWS)
            x, y = self.train[0][::stride], self.train[1][::stride]
            _, train_metrics, _ = evaluate(evaluation, state.model, x, y, self.metrics)
        validation_loss: float | None = None
        validation_metrics: dict[str, float] = {}
        if self.held_out is not None:
            validation_loss, validation_metrics, _ = evaluate(evaluation, state.model, *self.held_out, self.metrics)
        mean_norms = (state.norm_sums / state.batch).tolist()
        record = EpochRecord(
            epoch=state.epoch + 1,
            step=state.step,
            train_loss=state.loss_sum / len(self.train[0]),
            train_metrics=train_metrics,
            validation_loss=validation_loss,
            validation_metrics=validation_metrics,
            learning_rate=_rate_at(self.rate, state.step - 1),
            gradient_norms=dict(zip(self.layers, mean_norms, strict=True)),
            seconds=time.perf_counter() - began,
        )
        state.history = state.history.with_record(record)
        state.epoch, state.batch, state.loss_sum, state.seconds = state.epoch + 1, 0, 0.0, 0.0
        state.norm_sums = np.zeros_like(state.norm_sums)
        if self.watch is not None:
            value = self.watch.value(record)
            state.waited += 1
            if self.watch.improved(value, state.best_value):
                state.best_value, state.best_epoch, state.waited = value, record.epoch, 0
                state.best_model = trees.map(np.array, state.model)
        self._save()
        bar.epoch(record)
        end = EpochEnd(record, state.history, state.model, self.last_saved)
        asked = [callback(end) for callback in self.callbacks]  # each is called, whatever the first says
        return any(asked)

    def _stop_reason(self) -> str | None:
        if self.watch is not None and self.state.waited >= self.watch.patience:
            return "early"
        return "epochs" if self.state.epoch >= self.epochs else None

    def _save(self) -> None:
        if self.folder is not None and self.state.step != self.last_saved_step:
            info = {"recipe": self.recipe, "state": self.state.counters()}
            self.last_saved = self.folder.save(self.state.step, self.state.groups(), info)
            self.last_saved_step = self.state.step

    def _interrupted(self) -> None:
        place = f"interrupted at step {self.state.step} (epoch {min(self.state.epoch + 1, self.epochs)})"
        self._save()
        if self.folder is None:
            message = f"{place}; nothing was saved: pass checkpoint=FOLDER to fit to be able to resume"
        else:
            message = f"{place}; saved to {self.last_saved}: call fit again with resume=True to go on"
        raise TrainingInterrupted(message, self._result("interrupted"), self.last_saved)

    def _result(self, stopped: str) -> FitResult:
        state = self.state
        final = state.best_model if self.watch is not None and state.best_model is not None else state.model
        return FitResult(
            model=final,
            optimizer_state=state.optimizer_state,
            history=state.history,
            stopped=stopped,
            best_epoch=state.best_epoch,
            steps=state.step,
            seconds=sum(record.seconds for record in state.history) + state.seconds,
            steps_per_second=self.steps_here / self.seconds_here if self.seconds_here else 0.0,
            seed=self.seed,
            checkpoint=self.last_saved,
            monitor=self.monitor,
        )


def _call(model: Any, x: Any) -> Any:
    return model(x)


def _rate_at(rate: Any, step: int) -> float | None:
    if rate is None:
        return None
    return float(rate(np.int64(step))) if callable(rate) else float(rate)


def _check_model(model: Any) -> None:
    leaves = trees.leaves(model)
    for path, leaf in zip(trees.paths(model), leaves, strict=True):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or np.dtype(dtype).kind != "f":
            raise OptionError(
                "the model has a parameter that can't be trained",
                expected="NumPy arrays of float32 or float64",
                got=f"{type(leaf).__name__}{'' if dtype is None else f' of {dtype}'}",
                where=f"fit, model, {path or 'the model itself'}",
                fix="use np.asarray(value, dtype=np.float32), or make it a static field",
            )
    if not leaves:
        raise OptionError(
            "the model has no parameters", expected="a tree with at least one float array", got=type(model).__name__,
            where="fit, model", fix="pass a chainrule.nn module, or a dict or list of arrays",
        )  # fmt: skip


def _saved(folder: CheckpointFolder | None, resume: bool) -> Checkpoint | None:
    if folder is None:
        if resume:
            raise OptionError(
                "there is nothing to resume from", expected="checkpoint=FOLDER together with resume=True",
                got="checkpoint=None", where="fit", fix="pass the folder the first run saved in",
            )  # fmt: skip
        return None
    if resume:
        return folder.latest()
    if folder.files():
        raise TrainingError(
            "the checkpoint folder already holds a run", expected="an empty folder, or resume=True",
            got=f"{len(folder.files())} checkpoints", where=folder.path,
            fix="pass resume=True to go on with it, or another folder",
        )  # fmt: skip
    return None


def _seed(rng: int | np.random.Generator, saved: Checkpoint | None) -> int:
    if isinstance(rng, np.random.Generator):
        return int(saved.info["recipe"]["seed"]) if saved is not None else int(rng.integers(2**63))
    return whole("rng", rng, 0)


def _check_recipe(saved: Checkpoint, recipe: dict[str, Any]) -> None:
    names = {"seed": "seed (rng)", "batch_size": "batch size", "rows": "number of rows", "data": "training data"}
    for name, meaning in names.items():
        if saved.info["recipe"][name] != recipe[name]:
            raise CheckpointError(
                f"the checkpoint is of a run with another {meaning}",
                expected=f"{meaning} {saved.info['recipe'][name]}",
                got=recipe[name],
                where=saved.path,
                fix="resume with the arguments of the first run, or start a new run in another folder",
            )
