"""The table of cases: what is measured, and with which clients.

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
        status: The exit status of a command line.
        version: The version of this package, if it is an older one.
    """

    call: str
    changes: dict[str, Any] = attrs.field(factory=dict)
    times: int = 1
    status: int = 0
    version: str = ""

    @property
    def title(self) -> str:
        """The row's name in tables."""
        changes = [f"{name}={value}" for name, value in self.changes.items()]
        part = [f"(times {self.times})"] * (self.times > 1)
        return " ".join([self.call, *changes, *part, *filter(None, [self.version])])

    @property
    def is_ours(self) -> bool:
        """True if it measures this package."""
        return self.call.startswith("ours") or "digitalocean_projects" in self.call


@attrs.frozen(kw_only=True)
class Case:
    """A job that several clients do.

    Args:
        key: The name for the command line.
        title: The title of its table.
        runs: The rows. The first one is the floor, to which the ratios are.
        measures: The columns: `wall` and `cpu` time, and the memory of the `kept` result.
        job: What the clients do.
        per: The name of what is done `job.count` times, if the figures are to be divided by that.
        rounds: The number of rounds; each runs every row once.
        counted: The fields in which the job differs when instructions are counted, which takes 50
            times as long. Without any, they are not counted.
    """

    key: str
    title: str
    runs: tuple[Run, ...]
    measures: tuple[str, ...] = ("cpu",)
    job: Job = attrs.field(factory=Job)
    per: str = ""
    rounds: int = 4
    counted: dict[str, Any] = attrs.field(factory=dict)


def _runs(function: str, *clients: str) -> tuple[Run, ...]:
    return tuple(Run(f"{client}.{function}") for client in clients)


_US = ("floor", "ours", "ours_blocking")
_FASTER = ("raw_sockets", "with_pyreqwest")
_PAGE_BY_PAGE = ("pydo_async", "pydo_blocking", "python_digitalocean")
_COMMAND = "python -m digitalocean_projects"
# The slower clients do a part of a listing.
_COLLECT_PART = (
    Run("with_httpx.collect", {"total": 8_000}, times=5),
    *(Run(f"{client}.collect", {"total": 4_000}, times=10) for client in _PAGE_BY_PAGE),
)

CASES = (
    Case(
        key="list-20ms",
        title="List 40,000 resources, 20 ms away",
        measures=("wall", "cpu"),
        job=Job(total=40_000, latency=20),
        runs=(
            *_runs("collect", *_US),
            *_runs("iterate", "ours", "ours_blocking"),
            *_runs("collect", *_FASTER),
            *_COLLECT_PART,
        ),
    ),
    Case(
        key="list-0ms",
        title="List 40,000 resources, 0 ms away",
        job=Job(total=40_000),
        runs=(
            *_runs("collect", *_US),
            *_runs("iterate", "ours", "ours_blocking"),
            *_runs("collect", *_FASTER),
            *_COLLECT_PART,
        ),
        counted={"total": 10_000},
    ),
    Case(
        key="list-odd",
        title="List 40,000 resources that are all unusual, 0 ms away",
        job=Job(total=40_000, odd=1),
        runs=(
            *_runs("collect", "floor", "ours"),
            *(Run("ours.collect", {"odd": odd}) for odd in (200, 0)),
        ),
        rounds=3,
    ),
    Case(
        key="get",
        title="Get a project without limits, 0 ms away",
        measures=("cpu", "wall"),
        job=Job(count=1_000),
        per="request",
        runs=(
            *_runs("get", *_US, *_FASTER),
            *(Run(f"{client}.get", {"count": 200}) for client in ("with_httpx", *_PAGE_BY_PAGE)),
        ),
        counted={"count": 200},
    ),
    Case(
        key="page",
        title="Get a page of 20 resources, with limits and retries, 0 ms away",
        measures=("cpu", "wall"),
        job=Job(total=200, per_page=20, count=500),
        per="request",
        runs=_runs("page", *_US, *_FASTER),
        counted={"count": 100},
    ),
    Case(
        key="assign",
        title="Assign 10,000 resources, 0 ms away",
        job=Job(count=10_000),
        runs=_runs("assign", *_US, *_FASTER, "with_httpx", *_PAGE_BY_PAGE),
        counted={"count": 4_000},
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
        title="Take a token that is there, and return it",
        job=Job(count=20_000),
        per="token",
        runs=(
            *_runs("lease", "floor", "ours", "with_aiolimiter"),
            Run("ours.lease_through_redis", {"count": 2_000}),
        ),
        counted={"count": 1_000},
    ),
    Case(
        key="memory",
        title="Keep 40,000 resources",
        measures=("kept",),
        job=Job(total=40_000, kept=True),
        runs=(Run("floor.collect"), Run("ours.keep")),
        rounds=1,
    ),
    Case(
        key="import",
        title="Import, and nothing else",
        measures=("cpu", "wall"),
        runs=(
            Run("python -c pass"),
            Run("python -c 'import digitalocean_projects'"),
            Run("python -c 'from digitalocean_projects import URN, Resource'"),
        ),
    ),
    Case(
        key="import-client",
        title="Import a client, and nothing else",
        measures=("cpu", "wall"),
        runs=(
            Run("python -c 'import aiohttp'"),
            Run("python -c 'from digitalocean_projects import AsyncClient'"),
            Run("python -c 'from digitalocean_projects import Client'"),
            Run("python -c 'import httpx'"),
            Run("python -c 'import pyreqwest.client'"),
            Run("python -c 'from pydo.aio import Client'"),
            Run("python -c 'from pydo import Client'"),
            Run("python -c 'import digitalocean'"),
        ),
    ),
    Case(
        key="command",
        title="The command, from its start to its end",
        measures=("cpu", "wall"),
        runs=(
            Run("python -c 'import argparse'"),
            Run(f"{_COMMAND} --version"),
            Run(f"{_COMMAND} --help"),
            Run(f"{_COMMAND} completion bash"),
            Run(f"{_COMMAND} list --no-such-option", status=2),
            Run(f"{_COMMAND} list"),
        ),
    ),
    Case(
        key="emulator",
        title="Start the emulator, until its first answer",
        measures=("wall", "cpu"),
        job=Job(total=1),
        runs=(Run("python -c 'import aiohttp.web'"), Run("ours.emulator")),
    ),
)
