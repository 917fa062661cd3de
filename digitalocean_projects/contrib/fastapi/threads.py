"""Threads: a bound on those that wait for the rate limits of one token.

A `def` endpoint holds one of the server's worker threads (40 by default) while its requests wait
for the limits. Without a bound, a tenant who is over the limits takes them all.
"""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakKeyDictionary

from digitalocean_projects import RateLimitWaitError
from digitalocean_projects._facade.loop_thread import CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from digitalocean_projects import Client, TokenBucket
    from digitalocean_projects._clock import Clock
    from digitalocean_projects._limiter.lease import Lease
    from digitalocean_projects._session.manager import SessionManager

DEFAULT_WAITING_THREADS = 8

# A wait up to this number of seconds is for a moment, such as for the first answers at the start.
_MOMENT = 1.0


def bound_waiting_threads(client: Client, most: int) -> None:
    """Bound the threads that wait for the limits of one token, for a client and all its views.

    A request that would have to wait for more than a second while `most` threads of this process
    wait for the limits of the same token raises `RateLimitWaitError` at once.

    Args:
        client: A blocking client.
        most: The maximum number of waiting threads for each token.
    """
    client._async._adapt_managers(partial(_bound, most))  # noqa: SLF001 - of this package


def _bound(most: int, manager: SessionManager) -> None:
    bucket, clock = manager._bucket, manager.settings.clock  # noqa: SLF001 - of this package
    if bucket is not None:
        bounded = _BoundedBucket(bucket, clock, most)
        manager._bucket = cast("TokenBucket", bounded)  # noqa: SLF001 - of this package


class _BoundedBucket:
    """A token bucket that bounds the threads that wait for it."""

    def __init__(self, bucket: TokenBucket, clock: Clock, most: int) -> None:
        self._bucket = bucket
        self._clock = clock
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    @property
    def keep(self) -> bool:
        """See `TokenBucket.keep`."""
        return self._bucket.keep

    @keep.setter
    def keep(self, keep: bool) -> None:
        self._bucket.keep = keep

    def lease(self, *, max_wait: float | None = None, **options: Any) -> _BoundedLease:
        """Return a lease, see `TokenBucket.lease`."""
        return _BoundedLease(
            partial(self._bucket.lease, **options),
            partial(_place, self._bucket, self._most),
            self._clock,
            math.inf if max_wait is None else max_wait,
        )


class _BoundedLease:
    """A lease that takes one of the places for waiting threads if it has to wait."""

    def __init__(
        self,
        ask: Callable[..., Lease],
        place: Callable[[RateLimitWaitError], Any],
        clock: Clock,
        max_wait: float,
    ) -> None:
        self._ask = ask
        self._place = place
        self._clock = clock
        self._max_wait = max_wait
        self._lease = ask(max_wait=max_wait)

    async def __aenter__(self) -> Self:
        until = self._clock.time() + self._max_wait
        try:
            await self._enter(min(self._max_wait, _MOMENT))
        except RateLimitWaitError as error:
            if self._max_wait <= _MOMENT:
                raise
            refusal = error.with_traceback(None)
        else:
            return self
        try:
            # No step of another task lies between a refusal at once and this, so that the request
            # keeps its turn.
            with self._place(refusal):
                await self._enter(until - self._clock.time())
        finally:
            del refusal
        return self

    async def _enter(self, max_wait: float) -> None:
        self._lease = await self._ask(max_wait=max_wait).__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lease.__aexit__(exc_type, exc_value, traceback)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lease, name)


class _Waiting:
    """The blocking calls of this process that wait for token buckets."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # For each bucket, the calls, and how many requests of each wait. One call may send several.
        self._calls: WeakKeyDictionary[TokenBucket, dict[object, int]] = WeakKeyDictionary()
        # Reentrant, since garbage collection may end a wait at any point.
        self._lock = threading.RLock()

    def enter(self, bucket: TokenBucket, call: object, most: int) -> bool:
        """Count a request that waits, and return True, unless `most` other calls wait."""
        with self._lock:
            calls = self._calls.setdefault(bucket, {})
            if call not in calls and len(calls) >= most:
                return False
            calls[call] = calls.get(call, 0) + 1
            return True

    def leave(self, bucket: TokenBucket, call: object) -> None:
        """Count a request that waits no longer; do nothing in a forked process."""
        if self.pid != os.getpid():
            return
        with self._lock:
            calls = self._calls[bucket]
            calls[call] -= 1
            if not calls[call]:
                del calls[call]


@contextmanager
def _place(bucket: TokenBucket, most: int, refusal: RateLimitWaitError) -> Iterator[None]:
    """Hold a place for the current blocking call while one of its requests waits.

    Raises:
        RateLimitWaitError: All places are taken.
    """
    global _waiting  # noqa: PLW0603 - the state of a process
    if _waiting.pid != os.getpid():
        # The threads that wait in a parent process aren't here; its lock may be held for ever.
        _waiting = _Waiting()
    waiting, call = _waiting, CALL.get()
    if not waiting.enter(bucket, call, most):
        threads = "1 thread waits" if most == 1 else f"{most} threads wait"
        raise RateLimitWaitError(refusal.seconds, f"{refusal.reason}, and {threads} already")
    try:
        yield
    finally:
        waiting.leave(bucket, call)


_waiting = _Waiting()
