"""A session of the caller, and TLS settings."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import (
    BasicAuth,
    ClientSession,
    DummyCookieJar,
    Fingerprint,
    TCPConnector,
    TraceConfig,
    UnixConnector,
)

from digitalocean_projects import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    Client,
    ClientUsageError,
)
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


# The class is deprecated, so its constructor warns.
AUTH = tuple.__new__(BasicAuth, ("user", "password", "latin1"))


def made(**options: Any) -> ClientSession:
    return ClientSession(**{"cookie_jar": DummyCookieJar(), **options})


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with made() as session:
        yield session


@pytest.mark.filterwarnings("ignore:The 'auth' parameter:DeprecationWarning")
async def test_session(make_client: MakeClient, emulator: Emulator) -> None:
    """A client and its views use the connections and traces of a session, and don't close it."""
    seen: list[str] = []
    trace = TraceConfig()

    async def note(*arguments: Any) -> None:
        seen.append(arguments[2].method)

    trace.on_request_start.append(note)
    mine = {"X-Mine": "1", "COOKIE": "a=b", "Host": "mine.example", "Proxy-Authorization": "x"}
    # aiohttp refuses a session with both.
    for credentials in ({"auth": AUTH}, {"headers": {**mine, "authorization": "x"}}):
        async with (
            made(proxy="http://127.0.0.1:1", **credentials) as session,
            make_client(session=session) as client,
        ):
            await client.projects.get_default()
    for request in emulator.requests:
        assert f"Bearer {emulator.token}" == request.headers["Authorization"]
        assert request.headers["Host"] in emulator.url
        assert not {"X-Mine", "Cookie", "Proxy-Authorization"} & {*request.headers}
    async with made(trace_configs=[trace]) as session:
        async with session.get(emulator.url) as page:
            await page.read()
        for _ in range(2):
            async with make_client(session=session) as client:
                await client.projects.list().collect()
                await client.with_options(bulk=True).request("HEAD", "/v2/projects")
            assert not session.closed
        async with session.get(emulator.url) as page:
            assert 200 == page.status
        connector: Any = session.connector
        assert [1] == [len(idle) for idle in connector._conns.values()]
        assert session._retry_connection
    assert ["GET", "GET", "HEAD", "GET", "HEAD", "GET"] == seen


async def test_session_that_is_closed(
    make_client: MakeClient, session: ClientSession, emulator: Emulator
) -> None:
    """A session that its owner closes is an error of the next request, and is never replaced."""
    async with make_client(session=session) as client:
        await client.projects.get_default()
        await session.close()
        for _ in range(2):
            with pytest.raises(ClientUsageError, match=r"^the session is closed; close the client"):
                await client.projects.get_default()
    assert 1 == len(emulator.requests)


async def test_session_of_another_loop(make_client: MakeClient, session: ClientSession) -> None:
    """A session belongs to one event loop."""

    def ask() -> None:
        asyncio.run(make_client(session=session).projects.get_default())

    with pytest.raises(ClientUsageError, match=r"^the session belongs to another event loop; make"):
        await asyncio.to_thread(ask)


async def test_requests_in_flight(
    make_client: MakeClient, session: ClientSession, silent_server: SilentServer
) -> None:
    """Closing the client ends its requests, and not those of the session's owner."""
    client = make_client(session=session, base_url=silent_server.url)
    mine = asyncio.create_task(client.projects.get_default())
    with await asyncio.to_thread(silent_server.requested):
        other = asyncio.ensure_future(session.get(silent_server.url))
        with await asyncio.to_thread(silent_server.requested) as connection:
            await client.aclose()
            with pytest.raises(ClientUsageError, match="closed during the request"):
                await mine
            connection.sendall(b"HTTP/1.1 204 OK\r\n\r\n")
            async with await other as response:
                assert 204 == response.status


async def test_connection_limit(
    make_client: MakeClient, emulator: Emulator, silent_server: SilentServer
) -> None:
    """A connector without a free connection makes a request fail after `connect_timeout`."""
    async with made(connector=TCPConnector(limit=1)) as session:
        other = asyncio.ensure_future(session.get(silent_server.url))
        with await asyncio.to_thread(silent_server.requested):
            async with make_client(session=session, connect_timeout=0.05) as client:
                with pytest.raises(APITimeoutError, match=r"timed out after 0\.05 s") as caught:
                    await client.projects.get_default()
                assert not caught.value.sent
                other.cancel()
                await asyncio.wait([other])
                await client.projects.get_default()
    assert 1 == len(emulator.requests)


async def test_idle_connections_of_the_owner(make_client: MakeClient, emulator: Emulator) -> None:
    """A failure on an idle connection closes idle connections to the API only."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server, made() as session, make_client(session=session) as client:
        for _ in range(2):
            async with session.get(url):
                pass
            await client.projects.get_default()
            # The connection to the API is idle now, and so is the other one.
            emulator.fail(faults.Reset())
            with pytest.raises(APIConnectionError) as caught:
                await client.projects.get_default()
            assert caught.value.reused
    assert 1 == connections


async def test_wrong_sessions() -> None:
    """A session with credentials, cookies or proxies of its own is refused at once."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"trust_env": True}, "session must not have trust_env=True, which reads netrc files, too"),
        (
            {"cookie_jar": None},
            r"session must not store cookies, got a session with a CookieJar; create it",
        ),
    ]
    for options, message in wrong:
        async with made(**options) as session:
            with pytest.raises(ValueError, match=f"^{message}"):
                AsyncClient("token", session=session)
    async with made() as session:
        for other in ({"session_factory": made}, {"trace_configs": [TraceConfig()]}):
            with pytest.raises(
                ValueError, match=r"^session must be passed without session_factory"
            ):
                AsyncClient("token", session=session, **other)
    odd: Any = made
    with pytest.raises(TypeError, match=r"^session must be a ClientSession or None, got function"):
        AsyncClient("token", session=odd)
    odd = aiohttp
    with pytest.raises(TypeError, match=r"^session must be a ClientSession or None, got module$"):
        AsyncClient("token", session=odd)
    with pytest.raises(TypeError, match="unexpected keyword argument 'session'"):
        Client("token", session=None)  # type: ignore[call-arg]


async def test_unverified_sessions(make_client: MakeClient, emulator: Emulator) -> None:
    """A session whose connector doesn't verify the server is refused, unless that is allowed."""
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    verifying = ssl.create_default_context()
    message = "must verify the certificate and its host name; pass allow_insecure=True"
    settings: Any
    for settings in (False, anybody):
        async with made(connector=TCPConnector(ssl=settings)) as session:
            with pytest.raises(ValueError, match=f"^the connector of session {message}"):
                make_client(session=session)
            for allowed in ({"allow_insecure": True}, {"ssl": verifying}):
                await make_client(session=session, **allowed).projects.get_default()

        def make(settings: Any = settings) -> ClientSession:
            return made(connector=TCPConnector(ssl=settings))

        async with make_client(session_factory=make) as client:
            for _ in range(2):
                with pytest.raises(ValueError, match=f"^the connector of .*_factory {message}"):
                    await client.projects.get_default()
        for allowed in ({"allow_insecure": True}, {"ssl": verifying}):
            async with make_client(session_factory=make, **allowed) as client:
                await client.projects.get_default()
    assert 8 == len(emulator.requests)
    for settings in (True, verifying, Fingerprint(b"x" * 32)):
        async with (
            made(connector=TCPConnector(ssl=settings)) as session,
            make_client(session=session) as client,
        ):
            await client.projects.get_default()
    async with made(connector=UnixConnector("/nowhere")) as session:
        make_client(session=session)
    make_client(session=session)


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_wrong_tls_settings(client_class: Callable[..., Any]) -> None:
    """TLS settings are a context that verifies the server, unless that is allowed."""
    for odd in (False, True, "ca.pem", ssl.create_default_context):
        with pytest.raises(
            TypeError, match=r"^ssl must be an SSLContext or None, got .*; pass for"
        ):
            client_class("token", ssl=odd)
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for context in (anybody, unverified, ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)):
        with pytest.raises(ValueError, match=r"^ssl must verify the certificate and its host name"):
            client_class("token", ssl=context)
        client_class("token", ssl=context, allow_insecure=True)
    client_class("token", ssl=ssl.create_default_context())
