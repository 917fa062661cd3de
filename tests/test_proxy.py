"""Proxies of the environment, TLS settings, and a network without any other way out."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme

from digitalocean_projects import APIConnectionError, AsyncClient, Client
from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

# Only the proxy can reach this host, since no resolver knows it.
HOST = "api.digitalocean.invalid"
BASE = f"https://{HOST}"
PASSWORD = "swordfish"  # noqa: S105 - of nothing
LINES = f"http://user:{PASSWORD}@proxy.example:3128"
VARIABLES = [
    name
    for scheme in ("http", "https", "all", "no")
    for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper())
]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine that runs the tests."""
    for name in (*VARIABLES, "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


class Proxy:
    """A proxy that forwards connections for one host to the emulator, and is a TLS server for it.

    Attributes:
        authority: The authority of the server's certificate, which no machine trusts.
        url: The URL with a user and a password.
        heads: The requests for a connection.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.authority = trustme.CA()
        self.url = ""
        self.heads: list[bytes] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(HOST).configure_cert(self._context)
        self._target = urlsplit(emulator.url)
        self._tasks: set[asyncio.Task[Any] | None] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        async with (
            await asyncio.start_server(self._decrypted, "127.0.0.1", 0, ssl=self._context) as tls,
            await asyncio.start_server(self._connected, "127.0.0.1", 0) as server,
        ):
            self._tls = tls.sockets[0].getsockname()
            host, port = server.sockets[0].getsockname()
            self.url = f"http://user:{PASSWORD}@{host}:{port}"
            yield self
            tasks = [*filter(None, self._tasks)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        if self.heads[-1].startswith(f"CONNECT {HOST}:443 ".encode()):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await self._join(reader, writer, *self._tls)
        else:
            writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def _decrypted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._join(reader, writer, self._target.hostname, self._target.port)
        writer.close()

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *address: Any
    ) -> None:
        self._tasks.add(task := asyncio.current_task())
        there, out = await asyncio.open_connection(*address)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError, ssl.SSLError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            target.close()

        try:
            await asyncio.gather(copy(reader, out), copy(there, writer))
        finally:
            out.close()
            self._tasks.discard(task)


@pytest.fixture
async def proxy(emulator: Emulator) -> AsyncIterator[Proxy]:
    emulator.seed(["do:droplet:1"], name="web")
    async with Proxy(emulator).serving() as proxy:
        yield proxy


def trusting(proxy: Proxy) -> ssl.SSLContext:
    context = ssl.create_default_context()
    proxy.authority.configure_trust(context)
    return context


@pytest.mark.parametrize("way", ["env", "url"])
async def test_only_way_out(
    make_either: MakeClient, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A client lists through a proxy and an authority of its own, which never see the token."""
    monkeypatch.setenv("https_proxy", proxy.url)
    options = {"proxy": "env" if way == "env" else proxy.url, "ssl": trusting(proxy)}
    async with make_either(base_url=BASE, **options) as client:
        assert {"web", "first-project"} == {p.name for p in await client.projects.list().collect()}
    assert proxy.heads
    assert all(b"Bearer" not in head for head in proxy.heads)
    assert b"Proxy-Authorization: Basic" in proxy.heads[0]


async def test_without_the_authority_or_the_proxy(
    make_client: MakeClient, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of them the request fails, and the error says which, without the password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    address = proxy.url.partition("@")[2]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"proxy": "env"}, "set SSL_CERT_FILE to a file with the certificate of the authority"),
        (
            {"proxy": "env", "ssl": ssl.create_default_context()},
            "load the certificate of the authority into the context that you pass as ssl",
        ),
        ({"ssl": trusting(proxy)}, f"cannot connect to {BASE}: the host name can't be resolved"),
        ({"proxy": "env", "base_url": "https://other.invalid"}, "the proxy responded with status"),
    ]
    for options, text in cases:
        async with make_client(**{"base_url": BASE, **options}) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.projects.get_default()
        assert text in str(caught.value)
        hint = "HTTPS_PROXY is set but not used; pass proxy='env' to use it"
        assert ([] if "proxy" in options else [hint]) == getattr(caught.value, "__notes__", [])
        assert PASSWORD not in f"{caught.value!r} {client._manager.settings!r}"
    assert address not in repr(client)


@pytest.mark.process
async def test_command(emulator: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    """The command lists behind such a proxy with SSL_CERT_FILE, and doesn't use netrc."""
    authority = tmp_path / "authority.pem"
    proxy.authority.cert_pem.write_to_path(str(authority))
    (tmp_path / ".netrc").write_text(f"default login x password {PASSWORD}\n")
    (tmp_path / ".netrc").chmod(0o600)
    common = {
        **os.environ,
        "HOME": str(tmp_path),
        "DIGITALOCEAN_API_URL": BASE,
        "DIGITALOCEAN_TOKEN": emulator.token,
        "SSL_CERT_FILE": str(authority),
    }

    async def run(*options: str, **variables: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "digitalocean_projects", "list", "web", "-q", *options],
            env=common | variables,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    found = await asyncio.gather(
        run(https_proxy=proxy.url),
        run("--proxy", proxy.url, https_proxy="http://127.0.0.1:1"),
    )
    for status, output, errors in found:
        assert (0, "") == (status, errors)
        assert "do:droplet:1" in output
    assert {f"Bearer {emulator.token}"} == {it.headers["Authorization"] for it in emulator.requests}


def test_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command uses the environment's proxy by default, that of its option, or none."""
    monkeypatch.setenv("DIGITALOCEAN_API_URL", BASE)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "token")
    monkeypatch.setenv("https_proxy", f"socks5://user:{PASSWORD}@127.0.0.1:1")
    form = "must be http://[user:password@]host[:port]"
    cases = [
        ([], 2, f"https_proxy {form}\n"),
        (["--proxy", "env"], 2, f"https_proxy {form}\n"),
        (["--proxy", f"ftp://{PASSWORD}"], 2, f"proxy {form}, 'env' or 'none'\n"),
        (["--proxy", "127.0.0.1:1"], 2, f"proxy {form}, 'env' or 'none'\n"),
        (
            ["--proxy", f"http://u:{PASSWORD}@127.0.0.1:1"],
            1,
            "cannot connect to the proxy 127.0.0.1",
        ),
        (["--proxy", "none"], 1, f"cannot connect to {BASE}: the host name can't be resolved"),
    ]
    for options, status, text in cases:
        assert status == main(["list", "--deadline", "0.05", *options])
        printed = capsys.readouterr()
        assert text in printed.err
        assert PASSWORD not in printed.out + printed.err


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
@pytest.mark.parametrize(
    ("base_url", "variables", "expected"),
    [
        (BASE, {}, None),
        (BASE, {"https_proxy": LINES}, LINES),
        (BASE, {"HTTPS_PROXY": LINES}, LINES),
        (BASE, {"https_proxy": LINES, "HTTPS_PROXY": "http://other"}, LINES),
        (BASE, {"https_proxy": "", "HTTPS_PROXY": LINES}, None),
        (BASE, {"https_proxy": "proxy.example:3128"}, "http://proxy.example:3128"),
        (
            BASE,
            {"https_proxy": f"u:{PASSWORD}@proxy.example"},
            f"http://u:{PASSWORD}@proxy.example",
        ),
        (BASE, {"https_proxy": LINES, "all_proxy": "http://other"}, LINES),
        (BASE, {"all_proxy": LINES}, LINES),
        (BASE, {"ALL_PROXY": LINES}, LINES),
        (BASE, {"http_proxy": LINES}, None),
        (BASE, {"https_proxy": LINES, "no_proxy": HOST}, None),
        (BASE, {"https_proxy": LINES, "NO_PROXY": "a.example, .INVALID"}, None),
        (BASE, {"https_proxy": LINES, "no_proxy": "digitalocean.invalid"}, None),
        (BASE, {"https_proxy": LINES, "no_proxy": "ocean.invalid"}, LINES),
        (BASE, {"https_proxy": LINES, "NO_PROXY": f"{HOST}:443"}, None),
        (f"{BASE}:443", {"https_proxy": LINES, "no_proxy": ".INVALID:443"}, None),
        (BASE, {"https_proxy": LINES, "no_proxy": f"{HOST}:8443"}, LINES),
        ("http://api.invalid", {"http_proxy": LINES, "no_proxy": "api.invalid:80"}, None),
        (f"{BASE}:8443", {"https_proxy": LINES, "no_proxy": HOST}, None),
        (f"{BASE}:8443/x", {"https_proxy": LINES, "no_proxy": f"{HOST}:8443"}, None),
        (f"{BASE}:8443/x", {"https_proxy": LINES, "no_proxy": f"{HOST}:443"}, LINES),
        (BASE, {"https_proxy": "socks5://x", "no_proxy": "*"}, None),
        ("http://127.0.0.1:8080", {"http_proxy": LINES}, None),
        ("https://localhost:8080", {"https_proxy": "socks5://x"}, None),
        ("http://api.invalid", {"http_proxy": LINES, "https_proxy": "http://other"}, LINES),
        # A server may set this variable from a header of a request.
        ("http://api.invalid", {"HTTP_PROXY": LINES, "REQUEST_METHOD": "GET"}, None),
    ],
)
def test_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    client_class: Callable[..., Any],
    base_url: str,
    variables: dict[str, str],
    expected: str | None,
) -> None:
    """The proxy is that of the scheme or of all, in lower case first, unless the host has none."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = {"base_url": base_url, "allow_insecure": True}
    client = client_class("token", proxy="env", **options)
    settings = getattr(client, "_async", client)._manager.settings
    assert expected == (None if settings.proxy is None else str(settings.proxy))
    assert PASSWORD not in repr(settings)
    unused = client_class("token", **options)
    assert getattr(unused, "_async", unused)._manager.settings.proxy is None


@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", [f"socks5://u:{PASSWORD}@host", f"http://{PASSWORD} x", f"http://h:0@{PASSWORD}:0"]
)
def test_malformed_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A proxy that can't be used is refused with the name of its variable, not with its value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as caught:
        AsyncClient("token", base_url=BASE, proxy="env")
    assert f"{name} must be http://[user:password@]host[:port]" == str(caught.value)
