"""Recording: the newest requests that the emulator has received."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Mapping
from operator import index

import attrs

from digitalocean_projects._codec.urn import URN

# The approximate numbers of bytes that a request and an entry of a mapping take, besides texts.
_REQUEST_BYTES = 400
_ENTRY_BYTES = 64


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request that the emulator has received.

    Its `repr` omits the headers, because they hold the token.

    Attributes:
        method: The method in upper case, such as `GET`.
        path: The path as it was sent, percent-encoded, without the query.
        query: The decoded query, with the first value of each name.
        headers: The headers, with the first value of each name; names ignore case.
        body: The body; empty if it was not read, see `Emulator`.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes

    @property
    def size(self) -> int:
        """The approximate memory that the request takes, in bytes."""
        texts = [self.method, self.path, *self.query, *self.query.values()]
        for name, value in self.headers.items():
            # The mapping keeps each name in lower case, too.
            texts += name, name, value
        entries = len(self.query) + len(self.headers)
        fixed = _REQUEST_BYTES + _ENTRY_BYTES * entries
        # Lengths are not enough: a character above U+FFFF makes all characters of its text 4 bytes
        # wide.
        return fixed + len(self.body) + sum(map(sys.getsizeof, texts))


def assigned_urns(request: RecordedRequest) -> frozenset[URN]:
    """Return the canonical URNs of an assignment; none for a malformed one or another request."""
    if request.method != "POST" or not request.path.removesuffix("/").endswith("/resources"):
        return frozenset()
    try:
        return frozenset(URN.of(urn).canonical for urn in json.loads(request.body)["resources"])
    except (KeyError, RecursionError, TypeError, ValueError):
        return frozenset()


class Record:
    """The newest requests. It needs a lock if several threads use it.

    Args:
        most: The maximum number of requests.
        most_bytes: The maximum sum of their sizes, in bytes.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = 0

    def add(self, request: RecordedRequest) -> None:
        """Add a request, and drop the oldest ones that exceed the bounds."""
        self._requests.append(request)
        self._bytes += request.size
        while len(self._requests) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._requests.popleft().size

    def drop_body(self, request: RecordedRequest) -> None:
        """Drop the body of a request if it was added last."""
        if self._requests and self._requests[-1] is request:
            self._requests[-1] = attrs.evolve(request, body=b"")
            self._bytes -= len(request.body)

    def clear(self) -> None:
        """Drop all requests."""
        self._requests.clear()
        self._bytes = 0

    def copy(self) -> list[RecordedRequest]:
        """Return the requests, oldest first."""
        return list(self._requests)


def checked_bound(name: str, value: int) -> int:
    """Return `value` if it is an integer that is at least 0.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is negative.
    """
    if index(value) < 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value
