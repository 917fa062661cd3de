"""The server's thread and sockets."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from .conftest import Call

LISTING = b"GET /v2/projects/default/resources?per_page=200 HTTP/1.1\r\nHost: x\r\n"


def connect(emulator: Emulator) -> socket.socket:
    address = urlsplit(emulator.url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 80), timeout=60)


def read_answer(sock: socket.socket) -> bytes:
    """Return the first piece of an answer."""
    return sock.recv(1 << 16)


def test_keep_alive(emulator: Emulator) -> None:
    """A connection accepts many requests, until the server stops."""
    request = LISTING + f"Authorization: Bearer {emulator.token}\r\n\r\n".encode()
    with connect(emulator) as sock:
        for _ in range(3):
            sock.sendall(request)
            assert b"HTTP/1.1 200 OK" == read_answer(sock)[:15]
        emulator.stop()
        assert b"" == sock.recv(1)
    assert 3 == len(emulator.requests)


def test_stop_is_prompt() -> None:
    """Idle connections, incomplete requests and unread answers don't delay a stop."""
    emulator = Emulator()
    emulator.seed([f"do:droplet:{n}" for n in range(200)], default=True)
    emulator.start()
    emulator.respond(200, b"x" * 50_000_000, when=lambda request: request.path == "/large")
    with ExitStack() as stack:
        idle, unfinished, unread, never, served = (
            stack.enter_context(connect(emulator)) for _ in range(5)
        )
        unfinished.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        unread.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200 OK" == unread.recv(15)
        never.sendall(b"GET / HTT")
        served.sendall(LISTING + b"\r\n")
        assert b"HTTP/1.1 401 Unauthorized" == read_answer(served)[:25]
        start = time.perf_counter()
        emulator.stop()
        assert time.perf_counter() - start < 0.3
        assert "emulator" not in {thread.name for thread in threading.enumerate()}
        assert b"" == idle.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(emulator)


def test_vanishing_client(emulator: Emulator, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """An incomplete request of a client that leaves is neither recorded nor logged."""
    with connect(emulator) as sock:
        authorization = f"Authorization: Bearer {emulator.token}\r\n".encode()
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n")
        sock.sendall(authorization + b"\r\nhalf")
    assert 404 == call("GET", "/").status
    emulator.stop()
    assert ["GET"] == [request.method for request in emulator.requests]
    assert [] == caplog.records


def test_taken_port(emulator: Emulator) -> None:
    """A port that is in use is an `OSError`, and leaves nothing behind."""
    other = Emulator(port=urlsplit(emulator.url).port or 0)
    with pytest.raises(OSError, match="ddress already in use"):
        other.start()
    other.stop()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6() -> None:
    """An IPv6 address is in brackets in the URL."""
    with Emulator("::1") as emulator, connect(emulator) as sock:
        sock.sendall(LISTING + b"\r\n")
        assert b"HTTP/1.1 401 Unauthorized" == read_answer(sock)[:25]
        assert emulator.url.startswith("http://[::1]:")


def test_large_body(emulator: Emulator, call: Call) -> None:
    """A body can have many megabytes."""
    resources = [f"do:droplet:{number}" for number in range(100_000)]
    emulator.seed(resources[:2])
    document = call("POST", "/v2/projects/default/resources", {"resources": resources}).document
    assert 100_000 == len(document["resources"])
    assert ["do:droplet:1", "do:droplet:0"] == emulator.resources()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://elsewhere/v2", b"HTTP/1.1 401"),
        (b"//elsewhere/v2", b"HTTP/1.1 401"),
        (b"/v2?%ff=%ff", b"HTTP/1.1 401"),
        (b"*", b"HTTP/1.0 400"),
        (b"/\xff", b"HTTP/1.0 400"),
    ],
)
def test_odd_target(emulator: Emulator, target: bytes, expected: bytes) -> None:
    """Any request target gets an answer."""
    with connect(emulator) as sock:
        sock.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert expected == read_answer(sock)[:12]
