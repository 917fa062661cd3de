"""Waits for a connection, dead connections, and independent tenants."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from digitalocean_projects import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncClient,
    Limits,
    RetryPolicy,
)
from digitalocean_projects._session.transport import Transport
from tests.simulation import MovedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .conftest import SilentServer

    Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

BODY = b'{"resources": []}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
TOKEN = "dop_v1_" + 64 * "5"


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Serve connections with a coroutine, and yield the base URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    tasks: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


async def head(reader: asyncio.StreamReader) -> bytes:
    """Return the head of a request."""
    return await reader.readuntil(b"\r\n\r\n")


async def ask(client: AsyncClient) -> None:
    await client.projects.list_resources().first_page()


async def refused(client: AsyncClient, call: Callable[[AsyncClient], Awaitable[object]]) -> Any:
    """Return the exception of a call."""
    async with client:
        with pytest.raises(APIError) as caught:
            await call(client)
    return caught.value


class DyingServer:
    """A server whose first connections die after one response, which the next request notices."""

    def __init__(self, first: int, end: str) -> None:
        self.connections = self.requests = 0
        self._first, self._end = first, end
        self._all_here = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        dies = self.connections <= self._first
        if self.connections == self._first:
            self._all_here.set()
        while True:
            await head(reader)
            self.requests += 1
            await self._all_here.wait()
            writer.write(OK)
            if dies:
                await head(reader)
                self.requests += 1
                if self._end == "silent":
                    await asyncio.Event().wait()
                if self._end == "reset":
                    writer.transport.abort()
                return


@pytest.mark.parametrize("end", ["closed", "reset", "silent"])
@pytest.mark.parametrize("number", [1, 5])
async def test_dead_connections(end: str, number: int) -> None:
    """Idle connections that have died cost a request one attempt, however many there are.

    There is no delay after it, unless a timeout has closed it: the server may be slow.
    """
    server, clock = DyingServer(8, end), MovedClock()
    async with serving(server.answer) as url:
        options: dict[str, Any] = {"base_url": url, "clock": clock, "timeout": 0.5}
        policy = RetryPolicy(attempts=2, base_delay=8.0, jitter=lambda ceiling: ceiling)
        async with AsyncClient(TOKEN, limits=None, retry=policy, **options) as client:
            await asyncio.gather(*(ask(client) for _ in range(8)))
            await asyncio.gather(*(ask(client) for _ in range(number)))
            assert (8 + 2 * number, number) == (
                client.statistics().requests,
                client.statistics().retries,
            )
            # The connections that are idle now are alive.
            await asyncio.gather(*(ask(client) for _ in range(number)))
    assert 8 + 3 * number == server.requests
    assert 8 + number == server.connections
    assert {8.0 if end == "silent" else 0.0} == set(clock.slept)


async def test_endpoint_that_fails_beside_others() -> None:
    """Failures of one endpoint are retried with waits, and leave connections in use alone."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            if b"/projects/default/" not in await head(reader):
                return
            writer.write(OK)

    async with serving(answer) as url:
        clock = MovedClock()
        policy = RetryPolicy(jitter=lambda ceiling: ceiling)
        options: dict[str, Any] = {"base_url": url, "clock": clock, "retry": policy}
        async with AsyncClient(TOKEN, limits=None, **options) as client:

            async def ask_in_vain() -> None:
                with pytest.raises(APIConnectionError):
                    await client.projects.get("default")

            await ask(client)
            failing = asyncio.create_task(ask_in_vain())
            await asyncio.sleep(0)
            while not failing.done():
                await ask(client)
    assert [0.0, 1.0, 2.0] == clock.slept
    # One for each failed attempt, and two for the other requests.
    assert connections <= 6


async def test_connection_that_is_idle_since_the_attempt_began() -> None:
    """A connection that another request has used meanwhile is alive, and the retry uses it."""
    connections = 0
    waits, ends = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        for number in (1, 2, 3):
            await head(reader)
            if is_first and number > 1:
                waits.set()
                await ends.wait()
                return
            writer.write(OK)

    async with serving(answer) as url, AsyncClient(TOKEN, limits=None, base_url=url) as client:
        await ask(client)
        failing = asyncio.create_task(ask(client))
        await waits.wait()
        await ask(client)
        ends.set()
        await failing
        assert (4, 1) == (client.statistics().requests, client.statistics().retries)
    assert 2 == connections


async def test_dead_connection_of_a_request_that_is_sent_once() -> None:
    """A request that isn't idempotent isn't retried if it may have been carried out."""
    server = DyingServer(1, "closed")
    async with serving(server.answer) as url:
        client = AsyncClient(TOKEN, limits=None, base_url=url)
        async with client:
            await ask(client)
            with pytest.raises(APIConnectionError) as caught:
                await client.projects.create("web", "Web Application")
    error = caught.value
    assert (1, True, True, True) == (error.attempts, error.sent, error.in_doubt, error.reused)


async def test_new_connections_that_fail() -> None:
    """If a server closes new connections, requests are retried after the usual waits."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.close()

    async with serving(close) as url:
        policy = RetryPolicy(jitter=lambda ceiling: ceiling)
        client = AsyncClient(
            TOKEN, limits=None, base_url=url, retry=policy, clock=(clock := MovedClock())
        )
        error = await refused(client, ask)
    assert (4, False, [0.5, 1.0, 2.0]) == (error.attempts, error.reused, clock.slept)


async def test_failure_after_the_headers() -> None:
    """An incomplete body on a used connection is retried after a wait."""
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in (OK, broken):
            await head(reader)
            writer.write(text)

    async with serving(answer) as url:
        policy = RetryPolicy(attempts=2, jitter=lambda ceiling: ceiling)
        clock = MovedClock()
        options: dict[str, Any] = {"base_url": url, "retry": policy, "clock": clock}
        async with AsyncClient(TOKEN, limits=None, **options) as client:
            await ask(client)
            await ask(client)
    assert [0.5] == clock.slept


class SlowResolver(AbstractResolver):
    """A resolver that never answers."""

    async def resolve(self, *_: object, **__: object) -> Any:
        """Wait for ever."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close nothing."""


def session_with(**options: Any) -> Callable[[], aiohttp.ClientSession]:
    return lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(**options))


def session_with_slow_dns() -> aiohttp.ClientSession:
    return session_with(resolver=SlowResolver())()


@pytest.fixture(params=["DNS", "TCP", "TLS", "proxy", "pool"])
def unconnected(request: pytest.FixtureRequest, silent_server: SilentServer) -> Any:
    """Options with which a request never gets a connection."""
    with ExitStack() as stack:
        options: dict[str, Any] = {"base_url": "https://api.example"}
        match request.param:
            case "DNS":
                options["session_factory"] = session_with_slow_dns
            case "TCP":
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
                for _ in range(3):
                    # A connection beyond the backlog waits for a place in it.
                    filler = stack.enter_context(socket.socket())
                    filler.settimeout(0)
                    filler.connect_ex(listener.getsockname())
                options["base_url"] = "http://{}:{}".format(*listener.getsockname())
            case "TLS":
                options["base_url"] = silent_server.url.replace("http:", "https:")
            case "proxy":
                options["proxy"] = silent_server.url
            case "pool":
                options["session_factory"] = session_with(limit=1)
                options["base_url"] = silent_server.url
        yield options


@pytest.mark.parametrize(("timeout", "connect_timeout"), [(0.5, 10.0), (0.5, 0.5), (20.0, 0.3)])
def test_connect_timeout_is_shorter(timeout: float, connect_timeout: float) -> None:
    """A wait for a connection ends before its attempt, so the request counts as not sent."""
    options: dict[str, Any] = {"timeout": timeout, "connect_timeout": connect_timeout}
    transport = Transport(AsyncClient(TOKEN, **options)._manager.settings)
    for seconds in (30.0, 0.2):
        total, found = transport._time_out(seconds)
        assert total == min(timeout, seconds)
        assert (min(connect_timeout, 0.95 * total), None) == (found.connect, found.total)


async def test_wait_for_a_connection(unconnected: dict[str, Any]) -> None:
    """A wait for a connection has its time-out, and sends nothing, whatever it waits for.

    So a request that isn't idempotent is retried, too, and its tokens return.
    """
    async with AsyncClient(
        TOKEN,
        retry=RetryPolicy(attempts=2),
        limits=Limits(windows=((4, 60.0),)),
        clock=MovedClock(),
        connect_timeout=0.3,
        **unconnected,
    ) as client:
        # With a limit of one, this takes the only connection.
        first = asyncio.create_task(ask(client.with_options(timeout=20.0, limits=None)))
        await asyncio.sleep(0.01)
        with pytest.raises(APITimeoutError) as caught:
            await client.projects.create("web", "Web Application")
        error = caught.value
        assert (2, False, False) == (error.attempts, error.sent, error.in_doubt)
        statistics = client.statistics().bucket
        assert statistics is not None
        assert (2, (0,), 0) == (statistics.granted, statistics.in_use, statistics.in_flight)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.slow
async def test_deadline_of_a_wait_for_a_connection(silent_server: SilentServer) -> None:
    """A deadline that is shorter than the timeouts ends it, too, and nothing was sent."""
    url = silent_server.url.replace("http:", "https:")
    # The last twentieth of the deadline is left for the request, which a busy machine must notice.
    once = RetryPolicy(attempts=1)
    client = AsyncClient(TOKEN, base_url=url, deadline=8.0, limits=None, retry=once)
    error = await refused(client, ask)
    assert (False, False) == (error.sent, error.in_doubt)


async def test_tenants() -> None:
    """Hanging requests of some tenants don't delay those of another tenant."""
    hanging = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            if b"Bearer slow" in await head(reader):
                hanging.release()
                await asyncio.Event().wait()
            writer.write(OK)

    async with (
        serving(answer) as url,
        AsyncClient("quick", base_url=url, retry=RetryPolicy(attempts=1), timeout=20.0) as client,
    ):
        views = [client.with_options(token=f"slow-{number}") for number in range(8)]
        calls = [asyncio.create_task(ask(view)) for view in views for _ in range(16)]
        for _ in calls:
            await hanging.acquire()
        await ask(client)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize(
    ("status", "attempts"), [(400, 1), (403, 1), (407, 1), (408, 3), (429, 3), (502, 3), (503, 3)]
)
async def test_proxy_that_refuses(status: int, attempts: int) -> None:
    """A proxy's refusal is not retried, but its transient failures are; nothing was sent."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await head(reader)
        asked += 1
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    async with serving(answer) as url:
        client = AsyncClient(
            TOKEN,
            base_url="https://api.example",
            proxy=url,
            limits=None,
            retry=RetryPolicy(attempts=3, base_delay=0),
        )
        error = await refused(client, ask)
    assert (attempts, attempts, False) == (asked, error.attempts, error.sent)


@pytest.mark.parametrize("status", [403, 407])
async def test_proxy_that_refuses_http(status: int) -> None:
    """Without TLS, a proxy's refusal is the response to the request."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await head(reader)
        asked += 1
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    async with serving(answer) as url:
        client = AsyncClient(TOKEN, base_url="http://127.0.0.1:1", proxy=url, limits=None)
        error = await refused(client, ask)
    assert (1, status, 1, False) == (asked, error.status, error.attempts, error.in_doubt)
