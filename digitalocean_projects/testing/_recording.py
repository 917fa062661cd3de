"""Recording: requests as they came to the emulator, and the record of the newest."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from operator import index

import attrs

# The approximate numbers of bytes that a request and an entry of a mapping take, besides texts.
_REQUEST_BYTES = 400
_ENTRY_BYTES = 64


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """One request, as it came over the socket.

    Its `repr` leaves out the headers, since they hold the token.

    Attributes:
        method: Upper case, such as `GET`.
        path: As sent, still percent-encoded, without the query.
        query: The decoded query; of a repeated name, the first value.
        headers: A mapping whose names ignore case; of a repeated name, the first value.
        body: The bytes of the body; empty if it was not read, as `Emulator` says.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes

    @property
    def size(self) -> int:
        """The approximate number of bytes of memory that the request takes."""
        texts = [self.method, self.path, *self.query, *self.query.values()]
        for name, value in self.headers.items():
            # The mapping keeps each name in lower case, too.
            texts += name, name, value
        entries = len(self.query) + len(self.headers)
        fixed = _REQUEST_BYTES + _ENTRY_BYTES * entries
        # Not the lengths: one character above U+FFFF makes each character of its text 4 bytes wide.
        return fixed + len(self.body) + sum(map(sys.getsizeof, texts))


class Record:
    """The newest requests. It is not safe to use in several threads without a lock.

    Args:
        most: The maximum number of requests.
        most_bytes: The maximum of the sum of their sizes.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = 0

    def add(self, request: RecordedRequest) -> None:
        """Add a request, and drop the oldest ones until the record is within its bounds."""
        self._requests.append(request)
        self._bytes += request.size
        while len(self._requests) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._requests.popleft().size

    def drop_body(self, request: RecordedRequest) -> None:
        """Leave out the body of the request that was added last."""
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
    """Return `value`.

    Raises:
        TypeError: It is no integer.
        ValueError: It is negative.
    """
    if index(value) < 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value
