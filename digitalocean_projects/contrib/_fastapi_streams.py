"""Streams: listings as JSON lines, and an end for work whose reader has left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from digitalocean_projects._codec import encode_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from fastapi.requests import Request
    from starlette.types import Receive, Scope, Send

    from digitalocean_projects import AsyncPaginator, Project, Resource

T = TypeVar("T")


async def until_disconnected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the browser, or whoever asked, has left before.

    Args:
        request: The request, whose body has been read, as FastAPI does for an endpoint's arguments.
        work: A coroutine, such as that of a client's method.

    Raises:
        ClientDisconnect: Nobody waits any more; `exception_handlers` has an end for it.
    """
    return await _while_connected(request.receive, work)


class JSONLinesResponse(Response):
    """A listing as a stream, with one JSON object a line, page by page as they come.

    The first page is read before the answer begins, so what fails until then is answered as any
    other error is. A failure behind that breaks the connection off, so that nobody takes what has
    come for the whole. When the reader leaves, what is under way is cancelled.

    Args:
        paginator: What to list, such as `client.projects.list_resources()`.
        status_code: The answer's status.
        headers: More headers.
    """

    media_type = "application/jsonl"

    def __init__(
        self,
        paginator: AsyncPaginator[Resource] | AsyncPaginator[Project],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._paginator: AsyncPaginator[Any] = paginator
        self.status_code = status_code
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send it, until it has ended or the reader has left."""
        with suppress(ClientDisconnect):
            await _while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        pages = self._paginator.pages()
        page = await anext(pages, None)
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        while page is not None:
            lines = encode_lines(page.items)
            await send({"type": "http.response.body", "body": lines, "more_body": True})
            page = await anext(pages, None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _while_connected(receive: Receive, work: Awaitable[T]) -> T:
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_disconnection(receive))
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
