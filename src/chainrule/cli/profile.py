"""``chainrule profile``: the kernels of a training step, each with its time and its share of the machine's limit."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from chainrule.cli.named import training_step
from chainrule.cli.report_errors import in_words
from chainrule.cli.show import ACTIVATION, BATCH, NAME, OPTIMIZER
from chainrule.inspection import profile_lowered


@in_words
def profile(
    model: NAME = "digits",
    repeats: Annotated[
        int | None, typer.Option("--repeats", metavar="N", help="How often to run it; by default half a second.")
    ] = None,
    batch_size: BATCH = None,
    optimizer: OPTIMIZER = None,
    activation: ACTIVATION = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
) -> None:
    """Measure each kernel of a compiled training step beside what this machine can do."""
    named = training_step(model, batch_size=batch_size, optimizer=optimizer, activation=activation)
    found = profile_lowered(named.call, repeats)
    if as_json:
        print(json.dumps({"model": named.title, **found.to_dict()}))
        return
    print(named.title)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(found)
    else:
        print(found)
