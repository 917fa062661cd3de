"""AsyncPaginator: the items of a listing, from pages that are fetched concurrently."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Hashable
from types import TracebackType
from typing import Generic, Self, TypeVar

from digitalocean_projects._arguments import checked_count
from digitalocean_projects._codec.headers import Headers, RateLimit
from digitalocean_projects._codec.json import PageDocument
from digitalocean_projects._codec.models import Page
from digitalocean_projects._errors import ClientUsageError, PaginationError
from digitalocean_projects._public import explain_misuse, publish
from digitalocean_projects._session.pool import current_loop
from digitalocean_projects._session.tracing import Steps, operation
from digitalocean_projects._session.transport import Answer

from .cursor import Reading
from .listing import NOT_BLOCKING, Items, Listing, Unidentified
from .prefetch import Prefetch, Waves, Window, close

T = TypeVar("T")

_READINGS = 3
_LAPS = 4


class AsyncPaginator(Generic[T]):
    """The items of a listing, in the API's order, without duplicates.

    `AsyncProjects.list`, `AsyncProjects.list_resources` and `AsyncClient.paginate` return
    paginators.

    Iterate over it to get the items. The first page is requested alone, and the others in waves: of
    `concurrency` pages, then of twice as many as before, up to 4 * `concurrency`, and of fewer
    after a wave that took over a second. At most `concurrency` requests are in flight, and a wave
    ends before its first item is returned. So you may leave the loop at any point, which discards
    the rest of a wave, and memory is bounded by the responses of a wave. With a `concurrency` of 1,
    each page is requested when it is needed. Each iteration reads the listing from the start.

    A listing is not a snapshot: the API divides it into pages at each request. An addition during
    a reading moves the other items to later positions, so some appear twice; repeats within
    2 * `concurrency` pages are dropped. A removal moves the other items to earlier positions, so an
    item can move to a page that was read already, and is missed. `settled` is true if a reading saw
    no sign of such a change, and `collect` reads again if it saw one. If a page can't be read, the
    iteration raises an error; a page is never skipped.

    As a context manager, the paginator prefetches: while the body of a loop runs, up to
    `concurrency` requests are in flight, until the block ends or the next iteration begins.

    https://docs.digitalocean.com/reference/api/reference/#links--pagination
    """

    def __init__(self, listing: Listing[T], *, concurrency: int, max_pages: int) -> None:
        self._listing = listing
        self._concurrency = concurrency
        self._max_pages = max_pages
        self._settled: bool | None = None
        self._total: int | None = None
        self._windows: list[Window] | None = None

    @property
    def settled(self) -> bool | None:
        """True if the last complete reading saw no change, False if it saw one, None before.

        Signs of a change are totals or last pages that differ between pages, repeats, and an end
        before or after the announced last page. A change is not detected if equal numbers of items
        joined and left between two requests.
        """
        return self._settled

    @property
    def total(self) -> int | None:
        """The number of items according to the API, as of the last complete reading.

        It also counts items that the token may not see. It is None before the first complete
        reading, and if the API sends no total.
        """
        return self._total

    def __repr__(self) -> str:
        return f"<AsyncPaginator of {self._listing.path}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return Items(self.pages())

    def pages(self, start: int = 1) -> AsyncIterator[Page[T]]:
        """Return an iterator over the pages, from number `start` on.

        Raises:
            TypeError: `start` is not an int.
            ValueError: `start` is less than 1.
            APIError: While iterating: a page could not be read. The pages before it were yielded.
                The next step of the same iterator requests the page again.
        """
        checked_count("start", start)
        prefetch: Waves[Answer] | Window
        if self._windows is None:
            prefetch = Waves(self._listing.fetch, self._concurrency, laps=_LAPS)
        else:
            earlier = [window for window in self._windows if not window.ended]
            prefetch = Window(self._listing.fetch, self._concurrency, instead_of=earlier)
            self._windows = [*earlier, prefetch]
        reading = self._reading(start=start, memory=2 * self._concurrency)
        on_end = self._note if start == 1 else None
        return _Pages(self._listing, reading, prefetch, on_end=on_end)

    async def first_page(self) -> Page[T]:
        """Return the first page, with one request.

        Raises:
            APIError: The page could not be read.
        """
        with operation(self._listing.operation):
            answer = await self._listing.fetch(1)
            document = self._listing.read(answer)
            items = self._reading(memory=None).accept(document, answer.request)
        return _page(items, 1, document, answer)

    async def collect(self, *, strict: bool = False) -> list[T]:
        """Return all items, without duplicates.

        If the listing changes while it is read, it is read again, at most twice and within
        `max_pages` pages in all. The first reading without a change is the result, and `settled`
        is true. If every reading saw a change, `settled` is false, and the result has the items of
        all readings that ended, in the order of the last one: every item that was in the listing
        the whole time (unless a change was not detected), but perhaps items that have left it, too.
        So if you remove something because of the result, pass `strict=True`.

        Args:
            strict: Raise an error if every reading saw a change. The default is False.

        Raises:
            APIError: A page could not be read.
            PaginationError: The pages are inconsistent, or don't end in any reading, or with
                `strict`, every reading saw a change.
        """
        with operation(self._listing.operation):
            return await self._collect_settled(strict=strict)

    async def aclose(self) -> None:
        """Stop prefetching, if it is active."""
        windows, self._windows = self._windows, None
        await close(windows or ())

    async def __aenter__(self) -> Self:
        if self._windows is not None:
            raise ClientUsageError(
                "the paginator is already in a `with` block; create another paginator"
            )
        self._windows = []
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _reading(self, *, start: int = 1, memory: int | None) -> Reading[T]:
        return Reading(
            self._listing.key,
            start=start,
            per_page=self._listing.per_page,
            memory=memory,
            widest=self._concurrency,
            max_pages=self._max_pages,
        )

    def _note(self, reading: Reading[T]) -> None:
        self._settled, self._total = not reading.changed, reading.total

    async def _collect_settled(self, *, strict: bool) -> list[T]:
        found: dict[Hashable, T] = {}
        failure: PaginationError | None = None
        pages, any_ended = 0, False
        for _ in range(_READINGS):
            reading = self._reading(memory=None)
            try:
                items = await self._collect(reading)
            except PaginationError as error:
                if not reading.stuck:
                    raise
                failure = error.with_traceback(None)
            else:
                self._note(reading)
                if self._settled:
                    return items
                found, any_ended = self._merged(found, items), True
            pages += reading.number - 1
            if pages + reading.number - 1 > self._max_pages:
                break
        if failure is not None and not any_ended:
            try:
                raise failure
            finally:
                del failure  # which refers to this frame
        if strict:
            reason = "the listing changed while it was read, in every attempt"
            raise PaginationError(reason, self._listing.request(1))
        return list(found.values())

    def _merged(self, found: dict[Hashable, T], items: list[T]) -> dict[Hashable, T]:
        """Return the items of former readings and of the latest one, in the order of that one."""
        latest = {self._listing.key(item): item for item in items}
        # An item without an identity can't be recognized in another reading.
        found = {key: found[key] for key in found if not isinstance(key, Unidentified)}
        return {**latest, **found, **latest}

    async def _collect(self, reading: Reading[T]) -> list[T]:
        items: list[T] = []
        window = Window(self._listing.fetch, self._concurrency, batch=self._concurrency)
        try:
            pages = _Pages(self._listing, reading, window)
            while not reading.ended:
                items += (await pages.advance())[0]
        finally:
            await close([window])
        return items


class _Pages(Generic[T]):
    """The pages of one reading."""

    def __init__(
        self,
        listing: Listing[T],
        reading: Reading[T],
        prefetch: Prefetch,
        *,
        on_end: Callable[[Reading[T]], None] | None = None,
    ) -> None:
        self._listing = listing
        self._reading = reading
        self._prefetch = prefetch
        self._on_end = on_end
        # A step in a closed loop or in a parent process never ends, so it must not block others.
        self._busy_in: AbstractEventLoop | None = None
        self._steps = Steps(listing.operation)

    def __aiter__(self) -> Self:
        return self

    @property
    def ended(self) -> bool:
        """True if the last page was read."""
        return self._reading.ended

    async def __anext__(self) -> Page[T]:
        if self._reading.ended:
            raise StopAsyncIteration
        number = self._reading.number
        with self._steps.step():
            items, document, answer = await self.advance()
        if self._reading.ended:
            self._steps.end()
        return _page(items, number, document, answer)

    async def advance(self) -> tuple[tuple[T, ...], PageDocument[T], Answer]:
        """Return the new items on the next page, its document and its response.

        Raises:
            APIError: The page could not be read.
            ClientUsageError: Another task is reading.
        """
        reading, loop = self._reading, current_loop()
        if loop is not None and self._busy_in is loop:
            raise ClientUsageError(
                "this iterator is already in use by another task; create one for each task"
            )
        reading.check_allowed(self._listing.request)
        self._busy_in = loop
        try:
            answer = await self._prefetch.get(reading.number, reading.limit)
        finally:
            self._busy_in = None
        document = self._listing.read(answer)
        items = reading.accept(document, answer.request)
        if not reading.ended:
            self._prefetch.look_ahead(reading.number, reading.limit)
        elif self._on_end is not None:
            self._on_end(reading)
        return items, document, answer


def _page(items: tuple[T, ...], number: int, document: PageDocument[T], answer: Answer) -> Page[T]:
    return Page(
        items=items,
        number=number,
        total=document.total,
        rate_limit=RateLimit.from_headers(answer.headers),
        request_id=answer.request_id,
        headers=Headers(answer.headers),
    )


publish(globals())
explain_misuse(
    AsyncPaginator,
    "an AsyncPaginator must be read with `async for item in paginator` or "
    "`await paginator.collect()`",
    "__await__",
    "__iter__",
)
explain_misuse(_Pages, NOT_BLOCKING, "__await__", "__iter__")
