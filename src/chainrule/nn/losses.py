"""Loss functions in NumPy, each with ``reduction="mean"`` (the default), ``"sum"`` or ``"none"``.

Targets are cast to the predictions' dtype, so a float32 network keeps float32 gradients.  Shapes must agree exactly:
(n, 1) against (n,) would broadcast to (n, n) without a word.  Where a definition varies between libraries, torch's is
used (weights, label smoothing, multi-class hinge).

Does not do: masking; multiply the unreduced loss by a mask instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.errors import DataError, DtypeError, OptionError, ShapeError, choose
from chainrule.nn.activations import log_softmax, relu, softplus

Array = Any

REDUCTIONS = ("mean", "sum", "none")


def mse(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Squared error (prediction - target)², of one shape.  Its gradient is 2 (prediction - target) / n."""
    difference = prediction - _target("mse", prediction, target)
    return _reduce("mse", difference * difference, reduction)


def mae(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Absolute error |prediction - target|, of one shape; gradient 0 where they agree."""
    return _reduce("mae", np.abs(prediction - _target("mae", prediction, target)), reduction)


def huber(prediction: Array, target: Array, *, delta: float = 1.0, reduction: str = "mean") -> Array:
    """r²/2 up to |r| = ``delta``, then delta (|r| - delta/2) (Huber, 1964).

    Raises :class:`OptionError` unless delta > 0.
    """
    _positive("huber", "delta", delta)
    size = np.abs(prediction - _target("huber", prediction, target))
    inside = np.where(size < delta, size, delta)
    return _reduce("huber", inside * (size - 0.5 * inside), reduction)


def cross_entropy(
    logits: Array,
    labels: Array,
    *,
    label_smoothing: float = 0.0,
    weights: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """-sum over classes of q log softmax(logits), where q is the label's distribution.

    ``logits``: (..., classes).  ``labels``: integers of shape (...), or rows of probabilities (..., classes).
    ``label_smoothing`` mixes q with the uniform distribution (Szegedy et al., 2016).  ``weights``: (classes,); the
    mean over integer labels then divides by the sum of the labels' weights, as torch does.
    Raises :class:`ShapeError`; :class:`DataError` for a concrete integer label outside 0 … classes-1;
    :class:`DtypeError` for labels of shape (...) that are not integers;
    :class:`OptionError` for smoothing outside [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise OptionError(
            "label smoothing is a share",
            expected="0 <= label_smoothing <= 1",
            got=repr(label_smoothing),
            where="nn.cross_entropy",
            fix="0.1 is a usual value",
        )
    if not logits.shape:
        raise _shapes("cross_entropy", "logits.shape == (..., classes)", "logits.shape == ()")
    classes = logits.shape[-1]
    if weights is not None and weights.shape != (classes,):
        raise _shapes("cross_entropy", f"weights.shape == ({classes},)", f"weights.shape == {weights.shape}")
    log_probability = log_softmax(logits)
    if len(labels.shape) < len(logits.shape) or np.dtype(labels.dtype).kind in "iu":
        _check_labels("cross_entropy", logits, labels)
        index = labels[..., None].astype(np.int64)
        loss = -np.take_along_axis(log_probability, index, axis=-1)[..., 0]
        share = None
        if weights is not None:
            # By take_along_axis: np.take does not ask a traced index what to do when the weights are not traced.
            flat = np.take_along_axis(weights.astype(logits.dtype), np.reshape(index, (-1,)), axis=0)
            share = np.reshape(flat, labels.shape)
            loss = share * loss
    else:
        target = _target("cross_entropy", logits, labels, "logits", "labels")
        weighted = target if weights is None else target * weights.astype(logits.dtype)
        loss, share = -np.sum(weighted * log_probability, axis=-1), None
    if label_smoothing:
        spread = log_probability if weights is None else log_probability * weights.astype(logits.dtype)
        loss = (1 - label_smoothing) * loss - (label_smoothing / classes) * np.sum(spread, axis=-1)
    if reduction == "mean" and share is not None:
        return np.sum(loss) / np.sum(share)
    return _reduce("cross_entropy", loss, reduction)


def binary_cross_entropy_with_logits(
    logits: Array, targets: Array, *, positive_weight: float | Array | None = None, reduction: str = "mean"
) -> Array:
    """-(t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))) for targets t in [0, 1], of one shape.

    ``positive_weight`` multiplies the first term, to balance rare positives.  Exact in both tails.
    """
    target = _target("binary_cross_entropy_with_logits", logits, targets, "logits", "targets")
    positive = target if positive_weight is None else positive_weight * target
    loss = positive * softplus(-logits) + (1 - target) * softplus(logits)
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


def hinge(scores: Array, labels: Array, *, margin: float = 1.0, reduction: str = "mean") -> Array:
    """Margin loss of support vector machines; ``margin`` > 0.

    Binary, with ``labels`` of -1 and +1 in the shape of ``scores``: max(0, margin - label · score).
    Multi-class, with ``scores`` (..., classes) and integer ``labels`` (...): the mean over classes of
    max(0, margin - score of the label + score of the class), the label itself left out of the sum
    (Weston and Watkins, 1999).
    """
    _positive("hinge", "margin", margin)
    if len(labels.shape) == len(scores.shape):
        target = _target("hinge", scores, labels, "scores", "labels")
        if isinstance(labels, np.ndarray) and not np.all(np.abs(labels) == 1):
            raise DataError(
                "hinge labels are signs",
                expected="labels of -1 and +1",
                got=f"values from {labels.min()} to {labels.max()}",
                where="nn.hinge",
                fix="pass 2 * labels - 1 for labels of 0 and 1",
            )
        return _reduce("hinge", relu(margin - target * scores), reduction)
    _check_labels("hinge", scores, labels)
    classes = scores.shape[-1]
    index = labels[..., None].astype(np.int64)
    violation = relu(margin - np.take_along_axis(scores, index, axis=-1) + scores)
    others = np.where(np.arange(classes) == index, 0, violation)
    return _reduce("hinge", np.sum(others, axis=-1) / classes, reduction)


def _reduce(name: str, loss: Array, reduction: str) -> Array:
    if reduction == "mean":
        return np.mean(loss)
    if reduction == "sum":
        return np.sum(loss)
    if reduction == "none":
        return loss
    raise choose("reduction", reduction, REDUCTIONS, where=f"nn.{name}")


def _target(name: str, prediction: Array, target: Array, first: str = "prediction", second: str = "target") -> Array:
    """``target`` in the dtype of ``prediction``, after the shapes were found equal."""
    if np.shape(prediction) != np.shape(target):
        raise _shapes(
            name,
            f"{first}.shape == {second}.shape",
            f"{first}.shape == {np.shape(prediction)} and {second}.shape == {np.shape(target)}",
        )
    dtype = getattr(prediction, "dtype", None)
    if dtype is None or np.dtype(dtype).kind != "f" or getattr(target, "dtype", dtype) == dtype:
        return target
    return target.astype(dtype)


def _check_labels(name: str, scores: Array, labels: Array) -> None:
    """Integer labels of the right shape; their values too where they are known."""
    if np.dtype(labels.dtype).kind not in "iu":
        raise DtypeError(
            "class labels are integers",
            expected="an integer dtype",
            got=str(labels.dtype),
            where=f"nn.{name}",
            fix="cast them with labels.astype(np.int64)",
        )
    if tuple(labels.shape) != tuple(scores.shape[:-1]):
        raise _shapes(
            name,
            "labels.shape == scores.shape[:-1]",
            f"labels.shape == {tuple(labels.shape)} and scores.shape == {tuple(scores.shape)}",
        )
    classes = scores.shape[-1]
    if isinstance(labels, np.ndarray) and labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = (labels < 0) | (labels >= classes)
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = ", ".join(map(str, position))
        raise DataError(
            "a label is not a class",
            expected=f"labels from 0 to {classes - 1}, for {classes} classes",
            got=f"labels[{place}] == {labels[position]}" + (f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""),
            where=f"nn.{name}",
            fix="number the classes from 0, or give the network more outputs",
        )


def _shapes(name: str, expected: str, got: str) -> ShapeError:
    return ShapeError(
        f"{name}: shapes do not fit together", expected=expected, got=got, where=f"nn.{name}",
        fix="reshape one of them; nothing is broadcast here",
    )  # fmt: skip


def _positive(name: str, option: str, value: float) -> None:
    if not value > 0:
        raise OptionError(
            f"{option} must be positive", expected=f"{option} > 0", got=repr(value), where=f"nn.{name}",
            fix=f"leave {option} out for its usual value",
        )  # fmt: skip
