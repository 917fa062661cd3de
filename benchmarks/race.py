"""A race: contestants do a work in turns, each time in a fresh process."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import attrs

from .plan import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .plan import Row, Work


@attrs.frozen(kw_only=True)
class Spread:
    """What was measured several times."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of the values."""
        return cls(median=median(values), low=min(values), high=max(values))


@attrs.frozen(kw_only=True)
class Result:
    """What a row came to.

    Args:
        title: Who, and how.
        rounds: How often it was done.
        part: Of how much it was done only, and what the figures were multiplied by; or None.
        wall: Seconds that passed.
        cpu: Seconds of CPU that its process took.
        memory: Bytes by which its process grew at the peak, or None where that isn't known.
        peak: Bytes of the process at the peak, or None.
    """

    title: str
    rounds: int
    part: tuple[int, int] | None = None
    wall: Spread | None = None
    cpu: Spread | None = None
    memory: Spread | None = None
    peak: Spread | None = None


class WrongResultError(Exception):
    """A contestant has not done what it was to do."""


@attrs.define
class Race:
    """Has works done.

    Args:
        origin: Where the server is.
        redis: Where the Redis is, or None.
        tell: What is told how far it has come.
    """

    origin: str
    redis: str | None = None
    tell: Callable[[str], object] = attrs.field(default=lambda _: None)

    def run(self, work: Work) -> list[Result]:
        """What the rows of the work came to.

        Raises:
            WrongResultError: A contestant has done something else.
        """
        measured: dict[str, list[dict[str, float]]] = {row.title: [] for row in work.rows}
        for turn in range(max(row.rounds for row in work.rows)):
            for row in work.rows:
                if turn < row.rounds and self._can(row):
                    self.tell(f"{work.title}: {row.title} ({turn + 1}/{row.rounds})")
                    measured[row.title].append(self.measure(row))
        _check(work, measured)
        return [_result(work, row, measured[row.title]) for row in work.rows]

    def measure(self, row: Row) -> dict[str, float]:
        """One turn of a row."""
        if row.job is None:
            return self._from_without(row.command)
        origin = self.redis if row.job.call == SHARED else self.origin
        job = json.dumps({**attrs.asdict(row.job), "origin": origin})
        done = _python("-m", "benchmarks.contestant", job)
        told: dict[str, float] = json.loads(done)
        return told

    def _can(self, row: Row) -> bool:
        if row.job is not None and row.job.call == SHARED:
            return self.redis is not None
        return row.needs is None or find_spec(row.needs) is not None

    def _from_without(self, command: Sequence[str]) -> dict[str, float]:
        url = f"{self.origin}/200/0"
        cpu, wall = -_cpu_of_children(), -perf_counter()
        _python(*command, DIGITALOCEAN_API_URL=url, DIGITALOCEAN_TOKEN="t")  # noqa: S106 - any
        return {"wall": wall + perf_counter(), "cpu": cpu + _cpu_of_children()}


def _python(*arguments: str, **environment: str) -> str:
    """What this Python prints."""
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            check=True,
            env={**os.environ, **environment},
            text=True,
        ).stdout
    except subprocess.CalledProcessError as error:
        raise WrongResultError(f"{' '.join(arguments)}: {error.stderr}") from None


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _check(work: Work, measured: dict[str, list[dict[str, float]]]) -> None:
    """See that all have done the same."""
    checksums: dict[float, set[float]] = {}
    for row in work.rows:
        for turn in measured[row.title]:
            count = turn.get("count", 0)
            if count != row.expected:
                raise WrongResultError(f"{work.title}: {row.title}: {count}, not {row.expected}")
            checksums.setdefault(count, set()).add(turn.get("checksum", 0))
    if any(len(found - {0}) > 1 for found in checksums.values()):
        raise WrongResultError(f"{work.title}: not all have found the same")


def _result(work: Work, row: Row, turns: list[dict[str, float]]) -> Result:
    if not turns:
        return Result(title=row.title, rounds=0)
    factor = row.times / work.per[0]
    whole = row.times == 1 and work.per[0] == 1 and "memory" in turns[0]
    return Result(
        title=row.title,
        rounds=len(turns),
        part=None if row.times == 1 else (row.expected, row.times),
        wall=Spread.of([turn["wall"] * factor for turn in turns]),
        cpu=Spread.of([turn["cpu"] * factor for turn in turns]),
        memory=Spread.of([turn["memory"] for turn in turns]) if whole else None,
        peak=Spread.of([turn["peak"] for turn in turns]) if whole else None,
    )
