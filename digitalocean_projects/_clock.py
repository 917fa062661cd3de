"""Clock: what waits, waits here."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    """Have the running loop call `callback` when so many seconds of the clock have passed.

    Returns:
        What takes that back, to be called in the same loop.
    """
    loop = asyncio.get_running_loop()
    if type(clock) is SystemClock:
        return loop.call_later(seconds, callback).cancel
    return loop.create_task(_call_after(clock, seconds, callback)).cancel


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
