"""The pool, when its session, its loop or its tasks are closed from outside."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest

from digitalocean_projects import APIConnectionError, AsyncClient, RetryPolicy
from digitalocean_projects._clock import SystemClock

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator, RecordedRequest

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


async def test_connection_that_is_waited_for(emulator: Emulator) -> None:
    """A request whose session is closed raises an error, although aiohttp cancels its wait."""
    sessions: list[aiohttp.ClientSession] = []
    loop, held, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def session() -> aiohttp.ClientSession:
        sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))
        return sessions[0]

    def hold(_: RecordedRequest) -> bool:
        loop.call_soon_threadsafe(held.set)
        released.wait(30)
        return False

    emulator.respond(500, when=hold)
    once = RetryPolicy(attempts=1)
    async with AsyncClient(
        emulator.token, base_url=emulator.url, session_factory=session, retry=once
    ) as client:
        calls = [asyncio.create_task(client.projects.list_resources().first_page())]
        await held.wait()
        calls.append(asyncio.create_task(client.projects.list_resources().first_page()))
        await asyncio.sleep(0)
        await sessions[0].close()
        released.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [APIConnectionError] * 2 == [type(outcome) for outcome in outcomes]


def test_closed_after_a_loop_that_died(emulator: Emulator) -> None:
    """A pending request of a closed loop doesn't block the end of the client."""
    client = AsyncClient(emulator.token, base_url=emulator.url)
    loop = asyncio.new_event_loop()
    request = client.projects.list_resources().first_page()
    task = loop.create_task(request)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is the point
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    asyncio.run(client.aclose())
    with suppress(RuntimeError):
        request.close()


async def test_cancelled_in_a_hook(emulator: Emulator) -> None:
    """A request can be cancelled while its hook waits."""
    trace = aiohttp.TraceConfig()
    reached = asyncio.Event()

    async def wait(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    trace.on_request_start.append(wait)
    async with AsyncClient(emulator.token, base_url=emulator.url, trace_configs=[trace]) as client:
        call = asyncio.create_task(client.projects.list_resources().first_page())
        await reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_closed_during_a_wait_for_a_retry(emulator: Emulator) -> None:
    """A retry opens a session if its own was closed during the wait."""
    sessions: list[aiohttp.ClientSession] = []

    class ClosingClock(SystemClock):
        async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - the protocol's
            await sessions[0].close()

    def session() -> aiohttp.ClientSession:
        sessions.append(aiohttp.ClientSession())
        return sessions[-1]

    async with AsyncClient(
        emulator.token,
        base_url=emulator.url,
        session_factory=session,
        limits=None,
        clock=ClosingClock(),
    ) as client:
        await client.projects.get_default()
        emulator.respond(500)
        await client.projects.get_default()
    assert 2 == len(sessions)


async def test_closed_timer(emulator: Emulator) -> None:
    """A closed client leaves no timer in the loop, which would keep its objects in memory."""
    client = AsyncClient(emulator.token, base_url=emulator.url)
    await client.projects.get_default()
    deadlines = weakref.ref(client._manager._pool.held().deadlines)
    await client.aclose()
    gc.collect()
    assert deadlines() is None


async def test_closed_during_a_wait_for_the_limits(emulator: Emulator) -> None:
    """A request that has waited for the limits opens a session if its own was closed meanwhile.

    The slow start lets 16 requests go at first, and more when these have their responses.
    """
    sessions: list[aiohttp.ClientSession] = []
    released = threading.Event()

    def session() -> aiohttp.ClientSession:
        sessions.append(aiohttp.ClientSession())
        return sessions[-1]

    def hold(_: RecordedRequest) -> bool:
        released.wait(30)
        return False

    emulator.respond(500, when=hold)
    once = RetryPolicy(attempts=1)
    async with AsyncClient(
        emulator.token, base_url=emulator.url, session_factory=session, retry=once
    ) as client:
        released.set()
        await client.projects.get_default()
        released.clear()
        calls = [asyncio.create_task(client.projects.get_default()) for _ in range(20)]
        await asyncio.sleep(0)
        waiting = client.statistics().bucket
        assert waiting is not None
        assert waiting.waiting > 0
        await sessions[0].close()
        released.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert 2 == len(sessions)
    assert waiting.waiting == sum(not isinstance(outcome, Exception) for outcome in outcomes)
