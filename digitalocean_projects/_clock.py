"""Clock: what waits, waits here."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


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
