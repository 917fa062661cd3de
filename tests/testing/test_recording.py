"""The recorded requests of the emulator."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import attrs
import pytest
from multidict import CIMultiDict

from digitalocean_projects.testing import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    from .conftest import Call


def test_record(emulator: Emulator, call: Call) -> None:
    """A recorded request is the request that was sent, with the query decoded."""
    call("PUT", "/v2/a%20b?page=3&name=a%20b+c&page=4&empty=", b"\x00{")
    (request,) = emulator.requests
    assert (
        "PUT",
        "/v2/a%20b",
        {"page": "3", "name": "a b c", "empty": ""},
        b"\x00{",
    ) == (request.method, request.path, request.query, request.body)


def test_headers_ignore_case(emulator: Emulator, call: Call) -> None:
    """Names of headers ignore case."""
    call("GET", "/", headers={"X-Custom": "value"})
    (request,) = emulator.requests
    assert ("value", "value", None) == (
        request.headers["x-custom"],
        request.headers.get("X-CUSTOM"),
        request.headers.get("Content-Type"),
    )


def test_frozen(emulator: Emulator, call: Call) -> None:
    """A recorded request is immutable."""
    call("GET", "/")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        emulator.requests[0].method = "POST"  # type: ignore[misc] # what is tested


def test_repr_hides_the_token(emulator: Emulator, call: Call) -> None:
    """The `repr` of a recorded request has no headers."""
    call("GET", "/")
    assert "RecordedRequest(method='GET', path='/', query={}, body=b'')" == repr(
        emulator.requests[0]
    )


def texts(number: int, count: int, text: str) -> dict[str, str]:
    """Return a mapping whose texts are shared with no other mapping."""
    return {f"{number:05}-{each:03}{text}": f"{number:05}.{each:03}{text}" for each in range(count)}


@pytest.mark.parametrize("text", ["", "x" * 500, "\xff" * 500, "\u20ac" * 500, "\U0001f600" * 500])
@pytest.mark.parametrize("count", [0, 1, 10, 100])
@pytest.mark.parametrize(
    "make",
    [
        lambda n, count, text: {"query": texts(n, count, text)},
        lambda n, count, text: {"headers": CIMultiDict(texts(n, count, text))},
        lambda n, count, text: {"path": f"/{n}/{text * count}"},
        lambda n, count, text: {"body": (f"{n}{text}" * count).encode()},
    ],
    ids=["query", "headers", "path", "body"],
)
def test_size(make: Callable[[int, int, str], dict[str, object]], count: int, text: str) -> None:
    """The size of a request is close to the memory that it takes, for any content."""
    empty = {"method": "GET", "path": "/", "body": b""}

    def request(number: int) -> RecordedRequest:
        mappings = {"query": dict[str, str](), "headers": CIMultiDict[str]()}
        options = empty | mappings | make(number, count, text)
        return RecordedRequest(**options)  # type: ignore[arg-type]  # of several types

    kept = [request(-1)]
    gc.collect()
    tracemalloc.start()
    try:
        kept += [request(number) for number in range(50)]
        taken = tracemalloc.get_traced_memory()[0] / 50
    finally:
        tracemalloc.stop()
    # Short texts may be shared with those of other tests.
    assert 0.25 * kept[-1].size <= taken <= 1.5 * kept[-1].size
