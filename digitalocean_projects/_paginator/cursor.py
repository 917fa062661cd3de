"""Cursor: the position of a reading of a listing, and the items that it has seen."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from digitalocean_projects._errors import PaginationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from digitalocean_projects._codec.json import PageDocument
    from digitalocean_projects._described import Request

T = TypeVar("T")


class Reading(Generic[T]):
    """A reading of a listing, page after page: a state machine without I/O.

    A listing is not a snapshot: additions and removals move the other items to other pages. So a
    reading drops repeats, and notes the signs of a change: totals or last pages that differ
    between pages, repeats, links of a wrong type, and an end before or after the announced last
    page.

    Args:
        key: Returns the identity of an item.
        start: The number of the first page.
        per_page: The number of items that a page may hold.
        memory: The number of previous pages with which items are compared to drop repeats; None
            for all.
        widest: The maximum number of pages to fetch ahead while the number of pages is unknown.
        max_pages: The maximum number of pages to read.

    Attributes:
        number: The page to read next.
        limit: The last page that probably exists.
        ended: True if the last page was read.
        changed: True if there was a sign of a change.
        stuck: True if a page had only repeated items, and more than the total has grown by. Either
            the pages never end, or items have moved there meanwhile.
        total: The number of items according to the first page that has it; None if none has.
    """

    def __init__(
        self,
        key: Callable[[T], Hashable],
        *,
        start: int = 1,
        per_page: int,
        memory: int | None,
        widest: int,
        max_pages: int,
    ) -> None:
        self.number = start
        self.limit = start
        self.ended = False
        self.changed = False
        self.stuck = False
        self._key = key
        self._start = start
        self._per_page = per_page
        self._seen: set[Hashable] = set()
        self._remembered: deque[Collection[Hashable]] = deque()
        self._memory = memory
        self._step = 1
        self._widest = widest
        self._last_allowed = start + max_pages - 1
        self._repeats = 0
        self._received = 0
        self.total: int | None = None
        self._last: int | None = None

    def accept(self, document: PageDocument[T], request: Request) -> tuple[T, ...]:
        """Add page `number` to the reading, and return the new items on it.

        Raises:
            PaginationError: The pages don't advance, or don't end. The page was not added. If it
                has only repeated items, `stuck` is true.
        """
        if document.more and document.next not in {None, self.number + 1}:
            reason = f"page {self.number} must link to the next page, got page {document.next}"
            raise PaginationError(reason, request)
        more = document.more or self._lacks_link(document)
        new = tuple(document.items)
        # To ask for the keys again takes 1 % of the CPU time of a listing.
        keys = document.keys or [*map(self._key, new)]
        if not self._see_if_new(keys):
            by_key = dict(zip(keys, new, strict=True))
            new = tuple(item for key, item in by_key.items() if key not in self._seen)
            repeats = self._repeats + len(by_key)
            self.stuck = more and not new and repeats > self._growth(document)
            if self.stuck:
                follows = "links to a next page" if document.more else "lacks a link to a next page"
                reason = f"page {self.number} has only repeated items, but {follows}"
                raise PaginationError(reason, request)
            self._repeats = repeats
            self._seen.update(keys)
        if new:
            self._repeats = 0
        self._look_for_change(document, more=more, repeats=len(document.items) - len(new))
        self._look_ahead(document)
        self._remember(keys)
        self.number += 1
        self.ended = not more
        return new

    def check_allowed(self, request: Callable[[int], Request]) -> None:
        """Check that the next page is within `max_pages`.

        Args:
            request: Returns the request for a page.

        Raises:
            PaginationError: The next page exceeds `max_pages`.
        """
        if self.number > self._last_allowed:
            last = f"max_pages allows no page after page {self.number - 1}, but there is one"
            reason = f"{last}; pass a larger max_pages"
            raise PaginationError(reason, request(self.number))

    def _see_if_new(self, keys: Collection[Hashable]) -> bool:
        """Add the keys to those seen and return True, or return False if one is a repeat."""
        if self.changed and (len(set(keys)) < len(keys) or not self._seen.isdisjoint(keys)):
            return False
        before = len(self._seen)
        self._seen.update(keys)
        if len(self._seen) == before + len(keys):
            return True
        self._seen = set().union(*self._remembered)
        return False

    def _lacks_link(self, document: PageDocument[T]) -> bool:
        """Return True for a full page without links if the total is larger: another one follows."""
        read = max(self.number * self._per_page, self._received + len(document.items))
        return (
            document.last is None
            and len(document.items) >= self._per_page
            and (document.total or 0) > read
        )

    def _growth(self, document: PageDocument[T]) -> int:
        """Return the number of items added to the listing since the first page was read.

        This number of items may repeat in a row.
        """
        return 0 if self.total is None else (document.total or 0) - self.total

    def _look_for_change(self, document: PageDocument[T], *, more: bool, repeats: int) -> None:
        self._received += len(document.items)
        if self.total is None:
            self.total = document.total
        if self._last is None:
            self._last = document.last
        self.changed = (
            self.changed
            or repeats > 0
            or document.garbled
            or document.total not in {None, self.total}
            or document.last not in {None, self._last}
            or self._contradicts(more=more)
        )

    def _contradicts(self, *, more: bool) -> bool:
        """Return True if the listing ends before its announced last page, or continues after it."""
        if self._last is not None:
            # A reading that starts after the last page ends with its first page.
            last = max(self._last, self._start)
            return self.number >= last if more else self.number != last
        # A page lacks the items that the token may not see, but no page is missing.
        most = max(self.number * self._per_page, self._received)
        return not more and self.total is not None and self.total > most

    def _look_ahead(self, document: PageDocument[T]) -> None:
        last = document.last
        if last is None and document.total is not None and document.items:
            last = -(-document.total // len(document.items))
        if last is None or last <= self.number:
            last = self.number + self._step
            self._step = min(2 * self._step, self._widest)
        self.limit = min(last, self._last_allowed)

    def _remember(self, keys: Collection[Hashable]) -> None:
        self._remembered.append(keys)
        if self._memory is not None and len(self._remembered) > self._memory:
            self._seen.difference_update(self._remembered.popleft())
            if self.changed:
                # A key of the page that was dropped may be on a later page, too.
                self._seen.update(*self._remembered)
