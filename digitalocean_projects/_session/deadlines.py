"""Deadlines: the time limits of the attempts in an event loop, which share one timer."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from types import TracebackType


class Deadlines:
    """The latest ends of the attempts that are in flight in one event loop.

    aiohttp starts a timer for each request and cancels it. Without that, an attempt takes 121 µs of
    CPU instead of 133. Nearly all attempts end in time, so a single timer is enough here. It is set
    to the earliest end, and remains set when that attempt ends.

    Args:
        loop: The loop.

    Attributes:
        limits: The blocks that are running, and the ends of their time. A block that is late is
            removed when its task is cancelled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.limits: dict[TimeLimit, float] = {}
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, limit: TimeLimit, seconds: float) -> None:
        """Set the end of a block to some seconds from now."""
        self.limits[limit] = end = self._loop.time() + seconds
        if end < self._at:
            self._set(end)

    def close(self) -> None:
        """Stop the timer. No attempt may be in flight."""
        self._set(math.inf)

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = None if at == math.inf else self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        # The loop may call this up to its clock's resolution before `_at`.
        now = max(self._at, self._loop.time())
        for limit in [limit for limit, end in self.limits.items() if end <= now]:
            del self.limits[limit]
            limit.task.cancel()
        self._set(min(self.limits.values(), default=math.inf))


class TimeLimit:
    """A block of a task that must end in time, like `asyncio.timeout`.

    Args:
        deadlines: The deadlines of the task's loop.
        seconds: The time after which the block raises a TimeoutError.

    Attributes:
        task: The task.
    """

    __slots__ = ("_cancellations", "_deadlines", "_seconds", "task")

    task: asyncio.Task[Any]

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self._seconds = seconds

    def __enter__(self) -> Self:
        self.task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancellations = task.cancelling()
        self._deadlines.add(self, self._seconds)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._deadlines.limits.pop(self, None) is not None:
            return
        # If the task counts further cancellations, its caller has cancelled it, too.
        cancelled_by_caller = self.task.uncancel() > self._cancellations
        if exc_type is asyncio.CancelledError and not cancelled_by_caller:
            raise TimeoutError from exc_value
