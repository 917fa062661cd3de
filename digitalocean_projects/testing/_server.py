"""Server: an HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from aiohttp import web

from ._recording import RecordedRequest
from ._wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.abc import AbstractStreamWriter

    from ._api import Answer


_NO_LINGERING = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class _WebServer(web.Server):
    """A server that knows its connections, and can cut them while they wait for the client."""

    def __init__(self, answer: Callable[[RecordedRequest], Answer | Wire]) -> None:
        super().__init__(self._handle, access_log=None)
        self._answer = answer
        loop = asyncio.get_running_loop()
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._lost: dict[web.RequestHandler, asyncio.Future[None]] = {}
        self._gone = loop.create_future()
        self._gone.set_result(None)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._transports[handler] = transport
        self._lost[handler] = asyncio.get_running_loop().create_future()
        super().connection_made(handler, transport)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        del self._transports[handler]
        self._lost.pop(handler).set_result(None)
        super().connection_lost(handler, exc)

    def abort(self) -> None:
        for transport in self._transports.values():
            transport.abort()

    def reset(self, handler: web.RequestHandler) -> None:
        """End a connection with a RST."""
        with suppress(KeyError, OSError):  # The client has left.
            transport = self._transports[handler]
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING
            )
            transport.abort()

    async def wait(self, handler: web.RequestHandler, seconds: float | None) -> None:
        """Let so many seconds pass (None: all), but no more once the client has left."""
        await asyncio.wait([self._lost.get(handler, self._gone)], timeout=seconds)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.content.read()
        except ConnectionError:
            return _WireResponse(self, Wire())
        recorded = RecordedRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=body,
        )
        answer = self._answer(recorded)
        if isinstance(answer, Wire):
            return _WireResponse(self, answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


class _WireResponse(web.StreamResponse):
    """Bytes in place of an answer; the connection ends after them."""

    def __init__(self, server: _WebServer, wire: Wire) -> None:
        super().__init__()
        self.force_close()
        self._server = server
        self._wire = wire

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        handler, wire = request.protocol, self._wire
        delay = wire.delay
        for chunk in wire.chunks:
            await self._server.wait(handler, delay)
            await request.writer.write(chunk)
            delay = wire.pause
        if wire.end == "wait":
            await self._server.wait(handler, None)
        elif wire.end == "reset":
            self._server.reset(handler)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class Server:
    """Answers every request with what `answer` returns, called in the server's thread.

    A `Wire` goes to the socket as it is, and ends the connection.

    Raises:
        OSError: The port is taken, or the host isn't this machine's.
    """

    def __init__(
        self, answer: Callable[[RecordedRequest], Answer | Wire], host: str, port: int
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
        server = _WebServer(self._answer)
        listener = await loop.create_server(server, sock=self._socket)
        await asyncio.wrap_future(self._stopping)
        # A connection that the loop has accepted, but not made, would be lost by the close.
        loop.remove_reader(self._socket)
        for _ in range(3):
            await asyncio.sleep(0)
        listener.close()
        server.abort()
