"""Server: an HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ._recording import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter

    from ._handlers import Answer


class _RawResponse(web.StreamResponse):
    """Bytes in place of an answer; the connection ends after them."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.force_close()
        self._data = data

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        await request.writer.write(self._data)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class _WebServer(web.Server):
    """A server that can cut its connections, also those that wait for a client to read."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any
    ) -> None:
        super().__init__(handler, **options)
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._transports[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        del self._transports[handler]
        super().connection_lost(handler, exc)

    def abort(self) -> None:
        for transport in self._transports.values():
            transport.abort()


class Server:
    """Answers every request with what `answer` returns, called in the server's thread.

    An answer of bare bytes goes to the socket as it is, and the connection is closed.

    Raises:
        OSError: The port is taken, or the host isn't this machine's.
    """

    def __init__(
        self, answer: Callable[[RecordedRequest], Answer | bytes], host: str, port: int
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._answer = answer
        self._stopping: Future[None] = Future()
        self._thread = Thread(target=self._run, name="emulator", daemon=True)
        bound_host, self.port = self._socket.getsockname()[:2]
        if ":" in bound_host:
            bound_host = f"[{bound_host}]"
        self.url = f"http://{bound_host}:{self.port}"

    def start(self) -> None:
        """Begin to answer; connections made since the object was made are waiting."""
        self._thread.start()

    def stop(self) -> None:
        """Cut all connections; when this returns, thread and sockets are gone."""
        self._stopping.set_result(None)
        self._thread.join()

    def _run(self) -> None:
        # Whatever event loop policy is set, `_serve` needs a loop with readers.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = _WebServer(self._handle, access_log=None)
        listener = await loop.create_server(server, sock=self._socket)
        await asyncio.wrap_future(self._stopping)
        # A connection that the loop has accepted, but not made, would be lost by the close.
        loop.remove_reader(self._socket)
        for _ in range(3):
            await asyncio.sleep(0)
        listener.close()
        server.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.content.read()
        except ConnectionError:
            return _RawResponse(b"")
        recorded = RecordedRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=body,
        )
        answer = self._answer(recorded)
        if isinstance(answer, bytes):
            return _RawResponse(answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
