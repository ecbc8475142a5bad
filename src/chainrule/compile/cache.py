"""Object code kept on disk, by content: the key is a hash of the LLVM text and of what else the code depends on.

Files are written beside and renamed, so processes that build the same program at once can't damage each other's; a
file that does not hold what it should is built again; the folder is bounded, the files used longest ago go first.
``CHAINRULE_CACHE`` names the folder; set to ``off`` there is none.  A folder that can't be written costs only time, and
is mentioned once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from chainrule.compile.engine import CompileError, Library, compile_object, fingerprint, load
from chainrule.compile.target import Target, host

MOST_BYTES = 256 << 20
_ABANDONED = 3600.0  # seconds after which a file that was being written has no writer any more


class CacheWarning(UserWarning):
    """Compiled code can't be kept on disk; programs run, and are compiled anew by every process."""


def folder() -> Path | None:
    """Where object code is kept, or None where it is not kept."""
    named = os.environ.get("CHAINRULE_CACHE")
    if named is not None:
        return None if named.lower() in ("off", "0", "") else Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "chainrule"


def library(text: str, target: Target | None = None, level: int = 3) -> Library:
    """The loaded machine code of LLVM ``text`` at an optimisation level, from the cache where it is there whole."""
    target = target or host()
    key = hashlib.blake2b(f"{fingerprint(target)}; level {level}\n{text}".encode(), digest_size=20).hexdigest()
    place = folder()
    path = None if place is None else place / f"{key}.o"
    if path is not None:
        with contextlib.suppress(OSError, CompileError):
            found = load(_content(path.read_bytes(), key), target)
            with contextlib.suppress(OSError):  # a folder that may only be read
                os.utime(path)
            return found
    code = compile_object(text, target, level)
    if path is not None:
        try:
            _keep(path, key.encode() + code)
        except OSError as error:
            _mention(path.parent, error)
    return load(code, target)


def _content(kept: bytes, key: str) -> bytes:
    """The object code of a file, which begins with its key: a file that was renamed is another program's."""
    head = key.encode()
    if not kept.startswith(head):
        raise CompileError("object code of another program", expected=key, got=kept[: len(head)], fix="compile anew")
    return kept[len(head) :]


_MENTIONED: set[Path] = set()


def _mention(place: Path, error: OSError) -> None:
    """Warn, once for each folder, that compiled code is not kept."""
    if place not in _MENTIONED:
        _MENTIONED.add(place)
        warnings.warn(
            f"compiled code can't be kept in {place} ({error.strerror or error}): every process compiles anew; set "
            "CHAINRULE_CACHE to a folder that can be written, or to off",
            CacheWarning, stacklevel=2,
        )  # fmt: skip


def _keep(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _shrink(path.parent)


def _shrink(place: Path, most: int = MOST_BYTES) -> None:
    """Remove the files used longest ago until the folder holds at most ``most`` bytes, and what writers left behind."""
    for entry in place.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > _ABANDONED:
                entry.unlink()
    entries = []
    for entry in place.glob("*.o"):
        with contextlib.suppress(OSError):
            stat = entry.stat()
            entries.append((stat.st_mtime, stat.st_size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries, key=lambda e: e[0]):
        if total <= most:
            return
        with contextlib.suppress(OSError):
            entry.unlink()
            total -= size


def contents() -> tuple[int, int]:
    """How many files of object code are kept, and their bytes; (0, 0) where there is no folder."""
    place = folder()
    files = size = 0
    for entry in place.glob("*.o") if place is not None else []:
        with contextlib.suppress(OSError):
            size += entry.stat().st_size
            files += 1
    return files, size


def clear() -> tuple[int, int]:
    """Remove all kept object code; returns how many files and bytes that was."""
    place = folder()
    files = size = 0
    for entry in list(place.glob("*.o")) if place is not None and place.is_dir() else []:
        with contextlib.suppress(OSError):
            size += entry.stat().st_size
            entry.unlink()
            files += 1
    return files, size
