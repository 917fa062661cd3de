"""A Redis server on a socket of this machine, and buckets that use it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from random import randrange
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import redis

from benchmarks.redis_server import program
from digitalocean_projects.contrib.redis import RedisLimits
from digitalocean_projects.contrib.redis.bucket import redis_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects import TokenBucket

    MakeBucket = Callable[..., TokenBucket]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, while the loop runs."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it is somewhere else
            await asyncio.sleep(0.01)


def source(bucket: TokenBucket) -> Any:
    """Return the source of a bucket's leases, to look inside."""
    return bucket._remote


async def told(bucket: TokenBucket) -> None:
    """Wait until the bucket has sent all its reports to Redis."""
    await until(lambda: not (source(bucket)._ledger.untold or is_busy(bucket)))


def is_busy(bucket: TokenBucket) -> bool:
    """Return True if a call of the bucket to Redis is pending."""
    return any(link.busy for link in source(bucket)._links.values())


async def look(bucket: TokenBucket) -> None:
    """Call Redis from a bucket until the bucket has found it again."""
    async with asyncio.timeout(20):
        while source(bucket)._away:
            source(bucket).serve(asyncio.get_running_loop())
            await asyncio.sleep(0.01)


async def use(bucket: TokenBucket, *, bulk: bool = False, seconds: float = 0.0) -> float:
    """Send a request, and return the time at which it was sent."""
    async with bucket.lease(bulk=bulk) as lease:
        went = monotonic()
        await asyncio.sleep(seconds)
        lease.settle()
    return went


class Server:
    """A Redis server on a Unix socket, and on a TCP port if one is given."""

    def __init__(self, folder: str, port: int = 0, *options: str, password: str = "") -> None:
        self._options = [*options, "--dir", folder]
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = f"{folder}/redis"
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{self.socket}"
        self.admin = redis.Redis(unix_socket_path=self.socket, password=password)

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket]
        path = program()
        assert path is not None
        command = [path, *self._options, *options, "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = monotonic() + 60
        while not self._answers():
            assert monotonic() < end
            sleep(0.01)
            # A connection of another test may have its port for a moment.
            if self._process.poll() is not None:
                self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except redis.ConnectionError:
            return False

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)
        self.admin.close()

    def leases(self, bucket: TokenBucket) -> dict[bytes, float]:
        """Return the leases in Redis, with the latest time at which the API counted each."""
        members: Any = self.admin.zrange(source(bucket)._key, 0, -1, withscores=True)
        return {member: score / 1e6 for member, score in members if b":" in member}

    def now(self) -> float:
        seconds, microseconds = self.admin.time()
        return float(seconds + microseconds / 1e6)


def free_ports(count: int) -> list[int]:
    """Return unused ports of this machine, which the system gives to no outgoing connection."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            port = randrange(20_000, 32_000)  # noqa: S311 - it is no secret
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
    return ports


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, without a loop."""
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.01)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marker `redis` to tests that use a server."""
    for item in items:
        if {"shared_server", "own_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("redis")


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """Yield a server that a test may kill and restart."""
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def make_bucket(shared_server: Server) -> Iterator[MakeBucket]:
    """Yield a function that creates buckets, which share a token and outlive the test's loop."""
    name = uuid4().hex
    buckets: list[TokenBucket] = []

    def make(url: str = shared_server.url, **options: Any) -> TokenBucket:
        clock = options.pop("clock", None)
        options = {"windows": ((5, 0.3),), "margin": 0.02, "grace": 0.2, "hold": 5.0, **options}
        buckets.append(redis_bucket(RedisLimits(url, **options), name, clock))
        return buckets[-1]

    yield make
    buckets.clear()
