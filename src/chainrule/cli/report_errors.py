"""How the command line tells of errors: one screen of text and exit code 2 for what the user can mend.

A bug of ours is not caught: it shows its traceback.  Exit codes: 0 done, 2 an error in words, 130 interrupted.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import typer

from chainrule.base.errors import ChainruleError
from chainrule.train.checkpoint import CheckpointWarning

P = ParamSpec("P")
T = TypeVar("T")

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def note(text: str) -> None:
    """A line on stderr, so that stdout holds results only."""
    print(text, file=sys.stderr, flush=True)


def in_words(command: Callable[P, T]) -> Callable[P, T]:
    """``command`` with chainrule's errors and warnings as text on stderr, and Ctrl-C as exit code 130."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with warnings.catch_warnings():
            warnings.simplefilter("always", CheckpointWarning)
            warnings.showwarning = _show_warning
            try:
                return command(*args, **kwargs)
            except ChainruleError as error:
                note("\n\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
                raise typer.Exit(EXIT_ERROR) from None
            except KeyboardInterrupt:
                note("interrupted")
                raise typer.Exit(EXIT_INTERRUPTED) from None

    return run


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    note(f"note: {message}")
