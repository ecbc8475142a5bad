"""The files of the pages: a table of what the package holds, so that no path from outside reaches the disk.

The table is made once: every file below ``static``, by its address.  Contents are read at each request (they are small
and a developer's edit shows at once) and sent gzipped where that is understood, with an ETag so that a second visit
costs one short answer per file.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

PAGES = {"/": "playground.html", "/walk": "walk.html", "/practice": "practice.html"}
_KINDS = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "json": "application/json", "svg": "image/svg+xml", "png": "image/png", "txt": "text/plain; charset=utf-8",
}  # fmt: skip
_WORTH_COMPRESSING = 1024  # bytes


class Asset(NamedTuple):
    """One file: where it is in the package, and its media type."""

    source: Traversable
    kind: str

    def read(self) -> Content:
        """What it holds now."""
        return _content(self.source.read_bytes(), self.kind)


class Content(NamedTuple):
    """The bytes of a file, plain and gzipped (None where that gains nothing), its type and its ETag."""

    plain: bytes
    gzipped: bytes | None
    kind: str
    etag: str


@functools.lru_cache(maxsize=256)
def _content(plain: bytes, kind: str) -> Content:
    gzipped = gzip.compress(plain, 6, mtime=0) if len(plain) >= _WORTH_COMPRESSING else None
    return Content(plain, gzipped, kind, f'"{hashlib.sha256(plain).hexdigest()[:32]}"')


def static() -> Traversable:
    """The folder ``static`` of this package."""
    return files("chainrule.play") / "static"


def table() -> dict[str, Asset]:
    """Address → file: the pages that are there, and ``/static/…`` for every other file of a known kind."""
    found = {f"/static/{name}": asset for name, asset in _below(static(), "")}
    pages = {at: found.get(f"/static/{name}") for at, name in PAGES.items()}
    for name in PAGES.values():
        found.pop(f"/static/{name}", None)
    return found | {at: asset for at, asset in pages.items() if asset is not None}


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, Asset]]:
    for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if one.is_dir():
            yield from _below(one, f"{prefix}{one.name}/")
        elif (kind := _KINDS.get(one.name.rpartition(".")[2])) is not None and not one.name.startswith("."):
            yield f"{prefix}{one.name}", Asset(one, kind)
