"""``chainrule play``: the playground, the walkthrough and the practice, in the browser.

Does not do: other addresses than this machine's own; there is no option for it.
"""

from __future__ import annotations

import importlib.util
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainrule.base.errors import DataError, OptionError
from chainrule.cli.report_errors import in_words, note

if TYPE_CHECKING:
    from chainrule.play.player import Player

PORT = 8765  # the same each time: what a page keeps in the browser belongs to its address
_NEEDED = ("starlette", "uvicorn", "websockets")
_MOST_STATE = 4_000_000  # bytes


@in_words
def play(
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port on 127.0.0.1; 0 for any that is free.")
    ] = PORT,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser; its address is printed.")
    ] = True,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE.json", help="Begin with a state that was saved from the playground."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE.html", help="Serve nothing: write a page that plays a recorded run back."
        ),
    ] = None,
) -> None:
    """Open the playground in the browser: watch a network learn, stop it anywhere, look inside.

    Serves this machine only, until Ctrl-C.  With --export no server is needed, then or later.
    """
    if export is not None:
        _write(export, state)
        return
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(
            "the playground needs more packages", expected=", ".join(_NEEDED), got=f"no {', '.join(missing)}",
            where="the command line", fix='pip install "chainrule[play]"',
        )  # fmt: skip
    from chainrule.play import web

    fragment = "" if state is None else f"#{_loaded(state).answer({'do': 'url'})['url']}"
    listening = web.bind(port)
    chosen = listening.getsockname()[1]
    address = f"http://127.0.0.1:{chosen}/{fragment}"
    note("Ctrl-C ends it")
    print(address, flush=True)
    app = web.make_app(chosen)
    if browser:
        # The socket listens already: a page that asks early waits for the server to begin.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        web.serve(listening, app)
    except KeyboardInterrupt:  # the usual end of a server, and no failure
        return


def _write(path: Path, state: Path | None) -> None:
    from chainrule.play.export import html
    from chainrule.train.files import write_atomic

    if path.is_dir() or not path.parent.is_dir():  # said now, not when the page is made
        raise OptionError("the page can't be written there", expected="a file in a folder that is there",
                          got="a folder" if path.is_dir() else f"no folder {path.parent}", where=path,
                          fix="check the path")  # fmt: skip
    write_atomic(path, html(_loaded(state)))
    note(f"written: {path}")


def _loaded(path: Path | None) -> Player:
    """A playground in the state that the file holds; as it begins, without a file."""
    from chainrule.play.player import Player
    from chainrule.play.wire import read

    player = Player()
    if path is None:
        return player
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError("the state can't be read", expected="a file that the playground saved", got=error.strerror,
                        where=path, fix="check the path") from None  # fmt: skip
    player.answer({"do": "load", "state": read(text, _MOST_STATE, f"state in {path.name}")})
    return player
