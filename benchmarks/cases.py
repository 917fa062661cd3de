"""The table of cases: what is measured, with which clients, and what the guard accepts.

To add a case, write a function for each client in `clients/`, and add an entry to `CASES`.
"""

from typing import Any

import attrs

from .job import Job


@attrs.frozen
class Run:
    """A row of a case.

    Args:
        call: A function of `clients/`, as `module.function`, or a command line.
        changes: The fields in which the job differs from the case's.
        times: The factor of the figures, if only a part of the case's job is done.
    """

    call: str
    changes: dict[str, Any] = attrs.field(factory=dict)
    times: int = 1

    @property
    def title(self) -> str:
        """The row's name in tables."""
        changes = [f"{name}={value}" for name, value in self.changes.items()]
        return " ".join([self.call, *changes, *[f"(times {self.times})"] * (self.times > 1)])


@attrs.frozen(kw_only=True)
class Case:
    """A job that several clients do.

    Args:
        key: The name for the command line.
        title: The title of its table.
        runs: The rows. The first one is the floor, to which the ratios are.
        measures: The columns: `wall` and `cpu` time, and of the process' memory, the `peak` and
            the `growth` during the job. The guard looks at the first one.
        job: What the clients do.
        per: The name of what is done `job.count` times, if the figures are to be divided by that.
        rounds: The number of rounds; each runs every row once.
        most: The largest ratios that the guard accepts, by `Run.title`.
    """

    key: str
    title: str
    runs: tuple[Run, ...]
    measures: tuple[str, ...] = ("cpu",)
    job: Job = attrs.field(factory=Job)
    per: str = ""
    rounds: int = 7
    most: dict[str, float] = attrs.field(factory=dict)


def _runs(function: str, *clients: str) -> tuple[Run, ...]:
    return tuple(Run(f"{client}.{function}") for client in clients)


_US = ("floor", "ours", "ours_blocking")
_PAGE_BY_PAGE = ("pydo_async", "pydo_blocking", "python_digitalocean")
_PART = {"per_page": 20, "total": 4_000}
_COMMAND = "python -m digitalocean_projects"

CASES = (
    Case(
        key="list-20ms",
        title="List 40,000 resources, 20 ms away",
        measures=("wall",),
        job=Job(total=40_000, latency=20),
        runs=(
            *_runs("collect", *_US),
            *_runs("iterate", "ours", "ours_blocking"),
            Run("ours.collect", {"concurrency": 32}),
            *_runs("collect", "with_httpx", *_PAGE_BY_PAGE),
            Run("pydo_async.collect", _PART, times=10),
            Run("pydo_blocking.collect", _PART, times=10),
        ),
        rounds=5,
    ),
    Case(
        key="list-0ms",
        title="List 40,000 resources, 0 ms away",
        measures=("cpu", "peak"),
        job=Job(total=40_000),
        runs=(
            *_runs("collect", *_US),
            *_runs("iterate", "ours", "ours_blocking"),
            *_runs("collect", "with_httpx", *_PAGE_BY_PAGE),
        ),
        most={"ours.collect": 1.6, "ours.iterate": 1.6, "ours_blocking.iterate": 1.7},
    ),
    Case(
        key="list-small-pages",
        title="List 40,000 resources in pages of 20, 0 ms away",
        job=Job(total=40_000, per_page=20),
        runs=_runs("collect", *_US),
        most={"ours.collect": 1.5},
    ),
    Case(
        key="list-200000",
        title="List 200,000 resources, 0 ms away",
        job=Job(total=200_000),
        runs=_runs("collect", *_US, "with_httpx"),
    ),
    Case(
        key="iterate-1000000",
        title="Iterate over 1,000,000 resources and keep none, 0 ms away",
        measures=("growth", "cpu"),
        job=Job(total=1_000_000),
        runs=_runs("iterate", *_US),
        rounds=3,
    ),
    Case(
        key="get",
        title="Get a project without limits, 0 ms away",
        measures=("cpu", "wall"),
        job=Job(count=1_000),
        per="request",
        runs=_runs("get", *_US, "with_httpx", *_PAGE_BY_PAGE),
        most={"ours.get": 1.45, "ours_blocking.get": 2.3},
    ),
    Case(
        key="page",
        title="Get a page of 20 resources, with limits and retries, 0 ms away",
        measures=("cpu", "wall"),
        job=Job(total=200, per_page=20, count=500),
        per="request",
        runs=_runs("page", *_US),
        most={"ours.page": 2.0, "ours_blocking.page": 3.1},
    ),
    Case(
        key="assign",
        title="Assign 10,000 resources, 0 ms away",
        job=Job(count=10_000),
        runs=_runs("assign", *_US, "with_httpx", *_PAGE_BY_PAGE),
        most={"ours.assign": 3.3},
    ),
    Case(
        key="assign-20ms",
        title="Assign 10,000 resources, 20 ms away",
        measures=("wall",),
        job=Job(count=10_000, latency=20),
        runs=_runs("assign", *_US),
        rounds=3,
    ),
    Case(
        key="lease",
        title="Take a token that is there",
        measures=("cpu", "wall"),
        job=Job(count=5_000),
        per="token",
        runs=(*_runs("lease", "ours", "with_aiolimiter"), Run("ours.lease_through_redis")),
    ),
    Case(
        key="import",
        title="Import, and nothing else",
        measures=("cpu", "wall"),
        runs=(
            Run("python -c 'import aiohttp, orjson'"),
            Run("python -c pass"),
            Run("python -c 'import digitalocean_projects'"),
            Run("python -c 'from digitalocean_projects import AsyncClient'"),
            Run("python -c 'from digitalocean_projects import Client'"),
            Run("python -c 'import httpx, orjson'"),
            Run("python -c 'from pydo.aio import Client'"),
            Run("python -c 'from pydo import Client'"),
            Run("python -c 'import digitalocean'"),
        ),
        most={
            "python -c 'import digitalocean_projects'": 0.2,
            "python -c 'from digitalocean_projects import AsyncClient'": 1.5,
        },
    ),
    Case(
        key="command",
        title="The command, from its start to its end",
        measures=("cpu", "wall"),
        runs=(
            Run("python -c 'import argparse'"),
            Run(f"{_COMMAND} --version"),
            Run(f"{_COMMAND} --help"),
            Run(f"{_COMMAND} list"),
        ),
        most={f"{_COMMAND} --version": 20.0, f"{_COMMAND} --help": 20.0},
    ),
)
