"""Lease: the tokens of one request."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from weakref import ReferenceType

    from .bucket import TokenBucket

_NO_HEADERS: Mapping[str, str] = {}
_NO_QUEUE: OrderedDict[Lease, ReferenceType[AbstractEventLoop]] = OrderedDict()


class Lease:
    """The tokens of one request, which takes them once.

    A lease that ends without `settle`, `refused` or `unsent` is one of a request that may have been
    sent and counted.

    Attributes:
        sent: When the request was let go, in seconds of the bucket's clock; before, -inf.
    """

    __slots__ = (
        "_bucket",
        "_out",
        "ahead",
        "at_once",
        "bulk",
        "end",
        "future",
        "max_pause",
        "max_wait",
        "queue",
        "reason",
        "sent",
        "since",
        "timeout",
        "waiter",
        "waits_for",
        "young",
    )

    end: float
    future: Future[None] | None
    queue: OrderedDict[Lease, ReferenceType[AbstractEventLoop]]
    reason: str
    sent: float
    since: float
    waiter: ReferenceType[Future[None]]
    waits_for: float
    young: bool

    def __init__(
        self,
        bucket: TokenBucket,
        *,
        bulk: bool,
        max_wait: float,
        max_pause: float,
        timeout: float,
        ahead: bool,
        at_once: bool,
    ) -> None:
        self._bucket = bucket
        self._out = False
        self.bulk: bool = bulk
        self.max_wait: float = max_wait
        self.max_pause: float = max_pause
        self.timeout: float = timeout
        self.ahead: bool = ahead
        self.at_once: bool = at_once
        self.future = None
        self.queue = _NO_QUEUE
        self.sent = -math.inf
        self.waits_for = 0.0

    async def __aenter__(self) -> Self:
        await self._bucket._acquire(self)
        self._out = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(partial(self._bucket._abandon, self))

    def settle(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Record that the response's headers have arrived: the API has counted the request."""
        self._end(partial(self._bucket._settle, self, headers))

    def refused(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Record a 429: no request of the bucket goes for as long as the API asks."""
        self._end(partial(self._bucket._refuse, self, headers))

    def unsent(self) -> None:
        """Record that no byte of the request was sent: the API won't count it."""
        self._end(partial(self._bucket._give_back, self, None))

    def _end(self, change: Callable[[float], None]) -> None:
        if self._out:
            self._out = False
            self._bucket._change(change)
