"""Clock: the time, and all waiting for it."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from ._public import publish


class Clock(Protocol):
    """The clock of a client. Tests can pass a clock that they move, such as `MockClock`."""

    def time(self) -> float:
        """Return the seconds since a fixed moment, a float that never decreases."""

    async def sleep(self, seconds: float) -> None:
        """Wait for this number of seconds on the clock."""


class SystemClock:
    """The monotonic clock of this machine."""

    # Without a function around it, as a request asks for the time up to six times.
    time = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """See `asyncio.sleep`."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


def call_later(
    clock: Clock, seconds: float, callback: Callable[[], object]
) -> Callable[[], object]:
    """Schedule `callback` in the running loop, after some seconds of the clock.

    Returns:
        A function that cancels the call, to be called in the same loop. With the machine's clock,
        it refers weakly to the loop, so that a dropped loop can be collected.
    """
    loop = asyncio.get_running_loop()
    if type(clock) is SystemClock:
        return partial(_cancel, weakref.ref(loop.call_later(seconds, callback)))
    return loop.create_task(_call_after(clock, seconds, callback)).cancel


def _cancel(handle: weakref.ref[asyncio.TimerHandle]) -> None:
    if (scheduled := handle()) is not None:
        scheduled.cancel()


async def _call_after(clock: Clock, seconds: float, callback: Callable[[], object]) -> None:
    await clock.sleep(seconds)
    callback()


_FIRST_POLL = 1.0
_LONGEST_POLL = 15.0


def polls(clock: Clock, seconds: float) -> Iterator[float | None]:
    """Yield once for each poll: the delay after it, or None for the last poll.

    The delays double from 1 s up to 15 s. The last poll is `seconds` after the first one.
    """
    end = clock.time() + seconds
    wait = _FIRST_POLL
    while (left := end - clock.time()) > 0:
        yield min(wait, left)
        wait = min(2 * wait, _LONGEST_POLL)
    yield None


publish(globals())
