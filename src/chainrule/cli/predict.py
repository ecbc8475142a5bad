"""``chainrule predict``: the answers of a trained run for new rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.report_errors import in_words, note
from chainrule.train.files import write_atomic
from chainrule.train.predict import Predictor, read_rows


@in_words
def predict(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A folder that chainrule train wrote.")],
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="New rows: a CSV or NPZ table with the columns of the training data, or an IDX file of pictures.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the CSV here instead of printing it.")
    ] = None,
) -> None:
    """Predict new rows: one line of CSV per row, with the probability of each class."""
    predictor = Predictor.load(run_dir)
    text = predictor.predict(read_rows(rows)).to_csv()
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomic(out, text)
        note(f"{text.count(chr(10)) - 1} predictions in {out}")
