"""What the emulator keeps of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call


def test_record(emulator: Emulator, call: Call) -> None:
    """A record holds the request as it was sent, with the query decoded."""
    call("PUT", "/v2/a%20b?page=3&name=a%20b+c&page=4&empty=", b"\x00{")
    (request,) = emulator.requests
    assert (
        "PUT",
        "/v2/a%20b",
        {"page": "3", "name": "a b c", "empty": ""},
        b"\x00{",
    ) == (request.method, request.path, request.query, request.body)


def test_headers_ignore_case(emulator: Emulator, call: Call) -> None:
    """A header is found under any spelling of its name."""
    call("GET", "/", headers={"X-Custom": "value"})
    (request,) = emulator.requests
    assert ("value", "value", None) == (
        request.headers["x-custom"],
        request.headers.get("X-CUSTOM"),
        request.headers.get("Content-Type"),
    )


def test_frozen(emulator: Emulator, call: Call) -> None:
    """A record doesn't change."""
    call("GET", "/")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        emulator.requests[0].method = "POST"  # type: ignore[misc] # what is tested


def test_repr_hides_the_token(emulator: Emulator, call: Call) -> None:
    """The `repr` of a record holds no header."""
    call("GET", "/")
    assert "RecordedRequest(method='GET', path='/', query={}, body=b'')" == repr(
        emulator.requests[0]
    )
