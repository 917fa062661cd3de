"""A simulation: time that passes at once, and a server that counts like the API."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

    from digitalocean_projects import TokenBucket

HOURLY = Limits().windows


@attrs.define
class MovedClock:
    """A clock whose waits take no time and are recorded."""

    now: float = 0.0
    slept: list[float] = attrs.field(factory=list)

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class _Selector(selectors.SelectSelector):
    """A selector that lets idle time pass at once."""

    def __init__(self, clock: VirtualTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("all wait, and nothing will ever happen")
        self._clock.now += timeout
        return ready


@attrs.define(eq=False)
class VirtualTime:
    """A discrete-event simulation: time passes at once when all tasks wait."""

    now: float = 0.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def loop(self) -> asyncio.SelectorEventLoop:
        loop = asyncio.SelectorEventLoop(_Selector(self))
        loop.time = lambda: self.now  # type: ignore[method-assign]  # it is the point
        return loop

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=self.loop) as runner:
            runner.run(main)


@attrs.define(eq=False)
class FastClock:
    """A clock that runs too fast by a constant factor."""

    true: VirtualTime
    by: float

    def time(self) -> float:
        return self.true.now * (1 + self.by)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / (1 + self.by))


@attrs.define(eq=False)
class HookedClock(VirtualTime):
    """A clock that calls a function at its next use, while a bucket holds its lock."""

    hook: Callable[[], object] | None = None

    def time(self) -> float:
        hook, self.hook = self.hook, None
        if hook is not None:
            hook()
        return self.now


@attrs.define(eq=False)
class Server:
    """A server that counts each accepted request until it is one window old."""

    clock: VirtualTime
    windows: tuple[tuple[int, float], ...] = HOURLY
    says: bool = True
    accepted: int = 0
    refused: int = 0
    _logs: list[deque[float]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._logs = [deque() for _ in self.windows]

    def _forget(self) -> None:
        for log, (_, period) in zip(self._logs, self.windows, strict=True):
            while log and log[0] <= self.clock.now - period:
                log.popleft()

    def accepts(self) -> bool:
        """Count a request and return True if it fits."""
        self._forget()
        fits = all(
            len(log) < capacity for log, (capacity, _) in zip(self._logs, self.windows, strict=True)
        )
        if fits:
            for log in self._logs:
                log.append(self.clock.now)
        self.accepted += fits
        self.refused += not fits
        return fits

    def headers(self) -> dict[str, str]:
        """Return the headers for the last window, and for the first one if that is full."""
        if not self.says:
            return {}
        self._forget()
        log, (capacity, period), now = self._logs[-1], self.windows[-1], self.clock.now
        oldest = log[0] if log else now - period
        headers = {
            "date": format_datetime(datetime.fromtimestamp(int(now), UTC), usegmt=True),
            "ratelimit-limit": str(capacity),
            "ratelimit-remaining": str(capacity - len(log)),
            "ratelimit-reset": str(int(oldest + period)),
        }
        log, (capacity, period) = self._logs[0], self.windows[0]
        if len(log) == capacity:
            headers["retry-after"] = str(int(log[0] + period - now) + 1)
        return headers


def delay(chance: Random) -> float:
    """Return the seconds of one way through the network, which are sometimes many."""
    return chance.uniform(1.5, 2.5) if chance.random() < 0.01 else chance.uniform(0.005, 0.3)


async def ask(bucket: TokenBucket, server: Server, chance: Random, **options: Any) -> float:
    """Send a request until it is accepted, and return the seconds that it has waited."""
    clock = server.clock
    begin, again = clock.now, False
    while True:
        async with bucket.lease(ahead=again, **options) as lease:
            waited = clock.now - begin
            await asyncio.sleep(delay(chance))
            accepted, headers = server.accepts(), server.headers()
            await asyncio.sleep(delay(chance))
            if accepted:
                lease.settle(headers)
                return waited
            lease.refused(headers)
        again = True
