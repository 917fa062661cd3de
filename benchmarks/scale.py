"""Measure what many tenants cost: an application that sends requests with the token of each.

Each process has one client, and a view of it for each token, with the API's own limits. All
processes together have 50 requests in flight.
"""

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from time import perf_counter, process_time

import attrs

from digitalocean_projects import AsyncClient, Limits

from .job import PROJECT
from .redis_server import redis_server
from .report import number, table
from .runner import TIMEOUT, WrongResultError
from .server import running_server

_AT_ONCE = 50


@attrs.frozen
class Setting:
    """A number of processes that send requests for the same tenants.

    Args:
        processes: The number of processes.
        redis: True if they share the limits through Redis.
        tenants: The number of tokens.
        rounds: The number of requests of each process for each token, after a first one.
    """

    processes: int
    redis: bool
    tenants: int = 1_000
    rounds: int = 10

    @property
    def title(self) -> str:
        """The column's name."""
        processes = f"{self.processes} process" + "es" * (self.processes > 1)
        return processes + " and Redis" * self.redis


SETTINGS = (
    Setting(1, redis=False),
    Setting(1, redis=True),
    Setting(8, redis=True, rounds=2),
    Setting(1, redis=False, tenants=40, rounds=200),
    Setting(1, redis=True, tenants=40, rounds=200),
)


def report(settings: tuple[Setting, ...] = SETTINGS, timeout: float = TIMEOUT) -> str:
    """Measure, and return a table.

    Raises:
        WrongResultError: A process failed, or took longer than `timeout` seconds.
    """
    columns = []
    with running_server() as (origin, _):
        for setting in settings:
            with redis_server() as (url, _):
                if url or not setting.redis:
                    print(f"scale: {setting.title}", file=sys.stderr)
                    costs = _measure(setting, origin, url * setting.redis, timeout)
                    columns.append({"": setting.title} | costs)
    names = {name: None for column in columns for name in column}
    return table([[name, *(column.get(name, "") for column in columns)] for name in names])


def _measure(setting: Setting, origin: str, redis: str, timeout: float) -> dict[str, str]:
    """Return the costs of the processes and of Redis, as texts."""
    at_once = _AT_ONCE // setting.processes
    work = [f"{origin}/0/0/0", redis, setting.tenants, setting.rounds, at_once]
    command = [sys.executable, "-m", "benchmarks.scale", json.dumps(work)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_process(command, timeout)) for _ in range(setting.processes)
        ]
        # A process ends when its standard input is closed, so all connections are still open.
        lines = [process.stdout.readline() for process in processes if process.stdout]
        # If a process has ended without a line, the end of the block says so.
        served = _redis_costs(redis) if redis and all(lines) else {}
    found = [json.loads(line) for line in lines]
    totals = {name: sum(costs[name] for costs in found) for name in found[0]}
    count, requests = setting.processes, totals["requests"]
    tokens = setting.tenants
    rows = {
        "tokens": tokens,
        "requests": requests,
        "requests a second": requests / totals["wall"] * count,
        "CPU of a request, µs": 1e6 * totals["cpu"] / requests,
        "memory of a process, MiB": totals["memory"] / count,
        "for each token, KiB": 1024 * totals["views"] / count / tokens,
        "for each further request, bytes": 2**20 * totals["used"] / requests,
        "open sockets of a process": totals["sockets"] / count,
    }
    if served:
        # Redis has also served the first request for each token.
        all_requests = requests * (setting.rounds + 1) / setting.rounds
        rows |= {
            "connections of Redis": served["connections"],
            "calls of Redis for each request": served["calls"] / all_requests,
            "CPU of Redis for each request, µs": 1e6 * served["cpu"] / all_requests,
            "memory of Redis for each token, KiB": served["memory"] / 1024 / tokens,
        }
    return {name: number(value) for name, value in rows.items()}


@contextmanager
def _process(command: list[str], timeout: float) -> Iterator[subprocess.Popen[str]]:
    """Run a process during the `with` block, which ends when its standard input is closed.

    Raises:
        WrongResultError: It failed, or was killed after `timeout` seconds.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        timer = Timer(timeout, process.kill)
        timer.start()
        try:
            yield process
            process.communicate()
        finally:
            timer.cancel()
            process.kill()
    if process.returncode:
        status = process.returncode
        raise WrongResultError(
            f"a process of the benchmark ended with status {status}, and may have said why on "
            f"standard error; -9 means that it took longer than {timeout:g} s"
        )


def _redis_costs(url: str) -> dict[str, float]:
    from redis import Redis  # noqa: PLC0415 - an extra

    with Redis.from_url(url) as redis:
        cpu = redis.info("cpu")
        return {
            "connections": redis.info("clients")["connected_clients"] - 1,
            "calls": redis.info("commandstats")["cmdstat_evalsha"]["calls"],
            "cpu": cpu["used_cpu_user"] + cpu["used_cpu_sys"],
            "memory": sum(redis.memory_usage(key) or 0 for key in redis.scan_iter()),
        }


async def _work(url: str, redis: str, tenants: int, rounds: int, at_once: int) -> None:
    """Send requests for all tenants, print what they cost, and wait for the end of the input."""
    async with AsyncClient("t", base_url=url, limits=_limits(redis)) as client:
        await client.projects.get(PROJECT)
        at_first = _memory()
        views = [client.with_options(token=f"token-{number}") for number in range(tenants)]
        await _send(views, at_once)
        before = _memory()
        wall, cpu = perf_counter(), process_time()
        for _ in range(rounds):
            await _send(views, at_once)
        costs = {"wall": perf_counter() - wall, "cpu": process_time() - cpu}
        after = _memory()
        costs |= {
            "requests": tenants * rounds,
            "memory": after,
            "views": before - at_first,
            "used": after - before,
            "sockets": _sockets(),
        }
        print(json.dumps(costs), flush=True)
        sys.stdin.read()


def _limits(redis: str) -> Limits | None:
    if not redis:
        return Limits()
    from digitalocean_projects.contrib.redis import RedisLimits  # noqa: PLC0415 - an extra

    return RedisLimits(redis)


async def _send(views: list[AsyncClient], at_once: int) -> None:
    """Send a request for each tenant."""
    waiting = iter(views)

    async def work() -> None:
        for view in waiting:
            await view.projects.get(PROJECT)

    await asyncio.gather(*(work() for _ in range(at_once)))


def _memory() -> float:
    """Return the process' memory in MiB, and 0 if the system isn't Linux."""
    gc.collect()
    if sys.platform != "linux":
        return 0.0
    found = re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0


def _sockets() -> int:
    entries = Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ()
    return sum(os.path.realpath(entry).partition(":")[0].endswith("socket") for entry in entries)


if __name__ == "__main__":
    asyncio.run(_work(*json.loads(sys.argv[1])))
