"""Files that are whole or absent: written beside, flushed to the disk, then renamed over the old one.

``os.replace`` is atomic on POSIX and Windows, so a process killed at any instant leaves the old file or the new one,
never a part.  Does not do: locks between processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from chainrule.base.errors import ChainruleError, TrainingError

_TEMPORARY = ".tmp"


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write ``content`` (text as UTF-8) to ``path``; the parent folder must exist.

    Raises :class:`TrainingError` when the disk is full, the folder is not writable, or the system refuses otherwise;
    what ``path`` held before is then unchanged.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = target.with_name(f".{target.name}.{os.getpid()}{_TEMPORARY}")
    try:
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise cannot_write(target, problem) from problem


def _sync_folder(folder: Path) -> None:
    # Makes the rename itself durable; not every file system lets a folder be opened.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def is_leftover(entry: Path) -> bool:
    """Whether ``entry`` is a temporary file that a killed process left."""
    return entry.name.startswith(".") and entry.name.endswith(_TEMPORARY)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in ``folder``."""
    for leftover in filter(is_leftover, folder.iterdir()):
        with contextlib.suppress(OSError):
            leftover.unlink()


def make_folder(path: Path) -> None:
    """Create the folder ``path`` and its parents; raises :class:`TrainingError` when that can't be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise cannot_write(path, problem) from problem


def check_writable(folder: Path) -> None:
    """Raise :class:`TrainingError` unless a file can be written in ``folder``: tried now, not after an hour."""
    probe = folder / f".writable.{os.getpid()}{_TEMPORARY}"
    try:
        probe.write_bytes(b"chainrule")
        probe.unlink()
    except OSError as problem:
        raise cannot_write(folder, problem) from problem


def cannot_write(path: Path, problem: OSError) -> ChainruleError:
    """The error for ``problem`` met while ``path`` was written, with advice that fits its cause."""
    reason = problem.strerror or type(problem).__name__
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space on that disk and resume: what was saved before is intact"
        expected = "room for the file"
    elif problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = "choose a folder you may write to, or change its permissions"
        expected = "a folder that can be written to"
    elif problem.errno in (errno.ENOTDIR, errno.EEXIST):
        fix = "choose another output folder: a file of that name is in the way"
        expected = "a folder"
    else:
        fix = "check the disk and the path, then resume: what was saved before is intact"
        expected = "a file that can be written"
    return TrainingError(f"cannot write {path.name}", expected=expected, got=reason, where=path, fix=fix)
