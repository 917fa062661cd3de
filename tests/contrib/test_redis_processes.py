"""Limits that several processes share, with a server that logs all requests."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.contrib.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contrib.conftest import Server
    from tests.forked import Forks

pytestmark = [pytest.mark.process, pytest.mark.slow]

WINDOWS = ((25, 0.8), (75, 3.0))
WORKER = """
import asyncio, sys
from digitalocean_projects import AsyncClient
from digitalocean_projects.contrib import redis
from digitalocean_projects.contrib.redis import server as _redis_server
_redis_server.SECONDS_BETWEEN_LOOKS = 0.25

async def main(windows, url, redis_url, requests):
    limits = redis.RedisLimits(
        redis_url, windows=windows, margin=0.02, grace=0.1, hold=2.0, prefix="processes"
    )
    async with AsyncClient("token", base_url=url, timeout=0.9, limits=limits) as client:
        projects = client.projects
        await asyncio.gather(*(projects.list_resources().first_page() for _ in range(requests)))
        print(client.statistics().bucket.refused)

asyncio.run(main(eval(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
"""
ANSWER = b'{"resources": [], "links": {}, "meta": {"total": 0}}'


class CountingServer:
    """An API that records the time at which it counts each request."""

    def __init__(self) -> None:
        self.log: list[float] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._chance = random.Random(5)  # noqa: S311 - no secret
        self._connections: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)
        self._loop.close()

    async def _run(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=200)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stopping.wait()
        server.close()
        # The workers are dead, so each connection sees its end; a loop must not be closed earlier.
        await asyncio.gather(*self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(self._chance.uniform(0, 0.03))
                self.log.append(time.monotonic())
                await asyncio.sleep(self._chance.uniform(0, 0.03))
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
                writer.write(head.encode() + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
def counting_server() -> Iterator[CountingServer]:
    server = CountingServer()
    server.start()
    yield server
    server.stop()


def most_over(log: list[float]) -> int:
    """Return the largest excess of requests in a window."""
    log = sorted(log)
    return max(
        sum(end - period < at <= end for at in log[: position + 1]) - capacity
        for position, end in enumerate(log)
        for capacity, period in WINDOWS
    )


def workers_with_leases(server: Server) -> set[bytes]:
    keys: Any = server.admin.keys("processes:*")
    members: Any = server.admin.zrange(keys[0], 0, -1) if keys else []
    return {member.partition(b":")[0] for member in members if b":" in member}


def test_processes(server: Server, counting_server: CountingServer) -> None:
    """Workers never exceed the limits together, even if one of them is killed."""
    server.admin.flushall()
    command = [sys.executable, "-c", WORKER, str(WINDOWS), counting_server.url, server.url]
    workers = [
        subprocess.Popen([*command, requests], stdout=subprocess.PIPE)
        for requests in ("400", "40", "40")
    ]
    try:
        wait_until(lambda: len(workers_with_leases(server)) == len(workers))
        server.admin.script_flush()
        now = len(counting_server.log)
        wait_until(lambda: len(counting_server.log) >= now + 30)
        workers[0].send_signal(signal.SIGKILL)
        refused = [worker.communicate(timeout=60)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate(timeout=60)
    log = counting_server.log
    assert [b"", b"0\n", b"0\n"] == refused
    assert most_over(log) <= 0


FORKING = """
import asyncio, os
from digitalocean_projects.contrib.redis import RedisLimits
from digitalocean_projects.contrib.redis.bucket import redis_bucket

url, prefix = URL, PREFIX
bucket = redis_bucket(RedisLimits(url, windows=((5, 60.0),), prefix=prefix), "fork")

async def use():
    async with bucket.lease() as lease:
        lease.settle()

# Not in the running loop, in which a forked process can't go on from CPython 3.14 on.
with asyncio.Runner() as runner:
    lease = bucket.lease()
    runner.run(lease.__aenter__())
    child = os.fork()
    lease.settle()
    if child == 0 and prefix == "stay":
        sys.exit()
    if child == 0:
        asyncio.run(use())
        print(bucket.statistics().in_use, len(bucket._remote._links), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    runner.run(use())
    print(len(bucket._remote._links))
"""


@pytest.mark.parametrize(
    ("prefix", "output", "leases"), [("leave", "(2,) 0\n1\n", 3), ("stay", "1\n", 2)]
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork(server: Server, forks: Forks, prefix: str, output: str, leases: int) -> None:
    """A forked process has its own connection and leases."""
    program = FORKING.replace("URL", repr(server.url)).replace("PREFIX", repr(prefix))
    assert (output, "", 0) == forks.start(program).end()
    assert leases + 1 == server.admin.zcard(prefix + ":{fork}")
