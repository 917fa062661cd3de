"""Limits that are shared through a real Redis server, in real time."""

from __future__ import annotations

import asyncio
import gc
import pickle
import random
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from digitalocean_projects import AsyncClient, Client, Limits, RateLimitWaitError
from digitalocean_projects.contrib.redis import RedisLimits, RedisUnavailableError
from digitalocean_projects.contrib.redis import connections as _redis_connections
from digitalocean_projects.contrib.redis import location as _redis_location
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import redis_bucket
from digitalocean_projects.contrib.redis.cluster import SlotMap
from digitalocean_projects.contrib.redis.ledger import Ledger
from digitalocean_projects.contrib.redis.location import Location
from tests.contrib.conftest import is_busy, source, told, until, use
from tests.exposure import exposed

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator
    from tests.contrib.conftest import MakeBucket, Server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


def test_settings() -> None:
    """Limits compare by value, and show no password."""
    limits = RedisLimits("redis://:s3cret@localhost/0", hold=60.0)
    assert isinstance(limits, Limits)
    assert {limits} == {RedisLimits("redis://:s3cret@localhost/0", hold=60.0)}
    assert "s3cret" not in repr(limits)
    assert limits == pickle.loads(pickle.dumps(limits))  # noqa: S301 - our own


@pytest.mark.parametrize(
    "url",
    [
        "",
        5,
        "http://localhost",
        "redis://:s3cret@localhost/0?db=x",
        "redis://:s3cret@h?x=1",
        "redis://:s3cret@h:0",
        "redis+other://:s3cret@h:1",
        "http+cluster://:s3cret@h:1",
        "unix+cluster://:s3cret@/path",
        "redis+cluster://",
        "redis+cluster://:s3cret@/0",
        "redis+cluster://:s3cret@h:1,",
        "redis+cluster://:s3cret@h:0",
        "redis+cluster://:s3cret@h:65536",
        "redis+cluster://:s3cret@h:port",
        "redis+cluster://:s3cret@h:\N{ARABIC-INDIC DIGIT ONE}",
        "redis+cluster://:s3cret@[::1",
        "redis+cluster://:s3cret@h:1/1",
        "redis://:s3cret@h?protocol=9",
        "rediss://:s3cret@h?ssl_cert_reqs=bogus",
        "redis+cluster://:s3cret@h:1/name",
        "redis+cluster://:s3cret@h:1?db=1",
        "redis+cluster://:s3cret@h:1?x=1",
        "redis+sentinel://:s3cret@h:1",
        "redis+sentinel://:s3cret@h:1/",
        "redis+sentinel://:s3cret@/service",
        "redis+sentinel://:s3cret@h:1,h:0/service",
        "redis+sentinel://:s3cret@h:1/service/x",
        "redis+sentinel://:s3cret@h:1/service/0/0",
        "redis+sentinel://h:1/service?sentinel_password=s3cret&sentinel_x=1",
    ],
)
def test_url_that_is_none(url: Any) -> None:
    """An invalid URL is refused at once, and the message doesn't quote it."""
    with pytest.raises(ValueError, match="url must be a redis://, rediss:// or unix://") as caught:
        RedisLimits(url)
    assert not any("s3cret" in text for text in exposed(caught.value))


@pytest.mark.parametrize(
    ("url", "kind", "addresses"),
    [
        ("redis://", "server", ()),
        ("redis+cluster://h", "cluster", (("h", 6379),)),
        ("REDIS+CLUSTER://é.example:1/0", "cluster", (("é.example", 1),)),
        ("redis+cluster://u:p@[::1]:7,h:8", "cluster", (("::1", 7), ("h", 8))),
        ("rediss+cluster://h:1?ssl_ca_certs=x", "cluster", (("h", 1),)),
        ("redis+sentinel://h,[fe80::1]:5/s/3", "sentinel", (("h", 26379), ("fe80::1", 5))),
        ("rediss+sentinel://h:1/s", "sentinel", (("h", 1),)),
    ],
)
def test_locations(url: str, kind: str, addresses: tuple[tuple[str, int], ...]) -> None:
    """A URL names a server, nodes of a cluster or sentinels, with or without TLS."""
    location = Location.of_url(url)
    assert (kind, addresses) == (location.kind, location.addresses)
    assert url.startswith("rediss") == ("SSL" in location.pool().connection_class.__name__)


def test_sentinels() -> None:
    """Sentinels have their own login, and the TLS and timeouts of the server."""
    url = "rediss+sentinel://u:p%40@h/%C3%A9/3?sentinel_username=w&sentinel_password=q"
    location = Location.of_url(f"{url}&ssl_ca_certs=x&socket_timeout=2&max_connections=3")
    shared = {"ssl": True, "ssl_ca_certs": "x", "socket_timeout": 2.0}
    assert "é" == location.service
    assert {**shared, "username": "w", "password": "q"} == location.sentinel_options
    own = {"username": "u", "password": "p@", "db": 3, "max_connections": 3}
    assert {**shared, **own} == location.options
    assert ("p@", "q") == tuple(map(str, location.secrets))


@pytest.mark.parametrize(
    "options", [{"share": 0.0}, {"share": 1.1}, {"hold": 0.0}, {"on_unavailable": "pray"}]
)
def test_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))) as caught:
        RedisLimits("redis://:s3cret@localhost", **options)
    assert not any("s3cret" in text for text in exposed(caught.value))


def test_other_settings() -> None:
    """A copy with changes keeps all other settings."""
    options: dict[str, Any] = {
        "windows": ((5, 60.0),),
        "margin": 0.5,
        "grace": 2.0,
        "reserve": 1,
        "hold": 5.0,
        "on_unavailable": "open",
        "share": 0.5,
        "prefix": "mine",
    }
    limits = RedisLimits("redis://localhost", **options)
    assert {**options, "url": "redis://localhost"} == attrs.asdict(limits)
    assert 0.1 == attrs.evolve(limits, share=0.1).share
    assert attrs.asdict(Limits()).items() < attrs.asdict(RedisLimits("redis://localhost")).items()


WITHOUT_REDIS = """
import sys
from digitalocean_projects.contrib.redis import RedisLimitsError
import digitalocean_projects.contrib.redis as face
print("redis" in sys.modules, hasattr(face, "NoSuch"))
sys.modules["redis"] = None
try:
    from digitalocean_projects.contrib.redis import RedisLimits
except ImportError as error:
    print(error)
"""


@pytest.mark.process
def test_extra() -> None:
    """Only `RedisLimits` needs redis-py, and names the extra."""
    command = [sys.executable, "-c", WITHOUT_REDIS]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    reason = "RedisLimits requires redis-py; install the extra digitalocean-projects[redis]"
    assert ["False False", reason] == done.stdout.splitlines()


UNPICKLING = """
import pickle, sys
limits = pickle.load(sys.stdin.buffer)
from digitalocean_projects._clock import SystemClock
from digitalocean_projects._limiter.shared import make_bucket
print(type(make_bucket(limits, "name", SystemClock())._remote).__name__)
"""


@pytest.mark.process
def test_limits_of_another_process() -> None:
    """A process that unpickles limits shares them, too."""
    command = [sys.executable, "-c", UNPICKLING]
    limits = pickle.dumps(RedisLimits("redis://localhost"))
    done = subprocess.run(command, input=limits, capture_output=True, check=True)
    assert b"RedisSource" == done.stdout.strip()


async def test_clients_share(server: Server, emulator: Emulator) -> None:
    """Clients of both kinds with different settings and buckets share the tokens."""
    limits = RedisLimits(server.url, windows=((3, 0.4),), margin=0.02, prefix="clients")
    options: dict[str, Any] = {"base_url": emulator.url}
    start = time.monotonic()
    with Client(emulator.token, limits=limits, **options) as blocking:
        other = attrs.evolve(limits, share=0.5)
        async with AsyncClient(emulator.token, limits=other, **options) as client:
            for _ in range(2):
                await client.projects.list_resources().first_page()
                await asyncio.to_thread(blocking.projects.list_resources().first_page)
    assert 0.42 <= time.monotonic() - start
    assert 4 == len(emulator.requests)
    (key,) = server.admin.keys("clients:*")
    assert emulator.token.encode() not in key
    assert 110_000 < server.admin.pttl(key) <= 120_421


async def test_outcomes(server: Server, make_bucket: MakeBucket) -> None:
    """Redis has the latest time of each counted request, and none that was never sent."""
    bucket = make_bucket(hold=7.0, grace=2.0)
    for end, seconds in (("settle", 0.0), ("refused", 0.0), ("nothing", 2.0), ("unsent", None)):
        before = server.now()
        async with bucket.lease() as lease:
            ((member, counted),) = server.leases(bucket).items()
            assert before + 7.0 <= counted <= server.now() + 7.0
            before = server.now()
            getattr(lease, end, list)()
        await told(bucket)
        leases = server.leases(bucket)
        if seconds is None:
            assert {} == leases
        else:
            assert before + seconds <= leases.pop(member) <= server.now() + seconds
        server.admin.flushall()
        bucket = make_bucket(hold=7.0, grace=2.0)


def test_last_words(server: Server, make_bucket: MakeBucket) -> None:
    """A loop that ends reports the ends of its leases to Redis."""
    bucket = make_bucket(hold=60.0)
    asyncio.run(use(bucket))
    assert all(counted <= server.now() for counted in server.leases(bucket).values())
    asyncio.run(use(bucket))
    assert 2 == len(server.leases(bucket))
    assert {} == source(bucket)._links


async def test_waits(make_bucket: MakeBucket) -> None:
    """A token that one worker has used is free for another after a period and a margin."""
    first, second = (make_bucket(windows=((1, 0.2),)) for _ in range(2))
    went = [await use(bucket) for bucket in (first, second, first)]
    assert all(0.22 <= after - before for before, after in pairwise(went))


async def test_order(make_bucket: MakeBucket) -> None:
    """Interactive requests go first, and bulk work of all workers leaves them the reserve."""
    first, second = (make_bucket(windows=((4, 60.0),), reserve=2) for _ in range(2))
    bulk = [asyncio.create_task(use(bucket, bulk=True)) for bucket in (first, second) * 2]
    await until(lambda: 2 == sum(task.done() for task in bulk))
    async with asyncio.timeout(40):
        await asyncio.gather(*(use(bucket) for bucket in (first, second)))
    assert 2 == sum(task.done() for task in bulk)
    for task in bulk:
        task.cancel()
    await asyncio.wait(bulk)


async def test_fair_batches(make_bucket: MakeBucket) -> None:
    """A worker with many requests takes at most eight tokens at once."""
    buckets = [make_bucket(windows=((64, 60.0),)) for _ in range(2)]
    tasks = [asyncio.create_task(use(bucket)) for bucket in buckets for _ in range(60)]
    await until(lambda: 64 == sum(bucket.statistics().granted for bucket in buckets))
    granted = [bucket.statistics().granted for bucket in buckets]
    assert abs(granted[0] - granted[1]) <= 16
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_most_wait(make_bucket: MakeBucket) -> None:
    """A wait for other workers' tokens is refused as soon as it is too long."""
    first, second = (make_bucket(windows=((1, 90.0),)) for _ in range(2))
    await use(first)
    with pytest.raises(RateLimitWaitError, match="other workers have the tokens"):
        await second.lease(max_wait=0.2).__aenter__()
    start = time.monotonic()
    with pytest.raises(RateLimitWaitError, match="other workers have the tokens") as caught:
        await second.lease(max_wait=60.0).__aenter__()
    assert time.monotonic() - start < 30
    assert 60 < caught.value.seconds <= 90.02


async def test_pause(own_server: Server, make_bucket: MakeBucket) -> None:
    """A refusal of one worker pauses all, even during its call to Redis."""
    windows = ((5, 0.3), (50, 1.5))
    first, second = (make_bucket(own_server.url, windows=windows) for _ in range(2))
    first.budget._feedback._jitter = lambda: 0.0
    leases = [first.lease(), first.lease()]
    for lease in leases:
        await lease.__aenter__()
    own_server.admin.client_pause(10_000, all=False)
    asking = asyncio.create_task(use(first))
    await until(lambda: is_busy(first))
    start = time.monotonic()
    for lease in leases:
        lease.refused({"retry-after": "1"})
    # The two refusals are one pause.
    assert start + 1.0 <= first.budget.paused_until <= time.monotonic() + 1.0
    own_server.admin.client_unpause()
    await until(lambda: source(first)._pause < 0)
    went = await asyncio.gather(asking, use(second))
    assert all(1.0 <= at - start for at in went)
    assert 0.0 == second.statistics().paused


async def test_waiter_that_left(
    own_server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token for a request that was cancelled meanwhile goes back to Redis."""
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 20.0)
    bucket = make_bucket(own_server.url, hold=60.0)
    await use(bucket)
    await told(bucket)
    own_server.admin.client_pause(60_000, all=False)
    task = asyncio.create_task(use(bucket))
    await until(lambda: is_busy(bucket))
    task.cancel()
    await asyncio.wait([task])
    own_server.admin.client_unpause()
    await told(bucket)
    await until(lambda: len(own_server.leases(bucket)) == 1)
    assert (1, 0) == (bucket.statistics().granted, bucket.statistics().in_flight)


async def test_cancel_storm(server: Server, make_bucket: MakeBucket) -> None:
    """Requests that are cancelled at any moment leave no held lease in Redis."""
    bucket, chance = make_bucket(hold=60.0), random.Random(3)  # noqa: S311 - no secret
    for _ in range(12):
        tasks = [asyncio.create_task(use(bucket, bulk=True)) for _ in range(40)]
        await asyncio.sleep(chance.choice([0, 0.0005, 0.001, 0.002, 0.05]))
        for task in chance.sample(tasks, 36):
            task.cancel()
        for talk in [link.task for link in source(bucket)._links.values()]:
            if chance.random() < 0.3:
                talk.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await told(bucket)
    # A request that was cancelled after it was sent counts for the grace, but not for the hold.
    assert all(counted < server.now() + 1.0 for counted in server.leases(bucket).values())
    assert not source(bucket)._leases
    assert not source(bucket)._stock
    await asyncio.wait_for(use(bucket), 40)


async def test_lease_that_is_late(make_bucket: MakeBucket) -> None:
    """A lease whose hold is half over before its use is replaced."""
    clock = LateClock()
    bucket = make_bucket(clock=clock, hold=100.0)
    await use(bucket)
    task = asyncio.create_task(use(bucket))
    while bucket.statistics().granted < 2:  # noqa: ASYNC110 - in the very tick
        await asyncio.sleep(0)
    clock.late = 51.0
    await task
    assert (3, 0) == (bucket.statistics().granted, bucket.statistics().in_flight)


@attrs.define
class LateClock:
    late: float = 0.0

    def time(self) -> float:
        return time.monotonic() + self.late

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def test_idle_connection(
    server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection is closed, and the next request opens another one."""
    monkeypatch.setattr(_redis_connections, "_IDLE_SECONDS", 0.02)
    bucket = make_bucket(windows=((5, 60.0),))
    before = len(server.admin.client_list())
    for used in (1, 2):
        await use(bucket)
        await until(lambda: len(server.admin.client_list()) == before)
        await until(lambda used=used: used == len(server.leases(bucket)))  # type: ignore[misc]  # bound
    assert (2,) == bucket.statistics().in_use


async def test_forgotten_bucket(server: Server) -> None:
    """A bucket that is collected closes its connection."""
    bucket = redis_bucket(RedisLimits(server.url), "forgotten")
    await use(bucket)
    await asyncio.sleep(0.1)
    assert 1 == len(source(bucket)._links)
    before = len(server.admin.client_list())
    del bucket
    gc.collect()
    await until(lambda: len(server.admin.client_list()) == before - 1)


async def test_script_that_is_flushed(server: Server, make_bucket: MakeBucket) -> None:
    """If Redis has lost the script, it is sent again."""
    bucket = make_bucket()
    await use(bucket)
    server.admin.script_flush()
    await use(bucket)
    assert not source(bucket)._away


async def test_keys_that_are_flushed(
    server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If Redis has lost its keys, all workers report again before they take new tokens."""
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.3)
    buckets = [make_bucket(windows=((1400, 60.0),)) for _ in range(2)]
    await asyncio.gather(*(use(bucket) for bucket in buckets for _ in range(700)))
    assert 1400 == len(server.leases(buckets[0]))
    waiting = [asyncio.create_task(use(bucket)) for bucket in buckets]
    await asyncio.sleep(0.05)
    server.admin.flushall()
    await until(lambda: 1400 == len(server.leases(buckets[0])))
    for task in waiting:
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_error() -> None:
    """The errors can be pickled."""
    error = pickle.loads(pickle.dumps(RedisUnavailableError("gone")))  # noqa: S301 - our own
    assert ("the rate limits are not available from Redis: gone", "gone") == (
        str(error),
        error.reason,
    )


async def test_long_pause(server: Server, make_bucket: MakeBucket) -> None:
    """A pause that is longer than the windows outlives the leases in Redis."""
    first, second = (make_bucket(windows=((5, 0.3),), hold=0.5) for _ in range(2))
    async with first.lease() as lease:
        lease.refused({"retry-after": "20"})
    await told(first)
    assert 15_000 <= server.admin.pttl(source(first)._key) <= 21_500
    with pytest.raises(RateLimitWaitError):
        await second.lease(max_wait=1.0).__aenter__()


async def test_clock_of_redis_was_set_back(server: Server, make_bucket: MakeBucket) -> None:
    """A pause in Redis that is longer than any of the API is shortened."""
    bucket = make_bucket(windows=((9, 60.0),))
    await use(bucket)
    key = source(bucket)._key
    server.admin.zadd(key, {str(int((server.now() + 86400) * 1e6)): "-inf"})
    with pytest.raises(RateLimitWaitError, match="a pause after a response 429"):
        async with bucket.lease(max_wait=60.0):
            pass
    ends: Any
    (ends,) = server.admin.zrangebyscore(key, "-inf", "-inf")
    assert 3500 < int(ends) / 1e6 - server.now() < 3700


def test_lease_that_outlasts_its_hold() -> None:
    """A lease can be given back after it was forgotten."""
    ledger = Ledger(60.0, 10.0)
    ledger.open(1, 5.0)
    ledger.forget(100.0)
    ledger.close(1, None)
    assert {1: None} == ledger.tell()


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (0, 16384), (5, 4)])
def test_slots_that_are_none(first: int, last: int) -> None:
    """A list with slots out of range is refused."""
    slots = SlotMap((("a", 1),))
    with pytest.raises(ValueError, match=f"slots must be 0 to 16383, got {first} to {last}"):
        slots.read([[first, last, [b"b", 2]]], ("a", 1))
    assert [("a", 1)] == slots.addresses()


def test_numbers_that_redis_has_forgotten() -> None:
    """The number of a lease that Redis has forgotten is not reported."""
    ledger = Ledger(60.0, 10.0)
    ledger.repeat(ledger.numbers(2, 0.0))
    ledger.forget(70.0)
    assert [0, 1] == list(ledger.untold)
    ledger.forget(200.0)
    assert not ledger.untold


async def test_hold_and_timeout() -> None:
    """`hold` must be more than twice the timeout of the client."""
    message = "^hold must be more than twice the timeout of 300 s, got 120$"
    limits = RedisLimits("redis://localhost")
    with pytest.raises(ValueError, match=message):
        AsyncClient("x" * 40, timeout=300, limits=limits)
    async with AsyncClient("x" * 40, limits=limits) as client:
        with pytest.raises(ValueError, match=message):
            client.with_options(timeout=300)
