"""MockClock: a clock that tests move."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right, insort
from contextlib import suppress
from operator import attrgetter
from threading import RLock
from time import monotonic

import attrs

MOST_SECONDS = 1000 * 365.25 * 86_400
"""The maximum of the clock in seconds, since dates have years of four digits."""


def not_negative(name: str, value: float) -> float:
    """Return `value` if it is finite and at least 0.

    Raises:
        ValueError: It is negative, infinite or not a number.
    """
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return value


@attrs.define(eq=False)
class _Sleeper:
    end: float
    future: asyncio.Future[None]


@attrs.define(eq=False)
class _Room:
    """The sleeping tasks of one event loop, in the order of their ends, and their timer."""

    sleepers: list[_Sleeper] = attrs.field(factory=list)
    timer: asyncio.TimerHandle | None = None


_END = attrgetter("end")


class MockClock:
    """A clock for tests. It starts at 0, runs at a given rate, and can be moved forward.

    Pass it as `clock` to a client and to an `Emulator`. Any number of tasks may sleep on it, in any
    number of event loops and threads. All methods may be called from any thread.

    Args:
        rate: Seconds on the clock per real second, 1 by default. At 0, only jumps move the clock.
        autojump_threshold: Real seconds. If at least one task sleeps, and for this time no task
            wakes up or calls `time`, `sleep` or `jump`, the clock jumps to the end of the earliest
            sleep. Choose a longer time than any other wait of the code under test, such as the
            wait for a response. With None, the default, the clock never jumps by itself.

    Raises:
        ValueError: An argument is negative, infinite or not a number.
    """

    def __init__(self, *, rate: float = 1.0, autojump_threshold: float | None = None) -> None:
        self._rate = not_negative("rate", rate)
        self._threshold = math.inf
        if autojump_threshold is not None:
            self._threshold = not_negative("autojump_threshold", autojump_threshold)
        self._rooms: dict[asyncio.AbstractEventLoop, _Room] = {}
        # Reentrant, because the garbage collector may end a sleep at any point.
        self._lock = RLock()
        self._looked_at = monotonic()
        self._moved = (0.0, self._looked_at)

    def time(self) -> float:
        """Return the seconds on the clock; they never decrease."""
        # This takes no lock: the caller may hold one that another thread waits for while it holds
        # the lock of the clock.
        return self._look()

    async def sleep(self, seconds: float) -> None:
        """Wait until this number of seconds has passed on the clock; 0 only lets other tasks run.

        Raises:
            ValueError: `seconds` is negative, infinite or not a number.
        """
        not_negative("seconds", seconds)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            sleeper = _Sleeper(self._look() + seconds, future)
            room = self._rooms.setdefault(loop, _Room())
            insort(room.sleepers, sleeper, key=_END)
        try:
            self._set_timer(loop, room)
            await future
        finally:
            with self._lock:
                room.sleepers.remove(sleeper)
                if not room.sleepers:
                    del self._rooms[loop]
            if not room.sleepers and room.timer is not None:
                room.timer.cancel()

    def jump(self, seconds: float) -> None:
        """Move the clock forward, and wake the tasks whose sleep ends by then.

        They wake up in the order in which their sleeps end, each at the next turn of its own event
        loop.

        Raises:
            ValueError: `seconds` is negative, infinite or not a number, or the clock would reach
                1,000 years. It is not moved.
        """
        not_negative("seconds", seconds)
        with self._lock:
            # Both use one reading: what passes between two readings would be lost, and the clock
            # would go back for a thread that reads it meanwhile.
            real = self._looked_at = monotonic()
            to = self._at(real) + seconds
            if to > MOST_SECONDS:
                raise ValueError(
                    f"the clock must stay below {MOST_SECONDS:.0f} seconds, which is 1000 years, "
                    f"got a jump to {to:g}"
                )
            self._moved = (to, real)
        self._wake_all()

    def _at(self, real: float) -> float:
        """Return the seconds on the clock at a real time."""
        to, at = self._moved
        return to + (real - at) * self._rate

    def _look(self) -> float:
        real = self._looked_at = monotonic()
        return self._at(real)

    def _wake_all(self) -> None:
        with self._lock:
            rooms = list(self._rooms.items())
        for loop, room in rooms:
            with suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(self._wake, loop, room)

    def _wake(self, loop: asyncio.AbstractEventLoop, room: _Room) -> None:
        """Wake the tasks whose sleep is over; if there are none and the clock is idle, jump."""
        with self._lock:
            real = monotonic()
            now = self._at(real)
            over = room.sleepers[: bisect_right(room.sleepers, now, key=_END)]
            idle = real - self._looked_at >= self._threshold
            jumps = idle and bool(room.sleepers) and not over
            if jumps:
                self._looked_at = real
                self._moved = (self._earliest_after(now), real)
            elif over:
                self._look()
        for sleeper in over:
            if not sleeper.future.done():
                sleeper.future.set_result(None)
        if jumps:
            self._wake_all()
        else:
            self._set_timer(loop, room)

    def _earliest_after(self, now: float) -> float:
        # Sleepers of an event loop that doesn't run stay in the list after their sleep.
        ends = (
            sleeper.end
            for room in list(self._rooms.values())
            for sleeper in room.sleepers
            if sleeper.end > now
        )
        return min(ends, default=now)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, room: _Room) -> None:
        """Set the timer for the next sleeper; must be called in the room's event loop."""
        with self._lock:
            delay = self._delay(room)
        if room.timer is not None:
            room.timer.cancel()
        room.timer = loop.call_later(delay, self._wake, loop, room) if delay < math.inf else None

    def _delay(self, room: _Room) -> float:
        """Return the real seconds until the next sleeper may have to wake up."""
        asleep = (sleeper for sleeper in room.sleepers if not sleeper.future.done())
        if (earliest := next(asleep, None)) is None:
            return math.inf
        left = earliest.end - self._at(monotonic())
        if left <= 0:
            return 0.0
        by_rate = left / self._rate if self._rate else math.inf
        by_idling = self._looked_at + self._threshold - monotonic()
        return max(0.0, min(by_rate, by_idling))
