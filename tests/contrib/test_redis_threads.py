"""A bucket that event loops of several threads share, and the ends of the loops."""

from __future__ import annotations

import asyncio
import gc
import math
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.contrib.redis import server as _redis_server
from tests.contrib.conftest import source, told, until, use
from tests.simulation import VirtualTime

if TYPE_CHECKING:
    from digitalocean_projects import TokenBucket
    from tests.contrib.conftest import MakeBucket, Server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


def test_threads(server: Server, make_bucket: MakeBucket) -> None:
    """The loops of several threads share a bucket, and disconnect from Redis at their ends."""
    bucket = make_bucket(windows=((40, 0.3),))

    async def many() -> None:
        await asyncio.gather(*(use(bucket) for _ in range(20)))

    before = len(server.admin.client_list())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: asyncio.run(many()), range(4)))
    assert 80 == bucket.statistics().granted
    asyncio.run(until(lambda: len(server.admin.client_list()) == before))
    assert not source(bucket)._leases
    assert not source(bucket)._links


class LentLock:
    """A bucket's lock, which another thread with a loop always takes before this one."""

    def __init__(self, bucket: TokenBucket, pool: ThreadPoolExecutor) -> None:
        self._bucket = bucket
        self._lock = bucket._lock
        self._pool = pool
        self._lender = threading.get_ident()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> None:
        if threading.get_ident() == self._lender:
            self._pool.submit(asyncio.run, self._make_changes()).result()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    async def _make_changes(self) -> None:
        self._bucket.is_idle()


def test_changes_made_by_another_thread(
    server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop has its own connection, even if other threads make all its changes."""
    bucket = make_bucket()

    async def main() -> None:
        async with asyncio.timeout(40):
            await use(bucket)
        ((loop, link),) = source(bucket)._links.items()
        assert asyncio.get_running_loop() is loop is link.loop

    before = len(server.admin.client_list())
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(bucket, "_lock", LentLock(bucket, pool))
        asyncio.run(main())
    assert not source(bucket)._links
    asyncio.run(until(lambda: len(server.admin.client_list()) == before))


def test_more_to_tell_than_at_once(make_bucket: MakeBucket) -> None:
    """A waiting request sends many reports now, before they are due."""
    bucket = make_bucket(windows=((1400, 60.0),), clock=(clock := VirtualTime(1.0)))

    async def main() -> None:
        leases = [bucket.lease() for _ in range(600)]
        for start in range(0, 600, 16):
            await asyncio.gather(*(lease.__aenter__() for lease in leases[start : start + 16]))
            # Otherwise the slow start would let them wait for responses.
            clock.now += 1.0
        for lease in leases:
            lease.settle()
        async with asyncio.timeout(40):
            await use(bucket)

    asyncio.run(main())


def test_telling_while_a_loop_parts(make_bucket: MakeBucket) -> None:
    """A loop that ends leaves later reports to the other loops."""
    bucket = make_bucket(hold=60.0)
    lease = bucket.lease()
    with closing(asyncio.new_event_loop()) as parting, closing(asyncio.new_event_loop()) as other:
        parting.run_until_complete(use(bucket))
        link = source(bucket)._links[parting]
        other.run_until_complete(lease.__aenter__())
        parting.run_until_complete(use(bucket))

        async def part() -> None:
            ending = asyncio.create_task(parting.shutdown_asyncgens())
            while not link.parting or source(bucket)._tell_at < math.inf:  # noqa: ASYNC110 - in the very tick
                await asyncio.sleep(0)
            lease.settle()
            await ending

        parting.run_until_complete(part())
        other.run_until_complete(until(lambda: source(bucket)._tell_at == math.inf))
        other.run_until_complete(other.shutdown_asyncgens())


def test_loop_that_has_parted(make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture) -> None:
    """A loop doesn't open another connection after its last report."""
    bucket = make_bucket()
    lease = bucket.lease()
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(lease.__aenter__())
        loop.run_until_complete(use(bucket))
        loop.run_until_complete(loop.shutdown_asyncgens())
        lease.refused({})
        loop.run_until_complete(asyncio.sleep(0.1))
    assert not source(bucket)._links
    assert [] == caplog.messages


def test_loop_that_died(make_bucket: MakeBucket) -> None:
    """A loop that was closed with leases doesn't block the next loop."""
    bucket = make_bucket()
    loop, lease = asyncio.new_event_loop(), bucket.lease()
    loop.run_until_complete(lease.__aenter__())
    loop.run_until_complete(source(bucket)._links[loop].task)
    (connections,) = source(bucket)._links[loop]._client._connections.values()
    loop.run_until_complete(connections.aclose())
    loop.close()
    lease.settle()
    asyncio.run(use(bucket))
    assert not source(bucket)._links
    assert not source(bucket)._ledger.untold


def test_other_thread(make_bucket: MakeBucket) -> None:
    """A lease can end in any thread while the lock is held."""
    bucket = make_bucket()

    async def main() -> None:
        async with bucket.lease() as lease:
            with bucket._lock:
                thread = threading.Thread(target=lease.settle)
                thread.start()
                thread.join()
                assert 1 == len(source(bucket)._leases)
            await use(bucket)
        assert not source(bucket)._leases

    asyncio.run(main())


def test_other_loop_that_is_stopped(server: Server, make_bucket: MakeBucket) -> None:
    """A running loop, if there is one, sends the reports to Redis."""
    bucket = make_bucket(windows=((9, 60.0),), hold=60.0)

    async def main() -> None:
        await use(bucket)
        await told(bucket)
        assert all(at <= server.now() for at in server.leases(bucket).values())

    with closing(asyncio.new_event_loop()) as stopped:
        stopped.run_until_complete(use(bucket))
        stopped.run_until_complete(told(bucket))
        asyncio.run(main())
        stopped.run_until_complete(stopped.shutdown_asyncgens())


def test_away_is_said_once_by_short_loops(
    make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known outage outlives the loops that have found it."""
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.02)
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        bucket = make_bucket(f"unix://{folder}/redis", windows=((99, 60.0),))
        for _ in range(3):
            asyncio.run(use(bucket))
            gc.collect()
    assert 1 == len(caplog.messages)
