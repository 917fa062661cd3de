"""Faults on the wire."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    from .conftest import Call

    Connect = Callable[..., socket.socket]
    Raw = Callable[..., bytes]

pytestmark = pytest.mark.usefixtures("no_leaks")

DEFAULT = "/v2/projects/default/resources"
ASSIGNMENT = b'{"resources": ["do:droplet:1"]}'


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def length_of(answer: bytes) -> int:
    (line,) = [line for line in answer.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    return int(line.split()[1])


def rest(sock: socket.socket) -> bytes:
    """Return all bytes until the end of the connection, or `b"RST"` if it was reset."""
    received = bytearray()
    try:
        while piece := sock.recv(65536):
            received += piece
    except ConnectionResetError:
        received += b"RST"
    return bytes(received)


@pytest.fixture
def right(emulator: Emulator, raw: Raw) -> bytes:
    """Return the body of the right answer to a listing."""
    emulator.seed(["do:droplet:1"])
    emulator.seed(["do:app:1"], default=True)
    emulator.fail(faults.Delay(0))
    body = body_of(raw())
    emulator.forget_requests()
    return body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 422, 429, 500, 502, 503])
def test_status(emulator: Emulator, call: Call, status: int) -> None:
    """The client receives an error document, and the request is not carried out."""
    emulator.seed(["do:droplet:1"])
    emulator.fail(faults.Status(status))
    reply = call("POST", DEFAULT, ASSIGNMENT)
    assert (status, {"id", "message"}) == (reply.status, {*reply.document} - {"request_id"})
    assert ([], 1) == (emulator.resources(), len(emulator.requests))


def test_status_keeps_the_connection(emulator: Emulator, connect: Connect) -> None:
    """After an error document, the connection accepts further requests."""
    emulator.fail(faults.Status(500))
    with connect() as sock:
        assert b"HTTP/1.1 500 Internal Server Error" == sock.recv(65536)[:34]
        sock.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 401 Unauthorized" == sock.recv(65536)[:25]


@pytest.mark.parametrize("status", [200, 502])
def test_html(emulator: Emulator, call: Call, status: int) -> None:
    """The client receives a web page."""
    emulator.fail(faults.Html(status))
    reply = call("GET", DEFAULT)
    assert (status, "text/html") == (reply.status, reply.headers["Content-Type"])
    assert reply.body.startswith(b"<!DOCTYPE html>")


def test_garbage(emulator: Emulator, call: Call) -> None:
    """The body is declared as JSON, but is not even text."""
    emulator.fail(faults.Garbage())
    reply = call("GET", DEFAULT)
    assert (200, "application/json") == (reply.status, reply.headers["Content-Type"])
    with pytest.raises(UnicodeDecodeError):
        _ = reply.document


@pytest.mark.parametrize(
    ("fault", "end", "done"),
    [
        (faults.Reset(), b"RST", []),
        (faults.Disconnect(), b"", []),
        (faults.LostAnswer(), b"RST", ["do:droplet:1"]),
    ],
)
def test_no_answer(
    emulator: Emulator, connect: Connect, fault: faults.Fault, end: bytes, done: list[str]
) -> None:
    """The connection ends without an answer, with or without an effect of the request."""
    emulator.seed(["do:droplet:1"])
    emulator.fail(fault)
    with connect("POST", ASSIGNMENT) as sock:
        assert end == rest(sock)
    assert done == emulator.resources()
    assert [ASSIGNMENT] == [request.body for request in emulator.requests]


def test_silence(emulator: Emulator, connect: Connect) -> None:
    """The client receives nothing, and the request is not carried out."""
    emulator.seed(["do:droplet:1"])
    emulator.fail(faults.Silence())
    with connect("POST", ASSIGNMENT) as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert ([], 1) == (emulator.resources(), len(emulator.requests))


def test_delay(emulator: Emulator, connect: Connect) -> None:
    """The right answer is late, but the request is carried out at once."""
    emulator.seed(["do:droplet:1"])
    emulator.fail(faults.Delay(0.3))
    start = time.perf_counter()
    with connect("POST", ASSIGNMENT) as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert ["do:droplet:1"] == emulator.resources()
        sock.settimeout(60)
        (resource,) = json.loads(body_of(rest(sock)))["resources"]
    assert 0.29 <= time.perf_counter() - start < 5
    assert ("do:droplet:1", "assigned") == (resource["urn"], resource["status"])


def test_drip(emulator: Emulator, raw: Raw, right: bytes) -> None:
    """The body is sent byte by byte."""
    emulator.fail(faults.Drip(0.0005))
    start = time.perf_counter()
    answer = raw()
    assert time.perf_counter() - start >= 0.00045 * len(right)
    assert (right, len(right)) == (body_of(answer), length_of(answer))


def test_drip_from_the_start(emulator: Emulator, connect: Connect) -> None:
    """The headers can be sent byte by byte, too."""
    emulator.fail(faults.Drip(0.05, headers=True))
    start = time.perf_counter()
    with connect() as sock, sock.makefile("rb") as stream:
        assert b"HTTP" == stream.read(4)
    assert time.perf_counter() - start >= 0.14


@pytest.mark.parametrize("at", [None, 0, 1, 10_000])
def test_truncate(emulator: Emulator, raw: Raw, right: bytes, at: int | None) -> None:
    """The body is never complete."""
    emulator.fail(faults.Truncate(at))
    answer = raw()
    sizes = {None: len(right) // 2, 10_000: len(right) - 1}
    assert right[: sizes.get(at, at)] == body_of(answer)
    assert len(right) == length_of(answer)


@pytest.mark.parametrize("by", [-1, 7])
def test_wrong_length(emulator: Emulator, raw: Raw, right: bytes, by: int) -> None:
    """The body is complete, but its length differs from `Content-Length`."""
    emulator.fail(faults.WrongLength(by))
    answer = raw()
    assert (right, len(right) + by) == (body_of(answer), length_of(answer))


def test_right_answer_may_be_an_error(emulator: Emulator, call: Call) -> None:
    """A fault of the connection applies to an error document, too."""
    emulator.fail(faults.Delay(0))
    assert 404 == call("GET", "/v2/nothing").status


@pytest.mark.parametrize(
    "fault",
    [
        *(faults.Delay(0), faults.Drip(0), faults.Drip(0, headers=True), faults.Truncate()),
        *(faults.Omit(["do:droplet:1"]), faults.NotAssigned("service_down")),
    ],
    ids=str,
)
def test_answer_without_a_body(emulator: Emulator, call: Call, fault: faults.Fault) -> None:
    """An answer without a body is neither cut nor extended."""
    project_id = emulator.seed()
    emulator.fail(fault)
    reply = call("DELETE", f"/v2/projects/{project_id}")
    assert (204, b"", None) == (reply.status, reply.body, reply.headers["Content-Length"])
    assert 1 == len(emulator.projects())


@pytest.mark.parametrize(
    ("method", "path", "done"),
    [
        ("POST", "/v2/projects", ["web", "project-1", "first-project"]),
        ("PATCH", "/v2/projects/default", ["project-1", "web"]),
        ("DELETE", "/v2/projects/{}", ["first-project"]),
    ],
)
def test_lost_answers_of_projects(
    emulator: Emulator, call: Call, method: str, path: str, done: list[str]
) -> None:
    """A change of a project is carried out, although its answer is lost."""
    path = path.format(emulator.seed())
    emulator.fail(faults.LostAnswer())
    with pytest.raises(ConnectionResetError):
        call(method, path, {"name": "web", "purpose": "IoT"})
    assert done == [project.name for project in emulator.projects()]


def test_endless(emulator: Emulator, connect: Connect) -> None:
    """The body continues until the client stops reading."""
    emulator.fail(faults.Endless(500))
    with connect() as sock:
        assert b"HTTP/1.1 500 " == sock.recv(13)
        left = 20_000_000
        while left > 0:
            left -= len(sock.recv(65536))
    assert 401 == http_status(emulator)


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_bomb(emulator: Emulator, call: Call, size: int) -> None:
    """The body is small, but large after decompression."""
    emulator.fail(faults.Bomb(size))
    reply = call("GET", DEFAULT)
    assert (200, "gzip") == (reply.status, reply.headers["Content-Encoding"])
    assert len(reply.body) < 25 + size / 500
    assert b" " * size == gzip.decompress(reply.body)


def test_huge_headers(emulator: Emulator, call: Call) -> None:
    """The headers are larger than a mebibyte."""
    emulator.fail(faults.HugeHeaders())
    with pytest.raises(http.client.LineTooLong):
        call("GET", DEFAULT)
    emulator.fail(faults.HugeHeaders(5))
    assert "xxxxx" == call("GET", DEFAULT).headers["X-Padding"]


def assign(call: Call, *numbers: int) -> list[tuple[str, str]]:
    body = {"resources": [f"do:droplet:{number}" for number in numbers]}
    reply = call("POST", DEFAULT, body)
    assert 200 == reply.status
    return [(resource["urn"][11:], resource["status"]) for resource in reply.document["resources"]]


def test_resource_status(emulator: Emulator, call: Call) -> None:
    """The given resources get the status and are not moved."""
    emulator.seed([f"do:droplet:{number}" for number in (1, 2, 3)])
    emulator.fail(faults.NotAssigned("service_down", ["do:droplet:2", "do:droplet:9"]))
    assert [("1", "assigned"), ("2", "service_down"), ("3", "assigned"), ("4", "not_found")] == (
        assign(call, 1, 2, 3, 4)
    )
    assert ["do:droplet:3", "do:droplet:1"] == emulator.resources()
    assert [("2", "assigned")] == assign(call, 2)


def test_resource_status_of_all(emulator: Emulator, call: Call) -> None:
    """Without URNs, all resources get the status."""
    emulator.seed(["do:droplet:1"])
    emulator.fail(faults.NotAssigned("new_status"))
    assert [("1", "new_status"), ("2", "new_status")] == assign(call, 1, 2)
    assert [] == emulator.resources()


def test_omit(emulator: Emulator, call: Call) -> None:
    """The answer omits the given resources, which are assigned."""
    emulator.seed(["do:droplet:1", "do:droplet:2"])
    emulator.fail(faults.Omit(["do:droplet:2", "do:droplet:9"]))
    assert [("1", "assigned")] == assign(call, 1, 2)
    assert ["do:droplet:2", "do:droplet:1"] == emulator.resources()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Omit(["do:floatingip:192.0.2.1"]), []),
        (faults.NotAssigned("service_down", ["do:floatingip:192.0.2.1"]), ["service_down"]),
        (faults.NotAssigned("service_down"), ["service_down"]),
    ],
)
def test_other_than_assignments(
    emulator: Emulator, call: Call, fault: faults.Fault, expected: list[str]
) -> None:
    """Other requests and malformed assignments are answered as usual, and don't use up a fault."""
    emulator.seed(["do:floatingip:192.0.2.1"], default=True)
    emulator.fail(fault)
    (resource,) = call("GET", DEFAULT).document["resources"]
    assert ("do:floatingip:192.0.2.1", "ok") == (resource["urn"], resource["status"])
    assert 201 == call("POST", "/v2/projects", {"name": "a", "purpose": "b"}).status
    malformed: list[object] = [[], {"resources": [1]}, {"resources": ["droplet:1"]}]
    for body in malformed:
        assert 400 == call("POST", DEFAULT, body).status
    reserved = {"resources": ["do:reservedip:192.0.2.1"]}
    for statuses in (expected, ["already_assigned"]):
        resources = call("POST", DEFAULT, reserved).document["resources"]
        assert statuses == [resource["status"] for resource in resources]


@pytest.mark.parametrize(
    "fault", [faults.Omit(["do:droplet:2"]), faults.NotAssigned("not_found", ["do:droplet:2"])]
)
def test_assignments_of_other_resources(
    emulator: Emulator, call: Call, fault: faults.Fault
) -> None:
    """A fault that names URNs waits for an assignment of one of them, and the next one is usual."""
    emulator.seed(["do:droplet:1", "do:droplet:2", "do:droplet:3"], default=True)
    emulator.fail(fault)
    unknown = "/v2/projects/00000000-0000-4000-8000-000000000000/resources"
    assert 404 == call("POST", unknown, {"resources": ["do:droplet:2"]}).status
    emulator.fail(fault)
    assert [("1", "already_assigned")] == assign(call, 1)
    assert ("2", "already_assigned") not in assign(call, 1, 2, 3)
    assert [("2", "already_assigned"), ("3", "already_assigned")] == assign(call, 2, 3)


def http_status(emulator: Emulator, path: str = "/v2") -> int:
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


ENDURING = pytest.mark.parametrize(
    ("fault", "head"),
    [
        (faults.Silence(), b""),
        (faults.Delay(60), b""),
        (faults.Drip(60), b"HTTP/1.1 200 OK\r\n"),
        (faults.Drip(60, headers=True), b"H"),
        (faults.Endless(), b"HTTP/1.1 200 OK\r\n"),
        (faults.Bomb(1 << 40), b"HTTP/1.1 200 OK\r\n"),
    ],
    ids=str,
)


@ENDURING
def test_client_leaves(
    emulator: Emulator,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    fault: faults.Fault,
    head: bytes,
) -> None:
    """When the client leaves, the fault ends."""
    tasks: list[int] = []

    def counted(_: object) -> bool:
        tasks.append(len(asyncio.all_tasks()))
        return False

    emulator.fail(faults.Reset(), when=counted)
    http_status(emulator)
    emulator.fail(fault)
    with connect() as sock:
        assert head == sock.recv(len(head))
        http_status(emulator)
    deadline = time.perf_counter() + 10
    while time.perf_counter() < deadline and tasks[-1] != tasks[0]:
        http_status(emulator)
    assert (tasks[0], []) == (tasks[-1], caplog.records)


@ENDURING
def test_stop(
    emulator: Emulator,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    fault: faults.Fault,
    head: bytes,
) -> None:
    """A stop doesn't wait for the end of a fault."""
    emulator.fail(fault)
    with connect() as sock:
        assert head == sock.recv(len(head))
        while not emulator.requests:
            time.sleep(0.001)
        start = time.perf_counter()
        emulator.stop()
        assert time.perf_counter() - start < 30
        rest(sock)
    assert [] == caplog.records
    assert "emulator" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    "fault",
    [
        *(faults.Html(), faults.Garbage(), faults.Endless(), faults.Bomb(1000)),
        *(faults.Drip(0, headers=True), faults.Truncate(), faults.Delay(0)),
    ],
    ids=str,
)
def test_faulty_answer_to_a_head(
    emulator: Emulator, raw: Callable[..., bytes], fault: faults.Fault
) -> None:
    """The answer to a HEAD ends with its headers."""
    emulator.fail(fault)
    assert [b""] == raw("HEAD").split(b"\r\n\r\n")[1:]
    emulator.fail(faults.Disconnect())
    assert b"" == raw("HEAD")


@pytest.mark.parametrize("fault", [faults.Omit(["do:droplet:1"]), faults.NotAssigned("gone")])
def test_assignment_with_a_slash_at_the_end(
    emulator: Emulator, call: Call, fault: faults.Fault
) -> None:
    """A fault of an assignment applies to a path that ends with a slash, too."""
    emulator.seed(["do:droplet:1"], default=True)
    emulator.fail(fault)
    reply = call("POST", "/v2/projects/default/resources/", {"resources": ["do:droplet:1"]})
    statuses = [resource["status"] for resource in reply.document["resources"]]
    assert statuses == (["gone"] if isinstance(fault, faults.NotAssigned) else [])
