"""Waits by the machine's clock and by other clocks."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import pytest

from digitalocean_projects._clock import SYSTEM_CLOCK, SystemClock, call_later
from tests.simulation import FastClock, VirtualTime

EAGER = [getattr(asyncio, "eager_task_factory")] if sys.version_info >= (3, 12) else []  # noqa: B009 - new in 3.12


class Slow(SystemClock):
    """A clock that runs slower than the machine's."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(2 * seconds)


TRUE = VirtualTime()
CLOCKS = [(SYSTEM_CLOCK, 3.0), (TRUE, 3.0), (FastClock(TRUE, 0.5), 2.0), (Slow(), 6.0)]


@pytest.mark.parametrize("factory", [None, *EAGER])
@pytest.mark.parametrize(("clock", "seconds"), CLOCKS)
def test_call_later(clock: Any, seconds: float, factory: Any) -> None:
    """A callback is called at its time on the clock, but not if it is cancelled."""
    called: list[tuple[str, float]] = []

    def call(name: str) -> None:
        called.append((name, TRUE.now))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        begin = loop.time()
        for name in ("called", "taken back", "taken back at once"):
            stop = call_later(clock, 3.0, partial(call, name))
            if name == "taken back at once":
                stop()
            elif name == "taken back":
                loop.call_later(1.0, stop)
        await asyncio.sleep(7.0)
        assert [("called", begin + seconds)] == called
        stop()
        await asyncio.sleep(0)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    TRUE.run(main())


def test_system_clock() -> None:
    """The system clock is the machine's monotonic one."""
    before = SYSTEM_CLOCK.time()
    asyncio.run(SYSTEM_CLOCK.sleep(0.001))
    assert before + 0.001 <= SYSTEM_CLOCK.time()
