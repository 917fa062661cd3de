"""Prefetching: the order, the concurrency and the end of page requests."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import trio

from digitalocean_projects import ClientUsageError
from digitalocean_projects._described import Request
from digitalocean_projects._messages import Secret
from digitalocean_projects._paginator import prefetch as prefetch_module
from digitalocean_projects._paginator.prefetch import Waves, Window, close
from digitalocean_projects._session.transport import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ENDED = "prefetching has stopped: the `with` block ended, or a new iteration began"

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


class Source:
    """Pages that come when they are let go; those in `broken` fail, once.

    Attributes:
        asked: The numbers of the pages that were asked for, in order.
        running: The numbers of those that are under way.
        most: How many were under way at once at the most.
        cancelled: The numbers of those that were cancelled.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.running: list[int] = []
        self.most = 0
        self.cancelled: list[int] = []
        self.broken: dict[int, Exception] = {}
        self._go: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def fetch(self, number: int) -> Answer:
        self.asked.append(number)
        self.running.append(number)
        self.most = max(self.most, len(self.running))
        try:
            await self._go[number].wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # as a connection that takes a moment to close
            self.cancelled.append(number)
            raise
        finally:
            self.running.remove(number)
        if number in self.broken:
            raise self.broken.pop(number)
        return page(number)

    async def let(self, *numbers: int) -> None:
        """Complete these pages, and let all tasks run."""
        for number in numbers:
            self._go[number].set()
        await settle()


def page(number: int) -> Answer:
    request = Request(method="GET", path=f"/?page={number}")
    return Answer(request=request, status=200, headers={}, body=b"", secret=Secret())


def tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks()


async def settle() -> None:
    """Run all tasks that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def complaints() -> AsyncIterator[list[str]]:
    """Return the errors that the loop reports, such as an exception that is never retrieved."""
    messages: list[str] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: messages.append(context["message"]))
    yield messages
    loop.set_exception_handler(handler)


@pytest.fixture(params=[Waves, Window], ids=["waves", "window"])
def prefetch(request: pytest.FixtureRequest, source: Source) -> Waves[Answer] | Window:
    """Return a prefetch of either kind, for three pages at a time."""
    prefetch: Waves[Answer] | Window = request.param(source.fetch, 3)
    return prefetch


async def end(prefetch: Waves[Answer] | Window) -> None:
    if isinstance(prefetch, Window):
        await close([prefetch])


async def test_waves(source: Source) -> None:
    """A wave requests each next page when one arrives, and ends before its first is returned."""
    before = tasks()
    waves = Waves(source.fetch, 2, laps=2)
    await source.let(1, 2, 3)
    assert [page(1), page(2), page(3)] == [
        await waves.get(number, limit) for number, limit in [(1, 1), (2, 9), (3, 9)]
    ]
    assert [1, 2, 3] == source.asked
    wave = asyncio.create_task(waves.get(4, 9))
    await settle()
    assert [4, 5] == source.running
    await source.let(5)
    assert [4, 6] == source.running
    await source.let(4, 6)
    assert ([7], False) == (source.running, wave.done())
    await source.let(7)
    assert page(4) == await wave
    for number in (5, 6, 7):
        assert before == tasks()
        assert page(number) == await waves.get(number, 9)
    assert ([1, 2, 3, 4, 5, 6, 7], 2) == (source.asked, source.most)


async def test_waves_grow(source: Source) -> None:
    """Each wave has twice as many pages as the one before, up to a number for each request."""
    waves = Waves(source.fetch, 3, laps=4)
    await source.let(*range(1, 60))
    asked = []
    for number in range(1, 35):
        assert page(number) == await waves.get(number, max(1, 99 * (number - 1)))
        asked.append(len(source.asked))
    assert [1] + 3 * [4] + 6 * [10] + 12 * [22] + 12 * [34] == asked
    waves = Waves(source.fetch, 3)
    for number in range(35, 42):
        assert page(number) == await waves.get(number, 99)
        asked.append(len(source.asked))
    assert 3 * [37] + 3 * [40] + [43] == asked[34:]


async def test_wave_ends_at_the_limit(source: Source) -> None:
    """No page beyond the limit is fetched, even if the limit is the page itself or before it."""
    waves = Waves(source.fetch, 3, laps=4)
    await source.let(*range(1, 10))
    for number, limit in [(1, 2), (2, 2), (3, 3), (4, 1), (5, 8)]:
        assert page(number) == await waves.get(number, limit)
    assert [1, 2, 3, 4, 5, 6, 7, 8] == source.asked


async def test_waves_of_one(source: Source) -> None:
    """With a concurrency of one, pages are fetched one by one."""
    waves = Waves(source.fetch, 1, laps=4)
    await source.let(1, 2, 3)
    assert [page(1), page(2), page(3)] == [await waves.get(number, 9) for number in (1, 2, 3)]
    assert ([1, 2, 3], 1) == (source.asked, source.most)


async def test_failure_in_a_wave(source: Source) -> None:
    """The pages before a failed one are returned, then its error; then the others are fetched."""
    waves = Waves(source.fetch, 4, laps=4)
    first = EOFError()
    source.broken = {3: first}
    wave = asyncio.create_task(waves.get(1, 9))
    await settle()
    await source.let(2, 3)
    assert ([1], [4]) == (source.running, source.cancelled)
    await source.let(1)
    assert [page(1), page(2)] == [await wave, await waves.get(2, 9)]
    with pytest.raises(EOFError) as caught:
        await waves.get(3, 9)
    assert first is caught.value
    await source.let(4)
    assert [page(3), page(4)] == [await waves.get(number, 4) for number in (3, 4)]
    assert [1, 2, 3, 4, 3, 4] == source.asked


async def test_failures_in_a_wave(source: Source) -> None:
    """After a failure, a wave sends nothing, and cancels each later request once.

    Only the first error is raised, since the later pages are fetched again.
    """
    waves = Waves(source.fetch, 3, laps=2)
    await source.let(1, 2, 3)
    assert [page(1), page(2), page(3)] == [await waves.get(number, 3) for number in (1, 2, 3)]
    source.broken = {4: EOFError(), 5: EOFError()}
    wave = asyncio.create_task(waves.get(4, 9))
    await settle()
    for number in (5, 4):
        source._go[number].set()
        await asyncio.sleep(0)
    with pytest.raises(EOFError):
        await wave
    assert ([6], [1, 2, 3, 4, 5, 6]) == (source.cancelled, source.asked)
    await source.let(6)
    assert [page(4), page(5), page(6)] == [await waves.get(number, 6) for number in (4, 5, 6)]


async def test_failure_in_a_cancelled_wave(source: Source) -> None:
    """A page that failed before its wave was cancelled is fetched again with the wave."""
    waves = Waves(source.fetch, 3)
    source.broken = {3: EOFError()}
    wave = asyncio.create_task(waves.get(1, 3))
    await settle()
    await source.let(3)
    wave.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wave
    await source.let(1, 2)
    assert [page(1), page(2), page(3)] == [await waves.get(number, 3) for number in (1, 2, 3)]


async def test_page_after_a_failed_one(source: Source) -> None:
    """A page that arrived in a wave before an earlier page failed is fetched again, after it."""
    waves = Waves(source.fetch, 3)
    source.broken = {1: EOFError()}
    wave = asyncio.create_task(waves.get(1, 3))
    await settle()
    await source.let(2)
    await source.let(1)
    with pytest.raises(EOFError):
        await wave
    await source.let(3)
    assert [page(1), page(2), page(3)] == [await waves.get(number, 3) for number in (1, 2, 3)]
    assert [1, 2, 3, 1, 2, 3] == source.asked


async def test_cancelled_wave(source: Source) -> None:
    """A cancelled wave leaves no task, and keeps the pages before the first missing one."""
    before = tasks()
    waves = Waves(source.fetch, 4)
    wave = asyncio.create_task(waves.get(1, 4))
    await source.let(1, 2, 4)
    wave.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wave
    assert ([3], before) == (source.cancelled, tasks())
    await source.let(3)
    assert [page(1), page(2)] == [await waves.get(number, 4) for number in (1, 2)]
    assert [1, 2, 3, 4] == source.asked
    assert [page(3), page(4)] == [await waves.get(number, 4) for number in (3, 4)]
    assert [1, 2, 3, 4, 3, 4] == source.asked


async def test_long_waves(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wave that took long, the next one has half as many pages, and not fewer requests."""
    waves = Waves(source.fetch, 3, laps=4)
    await source.let(*range(1, 50))
    asked = []
    for number in range(1, 36):
        if number == 10:
            monkeypatch.setattr(prefetch_module, "_LONG", -1.0)
        assert page(number) == await waves.get(number, 99)
        asked.append(len(source.asked))
    assert 3 * [3] + 6 * [9] + 12 * [21] + 6 * [27] + 3 * [30] + 3 * [33] + 2 * [36] == asked


async def test_window(source: Source) -> None:
    """A window fetches its maximum at once, and keeps as many pages until one is taken."""
    window = Window(source.fetch, 2)
    first = asyncio.create_task(window.get(1, 100))
    await settle()
    assert [1, 2] == source.running
    await source.let(2)
    assert [1, 3] == source.running
    await source.let(3, 4)
    assert ([1], [1, 2, 3, 4]) == (source.running, source.asked)
    await source.let(1)
    assert page(1) == await first
    assert page(2) == await window.get(2, 100)
    await settle()
    assert ([5], [1, 2, 3, 4, 5]) == (source.running, source.asked)
    assert page(3) == await window.get(3, 100)
    await settle()
    assert ([5, 6], 2) == (source.running, source.most)
    await close([window])


async def test_window_goes_on_first(source: Source) -> None:
    """When pages arrive, the next ones are requested before the first is returned."""
    window = Window(source.fetch, 3)

    async def asked_when_handed_out() -> list[int]:
        await window.get(1, 9)
        return source.asked.copy()

    asked = asyncio.ensure_future(asked_when_handed_out())
    await settle()
    await source.let(1, 2, 3)
    assert [1, 2, 3, 4, 5, 6] == await asked
    await close([window])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengthen the moment for which a page that has arrived waits for its batch."""
    monkeypatch.setattr(prefetch_module, "_MOMENT", 1000.0)


@pytest.mark.usefixtures("patient")
async def test_window_in_batches(source: Source) -> None:
    """A wait in a window ends when a batch of pages has arrived, or when none can arrive."""
    window = Window(source.fetch, 3, batch=3)
    first = asyncio.create_task(window.get(1, 6))
    await settle()
    await source.let(1, 2)
    assert (False, [3, 4, 5]) == (first.done(), source.running)
    await source.let(4)
    assert (page(1), [3, 5, 6]) == (await first, source.running)
    assert page(2) == await window.get(2, 6)
    third = asyncio.create_task(window.get(3, 6))
    await settle()
    await source.let(3)
    assert not third.done()
    await source.let(5)
    assert page(3) == await third
    assert [page(4), page(5)] == [await window.get(number, 6) for number in (4, 5)]
    last = asyncio.create_task(window.get(6, 6))
    await settle()
    await source.let(6)
    assert page(6) == await last


async def test_window_in_an_incomplete_batch(source: Source) -> None:
    """A page waits for a moment only for the others of its batch, which may never arrive."""
    window = Window(source.fetch, 3, batch=3)
    for number in (1, 2):
        wait = asyncio.create_task(window.get(number, 9))
        await settle()
        await source.let(number)
        assert not wait.done()
        async with asyncio.timeout(30):
            assert page(number) == await wait
    assert [3, 4, 5] == source.running
    await close([window])


@pytest.mark.usefixtures("patient")
async def test_window_in_batches_after_a_failure(source: Source) -> None:
    """A page before a failed one is returned though no batch is complete."""
    window = Window(source.fetch, 3, batch=3)
    source.broken = {2: EOFError()}
    first = asyncio.create_task(window.get(1, 6))
    await settle()
    await source.let(2)
    assert not first.done()
    await source.let(1)
    assert (page(1), [3]) == (await first, source.running)
    with pytest.raises(EOFError):
        await window.get(2, 6)
    await close([window])


async def test_window_ends_at_the_limit(source: Source) -> None:
    """No page beyond the limit is fetched; a limit may grow and shrink."""
    window = Window(source.fetch, 3)
    await source.let(*range(1, 10))
    expected = [(5, 5, [5]), (6, 7, [6, 7]), (7, 0, []), (8, 9, [8, 9]), (9, 9, [])]
    for number, limit, fetched in expected:
        already = len(source.asked)
        assert page(number) == await window.get(number, limit)
        await settle()
        assert fetched == source.asked[already:]


async def test_window_after_a_failure(source: Source) -> None:
    """A page's error comes in its place, and nothing starts until the page is requested again."""
    window = Window(source.fetch, 3)
    error = EOFError()
    source.broken = {2: error}
    window.look_ahead(1, 100)
    await settle()
    await source.let(2, 3, 1)
    assert page(1) == await window.get(1, 100)
    with pytest.raises(EOFError) as caught:
        await window.get(2, 100)
    assert error is caught.value
    await settle()
    assert [1, 2, 3] == source.asked
    assert [page(2), page(3)] == [await window.get(number, 100) for number in (2, 3)]
    await settle()
    assert ([1, 2, 3, 2, 4, 5, 6], [4, 5, 6]) == (source.asked, source.running)
    await close([window])


async def test_window_never_exceeds(source: Source) -> None:
    """A page that is requested again is the next to be fetched, within the maximum."""
    window = Window(source.fetch, 2)
    await source.let(1)
    assert page(1) == await window.get(1, 9)
    await settle()
    again = asyncio.create_task(window.get(1, 9))
    await settle()
    assert [2, 3] == source.running
    await source.let(3)
    assert page(1) == await again
    assert ([1, 2, 3, 1], 2) == (source.asked[:4], source.most)
    await close([window])


async def test_look_ahead(source: Source) -> None:
    """A window starts with the known pages, and a wave with the first request."""
    window = Window(source.fetch, 2)
    Waves(source.fetch, 2).look_ahead(2, 9)
    await settle()
    assert [] == source.asked
    window.look_ahead(2, 9)
    await settle()
    assert [2, 3] == source.running
    await close([window])


async def test_cancelled_consumer(source: Source) -> None:
    """A cancelled consumer can continue, and the page isn't requested twice."""
    window = Window(source.fetch, 2)
    consumer = asyncio.create_task(window.get(1, 2))
    await settle()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert ([1, 2], []) == (source.running, source.cancelled)
    await source.let(1, 2)
    assert [page(1), page(2)] == [await window.get(number, 2) for number in (1, 2)]
    assert [1, 2] == source.asked


async def test_closed_window(source: Source) -> None:
    """A closed window cancels its requests, and can't be used."""
    before = tasks()
    window = Window(source.fetch, 3)
    await close([Window(source.fetch, 3)])
    assert [] == source.asked
    await source.let(1, 2)
    assert page(1) == await window.get(1, 9)
    await settle()
    assert [3, 4, 5] == source.running
    for _ in range(2):
        await close([window])
        assert ([3, 4, 5], before) == (sorted(source.cancelled), tasks())
    for number in (1, 2, 3):
        with pytest.raises(ClientUsageError, match=ENDED):
            await window.get(number, 9)
        with pytest.raises(ClientUsageError, match=ENDED):
            window.look_ahead(number, 9)
    await settle()
    assert [1, 2, 3, 4, 5] == source.asked


async def test_window_closed_meanwhile(source: Source) -> None:
    """A consumer that waits when the window is closed gets an error, and isn't cancelled."""
    window = Window(source.fetch, 3)
    waiting = asyncio.create_task(window.get(2, 9))
    await settle()
    await close([window])
    with pytest.raises(ClientUsageError, match=ENDED):
        await waiting
    assert [2, 3, 4] == source.cancelled


async def test_closed_windows(source: Source) -> None:
    """Windows are closed together, and all stop at once."""
    before = tasks()
    windows = [Window(source.fetch, 2), Window(source.fetch, 2)]
    windows[0].look_ahead(1, 2)
    windows[1].look_ahead(3, 4)
    await settle()
    fetching = tasks() - before
    closing = asyncio.create_task(close(windows))
    await asyncio.sleep(0)
    assert ([1] * 4, []) == ([task.cancelling() for task in fetching], source.cancelled)
    await closing
    assert ([1, 2, 3, 4], before) == (sorted(source.cancelled), tasks())


def test_two_loops(source: Source) -> None:
    """A window can continue in another loop, as after a fork."""
    window = Window(source.fetch, 2)

    async def begin() -> None:
        await source.let(1)
        assert page(1) == await window.get(1, 9)
        await settle()

    async def go_on() -> None:
        assert [2, 3] == source.running
        for number in (2, 3):
            await asyncio.wait_for(window.get(number, 9), 30)
        await close([window])

    with asyncio.Runner() as parent:
        parent.run(begin())
        for number in range(2, 10):
            source._go[number] = asyncio.Event()
            source._go[number].set()
        asyncio.run(go_on())
        assert ([2, 3], []) == (source.running, source.cancelled)
    assert [2, 3] == sorted(source.cancelled)


def test_closed_in_another_loop(source: Source) -> None:
    """A window can be closed in another loop, as after a fork."""
    window = Window(source.fetch, 2)

    async def begin() -> None:
        window.look_ahead(1, 9)
        await settle()

    with asyncio.Runner() as parent:
        parent.run(begin())
        asyncio.run(close([window]))
        assert window.ended
        assert ([1, 2], []) == (source.running, source.cancelled)


def test_trio(source: Source) -> None:
    """A window under trio raises an error that names asyncio."""
    window = Window(source.fetch, 2)
    for use in (lambda: window.get(1, 9), lambda: close([window])):
        with pytest.raises(ClientUsageError, match="needs a running asyncio event loop"):
            trio.run(use)
    assert [] == source.asked


async def test_interrupted_close(source: Source) -> None:
    """A cancelled close still ends all requests."""
    before = tasks()
    window = Window(source.fetch, 3)
    await source.let(1)
    await window.get(1, 9)
    await settle()
    closing = asyncio.create_task(close([window]))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await settle()
    assert ([2, 3, 4], before) == (sorted(source.cancelled), tasks())


@pytest.mark.parametrize("closed", [True, False])
async def test_failures_that_nobody_asked_for(
    prefetch: Waves[Answer] | Window, source: Source, complaints: list[str], *, closed: bool
) -> None:
    """The error of a page that is never requested is ignored."""
    await source.let(*range(1, 10))
    source.broken = {number: EOFError() for number in range(3, 10)}
    assert [page(1), page(2)] == [await prefetch.get(number, 9) for number in (1, 2)]
    await settle()
    if closed:
        await end(prefetch)
    del prefetch
    gc.collect()
    assert [] == complaints


async def test_failure_again(prefetch: Waves[Answer] | Window, source: Source) -> None:
    """A failed page can be requested any number of times."""
    await source.let(1, 2, 3)
    for _ in range(3):
        source.broken = {1: EOFError()}
        with pytest.raises(EOFError):
            await prefetch.get(1, 3)
    assert [page(1), page(2), page(3)] == [await prefetch.get(number, 3) for number in (1, 2, 3)]
    await end(prefetch)
