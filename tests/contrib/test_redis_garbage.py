"""Buckets whose event loops were closed or dropped during calls to Redis."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import pytest

from digitalocean_projects.contrib.redis.link import call_alive
from tests.contrib.conftest import source, told, use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects import TokenBucket
    from tests.contrib.conftest import MakeBucket, Server

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    # A loop that is closed during calls leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:.*<function StreamWriter:pytest.PytestUnraisableExceptionWarning"
    ),
]


@contextmanager
def collections_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def close_with_a_call(server: Server, bucket: TokenBucket) -> None:
    """Close an event loop during a call to Redis."""
    loop = asyncio.new_event_loop()
    server.send_signal(signal.SIGSTOP)
    task = loop.create_task(use(bucket))
    loop.run_until_complete(asyncio.sleep(0.2))
    assert not task.done()
    loop.close()
    server.send_signal(signal.SIGCONT)


def test_collected_by_the_holder_of_the_lock(
    own_server: Server, make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is collected while its thread holds the lock doesn't wait for the lock."""
    caplog.set_level(logging.CRITICAL, "asyncio")
    bucket = make_bucket(own_server.url, windows=((9, 60.0),), hold=60.0)

    def collect() -> None:
        with bucket.lock:
            gc.collect()

    with collections_by_hand():
        close_with_a_call(own_server, bucket)
        asyncio.run(use(bucket))
        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()

    async def main() -> None:
        await use(bucket)
        await told(bucket)

    asyncio.run(main())
    # The tokens of the collected call were given back.
    assert 2 == len(own_server.leases(bucket))
    assert [] == caplog.messages


def test_collected_while_another_loop_runs(
    own_server: Server, make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture
) -> None:
    """A collected call causes no outage, and fails no lease of other loops."""
    caplog.set_level(logging.CRITICAL, "asyncio")
    bucket = make_bucket(own_server.url, windows=((1, 2.0),))

    async def main() -> None:
        await use(bucket)
        waiting = [asyncio.create_task(use(bucket)) for _ in range(2)]
        await asyncio.sleep(0.3)
        gc.collect()
        async with asyncio.timeout(40):
            await asyncio.gather(*waiting)

    with collections_by_hand():
        close_with_a_call(own_server, bucket)
        asyncio.run(main())
    assert [] == caplog.messages


class InterruptionError(Exception):
    pass


def test_interrupted_answer(
    own_server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Granted tokens are given back if a signal handler's exception loses the answer."""
    bucket = make_bucket(own_server.url, windows=((9, 60.0),), hold=60.0)
    receive = source(bucket)._receive
    interrupted: list[bool] = []

    def interrupt(*_: object) -> None:
        raise InterruptionError

    def interrupted_receive(*args: object) -> None:
        if not interrupted:
            interrupted.append(True)
            signal.raise_signal(signal.SIGUSR1)
        receive(*args)

    monkeypatch.setattr(source(bucket), "_receive", interrupted_receive)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await use(bucket)
        await told(bucket)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with suppress(InterruptionError):
            asyncio.run(main())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert interrupted
    assert 1 == len(own_server.leases(bucket))


def test_timer_of_a_collected_source() -> None:
    """A timer calls a source that is alive, but not one that was collected."""
    called: list[asyncio.AbstractEventLoop] = []

    class Owner:
        def call(self, loop: asyncio.AbstractEventLoop) -> None:
            called.append(loop)

    owner, loop = Owner(), asyncio.new_event_loop()
    method: Any = WeakMethod(owner.call)
    call_alive(method, loop)
    del owner
    gc.collect()
    call_alive(method, loop)
    loop.close()
    assert [loop] == called
