"""Every choice of the playground, checked and bounded, and the limits in one place.

A :class:`Settings` never changes; :meth:`Settings.changed` gives another.  What a change means for a running network:
choices in ``LIVE`` act from the next step on, choices in ``DATA`` make new data and a new network, all others a new
network on the same data.  In mode ``"compatible"`` only what the reference playground has may be chosen, and the rule
of :mod:`chainrule.play.compatible` trains.

Does not do: the points of own data, weights and everything else that a player holds (see ``player``), forms of the
address (see ``address``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from chainrule.base.errors import OptionError, choose
from chainrule.nn.activations import activations as ACTIVATIONS
from chainrule.nn.init import initializers
from chainrule.optim.named import optimizers as OPTIMIZERS
from chainrule.optim.schedules import schedules as SCHEDULES

LIMITS: dict[str, float] = {
    "hidden_layers": 20,
    "units": 32,
    "classes": 10,
    "points": 5_000,
    "features": 12,
    "formula": 200,  # characters
    "batch_size": 5_000,
    "seed": 40,  # characters
    "noise": 80,
    "learning_rate": 1_000,
    "regularization_rate": 1_000,
    "schedule_epochs": 100_000,
    "clip": 1e6,
    "bias": 100,
    "weight": 1e6,  # of one that is typed
    "steps": 100_000,  # asked for in one message
    "grid": 100,  # squares along a side of the picture of the output
    "message": 1 << 16,  # bytes
    "load": 1 << 20,  # bytes of a message that loads a state or CSV
    "csv_columns": 200,
    "hash": 16_000,  # characters
}
"""What is refused beyond, for everything that comes from outside."""

CLASSIFICATION = ("circle", "xor", "gauss", "spiral", "moons")
REGRESSION = ("plane", "multi-gauss", "waves")
MANY_CLASSES = ("blobs", "pinwheel")
DATASETS = (*CLASSIFICATION, *REGRESSION, *MANY_CLASSES, "digits", "own")
REFERENCE_DATASETS = ("circle", "xor", "gauss", "spiral", "plane", "multi-gauss")
PROBLEMS = ("classification", "regression")
MODES = ("default", "compatible")
LOSSES = ("squared", "absolute", "huber", "cross-entropy")
INITIALISERS = ("auto", "uniform", *initializers)
REGULARIZATIONS = ("none", "l1", "l2")
FEATURES = ("x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)")
"""The reference's features, by name; any other text is a formula of x1 and x2."""

LIVE = frozenset({
    "learning_rate", "schedule", "schedule_epochs", "regularization", "regularization_rate", "optimizer",
    "batch_size", "shuffle", "clip",
})  # fmt: skip
DATA = frozenset({"dataset", "problem", "samples", "classes", "noise", "train_percent", "seed", "data_seed"})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices.  Those that may be None are then chosen to suit the others.

    ``seed`` draws data and initial weights; ``data_seed``, where there is one, the data instead.  ``samples``: rows,
    None for as many as the data set usually has.  ``activations``: of single hidden layers, None for ``activation``.
    ``initialiser`` "auto" suits the activation; "uniform" is the reference's, in ±½ with biases of 0.1.
    """

    mode: str = "default"
    dataset: str = "circle"
    problem: str = "classification"
    samples: int | None = None
    classes: int = 3
    noise: float = 0.0
    train_percent: float = 50.0
    seed: str = "0.42182"
    data_seed: str | None = None
    features: tuple[str, ...] = ("x1", "x2")
    normalise: bool = False
    hidden: tuple[int, ...] = (4, 2)
    activation: str = "tanh"
    activations: tuple[str | None, ...] = ()
    loss: str = "squared"
    initialiser: str = "auto"
    bias: float | None = None
    optimizer: str = "sgd"
    learning_rate: float = 0.03
    schedule: str = "constant"
    schedule_epochs: int = 200
    regularization: str = "none"
    regularization_rate: float = 0.0
    clip: float | None = None
    batch_size: int = 10
    shuffle: bool = True

    def __post_init__(self) -> None:
        check(self)

    @property
    def hidden_activations(self) -> tuple[str, ...]:
        """The activation of each hidden layer."""
        own = self.activations or (None,) * len(self.hidden)
        return tuple(a or self.activation for a in own)

    @property
    def compatible(self) -> bool:
        """Whether the reference's own rule trains."""
        return self.mode == "compatible"

    def changed(self, partial: Mapping[str, Any]) -> Settings:
        """These settings with ``partial`` (JSON values by name) in place; raises OptionError for what may not be.

        A problem brings a data set of its kind, a data set its problem, another number of layers the activation of
        all; mode ``compatible`` brings the choices that it needs.
        """
        given = {name: _value(name, value) for name, value in partial.items()}
        found = {**_fields(self), **given}
        _fitting(found, given, self)
        return Settings(**found)

    def to_json(self) -> dict[str, Any]:
        """As JSON values, by name."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in _fields(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The settings with these values, all others at their defaults."""
        return cls(**{name: _value(name, value) for name, value in data.items()})

    @classmethod
    def from_reference(cls, config: Mapping[str, Any]) -> Settings:
        """The settings of a trajectory file of the reference (its ``config``), in mode ``compatible``."""
        from chainrule.play.address import from_reference

        return from_reference(config)


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
_BOOL = frozenset({"normalise", "shuffle"})
_WHOLE = frozenset({"samples", "classes", "schedule_epochs", "batch_size"})
_REAL = frozenset({"noise", "train_percent", "bias", "learning_rate", "regularization_rate", "clip"})
_LISTS = {"features": (str,), "hidden": (int,), "activations": (str, type(None))}
_OPTIONAL = frozenset({"samples", "data_seed", "bias", "clip"})


def _fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in FIELDS}


def problem_of(dataset: str) -> str | None:
    """The kind of problem that a data set poses; None where it may be either."""
    if dataset == "own":
        return None
    return "regression" if dataset in REGRESSION else "classification"


def _fitting(found: dict[str, Any], given: Mapping[str, Any], before: Settings) -> None:
    """Let choices that were not given follow those that were."""
    if "dataset" in given:
        problem = problem_of(found["dataset"])
        if "problem" not in given and problem is not None:
            found["problem"] = problem
    elif "problem" in given and problem_of(found["dataset"]) not in (None, found["problem"]):
        found["dataset"] = "circle" if found["problem"] == "classification" else "plane"
    if "hidden" in given and "activations" not in given and len(found["hidden"]) != len(before.hidden):
        found["activations"] = ()
    if found["problem"] == "regression" and found["loss"] == "cross-entropy" and "loss" not in given:
        found["loss"] = "squared"
    if found["mode"] == "compatible" and "mode" in given and before.mode != "compatible":
        needed = {"optimizer": "sgd", "schedule": "constant", "shuffle": False, "normalise": False, "clip": None,
                  "loss": "squared", "samples": None}  # fmt: skip
        found.update({name: value for name, value in needed.items() if name not in given})
        if found["initialiser"] not in ("uniform", "zeros") and "initialiser" not in given:
            found.update(initialiser="uniform", bias=None)
        if found["dataset"] not in (*REFERENCE_DATASETS, "own") and "dataset" not in given:
            found.update(dataset="circle", problem="classification")


def _value(name: str, value: Any) -> Any:
    """A JSON value of the field's type."""
    if name not in FIELDS:
        raise OptionError("there is no such setting", expected=f"one of: {', '.join(FIELDS)}",
                          got=short(name), where="settings", fix="leave it out")  # fmt: skip
    if value is None and name in _OPTIONAL:
        return None
    if name in _BOOL and isinstance(value, bool):
        return value
    if name in _WHOLE and whole(value):
        return int(value)
    if name in _REAL and real(value):
        return float(value)
    if name in _LISTS:
        kinds = _LISTS[name]
        if isinstance(value, (list, tuple)) and all(
            isinstance(v, kinds) and not isinstance(v, bool) for v in value
        ):  # fmt: skip
            return tuple(value)
    elif name not in _BOOL | _WHOLE | _REAL and isinstance(value, str):
        return value
    raise OptionError(f"{name} has a value of another kind", expected=_kind(name), got=short(value),
                      where=f"settings.{name}", fix="pass a value of that kind")  # fmt: skip


def _kind(name: str) -> str:
    kind = ("true or false" if name in _BOOL else "a whole number" if name in _WHOLE else "a finite number"
            if name in _REAL else "a list" if name in _LISTS else "text")  # fmt: skip
    return kind + (" or null" if name in _OPTIONAL else "")


def whole(value: Any) -> bool:
    """Whether a JSON value is a whole number (2 or 2.0)."""
    return real(value) and float(value).is_integer() and abs(value) < 2**53


def real(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond float64
        return False


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can hold halves of characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def short(value: Any) -> str:
    """A value from outside as it may stand in a message."""
    if isinstance(value, (list, tuple, dict)) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**30:
        return "an integer of more than 30 digits"
    text = value[:60] if isinstance(value, str) else value
    return f"{text!r:.80}".encode("utf-8", "backslashreplace").decode("utf-8")


# ------------------------------------------------------------------------------------------------------------- checks


def check(s: Settings) -> None:
    """Raises OptionError, with the setting's name, for values that are out of range or do not fit each other."""
    _choices(s)
    _between("samples", s.samples, 10, LIMITS["points"])
    _between("classes", s.classes, 2, LIMITS["classes"])
    _between("noise", s.noise, 0, LIMITS["noise"])
    _between("train_percent", s.train_percent, 1, 99)
    _between("learning_rate", s.learning_rate, 0, LIMITS["learning_rate"])
    _between("regularization_rate", s.regularization_rate, -10, LIMITS["regularization_rate"])
    _between("schedule_epochs", s.schedule_epochs, 1, LIMITS["schedule_epochs"])
    _between("batch_size", s.batch_size, 1, LIMITS["batch_size"])
    _between("bias", s.bias, -LIMITS["bias"], LIMITS["bias"])
    _between("clip", s.clip, 1e-9, LIMITS["clip"])
    _between("the number of hidden layers", len(s.hidden), 0, LIMITS["hidden_layers"])
    for units in s.hidden:
        _between("the number of neurons of a layer", units, 1, LIMITS["units"])
    if s.activations and len(s.activations) != len(s.hidden):
        raise OptionError(
            "activations do not match the layers", expected=f"{len(s.hidden)} names or nulls, or none",
            got=f"{len(s.activations)}", where="settings.activations", fix="give one per hidden layer",
        )  # fmt: skip
    for name, text in (("seed", s.seed), ("data_seed", s.data_seed or "")):
        if len(text) > LIMITS["seed"]:
            raise OptionError(f"{name} is too long", expected=f"at most {LIMITS['seed']} characters",
                              got=f"{len(text)}", where=f"settings.{name}", fix="shorten it")  # fmt: skip
        if not is_text(text):
            raise OptionError(f"{name} holds half of a character", expected="text", got=short(text),
                              where=f"settings.{name}", fix="leave it out")  # fmt: skip
    _check_features(s)
    if s.compatible:
        _check_compatible(s)


def _choices(s: Settings) -> None:
    listed = (
        ("mode", MODES), ("dataset", DATASETS), ("problem", PROBLEMS), ("activation", tuple(ACTIVATIONS)),
        ("loss", LOSSES), ("initialiser", INITIALISERS), ("optimizer", tuple(OPTIMIZERS)), ("schedule", SCHEDULES),
        ("regularization", REGULARIZATIONS),
    )  # fmt: skip
    for name, valid in listed:
        if getattr(s, name) not in valid:
            raise choose(name, short(getattr(s, name)), valid, where=f"settings.{name}")
    for activation in s.activations:
        if activation is not None and activation not in ACTIVATIONS:
            raise choose("activation", short(activation), ACTIVATIONS, where="settings.activations")
    problem = problem_of(s.dataset)
    if problem is not None and s.problem != problem:
        raise OptionError("the data set is of another problem", expected=problem, got=s.problem,
                          where="settings.problem", fix=f"leave it out: {s.dataset} brings its problem")  # fmt: skip
    if s.problem == "regression" and s.loss == "cross-entropy":
        raise OptionError("cross-entropy compares classes", expected="squared, absolute or huber for a regression",
                          got="cross-entropy", where="settings.loss", fix="choose squared")  # fmt: skip


def _between(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise OptionError(f"{name} is out of range", expected=f"{low:g} to {high:g}", got=short(value),
                          where="settings", fix="choose a value in that range")  # fmt: skip


def _check_features(s: Settings) -> None:
    from chainrule.play.features import formula

    if s.dataset == "digits":
        return
    if not 1 <= len(s.features) <= LIMITS["features"]:
        raise OptionError("the network needs inputs", expected=f"1 to {LIMITS['features']} features",
                          got=f"{len(s.features)}", where="settings.features", fix="switch one on")  # fmt: skip
    if len(set(s.features)) < len(s.features):
        raise OptionError("a feature is there twice", expected="each once", got=short(list(s.features)),
                          where="settings.features", fix="leave one of them out")  # fmt: skip
    for text in s.features:
        formula(text)


_COMPATIBLE: dict[str, tuple[Any, ...]] = {
    "optimizer": ("sgd",), "schedule": ("constant",), "shuffle": (False,), "normalise": (False,), "clip": (None,),
    "loss": ("squared",), "initialiser": ("uniform", "zeros"), "dataset": (*REFERENCE_DATASETS, "own"),
    "samples": (None,),
}  # fmt: skip


def _check_compatible(s: Settings) -> None:
    for name, valid in _COMPATIBLE.items():
        if getattr(s, name) not in valid:
            raise OptionError(
                f"the compatible mode has no other {name}", expected=" or ".join(map(str, valid)),
                got=short(getattr(s, name)), where=f"settings.{name}", fix='choose mode "default" for this',
            )  # fmt: skip


# ----------------------------------------------------------------------------------------------------- what there is


def choices() -> dict[str, Any]:
    """Everything that can be chosen, for the page to make its controls from."""
    return {
        "modes": list(MODES),
        "datasets": [
            {"name": name, "problem": problem_of(name), "reference": name in REFERENCE_DATASETS,
             "classes": name in MANY_CLASSES, "noise": name not in ("digits", "own")}
            for name in DATASETS
        ],
        "problems": list(PROBLEMS),
        "activations": list(ACTIVATIONS),
        "losses": list(LOSSES),
        "optimizers": list(OPTIMIZERS),
        "schedules": list(SCHEDULES),
        "initialisers": list(INITIALISERS),
        "regularizations": list(REGULARIZATIONS),
        "features": list(FEATURES),
        "learning_rates": [1e-5, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
        "regularization_rates": [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
        "live": sorted(LIVE),
        "limits": dict(LIMITS),
        "defaults": Settings().to_json(),
    }  # fmt: skip
