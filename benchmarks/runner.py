"""The runner: runs the rows of a case in turns, each time in a fresh process."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import attrs

from .cases import Case, Run
from .job import Job
from .redis_server import redis_server
from .server import running_server

_QUICK_DIVISOR = 20
_TIMEOUT = 300.0


class WrongResultError(Exception):
    """A client failed, or did something else than its job."""


@attrs.frozen
class Result:
    """The costs of a run in each round."""

    run: Run
    rounds: list[dict[str, float]] = attrs.field(factory=list)

    def values(self, measure: str) -> list[float]:
        """Return the costs of all rounds."""
        return [costs.get(measure, 0.0) for costs in self.rounds]

    def ratios(self, floor: Result, measure: str) -> list[float]:
        """Return the ratios to what the floor took in the same rounds."""
        pairs = zip(self.values(measure), floor.values(measure), strict=False)
        return [value / (base or 1.0) for value, base in pairs]


@attrs.frozen(kw_only=True)
class Runner:
    """A runner of cases.

    Args:
        origin: The URL of the server.
        redis: The URL of a Redis, or an empty string.
        quick: Do a small part of each job, once.
    """

    origin: str
    redis: str = ""
    quick: bool = False

    def run(self, case: Case) -> list[Result]:
        """Measure all rows; one whose package isn't installed is left out.

        Raises:
            WrongResultError: A client failed, or did something else than its job.
        """
        # The server prepares the pages that it keeps.
        self._measure(case, case.runs[0])
        results = [Result(run) for run in case.runs if self.redis or "redis" not in run.call]
        for number in range(1 if self.quick else case.rounds):
            for result in tuple(results):
                print(f"{case.key}: round {number + 1}: {result.run.title}", file=sys.stderr)
                try:
                    result.rounds.append(self._measure(case, result.run))
                except ModuleNotFoundError as error:
                    print(f"{case.key}: {result.run.title} is left out: {error}", file=sys.stderr)
                    results.remove(result)
        return results

    def _measure(self, case: Case, run: Run) -> dict[str, float]:
        """Return the costs of one process."""
        if run.call.startswith("python "):
            return self._measure_command(run)
        job = self._job(case, run)
        arguments = json.dumps(attrs.asdict(job))
        costs: dict[str, float] = json.loads(_python("-m", "benchmarks.child", run.call, arguments))
        if costs["done"] != job.expected:
            raise WrongResultError(f"{run.title} did {costs['done']} of {job.expected}")
        factor = run.times / (job.count if case.per else 1)
        return costs | {name: costs[name] * factor for name in ("wall", "cpu")}

    def _job(self, case: Case, run: Run) -> Job:
        job = attrs.evolve(case.job, origin=self.origin, redis=self.redis, **run.changes)
        if not self.quick:
            return job
        total = max(job.total // _QUICK_DIVISOR, job.per_page)
        return attrs.evolve(job, total=total, count=max(job.count // _QUICK_DIVISOR, 1))

    def _measure_command(self, run: Run) -> dict[str, float]:
        url = f"{self.origin}/200/0"
        cpu, wall = _cpu_of_children(), perf_counter()
        _python(*shlex.split(run.call)[1:], DIGITALOCEAN_API_URL=url, DIGITALOCEAN_TOKEN="t")
        return {"wall": perf_counter() - wall, "cpu": _cpu_of_children() - cpu}


@contextmanager
def runner(*, quick: bool = False) -> Iterator[Runner]:
    """Run the servers during the `with` block."""
    with (
        running_server() as (origin, server),
        redis_server() as (redis, redis_process),
        _pinned(server, redis_process),
    ):
        yield Runner(origin=origin, redis=redis, quick=quick)


@contextmanager
def _pinned(*servers: int) -> Iterator[None]:
    """Keep servers on one core, and all processes that are started here on another one."""
    if sys.platform != "linux":
        yield
        return
    cores = os.sched_getaffinity(0)
    for process in filter(None, servers):
        os.sched_setaffinity(process, {max(cores)})
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _python(*arguments: str, **environment: str) -> str:
    """Return what a Python prints."""
    environment = {**os.environ, **environment}
    # Packages are compiled when they are installed or first used, so compiling isn't measured.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        env=environment,
        text=True,
        timeout=_TIMEOUT,
    )
    if not done.returncode:
        return done.stdout
    if "\nModuleNotFoundError" in done.stderr:
        raise ModuleNotFoundError(done.stderr.splitlines()[-1])
    raise WrongResultError(f"{shlex.join(arguments)}: {done.stderr}")


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
