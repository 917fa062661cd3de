"""Limits that are shared through the master that a real sentinel names."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import RateLimitWaitError
from digitalocean_projects.contrib.redis import RedisLimits, RedisUnavailableError
from digitalocean_projects.contrib.redis import location as _redis_location
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import redis_bucket
from tests.contrib.conftest import Server, free_ports, look, source, told, until, use, wait_until
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contrib.conftest import MakeBucket

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

CONFIGURATION = """
sentinel monitor limits 127.0.0.1 {port} 1
sentinel down-after-milliseconds limits {down_after}
sentinel failover-timeout limits 2000
sentinel auth-pass limits data-pass
requirepass sentinel-pass
"""
OPTIONS = "--requirepass data-pass --masterauth data-pass --repl-diskless-sync-delay 0"


class Sentinel(Server):
    """A sentinel with its master and its replica."""

    def __init__(self, folder: str, *, down_after: int) -> None:
        ports = free_ports(3)
        self.nodes = []
        for port in ports[:2]:
            path = Path(folder) / str(port)
            path.mkdir()
            options = OPTIONS.split()
            self.nodes.append(Server(str(path), port, *options, password="data-pass"))
        configuration = Path(folder) / "sentinel.conf"
        text = CONFIGURATION.format(port=ports[0], down_after=down_after)
        configuration.write_text(text, "utf-8")
        super().__init__(
            folder, ports[2], str(configuration), "--sentinel", password="sentinel-pass"
        )
        self.address = f"127.0.0.1:{ports[2]}"

    def start(self) -> None:
        master, replica = self.nodes
        for node in self.nodes:
            node.start()
        replica.admin.replicaof("127.0.0.1", str(master.port))
        wait_until(lambda: replica.admin.info("replication").get("master_link_status") == "up")
        super().start()
        wait_until(lambda: self._state("num-slaves") == 1)

    def _state(self, field: str) -> Any:
        state: Any = self.admin.sentinel_master("limits")
        return state[field]

    def split(self) -> tuple[Server, Server]:
        """Return the server that is the master now, and the other one."""
        first, second = self.nodes
        return (first, second) if self._state("port") == first.port else (second, first)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
        super().kill()

    def url_of(
        self, *, login: str = ":data-pass@", service: str = "limits", own: str = "sentinel-pass"
    ) -> str:
        return f"redis+sentinel://{login}{self.address}/{service}?sentinel_password={own}"


@contextmanager
def started(down_after: int) -> Iterator[Sentinel]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        sentinel = Sentinel(folder, down_after=down_after)
        try:
            sentinel.start()
            yield sentinel
        finally:
            sentinel.kill()


@pytest.fixture(scope="module")
def shared_sentinel() -> Iterator[Sentinel]:
    # A busy machine must not make a master look down.
    with started(down_after=60_000) as sentinel:
        yield sentinel


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.1)
    # A busy machine must not look like an outage.
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 20.0)


@pytest.fixture
def sentinel(shared_sentinel: Sentinel) -> Sentinel:
    return shared_sentinel


LONG: dict[str, Any] = {"windows": ((5, 60.0),), "hold": 60.0, "on_unavailable": "fail"}


def clients(server: Server) -> set[str]:
    """Return the connections of redis-py over TCP."""
    # Sentinels and replicas have names, or other flags.
    return {
        client["addr"]
        for client in server.admin.client_list()
        if client["lib-name"].startswith("redis-py") and not client["addr"].endswith(":0")
    }


async def test_share(sentinel: Sentinel, make_bucket: MakeBucket) -> None:
    """The event loops of a token share it, even if the first sentinel of the URL is away."""
    (port,) = free_ports(1)
    url = sentinel.url_of().replace("@", f"@127.0.0.1:{port},")
    first, second = (make_bucket(url, **LONG) for _ in range(2))
    for _ in range(3):
        await use(first)

    async def use_the_rest() -> None:
        await asyncio.gather(use(second), use(second))
        with pytest.raises(RateLimitWaitError, match="other workers have the tokens"):
            await second.lease(max_wait=1.0).__aenter__()

    await asyncio.to_thread(asyncio.run, use_the_rest())
    await told(first)
    master, _ = sentinel.split()
    assert 5 == len(master.leases(first))


def test_connections(sentinel: Sentinel) -> None:
    """A loop has at most eight connections to the master, and closes all when it ends."""
    master, _ = sentinel.split()
    limits = RedisLimits(sentinel.url_of(), **LONG)
    buckets = [redis_bucket(limits, f"token {number}") for number in range(100)]

    async def use_all() -> int:
        await asyncio.gather(*(use(bucket) for bucket in buckets))
        return len(clients(master))

    assert 1 <= asyncio.run(use_all()) <= 8
    wait_until(lambda: not clients(master))
    wait_until(lambda: not clients(sentinel))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"login": ":wr0ng-pass@"}, "AuthenticationError"),
        ({"own": "wr0ng-pass"}, "No master found for 'limits' : .*AuthenticationError"),
        ({"service": "no-such"}, "No master found for 'no-such'"),
    ],
)
async def test_no_master(
    sentinel: Sentinel,
    make_bucket: MakeBucket,
    options: dict[str, str],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused login and a missing master are outages, and show no password."""
    bucket = make_bucket(sentinel.url_of(**options), **LONG)
    with pytest.raises(RedisUnavailableError, match=reason) as caught:
        await use(bucket)
    (record,) = caplog.records
    texts = [*exposed(caught.value), repr(vars(record)), repr(source(bucket)._limits)]
    passwords = ["wr0ng-pass", "data-pass", "sentinel-pass"]
    assert not any(password in text for text in texts for password in passwords)


async def test_failover(sentinel: Sentinel, make_bucket: MakeBucket) -> None:
    """After a failover, the new master is used, and no request fails."""
    bucket = make_bucket(sentinel.url_of(), **LONG)
    await use(bucket)
    await told(bucket)
    old, new = sentinel.split()
    sentinel.admin.sentinel_failover("limits")
    await until(lambda: sentinel.split()[0] is new)
    # The sentinel would do this within ten seconds.
    old.admin.replicaof("127.0.0.1", str(new.port))
    await use(bucket)
    assert 2 == len(new.leases(bucket))


@pytest.fixture
def hasty_sentinel() -> Iterator[Sentinel]:
    with started(down_after=200) as sentinel:
        yield sentinel


async def test_master_that_dies(hasty_sentinel: Sentinel, make_bucket: MakeBucket) -> None:
    """The tokens are shared again when a replica has become the master."""
    sentinel = hasty_sentinel
    bucket = make_bucket(sentinel.url_of(), **LONG)
    await use(bucket)
    old, new = sentinel.split()
    old.kill()
    # Either the old master refuses the connection, or the sentinel knows already that it is down.
    with pytest.raises(RedisUnavailableError, match=r"Connect|MasterNotFound"):
        await use(bucket)
    await look(bucket)
    await use(bucket)
    assert 2 == len(new.leases(bucket))
    assert new is sentinel.split()[0]
