"""Compare the speed of clients, in turns, each time in a fresh process.

The figures are medians, with quartiles in brackets. A ratio is to the first row in the same round.
After the tables of all cases come a table of targets and a picture.
"""

import argparse
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import attrs

from .cases import CASES, Case
from .report import case_table, header, picture, table, target_table
from .runner import Runner, runner
from .scale import report
from .targets import TARGETS, Target


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print tables."""
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = set(options.case) - {case.key for case in CASES}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if not options.case or case.key in options.case]
    if options.scale:
        print(f"{header()}\n\n{report()}")
        return 0
    with runner(quick=options.quick, against=options.against) as measuring:
        if options.guard:
            return guard(measuring, cases)
        print(header() + ", a small part of each job" * options.quick, flush=True)
        found = {}
        for case in cases:
            found[case.key] = measuring.run(case)
            print(f"\n{case_table(case, found[case.key])}", flush=True)
    print(f"\n{target_table(found, measuring.older)}")
    print(f"\n{picture(found, {case.key: case.title for case in cases})}")
    return 0


def guard(
    measuring: Runner, cases: list[Case], targets: Iterable[Target] = TARGETS, rounds: int = 5
) -> int:
    """Print the ratios that have a target, and return the number of those above the accepted ones.

    A ratio that is above is measured once more before it counts.
    """
    rows, failures = [["", "ratio", "at most", ""]], 0
    for case in cases:
        ratios: dict[Target, float] = {}
        above = [target for target in targets if target.case == case.key]
        for _ in range(2):
            if above:
                names = {target.row for target in above}
                runs = (case.runs[0], *(run for run in case.runs if run.title in names))
                part = attrs.evolve(case, runs=runs, rounds=rounds, counted={})
                floor, *results = measuring.run(part)
                by_title = {result.run.title: result for result in results}
                for target in above:
                    values = by_title[target.row].ratios(floor, target.measure)
                    ratios[target] = median(values)
                above = [target for target in above if ratios[target] > target.most]
        failures += len(above)
        for target, ratio in ratios.items():
            name = f"{case.key}: {target.row}, {target.measure}"
            rows.append([name, f"{ratio:.2f}", f"{target.most:.2f}", "!" * (ratio > target.most)])
    print(table(rows))
    return failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=", ".join(case.key for case in CASES))
    parser.add_argument("--quick", action="store_true", help="do a small part of each, once")
    parser.add_argument("--guard", action="store_true", help="fail if a ratio has become worse")
    parser.add_argument("--scale", action="store_true", help="measure what many tokens cost")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="WHEEL",
        help="measure another version of this package, too, in turns with this one",
    )
    return parser


if __name__ == "__main__":
    # `main` ends its servers also when this process is asked to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
