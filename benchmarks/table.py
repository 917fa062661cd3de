"""Tables of a report, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .growth import Growth
    from .race import Spread
    from .report import Chapter, Report

_NONE = "–"
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def tables(report: Report) -> str:
    """All of the report."""
    return "\n".join(_lines(report))


def seconds(value: float) -> str:
    """A time, with the unit that suits it."""
    size, unit = next((found for found in _UNITS if abs(value) >= found[0]), _UNITS[-1])
    return (
        f"{value / size:.3g} {unit}" if abs(value) < 999.5 * size else f"{value / size:.0f} {unit}"
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as reStructuredText has it; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [rule, lines[0], rule, *lines[1:], rule]


def _lines(report: Report) -> Iterator[str]:
    load = ", ".join(f"{value:.2f}" for value in report.load)
    yield f"{report.date}, {report.machine}, load {load}"
    yield ", ".join(f"{name} {version}" for name, version in report.versions.items())
    for chapter in report.chapters:
        yield f"\n{chapter.title}"
        yield from table(_chapter(chapter))
        yield from _notes(chapter)
    if report.growth:
        yield "\nCPU time of a listing that is kept grows by"
        yield from table(_growth(report.growth))


def _growth(lines: Sequence[Growth]) -> list[list[str]]:
    spans = [f"a resource, {slope.start:,} to {slope.end:,}" for slope in lines[0].slopes]
    rows = [["", "a request", *spans]]
    for line in lines:
        slopes = [seconds(slope.per_resource) for slope in line.slopes]
        rows.append([line.title, seconds(line.per_request), *slopes])
    return rows


def _chapter(chapter: Chapter) -> list[list[str]]:
    per = f" a {chapter.unit}" if chapter.unit else ""
    base, *others = chapter.results
    rows = [["", f"wall{per}", "×", f"CPU{per}", "×", "memory", "+", "rounds"]]
    for result in (base, *others):
        wall, cpu = result.wall, result.cpu
        rows.append(
            [
                result.title + (" *" if result.part else ""),
                _time(wall, base.wall if chapter.beyond and result is not base else None),
                _NONE if chapter.beyond else ratio(wall, base.wall),
                _time(cpu, base.cpu if chapter.beyond and result is not base else None),
                _NONE if chapter.beyond else ratio(cpu, base.cpu),
                megabytes(result.peak),
                megabytes(result.memory),
                str(result.rounds),
            ]
        )
    # A column in which nothing stands.
    kept = [i for i in range(len(rows[0])) if any(row[i] != _NONE for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _time(spread: Spread | None, less: Spread | None) -> str:
    if spread is None:
        return _NONE
    return seconds(spread.median - (0.0 if less is None else less.median))


def ratio(spread: Spread | None, base: Spread | None) -> str:
    """How many times the base it is."""
    if spread is None or base is None:
        return _NONE
    return f"{spread.median / base.median:.3g}"


def megabytes(spread: Spread | None) -> str:
    """An amount of memory."""
    return _NONE if spread is None else f"{spread.median / 2**20:.1f} MiB"


def _notes(chapter: Chapter) -> Iterator[str]:
    if chapter.note:
        yield chapter.note
    for result in chapter.results:
        if result.part is not None:
            yield f"* {result.title}: measured on {result.part[0]:,}, times {result.part[1]}."
        if not result.rounds:
            yield f"{result.title}: is not installed."
