"""The picture of a report that README.rst shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from .plan import ASYNC, BLOCKING, FLOOR
from .table import seconds

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from .race import Result
    from .report import Report

# It brings its own ground, so that it can be read on a light page and on a dark one.
_GROUND, _INK, _FAINT = "#ffffff", "#24292f", "#6e7781"
_OURS, _OTHERS, _FLOOR = "#0969da", "#afb8c1", "#57606a"
_SIZE = (11, 9.2)
_PANELS = (
    ("list-40000-20", "wall", "Listing 40,000, 20 ms away: time"),
    ("list-40000-0", "cpu", "Listing 40,000, 0 ms away: CPU time"),
    ("get", "cpu", "A small request: CPU time"),
    ("assign", "cpu", "Assigning 10,000: CPU time"),
    ("list-40000-0", "peak", "Listing 40,000: memory of the process"),
    ("import", "cpu", "Importing: CPU time"),
)


def draw(report: Report, path: Path) -> None:
    """Write the picture, as SVG, of those works that the report has."""
    keys = {chapter.key for chapter in report.chapters}
    panels = [panel for panel in _PANELS if panel[0] in keys]
    options = {"svg.fonttype": "none", "svg.hashsalt": "1", "font.family": "sans-serif"}
    with mpl.rc_context({**options, "text.color": _INK, "ytick.color": _INK}):
        figure = Figure(figsize=_SIZE, facecolor=_GROUND, layout="constrained")
        for place, (key, what, title) in enumerate(panels, 1):
            axes = figure.add_subplot(-(-len(panels) // 2), 2, place)
            _bars(axes, report, key, what)
            scale = " (log)" * (axes.get_xscale() == "log")
            axes.set_title(title + scale, loc="left", fontsize=10, fontweight="bold")
        versions = report.versions
        shown = ("digitalocean-projects", "pydo", "python-digitalocean", "aiohttp", "httpx")
        told = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
        told += "\n* a part was measured, and multiplied; limits are off"
        figure.supxlabel(f"{report.date[:10]}, {report.machine}; {told}", fontsize=8, color=_FAINT)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _bars(axes: Axes, report: Report, key: str, what: str) -> None:
    chapter = report[key]
    less = getattr(chapter.results[0], what).median if chapter.beyond else 0.0
    results = chapter.results[1:] if chapter.beyond else chapter.results
    rows = [
        (result, spread.median - less)
        for result in results
        if (spread := getattr(result, what)) is not None and ":" not in result.title
    ]
    rows.sort(key=lambda row: row[1])
    values = [value for _, value in rows]
    axes.barh(range(len(rows)), values, color=[_color(result) for result, _ in rows], height=0.7)
    axes.set_yticks(range(len(rows)), [_label(result) for result, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log" if max(values) > 20 * min(values) > 0 else "linear")
    for place, (result, value) in enumerate(rows):
        weight = "bold" if _color(result) == _OURS else "normal"
        axes.annotate(
            _text(value, what),
            (value, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            fontweight=weight,
        )
    axes.margins(x=0.18)
    axes.tick_params(length=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_OTHERS)
    axes.set_facecolor(_GROUND)


def _label(result: Result) -> str:
    return result.title + (" *" if result.part else "")


def _color(result: Result) -> str:
    if result.title == FLOOR:
        return _FLOOR
    ours = (ASYNC, BLOCKING, "digitalocean_projects")
    return _OURS if result.title.startswith(ours) else _OTHERS


def _text(value: float, what: str) -> str:
    return f"{value / 2**20:.0f} MiB" if what == "peak" else seconds(value)
