"""Tables and a picture of the results, as text."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from statistics import median, quantiles

from .cases import Case
from .runner import Result, can_count
from .targets import TARGETS, Target

_PACKAGES = ["digitalocean-projects", "aiohttp", "msgspec", "orjson", "pyreqwest"]
_PACKAGES += ["aiolimiter", "httpx", "pydo", "python-digitalocean"]
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_LABELS = {
    "raw_sockets": "sockets and orjson",
    "with_pyreqwest": "pyreqwest and orjson",
    "floor": "aiohttp and orjson",
    "ours": "AsyncClient",
    "ours_blocking": "Client",
    "with_httpx": "httpx and orjson",
    "pydo_async": "pydo, async",
    "pydo_blocking": "pydo",
    "python_digitalocean": "python-digitalocean",
}
# The cases in the picture, and the measure of each.
_PICTURE = {"list-20ms": "wall", "list-0ms": "cpu", "get": "cpu"}
_LONGEST_BAR = 40


def header() -> str:
    """Describe the machine and what is measured."""
    versions = {distribution.name: distribution.version for distribution in distributions()}
    measured = [f"{name} {versions[name]}" for name in _PACKAGES if name in versions]
    counted = (
        "counted by valgrind, without those of the kernel"
        if can_count()
        else "not counted, since valgrind isn't installed"
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {', '.join(measured)}; instructions are {counted}"
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
    if floor.instructions:
        rows[0].append("instructions, ratio")
        for row, result in zip(rows[1:], results, strict=True):
            row.append(_instructions(result, floor))
    return f"{case.key}: {case.title}\n{table(rows)}"


def _unit(floor: Result, measure: str) -> tuple[float, str]:
    """Return the unit that suits the floor's figures."""
    if measure == "kept":
        return 1.0, "MiB"
    typical = median(floor.values(measure))
    return next((unit for unit in _UNITS if typical >= unit[0] / 2), _UNITS[-1])


def _spread(values: list[float]) -> str:
    """Return the median, and the quartiles in brackets."""
    if len(values) == 1:
        return number(values[0])
    low, middle, high = quantiles(values, method="inclusive")
    return f"{number(middle)} ({number(low)}-{number(high)})"


def number(value: float) -> str:
    """Return three digits, and those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - 3 digits


def _instructions(result: Result | None, floor: Result) -> str:
    if result is None or not result.instructions:
        return ""
    return f"{result.instructions[0] / floor.instructions[0]:.2f}"


def target_table(
    found: Mapping[str, Sequence[Result]], older: str = "", targets: Iterable[Target] = TARGETS
) -> str:
    """Return a table of the ratios to the floor that have a target, also those of an older version.

    `this / older` compares the two versions in the same rounds.
    """
    versions = [older] * bool(older) + ["this"]
    rows = [["ratio to the floor", "target", *versions]]
    rows[0] += [f"this / {older}"] * bool(older)
    rows[0] += [f"instructions, {version}" for version in versions]
    for target in targets:
        by_title = {result.run.title: result for result in found.get(target.case, ())}
        if target.row not in by_title:
            continue
        floor = found[target.case][0]
        by_version = {older: by_title.get(f"{target.row} {older}"), "this": by_title[target.row]}
        row = [f"{target.case}: {target.row}, {target.measure}", f"{target.aim:.2f}"]
        row += [_ratio(by_version[version], floor, target.measure) for version in versions]
        if older:
            row.append(_ratio(by_version["this"], by_version[older], target.measure))
        row += [_instructions(by_version[version], floor) for version in versions]
        rows.append(row)
    return table(rows)


def _ratio(result: Result | None, base: Result | None, measure: str) -> str:
    if result is None or base is None:
        return "-"
    return f"{median(result.ratios(base, measure)):.2f}"


def picture(found: Mapping[str, Sequence[Result]], titles: Mapping[str, str]) -> str:
    """Return bars for the clients in some cases, the fastest first."""
    parts = []
    for key, measure in _PICTURE.items():
        if key not in found:
            continue
        size, unit = _unit(found[key][0], measure)
        values: dict[str, float] = {}
        for result in found[key]:
            # The first row of a client is its usual way.
            label = _LABELS[result.run.call.partition(".")[0]]
            if not result.run.version:
                values.setdefault(label, median(result.values(measure)) / size)
        scale = _LONGEST_BAR / max(values.values())
        lines = [f"{titles[key]}: {measure} time, {unit}"]
        for label, value in sorted(values.items(), key=lambda item: item[1]):
            bar = "■" * max(1, round(value * scale))
            lines.append(f"  {label:<20}  {number(value):>5}  {bar}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
