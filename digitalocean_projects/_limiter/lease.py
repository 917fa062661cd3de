"""Lease: the tokens of one request."""

from __future__ import annotations

import math
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from weakref import ReferenceType

import attrs

from digitalocean_projects._public import publish

from .budget import NO_HEADERS, End, Flight

L = TypeVar("L", bound="Lease")


@attrs.frozen
class Bound:
    """A bound on the threads that wait for the tokens of one bucket.

    Args:
        most: The maximum number of threads that wait for more than a second.
        thread: Returns what stands for the thread that the current request is sent for.
    """

    most: int
    thread: Callable[[], object]


class Lender(Protocol):
    """The bucket of a lease."""

    def _acquire(self, lease: L) -> Coroutine[Any, Any, L]: ...

    def _end(self, lease: Lease, end: End, headers: Mapping[str, str]) -> None: ...


class Lease(Flight):
    """The tokens of one request, which takes them once.

    A lease that ends without `settle`, `refused` or `unsent` is one of a request that may have been
    sent and counted.

    Attributes:
        sent: When the request was let go, in seconds of the bucket's clock; before, -inf.
    """

    __slots__ = (
        "_bucket",
        "bound",
        "bulk",
        "error",
        "future",
        "has_place",
        "max_pause",
        "max_wait",
        "out",
        "place",
        "reason",
        "since",
        "thread",
        "waiter",
        "waits_for",
    )

    reason: str
    since: float
    thread: object
    waiter: ReferenceType[Future[None]]

    def __init__(
        self,
        bucket: Lender,
        *,
        bulk: bool,
        ahead: bool,
        max_wait: float,
        max_pause: float,
        timeout: float,
    ) -> None:
        self.timeout: float = timeout
        self.sent: float = -math.inf
        self.bulk: bool = bulk
        self.max_wait: float = max_wait
        self.max_pause: float = max_pause
        # A bound on waiting threads, if one waits for the request.
        self.bound: Bound | None = None
        self.has_place: bool = False
        # The queue that it waits in.
        self.place: int = 2 * bulk + (not ahead)
        self.out: bool = False
        self.future: Future[None] | None = None
        self.error: Exception | None = None
        self.waits_for: float = 0.0
        self._bucket = bucket

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        """Wait for the tokens."""
        return self._bucket._acquire(self)

    def check(self) -> None:
        """Raise the error that the bucket has for this lease, if there is one."""
        if self.error is not None:
            raise self.error

    def ask_again(self, max_wait: float) -> None:
        """Start again, before the others of the same class, and with another maximum wait."""
        self.sent = -math.inf
        self.place = 2 * self.bulk
        self.max_wait = max_wait

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the tokens back, unless the request has ended, when the API has forgotten it."""
        self._end("unknown")

    def settle(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Record that the response's headers have arrived: the API has counted the request."""
        self._end("settled", headers)

    def refused(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Record a 429: no request of the bucket goes for as long as the API asks."""
        self._end("refused", headers)

    def unsent(self) -> None:
        """Record that no byte of the request was sent: the API won't count it."""
        self._end("unsent")

    def _end(self, end: End, headers: Mapping[str, str] = NO_HEADERS) -> None:
        if self.out:
            self._bucket._end(self, end, headers)


publish(globals())
