"""The configuration of a run: complete, so that a run folder needs nothing else to be resumed or used.

Kept as TOML (https://toml.io), checked value by value when read.  Does not do: nested networks, callbacks, own losses:
those are for ``fit``.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chainrule import optim
from chainrule.base.errors import CheckpointError, OptionError, choose
from chainrule.nn import activations
from chainrule.optim import schedules
from chainrule.train.files import write_atomic

# What --lr is when it is not given: a factor to the task's rate for Adam, from usual practice.
_RATE_FACTORS = {
    "sgd": 50.0, "momentum": 10.0, "nesterov": 10.0, "adagrad": 10.0, "rmsprop": 0.5, "adadelta": 500.0, "adam": 1.0,
    "adamw": 1.0, "adamax": 2.0, "nadam": 1.0, "amsgrad": 1.0,
}  # fmt: skip

TASKS = ("digits", "mnist", "table")
PROBLEMS = ("classification", "regression")

# Per task: the defaults of the options that are not given.
DEFAULTS: dict[str, dict[str, Any]] = {
    # So few pictures are learnt by heart within 10 epochs; smoothed labels halve what that costs on the test rows.
    "digits": {
        "hidden": (256, 128), "label_smoothing": 0.1, "learning_rate": 2e-3, "epochs": 40, "batch_size": 32,
    },
    "mnist": {"hidden": (256, 128), "learning_rate": 2e-3, "epochs": 5, "batch_size": 128},
    # Tables also stop early: how long a network of this size may learn from unknown rows is not known beforehand.
    "table": {"hidden": (128, 64), "learning_rate": 2e-3, "patience": 20},
}  # fmt: skip

_SECTIONS = {
    "run": ("task", "data", "target", "problem", "seed"),
    "network": ("hidden", "activation", "dropout"),
    "training": (
        "optimizer", "learning_rate", "schedule", "weight_decay", "epochs", "batch_size", "validation", "patience",
        "label_smoothing",
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All options of a run.  Raises :class:`OptionError`, which names the option, for a value that can't be used.

    ``task``: ``digits``, ``mnist`` (``data`` is the folder) or ``table`` (``data`` is the file, ``target`` the
    column).  ``problem``: whether a table's target is a class or a quantity; None lets the column decide.
    ``patience``: epochs without a better validation loss before training stops; 0 is never.
    ``label_smoothing``: the share of each label spread over all classes (classification only).
    """

    task: str
    data: str | None
    target: str | None
    problem: str | None
    hidden: tuple[int, ...]
    activation: str
    optimizer: str
    learning_rate: float
    schedule: str
    epochs: int
    batch_size: int
    dropout: float
    weight_decay: float
    seed: int
    validation: float
    patience: int
    label_smoothing: float

    def __post_init__(self) -> None:
        _one_of("task", self.task, TASKS)
        if self.problem is not None:
            _one_of("--problem", self.problem, PROBLEMS)
            if self.task != "table":
                raise OptionError(
                    "--problem is for tables", expected="the path of a CSV or NPZ file",
                    got=f"--problem {self.problem} with {self.task}", fix="leave --problem out",
                )  # fmt: skip
        _one_of("--activation", self.activation, activations)
        _one_of("--optimizer", self.optimizer, optim.optimizers)
        _one_of("--schedule", self.schedule, schedules.schedules)
        for size in self.hidden:
            _number("--hidden", size, "sizes from 1 to 65536, such as 128,64", size == int(size) and 1 <= size <= 65536)
        _number("--lr", self.learning_rate, "a number above 0", self.learning_rate > 0)
        _number("--epochs", self.epochs, "a whole number from 1 up", self.epochs >= 1)
        _number("--batch-size", self.batch_size, "a whole number from 1 up", self.batch_size >= 1)
        _number("--dropout", self.dropout, "a number from 0 to below 1", 0 <= self.dropout < 1)
        _number("--weight-decay", self.weight_decay, "a number from 0 up", self.weight_decay >= 0)
        _number("--seed", self.seed, "a whole number from 0 to 2**63 - 1", 0 <= self.seed < 2**63)
        _number("--validation", self.validation, "a share of the training rows, 0 to below 1", 0 <= self.validation < 1)
        _number("--patience", self.patience, "a whole number from 0 up", self.patience >= 0)
        smoothing = self.label_smoothing
        _number("--label-smoothing", smoothing, "a share from 0 to below 1", 0 <= smoothing < 1)
        if self.patience and not self.validation:
            raise OptionError(
                "--patience needs validation rows", expected="--validation above 0", got="--validation 0",
                fix="leave --patience out, or hold some rows out",
            )  # fmt: skip

    @staticmethod
    def with_defaults(task: str, *, rows: int = 10_000, **given: Any) -> RunConfig:
        """The configuration of ``task`` with the options ``given``; those that are None take the task's default.

        For a table, batch size and epochs depend on the number of training ``rows``.
        """
        _one_of("task", task, TASKS)
        values: dict[str, Any] = {
            "task": task, "data": None, "target": None, "problem": None, "activation": "relu", "optimizer": "adam",
            "schedule": "cosine", "dropout": 0.0, "label_smoothing": 0.0, "seed": 0, "validation": 0.1, "patience": 0,
            **DEFAULTS[task],
        }  # fmt: skip
        values |= {name: value for name, value in given.items() if value is not None}
        if task == "table":
            values.setdefault("batch_size", _batch_size(rows))
            values.setdefault("epochs", _epochs(rows, values["batch_size"]))
        if not values["validation"] and given.get("patience") is None:
            values["patience"] = 0
        if given.get("learning_rate") is None:
            values["learning_rate"] *= _RATE_FACTORS.get(values["optimizer"], 1.0)
        if given.get("weight_decay") is None:
            # Decay is what adamw is for; 0.01 is its usual amount.
            values["weight_decay"] = 0.01 if values["optimizer"] == "adamw" else 0.0
        return RunConfig(**values)

    def to_toml(self, extra: Mapping[str, Mapping[str, Any]] | None = None) -> str:
        """The configuration as TOML text; ``extra`` sections are for the reader and are ignored when read back."""
        import tomli_w

        values = dataclasses.asdict(self)
        content = {
            section: {name: _plain(values[name]) for name in names if values[name] is not None}
            for section, names in _SECTIONS.items()
        }
        return tomli_w.dumps(content | {name: dict(section) for name, section in (extra or {}).items()})

    @staticmethod
    def from_toml(text: str, *, where: object = None) -> RunConfig:
        """The configuration that :meth:`to_toml` wrote.

        Raises :class:`CheckpointError` for text that is no TOML, lacks an option, or has one of the wrong type;
        :class:`OptionError` for values out of range.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise _damaged(where, f"text that is no TOML: {problem}") from problem
        values: dict[str, Any] = {}
        for section, names in _SECTIONS.items():
            for name in names:
                value = content.get(section, {}).get(name)
                if not _TYPES[name](value):
                    raise _damaged(where, f"[{section}] {name} = {value!r}" if value is not None else f"no {name}")
                values[name] = value
        values["hidden"] = tuple(values["hidden"])
        for name in ("learning_rate", "dropout", "weight_decay", "validation", "label_smoothing"):
            values[name] = float(values[name])
        return RunConfig(**values)

    def save(self, path: Path, extra: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Write the configuration to ``path``, whole or not at all."""
        write_atomic(path, self.to_toml(extra))

    @staticmethod
    def load(path: Path) -> RunConfig:
        """Read the configuration at ``path``; :class:`CheckpointError` when there is none or it is damaged."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CheckpointError(
                "this folder holds no run", expected="a folder that chainrule train wrote, with config.toml",
                got=f"no {path.name}", where=path.parent, fix="check the path; chainrule train makes such a folder",
            ) from None  # fmt: skip
        except (OSError, UnicodeDecodeError) as problem:
            raise _damaged(path, f"a file that can't be read: {problem}") from problem
        return RunConfig.from_toml(text, where=path)

    def make_schedule(self, steps_per_epoch: int) -> optim.Schedule:
        """The learning rate as a function of the step."""
        return schedules.named(self.schedule, self.learning_rate, self.epochs * steps_per_epoch)

    def make_optimizer(self, rate: optim.Schedule) -> optim.Optimizer:
        """The optimizer; weight decay is decoupled for adamw and added to the gradient (L2) for the others."""
        return optim.named(self.optimizer, rate, self.weight_decay)


def _batch_size(rows: int) -> int:
    """The power of two, 16 to 256, that makes an epoch about 60 steps."""
    return int(min(max(2 ** round(math.log2(max(rows, 1) / 60)), 16), 256))


def _epochs(rows: int, batch_size: int) -> int:
    """As many epochs as make about 2,400 steps, 40 to 400: a small table is seen more often."""
    return min(max(round(2400 * batch_size / max(rows, 1)), 40), 400) if batch_size >= 1 else 40


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "task": _text,
    "data": lambda value: value is None or _text(value),
    "target": lambda value: value is None or _text(value),
    "problem": lambda value: value is None or _text(value),
    "seed": _integer,
    "hidden": lambda value: isinstance(value, list) and all(_integer(size) for size in value),
    "activation": _text,
    "dropout": _real,
    "optimizer": _text,
    "learning_rate": _real,
    "schedule": _text,
    "weight_decay": _real,
    "epochs": _integer,
    "batch_size": _integer,
    "validation": _real,
    "patience": _integer,
    "label_smoothing": _real,
}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _one_of(name: str, value: object, valid: Any) -> None:
    if value not in valid:
        raise choose(name, value, valid)


def _number(name: str, value: float, expected: str, valid: bool) -> None:
    if not (valid and math.isfinite(value)):
        raise OptionError(f"{name} can't be {value}", expected=expected, got=value, fix=f"give {name} another value")


def _damaged(where: object, got: str) -> CheckpointError:
    return CheckpointError(
        "config.toml is damaged", expected="the file that chainrule train wrote, unchanged", got=got, where=where,
        fix="restore the file, or start a new run",
    )  # fmt: skip
