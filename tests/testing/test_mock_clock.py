"""`MockClock`, the clock that tests move."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import AsyncClient, RetryPolicy
from digitalocean_projects.testing import Emulator, MockClock
from digitalocean_projects.testing import _clock as clock_module

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

WRONG = [-1.0, -1e-9, math.inf, -math.inf, math.nan]


def sleeping(clock: MockClock) -> int:
    with clock._lock:
        return sum(len(room.sleepers) for room in clock._rooms.values())


async def asleep(clock: MockClock, number: int) -> None:
    """Wait until a number of tasks sleep, in all event loops."""
    async with asyncio.timeout(60):
        while sleeping(clock) < number:  # noqa: ASYNC110 - the clock tells nobody
            await asyncio.sleep(0)


async def test_stands_still() -> None:
    """At rate 0 only jumps move the clock, by exactly their seconds."""
    clock = MockClock(rate=0)
    assert 0 == clock.time()
    clock.jump(0.1)
    clock.jump(3600)
    clock.jump(0)
    assert 3600.1 == clock.time()


@pytest.mark.parametrize("rate", [1.0, 1000.0])
async def test_follows_real_time(rate: float) -> None:
    """The clock starts at 0, follows real time at its rate, and adds the jumps."""
    before = monotonic()
    clock = MockClock(rate=rate)
    after = monotonic()
    clock.jump(1000)
    await asyncio.sleep(0.01)
    least = monotonic() - after
    passed = clock.time() - 1000
    assert least * rate <= passed + 1e-6
    assert passed <= (monotonic() - before) * rate + 1e-6


@pytest.mark.parametrize("rate", [1.0, 100.0])
async def test_sleep_by_rate(rate: float) -> None:
    """A sleep lasts its time on the clock, which takes real time according to the rate."""
    clock = MockClock(rate=rate)
    start, real = clock.time(), monotonic()
    await clock.sleep(0.03 * rate)
    assert clock.time() - start >= 0.03 * rate
    assert 0.03 - 1e-6 <= monotonic() - real < 5


async def test_sleep_nothing() -> None:
    """A sleep of 0 lets other tasks run, and returns even if the clock stands still."""
    clock = MockClock(rate=0)
    seen: list[str] = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await clock.sleep(0)
    assert ["other"] == seen


async def test_jump_wakes() -> None:
    """A jump wakes only the tasks whose sleep is over, in the order of their ends."""
    clock = MockClock(rate=0)
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.time()))

    async with asyncio.TaskGroup() as tasks:
        for seconds in (30, 10, 40, 20):
            tasks.create_task(sleeper(seconds))
        await asleep(clock, 4)
        clock.jump(9.999)
        clock.jump(0.0)
        await asyncio.sleep(0.01)
        assert [] == woken
        clock.jump(20.001)
        await asyncio.sleep(0.01)
        assert [(10, 30), (20, 30), (30, 30)] == woken
        clock.jump(10)
    assert (40, 40) == woken[-1]


async def test_jump_shortens_the_wait() -> None:
    """At rate 1, a jump shortens a sleep, and real time passes for the rest."""
    clock = MockClock()
    task = asyncio.create_task(clock.sleep(3600))
    await asleep(clock, 1)
    real = monotonic()
    clock.jump(3600 - 0.05)
    await task
    assert monotonic() - real < 5
    assert clock.time() >= 3600


async def test_cancelled() -> None:
    """Cancelled sleepers leave nothing behind, even if they are cancelled while they wake up."""
    clock = MockClock(autojump_threshold=60)
    tasks = [asyncio.create_task(clock.sleep(100 + n)) for n in range(100)]
    await asleep(clock, 100)
    clock.jump(150)
    for task in tasks:
        task.cancel()
    assert [True] * 100 == [
        isinstance(outcome, asyncio.CancelledError)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True)
    ]
    await asyncio.sleep(0)
    assert {} == clock._rooms
    loop: Any = asyncio.get_running_loop()
    assert all(handle.cancelled() for handle in loop._scheduled)


async def test_cancelled_among_others() -> None:
    """A cancelled sleeper doesn't keep other sleepers from waking up."""
    clock = MockClock(rate=0)
    first, second = (asyncio.create_task(clock.sleep(seconds)) for seconds in (1, 2))
    await asleep(clock, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    clock.jump(2)
    await second


async def test_autojump() -> None:
    """If all tasks are idle, the clock jumps from one end of a sleep to the next."""
    clock = MockClock(rate=0, autojump_threshold=0.01)
    times: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        times.append(clock.time())
        await clock.sleep(seconds)
        times.append(clock.time())

    real = monotonic()
    await asyncio.gather(sleeper(3600), sleeper(0.1), sleeper(86400))
    assert [0.1, 0.2, 3600, 7200, 86400, 172800] == times
    assert monotonic() - real < 5


async def test_autojump_waits_for_idleness() -> None:
    """The clock doesn't jump while its time is read."""
    clock = MockClock(rate=0, autojump_threshold=0.2)
    task = asyncio.create_task(clock.sleep(1))
    await asleep(clock, 1)
    end = monotonic() + 0.3
    while monotonic() < end:
        assert 0 == clock.time()
        await asyncio.sleep(0.001)
    await task
    assert 1 == clock.time()


async def test_autojump_after_a_sleep() -> None:
    """After the end of a sleep, the task that wakes up runs before the clock jumps."""
    clock = MockClock(rate=1, autojump_threshold=0.05)
    other = asyncio.create_task(clock.sleep(1000))
    await asleep(clock, 1)
    await clock.sleep(0.05)
    assert clock.time() < 500
    await other
    assert clock.time() >= 1000


async def test_no_autojump_without_sleepers() -> None:
    """Without sleepers, the clock doesn't jump."""
    clock = MockClock(rate=0, autojump_threshold=0)
    await clock.sleep(1)
    await asyncio.sleep(0.01)
    assert 1 == clock.time()


def in_threads(number: int, main: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(main, range(number)))


def test_loops_in_threads() -> None:
    """A jump from any thread wakes each sleeper in its own event loop."""
    clock = MockClock(rate=0)

    async def sleep(n: int) -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        await clock.sleep(n)
        return clock.time(), loop is asyncio.get_running_loop()

    async def sleeps(n: int) -> list[tuple[float, bool]]:
        async with asyncio.timeout(60):
            return await asyncio.gather(*(sleep(n + 1) for _ in range(5)))

    async def jumps() -> None:
        await asleep(clock, 40)
        clock.jump(8)

    outcomes = in_threads(9, lambda n: asyncio.run(sleeps(n) if n < 8 else jumps()))
    assert [[(8, True)] * 5] * 8 == outcomes[:8]


def test_autojump_in_threads() -> None:
    """Event loops in several threads share the jumps of the clock."""
    clock = MockClock(rate=0, autojump_threshold=0.08)
    barrier = threading.Barrier(4)

    async def sleeps(n: int) -> list[float]:
        barrier.wait()
        times = []
        for _ in range(2):
            await clock.sleep(n + 1)
            times.append(clock.time())
        return times

    assert [[1, 2], [2, 4], [3, 6], [4, 8]] == in_threads(4, lambda n: asyncio.run(sleeps(n)))


def test_closed_loop() -> None:
    """Sleepers in a closed event loop don't disturb other sleepers."""
    clock = MockClock(rate=0, autojump_threshold=0.01)
    loop = asyncio.new_event_loop()
    sleeper = clock.sleep(1)

    async def begin() -> None:
        # Without a task, because a pending one logs an error when it is collected.
        sleeper.send(None)

    loop.run_until_complete(begin())
    loop.close()
    clock.jump(1)
    asyncio.run(clock.sleep(1))
    assert (2, 1) == (clock.time(), len(clock._rooms))
    sleeper.close()
    gc.collect()
    assert {} == clock._rooms


def test_loop_that_closes_meanwhile() -> None:
    """Concurrent jumps, sleeps and closed event loops leave nothing behind."""
    clock = MockClock()
    done = threading.Event()

    def jumping() -> None:
        while not done.is_set():
            clock.jump(0.001)

    async def sleeps() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                async with asyncio.TaskGroup() as tasks:
                    for n in range(10):
                        tasks.create_task(clock.sleep(10.0**n))

    thread = threading.Thread(target=jumping)
    thread.start()
    in_threads(4, lambda _: [asyncio.run(sleeps()) for _ in range(3)])
    done.set()
    thread.join()
    assert {} == clock._rooms


@pytest.mark.parametrize("seconds", WRONG)
async def test_wrong_seconds(seconds: float) -> None:
    """A jump or a sleep must be finite and at least 0."""
    clock = MockClock(rate=0)
    with pytest.raises(ValueError, match="seconds must be finite and at least 0, got"):
        clock.jump(seconds)
    with pytest.raises(ValueError, match="seconds must be finite and at least 0, got"):
        await clock.sleep(seconds)
    assert 0 == clock.time()


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("name", ["rate", "autojump_threshold"])
def test_wrong_settings(name: str, value: float) -> None:
    """The rate and the threshold must be finite and at least 0."""
    with pytest.raises(ValueError, match=f"{name} must be finite and at least 0, got"):
        MockClock(**{name: value})


async def test_clock_of_a_client() -> None:
    """A client's waits end by the jumps of the clock."""
    clock = MockClock(rate=0, autojump_threshold=0.05)
    with Emulator(limits=[(1, 60.0)], clock=clock) as emulator:
        retry = RetryPolicy(attempts=2)
        async with AsyncClient(
            emulator.token, base_url=emulator.url, clock=clock, limits=None, retry=retry
        ) as client:
            for _ in range(3):
                assert [] == await client.projects.list_resources().collect()
        assert 120 <= clock.time() < 150
        assert 5 == len(emulator.requests)


def test_jumps_are_bounded() -> None:
    """The sum of all jumps leaves the clock below 1,000 years, so that its dates can be written."""
    clock = MockClock(rate=0)
    for _ in range(99):
        clock.jump(10 * 365 * 86_400)
    before = clock.time()
    for seconds in (1e12, 20 * 366 * 86_400):
        with pytest.raises(ValueError, match="the clock must stay below 31557600000 seconds"):
            clock.jump(seconds)
    assert before == clock.time()


def test_time_passes_during_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock loses no time while it is moved, so no thread sees it go back."""
    readings = itertools.count()
    monkeypatch.setattr(clock_module, "monotonic", lambda: float(next(readings)))
    clock = MockClock()
    for number in range(1, 10):
        clock.jump(0)
        assert 2.0 * number == clock.time()
