"""Server: an HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web
from aiohttp.http import HttpProcessingError

from ._answer import Wire
from ._recording import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiohttp.abc import AbstractStreamWriter

    from ._answer import Answer
    from ._site import Site


_NO_LINGERING = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_BODY_SECONDS = 60.0
# The seconds in which a client must finish sending a body that was refused.
_LINGERING_SECONDS = 2.0


class _RequestHandler(web.RequestHandler):
    """A connection that refuses malformed requests without logging their content."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that can't be parsed, or whose handler has failed."""
        if isinstance(exc, HttpProcessingError):
            return _malformed()
        return super().handle_error(request, status, exc, message)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an exception, except for the malformed rest of a body that is no longer read."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)


class _WebServer(web.Server):
    """A server that knows its connections, and can end them while they wait for the client."""

    def __init__(self, site: Site) -> None:
        super().__init__(self._handle)
        self._site = site
        loop = asyncio.get_running_loop()
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._lost: dict[web.RequestHandler, asyncio.Future[None]] = {}
        self._gone = loop.create_future()
        self._gone.set_result(None)

    def __call__(self) -> web.RequestHandler:
        options: dict[str, Any] = {"access_log": None, "lingering_time": _LINGERING_SECONDS}
        return _RequestHandler(self, loop=asyncio.get_running_loop(), **options)

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
        """Wait until the client has left, at most these seconds; None sets no maximum."""
        await asyncio.wait([self._lost.get(handler, self._gone)], timeout=seconds)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        recorded = RecordedRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=b"",
        )
        if self._site.wants_body(recorded):
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    body = await self._body(request)
            except (ConnectionError, TimeoutError):
                return _WireResponse(self, Wire())
            except web.RequestPayloadError:
                return _malformed()
            if body is None:
                response = _response(self._site.refuse_body(recorded))
                response.force_close()
                return response
            recorded = attrs.evolve(recorded, body=body)
        if delay := self._site.delay(recorded):
            await self.wait(request.protocol, delay)
        answer = self._site.answer(recorded)
        return _WireResponse(self, answer) if isinstance(answer, Wire) else _response(answer)

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """Return the body of a request, or None as soon as it exceeds the maximum."""
        most, length, pieces = self._site.max_body, request.content_length or 0, list[bytes]()
        if length <= most:
            length = 0
            async for piece in request.content.iter_any():
                length += len(piece)
                if length > most:
                    break
                pieces.append(piece)
        return b"".join(pieces) if length <= most else None


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _malformed() -> web.Response:
    document = {"id": "bad_request", "message": "The request is malformed."}
    response = web.json_response(document, status=400)
    response.force_close()
    return response


def _head(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a response up to the end of its headers."""
    sent = b""
    for chunk in chunks:
        sent += chunk
        if (end := sent.find(b"\r\n\r\n")) >= 0:
            yield chunk[: end + 4 - len(sent) + len(chunk)]
            return
        yield chunk


class _WireResponse(web.StreamResponse):
    """Raw bytes in place of an answer; the connection ends after them."""

    def __init__(self, server: _WebServer, wire: Wire) -> None:
        super().__init__()
        self.force_close()
        self._server = server
        self._wire = wire

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        handler, wire = request.protocol, self._wire
        delay = wire.delay
        for chunk in _head(wire.chunks) if request.method == "HEAD" else wire.chunks:
            await self._server.wait(handler, delay)
            await request.writer.write(chunk)
            delay = wire.pause
        if wire.end == "wait":
            await self._server.wait(handler, None)
        elif wire.end == "reset":
            self._server.reset(handler)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing: `prepare` has written everything."""


class Server:
    """An HTTP server that sends the answers of a site.

    A `Wire` is sent unchanged, and ends the connection.

    Raises:
        OSError: The port is in use, or the host is not an address of this machine.
    """

    def __init__(self, site: Site, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # All addresses of the machine include those of IPv4.
        dual = ":" in host and not host.strip("0:") and socket.has_dualstack_ipv6()
        self._socket = socket.create_server((host, port), family=family, dualstack_ipv6=dual)
        self._site = site
        self._stopping: Future[None] = Future()
        self._thread = Thread(target=self._run, name="emulator", daemon=True)
        bound_host, self.port = self._socket.getsockname()[:2]
        # An address for all addresses of the machine is not one to connect to.
        bound_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound_host, bound_host)  # noqa: S104 - not bound
        if ":" in bound_host:
            bound_host = f"[{bound_host}]"
        self.url = f"http://{bound_host}:{self.port}"

    def start(self) -> None:
        """Start to answer, including connections that were made since the object was created."""
        self._thread.start()

    def stop(self) -> None:
        """End all connections, and wait for the end of the thread and of all sockets."""
        # An earlier call may have been interrupted.
        if not self._stopping.done():
            self._stopping.set_result(None)
        self._thread.join()

    def _run(self) -> None:
        # `_serve` needs a loop with readers, which that of the current policy may lack.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = _WebServer(self._site)
        listener = await loop.create_server(server, sock=self._socket)
        await asyncio.wrap_future(self._stopping)
        # The loop may have accepted a connection without creating its transport yet. A close would
        # leak it, so accept no more, and let the loop finish those first.
        loop.remove_reader(self._socket)
        for _ in range(3):
            await asyncio.sleep(0)
        listener.close()
        server.abort()
