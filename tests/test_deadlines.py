"""The time limits of the attempts in one event loop, which share a timer."""

from __future__ import annotations

import asyncio

import pytest

from digitalocean_projects._session.deadlines import Deadlines, TimeLimit

pytestmark = pytest.mark.anyio

LONG = 1000.0


def timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """The timers of the loop that are not cancelled."""
    return [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]


@pytest.fixture
async def deadlines() -> Deadlines:
    """The deadlines of the running loop."""
    return Deadlines(asyncio.get_running_loop())


async def late(deadlines: Deadlines, seconds: float) -> bool:
    """Return True if a wait without an end was ended by its limit."""
    with pytest.raises(TimeoutError), TimeLimit(deadlines, seconds):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    return not task.cancelling()


async def test_limits_in_any_order(deadlines: Deadlines) -> None:
    """Each wait ends at its own limit, whichever limit was set first."""
    ended: list[float] = []

    async def wait(seconds: float) -> None:
        assert await late(deadlines, seconds)
        ended.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (0.03, 0.01, 0.02, 0.01):
            group.create_task(wait(seconds))
    assert [0.01, 0.01, 0.02, 0.03] == ended
    assert not timers(asyncio.get_running_loop())


async def test_one_timer(deadlines: Deadlines) -> None:
    """Blocks with the same limit share one timer, which `close` stops."""
    loop = asyncio.get_running_loop()
    for _ in range(3):
        with TimeLimit(deadlines, LONG):
            await asyncio.sleep(0)
        assert 1 == len(timers(loop))
    deadlines.close()
    assert not timers(loop)
    assert await late(deadlines, 0.001)


async def test_cancelled_by_the_caller(deadlines: Deadlines) -> None:
    """A cancellation passes through, also if the limit has cancelled the task, too."""
    inside = asyncio.Event()

    async def wait(seconds: float, *, twice: bool) -> None:
        with TimeLimit(deadlines, seconds):
            try:
                inside.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if twice:
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(wait(0.001, twice=True))
    inside.clear()
    task = asyncio.create_task(wait(LONG, twice=False))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == task.cancelling()
    deadlines.close()


async def test_other_error_after_the_limit(deadlines: Deadlines) -> None:
    """An error that takes the place of the cancellation is raised, and no cancellation is left."""

    async def lose() -> None:
        with TimeLimit(deadlines, 0.001):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("lost") from None

    with pytest.raises(OSError, match="lost"):
        await lose()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
