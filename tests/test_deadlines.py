"""The time limits of the attempts in one event loop, which share a timer."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects._session import deadlines as deadlines_module
from digitalocean_projects._session.deadlines import Deadlines, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

pytestmark = pytest.mark.anyio

LONG = 1000.0


def timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Return the timers of the loop that are not cancelled."""
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
    """Each wait ends at its own limit, also if a longer limit was set first."""
    loop = asyncio.get_running_loop()

    async def wait(seconds: float) -> None:
        start = loop.time()
        assert await late(deadlines, seconds)
        assert seconds <= loop.time() - start

    with TimeLimit(deadlines, LONG):
        async with asyncio.TaskGroup() as group:
            for seconds in (0.03, 0.01, 0.02, 0.01):
                group.create_task(wait(seconds))
    assert 1 == len(timers(loop))


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


class HandlerError(Exception):
    pass


@contextmanager
def raising_at(number: int) -> Iterator[list[str]]:
    """Raise an error at a line of the module, as a signal handler may; yield the lines."""
    lines: list[str] = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != deadlines_module.__file__:
            return None
        if event == "line":
            lines.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
            if len(lines) == number:
                raise HandlerError
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(previous)


# Nothing is called before the second line.
@pytest.mark.parametrize("number", range(2, 17))
async def test_interrupted_timer(number: int) -> None:
    """An exception in the timer hinders no limit, and no later one."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    lines: list[str] = []

    class Interrupted(Deadlines):
        def _tick(self) -> None:
            if lines:
                super()._tick()
                return
            with raising_at(number) as traced:
                lines.append("")
                try:
                    super()._tick()
                finally:
                    lines.extend(traced)

    async with asyncio.timeout(10):
        deadlines = Interrupted(loop)
        assert await late(deadlines, 0.001)
        assert await late(deadlines, 0.001)
    assert len(lines) > 1
    deadlines.close()


@pytest.mark.parametrize("number", range(1, 19))
async def test_interrupted_start(number: int) -> None:
    """An exception at the start of a block leaves the next limit of the task intact."""
    deadlines = Deadlines(asyncio.get_running_loop())
    with suppress(HandlerError), raising_at(number):
        TimeLimit(deadlines, 0.002).__enter__()
    async with asyncio.timeout(10):
        assert await late(deadlines, 0.001)
    await asyncio.sleep(0.003)
    assert not deadlines.limits
    deadlines.close()


async def test_context_is_not_kept(deadlines: Deadlines) -> None:
    """The timer doesn't keep the context of the task that started it."""
    variable: ContextVar[object] = ContextVar("variable")

    class Value:
        pass

    async def attempt() -> weakref.ref[Value]:
        value = Value()
        variable.set(value)
        with TimeLimit(deadlines, LONG):
            return weakref.ref(value)

    value = await asyncio.create_task(attempt())
    await asyncio.sleep(0)  # the loop forgets the step of the task that has ended
    gc.collect()
    assert value() is None
    deadlines.close()


async def test_early_timer() -> None:
    """A timer that fires before its time, as the clock's resolution allows, ends its limit."""
    loop = asyncio.get_running_loop()

    class Early(Deadlines):
        def _set(self, at: float) -> None:
            super()._set(at)
            if self._timer is not None:
                loop.call_soon(self._tick)

    deadlines = Early(loop)
    start = loop.time()
    assert await late(deadlines, 5.0)
    assert loop.time() - start < 5.0
    deadlines.close()
