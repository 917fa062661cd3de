"""Fixtures that call the emulator over sockets."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator


@attrs.frozen
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Call(Protocol):
    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        authorization: str | None = ...,
        headers: dict[str, str] = ...,
    ) -> Reply: ...


@pytest.fixture
def call(emulator: Emulator) -> Call:
    """Return a function that sends a request on its own connection; a body may be bytes or JSON."""

    def call(
        method: str,
        path: str,
        body: object = None,
        *,
        authorization: str | None = f"Bearer {emulator.token}",
        headers: dict[str, str] = {"Content-Type": "application/json"},  # noqa: B006 - not changed
    ) -> Reply:
        sent = dict(headers)
        if authorization is not None:
            sent["Authorization"] = authorization
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=60)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    return call


@pytest.fixture
def connect(emulator: Emulator) -> Callable[..., socket.socket]:
    """Return a function that opens a connection and sends a request, a listing by default."""

    def connect(method: str = "GET", body: bytes = b"") -> socket.socket:
        address = urlsplit(emulator.url)
        assert address.hostname
        sock = socket.create_connection((address.hostname, address.port or 80), timeout=60)
        sock.sendall(
            f"{method} /v2/projects/default/resources HTTP/1.1\r\n"
            f"Host: x\r\n"
            f"Authorization: Bearer {emulator.token}\r\n"
            f"Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return sock

    return connect


@pytest.fixture
def raw(connect: Callable[..., socket.socket]) -> Callable[..., bytes]:
    """Return a function that returns all bytes of the answer to such a request."""

    def raw(method: str = "GET", body: bytes = b"") -> bytes:
        with connect(method, body) as sock, sock.makefile("rb") as stream:
            return stream.read()

    return raw
