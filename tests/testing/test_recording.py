"""The recorded requests of the emulator."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import product
from typing import TYPE_CHECKING, Any

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


TEXTS = ["", "x" * 500, "\xff" * 500, "\u20ac" * 500, "\U0001f600" * 500]
PARTS: dict[str, Callable[[int, int, str], object]] = {
    "query": texts,
    "headers": lambda number, count, text: CIMultiDict(texts(number, count, text)),
    "path": lambda number, count, text: f"/{number}/{text * count}",
    "body": lambda number, count, text: (f"{number}{text}" * count).encode(),
}


def test_size() -> None:
    """The size of a request is close to the memory that it takes, for any content."""

    def request(number: int, part: str, count: int, text: str) -> RecordedRequest:
        empty = {"method": "GET", "path": "/", "body": b"", "query": {}, "headers": CIMultiDict()}
        options: dict[str, Any] = empty | {part: PARTS[part](number, count, text)}
        return RecordedRequest(**options)

    def ratio(part: str, count: int, text: str) -> float:
        request(-1, part, count, text)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        kept = [request(number, part, count, text) for number in range(10)]
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / sum(each.size for each in kept)

    # It starts once only: before CPython 3.12.9 it might not stop safely while other threads run.
    tracemalloc.start()
    try:
        ratios = {
            (part, count, text[:1]): ratio(part, count, text)
            for part, count, text in product(PARTS, (0, 1, 10, 100), TEXTS)
        }
    finally:
        tracemalloc.stop()
    # Short texts may be shared with those that other tests have left.
    assert {} == {case: ratio for case, ratio in ratios.items() if not 0.25 <= ratio <= 1.5}
