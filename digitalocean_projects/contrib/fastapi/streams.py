"""Streams: listings as JSON lines, and the cancellation of work after a disconnection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import suppress
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, TypeVar

from fastapi.requests import HTTPConnection, Request
from fastapi.responses import Response
from pydantic import TypeAdapter
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from digitalocean_projects import AsyncInventory, Inventory, Page, Paginator, Project, Resource
from digitalocean_projects._arguments import checked_count
from digitalocean_projects._codec.json import encode_lines
from digitalocean_projects._paginator.paginator import AsyncPaginator

from .problems import CLIENT_CLOSED_REQUEST, log, problem

T = TypeVar("T")

_DEFAULT_MAX_HTTP10_BODY = 16 * 1024 * 1024
# In these versions of HTTP the end of the connection ends a stream, whether it is complete or not.
_VERSIONS_WITHOUT_CHUNKS = frozenset({"0.9", "1.0"})


async def until_disconnected(request: Request, work: Awaitable[T]) -> T:
    """Return the result of `work`, or cancel it when the sender of the request disconnects.

    If you need the body of the request, read it before this call, which drops the body as it
    arrives. A later attempt to read it raises Starlette's `RuntimeError`.

    Args:
        request: The request.
        work: An awaitable, such as the coroutine of a client's method.

    Raises:
        ClientDisconnect: The sender has disconnected. `exception_handlers` handles it.
        TypeError: `work` can't be awaited, such as the result of a blocking client.
    """
    if not isawaitable(work):
        kind = type(work).__name__
        del work
        raise TypeError(
            f"work must be awaitable, got {kind}; pass the call of a method of an AsyncClient"
        )
    # The wait for a disconnection consumes the parts of the body that arrive before it. Without the
    # flag, Starlette would return the rest as the whole body, or wait for a part that never comes.
    request._stream_consumed = True  # noqa: SLF001 - there is no public way
    try:
        return await _while_connected(request.receive, work)
    finally:
        # The error of a task refers to this frame.
        del work


class JSONLinesResponse(Response):
    """A listing as a stream of JSON lines, page by page, in the JSON of the API.

    The first page is read before the response begins, so an error in it is handled like any other
    error. A later error aborts the connection, so the caller can detect that the listing is
    incomplete: over HTTP/1.1 the last chunk is missing, and over HTTP/2 the end of the stream. (A
    middleware made by `@app.middleware("http")` hides that.) HTTP/1.0 has neither, so the whole
    listing is collected first and sent with its length. A HEAD request reads only the first page.
    When the caller disconnects, the pending requests are cancelled.

    Args:
        paginator: The listing, such as `client.projects.list_resources()` of an `AsyncClient`.
        status_code: The HTTP status of the response.
        headers: Additional headers.
        max_http10_body: The maximum size in bytes of a listing over HTTP/1.0, 16 MiB by default.
            For a longer one, the response is a problem document with the status 505.

    Raises:
        TypeError: `paginator` is not an `AsyncPaginator`, or `max_http10_body` is not an int.
        ValueError: `max_http10_body` is less than 1.
    """

    media_type = "application/jsonl"

    def __init__(
        self,
        paginator: AsyncPaginator[Resource] | AsyncPaginator[Project],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        max_http10_body: int = _DEFAULT_MAX_HTTP10_BODY,
    ) -> None:
        if isinstance(paginator, Coroutine):
            paginator.close()  # it was never awaited, which is no second fault
        if not isinstance(paginator, AsyncPaginator):
            raise TypeError(
                f"paginator must be an AsyncPaginator, got {type(paginator).__name__}; "
                f"{_HINTS.get(type(paginator), _HINT)}"
            )
        self._paginator: AsyncPaginator[Any] = paginator
        self._max_http10_body = checked_count("max_http10_body", max_http10_body)
        self.status_code = status_code
        # FastAPI sets it if the endpoint has background tasks.
        self.background: BackgroundTask | None = None
        self._begun = False
        self.init_headers(headers)

    @staticmethod
    def responses(item: type[Resource | Project]) -> dict[int | str, dict[str, Any]]:
        """Return the description of a stream of items for the OpenAPI document.

        Pass it to the endpoint as `responses=JSONLinesResponse.responses(Resource)`, together with
        `response_class=JSONLinesResponse`. As in FastAPI's own streams, the type of a line is the
        `itemSchema` of OpenAPI 3.2.

        Args:
            item: `Resource` or `Project`.

        Raises:
            TypeError: `item` is another class.
        """
        if item not in {Resource, Project}:
            raise TypeError(f"item must be Resource or Project, got {item!r}")
        schema = TypeAdapter(item).json_schema(mode="serialization")
        content = {JSONLinesResponse.media_type: {"itemSchema": _inlined(schema, schema)}}
        return {200: {"content": content}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the listing until it has ended or the caller has disconnected."""

        async def send_to_reader(message: Message) -> None:
            self._begun = True
            try:
                await send(message)
            except OSError:
                raise ClientDisconnect from None

        with suppress(ClientDisconnect):
            await _while_connected(receive, self._send(scope, receive, send_to_reader))
        if not self._begun:
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        pages = self._paginator.pages()
        page = await anext(pages, None)
        if scope.get("method") == "HEAD":
            page = None
        elif scope.get("http_version") in _VERSIONS_WITHOUT_CHUNKS:
            response = await self._collected(page, pages)
            await (response or self._too_long(scope))(scope, receive, send)
            return
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        while page is not None:
            lines = encode_lines(page.items)
            await send({"type": "http.response.body", "body": lines, "more_body": True})
            page = await anext(pages, None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _collected(
        self, page: Page[Any] | None, pages: AsyncIterator[Page[Any]]
    ) -> Response | None:
        """Return a response that holds the whole listing, or None if it is too long."""
        parts, length = [], 0
        while page is not None:
            parts.append(encode_lines(page.items))
            length += len(parts[-1])
            if length > self._max_http10_body:
                return None
            page = await anext(pages, None)
        # One message: a middleware that compresses would drop the length of a stream.
        response = Response(b"".join(parts), self.status_code)
        response.raw_headers = [*self.raw_headers, (b"content-length", b"%d" % length)]
        return response

    def _too_long(self, scope: Scope) -> Response:
        most = self._max_http10_body
        detail = f"the listing is longer than the {most} bytes allowed over HTTP/1.0"
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        log(HTTPConnection(scope), status, f"{detail}; set proxy_http_version 1.1", None)
        return problem(status, detail=detail)


_HINT = "pass client.projects.list_resources(…) itself, without collect()"
_HINTS: dict[type, str] = {
    Paginator: "declare `client: AsyncClientDep`, whose listings are AsyncPaginators",
    **dict.fromkeys(
        (Inventory, AsyncInventory),
        "only the listing of one project can be streamed; return `await inventory.collect()`",
    ),
}


def _inlined(schema: Any, root: dict[str, Any]) -> Any:
    """Return a schema with its definitions in place of the references to them."""
    if isinstance(schema, list):
        return [_inlined(each, root) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    return {name: _inlined(value, root) for name, value in schema.items() if name != "$defs"}


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
        # Their errors refer to this frame.
        del work, working, watching


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
