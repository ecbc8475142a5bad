"""``chainrule show``: a training step at any stage of compilation."""

from __future__ import annotations

from typing import Annotated

import typer

from chainrule.base.errors import choose
from chainrule.cli.named import training_step
from chainrule.cli.report_errors import in_words, note
from chainrule.inspection import STAGES, show_lowered

NAME = Annotated[
    str, typer.Argument(metavar="MODEL", help="digits, mnist, or layer sizes such as 784-128-10 (inputs first).")
]
BATCH = Annotated[int | None, typer.Option("--batch-size", metavar="N", help="Rows per step.")]
OPTIMIZER = Annotated[str | None, typer.Option("--optimizer", metavar="NAME", help="adam by default.")]
ACTIVATION = Annotated[str | None, typer.Option("--activation", metavar="NAME", help="relu by default.")]


@in_words
def show(
    model: NAME = "digits",
    stage: Annotated[
        str, typer.Option("--stage", metavar="STAGE", help=f"One of: {', '.join(STAGES)}.")
    ] = "fused",
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="host, or another: avx512, avx2, generic, neon.")
    ] = "host",
    kernel: Annotated[
        str | None, typer.Option("--kernel", metavar="N", help="Only this kernel, by its number.")
    ] = None,
    optimised: Annotated[bool, typer.Option("--optimised", help="LLVM text after LLVM's own passes.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also what is the same for every program.")] = False,
    batch_size: BATCH = None,
    optimizer: OPTIMIZER = None,
    activation: ACTIVATION = None,
) -> None:
    """Show how a training step is compiled: forward pass, backward pass and update."""
    if stage not in STAGES:
        raise choose("--stage", stage, STAGES, where="the command line")
    named = training_step(model, batch_size=batch_size, optimizer=optimizer, activation=activation)
    note(f"{named.title}; stage {stage} of {' → '.join(STAGES)}")
    show_lowered(named.call, stage, target=target, kernel=kernel, optimised=optimised, full=full)
