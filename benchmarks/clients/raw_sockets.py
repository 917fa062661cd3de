"""Non-blocking sockets and orjson, to plain dicts, with as much of HTTP as the server uses."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson

from benchmarks.job import PROJECT, Job, chunks, collect_pages

_RECEIVED_AT_ONCE = 2**18
_find_length = re.compile(rb"content-length: (\d+)").search


class _Connections:
    """The connections that are idle, and those that are made when none is.

    Args:
        url: The API's base URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = f"{parts.path}/v2/projects/{PROJECT}"
        self._address = (parts.hostname, parts.port)
        self._head = f"HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer t\r\n"
        self._loop = asyncio.get_running_loop()
        self.idle: list[socket.socket] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> Any:
        """Return the document in the response."""
        if self.idle:
            connection = self.idle.pop()
        else:
            connection = socket.socket()
            connection.setblocking(False)  # noqa: FBT003 - its only form
            await self._loop.sock_connect(connection, self._address)
        head = f"{method} {self._path}{path} {self._head}Content-Length: {len(body)}\r\n\r\n"
        await self._loop.sock_sendall(connection, head.encode() + body)
        received = await self._loop.sock_recv(connection, _RECEIVED_AT_ONCE)
        start = received.index(b"\r\n\r\n") + 4
        found = _find_length(received)
        assert found is not None
        while len(received) < start + int(found[1]):
            received += await self._loop.sock_recv(connection, _RECEIVED_AT_ONCE)
        self.idle.append(connection)
        return orjson.loads(memoryview(received)[start:])

    async def load_page(self, job: Job, number: int) -> Any:
        """Return a page of the listing."""
        return await self.request("GET", f"/resources?page={number}&per_page={job.per_page}")


@asynccontextmanager
async def _connections(job: Job) -> AsyncIterator[_Connections]:
    connections = _Connections(job.url)
    try:
        yield connections
    finally:
        for connection in connections.idle:
            connection.close()


async def collect(job: Job) -> list[Any]:
    async with _connections(job) as connections:
        return await collect_pages(lambda number: connections.load_page(job, number), job)


async def get(job: Job) -> list[Any]:
    async with _connections(job) as connections:
        return [(await connections.request("GET", ""))["project"]["id"] for _ in range(job.count)]


async def page(job: Job) -> list[int]:
    async with _connections(job) as connections:
        return [len((await connections.load_page(job, 1))["resources"]) for _ in range(job.count)]


async def assign(job: Job) -> list[Any]:
    done = []
    async with _connections(job) as connections:
        for chunk in chunks(job):
            body = orjson.dumps({"resources": chunk})
            done += (await connections.request("POST", "/resources", body))["resources"]
    return done
