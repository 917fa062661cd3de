"""Lease: the tokens of one request."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections import OrderedDict
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ._limiter import TokenBucket

_NO_HEADERS: Mapping[str, str] = {}


class Lease:
    """The tokens of one request, which takes them once.

    What leaves it without `settle`, `refused` or `unsent` was sent, maybe: its fate is unknown.

    Attributes:
        sent: When the request was let go, on the bucket's clock; before, -inf.
    """

    __slots__ = (
        "_bucket",
        "_out",
        "ahead",
        "at_once",
        "bulk",
        "future",
        "generation",
        "max_wait",
        "queue",
        "reason",
        "sent",
        "since",
        "waits_for",
    )

    ahead: bool
    at_once: bool
    bulk: bool
    future: Future[None] | None
    generation: int
    max_wait: float
    queue: OrderedDict[Lease, AbstractEventLoop]
    reason: str
    sent: float
    since: float
    waits_for: float

    def __init__(
        self, bucket: TokenBucket, *, bulk: bool, max_wait: float, ahead: bool, at_once: bool
    ) -> None:
        self._bucket = bucket
        self._out = False
        self.bulk = bulk
        self.max_wait = max_wait
        self.ahead = ahead
        self.at_once = at_once
        self.future = None
        self.generation = -1
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
        bucket = self._bucket
        self._end(partial(bucket._give_back, self, bucket._limits.grace))

    def settle(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """The headers of an answer are here: the API has counted the request."""
        self._end(partial(self._bucket._settle, self, headers))

    def refused(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """The API refuses the request as one too many; nothing goes for as long as it asks."""
        self._end(partial(self._bucket._refuse, self, headers))

    def unsent(self) -> None:
        """The request never left: the API won't count it."""
        self._end(partial(self._bucket._give_back, self, None))

    def _end(self, change: Callable[[float], None]) -> None:
        if self._out:
            self._out = False
            self._bucket._change(change)
