"""``python -m bench [SUITE …]``: runs the suites, prints their tables and writes their numbers as JSON.

Without a suite it is ``table``: training steps and all else that has a goal, against peers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import engine, products, table

SUITES = {"engine": engine, "products": products}
NAMES = ("table", *SUITES)
RESULTS = Path(__file__).parent / "results"


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suite", nargs="*", default=["table"], metavar="SUITE", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--rows", type=_names, metavar="ROW,…", help="rows of the table (default: all)")
    parser.add_argument("--peers", type=_names, metavar="PEER,…", help="peers in the table (default: all installed)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of MNIST's files: adds the row mnist")
    parser.add_argument("--seconds", type=float, default=2.0, help="about this long per row and peer (default 2)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tests the code, says nothing of speed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the files (default bench/results)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.suite if name not in NAMES]
    if unknown:
        parser.error(f"unknown suite {unknown[0]!r}: choose from {', '.join(NAMES)}")
    try:
        table.choose_rows(options.rows, options.quick, options.data)
        table.choose_peers(options.peers, options.quick)
    except ValueError as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.suite:
        if name == "table":
            table.run(options.out, options.rows, options.peers, options.seconds, options.quick, options.data)
            continue
        print(f"{name} …", flush=True)
        result = SUITES[name].run(seconds=options.seconds, quick=options.quick)
        print(SUITES[name].text(result))
        file = options.out / f"{name}.json"
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"\nnumbers in {file}", flush=True)


if __name__ == "__main__":
    main()
