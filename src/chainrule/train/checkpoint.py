"""Checkpoints: trees of arrays in one safetensors file, with JSON and a SHA-256 in its header.

One file, so that arrays and counters can't disagree; written beside and renamed, so that a kill at any instant leaves
a whole file.  The header's metadata holds ``chainrule`` (JSON: format, the caller's ``info``, the fingerprint of each
tree) and ``sha256`` over the JSON and over every tensor's name, dtype, shape and bytes: a flipped bit anywhere is
found.  Nothing in a file is executed.  Format: https://huggingface.co/docs/safetensors (8 bytes of header length,
header in JSON, data).

Does not do: static fields of modules (an activation's name) are not in the file: the code that builds the model
gives those.  Does not shard: a checkpoint is read into memory whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base import trees
from chainrule.base.errors import ChainruleError, CheckpointError
from chainrule.train.files import make_folder, remove_leftovers, write_atomic

Array = NDArray[Any]

_FORMAT = "chainrule-checkpoint"
_REVISION = 1
_NAME = re.compile(r"step-(\d{9,})\.safetensors")
_HEADER_LIMIT = 100_000_000  # safetensors' own bound on the header, bytes


class CheckpointWarning(UserWarning):
    """Another checkpoint than the one asked for is used: the newest was damaged, or the run has not finished."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: ``tensors`` by ``group/path``, and the caller's ``info``."""

    path: Path
    tensors: dict[str, Array]
    info: dict[str, Any]
    groups: dict[str, str]

    def tree(self, group: str, like: trees.Tree) -> trees.Tree:
        """The tree saved as ``group``, in the structure of ``like`` (its values are not used).

        Raises :class:`CheckpointError` that names the first array that differs when paths, shapes or dtypes do.
        """
        if group not in self.groups:
            raise CheckpointError(
                f"the checkpoint has no {group!r}",
                expected=group,
                got=", ".join(self.groups) or "nothing",
                where=self.path,
                fix="load a checkpoint written by the same kind of training",
            )
        wanted = named(group, like)
        if self.groups[group] != fingerprint(like):
            self._first_difference(group, wanted)
        leaves, structure = trees.flatten(like)
        loaded = [self.tensors[name] for name in wanted]
        return trees.unflatten(
            structure,
            [
                type(old)(new.item()) if isinstance(old, (bool, int, float)) else new.copy()
                for old, new in zip(leaves, loaded, strict=True)
            ],
        )

    def _first_difference(self, group: str, wanted: Mapping[str, Array]) -> None:
        prefix = group + "/"
        found = {name: array for name, array in self.tensors.items() if name.startswith(prefix)}
        for name in [*wanted, *sorted(name for name in found if name not in wanted)]:
            expected = _describe(wanted[name]) if name in wanted else "no such array"
            got = _describe(found[name]) if name in found else "no such array"
            if expected != got:
                raise CheckpointError(
                    f"the checkpoint is of another architecture: {name.removeprefix(prefix) or group} differs",
                    expected=f"{expected} in the model",
                    got=f"{got} in the checkpoint",
                    where=self.path,
                    fix="build the model with the sizes the checkpoint was trained with, or start a new run",
                )


def _describe(array: Array) -> str:
    return f"{array.dtype.name} {array.shape}"


def named(group: str, tree: trees.Tree) -> dict[str, Array]:
    """The leaves of ``tree`` as contiguous arrays by name ``group/path``."""
    named_leaves = {}
    for path, leaf in zip(trees.paths(tree), trees.leaves(tree), strict=True):
        array = np.asarray(leaf, order="C")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise CheckpointError(
                "a leaf that can't be saved",
                expected="arrays of bool, integers or floats up to 64 bits",
                got=f"{type(leaf).__name__} of dtype {array.dtype}",
                where=f"{group}/{path}",
                fix="make the leaf an array, or a static field (chainrule.static)",
            )
        named_leaves[f"{group}/{path}"] = array
    return named_leaves


def fingerprint(tree: trees.Tree) -> str:
    """SHA-256 over the paths, dtypes and shapes of the arrays of ``tree``: equal for models of one architecture."""
    digest = hashlib.sha256()
    for name, array in named("", tree).items():
        digest.update(f"{name} {_describe(array)}\n".encode())
    return digest.hexdigest()


def content_hash(tree: trees.Tree) -> str:
    """SHA-256 over the arrays of ``tree``, values included."""
    return _hash("", named("", tree))


def _hash(text: str, tensors: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {_describe(array)}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def save(path: str | os.PathLike[str], groups: Mapping[str, trees.Tree], info: Mapping[str, Any]) -> None:
    """Write ``groups`` of trees and JSON-able ``info`` to ``path``, whole or not at all.

    Raises :class:`CheckpointError` for a leaf that is no array of numbers, :class:`TrainingError` when the disk is
    full or the folder can't be written.
    """
    numpy_format = _safetensors()
    tensors: dict[str, Array] = {}
    for group, tree in groups.items():
        tensors.update(named(group, tree))
    text = json.dumps(
        {
            "format": _FORMAT,
            "revision": _REVISION,
            "groups": {group: fingerprint(tree) for group, tree in groups.items()},
            "info": dict(info),
        },
        sort_keys=True,
    )
    content = numpy_format.save(tensors, {"chainrule": text, "sha256": _hash(text, tensors)})
    write_atomic(path, _canonical(content))


def _canonical(content: bytes) -> bytes:
    """The same file with its metadata in order: the library writes them in an order that differs from run to run."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the checkpoint at ``path``.

    Raises :class:`CheckpointError` when it is missing, is no checkpoint, or is damaged (cut off, a flipped bit).
    """
    where = Path(path)
    try:
        content = where.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            "there is no such checkpoint",
            expected="a .safetensors file written by chainrule",
            got="no file",
            where=where,
            fix="check the path, or start a new run",
        ) from None
    except OSError as problem:
        raise CheckpointError(
            "the checkpoint can't be read",
            expected="a file that can be read",
            got=problem.strerror,
            where=where,
            fix="check the path and its permissions",
        ) from problem
    numpy_format = _safetensors()
    try:
        metadata = _metadata(content)
        text, expected = metadata["chainrule"], metadata["sha256"]
        description = json.loads(text)
        tensors: dict[str, Array] = dict(sorted(numpy_format.load(content).items()))
        got = _hash(text, tensors)
        info, groups = dict(description["info"]), dict(description["groups"])
        known = description["format"] == _FORMAT
        revision = description["revision"]
    except Exception as problem:  # safetensors raises its own class, JSON and the slicing others: all mean damage
        raise _damaged(where, f"{len(content)} bytes that do not parse ({problem})") from problem
    if got != expected or not known:
        raise _damaged(where, f"content with SHA-256 {got[:12]}…, where its header says {str(expected)[:12]}…")
    if revision != _REVISION:
        raise CheckpointError(
            "the checkpoint is of another revision of the format",
            expected=f"revision {_REVISION}",
            got=f"revision {revision}",
            where=where,
            fix="use the version of chainrule that wrote it",
        )
    return Checkpoint(where, tensors, info, groups)


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_HEADER_LIMIT, len(content) - 8):
        raise ValueError("the header is cut off")
    return dict(json.loads(content[8 : 8 + length])["__metadata__"])


def _damaged(path: Path, got: str) -> CheckpointError:
    return CheckpointError(
        "the checkpoint is damaged",
        expected="a whole file, as chainrule wrote it",
        got=got,
        where=path,
        fix="use another checkpoint of the run, or start a new run",
    )


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise CheckpointError(
            "checkpoints need the package safetensors",
            expected="safetensors installed",
            got="it is not",
            fix='pip install "chainrule[train]"',
        ) from None
    return safetensors.numpy


class CheckpointFolder:
    """The checkpoints of one run: the newest two by step, so that a damaged newest leaves one to fall back to."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def files(self) -> list[Path]:
        """The checkpoint files, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(
            (entry for entry in self.path.iterdir() if _NAME.fullmatch(entry.name)),
            key=lambda entry: int(entry.name[5:].partition(".")[0]),
        )

    def save(self, step: int, groups: Mapping[str, trees.Tree], info: Mapping[str, Any]) -> Path:
        """Write the checkpoint of ``step`` and drop all but the newest two; returns its path."""
        make_folder(self.path)
        target = self.path / f"step-{step:09d}.safetensors"
        save(target, groups, info)
        files = self.files()
        place = files.index(target)
        for old in files[: max(place - 1, 0)] + files[place + 1 :]:  # later ones were damaged and passed over
            old.unlink(missing_ok=True)
        remove_leftovers(self.path)
        return target

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None when there are no files.

        A damaged one is passed over with a :class:`CheckpointWarning`; raises :class:`CheckpointError` when all are.
        """
        files = self.files()
        for number, path in enumerate(reversed(files), start=1):
            try:
                return load(path)
            except ChainruleError as problem:
                if number == len(files):
                    raise
                older = files[-number - 1]
                warnings.warn(
                    f"{path.name}: {problem.problem}; resuming from {older.name}, the one before it",
                    CheckpointWarning,
                    stacklevel=2,
                )
        return None
