"""``python -m bench [SUITE …]``: runs the suites, prints their tables and writes their numbers as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import engine, products

SUITES = {"engine": engine, "products": products}
RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suite", nargs="*", default=list(SUITES), metavar="SUITE", help=f"of: {', '.join(SUITES)}")
    parser.add_argument("--seconds", type=float, default=2.0, help="about this long per row (default 2)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tests the code, says nothing of speed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for SUITE.json (default bench/results)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.suite if name not in SUITES]
    if unknown:
        parser.error(f"unknown suite {unknown[0]!r}: choose from {', '.join(SUITES)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.suite:
        print(f"{name} …", flush=True)
        result = SUITES[name].run(seconds=options.seconds, quick=options.quick)
        print(SUITES[name].text(result))
        file = options.out / f"{name}.json"
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"\nnumbers in {file}", flush=True)


if __name__ == "__main__":
    main()
