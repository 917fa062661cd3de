"""The command: `python -m benchmarks`, or `nox -s benchmarks`."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .plan import FULL, QUICK, works
from .race import Race
from .redis_server import redis_server
from .report import Chapter, Report, report
from .server import Server
from .table import tables

if TYPE_CHECKING:
    from .plan import Sizes

_HERE = Path(__file__).parent
_RESULTS = "results.json"


def main(arguments: list[str] | None = None) -> None:
    """Measure, tell the results, and keep them with a picture of them."""
    options = _parser().parse_args(arguments)
    # What is less than everything isn't kept where everything is.
    output = options.output or (None if options.quick or options.only else _HERE)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    if options.show:
        found = Report.load_from((output or _HERE) / _RESULTS)
    else:
        found = _measured(QUICK if options.quick else FULL, options.only)
    print(tables(found))
    if output is not None:
        found.save(output / _RESULTS)
        if find_spec("matplotlib"):
            from .picture import draw  # noqa: PLC0415 - it may not be there

            draw(found, output / "results.svg")


def _measured(sizes: Sizes, only: str) -> Report:
    with Server() as server, redis_server() as redis:
        race = Race(server.origin, redis, lambda text: print(text, file=sys.stderr))
        chosen = [work for work in works(sizes) if work.key.startswith(only)]
        return report((Chapter.of(work, race.run(work)) for work in chosen), sizes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything, once")
    parser.add_argument("--only", default="", metavar="KEY", help="works whose keys begin so")
    parser.add_argument("--show", action="store_true", help="measure nothing: show what was")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to keep results.json and results.svg; for a whole run, beside this program",
    )
    return parser


if __name__ == "__main__":
    main()
