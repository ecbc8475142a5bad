"""Writes the list of traced functions into docs/numpy.md, from the tables the tracer itself looks them up in."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from chainrule.trace.special import ROWS
from chainrule.trace.table import ARRAY_FUNCTIONS, UFUNCS

_PAGE = Path(__file__).parent / "numpy.md"
_BETWEEN = re.compile(r"(<!-- coverage -->\n).*?(<!-- /coverage -->)", re.DOTALL)


def listing() -> str:
    """Markdown: one paragraph per module, the names in alphabetical order."""
    names: dict[str, set[str]] = defaultdict(set)
    # SciPy's enter the table when one is first met; ROWS has them all.
    names["ufuncs of `numpy`"] = {u.__name__ for u in UFUNCS if getattr(np, u.__name__, None) is u}
    names["ufuncs of `scipy.special`"] = {name for name in ROWS if not name.startswith("_")}
    for function in ARRAY_FUNCTIONS:
        names[f"`{function.__module__}`"].add(function.__name__)
    return "\n\n".join(
        f"**{module}** ({len(found)}): " + ", ".join(f"`{n}`" for n in sorted(found))
        for module, found in sorted(names.items())
    )


if __name__ == "__main__":
    text = _PAGE.read_text(encoding="utf-8")
    text = _BETWEEN.sub(lambda found: found[1] + listing() + "\n" + found[2], text)
    _PAGE.write_text(text, encoding="utf-8")
