"""``chainrule cache``: where compiled programs are kept, and how much they take."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from chainrule.base.errors import OptionError
from chainrule.cli.report_errors import in_words
from chainrule.jitted import needs_llvmlite


@in_words
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of it; programs are compiled anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
) -> None:
    """Say where compiled programs are kept and how much they take, or remove them."""
    try:
        from chainrule.compile import cache as kept
    except (ImportError, OSError) as error:
        raise needs_llvmlite(error) from None
    place = kept.folder()
    removed, freed = kept.clear() if clear else (0, 0)
    entries, size = kept.contents()
    if as_json:
        print(json.dumps({
            "folder": None if place is None else str(place), "entries": entries, "bytes": size,
            "most_bytes": kept.MOST_BYTES, "removed_entries": removed, "removed_bytes": freed,
        }))  # fmt: skip
    elif place is None:
        print("no compiled programs are kept (CHAINRULE_CACHE is off)")
    elif clear:
        print(f"removed {_programs(removed)} ({_size(freed)}) from {place}")
    else:
        print(f"{place}\n{_programs(entries)}, {_size(size)} of at most {_size(kept.MOST_BYTES)}")
    if clear and entries:
        raise OptionError(
            f"{_programs(entries)} could not be removed", expected="a folder that can be written",
            got="a folder that can't, or programs that others keep adding", where=place,
            fix="check who owns the folder, or name another in CHAINRULE_CACHE",
        )  # fmt: skip


def _programs(count: int) -> str:
    return f"{count:,} compiled program{'s' if count != 1 else ''}"


def _size(count: int) -> str:
    """Bytes in words, by powers of 1024 as the bound is."""
    if count < 1 << 10:
        return f"{count} bytes"
    return f"{count / (1 << 10):.0f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"
