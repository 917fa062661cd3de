"""Failures: the text of the error for each way in which a request gets no complete response."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientConnectorError, ClientSession, TCPConnector
from aiohttp.abc import AbstractResolver

from digitalocean_projects import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    InventoryError,
    NotFoundError,
    RetryPolicy,
)
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

SECRET = "swordfish"  # noqa: S105 - a test's
PATH = "/v2/projects/default"
PROXY = f"http://user:{SECRET}@proxy.example:3128"


class Resolver(AbstractResolver):
    """A resolver that has one address for each name, or none."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        if self._address is None:
            raise OSError(None, "no such host")
        entry = {"hostname": host, "host": self._address, "port": port}
        return [{**entry, "family": family or socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Do nothing."""


def session(address: str | None, **options: Any) -> ClientSession:
    return ClientSession(connector=TCPConnector(resolver=Resolver(address)), **options)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


async def failure(client: AsyncClient) -> APIError:
    async with client:
        with pytest.raises(APIError) as caught:
            await client.projects.get_default()
    return caught.value


def notes(error: APIError) -> list[str]:
    return getattr(error, "__notes__", [])


def connector_error(cause: OSError) -> ClientConnectorError:
    key: Any = None
    return ClientConnectorError(key, cause)


async def test_attempts(make_either: MakeClient, port: int) -> None:
    """The last error of a request that was retried says how many attempts were made."""
    url = f"http://127.0.0.1:{port}"
    error = await failure(make_either(base_url=url, retry=RetryPolicy(base_delay=0)))
    text = f"cannot connect to {url}: connection refused (GET {PATH})"
    assert f"{text}, after 4 attempts" == str(error)
    once = await failure(make_either(base_url=url))
    assert text == str(once)


@pytest.mark.parametrize("status", [429, 503])
async def test_attempts_with_responses(
    make_either: MakeClient, emulator: Emulator, status: int
) -> None:
    """The same holds if the API responded."""
    emulator.respond(status, times=2, headers={"Retry-After": "0"})
    error = await failure(make_either(retry=RetryPolicy(attempts=2, base_delay=0), limits=None))
    assert f"{status} (GET {PATH}), after 2 attempts" == str(error)


async def test_unknown_host(make_client: MakeClient) -> None:
    """A host without an address is named as such."""
    error = await failure(
        make_client(base_url="https://api.example", session_factory=partial(session, None))
    )
    assert isinstance(error, APIConnectionError)
    assert (True, False) == (error.transient, error.in_doubt)
    assert (
        "cannot connect to https://api.example: the host name can't be resolved (no such host) "
        f"(GET {PATH})"
    ) == str(error)


async def test_no_tls(make_client: MakeClient, emulator: Emulator) -> None:
    """A server that doesn't speak TLS is named as such."""
    url = emulator.url.replace("http:", "https:")
    error = await failure(make_client(base_url=url))
    assert str(error).startswith(f"cannot connect to {url}: the TLS handshake failed (")


async def test_slow_connection(make_client: MakeClient) -> None:
    """A connection timeout and a slow response have different messages, with the time allowed."""

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        unconnected = await failure(
            make_client(base_url=f"https://{address}", connect_timeout=0.05)
        )
        silent = await failure(make_client(base_url=f"http://{address}", timeout=0.05))
        behind_proxy = await failure(
            make_client(
                base_url="https://api.example",
                proxy=f"http://user:{SECRET}@{address}",
                connect_timeout=0.05,
            )
        )
    assert isinstance(unconnected, APITimeoutError)
    assert f"cannot connect to https://{address}: timed out after 0.05 s (GET {PATH})" == str(
        unconnected
    )
    expected = f"no complete response from http://{address} within 0.05 s (GET {PATH})"
    assert expected == str(silent)
    assert isinstance(behind_proxy, APITimeoutError)
    assert (
        f"cannot connect to https://api.example through the proxy {address}: "
        f"timed out after 0.05 s (GET {PATH})"
    ) == str(behind_proxy)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (OSError("Multiple exceptions: a, b"), "Multiple exceptions: a, b"),
        (OSError(f"it was {SECRET}"), "it was ***"),
    ],
)
async def test_odd_cause(make_client: MakeClient, cause: OSError, text: str) -> None:
    """A cause without an error number is quoted, without secrets."""

    class Connector(TCPConnector):
        async def connect(self, *_: Any, **__: Any) -> Any:
            raise connector_error(cause)

    def factory() -> ClientSession:
        return ClientSession(connector=Connector())

    error = await failure(
        make_client(SECRET, base_url="https://api.example", session_factory=factory)
    )
    assert f"cannot connect to https://api.example: {text} (GET {PATH})" == str(error)
    assert (None, None) == (error.__cause__, error.__context__)
    assert not any(SECRET in text for text in exposed(error))


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
async def test_unused_proxy(
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    port: int,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A note names the variable with a proxy that isn't used, and not its value."""
    monkeypatch.setenv(name, PROXY)
    options = {
        "base_url": f"http://api.example:{port}",
        "allow_insecure": True,
        "session_factory": partial(session, "127.0.0.1"),
        "retry": RetryPolicy(attempts=2, base_delay=0),
    }
    error = await failure(make_client(**options))
    text = f"cannot connect to http://api.example:{port}: connection refused (GET {PATH})"
    assert f"{text}, after 2 attempts" == str(error)
    assert [f"{name} is set but not used; pass proxy='env' to use it"] == notes(error)
    assert 1 == len(caplog.messages)
    assert "proxy" not in caplog.text.lower()
    assert not any(SECRET in text for text in exposed(error))
    monkeypatch.setenv("no_proxy", ".example")
    assert [] == notes(await failure(make_client(**options)))


@pytest.mark.parametrize("value", ["", "proxy 3128", "socks5://proxy.example:1080"])
async def test_proxy_that_cannot_be_used(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, port: int, value: str
) -> None:
    """There is no hint at a value that a client would refuse."""
    monkeypatch.setenv("http_proxy", value)
    error = await failure(
        make_client(
            base_url=f"http://api.example:{port}",
            allow_insecure=True,
            session_factory=partial(session, "127.0.0.1"),
        )
    )
    assert [] == notes(error)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://127.0.0.1:{port}"},
        {"base_url": "https://api.example:{port}"},
        {"proxy": "http://127.0.0.1:{port}"},
    ],
    ids=["loopback", "another scheme", "used"],
)
async def test_no_hint(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, port: int, options: dict[str, str]
) -> None:
    """There is no hint where the proxy of the environment would not help."""
    monkeypatch.setenv("http_proxy", PROXY)
    made = {"base_url": "http://api.example", "allow_insecure": True, **options}
    made = {k: v.format(port=port) if isinstance(v, str) else v for k, v in made.items()}
    factory = partial(session, "127.0.0.1")
    assert [] == notes(await failure(make_client(session_factory=factory, **made)))


async def test_no_hint_for_a_session_that_uses_it(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    """A session with `trust_env` uses the proxy, so the error is about the proxy."""
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{port}")
    factory = partial(session, "127.0.0.1", trust_env=True)
    options = {"base_url": "http://api.example", "allow_insecure": True}
    error = await failure(make_client(session_factory=factory, **options))
    assert f"cannot connect to the proxy: connection refused (GET {PATH})" == str(error)
    assert [] == notes(error)
    assert not any(SECRET in text for text in exposed(error))


async def test_proxy_refused(make_client: MakeClient, port: int) -> None:
    """A proxy that can't be reached is named, without its user and password."""
    proxy = f"http://user:{SECRET}@127.0.0.1:{port}"
    error = await failure(make_client(base_url="https://api.example", proxy=proxy))
    text = f"cannot connect to the proxy 127.0.0.1:{port}: connection refused (GET {PATH})"
    assert text == str(error)
    assert not any(SECRET in text for text in exposed(error))


async def test_gateway(make_either: MakeClient, emulator: Emulator) -> None:
    """Behind a gateway, errors show the whole path that the server received."""
    client = make_either(base_url=f"{emulator.url}/gateway")
    error = await failure(client)
    assert isinstance(error, NotFoundError)
    assert f"/gateway{PATH}" == error.path == emulator.requests[-1].path
    assert str(error).startswith("404")
    assert f"(GET /gateway{PATH}" in str(error)


async def test_gateway_of_pages(make_client: MakeClient, emulator: Emulator) -> None:
    """The errors of a listing show the whole path, too, also those without a request."""
    page = {"projects": [{"id": "default", "name": "x"}], "links": {}}
    emulator.respond(200, {"resources": [], "links": {"pages": {"next": "?page=2"}}})
    emulator.respond(200, page)
    async with make_client(base_url=f"{emulator.url}/gateway") as client:
        with pytest.raises(APIResponseError, match=r"\(GET /gateway/v2/projects/default/res"):
            await client.projects.list_resources(max_pages=1).collect()
        projects = client.projects.resources_by_project().pages()
        with pytest.raises(InventoryError, match=r"UUID, got .+ \(GET /gateway/v2/projects\)"):
            await anext(projects)
