"""Limits that are shared through a Redis server that is away, and comes back."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import tempfile
import time
import weakref
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import APIError, AsyncClient, RateLimitWaitError, RetryPolicy
from digitalocean_projects.contrib.redis import RedisLimits, RedisUnavailableError
from digitalocean_projects.contrib.redis import location as _redis_location
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import redis_bucket
from tests.contrib.conftest import is_busy, source, told, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects import TokenBucket
    from digitalocean_projects.testing import Emulator
    from tests.contrib.conftest import MakeBucket, Server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 0.15)


@pytest.fixture(params=["refused", "silent"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a Redis server that doesn't exist, or doesn't answer."""
    with (
        tempfile.TemporaryDirectory(prefix="r") as folder,
        closing(socket.socket(socket.AF_UNIX)) as listener,
    ):
        if request.param == "silent":
            listener.bind(f"{folder}/redis")
            listener.listen(50)
        yield f"unix://{folder}/redis?password=s3cret"


async def use(bucket: TokenBucket, end: str = "settle", max_wait: float | None = None) -> float:
    """Send a request, and return the time at which it was sent."""
    async with bucket.lease(max_wait=max_wait) as lease:
        went = time.monotonic()
        getattr(lease, end)()
    return went


async def test_share(away: str, make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture) -> None:
    """Without Redis, each worker keeps to its share, and logs that once."""
    bucket = make_bucket(away, windows=((8, 0.3), (100, 60.0)), share=0.25)
    went = await asyncio.gather(*(use(bucket) for _ in range(6)))
    assert all(0.32 <= later - earlier for earlier, later in zip(went, went[2:], strict=False))
    async with bucket.lease(), bucket.lease():
        with pytest.raises(RateLimitWaitError, match="while Redis is unavailable"):
            await use(bucket, max_wait=0.1)
    (record,) = caplog.records
    assert (logging.WARNING, "digitalocean_projects") == (record.levelno, record.name)
    assert record.getMessage().startswith("Redis is unavailable, limits are not shared (share): ")
    assert "share" == vars(record)["do_policy"]
    assert record.getMessage().endswith(vars(record)["do_reason"])
    assert "s3cret" not in repr(vars(record))


async def test_share_after_use(own_server: Server, make_bucket: MakeBucket) -> None:
    """Tokens used before the outage count for the share, which is at least one token."""
    bucket = make_bucket(own_server.url, windows=((3, 0.3),), share=0.01)
    async with bucket.lease():
        before = await use(bucket)
        own_server.kill()
    assert before + 0.3 < await use(bucket)
    own_server.start()


async def test_open(away: str, make_bucket: MakeBucket) -> None:
    """With `"open"`, each worker keeps to the whole limits by itself."""
    bucket = make_bucket(away, windows=((4, 60.0),), on_unavailable="open")
    async with asyncio.timeout(40):
        await asyncio.gather(*(use(bucket) for _ in range(4)))
    with pytest.raises(RateLimitWaitError):
        await use(bucket, max_wait=0.1)


async def test_fail(away: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `"fail"`, all waiting requests fail, and later ones fail at once."""
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 60.0)
    limits = RedisLimits(away, on_unavailable="fail")
    options: dict[str, Any] = {"base_url": emulator.url, "limits": limits, "deadline": 90.0}
    async with AsyncClient(emulator.token, retry=RetryPolicy(), **options) as client:
        calls = [client.projects.list_resources().first_page() for _ in range(20)]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, RedisUnavailableError)
        start = time.monotonic()
        with pytest.raises(
            APIError, match="the rate limits are not available from Redis: "
        ) as caught:
            await client.projects.list_resources().first_page()
        assert time.monotonic() - start < 30
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)
        assert "s3cret" not in repr(caught.value)
    assert [] == emulator.requests


@pytest.mark.parametrize("policy", ["share", "fail", "open"])
async def test_comes_back(
    policy: str,
    own_server: Server,
    make_bucket: MakeBucket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When Redis is back, it gets all reports, even without a new request."""
    caplog.set_level(logging.INFO)
    # A busy machine must not look like an outage; a connection that is refused doesn't take long.
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 20.0)
    bucket = make_bucket(own_server.url, windows=((50, 60.0),), on_unavailable=policy)
    await use(bucket)
    await told(bucket)
    own_server.kill()
    for end in ("settle", "unsent"):
        if policy == "fail":
            with pytest.raises(RedisUnavailableError):
                await use(bucket)
        else:
            await use(bucket, end)
    own_server.start()
    await until(lambda: not source(bucket)._away)
    await use(bucket)
    assert not source(bucket)._away
    assert (2 if policy == "fail" else 3) == len(own_server.leases(bucket))
    assert "Redis is back, limits are shared again" == caplog.messages[-1]


@pytest.mark.parametrize("policy", ["share", "open"])
async def test_waits_until_it_comes_back(
    policy: str, own_server: Server, make_bucket: MakeBucket
) -> None:
    """A request that waits for the used-up share gets a token when Redis is back."""
    bucket = make_bucket(
        own_server.url, windows=((4, 60.0),), share=0.5, on_unavailable=policy, reserve=0
    )
    await use(bucket)
    own_server.kill()
    await use(bucket)
    waiting = [asyncio.create_task(use(bucket)) for _ in range(3)]
    await asyncio.sleep(0.1)
    own_server.start()
    await until(lambda: not source(bucket)._away)
    async with asyncio.timeout(40):
        for granted in asyncio.as_completed(waiting[:2]):
            await granted
    assert not waiting[2].done()
    waiting[2].cancel()
    await asyncio.wait(waiting)


async def test_restarted_empty(own_server: Server, make_bucket: MakeBucket) -> None:
    """A Redis server that was restarted without its data gets all reports again."""
    bucket = make_bucket(own_server.url, windows=((3, 60.0),), grace=1.0)
    async with bucket.lease():
        await use(bucket)
        await told(bucket)
        before = own_server.leases(bucket)
        own_server.kill()
        own_server.start()
        await use(bucket)
        assert not source(bucket)._away
        after = own_server.leases(bucket)
        assert 3 == len(after)
        for member, counted in before.items():
            assert abs(counted - after[member]) < 20


async def test_restarted_with_old_data(own_server: Server, make_bucket: MakeBucket) -> None:
    """A Redis server that has lost its newest data gets it again before it grants tokens."""
    first, second = (make_bucket(own_server.url, windows=((4, 60.0),)) for _ in range(2))
    await use(first)
    await told(first)
    own_server.admin.save()
    await use(second)
    await told(second)
    own_server.kill()
    own_server.start()
    await use(second)
    assert 3 == len(own_server.leases(first))
    await use(first)
    with pytest.raises(RateLimitWaitError):
        await use(second, max_wait=0.2)


@pytest.mark.parametrize(
    ("spoil", "options", "reason"),
    [
        (lambda admin: admin.replicaof("127.0.0.1", "1"), "", "ReadOnly"),
        (lambda _: None, "?password=wr0ng", r"AUTH \*\*\* called|AUTH <password> called"),
    ],
)
async def test_of_no_use(
    spoil: Callable[[Any], object],
    options: str,
    reason: str,
    own_server: Server,
    make_bucket: MakeBucket,
) -> None:
    """A Redis server that is read-only or refuses the login is away."""
    bucket = make_bucket(own_server.url + options, on_unavailable="fail")
    spoil(own_server.admin)
    with pytest.raises(RedisUnavailableError, match=reason) as caught:
        await use(bucket)
    assert "wr0ng" not in str(caught.value)


async def test_silence_in_the_middle(own_server: Server, make_bucket: MakeBucket) -> None:
    """Tokens that a lost answer may have granted are given back."""
    bucket = make_bucket(own_server.url, windows=((5, 60.0),), on_unavailable="fail", hold=60.0)
    await use(bucket)
    own_server.admin.client_pause(300)
    waiting = [asyncio.create_task(use(bucket)) for _ in range(3)]
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, RedisUnavailableError)
    await until(lambda: not source(bucket)._away)
    await use(bucket)
    assert 2 == len(own_server.leases(bucket))


async def test_leader_that_is_cancelled(own_server: Server, make_bucket: MakeBucket) -> None:
    """If the task that calls Redis is cancelled, another one replaces it."""
    bucket = make_bucket(own_server.url, windows=((5, 60.0),), hold=60.0)
    own_server.admin.client_pause(50)
    waiting = asyncio.create_task(use(bucket))
    await asyncio.sleep(0.01)
    (link,) = source(bucket)._links.values()
    link.task.cancel()
    await waiting
    await asyncio.sleep(0.1)
    assert 1 == len(own_server.leases(bucket))
    assert not source(bucket)._away


def test_silent_at_the_end(own_server: Server, make_bucket: MakeBucket) -> None:
    """At its end, a loop doesn't wait long for a silent Redis server."""
    bucket = make_bucket(own_server.url)

    async def main() -> None:
        await use(bucket)
        own_server.admin.client_pause(120_000)
        waiting = asyncio.create_task(use(bucket))
        await until(lambda: waiting.done() or is_busy(bucket))

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 60


async def test_bucket_that_nobody_uses_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The timer for the return of Redis keeps no bucket alive."""
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 60.0)
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        bucket = redis_bucket(RedisLimits(f"unix://{folder}/redis"), "token")
        await use(bucket)
        await asyncio.wait([link.task for link in source(bucket)._links.values()])
        assert source(bucket)._ledger.untold
        kept = weakref.ref(bucket)
        del bucket
        gc.collect()
        assert kept() is None
