"""Lease: the tokens of one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from .budget import NO_HEADERS, Flight

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Coroutine, Mapping
    from types import TracebackType
    from weakref import ReferenceType

    from .bucket import TokenBucket


class Lease(Flight):
    """The tokens of one request, which takes them once.

    A lease that ends without `settle`, `refused` or `unsent` is one of a request that may have been
    sent and counted.

    Attributes:
        sent: When the request was let go, in seconds of the bucket's clock; before, -inf.
    """

    __slots__ = (
        "_bucket",
        "bulk",
        "error",
        "future",
        "max_pause",
        "max_wait",
        "out",
        "place",
        "reason",
        "since",
        "waiter",
        "waits_for",
    )

    reason: str
    since: float
    waiter: ReferenceType[Future[None]]

    def __init__(
        self,
        bucket: TokenBucket,
        *,
        bulk: bool,
        ahead: bool,
        max_wait: float,
        max_pause: float,
        timeout: float,
    ) -> None:
        self.timeout = timeout
        self.sent = -math.inf
        self.bulk = bulk
        self.max_wait = max_wait
        self.max_pause = max_pause
        # The queue that it waits in.
        self.place = 2 * bulk + (not ahead)
        self.out = False
        self.future: Future[None] | None = None
        self.error: Exception | None = None
        self.waits_for = 0.0
        self._bucket = bucket

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        """Wait for the tokens."""
        return self._bucket._acquire(self)

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
        if self.out:
            self._bucket._end(self, "unknown")

    def settle(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Record that the response's headers have arrived: the API has counted the request."""
        if self.out:
            self._bucket._end(self, "settled", headers)

    def refused(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Record a 429: no request of the bucket goes for as long as the API asks."""
        if self.out:
            self._bucket._end(self, "refused", headers)

    def unsent(self) -> None:
        """Record that no byte of the request was sent: the API won't count it."""
        if self.out:
            self._bucket._end(self, "unsent")
