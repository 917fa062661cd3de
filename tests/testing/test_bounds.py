"""The emulator's memory is bounded, and it logs nothing, for any bytes from a client."""

from __future__ import annotations

import gc
import json
import socket
import tracemalloc
import zlib
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from digitalocean_projects.testing import Emulator, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Call

PATH = "/v2/projects/default/resources"
MEGABYTE = 1 << 20
SECRET = "dop_v1_" + "5ec4e7" * 10


def connect(emulator: Emulator) -> socket.socket:
    address = urlsplit(emulator.url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 80), timeout=60)


def head(emulator: Emulator, *lines: str, method: str = "POST", token: str | None = None) -> bytes:
    token = emulator.token if token is None else token
    fields = [f"{method} {PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *lines]
    return "".join(f"{line}\r\n" for line in [*fields, ""]).encode()


def whole_answer(sock: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    with sock.makefile("rb") as stream:
        return stream.read()


def first_status(sock: socket.socket) -> int:
    return int(sock.recv(1 << 16).split()[1])


def pour(sock: socket.socket, piece: bytes, times: int) -> None:
    """Send a body until the server refuses it."""
    with suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(times):
            sock.sendall(piece)


@pytest.fixture
def _short_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digitalocean_projects.testing._server._LINGERING_SECONDS", 0.1)


@pytest.fixture
def small() -> Iterator[Emulator]:
    """Yield an emulator with small bounds."""
    with Emulator(limits=(), max_body=1000, keep_requests=5, keep_bytes=50_000) as emulator:
        yield emulator


def test_newest_requests_are_kept(small: Emulator) -> None:
    """Only the newest `keep_requests` requests are kept, in order."""
    with connect(small) as sock:
        for number in range(12):
            sock.sendall(head(small, f"X-Number: {number}", method="GET"))
            assert 200 == first_status(sock)
    numbers = [int(request.headers["X-Number"]) for request in small.requests]
    assert [7, 8, 9, 10, 11] == numbers
    small.forget_requests()
    assert [] == small.requests


@pytest.mark.parametrize("part", ["body", "header", "headers", "path", "query", "names"])
def test_kept_bytes(part: str) -> None:
    """The kept requests take at most `keep_bytes`, whether their body or another part is large."""
    large = "x" * 6000
    names = "&".join(f"{number}" for number in range(36))
    paths = {"path": f"/{large}", "query": f"{PATH}?x={large}", "names": f"{PATH}?{names}"}
    with Emulator(limits=(), keep_bytes=24_000) as emulator:
        for number in range(8):
            lines = [f"X-Number: {number}"]
            if part == "body":
                lines.append("Content-Length: 6000")
            elif part == "header":
                lines.append(f"X-Large: {large}")
            elif part == "headers":
                lines += [f"X-{number}:" for number in range(20)]
            request = head(emulator, *lines, method="POST" if part == "body" else "GET")
            request = request.replace(PATH.encode(), paths.get(part, PATH).encode(), 1)
            if part == "body":
                request += large.encode()
            with connect(emulator) as sock:
                sock.sendall(request)
                assert first_status(sock) in {200, 404, 415}
        assert ["5", "6", "7"] == [request.headers["X-Number"] for request in emulator.requests]
        emulator.forget_requests()
        with connect(emulator) as sock:
            sock.sendall(head(emulator, method="GET"))
            assert 200 == first_status(sock)
        assert 1 == len(emulator.requests)


@pytest.mark.parametrize("bounds", [{"keep_requests": 0}, {"keep_bytes": 0}])
def test_nothing_is_kept(bounds: dict[str, int]) -> None:
    """With a bound of 0 the emulator keeps no request, but answers."""
    with Emulator(**bounds) as emulator:  # type: ignore[arg-type]  # only these
        for token, status in ((emulator.token, 200), ("wrong", 401)):
            with connect(emulator) as sock:
                sock.sendall(head(emulator, method="GET", token=token))
                assert status == first_status(sock)
        assert [] == emulator.requests


@pytest.mark.parametrize("name", ["max_body", "keep_requests", "keep_bytes"])
@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (1.5, TypeError)])
def test_wrong_bounds(name: str, value: Any, error: type[Exception]) -> None:
    """A bound must be an integer that is at least 0."""
    with pytest.raises(error, match=name if error is ValueError else None):
        Emulator(**{name: value})


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_longest_body(small: Emulator, method: str) -> None:
    """A body of `max_body` bytes is read and kept; one byte more is refused and not kept."""
    for length, expected in ((1000, {200, 405, 415}), (1001, {413})):
        with connect(small) as sock:
            request = head(small, f"Content-Length: {length}", method=method)
            sock.sendall(request + b"x" * length)
            assert first_status(sock) in expected
    assert [1000, 0] == [len(request.body) for request in small.requests]


@pytest.mark.usefixtures("_short_lingering")
def test_refusal_document(small: Emulator) -> None:
    """A refused body gets an error document, and the connection is closed."""
    with connect(small) as sock:
        sock.sendall(head(small, "Content-Length: 5000"))
        answer = whole_answer(sock)
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"HTTP/1.1 413 " == top[:13]
    document = json.loads(body)
    assert "request_entity_too_large" == document["id"]
    assert "The request body is larger than 1000 bytes." == document["message"]


def test_endless_body(small: Emulator) -> None:
    """A chunked body without an end is refused as soon as it is too large."""
    with connect(small) as sock:
        sock.sendall(head(small, "Transfer-Encoding: chunked"))
        sock.sendall(b"%x\r\n%b\r\n" % (2000, b"x" * 2000))
        assert 413 == first_status(sock)
    (request,) = small.requests
    assert b"" == request.body


def test_bomb(small: Emulator) -> None:
    """A compressed body is measured as it is unpacked."""
    packed = zlib.compress(b"x" * (64 * MEGABYTE))
    tracemalloc.start()
    with connect(small) as sock:
        sock.sendall(head(small, "Content-Encoding: deflate", f"Content-Length: {len(packed)}"))
        sock.sendall(packed)
        assert 413 == first_status(sock)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_large_bodies_take_no_memory(token: str | None, kind: str) -> None:
    """A body of 200 MiB is neither held nor kept, with a valid token or without one."""
    piece = b"x" * MEGABYTE
    with Emulator(limits=()) as emulator, connect(emulator) as sock:
        gc.collect()
        tracemalloc.start()
        if kind == "length":
            sock.sendall(head(emulator, f"Content-Length: {200 * MEGABYTE}", token=token))
        else:
            sock.sendall(head(emulator, "Transfer-Encoding: chunked", token=token))
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        pour(sock, piece, 200)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert [b""] == [request.body for request in emulator.requests]
    assert peak < 60 * MEGABYTE


def test_unread_bodies_of_many_connections(emulator: Emulator) -> None:
    """Without a valid token no body is read, so that many connections hold none either."""
    body = b"x" * (2 * MEGABYTE)
    tracemalloc.start()
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(emulator)) for _ in range(40)]
        for sock in socks:
            sock.sendall(head(emulator, f"Content-Length: {8 * MEGABYTE}", token="wrong"))
            sock.sendall(body)
            assert 401 == first_status(sock)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 40 * MEGABYTE


def test_body_without_a_valid_token(emulator: Emulator, call: Call) -> None:
    """A request without a valid token is kept without its body, unless a script answers it."""
    for authorization in (None, "Bearer wrong", f"Basic {emulator.token}"):
        assert 401 == call("POST", PATH, b"secret", authorization=authorization).status
    emulator.fail(faults.Status(503), when=lambda request: request.body == b"wanted")
    assert 401 == call("POST", PATH, b"other", authorization="Bearer wrong").status
    assert 503 == call("POST", PATH, b"wanted", authorization="Bearer wrong").status
    assert 401 == call("POST", PATH, b"wanted", authorization="Bearer wrong").status
    bodies = [b"", b"", b"", b"", b"wanted", b""]
    assert bodies == [request.body for request in emulator.requests]


@pytest.mark.usefixtures("_short_lingering")
def test_slow_body(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that doesn't arrive in time ends the connection."""
    monkeypatch.setattr("digitalocean_projects.testing._server._BODY_SECONDS", 0.1)
    with connect(emulator) as sock:
        sock.sendall(head(emulator, "Content-Length: 9") + b"half")
        assert b"" == sock.recv(1)
    assert [] == emulator.requests


MALFORMED = {
    "header name": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer %b\r\n\r\n",
    "header value": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\x00\r\n\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer %b\r\n\r\n",
    "request line": b"GET /?token=%b\r\nHost: x\r\n\r\n",
    "method": b"G\x01T /?token=%b HTTP/1.1\r\nHost: x\r\n\r\n",
    "version": b"GET /?token=%b HTTP/9.x\r\nHost: x\r\n\r\n",
    "target": b"GET \xff?token=%b HTTP/1.1\r\nHost: x\r\n\r\n",
    "host": b"GET http://[::1?token=%b HTTP/1.1\r\nHost: x\r\n\r\n",
    "port": b"GET http://a:99999999/?token=%b HTTP/1.1\r\nHost: x\r\n\r\n",
    "length": b"POST /?%b HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST /?%b HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nAuthorization: Bearer %b" + b"x" * 100_000 + b"\r\n\r\n",
    "long name": b"GET / HTTP/1.1\r\n%b" + b"x" * 100_000 + b": x\r\n\r\n",
    "long target": b"GET /?token=%b" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X-A: %b\r\n" + b"X-B: x\r\n" * 5000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%b",
    "not HTTP": b"%b\r\n\r\n\r\n",
    "after a good one": b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nA : %b\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: %b\r\n\r\n\x00\x01\r\n\r\n",
    "tunnel": b"CONNECT %b:1 HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01\r\n\r\n",
}
BODIES = {
    "chunk size": b"Transfer-Encoding: chunked\r\n\r\nx%b\r\n",
    "chunk end": b"Transfer-Encoding: chunked\r\n\r\n1\r\nx%b\r\n",
    "not deflated": b"Content-Encoding: deflate\r\nContent-Length: 67\r\n\r\n%b",
    "not zipped": b"Content-Encoding: gzip\r\nContent-Length: 67\r\n\r\n%b",
    "unknown coding": b"Content-Encoding: br\r\nContent-Length: 67\r\n\r\n%b",
    "cut off": b"Content-Length: 100\r\n\r\n%b",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_request(
    emulator: Emulator,
    call: Call,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A malformed request is refused, and the log gets no record of any level."""
    caplog.set_level(0)
    with connect(emulator) as sock:
        pour(sock, MALFORMED[kind].replace(b"%b", SECRET.encode()), 1)
        sock.shutdown(socket.SHUT_WR)
        answer = whole_answer(sock)
    assert SECRET.encode() not in answer
    assert 404 == call("GET", "/").status
    check_silence(caplog, capfd)


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("kind", BODIES)
def test_malformed_body(  # noqa: PLR0917 - fixtures
    emulator: Emulator,
    call: Call,
    kind: str,
    token: str | None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A malformed body is refused, and the log gets no record of any level."""
    caplog.set_level(0)
    with connect(emulator) as sock:
        top = head(emulator, token=token).removesuffix(b"\r\n")
        sock.sendall(top + BODIES[kind].replace(b"%b", SECRET.encode()))
        sock.shutdown(socket.SHUT_WR)
        answer = whole_answer(sock)
    assert answer.partition(b" ")[2][:3] in {b"", b"400", b"401", b"415"}
    assert SECRET.encode() not in answer
    assert 404 == call("GET", "/").status
    check_silence(caplog, capfd)


@pytest.mark.parametrize("kind", ["not deflated", "chunk size"])
def test_malformed_body_after_the_answer(
    emulator: Emulator,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A malformed body after the answer is dropped, and the log gets no record."""
    caplog.set_level(0)
    fields, _, body = BODIES[kind].replace(b"%b", SECRET.encode()).partition(b"\r\n\r\n")
    with connect(emulator) as sock:
        top = head(emulator, token="wrong").removesuffix(b"\r\n")
        sock.sendall(top + fields + b"\r\n\r\n")
        assert 401 == first_status(sock)
        sock.sendall(body)
        assert SECRET.encode() not in whole_answer(sock)
    check_silence(caplog, capfd)


def check_silence(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    gc.collect()
    assert [] == [record for record in caplog.records if record.name != "asyncio"]
    assert SECRET not in caplog.text
    assert ("", "") == tuple(capfd.readouterr())


def test_fault_of_the_test(
    emulator: Emulator, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in `when` is logged, because it is a fault of the test."""
    emulator.fail(faults.Reset(), when=lambda request: request.nothing)  # type: ignore[attr-defined]
    assert 500 == call("GET", "/").status
    assert "has no attribute 'nothing'" in caplog.text
    assert emulator.token not in caplog.text
