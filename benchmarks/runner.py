"""The runner: runs the rows of a case in turns, each time in a fresh process."""

from __future__ import annotations

import compileall
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from zipfile import ZipFile

import attrs

from .cases import Case, Run
from .job import Job
from .redis_server import redis_server
from .server import running_server

_QUICK_DIVISOR = 20
TIMEOUT = 300.0
_ROOT = Path(__file__).resolve().parent.parent
_VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null")
_find_instructions = re.compile(r"Collected : (\d+)").search


def can_count() -> bool:
    """Return True if the programs that count instructions are installed."""
    return all(map(shutil.which, ("valgrind", "vgdb")))


class WrongResultError(Exception):
    """A client failed, or did something else than its job."""


@attrs.frozen
class Result:
    """The costs of a run in each round."""

    run: Run
    rounds: list[dict[str, float]] = attrs.field(factory=list)
    instructions: list[int] = attrs.field(factory=list)

    def values(self, measure: str) -> list[float]:
        """Return the costs of all rounds.

        Raises:
            WrongResultError: A round has no such cost, or it is 0, so that a ratio would be wrong.
        """
        values = [costs.get(measure, 0.0) for costs in self.rounds]
        if not all(value > 0 for value in values):
            raise WrongResultError(f"{self.run.title} has no {measure} in {self.rounds}")
        return values

    def ratios(self, floor: Result, measure: str) -> list[float]:
        """Return the ratios to what the floor took in the same rounds.

        Raises:
            WrongResultError: As in `values`.
        """
        pairs = zip(self.values(measure), floor.values(measure), strict=True)
        return [value / base for value, base in pairs]


@attrs.frozen(kw_only=True)
class Runner:
    """A runner of cases.

    Args:
        origin: The URL of the server.
        redis: The URL of a Redis, or an empty string.
        quick: Do a small part of each job, once.
        older: The version of this package that is measured beside this one, or an empty string.
        folder: The folder with that version.
    """

    origin: str
    redis: str = ""
    quick: bool = False
    older: str = ""
    folder: Path | None = None

    def run(self, case: Case) -> list[Result]:
        """Measure all rows; one whose package isn't installed is left out.

        Raises:
            WrongResultError: A client failed, or did something else than its job.
        """
        # The server prepares the pages that it keeps.
        self._measure(case, case.runs[0])
        results = [Result(run) for run in self._runs(case)]
        for number in range(1 if self.quick else case.rounds):
            print(f"{case.key}: round {number + 1}", file=sys.stderr)
            for result in tuple(results):
                try:
                    result.rounds.append(self._measure(case, result.run))
                except ModuleNotFoundError as error:
                    print(f"{case.key}: {result.run.title} is left out: {error}", file=sys.stderr)
                    results.remove(result)
        if case.counted and not self.quick and can_count():
            self._count(attrs.evolve(case, job=attrs.evolve(case.job, **case.counted)), results)
        return results

    def _runs(self, case: Case) -> Iterator[Run]:
        for run in case.runs:
            if self.redis or "redis" not in run.call:
                yield run
                if self.older and run.is_ours:
                    yield attrs.evolve(run, version=self.older)

    def _measure(self, case: Case, run: Run) -> dict[str, float]:
        """Return the costs of one process."""
        if run.call.startswith("python "):
            return self._measure_command(run)
        job = self._job(case, run)
        costs: dict[str, float] = json.loads(self._python(run, *_child(run, job)).stdout)
        if costs["done"] != job.expected:
            raise WrongResultError(f"{run.title} did {costs['done']} of {job.expected}")
        factor = run.times / (job.count if case.per else 1)
        return costs | {name: costs[name] * factor for name in ("wall", "cpu")}

    def _count(self, case: Case, results: list[Result]) -> None:
        """Count the instructions of the floor and of this package, which other work can't change.

        Several processes run at the same time, since each is slow.
        """

        def count(result: Result) -> None:
            child = _child(result.run, self._job(case, result.run))
            done = self._python(result.run, *child, "--count", before=_VALGRIND)
            found = _find_instructions(done.stderr)
            assert found is not None
            result.instructions.append(int(found[1]))

        print(f"{case.key}: instructions", file=sys.stderr)
        counted = [
            result
            for result in results
            if result.run.call.startswith(("floor.", "ours")) and not result.run.changes
        ]
        with ThreadPoolExecutor(os.cpu_count(), initializer=_use_all_cores) as threads:
            list(threads.map(count, counted))

    def _job(self, case: Case, run: Run) -> Job:
        job = attrs.evolve(case.job, origin=self.origin, redis=self.redis, **run.changes)
        if not self.quick:
            return job
        total = max(job.total // _QUICK_DIVISOR, job.per_page)
        return attrs.evolve(job, total=total, count=max(job.count // _QUICK_DIVISOR, 1))

    def _measure_command(self, run: Run) -> dict[str, float]:
        url = f"{self.origin}/200/0/0"
        cpu, wall = _cpu_of_children(), perf_counter()
        self._python(
            run, *shlex.split(run.call)[1:], DIGITALOCEAN_API_URL=url, DIGITALOCEAN_TOKEN="t"
        )
        return {"wall": perf_counter() - wall, "cpu": _cpu_of_children() - cpu}

    def _python(
        self, run: Run, *arguments: str, before: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python to its end."""
        # The working folder isn't searched for modules, since it may hold this version.
        folders = [str(self.folder)] * bool(run.version) + [str(_ROOT)]
        environment |= {"PYTHONPATH": os.pathsep.join(folders), "PYTHONSAFEPATH": "1"}
        environment |= {"PYTHONHASHSEED": "0"}
        environment = {**os.environ, **environment}
        # Packages are compiled when they are installed or first used, so compiling isn't measured.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            [*before, sys.executable, *arguments],
            capture_output=True,
            check=False,
            env=environment,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode == run.status:
            return done
        if "\nModuleNotFoundError" in done.stderr:
            raise ModuleNotFoundError(done.stderr.splitlines()[-1])
        raise WrongResultError(f"{shlex.join(arguments)}: {done.stderr}")


def _child(run: Run, job: Job) -> tuple[str, ...]:
    return ("-m", "benchmarks.child", run.call, json.dumps(attrs.asdict(job)))


@contextmanager
def runner(*, quick: bool = False, against: Path | None = None) -> Iterator[Runner]:
    """Run the servers during the `with` block.

    Args:
        quick: Do a small part of each job, once.
        against: The wheel of another version of this package to measure beside this one.
    """
    with (
        running_server() as (origin, server),
        redis_server() as (redis, redis_process),
        tempfile.TemporaryDirectory() as name,
        _pinned(server, redis_process),
    ):
        measuring = Runner(origin=origin, redis=redis, quick=quick)
        if against is not None:
            with ZipFile(against) as wheel:
                wheel.extractall(name)
            compileall.compile_dir(name, quiet=1)
            version = against.name.split("-")[1]
            measuring = attrs.evolve(measuring, older=version, folder=Path(name))
        yield measuring


def _use_all_cores() -> None:
    """Allow the processes that this thread starts to use all cores."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


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


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
