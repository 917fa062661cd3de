"""Compare the speed of clients, in turns, each time in a fresh process.

The figures are medians, with quartiles in brackets. A ratio is to the first row in the same round.
"""

import argparse
import signal
import sys
from statistics import median

import attrs

from .cases import CASES, Case
from .report import case_table, header, slopes, table
from .runner import Runner, runner


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print tables."""
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = set(options.case) - {case.key for case in CASES}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if not options.case or case.key in options.case]
    with runner(quick=options.quick) as measuring:
        if options.guard:
            return guard(measuring, cases)
        print(header() + ", a small part of each job" * options.quick, flush=True)
        found = {}
        for case in cases:
            found[case.key] = measuring.run(case)
            print(f"\n{case_table(case, found[case.key])}", flush=True)
    if not options.quick and not options.case:
        print(f"\n{slopes(found)}")
    return 0


def guard(measuring: Runner, cases: list[Case], rounds: int = 5) -> int:
    """Print the ratios that have a threshold, and return the number of those above it.

    A ratio above its threshold is measured once more before it counts.
    """
    rows, failures = [["", "ratio", "at most", ""]], 0
    for case in cases:
        ratios: dict[str, float] = {}
        above = [run for run in case.runs if run.title in case.most]
        for _ in range(2):
            if above:
                part = attrs.evolve(case, runs=(case.runs[0], *above), rounds=rounds)
                floor, *results = measuring.run(part)
                for result in results:
                    ratios[result.run.title] = median(result.ratios(floor, case.measures[0]))
                above = [run for run in above if ratios[run.title] > case.most[run.title]]
        failures += len(above)
        for title, ratio in ratios.items():
            most = case.most[title]
            name = f"{case.key}: {title}"
            rows.append([name, f"{ratio:.2f}", f"{most:.2f}", "!" * (ratio > most)])
    print(table(rows))
    return failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=", ".join(case.key for case in CASES))
    parser.add_argument("--quick", action="store_true", help="do a small part of each, once")
    parser.add_argument("--guard", action="store_true", help="fail if a ratio has become worse")
    return parser


if __name__ == "__main__":
    # `main` ends its servers also when this process is asked to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
