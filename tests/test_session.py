"""Answers, right and wrong, as they come over a real socket."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import struct
import time
import tracemalloc
import weakref
import zlib
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    RetryPolicy,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from digitalocean_projects import APIError
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]
    Operation = Callable[[AsyncClient], Awaitable[list[str]]]
    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLET = "do:droplet:1"
DOCUMENT = json.dumps({"resources": [{"urn": DROPLET}]}).encode()
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
MEGABYTE = b"x" * 2**20


async def listed(client: AsyncClient) -> list[str]:
    """The URNs on the first page."""
    page = await client.projects.list_resources().first_page()
    return [str(resource.urn) for resource in page.items]


async def assigned(client: AsyncClient) -> list[str]:
    """The URNs in the answer to an assignment."""
    result = await client.projects.assign_resources("default", [DROPLET])
    return [str(resource.urn) for resource in result.resources]


async def refused(
    error_class: type[APIError], client: AsyncClient, operation: Operation = listed
) -> Any:
    """The exception that is raised: of this class, and of none below it."""
    async with client:
        with pytest.raises(error_class) as caught:
            await operation(client)
    assert error_class is caught.type
    return caught.value


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that leaves each connection to `handler`."""
    tasks = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with suppress(ConnectionError, EOFError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for task in filter(None, tasks):
        await task


async def head(reader: asyncio.StreamReader) -> bytes:
    """A request up to its body."""
    return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize("operation", [listed, assigned])
async def test_success(
    make_client: MakeClient, emulator: Emulator, operation: Operation, status: int
) -> None:
    """Any 2xx with the document is a success."""
    emulator.respond(status, DOCUMENT)
    async with make_client() as client:
        assert [DROPLET] == await operation(client)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xef\xbb\xbf" + DOCUMENT, {}),
        (DOCUMENT, {"Content-Type": "text/plain"}),
        (DOCUMENT, {"Content-Type": "application/json; charset=latin-1"}),
        (gzip.compress(DOCUMENT), {"Content-Encoding": "gzip"}),
        (zlib.compress(DOCUMENT), {"Content-Encoding": "deflate"}),
        (b"%x\r\n%b\r\n0\r\n\r\n" % (len(DOCUMENT), DOCUMENT), {"Transfer-Encoding": "chunked"}),
    ],
    ids=["BOM", "text", "charset", "gzip", "deflate", "chunked"],
)
async def test_encodings(
    make_client: MakeClient, emulator: Emulator, body: bytes, headers: dict[str, str]
) -> None:
    """Neither a byte order mark nor the label nor compression nor chunks change an answer."""
    emulator.respond(200, body, headers)
    async with make_client() as client:
        assert [DROPLET] == await listed(client)


@pytest.mark.parametrize("operation", [listed, assigned])
@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><title>Welcome</title>",
        b'{"resources": [{"urn": "droplet 1"}]}',
        b'{"resources": [], "x": %b}' % (b"[" * 10**5 + b"]" * 10**5),
    ],
    ids=["no JSON", "no URN", "too deep"],
)
async def test_another_document(
    make_client: MakeClient, emulator: Emulator, operation: Operation, body: bytes
) -> None:
    """A success that isn't the documented document is an error, which says where to look."""
    emulator.respond(200, body, {"X-Request-Id": "id-1"})
    error = await refused(APIResponseError, make_client(), operation)
    sent = emulator.requests[0]
    assert (200, "id-1", sent.method) == (error.status, error.request_id, error.method)
    assert sent.path == error.path.partition("?")[0]
    assert f"{error.reason} ({error.method} {error.path}, request id id-1)" == str(error)
    assert str(error).isprintable()


async def test_no_content(make_client: MakeClient, emulator: Emulator) -> None:
    """An answer without a body is no document either."""
    emulator.respond_raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    error = await refused(APIResponseError, make_client())
    assert 204 == error.status


@pytest.mark.parametrize("status", [302, 304, 308])
@pytest.mark.parametrize("operation", [listed, assigned])
async def test_redirect(
    make_client: MakeClient, emulator: Emulator, operation: Operation, status: int
) -> None:
    """A redirect isn't followed."""
    emulator.respond(status, headers={"Location": f"{emulator.url}/elsewhere"})
    error = await refused(APIStatusError, make_client(), operation)
    assert (status, 1) == (error.status, len(emulator.requests))


@pytest.mark.parametrize("status", [0, 101, 600, 999])
async def test_odd_status(make_client: MakeClient, emulator: Emulator, status: int) -> None:
    """A status that means nothing is a refusal."""
    emulator.respond_raw(f"HTTP/1.1 {status:03} ?\r\nContent-Length: 0\r\n\r\n".encode())
    error = await refused(APIStatusError, make_client())
    assert status == error.status


GZIP = OK + b"Content-Encoding: gzip\r\n"
CLOSED = "{url} closed the connection without a complete response"
CUT_OFF = "the response body is incomplete or malformed"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", CLOSED),
        (b"HTTP/1.1 200", CLOSED),
        (OK, CLOSED),
        (OK + b"Content-Length: 999\r\n\r\n" + DOCUMENT, CUT_OFF),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + DOCUMENT, CUT_OFF),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n36\r\n" + DOCUMENT, CUT_OFF),
        (GZIP + b"\r\n" + DOCUMENT, CUT_OFF),
        (GZIP + b"Content-Length: 999\r\n\r\n" + gzip.compress(DOCUMENT), CUT_OFF),
    ],
    ids=[
        "nothing",
        "part of a line",
        "part of the headers",
        "too few bytes",
        "part of a chunk",
        "no last chunk",
        "no gzip",
        "too few bytes of gzip",
    ],
)
@pytest.mark.parametrize("operation", [listed, assigned])
async def test_cut_off(
    make_client: MakeClient, emulator: Emulator, operation: Operation, data: bytes, text: str
) -> None:
    """An answer that ends before its end is none."""
    emulator.respond_raw(data)
    error = await refused(APIConnectionError, make_client(), operation)
    (sent,) = emulator.requests
    assert (sent.method, 1) == (error.method, error.attempts)
    text = text.format(url=emulator.url)
    assert f"{text} ({error.method} {error.path})" == str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        DOCUMENT + b"\r\n\r\n",
        OK + b"no header\r\n\r\n" + DOCUMENT,
        OK + b"X: \x00\r\n\r\n" + DOCUMENT,
        OK + b"Content-Length: -1\r\n\r\n" + DOCUMENT,
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + DOCUMENT,
        OK + b"Content-Length: 5\r\n\r\n" + DOCUMENT,
        OK + b"Transfer-Encoding: chunked\r\n\r\nlots\r\n" + DOCUMENT,
        b"HTTP/1.1 200 " + MEGABYTE + b"\r\n\r\n" + DOCUMENT,
        OK + b"X: " + MEGABYTE + b"\r\n\r\n" + DOCUMENT,
        OK + MEGABYTE + b": x\r\n\r\n" + DOCUMENT,
        OK + b"X: x\r\n" * 10**5 + b"\r\n" + DOCUMENT,
    ],
    ids=lambda data: f"{data[-40:] if len(data) < 1000 else data[:40]!r}",
)
async def test_no_http(make_client: MakeClient, emulator: Emulator, data: bytes) -> None:
    """Invalid or excessive HTTP is an error that doesn't repeat it."""
    emulator.respond_raw(data)
    error = await refused(APIResponseError, make_client())
    assert ("the response is not valid HTTP", None) == (error.reason, error.status)
    assert 1 == len(emulator.requests)


async def test_reset(make_client: MakeClient) -> None:
    """A connection that the server resets is a failed one."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with serving(reset) as address:
        error = await refused(APIConnectionError, make_client(base_url=f"http://{address}"))
    lost = f"the connection to http://{address} was lost: connection reset by peer ("
    assert str(error).startswith(lost)


async def test_connection_refused(make_client: MakeClient) -> None:
    """Where nobody listens, there is no answer; the error names the place and the cause."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
    error = await refused(APIConnectionError, make_client(base_url=f"http://{address}"))
    assert str(error).startswith(f"cannot connect to http://{address}: connection refused (GET ")


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes) -> None:
    """Answer without end, a byte at a time."""
    await head(reader)
    writer.write(start)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Answer nothing."""
    await reader.read()


@pytest.mark.parametrize(
    "handler",
    [
        silence,
        partial(drip, start=b"HTTP/1.1 200 "),
        partial(drip, start=OK + b"X: "),
        partial(drip, start=OK + b"Content-Length: 9999\r\n\r\n"),
        partial(drip, start=OK + b"\r\n" + DOCUMENT),
    ],
    ids=["silence", "status line", "headers", "body", "body without length"],
)
async def test_slow(make_client: MakeClient, handler: Handler) -> None:
    """An answer has to be whole within the time-out, however often a byte of it comes."""
    async with serving(handler) as address:
        client = make_client(base_url=f"http://{address}", timeout=0.1)
        start = time.monotonic()
        error = await refused(APITimeoutError, client)
    assert time.monotonic() - start >= 0.1
    assert 1 == error.attempts


async def test_slow_connection(make_client: MakeClient) -> None:
    """Making a connection, with the TLS handshake, has a time-out of its own."""
    async with serving(silence) as address:
        client = make_client(base_url=f"https://{address}", connect_timeout=0.1)
        start = time.monotonic()
        await refused(APITimeoutError, client)
    assert time.monotonic() - start >= 0.1


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: bytes) -> None:
    """Answer without end, fast."""
    await head(reader)
    writer.write(b"HTTP/1.1 %b ?\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
    while True:
        writer.write(b"100000\r\n%b\r\n" % MEGABYTE)
        await writer.drain()


@pytest.mark.parametrize("status", [b"200", b"400", b"500"])
async def test_endless(make_client: MakeClient, status: bytes) -> None:
    """A body is read up to a limit, that of an error too; memory is bounded by it."""
    async with serving(partial(flood, status=status)) as address:
        client = make_client(base_url=f"http://{address}")
        error = await refused(APIResponseError, client)
    assert ("the response body exceeds 16777216 bytes (max_body)", int(status)) == (
        error.reason,
        error.status,
    )


async def test_bomb(make_client: MakeClient, emulator: Emulator) -> None:
    """The limit is one of decompressed bytes, and the rest is never decompressed."""
    bomb = gzip.compress(bytes(2**26))
    emulator.respond(200, bomb, {"Content-Encoding": "gzip"})
    client = make_client(max_body=2**20)
    tracemalloc.start()
    try:
        error = await refused(APIResponseError, client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "the response body exceeds 1048576 bytes (max_body)" == error.reason
    assert peak < 2**24


async def test_max_body(make_client: MakeClient, emulator: Emulator) -> None:
    """A body may have `max_body` bytes; the error for a longer one has the status and the id."""
    emulator.respond(200, DOCUMENT, {"X-Request-Id": "id-1"}, times=2)
    async with make_client(max_body=len(DOCUMENT)) as client:
        assert [DROPLET] == await listed(client)
    error = await refused(APIResponseError, make_client(max_body=len(DOCUMENT) - 1))
    assert f"the response body exceeds {len(DOCUMENT) - 1} bytes (max_body)" == error.reason
    assert (200, "id-1") == (error.status, error.request_id)


@pytest.mark.parametrize("data", [b"", b"SSH-2.0\r\n", OK + b"\r\n"])
async def test_no_cycle(emulator: Emulator, data: bytes) -> None:
    """An error is gone as soon as nobody holds it: no frame of its traceback does."""
    emulator.respond_raw(data)
    errors = []
    gc.disable()
    try:
        once = RetryPolicy(attempts=1)
        async with AsyncClient(emulator.token, base_url=emulator.url, retry=once) as client:
            await listed(client)
    except (APIConnectionError, APIResponseError) as error:
        errors.append(weakref.ref(error))
    finally:
        gc.enable()
    assert [None] == [error() for error in errors]


async def test_long_message(make_client: MakeClient, emulator: Emulator) -> None:
    """A long message of the server's is cut, and its control characters are left out."""
    emulator.respond(500, {"message": "a\x1b\n" + "x" * 2**20})
    error = await refused(ServerError, make_client())
    assert "a xxx" == error.message[:5]
    assert len(str(error)) < 1000
