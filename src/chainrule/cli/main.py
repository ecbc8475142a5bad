"""The entry point of the ``chainrule`` command.

Does not do: configuration by environment variables; each option is given on the command line or has its default.
"""

from __future__ import annotations

import sys
from typing import Annotated

try:
    import typer
except ImportError:
    sys.exit('error: the command line needs more packages\n  what to do: pip install "chainrule[train]"')

from chainrule import __version__
from chainrule.cli.cache import cache
from chainrule.cli.diagnose import diagnose
from chainrule.cli.explain import explain_command
from chainrule.cli.play import play
from chainrule.cli.predict import predict
from chainrule.cli.profile import profile
from chainrule.cli.show import show
from chainrule.cli.train import train
from chainrule.cli.why import why_command

app = typer.Typer(
    name="chainrule",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train)
app.command("predict")(predict)
app.command("diagnose")(diagnose)
app.command("show")(show)
app.command("explain")(explain_command)
app.command("why")(why_command)
app.command("play")(play)
app.command("profile")(profile)
app.command("cache")(cache)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"chainrule {__version__}")
        raise typer.Exit


@app.callback()
def chainrule(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train networks by reverse-mode differentiation of plain NumPy code, and use them.

    Start with: chainrule train
    """


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
