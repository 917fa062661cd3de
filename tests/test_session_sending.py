"""Sending: headers, connections, cancellation and tracing of requests."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trustme
from aiohttp import ClientSession, TCPConnector, TraceConfig

from digitalocean_projects import (
    APIConnectionError,
    APIError,
    AsyncClient,
    Client,
    NotFoundError,
    __version__,
)
from digitalocean_projects._described import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLET = "do:droplet:1"
LISTING = "/v2/projects/default/resources?page=1&per_page=200"
DOCUMENT = json.dumps({"resources": [{"urn": DROPLET}]}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(DOCUMENT), DOCUMENT)
SECRET = "swordfish"  # noqa: S105 - of nothing


async def listed(client: AsyncClient) -> list[str]:
    """The URNs on the first page."""
    page = await client.projects.list_resources().first_page()
    return [str(resource.urn) for resource in page.items]


async def refused(client: AsyncClient) -> APIError:
    """The exception that listing raises."""
    async with client:
        with pytest.raises(APIError) as caught:
            await client.projects.list_resources().first_page()
    return caught.value


async def test_headers(make_client: MakeClient, emulator: Emulator) -> None:
    """Each request tells of the token, the format and the client."""
    async with make_client() as client:
        await listed(client)
        await client.projects.assign_resources("default", [DROPLET])
    bodies = [b"", b'{"resources":["do:droplet:1"]}']
    assert bodies == [request.body for request in emulator.requests]
    for request in emulator.requests:
        assert f"Bearer {emulator.token}" == request.headers["Authorization"]
        assert "application/json" == request.headers["Content-Type"]
        assert "application/json" == request.headers["Accept"]
        user_agent = request.headers["User-Agent"]
        assert user_agent.startswith(f"digitalocean-projects/{__version__} (Python 3.")


async def test_path_of_the_base_url(make_client: MakeClient) -> None:
    """A request gets the path of the base URL, and keeps all else that describes it."""
    values: dict[str, Any] = {field.name: object() for field in attrs.fields(Request)}
    async with make_client(base_url="http://127.0.0.1/gateway") as client:
        located = client._manager.located(Request(**values | {"prefix": ""}))
    assert values | {"prefix": "/gateway"} == vars(located)


async def test_user_agent(make_client: MakeClient, emulator: Emulator) -> None:
    """The User-Agent header can be set."""
    async with make_client(user_agent="inventory/2 (ops@example.com)") as client:
        await listed(client)
    assert "inventory/2 (ops@example.com)" == emulator.requests[0].headers["User-Agent"]


async def test_cookies(make_client: MakeClient, emulator: Emulator) -> None:
    """Cookies aren't kept."""
    emulator.respond(200, DOCUMENT, {"Set-Cookie": "a=b; Path=/"})
    async with make_client(base_url=emulator.url.replace("127.0.0.1", "localhost")) as client:
        await listed(client)
        await listed(client)
    assert [None, None] == [request.headers.get("Cookie") for request in emulator.requests]


async def test_proxy(make_client: MakeClient, emulator: Emulator) -> None:
    """A proxy gets the whole URL and its credentials."""
    proxy = emulator.url.replace("://", f"://user:{SECRET}@")
    emulator.seed([DROPLET], default=True)
    options = {"base_url": "http://api.example", "allow_insecure": True, "proxy": proxy}
    async with make_client(**options) as client:
        assert [DROPLET] == await listed(client)
    headers = emulator.requests[0].headers
    assert "api.example" == headers["Host"]
    credentials = b64encode(f"user:{SECRET}".encode()).decode()
    assert f"Basic {credentials}" == headers["Proxy-Authorization"]


@pytest.mark.parametrize("status", [400, 403, 407, 502])
async def test_proxy_refuses(make_client: MakeClient, emulator: Emulator, status: int) -> None:
    """A proxy's refusal to connect isn't taken for the API's."""
    emulator.respond(status, {"message": "no"}, {"X-Request-Id": "id-1"})
    error = await refused(make_client(base_url="https://api.example", proxy=emulator.url))
    assert APIConnectionError is type(error)
    assert f"the proxy responded with status {status} (GET {LISTING})" == str(error)
    assert ["CONNECT"] == [request.method for request in emulator.requests]


async def test_long_time_outs(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs aren't rounded up, also not long ones."""
    loop = asyncio.get_running_loop()
    timers = []
    call_at = loop.call_at

    def noting(when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append((when, loop.time()))
        return call_at(when, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", noting)
    start = loop.time()
    async with AsyncClient(
        emulator.token, base_url=emulator.url, timeout=7.3, connect_timeout=6.1
    ) as client:
        await listed(client)
    for seconds in (7.3, 6.1):
        assert any(start + seconds <= when <= now + seconds for when, now in timers)


async def test_environment(
    make_client: MakeClient,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The client uses neither netrc nor the proxies of the environment, unless its session does."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login user password {SECRET}")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with make_client() as client:
        await listed(client)
    assert f"Bearer {emulator.token}" == emulator.requests[0].headers["Authorization"]
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("http_proxy", emulator.url)
    monkeypatch.delenv("no_proxy", raising=False)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        base_url = "http://{}:{}".format(*sock.getsockname())
        await refused(make_client(base_url=base_url))
        assert 1 == len(emulator.requests)
        trusting = partial(ClientSession, trust_env=True)
        async with make_client(base_url=base_url, session_factory=trusting) as client:
            await listed(client)
    assert 2 == len(emulator.requests)


async def test_certificates(make_client: MakeClient) -> None:
    """A server's certificate is verified, by the session's lights."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        writer.close()

    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def trusting_session() -> ClientSession:
        return ClientSession(connector=TCPConnector(ssl=trusting))

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served) as server:
        options = {"base_url": "https://{}:{}".format(*server.sockets[0].getsockname())}
        error = await refused(make_client(**options))
        assert APIConnectionError is type(error)
        assert "certificate is invalid (unable to get local issuer certificate)" in str(error)
        assert "of the authority before Python starts (GET" in str(error)
        other = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        error = await refused(make_client(base_url=other, session_factory=trusting_session))
        assert "certificate is invalid (Hostname mismatch" in str(error)
        assert "SSL_CERT_FILE" not in str(error)

        async with make_client(session_factory=trusting_session, **options) as client:
            assert [DROPLET] == await listed(client)


async def test_sent_once(make_client: MakeClient) -> None:
    """A request on a kept connection that the server drops isn't sent again unasked."""
    requests = []

    async def drop_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(EOFError):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ANSWER)
            requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(drop_the_second, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        for options in ({}, {"session_factory": ClientSession}):
            client = make_client(base_url=f"http://{address}", **options)
            assert [DROPLET] == await listed(client)
            assert APIConnectionError is type(await refused(client))
    assert 4 == len(requests)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that does nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def waiting_client(listener: socket.socket) -> AsyncClient:
    return AsyncClient(SECRET, base_url="http://{}:{}".format(*listener.getsockname()))


async def test_cancellation(listener: socket.socket) -> None:
    """A request that is cancelled ends with its connection, and the next one gets a new one."""
    loop = asyncio.get_running_loop()
    async with waiting_client(listener) as client:
        for _ in range(2):
            request = asyncio.ensure_future(listed(client))
            connection, _ = await loop.sock_accept(listener)
            with connection:
                await loop.sock_recv(connection, 10_000)
                request.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await request
                assert b"" == await loop.sock_recv(connection, 1)


@pytest.mark.parametrize("first", ["close", "cancel"])
async def test_cancellation_while_closing(listener: socket.socket, first: str) -> None:
    """A cancellation stays one if the client is closed at the same time."""
    loop = asyncio.get_running_loop()
    client = waiting_client(listener)
    request = asyncio.ensure_future(listed(client))
    connection, _ = await loop.sock_accept(listener)
    with connection:
        await loop.sock_recv(connection, 10_000)
        if first == "cancel":
            request.cancel()
        else:
            loop.call_soon(request.cancel)
        await client.aclose()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert 1 == request.cancelling()


@pytest.mark.parametrize("first", ["close", "time-out"])
async def test_time_out_while_closing(listener: socket.socket, first: str) -> None:
    """So does a time-out of the caller's."""
    loop = asyncio.get_running_loop()
    client = waiting_client(listener)
    scopes = []

    async def listed_in_time() -> None:
        async with asyncio.timeout(60) as scope:
            scopes.append(scope)
            await listed(client)

    request = asyncio.ensure_future(listed_in_time())
    connection, _ = await loop.sock_accept(listener)
    with connection:
        await loop.sock_recv(connection, 10_000)
        scopes[0].reschedule(loop.time())
        await (client.aclose() if first == "close" else asyncio.ensure_future(client.aclose()))
        with pytest.raises(TimeoutError):
            await request


async def test_session_factory(make_client: MakeClient, emulator: Emulator) -> None:
    """A session is made once, where the first request runs, and closed by the client."""
    made = []

    def factory() -> ClientSession:
        made.append((ClientSession(headers={"X": "own"}), asyncio.get_running_loop()))
        return made[-1][0]

    async with make_client(session_factory=factory) as client:
        assert [] == made
        await listed(client)
        await listed(client)
        ((session, loop),) = made
        assert isinstance(client, AsyncClient) == (loop is asyncio.get_running_loop())
        assert not session.closed
    assert session.closed
    assert ["own", "own"] == [request.headers["X"] for request in emulator.requests]


async def test_closed_session(emulator: Emulator) -> None:
    """A session that was closed by somebody else is replaced."""
    made = []

    def factory() -> ClientSession:
        made.append(ClientSession())
        return made[-1]

    async with AsyncClient(
        emulator.token, base_url=emulator.url, session_factory=factory
    ) as client:
        await listed(client)
        await made[0].close()
        await listed(client)
    assert [True, True] == [session.closed for session in made]


async def test_strict_session(make_client: MakeClient, emulator: Emulator) -> None:
    """A session that raises errors of its own for refusals doesn't do so for the client."""
    emulator.respond(404)
    strict = partial(ClientSession, raise_for_status=True)
    assert NotFoundError is type(await refused(make_client(session_factory=strict)))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_no_factory(client_class: Callable[..., object]) -> None:
    """A session itself, or whatever can't be called, is refused at once."""
    with pytest.raises(TypeError, match=r"^session_factory must be callable, got "):
        client_class(SECRET, session_factory="ClientSession")


@pytest.mark.parametrize("made", [None, "session", ClientSession])
async def test_factory_of_something_else(make_client: MakeClient, made: object) -> None:
    """The session of a factory is checked on the first request."""
    async with make_client(session_factory=lambda: made) as client:
        for _ in range(2):
            with pytest.raises(TypeError, match=r"must return an aiohttp\.ClientSession, got "):
                await listed(client)


def test_factory_with_traces() -> None:
    """Trace hooks can't be combined with a session factory."""
    with pytest.raises(
        ValueError, match=r"^session_factory must be passed without trace_configs; "
    ):
        AsyncClient(SECRET, session_factory=ClientSession, trace_configs=[TraceConfig()])


def hooked(signal: str, hook: Callable[[Any], None]) -> TraceConfig:
    """A trace that calls `hook` with the parameters of a signal."""

    async def call(_: object, __: object, parameters: Any) -> None:
        hook(parameters)

    trace = TraceConfig()
    getattr(trace, signal).append(call)
    return trace


async def test_traces(make_client: MakeClient) -> None:
    """Any iterable's trace hooks see the requests, and that a connection is used again."""
    seen: list[Any] = []
    signals = ("on_request_start", "on_connection_create_end", "on_connection_reuseconn")
    async with make_client(trace_configs=(hooked(name, seen.append) for name in signals)) as client:
        await listed(client)
        await listed(client)
    names = ["RequestStart", "ConnectionCreateEnd", "RequestStart", "ConnectionReuseconn"]
    assert [f"Trace{name}Params" for name in names] == [type(each).__name__ for each in seen]
    assert ["GET", "GET"] == [each.method for each in seen[::2]]
    assert [LISTING, LISTING] == [each.url.path_qs for each in seen[::2]]
