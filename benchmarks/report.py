"""Tables of results, as text."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from statistics import median, quantiles

from .cases import Case
from .runner import Result

_PACKAGES = ["digitalocean-projects", "aiohttp", "msgspec", "orjson"]
_PACKAGES += ["aiolimiter", "httpx", "pydo", "python-digitalocean"]
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def header() -> str:
    """Describe the machine and what is measured."""
    versions = {distribution.name: distribution.version for distribution in distributions()}
    measured = [f"{name} {versions[name]}" for name in _PACKAGES if name in versions]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {', '.join(measured)}"
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of a table; its first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (rows[0], ["-" * width for width in widths], *rows[1:])
    )


def case_table(case: Case, results: Sequence[Result]) -> str:
    """Return a table of medians, with quartiles, and their ratios to the first row."""
    floor = results[0]
    rows = [["", "rounds"], *([result.run.title, str(len(result.rounds))] for result in results)]
    for measure in case.measures:
        size, unit = _unit(floor, measure)
        rows[0] += [f"{measure}, {unit}" + (case.per and f" a {case.per}"), "ratio"]
        for row, result in zip(rows[1:], results, strict=True):
            row.append(_spread([value / size for value in result.values(measure)]))
            row.append(_spread(result.ratios(floor, measure)))
    return f"{case.key}: {case.title}\n{table(rows)}"


def _unit(floor: Result, measure: str) -> tuple[float, str]:
    """Return the unit that suits the floor's figures."""
    if measure in {"peak", "growth"}:
        return 1.0, "MiB"
    typical = median(floor.values(measure))
    return next((unit for unit in _UNITS if typical >= unit[0] / 2), _UNITS[-1])


def _spread(values: list[float]) -> str:
    """Return the median, and the quartiles in brackets."""
    if len(values) == 1:
        return _number(values[0])
    low, middle, high = quantiles(values, method="inclusive")
    return f"{_number(middle)} ({_number(low)}-{_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - 3 digits


def slopes(found: Mapping[str, Sequence[Result]]) -> str:
    """Return a table of what each request and each resource adds to the CPU time of a listing."""
    rows = [["A listing's CPU time grows by, µs", "a request", "a resource"]]
    for place in range(3):
        small, usual, large = (
            1e6 * median(found[key][place].values("cpu"))
            for key in ("list-small-pages", "list-0ms", "list-200000")
        )
        # The first two list 40,000 resources on 2,000 and on 200 pages, the last one has 1,000.
        request = (small - usual) / 1_800
        resource = (large - usual - 800 * request) / 160_000
        title = found["list-0ms"][place].run.title
        rows.append([title, _number(request), _number(resource)])
    return table(rows)
