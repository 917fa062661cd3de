"""Scripted answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from digitalocean_projects.testing import Emulator

    from .conftest import Call


def raw(emulator: Emulator) -> bytes:
    """All bytes that answer a request, up to the end of the connection."""
    address = urlsplit(emulator.url)
    assert address.hostname
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with sock.makefile("rb") as stream:
            return stream.read()


def test_defaults(emulator: Emulator) -> None:
    """An answer gets a type, its length and the end of the connection."""
    emulator.respond(503)
    expected = (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 0\r\n"
        b"Connection: close\r\n"
        b"\r\n"
    )
    assert expected == raw(emulator)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"content-type": "text/html", "CONTENT-LENGTH": "99", "connection": "keep-alive"},
            b"content-type: text/html\r\nCONTENT-LENGTH: 99\r\nconnection: keep-alive\r\n",
        ),
        (
            [("X", "1"), ("X", "\xff")],
            (
                b"X: 1\r\nX: \xff\r\nContent-Type: application/json\r\n"
                b"Content-Length: 4\r\nConnection: close\r\n"
            ),
        ),
        (
            {"Transfer-Encoding": "chunked"},
            (
                b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
                b"Connection: close\r\n"
            ),
        ),
    ],
)
def test_headers(
    emulator: Emulator,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    expected: bytes,
) -> None:
    """Headers go as they are, right or wrong, and only missing ones are added."""
    emulator.respond(999, b"body", headers)
    assert b"HTTP/1.1 999 \r\n" + expected + b"\r\nbody" == raw(emulator)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"resources": None}, b'{"resources": null}'),
        ("text", b'"text"'),
        (None, b"null"),
        (float("nan"), b"NaN"),
        (b"\xff{", b"\xff{"),
    ],
)
def test_bodies(emulator: Emulator, call: Call, body: object, expected: bytes) -> None:
    """Bytes go as they are, anything else as its JSON."""
    emulator.respond(200, body)
    assert expected == call("GET", "/").body


@pytest.mark.parametrize("data", [b"", b"\x00garbage\r\n", b"x" * 3_000_000])
def test_raw(emulator: Emulator, data: bytes) -> None:
    """Any bytes, or none, may take the place of an answer."""
    emulator.respond_raw(data)
    assert data == raw(emulator)


def test_order(emulator: Emulator, call: Call) -> None:
    """The first answer that accepts the request and has times left is played."""
    emulator.respond(501, when=lambda request: request.query.get("page") == "3", times=2)
    emulator.respond(502, times=2)
    emulator.respond(503)
    paths = ["/?page=1", "/?page=3", "/?page=3", "/?page=3", "/?page=3"]
    assert [502, 501, 501, 502, 503] == [call("GET", path).status for path in paths]
    assert 404 == call("GET", "/?page=3").status


def test_without_end(emulator: Emulator, call: Call) -> None:
    """An answer for None times is never used up."""
    emulator.respond(500, times=None)
    emulator.respond(501)
    assert [500] * 20 == [call("GET", "/").status for _ in range(20)]


def test_before_authentication(emulator: Emulator, call: Call) -> None:
    """A scripted answer doesn't ask for a token."""
    emulator.respond(200, {})
    assert 200 == call("GET", "/", authorization=None).status
    assert 401 == call("GET", "/", authorization=None).status


@pytest.mark.parametrize("times", [0, -1])
def test_times_is_positive(emulator: Emulator, times: int) -> None:
    """No times at all is a mistake."""
    with pytest.raises(ValueError, match="times is at least 1"):
        emulator.respond(500, times=times)


def test_body_without_json(emulator: Emulator) -> None:
    """A body that has no JSON is refused beforehand."""
    with pytest.raises(TypeError):
        emulator.respond(200, object())


def test_predicate_sees_the_emulator(emulator: Emulator, call: Call) -> None:
    """`when` may use the emulator; the request that it is asked about is on record."""
    emulator.respond(500, when=lambda _: len(emulator.requests) == 2, times=None)
    assert [404, 500, 404] == [call("GET", "/").status for _ in range(3)]


def test_failing_predicate(
    emulator: Emulator, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in `when` is logged, and the server lives on."""
    emulator.respond(200, when=lambda request: bool(request.query["page"]))
    assert 500 == call("GET", "/").status
    assert [KeyError] == [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert 200 == call("GET", "/?page=1").status
