"""Prefetch: ways to fetch pages ahead, several at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._session.pool import running_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from digitalocean_projects._session.transport import Answer

    Fetch = Callable[[int], Awaitable[Answer]]

T = TypeVar("T")

# A wave that takes longer, because the limits or the server are slow, is followed by a smaller one.
_LONG = 1.0
# The seconds for which a page that has arrived waits for the rest of its batch.
_MOMENT = 0.01


class Prefetch(Protocol):
    """A way to fetch pages, whose numbers are passed in order."""

    def look_ahead(self, number: int, limit: int) -> None:
        """Start to fetch pages from `number`, the next one to get, at most up to `limit`."""

    async def get(self, number: int, limit: int) -> Answer:
        """Return a page. The pages after it, up to `limit`, may be fetched at the same time."""


class Waves(Generic[T]):
    """A prefetch that fetches a wave of pages within one call of `get`.

    No task runs between two calls, so the caller may stop at any time without a clean-up.

    The first wave has `concurrency` pages, each later one twice as many as the one before, up to
    `laps` * `concurrency`; but after a wave that took over a second, half as many. The next page is
    requested as soon as one arrives. For 200 pages at 20 ms, four laps take 5 % less time than one.

    Pages are not decoded during a wave: that would take 3 % less time, but 15 % more CPU time.

    Args:
        fetch: Fetches a page.
        concurrency: The maximum number of requests in flight.
        laps: The maximum number of pages in a wave for each request in flight.
    """

    def __init__(
        self, fetch: Callable[[int], Awaitable[T]], concurrency: int, *, laps: int = 1
    ) -> None:
        self._fetch = fetch
        self._concurrency = self._size = concurrency
        # Several pages that are requested one after the other would only arrive later.
        self._largest = laps * concurrency if concurrency > 1 else 1
        self._outcomes: dict[int, T | Exception] = {}

    def look_ahead(self, number: int, limit: int) -> None:
        """Do nothing: `get` starts the next wave."""

    async def get(self, number: int, limit: int) -> T:
        """Return a page of the last wave, or the first one of a new wave.

        If a page fails, or the wave is cancelled, only the pages before the first missing one are
        kept. An item that moved meanwhile from a missing page to a later one would get lost.

        Raises:
            Exception: The error of fetching the page; the next call fetches it again.
        """
        if number not in self._outcomes:
            last = min(limit, number + self._size - 1)
            if last <= number:
                return await self._fetch(number)
            await self._fetch_wave(range(number, last + 1))
        outcome = self._outcomes.pop(number)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _fetch_wave(self, numbers: range) -> None:
        start = running_loop().time()
        outcomes: dict[int, T | Exception] = {}
        left, under_way = deque(numbers), dict[asyncio.Task[None], int]()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(numbers))):
                    group.create_task(self._work(left, under_way, outcomes))
        finally:
            self._outcomes = {}
            for number in takewhile(outcomes.__contains__, numbers):
                outcome = self._outcomes[number] = outcomes[number]
                if isinstance(outcome, Exception):
                    break
        if running_loop().time() - start > _LONG:
            self._size = max(self._size // 2, self._concurrency)
        else:
            self._size = min(2 * self._size, self._largest)

    async def _work(
        self,
        numbers: deque[int],
        under_way: dict[asyncio.Task[None], int],
        outcomes: dict[int, T | Exception],
    ) -> None:
        """Fetch pages of a wave until none is left."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        while numbers:
            number = under_way[task] = numbers.popleft()
            try:
                outcomes[number] = await self._fetch(number)
            except Exception as error:  # noqa: BLE001 - `get` raises it
                outcomes[number] = error
                # The later pages are not needed any more, and may have long waits.
                numbers.clear()
                for other, later in under_way.items():
                    # A second cancellation would interrupt the clean-up after the first one.
                    if later > number and not other.cancelling():
                        other.cancel()


class Window:
    """A prefetch that always has up to `concurrency` requests in flight.

    It also holds up to `concurrency` fetched pages. After a failure, no request starts until `get`
    is called again for the failed page.

    Args:
        fetch: Fetches a page.
        concurrency: The maximum number of requests in flight.
        batch: The number of pages that `get` waits for, at most `concurrency`. It waits for the
            others for a moment only. To decode 16 pages in a row, and not each one when it arrives,
            takes 8 % less CPU time for 200 pages at 20 ms.
        instead_of: Other windows, which are cancelled when this one starts.
    """

    def __init__(
        self,
        fetch: Fetch,
        concurrency: int,
        *,
        batch: int = 1,
        instead_of: Iterable[Window] = (),
    ) -> None:
        self._fetch = fetch
        self._concurrency = concurrency
        self._batch = batch
        self._instead_of = instead_of
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[int, asyncio.Task[Answer]] = {}
        self._under_way: set[asyncio.Task[Answer]] = set()
        self._awaited = 0
        self._landing = asyncio.Event()
        self._moment: asyncio.TimerHandle | None = None
        self._next = 0
        self._last = 0
        self._stopped = False
        self._closed = False

    def look_ahead(self, number: int, limit: int) -> None:
        """Start to fetch the pages from `number` to `limit`, within the window.

        Raises:
            ClientUsageError: The window is closed.
        """
        if self._closed:
            raise ClientUsageError(
                "prefetching has stopped: the `with` block ended, or a new iteration began"
            )
        if self._enter_loop():
            for window in self._instead_of:
                window.cancel()
            self._instead_of = ()
        if number not in self._tasks:
            self._next = number
        self._last = min(limit, number + 2 * self._concurrency - 1)
        self._fill()

    async def get(self, number: int, limit: int) -> Answer:
        """Return a page.

        Raises:
            Exception: The error of fetching the page; the next call fetches it again.
            ClientUsageError: The window is closed.
        """
        while True:
            if number not in self._tasks:
                self._stopped = False
            self.look_ahead(number, limit)
            task = self._tasks.get(number)
            if task is not None and task.done():
                del self._tasks[number]
                return task.result()
            # An event, because a cancellation of this wait must not cancel the task.
            self._awaited = number
            self._landing.clear()
            try:
                await self._landing.wait()
            finally:
                if self._moment is not None:
                    self._moment.cancel()
                    self._moment = None

    @property
    def ended(self) -> bool:
        """True if the window is closed, and none of its requests is in flight."""
        return self._closed and not self._under_way

    def cancel(self) -> list[asyncio.Task[Answer]]:
        """Close the window, and return the tasks that are still ending."""
        closed, self._closed = self._closed, True
        self._enter_loop()
        self._tasks = {n: task for n, task in self._tasks.items() if not task.done()}
        tasks = list(self._tasks.values())
        # A second cancellation would interrupt the clean-up that the first one started.
        if not closed:
            for task in tasks:
                task.cancel()
        return tasks

    def _enter_loop(self) -> bool:
        """Remember the running loop; return True if it differs from the previous one.

        It differs at the first call and in a forked process. Tasks of a previous loop never end.
        """
        loop = running_loop()
        if loop is self._loop:
            return False
        self._loop, self._landing = loop, asyncio.Event()
        self._tasks, self._under_way = {}, set()
        return True

    def _fill(self) -> None:
        free = self._concurrency - len(self._under_way)
        while free > 0 and self._next <= self._last and not self._stopped:
            if self._next not in self._tasks:
                task = asyncio.ensure_future(self._fetch(self._next))
                task.add_done_callback(self._landed)
                self._tasks[self._next] = task
                self._under_way.add(task)
                free -= 1
            self._next += 1

    def _landed(self, task: asyncio.Task[Answer]) -> None:
        self._under_way.discard(task)
        # Reading the exception prevents asyncio's warning that it was never retrieved.
        if task.cancelled() or task.exception() is not None:
            self._stopped = True
        if not self._closed:
            self._fill()
        # Not at once: the new requests start first, so that they run while a page is decoded.
        task.get_loop().call_soon(self._wake)

    def _wake(self) -> None:
        awaited = self._tasks.get(self._awaited)
        if awaited is not None and not awaited.done():
            return
        arrived = len(self._tasks) - len(self._under_way)
        if awaited is None or arrived >= self._batch or not self._under_way or self._stopped:
            self._landing.set()
        elif self._moment is None:
            self._moment = awaited.get_loop().call_later(_MOMENT, self._landing.set)


async def close(windows: Iterable[Window]) -> None:
    """Close the windows: cancel their requests, and wait until they have ended."""
    tasks = [task for window in windows for task in window.cancel()]
    if tasks:
        await asyncio.wait(tasks)
