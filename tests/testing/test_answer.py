"""Scripted answers on the wire, and error documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from digitalocean_projects.testing import Emulator

    from .conftest import Call


def test_defaults(emulator: Emulator, raw: Callable[..., bytes]) -> None:
    """An answer gets a content type, a length and `Connection: close` by default."""
    emulator.respond(503)
    expected = (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 0\r\n"
        b"Connection: close\r\n"
        b"\r\n"
    )
    assert expected == raw()


def test_no_content(emulator: Emulator, raw: Callable[..., bytes]) -> None:
    """A status without a body gets no content type and no length."""
    emulator.respond(204)
    assert b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" == raw()


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
    raw: Callable[..., bytes],
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    expected: bytes,
) -> None:
    """Headers are sent unchanged, and only missing ones are added."""
    emulator.respond(999, b"body", headers)
    assert b"HTTP/1.1 999 \r\n" + expected + b"\r\nbody" == raw()


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
    """Bytes are sent unchanged, and any other body as JSON."""
    emulator.respond(200, body)
    assert expected == call("GET", "/").body


@pytest.mark.parametrize("data", [b"", b"\x00garbage\r\n", b"x" * 3_000_000])
def test_raw(emulator: Emulator, raw: Callable[..., bytes], data: bytes) -> None:
    """Any bytes can replace an answer, even none."""
    emulator.respond_raw(data)
    assert data == raw()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ("bad_request", "Bad Request")),
        (401, ("Unauthorized", "Unable to authenticate you")),
        (403, ("forbidden", "You are not authorized to perform this operation")),
        (404, ("not_found", "The resource you requested could not be found.")),
        (412, ("precondition_failed", "Precondition Failed")),
        (429, ("too_many_requests", "API Rate limit exceeded.")),
        (500, ("server_error", "Unexpected server-side error")),
        (503, ("service_unavailable", "Service Unavailable")),
        (599, ("error", "error")),
    ],
)
def test_ids_and_messages(status: int, expected: tuple[str, str]) -> None:
    """Each status has an id and a message."""
    refusal = RefusedError(status)
    assert expected == (refusal.id, refusal.message)


def test_id_of_422() -> None:
    """The id of a 422 is the same on all versions of Python."""
    assert "unprocessable_entity" == RefusedError(422).id


def test_message_of_its_own() -> None:
    """A given message replaces the usual message of the status."""
    assert "too long" == RefusedError(400, "too long").message
