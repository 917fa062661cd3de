"""Clock: what waits, waits here."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from ._public import publish


class Clock(Protocol):
    """A clock that a client goes by; a test may move one of its own."""

    def time(self) -> float:
        """The seconds since some moment; they never go back."""

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""


class SystemClock:
    """The monotonic clock of this machine."""

    def time(self) -> float:
        """See `time.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `asyncio.sleep`."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


def call_later(
    clock: Clock, seconds: float, callback: Callable[[], object]
) -> Callable[[], object]:
    """Schedule `callback` in the running loop, after some seconds of the clock.

    Returns:
        A function that cancels the call, in the same loop. With the machine's clock, it doesn't
        keep the loop from being collected as garbage.
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
    """When to look for something within so many seconds: the waits after each look.

    They double, and end with the time; after the last look, None.
    """
    end = clock.time() + seconds
    wait = _FIRST_POLL
    while (left := end - clock.time()) > 0:
        yield min(wait, left)
        wait = min(2 * wait, _LONGEST_POLL)
    yield None


publish(globals())
