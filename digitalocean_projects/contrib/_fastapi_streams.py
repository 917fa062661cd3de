"""Streams: listings as JSON lines, and an end for work whose reader has left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from digitalocean_projects._codec import encode_lines

from ._fastapi_problems import CLIENT_CLOSED_REQUEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from fastapi.requests import Request
    from starlette.background import BackgroundTask
    from starlette.types import Receive, Scope, Send

    from digitalocean_projects import AsyncPaginator, Project, Resource

T = TypeVar("T")


async def until_disconnected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the browser, or whoever asked, has left before.

    Args:
        request: The request, whose body is read first, if it wasn't.
        work: A coroutine, such as that of a client's method.

    Raises:
        ClientDisconnect: Nobody waits any more; `exception_handlers` has an end for it.
    """
    working = asyncio.ensure_future(work)
    try:
        # What came of it while the end is waited for could not be read again.
        with suppress(RuntimeError):  # it was read as a stream
            await request.body()
        return await _while_connected(request.receive, working)
    finally:
        await _end(working)
        del working


class JSONLinesResponse(Response):
    """A listing as a stream, with one JSON object a line, page by page as they come.

    The first page is read before the answer begins, so what fails until then is answered as any
    other error is. A failure behind that breaks the connection off, so that nobody takes what has
    come for the whole, unless a middleware of the kind of `@app.middleware("http")` ends it as if
    nothing was wrong. When the reader leaves, what is under way is cancelled.

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
        # Set by FastAPI, for the tasks that an endpoint has left for later.
        self.background: BackgroundTask | None = None
        self._begun = False
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it has ended or the reader has left."""
        # A reader who has left shows in what is received, or in what is sent.
        with suppress(ClientDisconnect, OSError):
            await _while_connected(receive, self._send(send))
        if not self._begun:
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _send(self, send: Send) -> None:
        pages = self._paginator.pages()
        page = await anext(pages, None)
        self._begun = True
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
        watching.result()
        raise ClientDisconnect
    finally:
        await _end(working, watching)
        # Their errors hold this frame.
        del work, working, watching


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
