"""Listing: a collection that the API returns in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar

import attrs

from digitalocean_projects._described import Request
from digitalocean_projects._public import explain_misuse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator
    from contextlib import AbstractAsyncContextManager

    from digitalocean_projects._codec.json import PageDocument
    from digitalocean_projects._codec.models import HasItems
    from digitalocean_projects._session.manager import SessionManager
    from digitalocean_projects._session.transport import Answer

T = TypeVar("T")
NOT_BLOCKING = "an asynchronous iterator must be read with `async for`"


class Unidentified:
    """The key of an item without an identity, which equals no other key."""

    __slots__ = ()


@attrs.define(kw_only=True, eq=False, repr=False)  # 0.5 µs, and 0.9 if it were frozen
class Listing(Generic[T]):
    """A collection that the API lists page by page.

    Args:
        manager: The session manager that sends the requests.
        path: The collection's path.
        decode: Function that returns the page in the body of a response.
        key: Function that returns the identity of an item; a new `Unidentified` if it has none.
        per_page: The number of items to request for a page; the API may send fewer.
        scopes: The scopes that a token needs.
        query: The query without `page` and `per_page`, encoded.
        operation: The name of the operation, for spans.
        gate: A context manager that is held during each request, or None.
    """

    manager: SessionManager
    path: str
    decode: Callable[[bytes], PageDocument[T]]
    key: Callable[[T], Hashable]
    per_page: int
    scopes: tuple[str, ...] = ()
    query: str = ""
    operation: str = "paginate"
    gate: AbstractAsyncContextManager[object] | None = None

    def request(self, number: int) -> Request:
        """Return the request for a page. Links are never followed: they may name any host."""
        query = f"{self.query}&" if self.query else ""
        path = f"{self.path}?{query}page={number}&per_page={self.per_page}"
        return Request(method="GET", path=path, prefix=self.manager.prefix, scopes=self.scopes)

    async def fetch(self, number: int) -> Answer:
        """Return the response for a page."""
        if self.gate is None:
            return await self.manager.request(self.request(number))
        async with self.gate:
            return await self.manager.request(self.request(number))

    def read(self, answer: Answer) -> PageDocument[T]:
        """Return the document of a page."""
        return answer.decode(self.decode)


class Items(Generic[T]):
    """An iterator over the items of pages."""

    def __init__(self, pages: AsyncIterator[HasItems[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            page = await anext(self._pages)
            self._items = iter(page.items)


explain_misuse(Items, NOT_BLOCKING, "__await__", "__iter__")
