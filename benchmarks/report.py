"""The report: all results, with what is to be known of where they come from."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import attrs
import cattrs

from .growth import Growth, Point
from .plan import ASYNC, BLOCKING, FLOOR
from .race import Result  # noqa: TC001 - cattrs resolves the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .plan import Sizes, Work

_PACKAGES = (
    "digitalocean-projects",
    "aiohttp",
    "aiolimiter",
    "anyio",
    "attrs",
    "cattrs",
    "httpx",
    "msgspec",
    "orjson",
    "pydo",
    "python-digitalocean",
    "redis",
    "yarl",
)


@attrs.frozen(kw_only=True)
class Chapter:
    """The results of a work; what they are is said in `plan.Work`."""

    key: str
    title: str
    unit: str
    beyond: bool
    note: str
    results: list[Result]

    @classmethod
    def of(cls, work: Work, results: list[Result]) -> Chapter:
        """The chapter of a work."""
        return cls(
            key=work.key,
            title=work.title,
            unit=work.per[1],
            beyond=work.beyond,
            note=work.note,
            results=results,
        )


@attrs.frozen(kw_only=True)
class Report:
    """All results.

    Args:
        date: When they were measured.
        machine: On what.
        load: How many processes wanted to run before, in the last 1, 5 and 15 minutes.
        versions: Of what is measured.
        chapters: The results of each work.
        growth: What more resources and requests cost.
    """

    date: str
    machine: str
    load: tuple[float, float, float]
    versions: dict[str, str]
    chapters: list[Chapter]
    growth: list[Growth]

    def __getitem__(self, key: str) -> Chapter:
        return next(chapter for chapter in self.chapters if chapter.key == key)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(cattrs.unstructure(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load_from(cls, path: Path) -> Report:
        """Read what `save` wrote."""
        return cattrs.structure(json.loads(path.read_text("utf-8")), cls)


def report(chapters: Iterable[Chapter], sizes: Sizes) -> Report:
    """The report of what these chapters, which are measured only now, come to."""
    date, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()
    chapters = list(chapters)
    return Report(
        date=date,
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}",
        load=load,
        versions=dict(_versions()),
        chapters=chapters,
        growth=_growth(chapters, sizes),
    )


def _versions() -> Iterable[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def _growth(chapters: list[Chapter], sizes: Sizes) -> list[Growth]:
    """What CPU time grows by, from the listings at no latency."""
    found = {chapter.key: chapter.results for chapter in chapters}
    totals = [total for total, _ in sizes.listings if f"list-{total}-0" in found]
    if sizes.shown not in totals or "list-small-pages" not in found:
        return []

    def point(title: str, key: str, resources: int, per_page: int) -> Point:
        cpu = _cpu(found[key], title)
        return Point(resources=resources, requests=resources // per_page, cpu=cpu)

    return [
        Growth.of(
            title,
            [point(title, f"list-{total}-0", total, 200) for total in totals],
            point(title, "list-small-pages", sizes.shown, 20),
        )
        for title in (FLOOR, ASYNC, BLOCKING)
    ]


def _cpu(results: list[Result], title: str) -> float:
    spread = next(result.cpu for result in results if result.title == title)
    assert spread is not None
    return spread.median
