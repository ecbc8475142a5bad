"""Download of MNIST for users who are online: from the first mirror that answers, accepted by SHA-256 only.

The checksums are those of the original files, as published in the list of tensorflow/datasets.  A file is written
beside its final name and renamed, so that a folder never holds half a file under a whole file's name.
Does not do: resuming half a download, proxies beyond what the environment tells urllib.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chainrule.base.errors import DataError

if TYPE_CHECKING:
    import http.client

Progress = Callable[[str, int, int], None]

# name without .gz -> (bytes, SHA-256) of the .gz
FILES: Final[dict[str, tuple[int, str]]] = {
    "train-images-idx3-ubyte": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-labels-idx1-ubyte": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}
MIRRORS: Final = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_CHUNK = 1 << 16


def download_mnist(
    folder: str | PathLike[str],
    *,
    mirrors: Sequence[str] = MIRRORS,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch the four .gz files of MNIST (11 MB) that ``folder`` lacks; returns the folder, made if need be.

    A file that is there with the right checksum is kept; one with another is replaced.  ``progress(name, bytes so far,
    bytes in all)`` is called as bytes arrive.  ``mirrors`` are tried in order, each ends in ``/``.
    Raises :class:`DataError` when no mirror gives a file (offline, refused, wrong checksum; each reason is listed), or
    when the folder can't be written.
    """
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, (size, digest) in FILES.items():
            file = root / f"{name}.gz"
            if not (file.is_file() and file.stat().st_size == size and _digest(file) == digest):
                _fetch(file, size, digest, mirrors, progress, timeout)
    except OSError as error:
        raise DataError("the folder for the download can't be written", expected="a folder with room for 11 MB",
                        got=error.strerror or str(error), where=root, fix="name another folder") from error
    return root


def _fetch(
    file: Path, size: int, digest: str, mirrors: Sequence[str], progress: Progress | None, timeout: float
) -> None:
    import http.client  # here, so that importing chainrule does not load the network stack
    import urllib.request

    reasons = []
    for mirror in mirrors:
        url = mirror + file.name
        content: bytes | None = None
        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                content = _receive(response, file.name, size, progress)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # URLError and time-outs are OSErrors; a malformed address is a ValueError.
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            _write(file, content)
            return
        reasons.append(f"{url}: the file has another checksum than MNIST's ({len(content):,} bytes)")
    raise DataError(
        f"{file.name} can't be downloaded", expected=f"{size:,} bytes with SHA-256 {digest[:16]}...",
        got="; ".join(reasons) or "no mirrors", where=file.parent,
        fix="check the connection; or put the four files into the folder by hand",
    )


def _receive(response: http.client.HTTPResponse, name: str, size: int, progress: Progress | None) -> bytes:
    """At most ``size`` + 1 bytes, so that a mirror that never stops can't fill the memory."""
    content = bytearray()
    while len(content) <= size:
        chunk = response.read(min(_CHUNK, size + 1 - len(content)))
        if not chunk:
            break
        content += chunk
        if progress is not None:
            progress(name, min(len(content), size), size)
    return bytes(content)


def _write(file: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
