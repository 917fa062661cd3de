"""The guard: fails when something became slower, told by ratios that need no quiet machine.

    nox -s guard

A ratio is of CPU times of two processes that ran one after the other; of several such, the
median counts. One over its threshold is measured once more before it is believed.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING

import attrs

from .job import Job
from .plan import Row
from .race import Race
from .server import Server
from .table import table

if TYPE_CHECKING:
    from collections.abc import Sequence

_TURNS = 5


@attrs.frozen(kw_only=True)
class Threshold:
    """How many times the CPU of something else a work may take.

    Args:
        title: The work.
        row: What does it.
        base: What it is compared with.
        most: The threshold: what was measured last, and some slack.
    """

    title: str
    row: Row
    base: Row
    most: float

    def ratio(self, race: Race, turns: int) -> float:
        """The ratio now."""
        return median(
            race.measure(self.row)["cpu"] / race.measure(self.base)["cpu"] for _ in range(turns)
        )


def _inside(call: str, *, total: int = 0, per_page: int = 200, count: int = 1) -> Row:
    job = Job(call=call, total=total, per_page=per_page, count=count)
    return Row(title=call, job=job)


def _outside(code: str) -> Row:
    return Row(title=code, command=("-c", code))


THRESHOLDS = (
    Threshold(
        title="listing 40,000 resources",
        row=_inside("ours:collect", total=40_000),
        base=_inside("floor:collect", total=40_000),
        most=1.6,
    ),
    Threshold(
        title="listing 4,000 in pages of 20",
        row=_inside("ours:collect", total=4_000, per_page=20),
        base=_inside("floor:collect", total=4_000, per_page=20),
        most=1.5,
    ),
    Threshold(
        title="listing 40,000, blocking, iterated over",
        row=_inside("ours_blocking:iterate", total=40_000),
        base=_inside("floor:collect", total=40_000),
        most=1.7,
    ),
    Threshold(
        title="listing 40,000 with limits",
        row=_inside("ours:collect_limited", total=40_000),
        base=_inside("floor:collect", total=40_000),
        most=1.7,
    ),
    Threshold(
        title="decoding 40,000 resources, kept",
        row=_inside("ours:decode_and_keep"),
        base=_inside("floor:decode_and_keep"),
        most=1.45,
    ),
    Threshold(
        title="a small request",
        row=_inside("ours:get", count=500),
        base=_inside("floor:get", count=500),
        most=1.45,
    ),
    Threshold(
        title="a small request, blocking",
        row=_inside("ours_blocking:get", count=500),
        base=_inside("floor:get", count=500),
        most=2.3,
    ),
    Threshold(
        title="importing the package",
        row=_outside("import digitalocean_projects"),
        base=_outside("pass"),
        most=3.0,
    ),
    Threshold(
        title="importing the client",
        row=_outside("from digitalocean_projects import AsyncClient"),
        base=_outside("import aiohttp, orjson"),
        most=1.5,
    ),
)


def main(thresholds: Sequence[Threshold] = THRESHOLDS, turns: int = _TURNS) -> int:
    """Compare, and return how many ratios are over their thresholds."""
    with Server() as server:
        race = Race(server.origin)
        found = {threshold: threshold.ratio(race, turns) for threshold in thresholds}
        for threshold, ratio in found.items():
            if ratio > threshold.most:
                found[threshold] = threshold.ratio(race, turns)
    slower = [threshold for threshold, ratio in found.items() if ratio > threshold.most]
    rows = [
        [threshold.title, f"{ratio:.2f}", f"{threshold.most:.2f}", "!" * (threshold in slower)]
        for threshold, ratio in found.items()
    ]
    print("\n".join(table([["CPU of", "ratio", "most", ""], *rows])))
    return len(slower)


if __name__ == "__main__":
    sys.exit(main() > 0)
