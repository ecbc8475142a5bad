"""``chainrule play``: the playground, the walkthrough and the practice, in the browser.

Does not do: other addresses than this machine's own; there is no option for it.
"""

from __future__ import annotations

import importlib.util
import threading
import webbrowser
from typing import Annotated

import typer

from chainrule.base.errors import OptionError
from chainrule.cli.report_errors import in_words, note

PORT = 8765  # the same each time: what a page keeps in the browser belongs to its address
_NEEDED = ("starlette", "uvicorn", "websockets")


@in_words
def play(
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port on 127.0.0.1; 0 for any that is free.")
    ] = PORT,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser; its address is printed.")
    ] = True,
) -> None:
    """Open the playground in the browser: watch a network learn, stop it anywhere, look inside.

    Serves this machine only, until Ctrl-C.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(
            "the playground needs more packages", expected=", ".join(_NEEDED), got=f"no {', '.join(missing)}",
            where="the command line", fix='pip install "chainrule[play]"',
        )  # fmt: skip
    from chainrule.play import web

    listening = web.bind(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    print(address, flush=True)
    note("Ctrl-C ends it")
    app = web.make_app(listening.getsockname()[1])
    if browser:
        # The socket listens already: a page that asks early waits for the server to begin.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        web.serve(listening, app)
    except KeyboardInterrupt:  # the usual end of a server, and no failure
        return
