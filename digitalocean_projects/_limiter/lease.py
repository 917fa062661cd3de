"""Lease: the tokens for one request."""

from __future__ import annotations

import math
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from weakref import ReferenceType

import attrs

from digitalocean_projects._codec.headers import remaining, retry_after_refusal, until_reset
from digitalocean_projects._errors import RateLimitWaitError
from digitalocean_projects._public import publish

from .budget import NO_REPORT, End, Flight, Report

L = TypeVar("L", bound="Lease")

_NO_HEADERS: Mapping[str, str] = {}


@attrs.frozen(eq=False, repr=False)
class Bound:
    """A bound on the threads that wait for the tokens of one bucket.

    Args:
        most: The maximum number of threads that wait for more than a second.
        thread: Function that returns an object for the thread of the current request.
    """

    most: int
    thread: Callable[[], object]


class Lender(Protocol):
    """The bucket of a lease."""

    def _acquire(self, lease: L) -> Coroutine[Any, Any, L]: ...

    def _end(self, lease: Lease, end: End, report: Report) -> None: ...


class _NoWait:
    """An awaitable that has ended. A coroutine would add 0.2 µs to a lease's 3.3 µs."""

    def __await__(self) -> Any:
        return iter(())


_NO_WAIT = _NoWait()


class Lease(Flight):
    """The tokens for one request: one token of each window of a `TokenBucket`.

    `TokenBucket.lease` makes one. Enter it with `async with`, which waits for the tokens. In the
    block, send the request, and then report its outcome with one of the methods `settle`, `refused`
    or `unsent`. Without a report the request counts as one that may have been sent, so its tokens
    return `Limits.grace` seconds later than after a response. A lease can be used once.

    These three methods and `sent` are public. All other attributes and methods are internal: they
    may change in any release.

    Attributes:
        sent: The time at which the lease got its tokens, in seconds of the bucket's clock; -inf
            before.

    Raises:
        RateLimitWaitError: When the block is entered: the wait for the tokens would exceed
            `max_wait` or `max_pause`.
        RuntimeError: When the block is entered: the lease was used before.
    """

    __slots__ = (
        "_bucket",
        "bound",
        "bulk",
        "error",
        "future",
        "has_place",
        "lender",
        "max_pause",
        "max_wait",
        "place",
        "queued",
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

    def __init__(  # noqa: PLR0917 - see below
        self,
        bucket: Lender,
        bulk: bool,  # noqa: FBT001 - names would add 0.4 µs to a lease's 3.3 µs
        ahead: bool,  # noqa: FBT001
        max_wait: float,
        max_pause: float,
        timeout: float,
    ) -> None:
        self.timeout: float = timeout
        self.sent: float = -math.inf
        self.bulk: bool = bulk
        self.max_wait: float = max_wait
        self.max_pause: float = max_pause
        # The bound on waiting threads, if a thread waits for the request.
        self.bound: Bound | None = None
        self.has_place: bool = False
        # The index of its queue.
        self.place: int = 2 * bulk + (not ahead)
        # The bucket while the tokens are out, and before the wait for them. A lease in the queue of
        # a bucket that it refers to would keep that bucket until the garbage collection.
        self.lender: Lender | None = None
        self.future: Future[None] | None = None
        self.error: Exception | None = None
        # True if it could not proceed at once.
        self.queued: bool = False
        self.waits_for: float = 0.0
        self._bucket: Lender | None = bucket

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        """Wait for the tokens."""
        bucket, self._bucket = self._bucket, None
        if bucket is None:
            raise RuntimeError("a lease can be used once; call `lease()` again")
        return bucket._acquire(self)

    def check(self) -> None:
        """Raise the error that the bucket has set for this lease, if any."""
        if self.error is not None:
            raise self.error

    def too_long(self, seconds: float, reason: str) -> RateLimitWaitError:
        """Return an error for a wait that exceeds a maximum."""
        maximum = self.max_wait if seconds >= self.max_wait else self.max_pause
        return RateLimitWaitError(seconds, reason, maximum=maximum)

    def ask_again(self, max_wait: float) -> None:
        """Prepare to wait again, before other leases of the class, with another maximum wait."""
        self.sent = -math.inf
        self.place = 2 * self.bulk
        self.max_wait = max_wait

    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        """Return the tokens as after a request of unknown fate, unless its outcome was reported."""
        lender = self.lender
        if lender is not None:
            lender._end(self, "unknown", NO_REPORT)
        return _NO_WAIT

    def settle(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Report a response other than 429: the API has counted the request.

        Args:
            headers: The headers of the response, with lower-case names, or a mapping that ignores
                case. The bucket reads those named `ratelimit-…`. They are optional.
        """
        lender = self.lender
        if lender is not None:
            report = NO_REPORT
            # If the headers aren't a mapping of strings, the caller gets the error, and the request
            # was counted nevertheless.
            try:
                left = remaining(headers)
                if left is not None:
                    report = left, None if left else until_reset(headers)
            finally:
                lender._end(self, "settled", report)

    def refused(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Report a response 429, after which the bucket pauses for the time that the API asks for.

        Args:
            headers: The headers of the response, as in `settle`. The bucket also reads
                `retry-after`. They are optional.
        """
        lender = self.lender
        if lender is not None:
            report = NO_REPORT
            try:
                report = None, retry_after_refusal(headers)
            finally:
                lender._end(self, "refused", report)

    def unsent(self) -> None:
        """Report that no byte of the request was sent, so the tokens return at once."""
        lender = self.lender
        if lender is not None:
            lender._end(self, "unsent", NO_REPORT)


publish(globals())
